"""One stretch of work, start to outcome, and what caused it.

`OpenStep` is the one thing here that changes, and only the recorder changes it. Once it has ended it goes to
the store; what comes back is a `Step`, which never changes.
"""

from __future__ import annotations

import copy
import os
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, final

from becausal.frozen import become, twin
from becausal.harmless import legible
from becausal.payload import Payload

if TYPE_CHECKING:
    from opentelemetry.trace import Span, SpanContext

__all__ = [
    "Attribute",
    "Cause",
    "Choice",
    "EdgeKind",
    "Grade",
    "OpenStep",
    "RemoteStep",
    "Status",
    "Step",
    "StepKind",
    "StepRef",
]

StepKind = Literal[
    "request", "workflow", "agent", "model", "tool", "handoff", "memory_read", "memory_write", "route", "plan"
]
"""What sort of work a step is."""

Status = Literal["open", "ok", "error", "interrupted", "cancelled", "closed", "abandoned", "unfinished"]
"""How a step stands. `interrupted`: it waits for somebody, by the framework's own control flow.
`closed`: its stream was closed by its reader; `abandoned`: left to the garbage collector; `unfinished`: still
open when the process ended."""

EdgeKind = Literal["call", "transfer", "data", "memory", "spawn", "route", "retry", "resume", "join"]
"""How one step caused another."""

Grade = Literal["declared", "observed", "matched", "inferred"]
"""How an edge is known, best first: said by the framework or the app; the same object or id; the same content;
a conclusion."""

Attribute = str | bool | int | float | tuple[str, ...]
"""A value that every OpenTelemetry backend takes."""


@final
@dataclass(frozen=True, slots=True, init=False)
class Cause:
    """An edge as it is recorded, on the step that was caused."""

    source_id: str
    kind: EdgeKind
    grade: Grade
    evidence: str = ""  # what shows it: `channel findings@3`, `message id 81f…`
    span_context: SpanContext | None = field(default=None, compare=False, repr=False)

    def __init__(
        self,
        source_id: str,
        kind: EdgeKind,
        grade: Grade,
        evidence: str = "",
        span_context: SpanContext | None = None,
    ) -> None:
        made: Any = self
        become(made, "__class__", _Cause)
        made.source_id = source_id
        made.kind = kind
        made.grade = grade
        made.evidence = evidence
        made.span_context = span_context
        made.__class__ = Cause


_Cause = twin(Cause)


@dataclass(frozen=True, slots=True)
class Choice:
    """A decision as it is recorded, on the step that took it."""

    conclusion: str
    premises: tuple[str, ...] = ()
    reason: str | None = None
    score: float | None = None  # 0 to 1
    method: str | None = None  # how the score is known: `declared`, `logprobs`, `stated`

    def without_content(self) -> Choice:
        """Return what may be kept where content may not: the name of what was chosen, not a word of why."""
        named = _NAMES_ALONE.match(self.conclusion)
        return Choice(named[0] if named else "decided", (), None, self.score, self.method)


# What the adapters say of a choice: a tool's name (its arguments are content), agents', nodes'.
_NAMES_ALONE = re.compile(
    r"call [\w.:-]+(?=\()|(?:route to|hand over to|next speaker:) .*|answer(?=:)", re.DOTALL
)


class StepRef(Protocol):
    """What a later step must know of an earlier one, be it of this process or of another."""

    @property
    def id(self) -> str:
        """16 hexadecimal digits."""

    @property
    def chain_id(self) -> str:
        """The chain that it belongs to."""

    @property
    def seq(self) -> int:
        """Its number on the logical clock."""

    @property
    def hop(self) -> int:
        """How many handoffs lie between it and the request."""

    @property
    def agent(self) -> str | None:
        """Whose work it is."""

    @property
    def span_context(self) -> SpanContext | None:
        """Its span, for links; None without OpenTelemetry."""


@dataclass(frozen=True, slots=True)
class RemoteStep:
    """A step of another process, known by what its carrier said."""

    id: str
    chain_id: str
    seq: int
    hop: int = 0
    agent: str | None = None
    span_context: SpanContext | None = field(default=None, compare=False)


class OpenStep:
    """A step that has started. Written by the recorder; adapters may add to `attributes`."""

    __slots__ = (
        "__weakref__",
        "agent",
        "anchors",
        "attributes",
        "beside",
        "bodies",
        "causes",
        "chain_id",
        "choices",
        "conversation",
        "ended_ns",
        "error",
        "hop",
        "id",
        "kind",
        "name",
        "parent_id",
        "produced",
        "received",
        "seq",
        "span",
        "span_context",
        "started_ns",
        "status",
    )

    def __init__(
        self,
        id: str,
        chain_id: str,
        kind: StepKind,
        name: str,
        agent: str | None,
        parent_id: str | None,
        hop: int,
        seq: int,
        started_ns: int,
        attributes: dict[str, Attribute] | None = None,
        causes: list[Cause] | None = None,
    ) -> None:
        self.id = id
        self.chain_id = chain_id
        self.kind: StepKind = kind
        self.name = name
        self.agent = agent
        self.parent_id = parent_id
        self.hop = hop
        self.seq = seq
        self.started_ns = started_ns
        self.ended_ns: int | None = None
        self.status: Status = "open"
        self.error: str | None = None
        self.received: Payload | None = None
        self.produced: Payload | None = None
        self.attributes: dict[str, Attribute] = {} if attributes is None else attributes
        self.conversation: Attribute | None = None
        """The conversation that a step around it belongs to: backends want it on every span."""
        self.causes: list[Cause] = [] if causes is None else causes
        self.choices: Sequence[Choice] = ()
        self.span: Span | None = None
        self.span_context: SpanContext | None = None
        self.anchors: Sequence[str] = ()
        """Names by which a later run, of another process perhaps, finds this step to go on from it."""
        self.bodies: list[tuple[bytes, bytes]] = []
        """Canonical bodies (digest, bytes) on their way to the store; emptied once they are there."""
        self.beside: tuple[tuple[bytes, bytes], ...] = ()
        """Those that it brings for others, which may come late or never; a run beyond its bound lacks these, not it."""

    # Most steps take no decision and have no such name. A list more for each of them is one more thing through which
    # the garbage collector goes, again and again, until the step is written.

    def chose(self, choice: Choice) -> None:
        """Add a decision."""
        self._listed("choices").append(choice)

    def anchor(self, name: str) -> None:
        """Add a name by which a later run finds it."""
        self._listed("anchors").append(name)

    def _listed(self, part: Literal["anchors", "choices"]) -> list[Any]:
        """Return the list that a part is, the same one to every thread; it is made one by the first that asks."""
        with _lock:
            found = getattr(self, part)
            if not isinstance(found, list):
                found = list(found)
                setattr(self, part, found)
        return found

    def as_it_is(self) -> OpenStep:
        """Return the step as it is now, to be written while it goes on changing itself."""
        copied = copy.copy(self)
        copied.attributes = dict(self.attributes)
        copied.causes, copied.bodies = list(self.causes), list(self.bodies)
        copied.choices, copied.anchors = tuple(self.choices), tuple(self.anchors)
        return copied


# Reentrant: the garbage collector or a signal may run code of the app, and so ours, while this thread holds it.
_lock = threading.RLock()


def _after_fork() -> None:
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_after_fork)


@dataclass(frozen=True, slots=True, repr=False)
class Step:
    """A recorded step."""

    id: str
    """16 hexadecimal digits."""
    kind: StepKind
    name: str
    """The tool's name for a tool, the model's for a model, the agent's or graph's otherwise."""
    agent: str | None
    """Whose work it is, by the name that the app gave."""
    parent_id: str | None
    """The enclosing step, by call nesting; None at the top of a chain."""
    chain_id: str
    trace_id: str | None
    """OpenTelemetry's, 32 hexadecimal digits; None where no provider was set."""
    span_id: str | None
    seq: int
    """The number on the logical clock; steps come in this order."""
    hop: int
    started_ns: int
    ended_ns: int | None
    status: Status
    error: str | None
    """The exception's type and text."""
    received: Payload | None
    produced: Payload | None
    attributes: Mapping[str, Attribute] = field(default_factory=dict, hash=False)
    causes: tuple[Cause, ...] = field(default=(), hash=False)
    choices: tuple[Choice, ...] = field(default=(), hash=False)

    @legible
    def __repr__(self) -> str:
        agent = f" of {self.agent}" if self.agent and self.agent != self.name else ""
        return f"<Step {self.id[:8]} {self.kind} {self.name!r}{agent}, {self.status}>"

    @property
    def duration_ns(self) -> int | None:
        """How long it took; None while it is open."""
        return None if self.ended_ns is None else self.ended_ns - self.started_ns
