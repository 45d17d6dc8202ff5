"""The in-process runtime: where messages are sent, and where each arrives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context
from opentelemetry.context import Context

from becausal.context import current, with_step
from becausal.recorder import NOTHING, Observation, Opening, Recorder, Sealed
from becausal.step import OpenStep, StepRef
from becausal_integrations.autogen import describe
from becausal_integrations.autogen.ledger import ByIdentity, Ledger, Notes, cause
from becausal_integrations.autogen.state import States
from becausal_integrations.patch import Notice

if TYPE_CHECKING:
    from autogen_core import AgentId, MessageContext, TopicId
    from autogen_core._telemetry import EnvelopeMetadata

__all__ = ["Carrier", "Runtime", "arriving"]

_SENDING = otel_context.create_key("becausal-autogen-sending")
_ARRIVING = otel_context.create_key("becausal-autogen-arriving")

DESTINATION = "messaging.destination.name"
"""OpenTelemetry's name for a topic."""


@dataclass(slots=True)
class Carrier:
    """What goes with a message through the runtime's queue, where every context is lost."""

    context: Context
    """The sender's."""
    step: StepRef | None
    """The sender's."""
    stage: StepRef | None = None
    """Under which step a broadcast is received: not under the sender's, which may be over by then."""
    sender: str = ""
    sent: Sealed | None = None
    """None: of a team; its chat messages are sealed one by one."""
    handoff: OpenStep | None = None
    """Of a direct message."""
    route: OpenStep | None = None
    """The choice that it carries out: whose turn it is."""
    topic: str | None = None
    arrivals: int = 0


def arriving() -> Carrier | None:
    """Return the carrier of the message whose handler runs here; None deeper inside, in a step of its own."""
    carrier = _carrier(_ARRIVING)
    return carrier if carrier is not None and carrier.step is current() else None


def _carrier(key: str, context: Context | None = None) -> Carrier | None:
    return otel_context.get_value(key, context)  # type: ignore[return-value]


class Runtime:
    """Describes what passes through the runtime."""

    def __init__(self, recorder: Recorder, ledger: Ledger, states: States) -> None:
        self._recorder, self._ledger, self._states = recorder, ledger, states
        self._of_teams: ByIdentity[bool] = ByIdentity()
        """Whether an agent's class belongs to the workings of teams: they get most of the messages."""
        self.direct_request = Observation(self._direct_request)
        self.broadcast_request = Observation(self._broadcast_request, lambda step, result: NOTHING)
        self.direct = Notice(scope=self._direct)
        self.broadcast = Notice(scope=self._broadcast)
        self.packed = Notice(after=self._packed)
        self.unpacked = Notice(scope=self._unpacked)
        self.distributed = Notice(lambda _, envelope: envelope, self._distributed, self._unpacked)
        self.delivery = Observation(self._delivery)

    # A message from outside every chain is a request

    def _direct_request(self, runtime: Any, message: Any, recipient: AgentId, **_: Any) -> Opening | None:
        return self._request(runtime, message, recipient.type)

    def _broadcast_request(self, runtime: Any, message: Any, topic_id: TopicId, **_: Any) -> Opening | None:
        return self._request(runtime, message, topic_id.type)

    def _request(self, runtime: Any, message: Any, name: str) -> Opening | None:
        if current() is not None or describe.is_of_a_team(message):
            return None
        return Opening("request", name, received=message, causes=self._states.goes_on(runtime))

    # Sending

    def _direct(
        self, runtime: Any, message: Any, recipient: AgentId, *, sender: AgentId | None = None, **__: Any
    ) -> Context | None:
        carrier = self._sending(runtime, message, sender)
        if carrier is None or carrier.sent is None:
            return _with(_SENDING, carrier)
        carrier.handoff = self._recorder.handoff(
            carrier.sender,
            recipient.type,
            carrier.sent,
            sent_by=carrier.step,
            cause=_sent_by(carrier, "direct message"),
        )
        return _with(_SENDING, carrier)

    def _broadcast(
        self, runtime: Any, message: Any, topic_id: TopicId, *, sender: AgentId | None = None, **__: Any
    ) -> Context | None:
        carrier = self._sending(runtime, message, sender)
        if carrier is not None:
            carrier.topic = topic_id.type
        return _with(_SENDING, carrier)

    def _sending(self, runtime: Any, message: Any, sender: AgentId | None) -> Carrier | None:
        step = current()
        if step is None:
            return None
        if sender is None:  # from outside: what the runtime's agents are later comes from this
            self._states.worked(runtime, step)
        former = _carrier(_ARRIVING)
        # Without the carrier that brought us here: or each would hold the one before, back to the first.
        context = (
            otel_context.set_value(_ARRIVING, None) if former is not None else otel_context.get_current()
        )
        carrier = Carrier(context, step, (former.stage if former is not None else None) or step)
        if describe.is_of_a_team(message):
            for chat_message in describe.chat_messages(message):
                self._ledger.origin(chat_message, step)
            carrier.route = self._ledger.routes.find(str(sender)) if sender is not None else None
        else:
            carrier.sender = describe.agent_name(sender, step.agent)
            carrier.sent = self._ledger.keep(step, message)
        return carrier

    def _packed(self, _: None, metadata: EnvelopeMetadata, error: BaseException | None) -> None:
        if metadata is not None:
            carrier = _carrier(_SENDING) or Carrier(otel_context.get_current(), current())
            metadata._becausal = carrier  # type: ignore[attr-defined]  # lives and dies with the envelope

    # Arriving

    def _unpacked(self, _: Any, message_envelope: Any) -> Context | None:
        carrier = _of_envelope(message_envelope)
        if carrier is None or carrier.step is None:
            return None
        # The sender's span, not AutoGen's own one for the sending: or each message would nest one deeper.
        return _with(_ARRIVING, carrier, with_step(carrier.step, carrier.context))

    def _distributed(self, envelope: Any, _: None, error: BaseException | None) -> None:
        carrier = _of_envelope(envelope)
        if carrier is not None and carrier.sent is not None and not carrier.arrivals:
            lost = self._transfer(carrier, None, "no subscriber")
            if lost is not None:
                self._recorder.end(lost)

    def _delivery(self, agent: Any, message: Any, ctx: MessageContext) -> Opening | None:
        carrier = arriving()
        if carrier is not None:
            carrier.arrivals += 1
        of_team = self._of_teams.get(type(agent))
        if of_team is None:
            of_team = describe.is_team_agent(agent)
            self._of_teams.put(type(agent), of_team)
        if of_team:
            return None
        name = agent.id.type
        handoff = None if carrier is None else self._arrived(carrier, name, message, ctx)
        if describe.is_unhandled(agent, message):
            if handoff is not None:
                self._recorder.end(handoff)
            return None
        return Opening(
            "agent",
            name,
            agent=name,
            received=message,
            parent=carrier.stage if carrier is not None and carrier.topic is not None else None,
            arrivals=[handoff] if handoff is not None else (),
            attributes=Notes(agent, current()),
        )

    def _arrived(self, carrier: Carrier, receiver: str, message: Any, ctx: MessageContext) -> OpenStep | None:
        if carrier.handoff is None:
            return self._transfer(carrier, receiver, f"message {ctx.message_id}", message)
        handoff, carrier.handoff = carrier.handoff, None
        return handoff

    def _transfer(
        self, carrier: Carrier, receiver: str | None, evidence: str, message: object = None
    ) -> OpenStep | None:
        return self._recorder.handoff(
            carrier.sender or "team",
            receiver,
            message if carrier.sent is None else carrier.sent,
            sent_by=carrier.step,
            parent=carrier.stage,
            cause=_sent_by(carrier, evidence),
            attributes={DESTINATION: carrier.topic} if carrier.topic is not None else None,
        )


def _sent_by(carrier: Carrier, evidence: str) -> Any:
    return None if carrier.step is None else cause(carrier.step, "transfer", evidence)


def _of_envelope(envelope: Any) -> Carrier | None:
    return getattr(envelope.metadata, "_becausal", None)


def _with(key: str, carrier: Carrier | None, base: Context | None = None) -> Context | None:
    return None if carrier is None else otel_context.set_value(key, carrier, base)
