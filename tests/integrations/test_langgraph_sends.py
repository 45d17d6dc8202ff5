"""LangGraph: what a `Send` carries is told by whoever receives it, whatever becomes of the step that sent it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import pytest
from langgraph.graph import START, StateGraph
from langgraph.types import Send
from typing_extensions import TypedDict

import becausal
from becausal import semconv
from becausal.instrument import active_recorder
from becausal.step import OpenStep, Step
from becausal.writer import MAX_STEPS, Writer

# Each is a part of its own, which is handed to the store once.
TEXT, MORE = "a cup of tea " * 500, "a pot of tea " * 300


def take_new(_: Any, new: Any) -> Any:
    return new


class State(TypedDict):
    text: Annotated[str, take_new]


def plan(_: Any) -> Any:
    return {"text": "planned"}


def work(job: Any) -> Any:
    return {"text": f"done {job['number']}"}


def fan_out(_: Any) -> list[Send]:
    return [Send("work", {"number": number, "text": TEXT, "more": [MORE]}) for number in range(3)]


def app_of(*, by_entry: bool = False, **nodes: Callable[[Any], Any]) -> Any:
    graph: Any = StateGraph(State)
    for name, node in ({"plan": plan, "work": work} | nodes).items():
        graph.add_node(name, node)
    if not by_entry:
        graph.add_edge(START, "plan")
    graph.add_conditional_edges(START if by_entry else "plan", fan_out, ["work"])
    return graph.compile()


def is_lost(step: OpenStep) -> bool:
    return step.name in ("plan", "fan_out")


def lose_by_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the store fail as long as the step that sends is among those to be written."""
    recorder = active_recorder()
    assert recorder is not None
    store: Any = recorder.store
    write = store.write

    def failing(steps: Sequence[OpenStep]) -> None:
        if any(map(is_lost, steps)):
            raise OSError("no space left")
        write(steps)

    monkeypatch.setattr(store, "write", failing)


def lose_by_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the queue be full where the step that sends comes to it."""
    put = Writer.put

    def crowded(self: Writer, step: OpenStep) -> None:
        self._max_steps = 0 if is_lost(step) else MAX_STEPS
        put(self, step)

    monkeypatch.setattr(Writer, "put", crowded)


LOSING = pytest.mark.parametrize("lose", [lose_by_store, lose_by_queue], ids=["store fails", "queue is full"])


def recorded(store: str) -> dict[str, list[Step]]:
    """Return the steps of the last run by their kind, and the agents' by their name."""
    assert becausal.flush()
    becausal.uninstrument()
    told: dict[str, list[Step]] = {}
    for step in becausal.open(store).last().steps:
        told.setdefault(step.name if step.kind == "agent" else step.kind, []).append(step)
    return told


def jobs_of(payloads: Sequence[Any]) -> list[Any]:
    return sorted((payload.value() for payload in payloads), key=lambda job: job["number"])


@LOSING
@pytest.mark.parametrize("by_entry", [True, False], ids=["by the entry", "by a node"])
def test_what_was_sent_is_whole_though_the_step_that_sent_it_is_lost(
    store: str, by_entry: bool, lose: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    becausal.instrument(store=store)
    lose(monkeypatch)
    app_of(by_entry=by_entry).invoke({"text": ""})

    told = recorded(store)
    assert "plan" not in told
    assert "route" not in told
    sent: Any = [send.arg for send in fan_out(None)]
    assert jobs_of([step.received for step in told["work"]]) == sent
    if not by_entry:  # what an entry sends has no sender, so it is no handoff
        assert jobs_of([step.received for step in told["handoff"]]) == sent
        assert jobs_of([step.produced for step in told["handoff"]]) == sent


@LOSING
def test_who_begins_when_a_loss_was_noticed_brings_what_the_lost_step_had_brought(
    store: str, lose: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def planning(_: Any) -> Any:
        return {"text": TEXT}  # this hands out the part that its `Send`s refer to

    def working(job: Any) -> Any:
        becausal.flush()  # now it is noticed
        return work(job)

    becausal.instrument(store=store)
    lose(monkeypatch)
    app_of(plan=planning, work=working).invoke({"text": ""}, {"max_concurrency": 1})

    told = recorded(store)
    assert "plan" not in told
    assert jobs_of([step.received for step in told["work"]]) == [send.arg for send in fan_out(None)]


def test_what_a_run_beyond_its_bound_has_no_room_for_is_marked_where_it_is_missing(store: str) -> None:
    becausal.instrument(store=store, max_run_bytes=1_500)
    app_of().invoke({"text": ""})

    told = recorded(store)
    for sender in (*told["plan"], *told["route"]):
        assert sender.received is not None
        assert sender.produced is not None
        assert sender.received.is_kept
        assert sender.produced.is_kept
        assert semconv.LEFT_OUT not in sender.attributes
    missing = [*told["work"], *told["handoff"]]
    assert len(missing) == 6
    assert not any(step.received is None or step.received.is_kept for step in missing)
    assert all(semconv.LEFT_OUT in step.attributes for step in missing)
    assert sum(int(str(step.attributes[semconv.LEFT_OUT])) for step in missing) > len(TEXT) + len(MORE)
