"""The promise: what goes wrong with what agents share is told with the key, the versions and who did it."""

from __future__ import annotations

import operator
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore

import becausal
from becausal import Memory
from becausal.finding import Finding
from becausal.findings.handoff import Scene
from becausal.findings.memory import of_memory

pytestmark = pytest.mark.usefixtures("recording")


def findings() -> list[Finding]:
    run = becausal.last_run()
    return list(of_memory(Scene(run.graph, run.handoffs)))


def kinds() -> list[tuple[str, str | None, str | None]]:
    return [(finding.kind, finding.key, finding.agent) for finding in findings()]


def last_wins(_: Any, new: Any) -> Any:
    return new


def largest(old: int, new: int) -> int:
    return max(old, new)


class State(TypedDict, total=False):
    plan: Annotated[Any, last_wins]
    notes: Annotated[list[str], operator.add]
    best: Annotated[int, largest]
    shared: dict[str, Any]


def run_graph(nodes: dict[str, Any], edges: list[tuple[str, str]], start: State) -> dict[str, Any]:
    graph = StateGraph(State)
    for name, node in nodes.items():
        graph.add_node(name, node)
    for edge in edges:
        graph.add_edge(*edge)
    result: dict[str, Any] = graph.compile().invoke(start)
    return result


BRANCHES = [(START, "a"), (START, "b"), ("a", END), ("b", END)]


def test_a_write_that_a_parallel_one_wiped_out_is_a_lost_update() -> None:
    run_graph({"a": lambda s: {"plan": {"x": 1}}, "b": lambda s: {"plan": {"y": 2}}}, BRANCHES, {"plan": {}})

    (finding,) = findings()
    assert (finding.kind, finding.key, finding.agent) == ("memory.lost_update", "plan", "a")
    assert finding.step.kind == "memory_write"


def test_parallel_writes_that_are_gathered_are_fine() -> None:
    run_graph(
        {"a": lambda s: {"notes": ["x"], "best": 3}, "b": lambda s: {"notes": ["y"], "best": 5}},
        BRANCHES,
        {"notes": [], "best": 0},
    )

    assert kinds() == []


def test_a_state_that_is_updated_one_after_the_other_is_fine() -> None:
    run_graph(
        {"a": lambda s: {"plan": "first"}, "b": lambda s: {"plan": "second"}},
        [(START, "a"), ("a", "b"), ("b", END)],
        {"plan": ""},
    )

    assert kinds() == []


def test_a_node_that_changes_the_state_in_place_is_told() -> None:
    def sly(state: State) -> State:
        state["shared"]["price"] = 99
        return {"notes": ["nothing happened"]}

    run_graph(
        {"a": sly, "b": lambda s: {}}, [(START, "a"), ("a", "b"), ("b", END)], {"shared": {"price": 10}}
    )

    (finding,) = findings()
    assert (finding.kind, finding.key, finding.agent) == ("memory.aliased", "shared", "a")
    assert "99" in finding.evidence[1]


# Stores


def stored(*nodes: Any) -> InMemoryStore:
    """Run nodes one after the other with a store."""
    store = InMemoryStore()
    graph = StateGraph(State)
    names = [node.__name__ for node in nodes]
    for node in nodes:
        graph.add_node(node.__name__, node)
    for source, target in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(source, target)
    graph.compile(store=store).invoke({"notes": []})
    return store


def kept(store: BaseStore, key: str) -> dict[str, Any]:
    item = store.get(("facts",), key)
    assert item is not None
    return item.value


def test_an_update_and_then_a_read_is_fine() -> None:
    def first(state: State, *, store: BaseStore) -> State:
        store.put(("facts",), "size", {"usd": 20_000_000})
        return {}

    def second(state: State, *, store: BaseStore) -> State:
        found = kept(store, "size")
        store.put(("facts",), "size", {**found, "usd": 25_000_000})
        return {}

    def third(state: State, *, store: BaseStore) -> State:
        return {"notes": [str(kept(store, "size"))]}

    stored(first, second, third)
    assert kinds() == []


def test_one_who_goes_on_with_an_outdated_value_is_told() -> None:
    def writer(state: State, *, store: BaseStore) -> State:
        store.put(("facts",), "size", {"usd": "20 million"})
        return {}

    def reader(state: State, *, store: BaseStore) -> State:
        return {"plan": kept(store, "size")["usd"]}

    def corrector(state: State, *, store: BaseStore) -> State:
        store.put(("facts",), "size", {"usd": "2 million"})
        return {}

    def reporter(state: State, *, store: BaseStore) -> State:
        return {"notes": [f"The market has {state['plan']}."]}

    stored(writer, reader, corrector, reporter)
    assert kinds() == [("memory.stale_read", "facts/size", "reporter")]


def test_one_who_writes_over_what_he_has_not_seen_loses_it() -> None:
    seen: dict[str, Any] = {}

    def reads(state: State, *, store: BaseStore) -> State:
        store.put(("facts",), "list", {"items": ["a"]})
        return {}

    def late(state: State, *, store: BaseStore) -> State:
        seen.update(kept(store, "list"))
        store.put(("facts",), "list", {"items": ["a", "b"]})  # somebody else's, in between
        store.put(("facts",), "list", {"items": [*seen["items"], "c"]})
        return {}

    stored(reads, late)
    assert [(kind, key) for kind, key, _ in kinds()] == [("memory.lost_update", "facts/list")]


def test_two_who_count_on_from_the_same_number_lose_a_count() -> None:
    seen: dict[str, Any] = {}

    def starts(state: State, *, store: BaseStore) -> State:
        store.put(("facts",), "count", {"n": 0})
        return {}

    def counts(state: State, *, store: BaseStore) -> State:
        seen.update(kept(store, "count"))
        store.put(("facts",), "count", {"n": 1})  # somebody else counts in between
        store.put(("facts",), "count", {"n": seen["n"] + 1})
        return {}

    stored(starts, counts)
    assert [(kind, key) for kind, key, _ in kinds()] == [("memory.lost_update", "facts/count")]


# A memory of becausal's


def test_one_who_goes_on_with_a_retracted_value_is_told() -> None:
    memory = Memory("research")
    with becausal.chain("report"):
        with becausal.agent("finder"):
            memory.write("size", "20 million")
        with becausal.agent("planner") as planner:
            plan = f"write about {memory.read('size')}"
            planner.returned(plan)
        with becausal.agent("checker"):
            memory.retract("size", reason="a forecast")
        with becausal.agent("writer", received=plan) as writer:
            writer.returned(f"As planned: {plan}.")

    assert kinds() == [("memory.retracted_read", "size", "writer")]


def test_one_who_reads_a_moment_of_the_past_on_purpose_is_left_alone() -> None:
    memory = Memory("research")
    with becausal.chain("report"), becausal.agent("historian") as historian:
        first = memory.write("size", "20 million")
        memory.write("size", "25 million")
        historian.returned(f"it was {memory.at(first.seq).read('size')}")

    assert kinds() == []


def test_a_value_that_was_corrected_before_it_was_used_is_fine() -> None:
    memory = Memory("research")
    with becausal.chain("report"):
        with becausal.agent("finder"):
            memory.write("size", "20 million")
        with becausal.agent("checker"):
            memory.read("size")
            memory.supersede("size", "2 million", reason="a decimal point")
        with becausal.agent("writer") as writer:
            writer.returned(f"The market has {memory.read('size')}.")

    assert kinds() == []


# Contamination


def research(price: str, *, readers: int = 2) -> list[tuple[str, str | None, list[str]]]:
    """A finder keeps what a tool told it; others read it."""
    memory = Memory("research")

    @becausal.tool
    def price_of(item: str) -> str:
        return price

    with becausal.chain("report") as chain:
        with becausal.agent("finder") as finder:
            told = price_of("bolt")
            memory.write("price", told)
            finder.returned(told)
        for number in range(readers):
            with becausal.agent(f"reader {number}") as reader:
                reader.returned(f"They say: {memory.read('price')}")
        chain.returned("done")
    return [
        (finding.kind, finding.key, [step.agent or step.name for step in finding.path])
        for finding in becausal.last_run().findings
        if finding.kind == "memory.contaminated"
    ]


def test_a_wrong_answer_that_was_kept_is_followed_to_everybody_who_read_it() -> None:
    ((kind, key, path),) = research("Error 502: price 1,250 USD could not be confirmed")

    assert (kind, key) == ("memory.contaminated", "price")
    assert path == ["finder", "finder", "reader 0", "reader 1"]


def test_what_nobody_read_or_was_right_contaminates_nothing() -> None:
    assert research("Error 502: price 1,250 USD could not be confirmed", readers=0) == []
    assert research("1,250 USD") == []
