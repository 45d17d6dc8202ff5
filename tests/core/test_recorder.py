"""The seam's promise: whatever is recorded, or fails to be, the app's results and exceptions are its own."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

import becausal
from becausal import clock, context, guard, recorder
from becausal.errors import StoreError
from becausal.instrument import _Active
from becausal.observation import NOTHING, Observation, Opening
from becausal.recorder import Recorder
from becausal.step import Cause, OpenStep, RemoteStep, Status, Step
from becausal.store import Store
from becausal.telemetry import Telemetry
from becausal.writer import Writer

T = TypeVar("T")


class Boom(Exception):
    """What the app raises."""


class Broken(Exception):
    """What we raise where we fail."""


@pytest.fixture
def lenient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Our failures are swallowed, as they are for users."""
    monkeypatch.delenv("BECAUSAL_STRICT", raising=False)
    guard.failures.clear()
    yield
    guard.failures.clear()


def steps(recording: Recorder, kept: Store) -> list[Step]:
    """Return every step, in `seq` order."""
    assert recording.flush(5)
    found = [step for chain in kept.chains() for step in kept.load(chain.chain_id)]
    return sorted(found, key=lambda step: step.seq)


def named(name: str, **more: Any) -> Observation:
    """Return how a function is told that is given one thing."""
    return Observation(lambda given=NOTHING, **_: Opening("agent", name, agent=name, received=given), **more)


def run(awaitable: Awaitable[T]) -> T:
    async def main() -> T:
        return await awaitable

    return asyncio.run(main())


# Each way through the seam, called alike: it runs `work` once, with one argument.

Way = Callable[[Recorder, Observation, Callable[[Any], Any], Any], Any]


def by_call(made: Recorder, seen: Observation, work: Callable[[Any], Any], given: Any) -> Any:
    return made.call(seen, work, given)


def by_acall(made: Recorder, seen: Observation, work: Callable[[Any], Any], given: Any) -> Any:
    async def function(given: Any) -> Any:
        await asyncio.sleep(0)
        return work(given)

    return run(made.acall(seen, function, given))


def by_stream(made: Recorder, seen: Observation, work: Callable[[Any], Any], given: Any) -> Any:
    def function(given: Any) -> Generator[Any]:
        yield work(given)

    (item,) = made.stream(seen, function, given)
    return item


def by_astream(made: Recorder, seen: Observation, work: Callable[[Any], Any], given: Any) -> Any:
    async def function(given: Any) -> AsyncGenerator[Any]:
        await asyncio.sleep(0)
        yield work(given)

    async def main() -> Any:
        (item,) = [item async for item in made.astream(seen, function, given)]
        return item

    return asyncio.run(main())


every_way = pytest.mark.parametrize("way", [by_call, by_acall, by_stream, by_astream])


@every_way
def test_the_result_is_the_very_object_that_the_function_gave(way: Way, recording_to: Recorder) -> None:
    result = object()

    assert way(recording_to, named("a"), lambda _: result, 1) is result


@every_way
@pytest.mark.parametrize(
    ("error", "text"),
    [(Boom("no"), "Boom: no"), (KeyboardInterrupt(), "KeyboardInterrupt"), (SystemExit(3), "SystemExit")],
    ids=str,
)
def test_the_exception_is_the_very_object_that_the_function_raised(
    way: Way, error: BaseException, text: str, recording_to: Recorder, kept: Store
) -> None:
    def work(_: object) -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        way(recording_to, named("a"), work, 1)

    assert raised.value is error
    assert error.__context__ is None
    assert error.__cause__ is None
    (step,) = steps(recording_to, kept)
    assert (step.status, step.error, step.produced) == ("error", text, None)


@every_way
def test_received_is_what_was_given_before_the_function_changed_it_and_produced_what_it_became(
    way: Way, recording_to: Recorder, kept: Store
) -> None:
    def work(state: list[str]) -> list[str]:
        state.append("changed")
        return state

    state = ["given"]
    result = way(recording_to, named("a"), work, state)
    result.append("changed by the reader")

    (step,) = steps(recording_to, kept)
    assert step.received is not None
    assert step.produced is not None
    assert step.received.value() == ["given"]
    produced = step.produced.value()
    assert produced in (["given", "changed"], [["given", "changed"]])  # the items, of a stream


@every_way
def test_steps_within_steps_are_one_chain_and_know_what_encloses_them(
    way: Way, recording_to: Recorder, kept: Store
) -> None:
    def outer(given: object) -> object:
        recording_to.call(named("first"), str, given)
        recording_to.call(named("second"), str, given)
        return given

    way(recording_to, named("outer"), outer, 1)

    top, first, second = steps(recording_to, kept)
    assert [step.name for step in (top, first, second)] == ["outer", "first", "second"]
    assert len({step.chain_id for step in (top, first, second)}) == 1
    assert top.parent_id is None
    assert first.parent_id == second.parent_id == top.id
    assert top.seq < first.seq < second.seq
    assert context.current() is None


def test_calls_outside_every_chain_are_chains_of_their_own(recording_to: Recorder, kept: Store) -> None:
    recording_to.call(named("a"), str, 1)
    recording_to.call(named("a"), str, 1)

    first, second = steps(recording_to, kept)
    assert first.chain_id != second.chain_id


def test_a_step_belongs_to_the_agent_that_encloses_it(recording_to: Recorder, kept: Store) -> None:
    tool = Observation(lambda _: Opening("tool", "search"))

    recording_to.call(named("planner"), lambda _: recording_to.call(tool, str, 1), 1)

    assert steps(recording_to, kept)[1].agent == "planner"


def test_each_handoff_is_one_more_hop_and_joins_both_ends(recording_to: Recorder, kept: Store) -> None:
    sender = recording_to.begin(Opening("agent", "a", agent="a"))
    assert sender is not None
    sent = {"figure": 1}
    handoff = recording_to.handoff("a", "b", sent, sent_by=sender)
    assert handoff is not None
    recording_to.end(sender)
    sent["figure"] = 2  # changed on the way
    receiver = recording_to.begin(
        Opening("agent", "b", agent="b", received=sent, parent=sender, arrivals=[handoff])
    )
    assert receiver is not None
    second = recording_to.handoff("b", "c", "done", sent_by=receiver)
    assert second is not None
    recording_to.end(receiver)

    a, passed, b, _ = steps(recording_to, kept)
    assert [step.hop for step in (a, passed, b)] == [0, 1, 1]
    assert second.hop == 2
    assert passed.received is not None
    assert passed.produced is not None
    assert (passed.received.value(), passed.produced.value()) == ({"figure": 1}, {"figure": 2})
    assert passed.attributes["becausal.transfer.equal"] is False
    assert passed.attributes["becausal.transfer.received_by"] == b.id
    assert [(cause.source_id, cause.kind) for cause in passed.causes] == [(a.id, "transfer")]
    assert [(cause.source_id, cause.kind) for cause in b.causes] == [(passed.id, "transfer")]
    assert (passed.status, passed.seq < b.seq) == ("ok", True)


def test_a_chain_that_begins_inside_another_stands_by_itself(recording_to: Recorder, kept: Store) -> None:
    remote = RemoteStep("00000000000000ff", "outer", seq=1, hop=3)
    inner = recording_to.begin(Opening("request", "q", chain_id="inner", parent=remote))
    assert inner is not None
    recording_to.end(inner)

    (step,) = steps(recording_to, kept)
    assert (step.chain_id, step.parent_id, step.hop, step.agent) == ("inner", None, 0, None)


def test_an_adapter_can_tell_what_it_learns_while_a_step_runs(recording_to: Recorder, kept: Store) -> None:
    def closed(step: OpenStep, result: object) -> object:
        recording_to.cause(step, Cause("00000000000000aa", "data", "observed"))
        step.attributes["a.b"] = 1
        return {"told": result}

    recording_to.call(named("a", closed=closed), lambda _: "r", 1)

    (step,) = steps(recording_to, kept)
    assert step.produced is not None
    assert step.produced.value() == {"told": "r"}
    assert step.causes == (Cause("00000000000000aa", "data", "observed"),)
    assert step.attributes == {"a.b": 1}


def test_an_exception_can_be_told_as_control_flow(recording_to: Recorder, kept: Store) -> None:
    def failed(_: OpenStep, __: BaseException) -> Status:
        return "interrupted"

    with pytest.raises(Boom):
        recording_to.call(named("a", failed=failed), _raise, Boom())

    (step,) = steps(recording_to, kept)
    assert (step.status, step.error) == ("interrupted", None)


def test_a_call_that_is_told_as_no_step_passes_through(recording_to: Recorder, kept: Store) -> None:
    assert recording_to.call(Observation(lambda _: None), str, 1) == "1"

    assert steps(recording_to, kept) == []


@every_way
def test_arguments_of_the_app_may_have_any_name(way: Way, recording_to: Recorder) -> None:
    del way  # the seam itself, not its helpers

    def function(self: int, seen: int, function: int, args: int, kwargs: int) -> int:
        return self + seen + function + args + kwargs

    names = {"self": 1, "seen": 2, "function": 3, "args": 4, "kwargs": 5}

    assert recording_to.call(named("a"), function, **names) == 15


# Endings


def test_ending_twice_changes_nothing(recording_to: Recorder, kept: Store) -> None:
    step = recording_to.begin(Opening("agent", "a"))
    assert step is not None
    recording_to.end(step, "first")
    recording_to.end(step, "second", error=Boom())

    (ended,) = steps(recording_to, kept)
    assert ended.produced is not None
    assert (ended.produced.value(), ended.status) == ("first", "ok")


def test_a_cancellation_is_told_as_one(recording_to: Recorder, kept: Store) -> None:
    async def forever(_: object) -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.create_task(recording_to.acall(named("a"), forever, 1))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())

    assert steps(recording_to, kept)[0].status == "cancelled"


def test_steps_that_never_end_are_given_up_oldest_first(
    recording_to: Recorder, kept: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "MAX_OPEN", 3)

    for number in range(5):
        recording_to.begin(Opening("agent", str(number)))

    statuses = {step.name: step.status for step in steps(recording_to, kept)}
    assert statuses == {"0": "unfinished", "1": "unfinished", "2": "open", "3": "open", "4": "open"}


def test_closing_ends_what_is_open_as_unfinished(kept: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Recorder(Telemetry(), Writer(kept))
    made.begin(Opening("agent", "a"))
    monkeypatch.setattr(kept, "close", lambda: None)  # it is read afterwards

    assert made.close(5)

    assert steps(made, kept)[0].status == "unfinished"


@every_way
def test_a_recorder_that_is_no_longer_active_calls_through(
    way: Way, recording_to: Recorder, kept: Store
) -> None:
    recording_to.active = False
    result = object()

    assert way(recording_to, named("a"), lambda _: result, 1) is result
    assert steps(recording_to, kept) == []


def test_an_inactive_recorder_gives_the_generator_itself(recording_to: Recorder) -> None:
    recording_to.active = False

    def numbers() -> Generator[int]:
        yield 1

    assert type(recording_to.stream(named("a"), numbers)).__name__ == "generator"


@every_way
def test_without_a_store_the_app_runs_all_the_same(way: Way) -> None:
    made = Recorder(Telemetry(), None)

    assert way(made, named("a"), lambda given: given + 1, 1) == 2
    assert made.flush(0)
    assert made.close(0)


def test_boundaries_are_handoffs_and_the_agents_at_their_ends(kept: Store) -> None:
    made = Recorder(Telemetry(), Writer(kept), level="boundaries")

    def turn(_: object) -> str:
        return str(made.call(Observation(lambda _: Opening("tool", "search")), inner, 1))

    def inner(_: object) -> str:
        made.handoff("a", "b", 1, sent_by=context.current())
        return "found"

    assert made.call(named("a"), turn, 1) == "found"

    agent, handoff = steps(made, kept)
    assert (agent.kind, handoff.kind, handoff.parent_id) == ("agent", "handoff", agent.id)
    made.close(5)


def test_digests_alone_can_be_kept(kept: Store) -> None:
    made = Recorder(Telemetry(), Writer(kept), capture="digest")

    made.call(named("a"), str, "text")

    (step,) = steps(made, kept)
    assert step.received is not None
    assert step.received.size > 0
    assert not step.received.is_kept
    made.close(5)


# Our own failures


def _raise(error: BaseException) -> None:
    raise error


def _broken(*_: object, **__: object) -> Any:
    raise Broken("ours")


FAILING = [
    pytest.param(Observation(_broken), id="opened"),
    pytest.param(named("a", closed=_broken), id="closed"),
    pytest.param(named("a", keeps=_broken), id="keeps"),
    pytest.param(named("a", failed=_broken), id="failed"),
]


@every_way
@pytest.mark.parametrize("seen", FAILING)
@pytest.mark.usefixtures("lenient")
def test_a_description_that_fails_never_reaches_the_app(
    way: Way, seen: Observation, recording_to: Recorder
) -> None:
    boom = Boom("the app's")

    assert way(recording_to, seen, lambda given: given + 1, 1) == 2
    with pytest.raises(Boom) as raised:
        way(recording_to, seen, lambda _: _raise(boom), 1)

    assert raised.value is boom
    assert context.current() is None


@every_way
@pytest.mark.usefixtures("lenient")
def test_a_step_whose_description_fails_at_its_end_ends_all_the_same(
    way: Way, recording_to: Recorder, kept: Store
) -> None:
    with pytest.raises(Boom):
        way(recording_to, named("a", failed=_broken), lambda _: _raise(Boom()), 1)
    way(recording_to, named("b", closed=_broken), str, 1)

    failed, ended = steps(recording_to, kept)
    assert (failed.name, failed.status) == ("a", "error")
    assert (ended.name, ended.status, ended.produced) == ("b", "ok", None)


@pytest.mark.usefixtures("lenient")
def test_a_failure_is_counted_always_logged_once_and_kept_as_a_gap(
    recording_to: Recorder, kept: Store, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, logger="becausal"):
        for _ in range(3):
            recording_to.call(Observation(_broken), str, 1)

    assert list(guard.failures.values()) == [3]
    assert len(caplog.records) == 1
    assert "the application goes on" in caplog.text
    assert "Broken: ours" in caplog.text
    assert recording_to.flush(5)
    assert kept.gaps() == {"step not recorded": 3}


@every_way
def test_under_strict_a_failure_is_let_out(way: Way, recording_to: Recorder) -> None:
    with pytest.raises(Broken):
        way(recording_to, Observation(_broken), str, 1)


class BrokenStore:
    """Every part of it fails."""

    url = "broken://"
    write = add_gaps = gaps = chains = load = outline = body = anchored = describe = close = _broken
    append = memory_events = memory_reads = broken_link = erase = _broken


class BrokenTelemetry(Telemetry):
    open = close = link = _broken


class BrokenWriter(Writer):
    put = count_gap = flush = _broken


def _all_broken(monkeypatch: pytest.MonkeyPatch) -> list[Recorder]:
    made = [
        Recorder(BrokenTelemetry(), None),
        Recorder(Telemetry(), BrokenWriter(BrokenStore())),
        Recorder(Telemetry(), None),
        Recorder(BrokenTelemetry(), BrokenWriter(BrokenStore())),
    ]
    monkeypatch.setattr(made[2].encoder, "encode", _broken, raising=False)
    for part in ("receive", "produce"):
        monkeypatch.setattr(made[3], part, _broken)
    return made


@every_way
@pytest.mark.usefixtures("lenient")
def test_a_recorder_whose_every_part_fails_leaves_the_app_as_it_is(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    boom, result = Boom(), object()
    for made in _all_broken(monkeypatch):
        assert way(made, named("a"), lambda _: result, 1) is result
        with pytest.raises(Boom) as raised:
            way(made, named("a"), lambda _: _raise(boom), 1)

        assert raised.value is boom
        assert guard.failures.total() > 0
        guard.failures.clear()


@pytest.mark.usefixtures("lenient")
def test_a_provider_that_fails_does_not_cost_the_record(kept: Store) -> None:
    made = Recorder(BrokenTelemetry(), Writer(kept))

    made.call(named("a"), str, 1)

    (step,) = steps(made, kept)
    assert step.produced is not None
    assert step.produced.value() == "1"
    made.close(5)


@pytest.mark.usefixtures("lenient")
def test_a_payload_that_fails_does_not_cost_its_step(
    recording_to: Recorder, kept: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording_to, "produce", _broken)

    recording_to.call(named("a"), str, 1)

    (step,) = steps(recording_to, kept)
    assert (step.status, step.produced) == ("ok", None)
    assert step.ended_ns is not None


@pytest.mark.usefixtures("lenient")
def test_a_log_filter_of_the_apps_that_fails_reaches_nobody(recording_to: Recorder) -> None:
    class Filter(logging.Filter):
        def filter(self, _: logging.LogRecord) -> bool:
            raise Broken

    failing = Filter()
    guard.log.addFilter(failing)
    try:
        assert recording_to.call(Observation(_broken), str, 1) == "1"
    finally:
        guard.log.removeFilter(failing)


def test_code_that_runs_in_the_middle_of_ours_can_record_too(recording_to: Recorder, kept: Store) -> None:
    with clock._lock:  # where a destructor or a signal may come in
        recording_to.call(named("a"), str, 1)

    assert len(steps(recording_to, kept)) == 1


# The store's side


def test_what_is_open_can_be_read_after_a_flush_and_is_completed_later(
    recording_to: Recorder, kept: Store
) -> None:
    step = recording_to.begin(Opening("agent", "a", received="given"))
    assert step is not None
    (half,) = steps(recording_to, kept)
    recording_to.end(step, "result")
    (whole,) = steps(recording_to, kept)

    assert half.received is not None
    assert (half.status, half.ended_ns, half.received.value()) == ("open", None, "given")
    assert whole.received is not None
    assert whole.produced is not None
    assert (whole.status, whole.received.value(), whole.produced.value()) == ("ok", "given", "result")


def test_what_is_told_of_a_step_while_it_is_written_is_not_lost(
    recording_to: Recorder, kept: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = recording_to.begin(Opening("agent", "a"))
    assert step is not None
    write = kept.write

    def slow(steps: Sequence[OpenStep]) -> None:
        write(steps)
        if step.status == "open":
            recording_to.produce(step, "told meanwhile")

    monkeypatch.setattr(kept, "write", slow)
    assert recording_to.flush(5)
    recording_to.end(step)

    (whole,) = steps(recording_to, kept)
    assert whole.produced is not None
    assert whole.produced.value() == "told meanwhile"


def test_of_several_results_of_a_stream_the_last_counts_and_every_part_of_it_is_kept(
    recording_to: Recorder, kept: Store
) -> None:
    message = {"role": "user", "content": "x" * 5000}

    def growing() -> Generator[list[dict[str, str]]]:
        yield [message]
        yield [message, {"role": "assistant", "content": "y" * 5000}]

    list(recording_to.stream(named("a", keeps=lambda item: isinstance(item, list)), growing))

    (step,) = steps(recording_to, kept)
    assert step.produced is not None
    assert step.produced.value() == [message, {"role": "assistant", "content": "y" * 5000}]


def test_an_endless_stream_is_kept_up_to_a_bound_and_counted(
    recording_to: Recorder, kept: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("becausal.telling.MAX_ITEMS", 3)

    def numbers() -> Generator[int]:
        yield from range(10)

    assert list(recording_to.stream(named("a"), numbers)) == list(range(10))

    (step,) = steps(recording_to, kept)
    assert step.produced is not None
    assert step.produced.value() == [0, 1, 2]
    assert step.attributes["becausal.stream.items"] == 10


def test_parts_that_were_lost_are_handed_out_again() -> None:
    class OnceDown:
        url = "once://"
        is_down = True
        bodies: dict[bytes, bytes] = {}  # noqa: RUF012

        def write(self, written: list[OpenStep]) -> None:
            if self.is_down:
                raise StoreError("down")
            for step in written:
                self.bodies.update(step.bodies)

        def add_gaps(self, _: object) -> None:
            pass

    store = OnceDown()
    writer = Writer(store)  # type: ignore[arg-type]
    made = Recorder(Telemetry(), writer)
    writer.on_gap = made.encoder.forget
    part = {"role": "user", "content": "x" * 5000}

    made.call(named("a"), str, [part])
    assert made.flush(5)
    store.is_down = False
    made.call(named("a"), str, [part])
    assert made.flush(5)

    assert writer.gaps == {"store failed": 1}
    assert any(len(body) > 5000 for body in store.bodies.values())


@contextmanager
def whole_however_it_ends(store: str) -> Iterator[set[threading.Thread]]:
    """Record a chain; however becausal is ended inside, the chain is written and no thread stays.

    Given are the threads that were there before.
    """
    former = set(threading.enumerate())
    becausal.instrument(store=store)
    with becausal.chain("q"):
        pass
    yield former
    assert set(threading.enumerate()) <= former
    with becausal.open(store) as runs:
        assert len(runs.list()) == 1


def ended(former: set[threading.Thread]) -> None:
    """Wait until no thread is left but those that were there before."""
    until = time.monotonic() + 10
    while (left := set(threading.enumerate()) - former) and time.monotonic() < until:
        for thread in left:
            if thread.ident is not None:  # one that another thread is just starting cannot be joined yet
                thread.join(10)


def broken(*_: object) -> bool:
    raise RuntimeError("ours")


@pytest.mark.parametrize("failing", [(Recorder,), (_Active,), (Recorder, _Active)])
def test_a_close_that_fails_leaves_no_writer_behind(
    failing: tuple[type, ...], store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BECAUSAL_STRICT", "0")
    with whole_however_it_ends(store):
        for ours in failing:
            monkeypatch.setattr(ours, "close", broken)
        becausal.uninstrument()


def test_a_writer_whose_stopping_fails_writes_what_waits_and_ends(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BECAUSAL_STRICT", "0")
    with whole_however_it_ends(store) as former:
        monkeypatch.setattr(Writer, "stop", broken)
        becausal.uninstrument()
        ended(former)


def test_an_interrupt_before_anything_is_closed_keeps_nothing_open(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    close, calls = Recorder.close, []

    def interrupted(self: Recorder, timeout: float) -> bool:
        calls.append(timeout)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return close(self, timeout)

    with whole_however_it_ends(store):
        monkeypatch.setattr(Recorder, "close", interrupted)
        with pytest.raises(KeyboardInterrupt):
            becausal.uninstrument()
        assert len(calls) == 2
