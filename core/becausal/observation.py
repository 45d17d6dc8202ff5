"""What an adapter says of the calls that it watches: no more than what they mean.

An adapter tells a hooked call as a step in an `Observation`: what it opens with, what it produced, whether a failure is
one. Everything else (spans, clocks, the store, sync and async) is the recorder's.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from opentelemetry.context import Context

from becausal import clock, semconv
from becausal.payload import Payload
from becausal.step import Attribute, Cause, OpenStep, Status, Step, StepKind, StepRef
from becausal.store import Store

__all__ = [
    "NOTHING",
    "Answer",
    "Observation",
    "Opening",
    "Passing",
    "Replaying",
    "Sealed",
    "new_step",
    "status_of",
    "text_of_error",
]


class _Nothing:
    def __repr__(self) -> str:
        return "NOTHING"


NOTHING: Any = _Nothing()
"""No value at all; None is a value."""


class Sealed(NamedTuple):
    """A value fixed at a boundary: its payload, and the bodies that the store may not have yet."""

    payload: Payload
    bodies: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(slots=True)
class Passing:
    """A handoff that begins and ends where it is received: what came from whom, known to the receiver's side alone."""

    sender: str | None
    receiver: str | None
    sent: object
    """The value sent, or a `Sealed`; `NOTHING` where it is not known."""
    sent_by: StepRef | None
    parent: StepRef | None = None
    """Where the handoff stands; None: the sender's step."""
    cause: Cause | None = None
    """Why it is known; None: the sender's step has declared it."""
    attributes: Mapping[str, Attribute] = field(default_factory=dict)

    def opening(self) -> Opening:
        """Return what the handoff's step opens with."""
        cause, sent_by, sender, receiver = self.cause, self.sent_by, self.sender, self.receiver
        target = receiver or ""
        attributes: dict[str, Attribute] = {
            semconv.TRANSFER_SOURCE: sender or "",
            semconv.TRANSFER_TARGET_OWN: target,
            semconv.TRANSFER_TARGET: target,
            **self.attributes,
        }
        if sent_by is not None:
            attributes[semconv.TRANSFER_SENT_BY] = sent_by.id
            if cause is None:
                cause = Cause(sent_by.id, "transfer", "declared", "", sent_by.span_context)
        name, causes = f"{sender or '?'} to {receiver or '?'}", () if cause is None else (cause,)
        # By place, here and where its step is made: a class takes names more slowly.
        return Opening("handoff", name, sender, self.sent, self.parent or sent_by, causes, (), attributes)


@dataclass(slots=True)
class Opening:
    """What an adapter says of a step that is about to begin."""

    kind: StepKind
    name: str
    agent: str | None = None
    """None: the agent of the enclosing step."""
    received: object = NOTHING
    """The value received, or a `Sealed` where it was sealed already."""
    parent: StepRef | None = None
    """None: the step that is current; else a parent that the framework's own bookkeeping names."""
    causes: Sequence[Cause] = ()
    arrivals: Sequence[OpenStep | Passing] = ()
    """Handoffs that end in this step, open already or told now: they take over what it received."""
    attributes: dict[str, Attribute] = field(default_factory=dict)
    chain_id: str | None = None
    """Of a chain that starts here; None: the parent's, or a new one."""
    base: Context | None = None
    """The OpenTelemetry context to stand in; None: the current one."""
    told: Callable[[OpenStep], object] | None = None
    """Is told which step an observed call has become, before the call runs."""


class Answer(Protocol):
    """What a recorded step answered, as a replay hands it to whoever makes the result of a call from it."""

    @property
    def step(self) -> Step:
        """The recorded step."""

    @property
    def is_other(self) -> bool:
        """Whether an edit or a stand-in gives the answer."""

    def value(self) -> Any:
        """Return what it produced, made again: objects are of their classes, dicts in their order."""

    def produced(self) -> Any:
        """Return what it produced as its payload tells it, whatever else was kept."""

    def kept(self, name: str) -> Any:
        """Return what `Recorder.keep` kept under a name, made again; `NOTHING` where nothing was."""


class Replaying(Protocol):
    """What the seam asks while runs are replayed; see `becausal.replay`."""

    def is_in_force(self) -> bool:
        """Return whether what runs here belongs to a replay."""

    def opening(self, opening: Opening, parent: StepRef | None) -> None:
        """A step is about to begin."""

    def arriving(self, opening: Opening, seal: Callable[[object], Sealed]) -> Any:
        """Return what a step is to receive that is about to begin: what it would receive, or something else."""

    def calling(
        self,
        opening: Opening,
        seal: Callable[[object], Sealed],
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return what a function of the app's own is to be called with, whose step is about to begin."""

    def begun(self, step: OpenStep) -> None:
        """A step has begun."""

    def memories(self) -> Store | None:
        """Return what stands for the store of the app's memories; None where nothing is replayed."""

    def carrying(self, *, is_pool: bool) -> Callable[[Callable[[], Any]], Any] | None:
        """Return what does the work of a thread or a pool that is handed over here; None where nothing is replayed."""

    def call(self, seen: Observation, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return what is called in a function's place, once the step is current: itself, or what answers."""

    def acall(
        self, seen: Observation, function: Callable[..., Awaitable[Any]]
    ) -> Callable[..., Awaitable[Any]]:
        """Return the same of a coroutine function."""

    def stream(
        self, seen: Observation, function: Callable[..., Generator[Any, Any, Any]]
    ) -> Callable[..., Generator[Any, Any, Any]]:
        """Return the same of a generator function."""

    def astream(
        self, seen: Observation, function: Callable[..., AsyncGenerator[Any, Any]]
    ) -> Callable[..., AsyncGenerator[Any, Any]]:
        """Return the same of an async generator function."""


def _itself(_: OpenStep, result: object) -> object:
    return result


def _failed(_: OpenStep, error: BaseException) -> Status | None:
    return None


@dataclass(frozen=True, slots=True)
class Observation:
    """How a hooked function is told as a step.

    `opened` takes what the hooked function takes (a method's `self` first) and returns an `Opening`, or None for a
    call that is no step. `closed` takes the step and the result and returns what was produced, or `NOTHING`; it may
    add causes, choices and attributes to the step. `failed` takes the step and the exception and may name a status
    for an exception that is the framework's control flow. `keeps` says which item of a stream is its result;
    without it all items are. `answers` makes of a recorded answer what the call returns (of a stream: its items), so
    that a replay need not make the call; without it the call is made in a replay, too. `redone`, of a coroutine
    function, takes the answer and what the function takes, and does again what the call did to these beside answering.
    `edited` puts into a result what an edit makes of what was produced: it takes the change, a function, and the
    result (of a stream: the item that `keeps` keeps). `elsewhere`, of a function or a coroutine function, takes what
    the function takes and names the context for a call that is no step; None for the current one.
    """

    opened: Callable[..., Opening | None]
    closed: Callable[[OpenStep, Any], object] = _itself
    failed: Callable[[OpenStep, BaseException], Status | None] = _failed
    keeps: Callable[[Any], bool] | None = None
    answers: Callable[[Answer], Any] | None = None
    redone: Callable[..., Awaitable[None]] | None = None
    edited: Callable[[Callable[[Any], Any], Any], Any] | None = None
    elsewhere: Callable[..., Context | None] | None = None


def hop_of(handoff: OpenStep, sent_by: StepRef | None) -> int:
    """Return how many handoffs lie between a request and what this one brings."""
    return (handoff.hop if sent_by is None else sent_by.hop) + 1


def new_step(opening: Opening, parent: StepRef | None, arrivals: Sequence[OpenStep] = ()) -> OpenStep:
    """Return the step that an opening tells of, under its parent; it begins now.

    Args:
        opening: what the adapter says of it.
        parent: the step around it.
        arrivals: the handoffs that end in it.
    """
    chain_id = opening.chain_id
    if parent is not None and chain_id is not None and chain_id != parent.chain_id:
        parent = None  # a chain of its own begins here
    agent, parent_id, hop = opening.agent, None, 0
    if parent is not None:
        chain_id, parent_id, hop = parent.chain_id, parent.id, parent.hop
        if agent is None:
            agent = parent.agent
    causes = [*opening.causes]
    for handoff in arrivals:
        if handoff.hop > hop:
            hop = handoff.hop
        grade = handoff.causes[0].grade if handoff.causes else "declared"
        causes.append(Cause(handoff.id, "transfer", grade, "received", handoff.span_context))
    step_id, seq, now_ns = clock.stamp()
    where = chain_id or clock.new_chain_id(), opening.kind, opening.name, agent
    step = OpenStep(step_id, *where, parent_id, hop, seq, now_ns, opening.attributes, causes)
    if isinstance(parent, OpenStep):
        step.conversation = parent.attributes.get(semconv.CONVERSATION_ID, parent.conversation)
    return step


def status_of(error: BaseException) -> Status:
    """Return how a piece of work ended that this passed through."""
    if isinstance(error, GeneratorExit):
        return "closed"
    # By name, so that asyncio and concurrent.futures need not be told apart.
    return "cancelled" if type(error).__name__ == "CancelledError" else "error"


def text_of_error(error: BaseException) -> str:
    """Return an exception's type and text without running code of the application's classes."""
    texts = [arg for arg in BaseException.__dict__["args"].__get__(error) if type(arg) is str]
    return ": ".join([type(error).__qualname__, *texts])
