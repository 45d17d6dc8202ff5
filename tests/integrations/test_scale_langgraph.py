"""Large graphs and many runs: everything is recorded, a step costs the same late as early, and nothing stays behind."""

from __future__ import annotations

import gc
import itertools
import statistics
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, Send
from tests.conftest import Recording
from tests.integrations.fakes_langchain import State
from tests.integrations.growth import a_graph, containers, run_once

import becausal
from becausal.canonical import Encoded, Encoder
from becausal.instrument import active_recorder
from becausal.step import Step


@pytest.fixture
def recording(store: str) -> Iterator[Recording]:
    becausal.instrument("langgraph", store=store)
    yield Recording(store)
    becausal.uninstrument()


def by_kind(steps: list[Step]) -> Counter[tuple[str, str]]:
    return Counter((step.kind, step.name) for step in steps)


def test_a_thousand_parallel_sends_are_recorded_with_every_edge(recording: Recording) -> None:
    def split(_: State) -> list[Send]:
        return [Send("work", {"number": number}) for number in range(1000)]

    def work(sent: dict[str, int]) -> dict[str, Any]:
        return {"log": [str(sent["number"])]}

    graph: Any = StateGraph(State)
    graph.add_node("plan", lambda _: {"findings": "42"})
    graph.add_node(work)
    graph.add_node("write", lambda state: {"draft": str(len(state["log"]))})
    graph.add_edge(START, "plan")
    graph.add_conditional_edges("plan", split, ["work"])
    graph.add_edge("work", "write")
    result = graph.compile().invoke({"question": "how many?", "log": []})

    steps = recording.last()
    assert result["draft"] == "1000"
    found, by_id = by_kind(steps), {step.id: step for step in steps}
    assert found["agent", "work"] == 1000
    assert found["handoff", "plan to work"] == found["handoff", "work to write"] == 1000
    workers = [step for step in steps if step.kind == "agent" and step.name == "work"]
    sent_to = {}
    for worker in workers:
        (handoff,) = (by_id[cause.source_id] for cause in worker.causes if cause.kind == "transfer")
        assert handoff.received == worker.received  # each got what was sent to it, and to no other
        sent: Any = handoff.received.value() if handoff.received is not None else None
        sent_to[sent["number"]] = worker.id
    assert len(sent_to) == 1000
    (writer,) = (step for step in steps if step.kind == "agent" and step.name == "write")
    handed = [by_id[cause.source_id] for cause in writer.causes if cause.kind == "transfer"]
    assert {cause.source_id for handoff in handed for cause in handoff.causes} == {
        step.id for step in workers
    }


TURNS = 2000


def looping(state: Any, turn: Any) -> Any:
    graph: Any = StateGraph(state)
    graph.add_node("turn", turn, destinations=("turn", END))
    graph.add_edge(START, "turn")
    return graph.compile()


def count_up(state: State) -> Command[str]:
    number = int(state["draft"])
    return Command(goto="turn" if number < TURNS - 1 else END, update={"draft": str(number + 1)})


def test_a_loop_of_two_thousand_steps_is_recorded_with_every_edge(recording: Recording) -> None:
    looping(State, count_up).invoke({"draft": "0", "log": []}, {"recursion_limit": TURNS + 10})

    steps = recording.last()
    by_id = {step.id: step for step in steps}
    turns = [step for step in steps if step.kind == "agent"]
    assert len(turns) == TURNS
    for former, turn in itertools.pairwise(turns):
        (handoff,) = (by_id[cause.source_id] for cause in turn.causes if cause.kind == "transfer")
        assert [cause.source_id for cause in handoff.causes] == [former.id]
    assert max(len(turn.causes) for turn in turns) == 1
    attributes = [sum(len(str(value)) for value in turn.attributes.values()) for turn in turns]
    assert max(attributes) - min(attributes) < 32  # digits of the step's number, no more


def encoded_in(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return what is going to hold the bytes of each thing that is encoded from now on."""
    sizes: list[int] = []
    encode = Encoder.encode

    def counting(self: Encoder, value: object) -> Encoded:
        encoded = encode(self, value)
        sizes.append(len(encoded.body) + sum(len(body) for _, body in encoded.parts))
        return encoded

    monkeypatch.setattr(Encoder, "encode", counting)
    return sizes


def test_a_step_costs_as_much_at_the_end_of_a_loop_as_at_its_beginning(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes, marks = encoded_in(monkeypatch), []

    def turn(state: State) -> Command[str]:
        marks.append(len(sizes))
        return count_up(state)

    looping(State, turn).invoke({"draft": "0", "log": []}, {"recursion_limit": TURNS + 10})

    calls = [after - before for before, after in itertools.pairwise(marks)]
    assert max(calls[TURNS // 2 :]) <= max(calls[:100])
    work = [sum(sizes[before:after]) for before, after in itertools.pairwise(marks)]
    quarter = TURNS // 4
    assert statistics.mean(work[-quarter:]) <= statistics.mean(work[:quarter]) + 16  # digits of the counter


def test_a_message_of_the_history_costs_no_more_than_its_reference(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes, marks, long = encoded_in(monkeypatch), [], "a message of some length, " * 40

    def turn(state: MessagesState) -> Command[str]:
        number = len(state["messages"])
        marks.append(len(sizes))
        message = HumanMessage(f"{number} {long}", id=str(number))
        return Command(goto="turn" if number < 400 else END, update={"messages": [message]})

    looping(MessagesState, turn).invoke({"messages": []}, {"recursion_limit": 500})

    work = [sum(sizes[before:after]) for before, after in itertools.pairwise(marks)]
    times = marks[-1] - marks[-2]  # how often a step's state is sealed
    grown = statistics.mean(work[-50:]) - statistics.mean(work[50:100])
    assert (
        grown / 325 < 32 * times
    )  # per message that was added between; the message itself has over 1,000 bytes


def shorten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every bound small, so that what has none shows."""
    for place, name in (
        ("becausal_integrations.langgraph.register", "MAX_PASTS"),
        ("becausal_integrations.langgraph.register", "MAX_PAUSED"),
        ("becausal_integrations.langgraph.register", "MAX_SAVED"),
        ("becausal_integrations.langchain.calls", "MAX_IDS"),
        ("becausal.store.sqlite.write", "REMEMBERED"),
        ("becausal.bounds", "MOST_RUNS"),
        ("becausal.bounds", "MOST_CHARGED"),
        ("becausal.redaction.redactor", "MOST_DONE"),
        ("becausal.redaction.redactor", "MOST_NAMES"),
        ("becausal.redaction.keys", "_MOST_KINDS"),
    ):
        monkeypatch.setattr(f"{place}.{name}", 16)
    for name in ("MOST_PARTS", "MOST_RUNS", "MOST_LEANS"):
        monkeypatch.setattr(Encoder, name, 16)


def test_three_hundred_runs_leave_nothing_behind(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(monkeypatch)
    compiled, peaks, objects = a_graph().compile(), [Counter[str](), Counter[str]()], [0, 0]
    for number in range(1, 301):
        run_once(number, compiled)
        if number > 60 and number % 10 == 0:
            half = number > 180
            assert recorder_is_idle()
            peaks[half] |= containers()
            objects[half] = max(objects[half], len(gc.get_objects()))

    grown = {
        name: (peaks[0][name], length)
        for name, length in peaks[1].items()
        if length > 1.1 * peaks[0][name] + 8  # a cache that forgets the older half is a saw
    }
    assert grown == {}
    assert objects[1] < 1.02 * objects[0]


def recorder_is_idle() -> bool:
    assert becausal.flush()
    gc.collect()
    recorder = active_recorder()
    return recorder is not None and recorder._open == {}
