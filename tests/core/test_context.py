"""Where the code that runs stands is known in every task and thread, and crosses a wire without harm."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from multiprocessing.pool import ThreadPool
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import baggage, propagate, trace
from opentelemetry import context as otel_context
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from tests.at_once import at_once
from tests.core.builders import open_step

import becausal
from becausal import clock, context
from becausal.instrument import active_recorder
from becausal.step import OpenStep, RemoteStep, Step

if TYPE_CHECKING:
    from tests.conftest import Recording

FAR = RemoteStep("00000000000000ab", "c" * 32, seq=7, hop=2)


def carrier(**changes: Any) -> dict[str, Any]:
    """Return what another process sent from the step `FAR`."""
    entries = {
        "becausal.chain.id": FAR.chain_id,
        "becausal.node.id": FAR.id,
        "becausal.step.seq": str(FAR.seq),
        "becausal.hop": str(FAR.hop),
    }
    entries.update({key.replace("_", "."): value for key, value in changes.items()})
    return {"baggage": ",".join(f"{key}={value}" for key, value in entries.items())}


def here() -> str | None:
    """Return the id of the current step."""
    step = context.current()
    return None if step is None else step.id


@contextmanager
def standing(step: RemoteStep) -> Iterator[None]:
    with context.Scope(context.with_step(step)):
        yield


# Over a wire


def test_a_position_crosses_a_wire_without_any_provider() -> None:
    headers: dict[str, str] = {}
    with standing(FAR):
        becausal.inject(headers)

    with becausal.extract(headers):
        step = context.current()
        spans = trace.get_current_span().get_span_context()

    assert headers["traceparent"] == f"00-{FAR.chain_id}-{FAR.id}-01"
    assert step == FAR
    assert step is not None
    assert step.span_context is None  # nobody made a span that could be linked to
    assert f"{spans.trace_id:032x}" == FAR.chain_id  # but spans made here are joined by the chain


def test_with_a_provider_the_span_crosses_too(store: str) -> None:
    provider = TracerProvider()
    becausal.instrument("threads", store=store, tracer_provider=provider)
    headers: dict[str, str] = {}
    with becausal.chain("question") as turn:
        becausal.inject(headers)
        span = trace.get_current_span().get_span_context()
    becausal.uninstrument()

    with becausal.extract(headers):
        step = context.current()
        parent = trace.get_current_span().get_span_context()

    assert headers["traceparent"].startswith(f"00-{span.trace_id:032x}-{span.span_id:016x}-")
    assert step is not None
    assert (step.id, step.chain_id) == (turn.id, turn.chain_id)
    assert step.span_context is not None
    assert (step.span_context.span_id, parent.span_id) == (span.span_id, span.span_id)
    assert parent.is_remote


def test_a_chain_id_of_the_apps_own_crosses_unchanged() -> None:
    odd = RemoteStep("00000000000000ab", "order 7, ü=½;%", seq=1)
    headers: dict[str, str] = {}
    with standing(odd):
        becausal.inject(headers)

    assert "traceparent" not in headers
    assert headers["tracestate"].isascii()
    with becausal.extract(headers):
        assert context.current() == odd


def test_baggage_of_the_apps_is_kept_and_ours_stands_in_it_once_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BECAUSAL_BAGGAGE", "1")
    headers = {"baggage": "mine=1"}
    token = otel_context.attach(baggage.set_baggage("user", "ann"))
    with standing(FAR):
        becausal.inject(headers)
    otel_context.detach(token)
    with becausal.extract(headers), standing(RemoteStep("00000000000000cd", FAR.chain_id, seq=9)):
        again: dict[str, str] = {}
        becausal.inject(again)
        assert baggage.get_baggage("user") == "ann"

    assert headers["baggage"].startswith("user=ann,")
    assert again["baggage"].count("becausal.node.id") == 1
    assert "becausal.node.id=00000000000000cd" in again["baggage"]
    assert "user=ann" in again["baggage"]


def test_what_the_app_put_into_the_carrier_itself_is_kept() -> None:
    headers = {"baggage": "mine=1;note", "x": "y", "tracestate": "vendor=1,becausal=old"}
    with standing(FAR):
        becausal.inject(headers)
        becausal.inject(headers)

    assert headers["tracestate"] == f"becausal={FAR.chain_id}/{FAR.id}/7/2,vendor=1"
    assert headers["baggage"] == "mine=1;note"
    assert headers["x"] == "y"


def test_outside_every_chain_nothing_of_ours_is_written() -> None:
    headers: dict[str, str] = {}
    becausal.inject(headers)

    assert headers == {}


def test_where_the_app_has_a_propagator_of_its_own_no_second_trace_is_invented() -> None:
    class Other(TextMapPropagator):
        def inject(self, carrier: Any, context: Any = None, setter: Any = None) -> None:
            carrier["x-trace"] = "mine"

        def extract(self, carrier: Any, context: Any = None, getter: Any = None) -> Any:
            return otel_context.Context()

        @property
        def fields(self) -> set[str]:
            return {"x-trace"}

    span = SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(1))
    former = propagate.get_global_textmap()
    propagate.set_global_textmap(Other())
    headers: dict[str, str] = {}
    try:
        with trace.use_span(NonRecordingSpan(span)), standing(FAR):
            becausal.inject(headers)
    finally:
        propagate.set_global_textmap(former)

    assert sorted(headers) == ["tracestate", "x-trace"]


@pytest.mark.parametrize("name", ["Baggage", "BAGGAGE", "baggage"])
def test_names_of_headers_are_read_in_any_case(name: str) -> None:
    with becausal.extract({name: carrier()["baggage"]}):
        assert context.current() == FAR


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"baggage": ""},
        {"baggage": ";;,,=,=;"},
        {"baggage": "becausal.chain.id=c"},
        {"baggage": 7},
        {"baggage": None, "traceparent": 3.5},
        {7: "x", b"baggage": b"y"},
        {"traceparent": "00-zz-zz-zz", "baggage": "\x00"},
        carrier(becausal_node_id="not-hex"),
        carrier(becausal_node_id="AB"),
        carrier(becausal_chain_id=""),
    ],
    ids=str,
)
def test_a_broken_carrier_gives_no_position(broken: Mapping[str, str]) -> None:
    with becausal.extract(broken):
        assert context.current() is None


@pytest.mark.parametrize("seq", ["", "x", "-1", "²", "1e9", "9" * 5000, "9" * 16])
def test_a_broken_count_is_as_good_as_none(seq: str) -> None:
    before = clock.tick()
    with becausal.extract(carrier(becausal_step_seq=seq)):
        step = context.current()

    assert step is not None
    assert step.seq == 0
    assert clock.tick() == before + 1


def test_a_number_from_elsewhere_pushes_our_clock_past_it() -> None:
    ahead = clock.tick() + 1000
    becausal.extract(carrier(becausal_step_seq=str(ahead)))
    assert clock.tick() == ahead + 1

    becausal.extract(carrier(becausal_step_seq=str(ahead - 500)))
    assert clock.tick() == ahead + 2


def test_an_extracted_context_can_be_entered_again_and_by_several_threads_at_once() -> None:
    came = becausal.extract(carrier())
    inside, out = threading.Barrier(2), []

    def work() -> None:
        with came:
            inside.wait(5)
            assert context.current() == FAR
        out.append(context.current())

    at_once([work] * 2)
    with came, came:
        pass

    assert out == [None, None]
    assert context.current() is None


def test_an_extracted_context_can_be_attached_as_opentelemetry_does() -> None:
    token = otel_context.attach(becausal.extract(carrier()))
    assert context.current() == FAR
    otel_context.detach(token)

    assert context.current() is None


def test_work_done_for_another_process_is_of_its_chain(recording: Recording) -> None:
    with becausal.extract(carrier()), becausal.agent("writer"):
        pass

    (step,) = recording.last()
    assert (step.chain_id, step.parent_id, step.hop) == (FAR.chain_id, FAR.id, FAR.hop)
    assert step.seq > FAR.seq


# Scopes


def test_a_scope_puts_back_what_was_there() -> None:
    with standing(FAR):
        with standing(RemoteStep("00000000000000cd", "c", seq=1)):
            assert here() == "00000000000000cd"
        assert here() == FAR.id
    assert here() is None


def test_a_scope_never_overwrites_a_context_that_is_not_its_own() -> None:
    scope = context.Scope(context.with_step(FAR))
    scope.__enter__()
    foreign = otel_context.set_value("app", 1)
    token = otel_context.attach(foreign)
    scope.__exit__()

    assert otel_context.get_current() is foreign

    otel_context.detach(token)
    scope.__exit__()
    assert here() is None


def test_a_scope_that_ends_in_another_context_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    scope = context.Scope(context.with_step(FAR))

    async def enter() -> None:
        scope.__enter__()

    async def leave() -> None:
        scope.__exit__()

    async def main() -> None:
        await asyncio.create_task(enter())
        await asyncio.create_task(leave())
        assert here() is None

    asyncio.run(main())

    assert caplog.records == []


# Tasks and threads


def in_chain(steps: list[Step], names: set[str]) -> None:
    """Assert that work of these names was all done, for the one agent in the one chain."""
    agent = next(step for step in steps if step.kind == "agent")
    done = [step for step in steps if step.kind == "tool"]
    assert {step.name for step in done} == names
    assert {step.parent_id for step in done} == {agent.id}


def note(name: str) -> str:
    """Do a piece of work that is recorded under a name."""
    return becausal.tool(name=name)(lambda: name)()


def test_tasks_belong_to_the_step_that_made_them(recording: Recording) -> None:
    async def work(name: str) -> str:
        await asyncio.sleep(0)
        return note(name)

    async def main() -> None:
        with becausal.agent("boss"):
            task = asyncio.create_task(work("task"))
            await asyncio.gather(work("a"), work("b"), asyncio.to_thread(note, "to_thread"))
            await asyncio.get_running_loop().run_in_executor(None, note, "executor")
            await task

    asyncio.run(main())

    in_chain(recording.last(), {"task", "a", "b", "to_thread", "executor"})


def test_threads_belong_to_the_step_that_started_them(recording: Recording) -> None:
    class Worker(threading.Thread):
        def run(self) -> None:
            note("subclass")

    with becausal.agent("boss"):
        threads = [
            threading.Thread(target=note, args=("target",)),
            Worker(),
            threading.Timer(0, note, ("timer",)),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(5)

    in_chain(recording.last(), {"target", "subclass", "timer"})


def test_work_handed_to_a_pool_belongs_to_whoever_handed_it_over(recording: Recording) -> None:
    with ThreadPoolExecutor(2) as pool:
        with becausal.agent("boss"):
            list(pool.map(note, ["map 1", "map 2"]))
            pool.submit(note, "submit").result(5)
        after = pool.submit(here).result(5)

    in_chain(recording.last(), {"map 1", "map 2", "submit"})
    assert after is None


@pytest.mark.usefixtures("recording")
def test_a_pools_threads_do_not_keep_their_first_customer() -> None:
    executor = ThreadPoolExecutor(1)
    with becausal.agent("first"):
        executor.submit(int).result(5)
        pool = ThreadPool(1)

    try:
        assert executor.submit(here).result(5) is None
        assert pool.apply(here) is None
    finally:
        executor.shutdown()
        pool.terminate()
        pool.join()


@pytest.mark.usefixtures("recording")
def test_nothing_is_done_to_threads_outside_every_step() -> None:
    seen = []
    thread = threading.Thread(target=lambda: seen.append(vars(thread).get("run")))
    thread.start()
    thread.join(5)

    assert seen == [None]


@pytest.mark.usefixtures("recording")
def test_a_thread_is_as_it_was_once_it_runs_or_fails_to() -> None:
    def own_run() -> None:
        seen.append(vars(thread)["run"] is own_run)

    seen: list[bool] = []
    thread = threading.Thread()
    thread.run = own_run  # type: ignore[method-assign]
    with becausal.agent("boss"):
        thread.start()
        thread.join(5)
        with pytest.raises(RuntimeError, match="only be started once"):
            thread.start()

    assert seen == [True]
    assert vars(thread)["run"] is own_run


def test_the_writers_thread_holds_no_step(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = active_recorder()
    assert recorder is not None
    assert recorder._writer is not None
    store = recorder._writer.store
    write, seen = store.write, []

    def watched(steps: Sequence[OpenStep]) -> None:
        seen.append(dict(otel_context.get_current()))
        write(steps)

    monkeypatch.setattr(store, "write", watched)
    with becausal.agent("first"):
        note("work")  # the first step to end, so it starts the writer
        assert becausal.flush()

    assert [step.name for step in recording.last()] == ["first", "work"]
    assert seen
    assert not any(seen)


# A step that takes another's place


def test_a_step_that_takes_another_s_place_is_current_until_the_other_s_scope_ends() -> None:
    next_one, last = (RemoteStep(f"{number:016x}", FAR.chain_id, number) for number in (8, 9))
    with standing(FAR):
        context.succeed(next_one)
        assert here() == next_one.id
        with standing(RemoteStep("0" * 15 + "7", FAR.chain_id, 7)):
            assert here() == "0" * 15 + "7"
        assert here() == next_one.id
        context.succeed(last)
        assert here() == last.id

    assert here() is None


def test_a_context_that_the_app_left_attached_is_not_taken_for_a_successor_s() -> None:
    before = otel_context.get_current()
    with standing(FAR):
        context.succeed(RemoteStep("0" * 15 + "8", FAR.chain_id, 8))
        left = otel_context.set_value("app", "left", otel_context.get_current())
        otel_context.attach(left)

    assert otel_context.get_current() is left
    otel_context.attach(before)


def test_where_opentelemetry_s_context_fails_the_work_inside_a_scope_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setenv("BECAUSAL_STRICT", "0")
    mine = otel_context.get_current()
    for part in ("attach", "context_now"):
        with monkeypatch.context() as broken:
            broken.setattr(context, part, fail)
            with context.Scope(mine):
                done = part
        assert done == part
    assert otel_context.get_current() == mine


@pytest.mark.parametrize("answer", [7, None, {}, "chaos"], ids=repr)
def test_what_is_no_context_is_never_attached(answer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BECAUSAL_STRICT", "0")
    before = otel_context.get_current()

    with context.Scope(answer):
        assert otel_context.get_current() is before
    monkeypatch.setattr(context, "with_step", lambda step: answer)
    with context.StepScope(FAR):
        assert otel_context.get_current() is before
    assert otel_context.get_current() is before


def test_where_no_step_can_be_made_current_its_work_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setenv("BECAUSAL_STRICT", "0")
    before = otel_context.get_current()
    for part in ("context_now", "attach", "with_step"):
        with monkeypatch.context() as broken:
            broken.setattr(context, part, fail)
            with context.StepScope(FAR):
                assert otel_context.get_current() is before
            assert otel_context.get_current() is before

    with standing(FAR):
        assert here() == FAR.id
        with monkeypatch.context() as broken:
            broken.setattr(context, "context_now", fail)
            assert context.current() is None


# How OpenTelemetry's own context is reached


def test_the_shorter_way_to_opentelemetry_s_context_leads_where_its_own_functions_do() -> None:
    own = otel_context.set_value("app", 1)
    former = otel_context.get_current()
    assert context.context_now() is former

    context.attach(own)
    assert otel_context.get_current() is own is context.context_now()
    otel_context.attach(former)
    assert context.context_now() is former
    assert copy_context().run(context.context_now) is former
    assert context.context_now is not otel_context.get_current, "this version keeps its context otherwise"


def test_a_step_s_context_is_what_opentelemetry_s_own_functions_make() -> None:
    span = NonRecordingSpan(SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(1)))
    base = otel_context.set_value("app", 1)
    step = open_step(chain_id=FAR.chain_id)
    step.span, step.span_context = span, span.get_span_context()

    made = context.with_step(step, base)

    assert made == trace.set_span_in_context(span, otel_context.set_value(context._KEY, step, base))
    assert trace.get_current_span(made) is span
    assert type(made) is otel_context.Context
    around = context.span_parent(step, None, base)
    assert around == trace.set_span_in_context(span, base)
    assert base == {**otel_context.get_current(), "app": 1}


def test_whoever_keeps_opentelemetry_s_context_in_a_place_of_its_own_is_asked_there() -> None:
    class Api:
        def __init__(self, keeper: object) -> None:
            self._RUNTIME_CONTEXT, self.held = keeper, otel_context.Context()

        def get_current(self) -> otel_context.Context:
            return self.held

        def attach(self, other: otel_context.Context) -> None:
            self.held = other

    class Keeper:
        _current_context = ContextVar[otel_context.Context]("elsewhere")

    for keeper in (None, object(), Keeper()):
        api = Api(keeper)
        assert context._doors(api) == (api.get_current, api.attach)
