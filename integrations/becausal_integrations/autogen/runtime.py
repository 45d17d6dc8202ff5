"""A runtime, whichever it is: where messages are sent, where each arrives, and where its answer comes back."""

from __future__ import annotations

import functools
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context

from becausal import semconv
from becausal.context import context_now, current, step_of, with_step
from becausal.guard import guarded
from becausal.recorder import NOTHING, Observation, Opening, Recorder, Sealed
from becausal.step import Attribute, OpenStep, StepRef
from becausal_integrations.autogen import describe, native
from becausal_integrations.autogen.answers import Answers
from becausal_integrations.autogen.carrier import (
    Carrier,
    arriving,
    carrier_of,
    sending,
    sends,
    standing_clear,
)
from becausal_integrations.autogen.deliveries import Deliveries
from becausal_integrations.autogen.interventions import Interventions
from becausal_integrations.autogen.ledger import Ledger
from becausal_integrations.autogen.protobuf import plain
from becausal_integrations.autogen.state import States
from becausal_integrations.autogen.turns import Turn, Turns
from becausal_integrations.identity import ByIdentity
from becausal_integrations.patch import Make, Notice

if TYPE_CHECKING:
    from autogen_core import AgentId, MessageContext, TopicId
    from autogen_core._telemetry import EnvelopeMetadata

__all__ = ["RECIPIENT", "TOPIC", "Carrier", "Runtime", "arriving", "stands_apart"]

RECIPIENT = "autogen.recipient"
"""To whom the app sent the message that a request began with, `type/key`."""

TOPIC = "autogen.topic"
"""On which topic it published it, `type/source`."""


class Runtime:
    """Describes what passes through a runtime."""

    def __init__(
        self,
        recorder: Recorder,
        ledger: Ledger,
        states: States,
        deliveries: Deliveries,
        interventions: Interventions,
        answers: Answers,
    ) -> None:
        self._recorder, self._ledger, self._states = recorder, ledger, states
        self._deliveries, self._interventions, self._answers = deliveries, interventions, answers
        turns = Turns(recorder)
        self._of_teams: ByIdentity[bool] = ByIdentity()
        """Whether an agent's class belongs to the workings of teams: they get most of the messages."""
        self._numbers = count(1)
        self.direct_request = Observation(self._direct_request)
        self.broadcast_request = Observation(self._broadcast_request, lambda step, result: NOTHING)
        self.direct = Notice(self.addressed, self.sent)
        self.broadcast = Notice(self.published, was_sent)
        self.delivered = Notice(scope=self._unpacked)
        self.distributed = Notice(None, self._distributed, self._unpacked)
        self.answered = Notice(answers.coming_back, answers.came_back, self._unpacked)
        self.stopping = Notice(
            lambda runtime: self._deliveries.discarded(list(runtime._message_queue._queue))
        )
        self.unhandled = Notice(turns.unhandled)
        self.delivery = Observation(self._delivery, turns.handled, turns.failed)

    # A message from outside every chain is a request

    def _direct_request(self, runtime: Any, message: Any, recipient: AgentId, **_: Any) -> Opening | None:
        return self._request(runtime, message, recipient.type, {RECIPIENT: str(recipient)})

    def _broadcast_request(self, runtime: Any, message: Any, topic_id: TopicId, **_: Any) -> Opening | None:
        return self._request(runtime, message, topic_id.type, {TOPIC: str(topic_id)})

    def _request(
        self, runtime: Any, message: Any, name: str, attributes: dict[str, Attribute]
    ) -> Opening | None:
        if current() is not None or describe.is_of_a_team(message):
            return None
        attributes[semconv.ENTRY] = True
        causes = self._states.goes_on(runtime)
        return Opening("request", name, received=plain(message), causes=causes, attributes=attributes)

    # Sending

    def addressed(
        self,
        runtime: Any,
        message: Any,
        recipient: AgentId,
        *,
        sender: AgentId | None = None,
        message_id: str | None = None,
        **_: Any,
    ) -> Carrier | None:
        """Open the handoff of a direct message."""
        carrier = self._sending(runtime, message, sender, message_id)
        if carrier is not None and carrier.sent is not None:
            carrier.handoff = self._recorder.handoff(
                carrier.sender,
                recipient.type,
                carrier.sent,
                sent_by=carrier.step,
                cause=carrier.cause("direct message"),
            )
            carrier.receiver, carrier.asked_by = (
                recipient.type,
                "" if carrier.handoff is None else carrier.handoff.id,
            )
        sends(carrier)
        return carrier

    def published(
        self,
        runtime: Any,
        message: Any,
        topic_id: TopicId,
        *,
        sender: AgentId | None = None,
        message_id: str | None = None,
        **_: Any,
    ) -> Carrier | None:
        """Seal a broadcast; who gets it is not known yet."""
        carrier = self._sending(runtime, message, sender, message_id)
        if carrier is not None:
            carrier.topic = topic_id.type
        sends(carrier)
        return carrier

    def sent(self, carrier: Carrier | None, _: Any, error: BaseException | None) -> None:
        """End the handoff of a direct message that could not be delivered: the sender was told so.

        Not where the sender stopped waiting: the message is still on its way.
        """
        sends(None)
        if carrier is not None and carrier.handoff is not None and isinstance(error, Exception):
            self._deliveries.lost(carrier, f"{type(error).__qualname__} at the sender", None)

    def _sending(
        self, runtime: Any, message: Any, sender: AgentId | None, message_id: str | None
    ) -> Carrier | None:
        here = context_now()
        step = step_of(here)
        if step is None:
            return None
        if sender is None:  # from outside: what the runtime's agents are later comes from this
            self._states.worked(runtime, step)
        context, former = standing_clear(here)
        carrier = Carrier(context, step, (former.stage if former is not None else None) or step)
        carrier.has_readers = native.makes_spans(getattr(runtime, "_tracer_helper", None)) is not False
        brought = describe.chat_messages(message)
        if brought is not None:
            for chat_message in brought:
                self._ledger.origin(chat_message, step)
            if not brought and sender is not None and describe.gives_a_turn(message):
                carrier.route = self._ledger.routes.find(str(sender))
            return carrier
        carrier.sender = describe.agent_name(sender, step.agent)
        carrier.source = None if sender is None else str(sender)
        carrier.sent = self._ledger.keep(step, plain(message))
        carrier.as_it_left = carrier.sent.payload.digest
        carrier.number, carrier.message_id = next(self._numbers), message_id
        return carrier

    def packing(self, recorder: Recorder) -> Make:
        """Return what makes the hook of what AutoGen puts on each envelope: the sender's span, and here its carrier."""

        def make(original: Callable[[], EnvelopeMetadata]) -> Callable[[], EnvelopeMetadata]:
            from autogen_core._telemetry import EnvelopeMetadata

            @guarded
            def carried() -> tuple[Carrier, EnvelopeMetadata | None]:
                carrier = sending() or self._answers.carrier()
                # AutoGen would parse the sender's span for each of its own, which it does not make.
                return carrier, None if carrier.has_readers else put(EnvelopeMetadata(), carrier)

            @functools.wraps(original)
            def packed() -> EnvelopeMetadata:
                found = carried() if recorder.active else None
                if found is None:
                    return original()
                carrier, metadata = found
                if metadata is None:
                    metadata = original()
                    put_safely(metadata, carrier)
                return metadata

            put_safely = guarded(put)
            return packed

        def put(metadata: EnvelopeMetadata, carrier: Carrier) -> EnvelopeMetadata:
            metadata._becausal = carrier  # type: ignore[attr-defined]  # lives and dies with the envelope
            return metadata

        return make

    # Arriving

    def _unpacked(self, _: Any, message_envelope: Any) -> Context | None:
        carrier = carrier_of(message_envelope)
        if carrier is None or carrier.step is None:
            return None
        if self._interventions.at_work:
            self._interventions.passed(carrier, message_envelope)
        # The sender's span, not AutoGen's own one for the sending: or each message would nest one deeper.
        return with_step(carrier.step, carrier.context, carrier.brings)

    def _distributed(self, came: tuple[Any, Any], _: None, error: BaseException | None) -> None:
        runtime, envelope = came
        carrier = carrier_of(envelope)
        if carrier is None or carrier.sent is None or carrier.arrivals:
            return
        found = runtime._subscription_manager._subscribed_recipients.get(envelope.topic_id, ())
        # What goes wrong in making an agent is logged, and the message gets to nobody.
        failed = any(agent != envelope.sender for agent in found)
        why = "no recipient could be made" if failed else "no subscriber"
        self._deliveries.lost(carrier, why, envelope.message)

    def _delivery(self, agent: Any, message: Any, ctx: MessageContext) -> Opening | None:
        carrier = arriving()
        if carrier is not None:
            carrier.arrivals += 1
        kind = type(agent)
        of_team = self._of_teams.get(kind)
        if of_team is None:
            of_team = describe.is_team_agent(agent)
            self._of_teams.put(kind, of_team)
        if of_team:
            return None
        name, received = agent.id.type, self._recorder.seal(plain(message))
        handoff = None if carrier is None else self._arrived(carrier, agent, received, ctx)
        if describe.is_unhandled(agent, message):
            if carrier is not None and handoff is not None:
                carrier.handoff = handoff
                self._deliveries.lost(carrier, f"no handler for {type(message).__name__}", message)
            return None
        return Opening(
            "agent",
            name,
            agent=name,
            received=received,
            parent=stands_apart(carrier),
            arrivals=[handoff] if handoff is not None else (),
            attributes=Turn(agent, current(), carrier),
        )

    def _arrived(
        self, carrier: Carrier, agent: Any, received: Sealed, ctx: MessageContext
    ) -> OpenStep | None:
        handoff, carrier.handoff = carrier.handoff, None
        if handoff is None:
            handoff = self._deliveries.transfer(carrier, agent.id.type, f"message {ctx.message_id}", received)
        if handoff is not None:
            self._deliveries.arrived(carrier, handoff, str(agent.id), received)
        return handoff


def was_sent(_: Carrier | None, __: None, ___: BaseException | None) -> None:
    """Note that a broadcast is on its way."""
    sends(None)


def stands_apart(carrier: Carrier | None) -> StepRef | None:
    """Return the step in which a message is handled that is not handled in its sender's; None where it is."""
    if carrier is None or not (carrier.topic is not None or carrier.is_remote):
        return None
    return carrier.stage
