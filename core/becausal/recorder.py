"""The recorder: steps begin and end here, and every observed call passes through its one seam.

`call`, `acall`, `stream` and `astream` run a function of the app and record a step around it. An adapter says in an
`Observation` what the function's arguments and result mean, and nothing more: no try/except, no span, no pair of
sync and async twins. Replay is the same seam, answering from the record.

What was received is sealed (encoded and digested) before the function runs, what was produced when it returns.
Both on the calling thread: later or elsewhere the object may have become another.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context

from becausal import clock, semconv
from becausal.canonical import Encoder, digest_text
from becausal.context import Scope, current, remote_span, with_step
from becausal.guard import guarded
from becausal.payload import Payload
from becausal.settings import Capture, Level
from becausal.step import Attribute, Cause, Choice, OpenStep, Status, StepKind, StepRef
from becausal.streams import AsyncStream, SyncStream
from becausal.telemetry import Telemetry
from becausal.writer import Writer

__all__ = ["NOTHING", "Observation", "Opening", "Recorder", "Sealed"]


class _Nothing:
    def __repr__(self) -> str:
        return "NOTHING"


NOTHING: Any = _Nothing()
"""No value at all; None is a value."""

BOUNDARY_KINDS: frozenset[StepKind] = frozenset({"request", "workflow", "agent", "handoff"})
"""What `level="boundaries"` records: handoffs, and the agents at their ends."""

MAX_OPEN = 20_000
"""Steps that never end (a stream nobody finished) are given up as `unfinished` beyond so many, oldest first."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A value fixed at a boundary: its payload, and the bodies that the store may not have yet."""

    payload: Payload
    bodies: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(slots=True)
class Opening:
    """What an adapter says of a step that is about to begin."""

    kind: StepKind
    name: str
    agent: str | None = None
    """None: the agent of the enclosing step."""
    received: object = NOTHING
    """The value received, or a `Sealed` where it was sealed already."""
    parent: StepRef | None = None
    """None: the step that is current; else a parent that the framework's own bookkeeping names."""
    causes: Sequence[Cause] = ()
    arrivals: Sequence[OpenStep] = ()
    """Open handoffs that end in this step: they take over what it received."""
    attributes: dict[str, Attribute] = field(default_factory=dict)
    chain_id: str | None = None
    """Of a chain that starts here; None: the parent's, or a new one."""
    base: Context | None = None
    """The OpenTelemetry context to stand in; None: the current one."""


def _itself(_: OpenStep, result: object) -> object:
    return result


def _failed(_: OpenStep, error: BaseException) -> Status | None:
    return None


@dataclass(frozen=True, slots=True)
class Observation:
    """How a hooked function is told as a step.

    `opened` takes what the hooked function takes (a method's `self` first) and returns an `Opening`, or None for a
    call that is no step. `closed` takes the step and the result and returns what was produced, or `NOTHING`; it may
    add causes, choices and attributes to the step. `failed` takes the step and the exception and may name a status
    for an exception that is the framework's control flow. `keeps` says which item of a stream is its result;
    without it all items are.
    """

    opened: Callable[..., Opening | None]
    closed: Callable[[OpenStep, Any], object] = _itself
    failed: Callable[[OpenStep, BaseException], Status | None] = _failed
    keeps: Callable[[Any], bool] | None = None


class Recorder:
    """Makes steps of what the app does, and hands them to OpenTelemetry and to the store."""

    def __init__(
        self,
        telemetry: Telemetry,
        writer: Writer | None,
        *,
        level: Level = "full",
        capture: Capture = "full",
    ) -> None:
        self.active = True
        """False once uninstrumented: hooks that could not be taken out call through."""
        self.level: Level = level
        self.encoder = Encoder()
        self._telemetry, self._writer = telemetry, writer
        self._keeps_bodies = capture == "full" and writer is not None
        self._open: dict[str, OpenStep] = {}
        self._open_lock = threading.Lock()

    # -- the seam

    def call(self, seen: Observation, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run a function and record it as a step."""
        step = self._opened(seen, args, kwargs)
        if step is None:
            return function(*args, **kwargs)
        try:
            with Scope(with_step(step)):
                result = function(*args, **kwargs)
        except BaseException as error:
            self._failed(seen, step, error)
            raise
        self._closed(seen, step, result)
        return result

    async def acall(
        self, seen: Observation, function: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any
    ) -> Any:
        """Await a coroutine function and record it as a step."""
        step = self._opened(seen, args, kwargs)
        if step is None:
            return await function(*args, **kwargs)
        try:
            with Scope(with_step(step)):
                result = await function(*args, **kwargs)
        except BaseException as error:
            self._failed(seen, step, error)
            raise
        self._closed(seen, step, result)
        return result

    def stream(
        self, seen: Observation, function: Callable[..., Generator[Any, Any, Any]], *args: Any, **kwargs: Any
    ) -> Generator[Any, Any, Any]:
        """Return a generator's stand-in; its step begins with the first item and ends with the last."""
        return SyncStream(function(*args, **kwargs), _Telling(self, seen, args, kwargs))

    def astream(
        self, seen: Observation, function: Callable[..., AsyncGenerator[Any, Any]], *args: Any, **kwargs: Any
    ) -> AsyncGenerator[Any, Any]:
        """Return an async generator's stand-in; its step begins with the first item and ends with the last."""
        return AsyncStream(function(*args, **kwargs), _Telling(self, seen, args, kwargs))

    # -- steps

    def begin(self, opening: Opening) -> OpenStep | None:
        """Start a step; None where the level leaves its kind out."""
        if not self.active or (self.level == "boundaries" and opening.kind not in BOUNDARY_KINDS):
            return None
        base = otel_context.get_current() if opening.base is None else opening.base
        with Scope(base):
            here = current()
            parent = opening.parent if opening.parent is not None else here
            step = self._new(opening, parent)
            if opening.received is not NOTHING:
                self.receive(step, opening.received)
            self._telemetry.open(step, _span_parent(opening.parent, here, base))
        for handoff in opening.arrivals:
            self._arrive(handoff, step)
        with self._open_lock:
            self._open[step.id] = step
            stale = next(iter(self._open)) if len(self._open) > MAX_OPEN else None
        if stale is not None and (given_up := self._open.get(stale)) is not None:
            self.end(given_up, status="unfinished")
        return step

    def end(
        self,
        step: OpenStep,
        produced: object = NOTHING,
        *,
        error: BaseException | None = None,
        status: Status | None = None,
    ) -> None:
        """End a step; ending it twice does nothing."""
        with self._open_lock:
            if self._open.pop(step.id, None) is None:
                return
        if produced is not NOTHING:
            self.produce(step, produced)
        if step.ended_ns is None:
            step.ended_ns = clock.now_ns()
        step.status = status or _status_of(error)
        if error is not None and step.status in ("error", "cancelled"):
            step.error = _text_of(error)
        self._telemetry.close(step, error)
        step.span = None  # the span's context is enough for links
        self.write(step)

    def handoff(
        self,
        sender: str | None,
        receiver: str | None,
        sent: object,
        *,
        sent_by: StepRef | None,
        parent: StepRef | None = None,
        cause: Cause | None = None,
        attributes: dict[str, Attribute] | None = None,
    ) -> OpenStep | None:
        """Open a handoff: `sent` goes from one agent to another.

        It ends in the step whose `Opening` names it among its `arrivals`, or by `end` where nobody received it.
        `sent` is a value or a `Sealed`. `parent` is where the handoff stands; None: the sender's step.
        """
        causes = [cause] if cause is not None else []
        if sent_by is not None and cause is None:
            causes.append(
                Cause(sent_by.id, "transfer", "declared", span_context=sent_by.span_context)
            )
        step = self.begin(
            Opening(
                "handoff",
                f"{sender or '?'} to {receiver or '?'}",
                agent=sender,
                received=sent,
                parent=parent or sent_by,
                causes=causes,
                attributes={
                    semconv.TRANSFER_SOURCE: sender or "",
                    semconv.TRANSFER_TARGET_OWN: receiver or "",
                    semconv.TRANSFER_TARGET: receiver or "",
                    **(attributes or {}),
                },
            )
        )
        if step is not None:
            step.hop = (sent_by.hop if sent_by is not None else step.hop) + 1
        return step

    def cause(self, step: OpenStep, cause: Cause) -> None:
        """Add a cause that was found after the step had begun."""
        step.causes.append(cause)
        self._telemetry.link(step, cause)

    def decide(self, step: OpenStep, choice: Choice) -> None:
        """Note a decision on a step."""
        step.choices.append(choice)

    # -- payloads

    def seal(self, value: object) -> Sealed:
        """Fix a value as it is now."""
        if isinstance(value, Sealed):
            return value
        encoded = self.encoder.encode(value)
        payload = Payload(
            digest_text(encoded.digest),
            digest_text(encoded.belief),
            encoded.size,
            encoded.type_name,
            encoded.lossy,
        )
        bodies = (*encoded.parts, (encoded.digest, encoded.body)) if self._keeps_bodies else ()
        return Sealed(payload, bodies)

    def receive(self, step: OpenStep, value: object) -> None:
        """Seal what a step received."""
        sealed = self.seal(value)
        step.received = sealed.payload
        step.bodies.extend(sealed.bodies)

    def produce(self, step: OpenStep, value: object) -> None:
        """Seal what a step produced."""
        sealed = self.seal(value)
        step.produced = sealed.payload
        step.bodies.extend(sealed.bodies)

    # -- the store

    def write(self, step: OpenStep) -> None:
        """Bring a step that has ended to the store; what is there of the same id is completed by it."""
        if self._writer is not None:
            self._writer.put(step)

    def flush(self, timeout: float) -> bool:
        """Make durable all that was recorded so far, steps still open included; False when the time was up."""
        if self._writer is None:
            return True
        with self._open_lock:
            still_open = list(self._open.values())
        for step in still_open:
            self._writer.put(copy.copy(step))
        return self._writer.flush(timeout)

    def close(self, timeout: float) -> bool:
        """End what is open as `unfinished`, flush, and stop."""
        self.active = False
        for step in list(self._open.values()):
            self.end(step, status="unfinished")
        return True if self._writer is None else self._writer.close(timeout)

    def forget_after_fork(self) -> None:
        """Drop what the parent process holds open: it is the parent's to end."""
        self._open, self._open_lock = {}, threading.Lock()
        self.encoder.forget()

    def count_gap(self, reason: str) -> None:
        """Count something that could not be recorded."""
        if self._writer is not None:
            self._writer.count_gap(reason)

    # -- inside

    @guarded
    def _opened(self, seen: Observation, args: Sequence[Any], kwargs: dict[str, Any]) -> OpenStep | None:
        if not self.active:
            return None
        opening = seen.opened(*args, **kwargs)
        return None if opening is None else self.begin(opening)

    @guarded
    def _closed(self, seen: Observation, step: OpenStep, result: object) -> None:
        try:
            produced = seen.closed(step, result)
        except Exception:
            self.end(step)
            raise
        self.end(step, produced)

    @guarded
    def _failed(self, seen: Observation, step: OpenStep, error: BaseException) -> None:
        self.end(step, error=error, status=seen.failed(step, error))

    def _new(self, opening: Opening, parent: StepRef | None) -> OpenStep:
        step = OpenStep(
            id=clock.new_step_id(),
            chain_id=opening.chain_id or (parent.chain_id if parent is not None else clock.new_chain_id()),
            kind=opening.kind,
            name=opening.name,
            agent=opening.agent if opening.agent is not None else (parent.agent if parent is not None else None),
            parent_id=parent.id if parent is not None and opening.chain_id in (None, parent.chain_id) else None,
            hop=max([parent.hop if parent is not None else 0, *(handoff.hop for handoff in opening.arrivals)]),
            seq=clock.tick(),
            started_ns=clock.now_ns(),
        )
        step.attributes = opening.attributes
        step.causes = [
            *opening.causes,
            *(
                Cause(handoff.id, "transfer", handoff.causes[0].grade if handoff.causes else "declared",
                      span_context=handoff.span_context)  # fmt: skip
                for handoff in opening.arrivals
            ),
        ]
        return step

    def _arrive(self, handoff: OpenStep, receiver: OpenStep) -> None:
        """End a handoff in the step that received it; its payload received is what that step received."""
        handoff.produced = receiver.received
        if handoff.received is not None and handoff.produced is not None:
            handoff.attributes[semconv.TRANSFER_EQUAL] = handoff.received.digest == handoff.produced.digest
        handoff.attributes[semconv.TRANSFER_RECEIVED_BY] = receiver.id
        # The receiver is an effect, not a cause: linked for readers of spans, not recorded as an edge.
        self._telemetry.link(
            handoff, Cause(receiver.id, "transfer", "declared", span_context=receiver.span_context)
        )
        self.end(handoff)


class _Telling:
    """Tells a stream's life as one step: what the stand-ins of `streams` ask for."""

    __slots__ = ("_args", "_base", "_items", "_kept", "_kwargs", "_recorder", "_seen", "_step")

    def __init__(
        self, recorder: Recorder, seen: Observation, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> None:
        self._recorder, self._seen, self._args, self._kwargs = recorder, seen, args, kwargs
        self._base = otel_context.get_current()  # where the stream was asked for
        self._step: OpenStep | None = None
        self._kept: object = NOTHING
        self._items: list[object] = []

    def begin(self) -> Context | None:
        """Start the step; returns the context to run the generator in."""
        with Scope(otel_context.get_current() if current() is not None else self._base):
            self._step = self._recorder._opened(self._seen, self._args, self._kwargs)
            self._args, self._kwargs = (), {}
            return None if self._step is None else with_step(self._step)

    @guarded
    def item(self, item: object) -> None:
        """Note an item on its way to the reader."""
        if self._step is None:
            return
        if self._seen.keeps is None:
            self._items.append(item if isinstance(item, str | bytes | int | float) else self._frozen(item))
        elif self._seen.keeps(item):
            # Sealed at once: attributes and payloads set after the last item are lost when the reader leaves.
            self._kept = self._recorder.seal(self._seen.closed(self._step, item))
            self._step.ended_ns = clock.now_ns()

    @guarded
    def end(self, status: Status, error: BaseException | None = None) -> None:
        """End the step."""
        step, self._step = self._step, None
        if step is None:
            return
        if self._kept is not NOTHING:
            if error is None:
                status = "ok"  # its result is out; how the reader left does not matter
            self._recorder.end(step, self._kept, error=error, status=status)
            return
        produced = self._seen.closed(step, self._items) if self._seen.keeps is None else NOTHING
        own = self._seen.failed(step, error) if error is not None else None
        self._recorder.end(step, produced, error=error, status=own or status)

    def _frozen(self, item: object) -> object:
        """Return an item as plain data of this moment: its reader may change it."""
        from becausal.canonical import decode, encode

        encoded = encode(item)
        bodies = dict(encoded.parts)
        return decode(encoded.body, bodies.get)


def _span_parent(explicit: StepRef | None, here: StepRef | None, base: Context) -> Context:
    """Return the context whose span is to be the parent of a step's span.

    A parent that the framework's bookkeeping names wins over what happens to be current, unless that is a span of
    the same step's making (the user's own span inside it): then that one is the more specific.
    """
    if explicit is None or explicit.span_context is None:
        return base
    if here is not None and here.id == explicit.id:
        return base
    return trace.set_span_in_context(remote_span(explicit.span_context), base)


def _status_of(error: BaseException | None) -> Status:
    if error is None:
        return "ok"
    # By name, so that asyncio and concurrent.futures need not be told apart.
    return "cancelled" if type(error).__name__ == "CancelledError" else "error"


def _text_of(error: BaseException) -> str:
    """Return an exception's type and text without running code of the application's classes."""
    texts = [arg for arg in BaseException.args.__get__(error) if type(arg) is str]
    return ": ".join([type(error).__qualname__, *texts])[:2000]
