"""The answer to a direct message: what the agent returned, on its way back to whoever asked."""

from __future__ import annotations

from typing import Any

from becausal import semconv
from becausal.context import context_now, step_of
from becausal.recorder import Recorder, Sealed
from becausal.step import OpenStep, StepRef
from becausal_integrations.autogen.carrier import Carrier, arriving, carrier_of, standing_clear
from becausal_integrations.autogen.deliveries import Deliveries
from becausal_integrations.autogen.ledger import cause
from becausal_integrations.autogen.protobuf import plain

__all__ = ["Answers"]

Coming = tuple[Carrier | None, Any, Sealed | None]
"""An answer's carrier, the future in which it is awaited, and what it says as it arrives."""


class Answers:
    """Describes answers. One that says nothing (None: it was handled) is no handoff.

    Whoever asked is not caused by the answer as a whole: it asked, which caused the answer. So the handoff says who
    received it, and what the asker does with it shows in what it sends later.
    """

    def __init__(self, recorder: Recorder, deliveries: Deliveries) -> None:
        self._recorder, self._deliveries = recorder, deliveries

    def carrier(self) -> Carrier:
        """Return the carrier of what is sent without a sending: the answer to the direct message handled here."""
        here = context_now()
        carrier = Carrier(standing_clear(here)[0], step_of(here))
        carrier.is_answer = True
        request = arriving()
        if request is not None:
            carrier.has_readers = request.has_readers
        if request is not None and request.answer is not None:
            carrier.sender = request.answer[0].agent or ""
            carrier.handoff = self.handoff(request)
        return carrier

    def handoff(self, request: Carrier) -> OpenStep | None:
        """Open the handoff of an answer, from the agent that a direct message went to back to its sender."""
        if request.answer is None:
            return None
        turn, produced = request.answer
        return self._recorder.handoff(
            turn.agent,
            request.sender,
            Sealed(produced.payload),  # its body went with the turn
            sent_by=turn,
            parent=request.stage if request.is_remote else request.step,
            cause=cause(turn, "transfer", "answer"),
        )

    def coming_back(self, _: Any, envelope: Any) -> Coming:
        """Seal an answer as it arrives, before whoever asked can change it."""
        carrier = carrier_of(envelope)
        handoff = None if carrier is None else carrier.handoff
        return (
            carrier,
            envelope.future,
            None if handoff is None else self._recorder.seal(plain(envelope.message)),
        )

    def came_back(self, coming: Coming, _: None, error: BaseException | None) -> None:
        """End the handoff of an answer, at whoever asked or at nobody."""
        carrier, future, received = coming
        if carrier is None or carrier.handoff is None or received is None:
            return
        if future.cancelled():
            self._deliveries.lost(carrier, "the sender stopped waiting", None)
            return
        handoff, carrier.handoff = carrier.handoff, None
        handoff.attributes.update(carrier.notes or ())
        self.back(handoff, received, carrier.step)

    def back(self, handoff: OpenStep, received: Sealed, sender: StepRef | None) -> None:
        """End the handoff of an answer at whoever asked."""
        if handoff.received is not None:
            handoff.attributes[semconv.TRANSFER_EQUAL] = handoff.received.digest == received.payload.digest
        if sender is not None:
            handoff.attributes[semconv.TRANSFER_RECEIVED_BY] = sender.id
        self._recorder.end(handoff, received)
