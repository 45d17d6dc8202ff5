"""What befalls a message between its sending and its arrival: facts, put on its handoffs as attributes.

Nothing here judges. A message that came twice, that overtook another, that an intervention handler changed or that
nobody got is told as what it is; whether that is a fault depends on the app.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry import context as otel_context
from opentelemetry.context import Context

from becausal import semconv
from becausal.recorder import Recorder, Sealed
from becausal.step import Attribute, Cause, OpenStep
from becausal_integrations.autogen.carrier import Carrier
from becausal_integrations.autogen.ledger import Recent
from becausal_integrations.patch import Notice

if TYPE_CHECKING:
    pass

__all__ = [
    "ANSWER_TO",
    "DUPLICATE",
    "EDITED_BY",
    "ERROR",
    "INTERVENTION",
    "OVERTAKEN",
    "UNDELIVERED",
    "UNDONE",
    "UNHANDLED",
    "Deliveries",
]

UNDELIVERED = "autogen.undelivered"
"""Why nobody received a message."""

INTERVENTION = "autogen.intervention"
"""The classes of the intervention handlers that changed, dropped or refused a message."""

UNDONE = "autogen.intervention.undone"
"""Those whose changed copy was not delivered: a later handler is given the original again, and its result counts
(autogen-core 0.7, `_process_next`)."""

DUPLICATE = "autogen.duplicate"
"""The agent had got this message already."""

OVERTAKEN = "autogen.overtaken"
"""The agent had got a later message of the same sender before this one."""

EDITED_BY = "autogen.edited_by"
"""The id of the step that is taken to have edited the shared message object in place: the last one that had it."""

UNHANDLED = "autogen.unhandled"
"""The turn ended in `on_unhandled_message`: the agent has no handler that takes this message."""

ERROR = "autogen.error"
"""What became of a handler's exception: `swallowed`, or `raised later`, when the runtime is stopped."""

ANSWER_TO = "autogen.answer_to"
"""The id of the handoff that an answer was really given to, where another one's sender got it: the gRPC host tells
answers apart by the number of the request alone, and every worker counts from 1 (autogen-ext 0.7)."""

MOST_WAYS = 10_000
"""Pairs of a sender and a receiver whose last message is remembered, and ids that the app gave."""

_JUDGING = otel_context.create_key("becausal-autogen-judging")


class Verdict(NamedTuple):
    """What one intervention handler did to a message."""

    handler: str
    at: int
    """Its place among the handlers that ran."""
    what: str
    """`edited` in place, `replaced` by another, `dropped`, or `raised` and the exception's type."""


class Judging:
    """A message that intervention handlers are looking at."""

    def __init__(self) -> None:
        self.envelope: Any = None
        self.verdicts: list[Verdict] = []
        self.ran = 0


class Deliveries:
    """Tells what befell messages on their way."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._last: Recent[int] = Recent(MOST_WAYS)
        self._given: Recent[bool] = Recent(MOST_WAYS)
        self.next = Notice(self._judging, self._judged, within=_with_judging)
        self.taken = Notice(after=_taken)
        self.intervention = Notice(self._shown, self._decided)

    # Intervention handlers: the runtime asks each in turn, in a task in which no sender's context is left

    def _judging(self, runtime: Any) -> Judging | None:
        return Judging() if runtime._intervention_handlers else None

    def _shown(self, handler: Any, message: Any, *_: Any, **__: Any) -> tuple[str, Any, Sealed] | None:
        judging = _judging_here()
        if judging is None:
            return None
        judging.ran += 1
        return type(handler).__name__, message, self._recorder.seal(message)

    def _decided(
        self, shown: tuple[str, Any, Sealed] | None, result: Any, error: BaseException | None
    ) -> None:
        judging = _judging_here()
        if shown is None or judging is None:
            return
        what = self._what(shown[1], shown[2].payload.digest, result, error)
        if what:
            judging.verdicts.append(Verdict(shown[0], judging.ran, what))

    def _what(self, message: Any, digest: str, result: Any, error: BaseException | None) -> str:
        from autogen_core import DropMessage

        if error is not None:
            return f"raised {type(error).__qualname__}"
        if result is DropMessage or isinstance(result, DropMessage):
            return "dropped"
        if self._recorder.seal(message).payload.digest != digest:
            return "edited"
        replaced = result is not message and self._recorder.seal(result).payload.digest != digest
        return "replaced" if replaced else ""

    def _judged(self, judging: Judging | None, _: None, error: BaseException | None) -> None:
        """Tell of a message that no handler let through: it never gets to what would deliver it."""
        if judging is None or judging.envelope is None or not judging.verdicts:
            return
        last = judging.verdicts[-1]
        if last.what == "dropped" or last.what.startswith("raised"):
            carrier = judging.envelope.metadata._becausal
            carrier.notes[INTERVENTION] = (last.handler,)
            self.lost(carrier, f"{last.what} by an intervention handler", judging.envelope.message)

    def passed(self, carrier: Carrier, envelope: Any) -> None:
        """Note on a message what the handlers that let it through did to it."""
        judging = _judging_here()
        if judging is None or judging.envelope is not envelope or not judging.verdicts:
            return
        undone = [v.handler for v in judging.verdicts if v.what == "replaced" and v.at < judging.ran]
        done = [v.handler for v in judging.verdicts if v.what == "edited" or v.at == judging.ran]
        for name, handlers in ((INTERVENTION, done), (UNDONE, undone)):
            if handlers:
                carrier.notes[name] = tuple(dict.fromkeys(handlers))
        carrier.as_it_left = None

    # Arriving

    def arrived(self, carrier: Carrier, handoff: OpenStep, agent_id: str, received: Sealed) -> None:
        """Note what shows at a recipient: whether it came twice, late, or edited by somebody who had it before."""
        notes = handoff.attributes
        notes.update(carrier.notes)
        if self._came_before(carrier, agent_id):
            notes[DUPLICATE] = True
        elif carrier.source is not None and carrier.number:
            way = f"{carrier.source} {agent_id}"
            last = self._last.find(way) or 0
            if last > carrier.number:
                notes[OVERTAKEN] = True
            else:
                self._last.put(way, carrier.number)
        self._compared(carrier, handoff, received.payload.digest)
        carrier.receivers[agent_id] = handoff

    def _came_before(self, carrier: Carrier, agent_id: str) -> bool:
        if agent_id in carrier.receivers:
            return True
        if carrier.message_id is None:
            return False
        key = f"{carrier.message_id} {agent_id}"
        if self._given.find(key):
            return True
        self._given.put(key, True)
        return False

    def _compared(self, carrier: Carrier, handoff: OpenStep, digest: str) -> None:
        if carrier.as_it_left is None or digest == carrier.as_it_left:
            carrier.as_it_left = digest
            return
        if carrier.edited is None or carrier.edited[0] != digest:
            editor = _last_holder(carrier)
            if editor is None:
                return
            carrier.edited = digest, editor
        handoff.attributes[EDITED_BY] = carrier.edited[1]
        evidence = "had the shared message object before it was found edited"
        self._recorder.cause(handoff, Cause(carrier.edited[1], "data", "inferred", evidence))

    # Nobody received it

    def lost(self, carrier: Carrier, why: str, message: object) -> None:
        """End the handoff of a message that nobody received; one that stands for it where there was none yet."""
        handoff, carrier.handoff = carrier.handoff, None
        if handoff is None:
            handoff = self.transfer(carrier, None, why, message)
        if handoff is not None:
            handoff.attributes.update(carrier.notes)
            handoff.attributes[UNDELIVERED] = why
            self._recorder.end(handoff)

    def transfer(
        self, carrier: Carrier, receiver: str | None, evidence: str, message: object
    ) -> OpenStep | None:
        """Open the handoff of a broadcast to one of its recipients; to nobody where `receiver` is None."""
        attributes: dict[str, Attribute] = {} if carrier.topic is None else {DESTINATION: carrier.topic}
        return self._recorder.handoff(
            carrier.sender or "team",
            receiver,
            message if carrier.sent is None else carrier.sent,
            sent_by=carrier.step,
            parent=carrier.stage,
            cause=carrier.cause(evidence),
            attributes=attributes,
        )

    def discarded(self, envelopes: Sequence[Any]) -> None:
        """Tell of the messages that a runtime throws away as it is stopped."""
        for envelope in envelopes:
            carrier = getattr(envelope.metadata, "_becausal", None)
            if carrier is not None and carrier.step is not None:
                self.lost(carrier, "the runtime was stopped", envelope.message)


DESTINATION = "messaging.destination.name"
"""OpenTelemetry's name for a topic."""


def _last_holder(carrier: Carrier) -> str | None:
    """Return whoever had the message last: the recipient before this one, or the sender.

    The runtime brings a message to its recipients one after another, and each runs up to where it first waits.
    """
    last = next(reversed(carrier.receivers.values()), None)
    turn = None if last is None else last.attributes.get(semconv.TRANSFER_RECEIVED_BY)
    if isinstance(turn, str):
        return turn
    return None if carrier.step is None else carrier.step.id


def _judging_here() -> Judging | None:
    return otel_context.get_value(_JUDGING)  # type: ignore[return-value]


def _with_judging(judging: Judging | None) -> Context | None:
    return None if judging is None else otel_context.set_value(_JUDGING, judging)


def _taken(_: None, envelope: Any, error: BaseException | None) -> None:
    """Note which message the handlers are about to look at: the runtime takes it from its queue and tells nobody."""
    judging = _judging_here()
    if judging is not None and error is None:
        judging.envelope = envelope
