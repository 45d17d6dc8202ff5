"""What goes with a message through a runtime's queue, or over its wire, where every context is lost."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry.context import Context

from becausal.context import context_now, step_of
from becausal.recorder import Sealed
from becausal.step import Attribute, Cause, OpenStep, StepRef
from becausal_integrations.autogen.ledger import cause

__all__ = [
    "Carrier",
    "arriving",
    "arriving_in",
    "carrier_of",
    "sending",
    "sends",
    "standing_clear",
    "with_arriving",
]

_SENDING: ContextVar[Carrier | None] = ContextVar("becausal_autogen_sending", default=None)
_ARRIVING = otel_context.create_key("becausal-autogen-arriving")


class Carrier:
    """What is to be known of a message where it arrives.

    What most messages have nothing of stands in the class alone: one is made for every message.
    """

    sender: str = ""
    source: str | None = None
    """The sender's agent id; None: the world outside."""
    sent: Sealed | None = None
    """None: of a team; its chat messages are sealed one by one."""
    handoff: OpenStep | None = None
    """Of a direct message, or of the answer to one, until it has arrived."""
    receiver: str = ""
    """Of a direct message."""
    asked_by: str = ""
    """The id of a direct message's handoff, which names what is answered."""
    is_remote: bool = False
    """Whether another process sent it."""
    route: StepRef | None = None
    """The choice that it carries out: whose turn it is."""
    topic: str | None = None
    number: int = 0
    """In which order this process sent it; 0: not told."""
    message_id: str | None = None
    """One that the app gave, or that came over a wire: it may come again."""
    notes: dict[str, Attribute] | None = None
    """What befell it on its way; goes to each of its handoffs."""
    as_it_left: str | None = None
    """The digest that all recipients are to see; None: whatever the first one sees."""
    receivers: dict[str, OpenStep] | None = None
    """Which agents got it, in order, with the handoff of each."""
    edited: tuple[str, str] | None = None
    """A digest that it was found with, and the step that is taken to have edited it."""
    is_answer: bool = False
    """Whether it is the answer to a direct message, which has a handoff where it says something."""
    answer: tuple[OpenStep, Sealed] | None = None
    """Of a direct message that was handled: the turn, and what it answered."""
    wire: str = ""
    """What another process is to know of it, as text."""
    arrivals: int = 0
    has_readers: bool = True
    """Whether anybody makes spans of its way who may link them to the sender's."""

    def __init__(self, context: Context, step: StepRef | None, stage: StepRef | None = None) -> None:
        """Make one.

        Args:
            context: the sender's.
            step: the sender's.
            stage: under which step a broadcast is received: not under the sender's, which may be over by then.
        """
        self.context, self.step, self.stage = context, step, stage

    @property
    def brings(self) -> dict[str, object]:
        """What is new in the context in which it is handled."""
        return {_ARRIVING: self}

    def note(self, name: str, value: Attribute) -> None:
        """Note what befell it."""
        self.notes = {**(self.notes or {}), name: value}

    def received(self, agent_id: str, handoff: OpenStep) -> None:
        """Note that an agent got it."""
        if self.receivers is None:
            self.receivers = {}
        self.receivers[agent_id] = handoff

    def cause(self, evidence: str) -> Cause | None:
        """Return the sending as a cause."""
        return None if self.step is None else cause(self.step, "transfer", evidence)


def carrier_of(envelope: Any) -> Carrier | None:
    """Return the carrier that an envelope of the in-process runtime holds."""
    return getattr(envelope.metadata, "_becausal", None)


def arriving() -> Carrier | None:
    """Return the carrier of the message whose handler runs here; None deeper inside, in a step of its own."""
    here = context_now()
    carrier: Carrier | None = here.get(_ARRIVING)  # type: ignore[assignment]
    return carrier if carrier is not None and carrier.step is step_of(here) else None


def arriving_in(context: Context) -> Carrier | None:
    """Return the carrier of the message that brought a context about."""
    return context.get(_ARRIVING)  # type: ignore[return-value]


sending, sends = _SENDING.get, _SENDING.set
"""Returns the carrier of the message that is being sent here, and tells which one is; None: none, from now on.

A variable of its own: a context of OpenTelemetry's for each sending would be a copy of all that stands in it.
"""


def with_arriving(carrier: Carrier) -> Context:
    """Return the context in which a message is handled that is of the sender's step already."""
    return Context({**carrier.context, **carrier.brings})


def standing_clear(here: Context) -> tuple[Context, Carrier | None]:
    """Return a context without the carrier that brought it about, and that carrier.

    Or each carrier would hold the one before, back to the first.
    """
    former: Carrier | None = here.get(_ARRIVING)  # type: ignore[assignment]
    return (here if former is None else Context({**here, _ARRIVING: None})), former
