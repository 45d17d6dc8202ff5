"""What is in a store beside its chains and contents, so that all of it can be carried to another one.

Not every store has it (a cassette holds one run). One that does has a method `moving`. The archive that goes between
two stores is `becausal.cassette.archive`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from becausal.errors import StoreError
from becausal.memory_event import MemoryRead
from becausal.payload import Payload
from becausal.store.memory_log import Entry

__all__ = ["Movable", "Moving", "missing_from", "moving_of"]


class Moving(Protocol):
    """Gives and takes what no other operation of a store does."""

    def anchors(self, chain_id: str) -> list[tuple[str, str]]:
        """Return the anchors that lead to a chain's steps: name and step id."""

    def memories(self) -> list[str]:
        """Return the names of the memories that have a log."""

    def log(self, memory: str) -> list[Entry]:
        """Return a memory's log as it stands, with salts and hashes."""

    def take_log(
        self, log: Sequence[Entry], payloads: Iterable[Payload], bodies: Mapping[bytes, bytes]
    ) -> int:
        """Append what is missing of one memory's log, as it stands; returns how many events were.

        Args:
            log: all of it.
            payloads: those of its events.
            bodies: what they are made of, by digest.

        Raises:
            StoreError: the store has another log of this memory; nothing was written.
        """

    def take_reads(self, reads: Sequence[MemoryRead]) -> None:
        """Note who read what from memories; twice is harmless."""


@runtime_checkable
class Movable(Protocol):
    """A store that can be carried to another one, and taken into."""

    def moving(self) -> Moving:
        """Return what does it."""


def moving_of(store: object, url: str) -> Moving:
    """Return what carries a store.

    Raises:
        StoreError: it is of a kind that cannot be carried as a whole.
    """
    if isinstance(store, Movable):
        return store.moving()
    raise StoreError(f"{url} is no whole store; export its run alone")


def missing_from(there: Sequence[Entry], log: Sequence[Entry], url: str) -> Sequence[Entry]:
    """Return what a store lacks of a log.

    Raises:
        StoreError: the store's log of this memory and this one do not go together.
    """
    both = min(len(there), len(log))
    if [entry.hash for entry in there[:both]] != [entry.hash for entry in log[:both]]:
        raise StoreError(
            f"{url} has another log of the memory {log[0].said[0]!r}; nothing of it was imported. "
            "Import into another store (--store): two logs cannot be made one"
        )
    return log[both:]
