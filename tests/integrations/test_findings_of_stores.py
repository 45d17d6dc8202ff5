"""The promise: what a store holds and nobody wrote is told, and keys stay hidden where no content may be kept."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from autogen_core.memory import ListMemory, MemoryContent
from langgraph.graph import START, StateGraph
from langgraph.store.memory import InMemoryStore
from tests.conftest import Recording
from tests.integrations.fakes_autogen import hears_all, speaker
from typing_extensions import TypedDict

import becausal
from becausal import semconv


class State(TypedDict, total=False):
    told: str


def played(store: InMemoryStore, *nodes: Any) -> None:
    graph = StateGraph(State)
    before = START
    for node in nodes:
        graph.add_node(node.__name__, node)
        graph.add_edge(before, node.__name__)
        before = node.__name__
    graph.compile(store=store).invoke({"told": "go"})


def of_memory() -> list[tuple[str, str | None, str | None, tuple[str, ...]]]:
    found = becausal.last_run().findings
    return [(f.kind, f.agent, f.key, f.evidence) for f in found if f.kind.startswith("memory.")]


def test_a_record_that_was_altered_behind_its_writers_is_told_with_both_contents(
    recording: Recording,
) -> None:
    store = InMemoryStore()

    def clerk(state: State) -> State:
        store.put(("users",), "ada", {"colour": "blue"})
        return {"told": "kept"}

    def vandal(state: State) -> State:
        store._data["users",]["ada"].value = {"colour": "red"}
        return {"told": "nothing"}

    def reader(state: State) -> State:
        return {"told": store.get(("users",), "ada").value["colour"]}  # type: ignore[union-attr]

    played(store, clerk, vandal, reader)

    assert of_memory() == [
        ("memory.aliased", None, "users/ada", ("before: colour: blue", "after: colour: red"))
    ]


def test_a_record_that_was_there_before_the_run_is_no_finding(recording: Recording) -> None:
    becausal.uninstrument()
    store = InMemoryStore()
    store.put(("users",), "ada", {"colour": "blue"})
    becausal.instrument(store=recording.store)

    def reader(state: State) -> State:
        return {"told": store.get(("users",), "ada").value["colour"]}  # type: ignore[union-attr]

    def clerk(state: State) -> State:
        store.put(("users",), "ada", {"colour": "green"})
        return {"told": store.get(("users",), "ada").value["colour"]}  # type: ignore[union-attr]

    played(store, reader, clerk)

    assert of_memory() == []


async def test_an_autogen_memory_whose_content_was_altered_is_told(recording: Recording) -> None:
    memory, content = ListMemory(), MemoryContent(content="x is 41", mime_type="text/plain")
    with becausal.chain("talk"):
        await memory.add(content)
        content.content = "x is 77"
        await speaker("a", hears_all("a"), memory=[memory]).run(task="go")

    assert [row[0] for row in of_memory()] == ["memory.aliased"]


def keys_told() -> set[str]:
    """Return all that a run says of the keys of its memories."""
    steps = becausal.last_run().steps
    told = [step.attributes.get(semconv.MEMORY_RECORD) for step in steps]
    told += [seen for step in steps for seen in step.attributes.get(semconv.MEMORY_SEEN, ())]  # type: ignore[union-attr]
    return {str(one) for one in told if one is not None} | {
        cause.evidence for step in steps for cause in step.causes if cause.kind == "memory"
    }


def of_langgraph() -> None:
    store = InMemoryStore()
    with becausal.chain("keep"):
        store.put(("users",), "ada", {"colour": "blue"})
        store.get(("users",), "ada")


def of_autogen() -> None:
    memory = ListMemory()

    async def keep() -> None:
        with becausal.chain("keep"):
            await memory.add(MemoryContent(content="x", mime_type="text/plain", metadata={"id": "users/ada"}))
            await memory.query("x")

    asyncio.run(keep())


def of_our_own() -> None:
    memory = becausal.Memory("people")
    with becausal.chain("keep"):
        memory.write("users/ada", 1)
        memory.read("users/ada")
    assert [read.key for read in memory.readers("users/ada")] == ["users/ada"]


@pytest.mark.parametrize("keep", [of_langgraph, of_autogen, of_our_own])
def test_no_key_is_told_where_no_content_may_be_kept(store: str, keep: Any) -> None:
    becausal.instrument(store=store, capture="digest")
    try:
        keep()
        told = keys_told()
        view = becausal.last_run().memory
    finally:
        becausal.uninstrument()

    assert len(told) >= 2
    assert not any("ada" in one or "users" in one for one in told), told
    (name,) = view.keys()
    assert "#" in name
    assert view.history("users/ada")  # whoever knows the key finds it


def test_the_state_and_the_sessions_of_agent_framework_hide_their_keys_alike() -> None:
    pytest.importorskip("agent_framework")
    from becausal.redaction.naming import hidden_name
    from becausal_integrations.agent_framework.ledger import Ledger
    from becausal_integrations.agent_framework.state import SharedState

    class Withholding:
        withholds_content = True

    class Context: ...

    notes = SharedState(Withholding(), Ledger())._notes(Context(), "users/ada")  # type: ignore[arg-type]
    assert notes[semconv.MEMORY_RECORD] == hidden_name("users/ada")
