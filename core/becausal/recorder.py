"""The recorder: steps begin and end here, and every observed call passes through its one seam.

`call`, `acall`, `stream` and `astream` run a function of the app and record a step around it. An adapter says in an
`Observation` what the function's arguments and result mean, and nothing more: no try/except, no span, no pair of
sync and async twins. Replay is the same seam, answering from the record.

What was received is sealed (encoded and digested) before the function runs, what was produced when it returns.
Both on the calling thread: later or elsewhere the object may have become another.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context

from becausal import clock, semconv
from becausal.bounds import MAX_PAYLOAD_BYTES
from becausal.context import Scope, StepScope, aside, context_now, span_parent, step_of
from becausal.guard import guarded, keepers
from becausal.making import Making, arrival, received_by
from becausal.observation import (
    NOTHING,
    Observation,
    Opening,
    Passing,
    Sealed,
    hop_of,
    status_of,
    text_of_error,
)
from becausal.settings import Capture, Level
from becausal.step import Attribute, Cause, OpenStep, Status, StepKind, StepRef
from becausal.telemetry import Telemetry
from becausal.telling import StreamTelling
from becausal.writer import Writer

if TYPE_CHECKING:
    from becausal.redaction.redactor import Redactor

__all__ = ["NOTHING", "Observation", "Opening", "Passing", "Recorder", "Sealed"]

BOUNDARY_KINDS: frozenset[StepKind] = frozenset({"request", "workflow", "agent", "handoff"})
"""What `level="boundaries"` records: handoffs, and the agents at their ends."""

ANSWERING_KINDS: frozenset[StepKind] = frozenset({"model", "tool", "memory_read"})
"""Whose answers a replay gives again: what they asked, answered from outside."""

MAX_ERROR = 2_000
"""Characters of an exception's text that are kept."""

MAX_OPEN = 20_000
"""Steps that never end (a stream nobody finished) are given up as `unfinished` beyond so many, oldest first."""


class Recorder(Making):
    """Makes steps of what the app does, and hands them to OpenTelemetry and to the store."""

    def __init__(
        self,
        telemetry: Telemetry,
        writer: Writer | None,
        *,
        level: Level = "full",
        capture: Capture = "full",
        redact: Redactor | None = None,
        max_payload_bytes: int | None = MAX_PAYLOAD_BYTES,
    ) -> None:
        super().__init__(
            telemetry, writer, level=level, capture=capture, redact=redact, max_bytes=max_payload_bytes
        )
        self.on_root_end: Callable[[OpenStep], object] | None = None
        """Called with the root of a run that has ended and is on its way to the store."""
        # Without a lock: what is done to it is one call of C each time, in whose middle no other thread comes.
        self._open: dict[str, OpenStep] = {}

    # -- the seam: what is the app's may have any name, so ours are given by position alone

    def call(self, seen: Observation, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Run a function and record it as a step."""
        step = self.opened(seen, args, kwargs)
        if step is None:
            context = None if seen.elsewhere is None else self._elsewhere(seen, args, kwargs)
            if context is None:
                return function(*args, **kwargs)
            with Scope(context):
                return function(*args, **kwargs)
        if (replaying := self.replaying) is not None:
            function = replaying.call(seen, function)
        try:
            with StepScope(step):
                result = function(*args, **kwargs)
        except BaseException as error:
            self._failed(seen, step, error)
            raise
        self._closed(seen, step, result)
        return result

    async def acall(
        self, seen: Observation, function: Callable[..., Awaitable[Any]], /, *args: Any, **kwargs: Any
    ) -> Any:
        """Await a coroutine function and record it as a step."""
        step = self.opened(seen, args, kwargs)
        if step is None:
            context = None if seen.elsewhere is None else self._elsewhere(seen, args, kwargs)
            if context is None:
                return await function(*args, **kwargs)
            with Scope(context):
                return await function(*args, **kwargs)
        if (replaying := self.replaying) is not None:
            function = replaying.acall(seen, function)
        try:
            with StepScope(step):
                result = await function(*args, **kwargs)
        except BaseException as error:
            self._failed(seen, step, error)
            raise
        self._closed(seen, step, result)
        return result

    def stream(
        self,
        seen: Observation,
        function: Callable[..., Generator[Any, Any, Any]],
        /,
        *args: Any,
        **kwargs: Any,
    ) -> Generator[Any, Any, Any]:
        """Return a generator's stand-in; its step begins with the first item and ends with the last."""
        if not self.active:
            return function(*args, **kwargs)
        from becausal.streams import SyncStream  # here: `import becausal` need not wait for wrapt

        if (replaying := self.replaying) is not None:
            function = replaying.stream(seen, function)
        generator = function(*args, **kwargs)
        stands_in = self._stood_for(SyncStream, generator, seen, args, kwargs)
        return generator if stands_in is None else stands_in

    def astream(
        self,
        seen: Observation,
        function: Callable[..., AsyncGenerator[Any, Any]],
        /,
        *args: Any,
        **kwargs: Any,
    ) -> AsyncGenerator[Any, Any]:
        """Return an async generator's stand-in; its step begins with the first item and ends with the last."""
        if not self.active:
            return function(*args, **kwargs)
        from becausal.streams import AsyncStream

        if (replaying := self.replaying) is not None:
            function = replaying.astream(seen, function)
        generator = function(*args, **kwargs)
        stands_in = self._stood_for(AsyncStream, generator, seen, args, kwargs)
        return generator if stands_in is None else stands_in

    # -- steps

    def begin(self, opening: Opening) -> OpenStep | None:
        """Start a step; None where the level leaves its kind out, or it is none of what the app did."""
        if not self.active or (self.level == "boundaries" and opening.kind not in BOUNDARY_KINDS):
            return None
        if self.records_nothing and not self._is_replayed():
            return None
        beside = aside()
        if beside is not None and not beside.begins(opening.kind, opening.name):
            return None
        base = context_now() if opening.base is None else opening.base
        here = step_of(base)
        arrivals = self._taken(opening, here) if opening.arrivals else ()
        step = self._made(opening, here, arrivals)
        parent = span_parent(opening.parent, here, base)
        self._open_span(step, parent)
        self._open[step.id] = step
        if arrivals:
            for handoff in self._passed(opening, arrivals, step, (parent, base, here)):
                self._arrive(handoff, step)
        while len(self._open) > MAX_OPEN:
            self._give_up_oldest()
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
        if self._open.pop(step.id, None) is None:
            return
        try:
            if produced is not NOTHING:
                self.produce(step, produced)
        finally:  # it ends, whatever became of its payload
            self._ends(step, error, status)

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

        It ends in the step whose `Opening` names it among its `arrivals`, or by `end` where nobody received it; where
        it is told only when it is received, its `Passing` stands there itself. The arguments are those of a `Passing`.
        """
        passing = Passing(sender, receiver, sent, sent_by, parent, cause, attributes or {})
        step = self.begin(passing.opening())
        if step is not None:
            step.hop = hop_of(step, sent_by)
        return step

    def take_up(self, handoff: OpenStep) -> OpenStep | None:
        """Go on with a handoff that another process opened: it ends here like one of our own, without its span."""
        if not self.active:
            return None
        self._open[handoff.id] = handoff
        return handoff

    @property
    def makes_global_spans(self) -> bool:
        """Whether its spans go where those of a framework go that was given no provider of its own."""
        return self._telemetry.is_global

    def of_findings(self, root: OpenStep) -> dict[str, Attribute]:
        """Return what the span says of itself that tells what is wrong in a run."""
        return self._telemetry.of_findings(root)

    # -- the store

    def flush(self, timeout: float) -> bool:
        """Make durable all that was recorded so far, steps still open included; False when the time was up."""
        if self._writer is None or self._checks is None:
            return True
        deadline = time.monotonic() + timeout
        self._checks.wait(timeout)
        for step in list(self._open.values()):
            so_far = step.as_it_is()
            self.clean(so_far)
            if self._marked_by is not None:  # said for now: what it has become says it by itself
                so_far.attributes[semconv.REDACTION_KEY] = self._marked_by
            self._writer.put(so_far)
        return self._writer.flush(max(0.0, deadline - time.monotonic()))

    @property
    def is_closed(self) -> bool:
        """Whether nothing is written any more."""
        return not self.active and (self._writer is None or self._writer.is_closed)

    def close(self, timeout: float) -> bool:
        """End what is open as `unfinished`, flush, and stop."""
        self.active = False
        deadline = time.monotonic() + timeout
        give_up = guarded(self.end)  # what fails or is interrupted here keeps nobody from closing the store
        try:
            for step in list(self._open.values()):
                give_up(step, status="unfinished")
            if self._checks is not None:
                guarded(self._checks.wait)(timeout)
        finally:
            try:
                done = self._writer is None or self._writer.close(max(0.0, deadline - time.monotonic()))
            except BaseException:  # an interrupt that came before it had told its thread
                self.stop(max(0.0, deadline - time.monotonic()))
                raise
            finally:
                keepers.discard(self)  # what fails from now on is missing from other records
        return done

    def stop(self, timeout: float) -> None:
        """Stop, where something has kept `close` from it: what is open stays so."""
        self.active = False
        if self._writer is not None and not self._writer.is_closed:
            self._writer.stop(time.monotonic() + timeout)

    def let_go(self) -> None:
        """Where stopping has failed as well: have no thread go on."""
        if self._writer is not None:
            self._writer.let_go()

    def forget_after_fork(self) -> None:
        """Drop what the parent process holds open: it is the parent's to end."""
        self._open = {}
        if self._checks is not None:
            self._checks.forget()
        if self._redact is not None:
            self._redact.forget_after_fork()
        self._outside = clock.new_chain_id(clock.OUTSIDE)
        self.forget()

    # -- inside

    @guarded
    def opened(self, seen: Observation, args: Sequence[Any], kwargs: dict[str, Any]) -> OpenStep | None:
        """Start the step of an observed call; None where it is none, or could not be recorded."""
        if not self.active:
            return None
        opening = seen.opened(*args, **kwargs)
        if opening is None:
            return None
        step = self.begin(opening)
        if step is not None and opening.told is not None:
            opening.told(step)
        return step

    @guarded
    def _elsewhere(self, seen: Observation, args: Sequence[Any], kwargs: dict[str, Any]) -> Context | None:
        """Return where a call that is no step runs; None where it stands already."""
        return None if seen.elsewhere is None or not self.active else seen.elsewhere(*args, **kwargs)

    @guarded
    def _stood_for(
        self,
        stream: Callable[[Any, StreamTelling], Any],
        generator: Any,
        seen: Observation,
        args: Sequence[Any],
        kwargs: dict[str, Any],
    ) -> Any:
        return stream(generator, StreamTelling(self, seen, args, kwargs))

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
        try:
            status = seen.failed(step, error)
        except Exception:
            self.end(step, error=error)
            raise
        self.end(step, error=error, status=status)

    def _ends(self, step: OpenStep, error: BaseException | None, status: Status | None) -> None:
        """Say of a step what it has become, and bring it to its span and to the store."""
        if step.ended_ns is None:
            step.ended_ns = clock.now_ns()
        if step.ended_ns < step.started_ns:  # the clock was set back: it took no time, rather than less
            step.ended_ns = step.started_ns
        if error is None:
            step.status = status or "ok"
        else:
            self._failed_with(step, error, status or status_of(error))
        if step.parent_id is None and self._checks is not None:
            step.attributes.update(self._checks.wrong_with(step.chain_id))
        self.clean(step)
        if self._marked_by is not None:
            self._say_key(step)
        try:
            if step.span is not None:
                self._close_span(step, error)
        finally:
            step.span = None  # the span's context is enough for links
            self.write(step, is_clean=True)
            if step.parent_id is None and self.on_root_end is not None:
                self.on_root_end(step)

    def _failed_with(self, step: OpenStep, error: BaseException, status: Status) -> None:
        step.status = status
        if status in ("error", "cancelled"):
            kind = type(error).__qualname__
            step.error = kind if self._withholds else self.shown(text_of_error(error))[:MAX_ERROR]
        if step.kind in ANSWERING_KINDS and status in ("error", "interrupted"):
            self.keep(step, "error", error)

    def _give_up_oldest(self) -> None:
        oldest = next(chain(self._open.values()), None)  # `chain` begins and takes the first in one call
        if oldest is not None:
            self.end(oldest, status="unfinished")

    @guarded
    def _arrive(self, handoff: OpenStep, receiver: OpenStep) -> None:
        """End a handoff in the step that received it; its payload received is what that step received."""
        received_by(handoff, receiver)
        # The receiver is an effect, not a cause: linked for readers of spans, not recorded as an edge.
        self._link_span(handoff, arrival(receiver))
        self.end(handoff)
