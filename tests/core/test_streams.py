"""A recorded stream is the stream: same items, same errors, same type, and no trace of us in its reader's context."""

from __future__ import annotations

import asyncio
import collections.abc
import contextlib
import contextvars
import gc
import inspect
import logging
import types
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from becausal import context
from becausal.observation import Observation, Opening
from becausal.recorder import Recorder
from becausal.step import Step
from becausal.store import Store, open_store
from becausal.telemetry import Telemetry
from becausal.writer import Writer


class Boom(Exception):
    """What the app raises."""


provider = TracerProvider()


@pytest.fixture
def kept() -> Iterator[Store]:
    store = open_store("sqlite:///:memory:")
    yield store
    store.close()


@pytest.fixture
def made(kept: Store, caplog: pytest.LogCaptureFixture) -> Iterator[Recorder]:
    """A recorder whose tests leave nothing in OpenTelemetry's log, and nothing current behind."""
    recorder = Recorder(Telemetry(provider), Writer(kept))
    with caplog.at_level(logging.DEBUG, logger="opentelemetry.context"):
        yield recorder
    assert [record for record in caplog.records if record.name == "opentelemetry.context"] == []
    assert context.current() is None
    assert not trace.get_current_span().get_span_context().is_valid
    recorder.active = False
    assert recorder.flush(5)


def told(recorder: Recorder, kept: Store) -> list[Step]:
    gc.collect()
    assert recorder.flush(5)
    found = [step for chain in kept.chains() for step in kept.load(chain.chain_id)]
    return sorted(found, key=lambda step: step.seq)


def told_one(recorder: Recorder, kept: Store) -> tuple[str, str | None, object]:
    """Return the status, the error and what was produced of the only step."""
    (step,) = told(recorder, kept)
    return step.status, step.error, step.produced.value() if step.produced is not None else None


def named(name: str) -> Observation:
    return Observation(lambda *_: Opening("agent", name, agent=name))


def echo(count: int = 3) -> Generator[Any, Any, str]:
    """Yields numbers, and whatever it is sent; survives a `Boom` thrown in."""
    for number in range(count):
        try:
            sent = yield number
        except Boom:
            sent = "caught"
        if sent is not None:
            yield sent
    return "returned"


async def aecho(count: int = 3) -> AsyncGenerator[Any, Any]:
    for number in range(count):
        await asyncio.sleep(0)
        try:
            sent = yield number
        except Boom:
            sent = "caught"
        if sent is not None:
            yield sent


# What it is


def test_a_stream_is_of_the_type_that_it_stands_for(made: Recorder) -> None:
    stream, astream = made.stream(named("a"), echo), made.astream(named("a"), aecho)

    assert inspect.isgenerator(stream)
    assert isinstance(stream, types.GeneratorType)
    assert isinstance(stream, collections.abc.Generator)
    assert iter(stream) is stream
    assert inspect.isasyncgen(astream)
    assert isinstance(astream, types.AsyncGeneratorType)
    assert isinstance(astream, collections.abc.AsyncGenerator)
    assert aiter(astream) is astream
    assert stream.gi_frame is not None
    assert astream.ag_frame is not None


def test_a_stream_that_nobody_reads_is_no_step(made: Recorder, kept: Store) -> None:
    made.stream(named("a"), echo)
    made.stream(named("a"), echo).close()
    made.astream(named("a"), aecho)
    asyncio.run(made.astream(named("a"), aecho).aclose())

    closed = made.stream(named("a"), echo)
    closed.close()
    assert list(closed) == []

    assert told(made, kept) == []


# How it ends


def test_read_to_its_end_it_is_ok(made: Recorder, kept: Store) -> None:
    assert list(made.stream(named("a"), echo)) == [0, 1, 2]

    assert told_one(made, kept) == ("ok", None, [0, 1, 2])


def test_read_to_its_end_an_async_one_is_ok(made: Recorder, kept: Store) -> None:
    async def main() -> list[Any]:
        return [item async for item in made.astream(named("a"), aecho)]

    assert asyncio.run(main()) == [0, 1, 2]

    assert told_one(made, kept) == ("ok", None, [0, 1, 2])


def test_its_return_value_reaches_who_delegates_to_it(made: Recorder) -> None:
    returned = []

    def outer() -> Generator[Any]:
        returned.append((yield from made.stream(named("a"), echo)))

    assert list(outer()) == [0, 1, 2]
    assert returned == ["returned"]


def test_what_is_sent_and_thrown_reaches_the_body(made: Recorder, kept: Store) -> None:
    stream = made.stream(named("a"), echo)

    got = [next(stream), stream.send("sent"), next(stream), stream.throw(Boom()), *stream]

    assert got == [0, "sent", 1, "caught", 2]
    assert told_one(made, kept) == ("ok", None, got)


def test_what_is_sent_and_thrown_reaches_an_async_body(made: Recorder, kept: Store) -> None:
    async def main() -> list[Any]:
        stream = made.astream(named("a"), aecho)
        got = [await anext(stream), await stream.asend("sent"), await anext(stream)]
        got.append(await stream.athrow(Boom()))
        return [*got, *[item async for item in stream]]

    got = asyncio.run(main())

    assert got == [0, "sent", 1, "caught", 2]
    assert told_one(made, kept) == ("ok", None, got)


def failing(boom: Boom) -> Generator[int]:
    yield 1
    raise boom


async def afailing(boom: Boom) -> AsyncGenerator[int]:
    yield 1
    raise boom


def test_its_failure_is_its_own_and_is_told(made: Recorder, kept: Store) -> None:
    boom = Boom("no")
    with pytest.raises(Boom) as raised:
        list(made.stream(named("a"), failing, boom))

    assert raised.value is boom
    assert told_one(made, kept) == ("error", "Boom: no", [1])


def test_the_failure_of_an_async_one_is_its_own_and_is_told(made: Recorder, kept: Store) -> None:
    boom = Boom("no")

    async def main() -> None:
        async for _ in made.astream(named("a"), afailing, boom):
            pass

    with pytest.raises(Boom) as raised:
        asyncio.run(main())

    assert raised.value is boom
    assert told_one(made, kept) == ("error", "Boom: no", [1])


def test_what_it_lets_through_when_thrown_in_ends_it(made: Recorder, kept: Store) -> None:
    boom = KeyError("thrown")
    stream = made.stream(named("a"), echo)
    next(stream)
    with pytest.raises(KeyError) as raised:
        stream.throw(boom)

    assert raised.value is boom
    assert told_one(made, kept)[0] == "error"


def test_closed_by_its_reader_it_is_closed(made: Recorder, kept: Store) -> None:
    stream = made.stream(named("a"), echo)
    next(stream)
    stream.close()
    stream.close()

    assert told_one(made, kept) == ("closed", None, [0])


@pytest.mark.parametrize("elsewhere", [False, True], ids=["by its reader", "by another task"])
def test_an_async_one_that_is_closed_is_closed(elsewhere: bool, made: Recorder, kept: Store) -> None:
    async def main() -> None:
        stream = made.astream(named("a"), aecho)
        await anext(stream)
        if elsewhere:
            await asyncio.create_task(stream.aclose())
        else:
            await stream.aclose()

    asyncio.run(main())

    assert told_one(made, kept) == ("closed", None, [0])


def test_aclosing_closes_it(made: Recorder, kept: Store) -> None:
    async def main() -> None:
        async with contextlib.aclosing(made.astream(named("a"), aecho)) as stream:
            async for _ in stream:
                break

    asyncio.run(main())

    assert told_one(made, kept)[0] == "closed"


def test_a_failure_while_it_is_closed_is_its_own_and_is_told(made: Recorder, kept: Store) -> None:
    boom = Boom("cleaning up")

    def body() -> Generator[int]:
        try:
            yield 1
        finally:
            raise boom

    stream = made.stream(named("a"), body)
    next(stream)
    with pytest.raises(Boom) as raised:
        stream.close()

    assert raised.value is boom
    assert told_one(made, kept) == ("error", "Boom: cleaning up", [1])


def test_broken_off_midway_it_is_abandoned(made: Recorder, kept: Store) -> None:
    for _ in made.stream(named("a"), echo):
        break

    assert told_one(made, kept) == ("abandoned", None, [0])


def test_an_async_one_broken_off_midway_is_abandoned_and_cleans_up(made: Recorder, kept: Store) -> None:
    cleaned = []

    async def body() -> AsyncGenerator[int]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    async def main() -> None:
        async for _ in made.astream(named("a"), body):
            break
        gc.collect()
        for _ in range(5):  # the loop cleans up in a task of its own
            await asyncio.sleep(0)

    asyncio.run(main())

    assert cleaned == [True]
    assert told_one(made, kept) == ("abandoned", None, [1])


def test_one_that_still_stands_when_its_loop_shuts_down_is_cleaned_up(made: Recorder, kept: Store) -> None:
    cleaned = []
    standing = []

    async def body() -> AsyncGenerator[int]:
        try:
            yield 1
        finally:
            cleaned.append(True)

    async def main() -> None:
        standing.append(made.astream(named("a"), body))
        await anext(standing[0])

    asyncio.run(main())  # ends with shutdown_asyncgens
    assert cleaned == [True]

    standing.clear()
    assert told_one(made, kept)[0] == "abandoned"


def test_one_in_a_cycle_is_ended_by_the_garbage_collector(made: Recorder, kept: Store) -> None:
    holder: dict[str, object] = {}
    holder["self"], holder["stream"] = holder, made.stream(named("a"), echo)
    next(holder["stream"])  # type: ignore[call-overload]
    del holder

    assert told_one(made, kept)[0] == "abandoned"


def test_a_reader_that_is_cancelled_cancels_it(made: Recorder, kept: Store) -> None:
    async def body() -> AsyncGenerator[int]:
        yield 1
        await asyncio.Event().wait()

    async def read() -> None:
        async for _ in made.astream(named("a"), body):
            pass

    async def main() -> None:
        task = asyncio.create_task(read())
        for _ in range(3):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())

    status, _, produced = told_one(made, kept)
    assert (status, produced) == ("cancelled", [1])


# Calls that are refused


def test_a_call_that_is_refused_does_not_end_it(made: Recorder, kept: Store) -> None:
    stream: Generator[Any, Any, Any]

    def body() -> Generator[Any]:
        for refused in (lambda: next(stream), stream.close):
            with pytest.raises(ValueError, match="already executing"):
                refused()
        yield 1
        yield 2

    stream = made.stream(named("a"), body)
    with pytest.raises(TypeError, match="just-started"):
        stream.send("too early")

    assert list(stream) == [1, 2]
    assert told_one(made, kept) == ("ok", None, [1, 2])


def test_an_async_call_that_is_refused_does_not_end_it(made: Recorder, kept: Store) -> None:
    go = asyncio.Event()

    async def body() -> AsyncGenerator[int]:
        await go.wait()
        yield 1
        yield 2

    async def main() -> list[int]:
        stream = made.astream(named("a"), body)
        reading = asyncio.create_task(anext(stream))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="already running"):
            await anext(stream)
        with pytest.raises(RuntimeError, match="already running"):
            await stream.aclose()
        go.set()
        return [await reading, *[item async for item in stream]]

    assert asyncio.run(main()) == [1, 2]
    assert told_one(made, kept) == ("ok", None, [1, 2])


# Whose context


def spanning(made: Recorder, name: str, seen: list[object]) -> Generator[str]:
    """A body that keeps a span of its own current over its items, and calls something in between."""
    with trace.get_tracer("app", tracer_provider=provider).start_as_current_span(name) as span:
        for _ in range(2):
            made.call(named(f"inside {name}"), str)
            seen.append((trace.get_current_span() is span, context.current()))
            yield name


def test_between_items_the_reader_stands_where_it_stood(made: Recorder) -> None:
    seen: list[object] = []
    tracer = trace.get_tracer("app", tracer_provider=provider)
    with tracer.start_as_current_span("reader") as span:
        outer = made.begin(Opening("agent", "reader"))
        assert outer is not None
        with context.Scope(context.with_step(outer)):
            where = context.current(), trace.get_current_span()
            for _ in made.stream(named("a"), spanning, made, "x", seen):
                assert (context.current(), trace.get_current_span()) == where
            assert (context.current(), trace.get_current_span()) == where
        made.end(outer)
        assert trace.get_current_span() is span

    assert len(seen) == 2


def test_interleaved_streams_keep_to_themselves(made: Recorder, kept: Store) -> None:
    seen: list[Any] = []
    x, y = (made.stream(named(name), spanning, made, name, seen) for name in "xy")

    assert [next(stream) for stream in (x, y, y, x)] == ["x", "y", "y", "x"]
    assert [*x, *y] == []

    assert all(own_span for own_span, _ in seen)
    assert [step.name for _, step in seen] == ["x", "y", "y", "x"]
    by_name = {step.name: step for step in told(made, kept)}
    assert by_name["inside x"].parent_id == by_name["x"].id
    assert by_name["inside y"].parent_id == by_name["y"].id


def test_interleaved_async_streams_keep_to_themselves(made: Recorder, kept: Store) -> None:
    async def body(name: str) -> AsyncGenerator[str]:
        with trace.get_tracer("app", tracer_provider=provider).start_as_current_span(name):
            for _ in range(2):
                await asyncio.sleep(0)
                await made.acall(named(f"inside {name}"), asyncio.sleep, 0)
                yield name

    async def main() -> None:
        x, y = (made.astream(named(name), body, name) for name in "xy")
        for stream in (x, y, y, x, x, y):
            await anext(stream, None)
            assert context.current() is None

    asyncio.run(main())

    steps = told(made, kept)
    parents = {step.id: step.name for step in steps}
    inside = [(step.name, parents.get(step.parent_id or "")) for step in steps if "inside" in step.name]
    assert sorted(inside) == [("inside x", "x")] * 2 + [("inside y", "y")] * 2


def test_each_item_may_be_read_in_a_context_of_its_own(made: Recorder, kept: Store) -> None:
    stream = made.stream(named("a"), echo)

    items = [contextvars.Context().run(next, stream) for _ in range(3)]

    contextvars.Context().run(stream.close)
    assert items == [0, 1, 2]
    assert told_one(made, kept)[0] == "closed"


def test_a_body_sees_what_its_reader_set(made: Recorder) -> None:
    flag = contextvars.ContextVar("flag", default=0)

    def body() -> Generator[int]:
        while True:
            yield flag.get()

    stream = made.stream(named("a"), body)
    got = []
    for number in range(3):
        flag.set(number)
        got.append(next(stream))
    stream.close()

    assert got == [0, 1, 2]


def test_a_stream_is_of_the_chain_in_which_it_was_asked_for(made: Recorder, kept: Store) -> None:
    outer = made.begin(Opening("agent", "outer"))
    assert outer is not None
    with context.Scope(context.with_step(outer)):
        stream = made.stream(named("inner"), echo)
    made.end(outer)

    list(stream)

    first, second = told(made, kept)
    assert (second.name, second.parent_id, second.chain_id) == ("inner", first.id, first.chain_id)


def test_an_item_is_told_as_it_was_when_it_came(made: Recorder, kept: Store) -> None:
    def body() -> Generator[list[int]]:
        yield [1]

    for item in made.stream(named("a"), body):
        item.append(2)

    assert told_one(made, kept)[2] == [[1]]


# Things that are read like generators and are none


class Countdown:
    """An async iterator of the app's own making."""

    def __init__(self) -> None:
        self.left = 2
        self.note = "mine"

    def __aiter__(self) -> AsyncIterator[int]:
        return self

    async def __anext__(self) -> int:
        if not self.left:
            raise StopAsyncIteration
        self.left -= 1
        return self.left


def test_what_is_merely_read_like_a_generator_is_told_too(made: Recorder, kept: Store) -> None:
    make: Callable[[], Any] = Countdown

    async def main() -> list[int]:
        stream: Any = made.astream(named("a"), make)
        assert stream.note == "mine"
        return [item async for item in stream]

    assert asyncio.run(main()) == [1, 0]
    assert told_one(made, kept) == ("ok", None, [1, 0])
