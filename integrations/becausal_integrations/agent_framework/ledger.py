"""What is known while an app runs: who sent a message that is on its way, who asked for a call, who waits for what.

A message between executors is known as the same object, a tool call and a request by the framework's own ids. Nothing
here keeps an object of the app's alive longer than the step that it is at work in, and nothing grows without bound.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from becausal.observation import Sealed
from becausal.step import Attribute, Cause, EdgeKind, OpenStep, RemoteStep, Status, StepRef
from becausal.versions import Versions
from becausal_integrations.identity import ByIdentity, Recent, weakly

__all__ = [
    "Carrier",
    "Checkpoint",
    "Ledger",
    "Notes",
    "cause",
    "farther",
    "forget_made",
    "notes_of",
    "owns",
]

MOST_CALLS = 10_000
MOST_REQUESTS = 2_000
MOST_CHECKPOINTS = 1_000
"""Tool calls, requests for an answer from outside, and checkpoints that are remembered; the oldest goes first."""


class Notes(dict[str, Attribute]):
    """A step's attributes, and what the adapter must know of the step as long as it is current."""

    __slots__ = ("_owner", "has_run", "made", "premises")

    def __init__(self, owner: object, attributes: Mapping[str, Attribute] | None = None) -> None:
        super().__init__(attributes or {})
        self._owner = weakly(owner)  # steps are remembered longer than their run lasts
        self.premises: tuple[str, ...] = ()
        """Of a model call: what was new to it."""
        self.made: list[tuple[object, Sealed | None]] = []
        """Of an executor: what it sent and gave out so far."""
        self.has_run = False
        """Of an agent in a workflow: whether it took its turn, and did not just keep a message for later."""

    @property
    def owner(self) -> object:
        """The app's object at work: the agent, the client, the tool, the workflow; None once it is gone."""
        return self._owner()

    def take_made(self) -> list[tuple[object, Sealed | None]]:
        """Return what was made, and forget it."""
        made, self.made = self.made, []
        return made


def notes_of(step: StepRef | None) -> Notes | None:
    """Return what is noted of a step, if it is one of this adapter's."""
    attributes = step.attributes if isinstance(step, OpenStep) else None
    return attributes if isinstance(attributes, Notes) else None


def owns(step: StepRef | None, thing: object) -> bool:
    """Return whether a step is this very object's work: then a call of it is part of that and no step of its own.

    `Agent.run` ends in `RawAgent.run`, and a subclass may call `super()`.
    """
    notes = notes_of(step)
    return notes is not None and notes.owner is thing


def forget_made(step: OpenStep, _: BaseException) -> Status | None:
    """Forget what a step that failed has made so far; what an `Observation` is told by."""
    notes = notes_of(step)
    if notes is not None:
        notes.take_made()
    return None


def cause(step: StepRef, kind: EdgeKind, evidence: str) -> Cause:
    """Return a cause that was seen: the same object, the same id."""
    return Cause(step.id, kind, "observed", evidence, step.span_context)


def farther(here: StepRef, hop: int) -> StepRef:
    """Return a step, seen from so many handoffs after the request."""
    if hop <= here.hop:
        return here
    return RemoteStep(here.id, here.chain_id, here.seq, hop, here.agent, here.span_context)


@dataclass(slots=True)
class Carrier:
    """What goes with a message from one executor to others, beside it."""

    step: StepRef
    """Who sent it."""
    sender: str
    sent: Sealed
    """The message as it was when it was sent."""
    routes: dict[str, OpenStep] = field(default_factory=dict)
    """By the executor that was chosen: the choice."""
    has_arrived: bool = False
    is_refused: bool = False
    """No executor behind one of the edges takes a message of its type."""


class Checkpoint(NamedTuple):
    """A saved state of a workflow, in this process."""

    step: StepRef
    """The run that saved it."""
    on_their_way: dict[str, list[Carrier | None]]
    """By the sending executor: the messages in it."""


class Ledger:
    """What one process's agents, tools and workflows have asked for, sent and saved."""

    def __init__(self) -> None:
        self.decided: Recent[StepRef] = Recent(MOST_CALLS)
        """By chain and call id: the model call that asked for a tool call."""
        self.done: Recent[StepRef] = Recent(MOST_CALLS)
        """By chain and call id: the tool's step."""
        self.said: ByIdentity[StepRef] = ByIdentity()
        """By message: the agent that answered with it."""
        self.carriers: ByIdentity[Carrier] = ByIdentity()
        """By message between executors."""
        self.kept: weakref.WeakKeyDictionary[object, list[StepRef]] = weakref.WeakKeyDictionary()
        """By an agent's executor: the steps in which it took messages in without a turn."""
        self.under_way: weakref.WeakKeyDictionary[object, list[Carrier]] = weakref.WeakKeyDictionary()
        """By the context of a workflow's runner: what is delivered in this superstep."""
        self.requests: Recent[StepRef] = Recent(MOST_REQUESTS)
        """By request id: who waits for the answer."""
        self.checkpoints: Recent[Checkpoint] = Recent(MOST_CHECKPOINTS)
        self.versions = Versions()
