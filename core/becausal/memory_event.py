"""What happened to a memory: one immutable event for each write, retraction and deletion of a key.

Nothing is changed in place. A key's value at some moment is what its events until then add up to (see `value_at`), so
a memory can be read as it stood, and a history cannot be lost by overwriting it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from becausal.payload import Payload

__all__ = ["MemoryEvent", "MemoryRead", "NewEvent", "Operation", "value_at"]

Operation = Literal["write", "supersede", "retract", "delete"]
"""`write`: a new value, as the world went on. `supersede`: a new value, because the former was wrong.
`retract`: a value is withdrawn. `delete`: the key is removed."""


@dataclass(frozen=True, slots=True)
class MemoryEvent:
    """One event of one key."""

    memory: str
    key: str
    version: int
    """From 1 for each key, in the order of the log."""
    operation: Operation
    of: int | None
    """The version that is retracted or superseded."""
    seq: int
    """The causal sequence number: the logical clock's, the same that steps have."""
    at_ns: int
    """Nanoseconds since the epoch."""
    chain_id: str | None
    """The chain that it was written in; None outside every chain."""
    step_id: str | None
    agent: str | None
    payload: Payload | None
    """What was written; None for a retraction and a deletion."""
    reason: str | None
    """Why, where the writer said so."""
    hash: str
    """64 hexadecimal digits: SHA-256 over this event and the hash of the memory's event before it."""

    @property
    def has_value(self) -> bool:
        """Whether the key has a value after this event."""
        return self.operation in ("write", "supersede")

    def __str__(self) -> str:
        about = f" of {self.of}" if self.of is not None else ""
        return f"{self.memory}/{self.key}@{self.version} {self.operation}{about} by {self.agent or 'nobody named'}"


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event that is to be appended: what the log does not give it."""

    memory: str
    key: str
    operation: Operation
    seq: int
    at_ns: int
    payload: Payload | None = None
    of: int | None = None
    chain_id: str | None = None
    step_id: str | None = None
    agent: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class MemoryRead:
    """One reading of one key."""

    memory: str
    key: str
    version: int | None
    """The version that was seen; None: the key had no value, or one that is not in the log."""
    chain_id: str
    step_id: str
    agent: str | None
    seq: int


def value_at(events: Iterable[MemoryEvent], seq: int | None = None) -> MemoryEvent | None:
    """Return the event that gives a key its value at a causal sequence number; None where it has none.

    It is the last one in the log of those that count then. Causal sequence numbers say what counts, and not what came
    last: a process that knows of no earlier one begins with 1 again, and the log does not.

    Args:
        events: those of one key, in any order.
        seq: what counts is written at this number or before; None: everything.
    """
    known = [event for event in events if seq is None or event.seq <= seq]
    withdrawn = {event.of for event in known if event.operation == "retract"}
    changes = [event for event in known if event.operation != "retract"]
    last = max(changes, key=lambda event: event.version, default=None)
    return last if last is not None and last.has_value and last.version not in withdrawn else None
