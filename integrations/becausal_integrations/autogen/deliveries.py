"""What befalls a message between its sending and its arrival: facts, put on its handoffs as attributes.

Nothing here judges. A message that came twice, that overtook another, that an intervention handler changed or that
nobody got is told as what it is; whether that is a fault depends on the app.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from becausal import semconv
from becausal.recorder import Recorder, Sealed
from becausal.step import Attribute, Cause, OpenStep
from becausal_integrations.autogen.carrier import Carrier, carrier_of
from becausal_integrations.identity import Recent

if TYPE_CHECKING:
    pass

__all__ = [
    "ANSWER_TO",
    "DUPLICATE",
    "EDITED_BY",
    "ERROR",
    "MESSAGE_ID",
    "OVERTAKEN",
    "UNDELIVERED",
    "UNHANDLED",
    "Deliveries",
]

UNDELIVERED = "autogen.undelivered"
"""Why nobody received a message."""

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

MESSAGE_ID = "autogen.message_id"
"""The id that the app gave a direct message, where its receiver is told another: the gRPC runtime tells it the number
of the request (autogen-ext 0.7)."""

MOST_WAYS = 10_000
"""Pairs of a sender and a receiver whose last message is remembered, and ids that the app gave."""


class Deliveries:
    """Tells what befell messages on their way."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._last: Recent[int] = Recent(MOST_WAYS)
        self._given: Recent[bool] = Recent(MOST_WAYS)

    # Arriving

    def arrived(self, carrier: Carrier, handoff: OpenStep, agent_id: str, received: Sealed) -> None:
        """Note what shows at a recipient: whether it came twice, late, or edited by somebody who had it before."""
        notes = handoff.attributes
        notes.update(carrier.notes or ())
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
        carrier.received(agent_id, handoff)

    def _came_before(self, carrier: Carrier, agent_id: str) -> bool:
        if carrier.receivers is not None and agent_id in carrier.receivers:
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
        if handoff is None and not carrier.is_answer:
            handoff = self.transfer(carrier, None, why, message)
        if handoff is not None:
            handoff.attributes.update(carrier.notes or ())
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
            carrier = carrier_of(envelope)
            if carrier is not None and carrier.step is not None:
                self.lost(carrier, "the runtime was stopped", envelope.message)


DESTINATION = "messaging.destination.name"
"""OpenTelemetry's name for a topic."""


def _last_holder(carrier: Carrier) -> str | None:
    """Return whoever had the message last: the recipient before this one, or the sender.

    The runtime brings a message to its recipients one after another, and each runs up to where it first waits.
    """
    last = next(reversed((carrier.receivers or {}).values()), None)
    turn = None if last is None else last.attributes.get(semconv.TRANSFER_RECEIVED_BY)
    if isinstance(turn, str):
        return turn
    return None if carrier.step is None else carrier.step.id
