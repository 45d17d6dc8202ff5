"""LangGraph: state is a memory that nodes share, and what they do to it is told."""

from __future__ import annotations

import functools
import operator
from types import SimpleNamespace
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, Send
from tests.conftest import Recording
from tests.integrations.fakes_langchain import chain_of
from tests.integrations.kinds import Kinds
from typing_extensions import TypedDict

import becausal
from becausal.payload import Payload
from becausal.step import Step
from becausal_integrations.langgraph.channels import Standing, holds_all
from becausal_integrations.langgraph.ledger import MAX_CONTRIBUTORS

READ, WRITTEN = "becausal.state.read", "becausal.state.written"
MUTATED = "becausal.payload.mutated"


def keep_last_two(former: list[str], new: list[str]) -> list[str]:
    return [*former, *new][-2:]


def take_new(_: Any, new: Any) -> Any:
    return new


class Shared(TypedDict):
    topic: str
    notes: list[str]
    log: Annotated[list[str], operator.add]
    recent: Annotated[list[str], keep_last_two]
    best: Annotated[str, take_new]


INPUT: Any = {"topic": "tea", "notes": ["first"], "log": [], "recent": [], "best": ""}


def graph_of(*edges: tuple[str, str], state: Any = Shared, **nodes: Any) -> Any:
    """Return a graph of nodes that each are a function, or an update to return."""
    graph = StateGraph(state)
    for name, node in nodes.items():
        graph.add_node(name, node if callable(node) else lambda _, update=node: update)
    for start, end in edges:
        graph.add_edge(start, end)
    return graph


def value(payload: Payload | None) -> Any:
    assert payload is not None
    return payload.value()


def said(messages: Any) -> list[str]:
    return [message["content"] for message in messages]


# Versions


def test_each_task_says_which_channels_it_read_and_wrote_at_which_version(recording: Recording) -> None:
    app = graph_of((START, "a"), ("a", "b"), a={"topic": "coffee", "log": ["a"]}, b={"log": ["b"]})
    app.compile().invoke(INPUT)

    told = Kinds(recording.last())
    first, second = told.one("agent", "a"), told.one("agent", "b")
    assert first.attributes[READ] == ("topic@2", "notes@2", "log@2", "recent@2", "best@2")
    assert first.attributes[WRITTEN] == ("topic@3", "log@3")
    assert second.attributes[READ] == ("topic@3", "notes@2", "log@3", "recent@2", "best@2")
    assert second.attributes[WRITTEN] == ("log@4",)


class TensSaver(InMemorySaver):
    """Counts versions in a way of its own."""

    def get_next_version(self, current: Any, channel: Any) -> Any:
        return (current or 0) + 10


@pytest.mark.parametrize("saver", [InMemorySaver, TensSaver])
def test_versions_are_those_of_the_checkpoint_however_a_saver_counts(
    recording: Recording, saver: Any
) -> None:
    app = graph_of((START, "a"), ("a", "b"), a={"topic": "coffee"}, b={"log": ["b"]}).compile(
        checkpointer=saver()
    )
    config = {"configurable": {"thread_id": "1"}}
    app.invoke(INPUT, config)

    told = Kinds(recording.last())
    versions = app.checkpointer.get_tuple(config).checkpoint["channel_versions"]
    numbers = {name: str(version).partition(".")[0].lstrip("0") for name, version in versions.items()}
    assert told.one("agent", "a").attributes[WRITTEN] == (f"topic@{numbers['topic']}",)
    assert told.one("agent", "b").attributes[WRITTEN] == (f"log@{numbers['log']}",)


# Writes that come to nothing


def test_a_key_that_the_state_does_not_have_is_told_on_the_node_that_wrote_it(recording: Recording) -> None:
    app = graph_of(
        (START, "a"),
        a={"topic": "coffee", "topics": "coffee", "nots": []},
        b=lambda _: Command(update={"bests": "x"}),
        c={"log": []},
    )
    app.add_edge("a", "b")
    app.add_edge("b", "c")
    result = app.compile().invoke(INPUT)

    told = Kinds(recording.last())
    assert "topics" not in result
    assert told.one("agent", "a").attributes["langgraph.dropped_keys"] == ("topics", "nots")
    assert value(told.one("agent", "a").produced)["topics"] == "coffee"
    assert told.one("agent", "b").attributes["langgraph.dropped_keys"] == ("bests",)
    assert "langgraph.dropped_keys" not in told.one("agent", "c").attributes


# Changes in place


def sneak(state: Shared) -> dict[str, Any]:
    state["notes"].append("sneaked in")
    return {"log": ["a"]}


def test_state_that_a_node_changes_without_writing_it_is_a_write_to_memory_and_causes_its_readers(
    recording: Recording,
) -> None:
    graph_of((START, "a"), ("a", "b"), a=sneak, b={"log": ["b"]}).compile().invoke(
        {**INPUT, "notes": ["first"]}
    )

    told = Kinds(recording.last())
    culprit, write = told.one("agent", "a"), told.one("memory_write", "notes")
    assert culprit.attributes[MUTATED] is True
    assert (write.parent_id, write.agent) == (culprit.id, "a")
    assert write.attributes["gen_ai.memory.record.id"] == "notes"
    assert value(write.received)["notes"] == ["first"]
    assert value(write.produced)["notes"] == ["first", "sneaked in"]
    assert told.causes(told.one("agent", "b"), "memory") == [write]
    assert MUTATED not in told.one("agent", "b").attributes


def test_a_value_that_took_the_place_of_one_changed_in_place_has_no_part_in_it(recording: Recording) -> None:
    app = graph_of(
        (START, "a"), ("a", "b"), ("b", "c"), a=sneak, b={"notes": ["fresh"]}, c={"log": []}
    ).compile()
    app.invoke({**INPUT, "notes": ["first"]})

    told = Kinds(recording.last())
    assert told.causes(told.one("agent", "b"), "memory") == [told.one("memory_write")]
    assert told.causes(told.one("agent", "c"), "memory") == []


def test_a_long_conversation_changed_in_place_is_seen_too(recording: Recording) -> None:
    def edit(state: MessagesState) -> dict[str, Any]:
        state["messages"][3].content = "never said"
        return {}

    app = graph_of((START, "a"), ("a", "b"), state=MessagesState, a=edit, b={}).compile()
    app.invoke({"messages": [HumanMessage(f"message {number} " + "word " * 50) for number in range(40)]})

    told = Kinds(recording.last())
    assert told.one("agent", "a").attributes[MUTATED] is True
    assert said(value(told.one("memory_write", "messages").produced)["messages"])[3] == "never said"


def assign_own_copy(state: Any) -> dict[str, Any]:
    state["topic"] = "mine"
    state["notes"] = ["mine"]
    return {"log": ["a"]}


def write_what_was_changed(state: Any) -> dict[str, Any]:
    state["notes"].append("told")
    return {"notes": state["notes"]}


@pytest.mark.parametrize("node", [assign_own_copy, write_what_was_changed])
def test_what_a_node_assigns_to_its_own_copy_or_writes_is_no_change_in_place(
    recording: Recording, node: Any
) -> None:
    graph_of((START, "a"), a=node).compile().invoke({**INPUT, "notes": ["first"]})

    told = Kinds(recording.last())
    assert MUTATED not in told.one("agent").attributes
    assert told.all("memory_write") == []


class Talk(TypedDict):
    messages: list[Any]


def test_ids_that_langgraph_gives_to_messages_are_no_change_of_a_node(recording: Recording) -> None:
    inner = graph_of((START, "say"), state=MessagesState, say={"messages": [AIMessage("hello")]}).compile()

    def call(state: Talk) -> Any:
        assert state["messages"][0].id is None
        inner.invoke({"messages": state["messages"]})
        assert state["messages"][0].id is not None
        return {}

    graph_of((START, "call"), state=Talk, call=call).compile().invoke({"messages": [HumanMessage("hi")]})

    assert all(MUTATED not in step.attributes for step in recording.last())


def test_a_changed_packet_of_a_send_is_told_on_the_task_that_changed_it(recording: Recording) -> None:
    def work(sent: dict[str, Any]) -> dict[str, Any]:
        sent["number"] = 2
        return {"log": []}

    app = graph_of((START, "plan"), plan={}, work=work)
    app.add_conditional_edges("plan", lambda _: [Send("work", {"number": 1})], ["work"])
    app.compile().invoke(INPUT)

    assert Kinds(recording.last()).one("agent", "work").attributes[MUTATED] is True


def jobs(_: Any) -> list[Send]:
    # The long texts are parts of their own, each of which is handed to the store once.
    return [
        Send("work", {"text": f"{number} cups of tea " * 500, "deep": {"more": ["tea" * 900]}})
        for number in (1, 2)
    ]


@pytest.mark.parametrize("is_entry", [True, False], ids=["by the entry", "by a node"])
@pytest.mark.parametrize("waits", [True, False], ids=["after an interrupt", "at once"])
def test_all_that_a_send_carries_is_kept_whoever_sends_it(
    recording: Recording, is_entry: bool, waits: bool
) -> None:
    app = graph_of(plan={}, work={"log": ["done"]})
    if is_entry:
        app.add_conditional_edges(START, jobs, ["work"])
    else:
        app.add_edge(START, "plan")
        app.add_conditional_edges("plan", jobs, ["work"])
    graph = app.compile(InMemorySaver(), interrupt_before=["work"] if waits else None)
    config: Any = {"configurable": {"thread_id": "1"}}
    graph.invoke(INPUT, config)
    if waits:
        graph.invoke(None, config)

    told = [step for step in recording.last() if (step.kind, step.name) == ("agent", "work")]
    # The two run at once: either may begin first.
    assert {value(step.received)["text"] for step in told} == {
        f"{number} cups of tea " * 500 for number in (1, 2)
    }
    assert [value(step.received)["deep"] for step in told] == [{"more": ["tea" * 900]}] * 2


def test_a_packet_that_one_task_changes_is_received_by_the_next_as_it_is_then(recording: Recording) -> None:
    shared = {"number": 1}

    def work(state: Any) -> Any:
        state["number"] += 1
        return {"log": [str(state["number"])]}

    app = graph_of((START, "plan"), plan={}, work=work)
    app.add_conditional_edges("plan", lambda _: [Send("work", shared), Send("work", shared)], ["work"])
    app.compile().invoke(INPUT, {"max_concurrency": 1})

    steps = recording.last()
    received = [value(step.received) for step in steps if step.name == "work"]
    assert received == [{"number": 1}, {"number": 2}]
    equal = [
        step.attributes["becausal.transfer.equal"] for step in recording.last() if step.kind == "handoff"
    ]
    assert equal[-2:] == [True, False]


def test_what_was_changed_is_not_guessed_where_no_content_is_kept(store: str) -> None:
    becausal.instrument(store=store, capture="digest")
    graph_of((START, "a"), a=assign_own_copy).compile().invoke(INPUT)
    graph_of((START, "a"), a=sneak).compile().invoke({**INPUT, "notes": ["first"]})
    sneaked, assigned = map(Kinds, Recording(store).runs())
    becausal.uninstrument()

    assert MUTATED not in assigned.one("agent").attributes
    assert sneaked.one("agent").attributes[MUTATED] is True


# Reducers


def merges(told: Kinds) -> dict[str, Step]:
    return {step.name: step for step in told.all("memory_write")}


def test_a_parallel_write_that_a_reducer_overwrote_shows_with_who_wrote_it(recording: Recording) -> None:
    app = graph_of((START, "a"), (START, "b"), a={"best": "of a"}, b={"best": "of b"}, last={"log": []})
    app.add_edge(["a", "b"], "last")
    app.compile(name="team").invoke(INPUT)

    told = Kinds(recording.last())
    write = merges(told)["best"]
    assert write.parent_id == told.one("workflow").id
    assert value(write.received) == ["of a", "of b"]
    assert value(write.produced) == "of b"
    assert {step.name for step in told.causes(write, "data")} == {"a", "b"}
    assert write.attributes["gen_ai.memory.store.id"] == "team"
    assert write.attributes["gen_ai.memory.record.id"] == "best"
    assert write.attributes["becausal.memory.version"] == 3
    assert told.causes(told.one("agent", "last"), "memory") == [write]


def test_a_list_that_a_reducer_trimmed_shows_with_what_it_had_held(recording: Recording) -> None:
    edges = [(START, "a"), ("a", "b"), ("b", "c")]
    updates = {"a": {"recent": ["1"]}, "b": {"recent": ["2"]}, "c": {"recent": ["3"]}}
    graph_of(*edges, **updates).compile().invoke(INPUT)

    told = Kinds(recording.last())
    write = merges(told)["recent"]
    assert value(write.received) == [["3"]]
    assert value(write.produced) == ["2", "3"]
    assert [step.name for step in told.causes(write, "data")] == ["c", "b"]


@pytest.mark.parametrize(
    ("written", "left"),
    [
        ([RemoveMessage(id="1")], ["two"]),
        ([AIMessage("other", id="1")], ["other", "two"]),
        ([RemoveMessage(id="__remove_all__"), AIMessage("fresh", id="3")], ["fresh"]),
    ],
    ids=["removed", "replaced", "all removed"],
)
def test_a_message_that_was_removed_or_replaced_shows(
    recording: Recording, written: list[Any], left: list[str]
) -> None:
    app = graph_of((START, "a"), state=MessagesState, a={"messages": written}).compile()
    app.invoke({"messages": [HumanMessage("one", id="1"), HumanMessage("two", id="2")]})

    write = Kinds(recording.last()).one("memory_write", "messages")
    assert said(value(write.produced)) == left


def test_plain_appends_are_no_steps(recording: Recording) -> None:
    chain_of(lambda_named("a"), lambda_named("b")).invoke({"question": "q", "log": []})
    talk = graph_of((START, "a"), ("a", "b"), state=MessagesState, a={"messages": [AIMessage("x")]}, b={})
    talk.compile().invoke({"messages": [("user", "hi")]})

    assert [step for steps in recording.runs() for step in steps if step.kind == "memory_write"] == []


def lambda_named(name: str) -> Any:
    def node(_: Any) -> dict[str, Any]:
        return {"log": [name]}

    node.__name__ = name
    return node


class Rounds(TypedDict):
    log: Annotated[list[str], operator.add]
    round: int


class Planned(TypedDict):
    round: int


def test_a_reader_of_what_many_gathered_is_led_to_every_one_of_them(recording: Recording) -> None:
    width, rounds = 40, 5

    def plan(state: Planned) -> dict[str, Any]:
        return {"round": state["round"] + 1}

    def split(state: Planned) -> Any:
        if state["round"] > rounds:
            return "read"
        return [Send("work", {"number": number}) for number in range(width)]

    graph = StateGraph(Rounds)
    graph.add_node("plan", plan)
    graph.add_node("work", lambda sent: {"log": [str(sent["number"])]})
    graph.add_node("read", lambda state: {"round": len(state["log"])})
    graph.add_edge(START, "plan")
    graph.add_conditional_edges("plan", split, ["work", "read"])
    graph.add_edge("work", "plan")
    assert graph.compile().invoke({"log": [], "round": 0})["round"] == width * rounds

    told = Kinds(recording.last())
    reader = told.one("agent", "read")
    works = {step.id for step in told.all("agent", "work")}
    reached: set[str] = set()
    waiting = [step for step in told.causes(reader) if step.kind != "handoff"]
    while waiting:
        step = waiting.pop()
        reached.add(step.id)
        waiting += told.causes(step) if step.kind == "memory_write" else []
    assert works <= reached
    assert max(len(step.causes) for step in told.steps) < 2 * (MAX_CONTRIBUTORS + width)


# What a channel has kept, by itself


class FakeChannel:
    def __init__(self, value: Any, reducer: Any = None) -> None:
        self.value, self.operator = value, reducer

    def is_available(self) -> bool:
        return True

    def get(self) -> Any:
        return self.value


@pytest.mark.parametrize(
    ("before", "writes", "after", "kept"),
    [
        ([], [["a"], ["b"]], ["a", "b"], True),
        (["x"], [["a"]], ["a"], False),
        (["x", "y"], [["a"]], ["y", "a", "a"], False),
        (["x"], [["a"]], ["x", "b"], False),
        ({}, [{"a": 1}, {"b": 2}], {"a": 1, "b": 2}, True),
        ({"a": 1, "b": 1}, [{"a": 2}], {"a": 2, "b": 1}, True),  # one write gives a key another value
        ({"a": 1, "b": 1}, [{"a": 2}], {"a": 2}, False),
        ({"a": 1}, [{"a": 2}], {"a": 3}, False),
        ({"a": 1}, [{"a": 2}, {"b": 3}], {"a": 2, "b": 3}, False),
        ({}, [{"a": 1}, {"a": 2}], {"a": 2}, False),
        ({1}, [{2}, {3}], {1, 2, 3}, True),
        ({1, 2}, [{3}], {3, 4}, True),
        ("x", ["y"], "x, y", True),
        ("", ["left", "right"], "right", False),
        (3, [5, 7], 7, False),
        (9, [5], 9, False),
        (None, [5, 5], 5, True),
    ],
)
def test_a_channel_has_kept_all_or_it_has_not(before: Any, writes: list[Any], after: Any, kept: bool) -> None:
    standing = Standing.of(FakeChannel(before))

    assert holds_all(FakeChannel(after, take_new), standing, writes) is kept


@pytest.mark.parametrize(
    "writes", [[{"a": 2}], [{"b": 2}], [{}], [{"a": 2}, {"a": 3}], [{"a": 2}, {"b": 3}], [{"b": 2}, {"c": 3}]]
)
def test_a_dict_that_is_merged_has_kept_all_where_any_reducer_s_has(writes: list[Any]) -> None:
    before = {"a": 1}
    after = functools.reduce(operator.or_, writes, before)
    standing = Standing.of(FakeChannel(before))

    is_kept = holds_all(FakeChannel(after, take_new), standing, writes)

    assert holds_all(FakeChannel(after, operator.or_), standing, writes) is is_kept


def test_a_message_like_object_s_own_code_is_not_run() -> None:
    class Loud:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(name)

        def __eq__(self, other: object) -> bool:
            raise AssertionError

        __hash__ = None  # type: ignore[assignment]

    wrote = Loud()
    standing = Standing.of(FakeChannel([]))
    assert holds_all(FakeChannel([wrote], take_new), standing, [[wrote]])
    assert not holds_all(FakeChannel([SimpleNamespace()], take_new), standing, [[SimpleNamespace()]])
