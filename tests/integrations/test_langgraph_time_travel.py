"""LangGraph: a run that goes on from a checkpoint in the middle, or behind an edit, knows who its state is from."""

from __future__ import annotations

import operator
from typing import Annotated, Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Send
from tests.conftest import Recording
from tests.integrations.kinds import Kinds
from typing_extensions import TypedDict

import becausal
from becausal.payload import Payload
from becausal_integrations.langgraph import past
from becausal_integrations.langgraph.ledger import Ledger
from becausal_integrations.langgraph.past import Edit, Past, PastStep
from becausal_integrations.langgraph.resume import Resumptions

THREAD: Any = {"configurable": {"thread_id": "1"}}


class State(TypedDict, total=False):
    question: str
    first: str
    second: str
    third: str
    items: list[str]
    item: str
    log: Annotated[list[str], operator.add]


def one(state: State) -> dict[str, Any]:
    return {"first": f"1{state['question']}", "log": ["one"]}


def two(state: State) -> dict[str, Any]:
    return {"second": f"2{state['first']}", "log": ["two"]}


def three(state: State) -> dict[str, Any]:
    return {"third": f"3{state['second']}{state['first']}", "log": ["three"]}


def value(payload: Payload | None) -> Any:
    assert payload is not None
    return payload.value()


def sequence() -> Any:
    graph: Any = StateGraph(State)
    graph.add_sequence([one, two, three])
    graph.add_edge(START, "one")
    return graph.compile(checkpointer=InMemorySaver())


def before(app: Any, node: str) -> Any:
    """Return the configuration of the last checkpoint that a node is next at."""
    return next(found.config for found in app.get_state_history(THREAD) if found.next == (node,))


def test_who_travels_back_reads_what_was_written_until_then(recording: Recording) -> None:
    app = sequence()
    app.invoke({"question": "?"}, THREAD)
    assert app.invoke(None, before(app, "three"))["third"] == "321?1?"

    run = Kinds(recording.last())
    handed, again = run.all("handoff", "two to three")
    sent_by = run.causes(again, "transfer")
    assert sent_by == run.causes(handed, "transfer") == [run.one("agent", "two")]
    assert value(again.received) == {"second": "21?", "log": ["two"]}
    third = run.all("agent", "three")[1]
    assert run.one("agent", "one") in run.causes(third, "data")


def test_what_a_run_did_after_the_checkpoint_is_no_cause_of_one_that_goes_back_before_it(
    recording: Recording,
) -> None:
    app = sequence()
    app.invoke({"question": "?"}, THREAD)
    app.invoke(None, before(app, "two"))

    run = Kinds(recording.last())
    later = run.all("agent", "two")[1]
    assert run.upstream(later) & {step.id for step in run.all("agent", "three")} == set()
    assert run.upstream(later) & {step.id for step in run.all("agent", "two")[:1]} == set()
    assert run.all("agent", "one")[0].id in run.upstream(later)


def test_whoever_edits_a_state_in_the_name_of_a_node_is_the_sender_of_what_it_triggers(
    recording: Recording,
) -> None:
    app = sequence()
    app.invoke({"question": "?"}, THREAD)
    edited = app.update_state(before(app, "two"), {"first": "edited"}, as_node="one")
    assert app.invoke(None, edited)["third"] == "32editededited"

    run = Kinds(recording.last())
    edit = run.one("memory_write", "update_state")
    handoff = run.all("handoff", "one to two")[-1]
    assert run.causes(handoff, "transfer") == [edit]
    told = becausal.last_run().handoffs[-2]
    assert (told.sender, told.receiver, told.verdict) == ("one", "two", "extended")
    assert value(told.sent) == {"first": "edited"}
    assert edit in run.causes(run.all("agent", "three")[-1], "memory")
    assert run.one("agent", "one") not in run.causes(run.all("agent", "three")[-1], "data")


def test_of_two_edits_each_is_the_cause_of_what_it_wrote(recording: Recording) -> None:
    app = sequence()
    app.invoke({"question": "?"}, THREAD)
    edited = app.update_state(before(app, "three"), {"first": "A"}, as_node="two")
    edited = app.update_state(edited, {"second": "B"}, as_node="two")
    assert app.invoke(None, edited)["third"] == "3BA"

    run = Kinds(recording.last())
    first, second = run.all("memory_write", "update_state")
    third = run.all("agent", "three")[-1]
    assert run.causes(run.all("handoff", "two to three")[-1], "transfer") == [second]
    assert run.causes(third, "memory") == [first]


def fan(state: State) -> list[Send]:
    return [Send("work", {"item": item}) for item in state["items"]]


def test_a_send_that_waited_at_a_breakpoint_is_handed_over_by_who_sent_it(recording: Recording) -> None:
    graph: Any = StateGraph(State)
    graph.add_node("plan", lambda _: {"items": ["x", "y"]})
    graph.add_node("work", lambda state: {"log": [state["item"]]})
    graph.add_edge(START, "plan")
    graph.add_conditional_edges("plan", fan, ["work"])
    app = graph.compile(checkpointer=InMemorySaver(), interrupt_before=["work"])
    app.invoke({"log": []}, THREAD)
    assert app.invoke(None, THREAD)["log"] == ["x", "y"]

    run = Kinds(recording.last())
    plan = run.one("agent", "plan")
    for handoff, item in zip(run.all("handoff", "plan to work"), "xy", strict=True):
        assert run.causes(handoff, "transfer") == [plan]
        assert value(handoff.received) == {"item": item}
    for work in run.all("agent", "work"):
        assert run.causes(work, "route") == [run.one("route", "fan")]
    assert [handoff.verdict for handoff in becausal.last_run().handoffs] == ["identical", "identical"]


@pytest.mark.parametrize(("durability", "kept"), [("exit", 1), ("async", 5)])
def test_of_checkpoints_that_are_never_saved_nothing_is_kept(
    recording: Recording, monkeypatch: pytest.MonkeyPatch, durability: Any, kept: int
) -> None:
    named: list[str] = []
    ours = Resumptions.stopped

    def noting(self: Resumptions, graph: Any, loop: Any, *, is_over: bool) -> None:
        ours(self, graph, loop, is_over=is_over)
        named.extend(name.removeprefix("langgraph checkpoint ") for name in graph.workflow.anchors)

    monkeypatch.setattr(Resumptions, "stopped", noting)
    app = sequence()
    app.invoke({"question": "?"}, THREAD, durability=durability)

    saved = [found.config["configurable"]["checkpoint_id"] for found in app.get_state_history(THREAD)]
    assert named[::-1] == saved
    assert len(saved) == kept


# The bookkeeping


def step(name: str) -> PastStep:
    return PastStep(name, "chain", 1)


def writers(ledger: Ledger, channel: str) -> list[str]:
    return [writer.id for writer in ledger.writers(channel)]


def test_a_gathering_channel_held_what_all_had_added_since_it_was_replaced() -> None:
    made = Past()
    made.wrote("log", 1, [step("a")])
    made.wrote("log", 2, [step("b")], adds=True)
    made.wrote("log", 3, [step("c")])
    made.wrote("log", 4, [step("d")], adds=True)

    assert writers(Ledger.at(made, {"log": 2}), "log") == ["b", "a"]
    assert writers(Ledger.at(made, {"log": 4}), "log") == ["d", "c"]


def test_an_edit_is_no_cause_of_control_that_was_there_before_it() -> None:
    edit = Edit(step("edit"), frozenset({"first"}))
    versions = {"first": 5, "branch:to:two": 5, "branch:to:one": 2}

    ledger = Ledger.at(Past(), versions, [edit])

    assert writers(ledger, "first") == writers(ledger, "branch:to:two") == ["edit"]
    assert not writers(ledger, "branch:to:one")


def test_a_join_s_senders_are_forgotten_once_it_has_triggered() -> None:
    made = Past()
    made.wrote("join:a+b:c", 2, [step("a")], adds=True)
    made.wrote("join:a+b:c", 3, [])
    made.wrote("join:a+b:c", 5, [step("b")], adds=True)

    assert writers(Ledger.at(made, {"join:a+b:c": 5}), "join:a+b:c") == ["b"]


def test_a_long_run_is_remembered_no_further_than_its_last_writes() -> None:
    made = Past()
    for version in range(past.MAX_ENTRIES + 10):
        made.wrote("log", version, [step(str(version))])

    assert len(list(made)) == past.MAX_ENTRIES
    assert not writers(Ledger.at(made, {"log": 3}), "log")


def test_sends_that_a_run_goes_back_to_have_their_sender(recording: Recording) -> None:
    graph: Any = StateGraph(State)
    graph.add_node("plan", lambda _: {"items": ["x", "y"]})
    graph.add_node("work", lambda state: {"log": [state["item"]]})
    graph.add_edge(START, "plan")
    graph.add_conditional_edges("plan", fan, ["work"])
    app = graph.compile(checkpointer=InMemorySaver())
    app.invoke({"log": []}, THREAD)
    there = next(found.config for found in app.get_state_history(THREAD) if "work" in found.next)
    assert app.invoke(None, there)["log"] == ["x", "y"]

    run = Kinds(recording.last())
    assert len(run.all("agent", "work")) == 4
    for work in run.all("agent", "work"):
        assert run.senders(work) == [run.one("agent", "plan")]
