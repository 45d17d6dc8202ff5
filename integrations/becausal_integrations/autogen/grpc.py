"""AutoGen's gRPC runtime: what a message brings along from one process to another.

The envelope carries one text more, `becausal`, in the metadata of a request or an answer and among the attributes of a
CloudEvent. The host passes both on as they are, and a worker without becausal never looks at it. It holds the context
and the digest of what was sent, as it was in the sender: what arrives is compared with that, so that all shows that the
serialization does not keep (a tuple becomes a list, a subclass loses its fields).

The handoff of a direct message, and of the answer to one, is written by both ends and joined by its id. Who gets a
broadcast is known where it arrives alone, so the whole handoff of each recipient is written there.

Source: autogen-ext 0.7.5, `runtimes/grpc/_worker_runtime.py`, `_worker_runtime_host_servicer.py`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry import trace
from opentelemetry.context import Context

from becausal import clock
from becausal.context import stand_in, with_step
from becausal.envelope import Sent, told
from becausal.recorder import Recorder, Sealed
from becausal.step import Cause, RemoteStep, StepRef
from becausal_integrations.autogen.answers import Answers
from becausal_integrations.autogen.carrier import Carrier, arriving, sending, with_arriving
from becausal_integrations.autogen.deliveries import ANSWER_TO, MESSAGE_ID, Deliveries
from becausal_integrations.autogen.protobuf import plain
from becausal_integrations.autogen.runtime import Runtime, was_sent
from becausal_integrations.identity import ByIdentity
from becausal_integrations.patch import Notice

if TYPE_CHECKING:
    from asyncio import Future

__all__ = ["Wire"]

KEY = "becausal"
"""What the text is called, among metadata and attributes."""


Said = dict[str, Any]
"""What a wire brought, unchecked."""


class Coming(NamedTuple):
    """An answer that has come in."""

    future: Future[Any] | None
    asked: Carrier | None
    read: tuple[Sent, Said] | None


class Wire:
    """Describes what passes between workers."""

    def __init__(
        self, recorder: Recorder, runtime: Runtime, deliveries: Deliveries, answers: Answers
    ) -> None:
        self._recorder, self._runtime = recorder, runtime
        self._deliveries, self._answers = deliveries, answers
        self._asked: ByIdentity[Carrier] = ByIdentity()
        """What was asked, by the future in which its answer is awaited."""
        self.direct = Notice(self._addressed, runtime.sent)
        self.broadcast = Notice(self._published, was_sent)
        self.put = Notice(self._put)
        self.answering = Notice(after=self._answering)
        self.request = Notice(lambda _, request: self._requested(request), self._arrived, within=_standing)
        self.event = Notice(lambda _, event: self._announced(event), self._arrived, within=_standing)
        self.response = Notice(self._answered, self._came_back, within=_where_it_was_asked)
        self.hosted_request = Notice(lambda host, request, _: (host, request), self._nobody_to_ask)
        self.hosted_event = Notice(lambda host, event: (host, event), self._nobody_to_tell)

    # Sending

    def _addressed(self, *args: Any, **kwargs: Any) -> Carrier | None:
        carrier = self._runtime.addressed(*args, **kwargs)
        if carrier is not None and carrier.handoff is not None and carrier.step is not None:
            carrier.wire = _wire(carrier, carrier.handoff, carrier.step, carrier.handoff.started_ns)
        return carrier

    def _published(self, *args: Any, **kwargs: Any) -> Carrier | None:
        carrier = self._runtime.published(*args, **kwargs)
        if carrier is not None and carrier.sent is not None and carrier.step is not None:
            carrier.wire = _wire(carrier, carrier.step, carrier.stage or carrier.step, 0)
        return carrier

    def _put(self, runtime: Any, message: Any, *_: Any, **__: Any) -> None:
        """Put the text on an envelope that is about to leave, and end the sender's half."""
        carrier = sending()
        if carrier is None or not carrier.wire:
            return
        if message.WhichOneof("message") == "request":
            message.request.metadata[KEY] = carrier.wire
            future = runtime._pending_requests.get(message.request.request_id)
            if future is not None:
                self._asked.put(future, carrier)
            handoff, carrier.handoff = carrier.handoff, None
            if handoff is not None:
                self._recorder.end(handoff)
        else:
            message.cloudEvent.attributes[KEY].ce_string = carrier.wire

    # Arriving

    def _requested(self, request: Any) -> Carrier | None:
        read = _read(request.metadata[KEY]) if KEY in request.metadata else None
        if read is None:
            return None
        sent, said = read
        carrier, half = _brought(*read), sent.half()
        given = said.get("message_id")
        if isinstance(given, str) and given and given != request.request_id:
            carrier.note(MESSAGE_ID, given)
        # As the sender's half has it.
        half.causes = [Cause(sent.parent_id or half.id, "transfer", "observed", "direct message")]
        carrier.asked_by, carrier.handoff = half.id, self._recorder.take_up(half)
        return carrier

    def _announced(self, event: Any) -> Carrier | None:
        read = _read(event.attributes[KEY].ce_string) if KEY in event.attributes else None
        if read is None:
            return None
        carrier = _brought(*read)
        carrier.topic, carrier.message_id = event.type, event.id
        return carrier

    def _arrived(self, carrier: Carrier | None, _: None, error: BaseException | None) -> None:
        """Tell of a message that came in and got to no agent, since it could not be read."""
        if carrier is not None and not carrier.arrivals and error is not None:
            self._deliveries.lost(carrier, f"{type(error).__qualname__} at the receiver", None)

    # The answer

    def _answering(self, _: None, metadata: dict[str, str] | None, error: BaseException | None) -> None:
        request = arriving()
        if metadata is None or request is None or request.answer is None or not request.is_remote:
            return
        handoff = self._answers.handoff(request)
        if handoff is None or handoff.received is None:
            return
        text = told(
            handoff,
            handoff.received,
            handoff.agent or "",
            request.sender,
            handoff.parent_id or "",
            handoff.started_ns,
        )
        metadata[KEY] = json.dumps({**text, "answers": request.asked_by})
        self._recorder.end(handoff)

    def _answered(self, runtime: Any, response: Any) -> Coming:
        future = runtime._pending_requests.get(response.request_id)
        asked = None if future is None else self._asked.get(future)
        return Coming(future, asked, _read(response.metadata[KEY]) if KEY in response.metadata else None)

    def _came_back(self, coming: Coming, _: None, error: BaseException | None) -> None:
        if coming.read is None or coming.future is None or error is not None or coming.future.cancelled():
            return
        sent, said = coming.read
        clock.witness(sent.handoff.seq)
        handoff = self._recorder.take_up(sent.half())
        if handoff is None:
            return
        answers = said.get("answers")
        if coming.asked is not None and answers and answers != coming.asked.asked_by:
            handoff.attributes[ANSWER_TO] = str(answers)
        received = self._recorder.seal(plain(coming.future.result()))
        self._answers.back(handoff, received, None if coming.asked is None else coming.asked.step)

    # The host: the one that knows that there is nobody

    def _nobody_to_ask(self, hosted: tuple[Any, Any], _: None, error: BaseException | None) -> None:
        host, request = hosted
        if request.target.type in host._agent_type_to_client_id or KEY not in request.metadata:
            return
        carrier = self._requested(request)
        if carrier is not None:
            self._deliveries.lost(carrier, "no such agent", None)

    def _nobody_to_tell(self, hosted: tuple[Any, Any], _: None, error: BaseException | None) -> None:
        from autogen_core import TopicId

        host, event = hosted
        found = host._subscription_manager._subscribed_recipients.get(TopicId(event.type, event.source), ())
        if KEY in event.attributes and not any(
            agent.type in host._agent_type_to_client_id for agent in found
        ):
            carrier = self._announced(event)
            if carrier is not None:
                self._deliveries.lost(carrier, "no subscriber", None)


def _wire(carrier: Carrier, tells: StepRef, parent: StepRef, started_ns: int) -> str:
    """Return what another process is to know: of the handoff of a direct message, or of who sends a broadcast."""
    if carrier.sent is None:
        return ""
    receiver = carrier.receiver
    text = told(tells, carrier.sent.payload, carrier.sender, receiver, parent.id, started_ns)
    own = {"source": carrier.source or "", "number": carrier.number, "message_id": carrier.message_id or ""}
    return json.dumps({**text, **own})


def _read(text: str) -> tuple[Sent, Said] | None:
    said = json.loads(text)
    sent = Sent.read(said)
    return None if sent is None else (sent, said)


def _brought(sent: Sent, said: Said) -> Carrier:
    """Return the carrier of a message that another process sent."""
    clock.witness(sent.handoff.seq)
    told_by = sent.handoff
    # Its step and its span alone: the app's own baggage does not cross this wire without us either.
    context = with_step(told_by, Context())
    if told_by.span_context is not None:
        context = trace.set_span_in_context(stand_in(told_by.span_context), context)
    stage = RemoteStep(
        sent.parent_id or told_by.id,
        told_by.chain_id,
        told_by.seq,
        told_by.hop,
        span_context=told_by.span_context,
    )
    number, source = said.get("number"), said.get("source")
    carrier = Carrier(context, told_by, stage)
    carrier.sender, carrier.sent, carrier.is_remote = sent.sender, Sealed(sent.payload), True
    if isinstance(source, str) and source:
        carrier.source = source
    if isinstance(number, int):
        carrier.number = number
    return carrier


def _standing(carrier: Carrier | None) -> Context | None:
    return None if carrier is None else with_arriving(carrier)


def _where_it_was_asked(coming: Coming) -> Context | None:
    asked = coming.asked
    return None if asked is None or asked.step is None else with_step(asked.step, asked.context)
