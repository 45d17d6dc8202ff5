"""From what an adapter says to a step: with an id and a number, what it received, a span, and the handoffs it took.

A handoff that is told only when it is received is over as soon as it begins: its span is made in one go, and the step
never stands among the open ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from opentelemetry.context import Context

from becausal import clock, semconv
from becausal.bounds import MAX_PAYLOAD_BYTES
from becausal.context import context_now, span_parent, step_of
from becausal.guard import guarded
from becausal.keeping import Keeping
from becausal.observation import NOTHING, Opening, Passing, Replaying, Sealed, new_step
from becausal.settings import Capture, Level
from becausal.step import Cause, Choice, OpenStep, RemoteStep, StepKind, StepRef
from becausal.telemetry import MAX_LINKS, Telemetry
from becausal.writer import Writer

if TYPE_CHECKING:
    from becausal.redaction.redactor import Redactor

__all__ = ["MEMORY_KINDS", "Making", "arrival", "received_by"]

MEMORY_KINDS: frozenset[StepKind] = frozenset({"memory_read", "memory_write"})


class Making(Keeping):
    """Makes steps of openings, and tells the handoffs that are over when they are told."""

    def __init__(
        self,
        telemetry: Telemetry,
        writer: Writer | None,
        *,
        level: Level,
        capture: Capture,
        redact: Redactor | None,
        max_bytes: int | None = MAX_PAYLOAD_BYTES,
    ) -> None:
        super().__init__(
            writer, capture=capture, holds_whole=telemetry.wants_content, redact=redact, max_bytes=max_bytes
        )
        self.level: Level = level
        self.replaying: Replaying | None = None
        """What answers calls from the record, while runs are replayed in this process."""
        self.records_nothing = False
        """Whether it is there for what replays have left running alone, which is refused what it asks."""
        self.packages: tuple[str, ...] = ()
        """What is recorded with, as `name==version`; the first step of each chain says so."""
        self._telemetry = telemetry
        self._outside = clock.new_chain_id(clock.OUTSIDE)
        # Spans are the app's provider's: where that fails, the step is kept all the same.
        self._open_span, self._close_span = guarded(telemetry.open), guarded(telemetry.close)
        self._link_span, self._whole_span = guarded(telemetry.link), guarded(telemetry.whole)

    def told(self, passing: Passing, received: object) -> OpenStep | None:
        """Tell a handoff that begins and ends here, before the step that received it has begun.

        Args:
            passing: the handoff.
            received: what came of it, or a `Sealed`.
        """
        if not self.active or (self.records_nothing and not self._is_replayed()):
            return None
        base = context_now()
        here = step_of(base)
        handoff = self._handed_over(passing, here)
        self._tell(handoff, span_parent(passing.parent or passing.sent_by, here, base), received)
        return handoff

    def _is_replayed(self) -> bool:
        replaying = self.replaying
        return replaying is not None and replaying.is_in_force()

    def cause(self, step: OpenStep, cause: Cause) -> None:
        """Add a cause that was found after the step had begun."""
        step.causes.append(cause)
        self._link_span(step, cause)

    def decide(self, step: OpenStep, choice: Choice) -> None:
        """Note a decision on a step."""
        step.chose(choice.without_content() if self._withholds else choice)

    def fail(self, step: OpenStep, text: str, kind: str) -> None:
        """Note that a step failed without an exception, as an answer says; end it with the status `error`.

        Args:
            step: the step.
            text: what the answer says of it; kept only where content may be kept.
            kind: what sort of error it is, in place of the exception's type.
        """
        step.attributes[semconv.ERROR_TYPE] = kind
        step.error = kind if self._withholds or not text else text

    def _made(self, opening: Opening, here: StepRef | None, arrivals: Sequence[OpenStep]) -> OpenStep:
        """Return the step of an opening, with what it received and without a span."""
        parent = opening.parent if opening.parent is not None else here
        if parent is None and opening.chain_id is None and opening.kind in MEMORY_KINDS:
            opening.chain_id = self._outside
        replaying = self.replaying  # read once: another thread's replay may end meanwhile
        if replaying is not None:
            replaying.opening(opening, parent)
        step = new_step(opening, parent, arrivals)
        if parent is None:
            if self.level != "full":
                step.attributes[semconv.LEVEL] = self.level
            if self.packages:
                step.attributes[semconv.PACKAGES] = self.packages
                step.attributes[semconv.REDACTION] = "off" if self._redact is None else "on"
        elif type(parent) is RemoteStep:
            step.attributes[semconv.ENTERED] = True
        if self._withholds and opening.kind == "request":
            step.name = "request"  # its name is what somebody asked
        if self._redact is not None:
            step.name = self._redact.name(step.name)
            step.agent = None if step.agent is None else self._redact.name(step.agent)
        received = opening.received
        if received is not NOTHING:
            sealed = received if type(received) is Sealed else self.seal(received)
            step.received, bodies = sealed
            step.bodies += bodies
        if replaying is not None:
            replaying.begun(step)
        return step

    def _taken(self, opening: Opening, here: StepRef | None) -> Sequence[OpenStep]:
        """Return the steps of the handoffs that end in the step of an opening; those told only now are made now."""
        return [self._handed_over(one, here) if isinstance(one, Passing) else one for one in opening.arrivals]

    def _handed_over(self, passing: Passing, here: StepRef | None) -> OpenStep:
        """Return the step of a handoff that is told as it is received."""
        handoff = self._made(passing.opening(), here, ())
        sent_by = passing.sent_by
        handoff.hop = (handoff.hop if sent_by is None else sent_by.hop) + 1
        return handoff

    def _passed(
        self,
        opening: Opening,
        arrivals: Sequence[OpenStep],
        step: OpenStep,
        standing: tuple[Context, Context, StepRef | None],
    ) -> Sequence[OpenStep]:
        """Tell the handoffs that begin and end where a step receives them; returns those that had begun before.

        Args:
            opening: what was said of the step.
            arrivals: the handoffs that end in it, in the same order.
            step: the step.
            standing: the context of its span's parent, the current one, and whose work stands in that.
        """
        parent, base, here = standing
        open_ones: list[OpenStep] = []
        came: Cause | None = None  # the same for all of them
        room = MAX_LINKS - len(opening.causes)
        for nth, (told, handoff) in enumerate(zip(opening.arrivals, arrivals, strict=True)):
            if isinstance(told, Passing):
                stands = told.parent or told.sent_by
                around = parent if stands is opening.parent else span_parent(stands, here, base)
                if came is None:
                    came = arrival(step)
                self._pass(handoff, step, around, came, nth < room)
            else:
                open_ones.append(handoff)
        return open_ones

    @guarded
    def _tell(self, handoff: OpenStep, parent: Context, received: object) -> None:
        try:
            self.produce(handoff, received)
            if handoff.received is not None and handoff.produced is not None:
                is_equal = handoff.received.digest == handoff.produced.digest
                handoff.attributes[semconv.TRANSFER_EQUAL] = is_equal
        finally:  # it was sent, whatever came of it
            self._is_over(handoff)
            try:
                self._whole_span(handoff, parent)
            finally:
                self.write(handoff, is_clean=True)

    @guarded
    def _pass(
        self, handoff: OpenStep, receiver: OpenStep, parent: Context, came: Cause, is_linked: bool
    ) -> None:
        """Tell a handoff that begins and ends here: its span is made in one go, linked to both of its ends."""
        received_by(handoff, receiver)
        self._is_over(handoff)
        try:
            self._whole_span(handoff, parent, came)
            if is_linked:
                grade = handoff.causes[0].grade if handoff.causes else "declared"
                self._link_span(receiver, Cause(handoff.id, "transfer", grade, "", handoff.span_context))
        finally:
            self.write(handoff, is_clean=True)

    def _is_over(self, handoff: OpenStep) -> None:
        handoff.ended_ns, handoff.status = max(handoff.started_ns, clock.now_ns()), "ok"
        self.clean(handoff)


def received_by(handoff: OpenStep, receiver: OpenStep) -> None:
    """Note on a handoff who received it, and what."""
    sent, came = handoff.received, receiver.received
    handoff.produced = came
    if sent is not None and came is not None:
        handoff.attributes[semconv.TRANSFER_EQUAL] = sent.digest == came.digest
    handoff.attributes[semconv.TRANSFER_RECEIVED_BY] = receiver.id


def arrival(receiver: OpenStep) -> Cause:
    """Return the link of a handoff's span to the step that received it."""
    return Cause(receiver.id, "transfer", "declared", span_context=receiver.span_context)
