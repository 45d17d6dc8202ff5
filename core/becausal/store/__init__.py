"""Where recorded steps are kept, and how to get at them again.

A store does few things, each by name: write a batch, list the chains, load one, fetch a body. Judging is
done on a loaded run, in Python, so a store needs no query language and another database needs little code.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from becausal import settings
from becausal.clock import is_aside
from becausal.errors import StoreError
from becausal.memory_event import MemoryEvent, MemoryRead, NewEvent
from becausal.step import OpenStep, RemoteStep, Step

if TYPE_CHECKING:
    from becausal.store.outline import Outline

__all__ = ["ChainInfo", "Store", "StoreInfo", "newest", "open_store"]

ASKED_FIRST = 8
"""So many chains are asked for at first where nobody knows how many it will take."""


@dataclass(frozen=True, slots=True)
class ChainInfo:
    """One recorded chain, as a list shows it."""

    chain_id: str
    name: str
    """The name of its root: the earliest step whose parent is not in the store."""
    started_ns: int
    ended_ns: int | None
    """When its last step ended; None while any of its steps is open. No end of the chain where its root is lost."""
    steps: int
    errors: int
    """How many of its steps have the status `error`."""
    handoffs: int
    agents: tuple[str, ...]
    """In the order in which they first worked."""
    is_damaged: bool = False
    """Whether something of this cannot be read; in the place of a text stands `(damaged …)`, always the same for the
    same one."""
    root_is_lost: bool = False
    """Whether each of its steps was called by another: the one that holds them all was never written, as its process
    died or is still at work, or it was written elsewhere. So nothing here says that the chain came to its end."""


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """What a store is and how much is in it."""

    url: str
    path: Path | None
    """None where there is no file."""
    format: int
    bytes_on_disk: int
    chains: int
    steps: int
    bodies: int


class Store(Protocol):
    """Keeps steps. Every method may be called from any thread, and raises `StoreError` when it fails."""

    @property
    def url(self) -> str:
        """What it was opened with."""

    def write(self, steps: Sequence[OpenStep], *, notes_memory: bool = True) -> None:
        """Keep steps and their bodies, all of them or, if this raises, none.

        Once it has returned, nothing of them is lost to a crash of the process. A step may be written while
        it is open and again when it has ended; writing one twice changes nothing. The steps stay unchanged.

        Args:
            notes_memory: whether what steps wrote to memories goes into the log of this store's memories; not for a
                run that was recorded elsewhere.
        """

    def add_gaps(self, gaps: Mapping[str, int]) -> None:
        """Add to the counts of what could not be recorded, by reason."""

    def gaps(self) -> dict[str, int]:
        """Return how much could not be recorded, by reason."""

    def chains(self, *, prefix: str = "", limit: int | None = None) -> list[ChainInfo]:
        """Return the chains whose ids start with a prefix, newest first."""

    def load(self, chain_id: str, ids: Collection[str] | None = None) -> list[Step]:
        """Return a chain's steps in `seq` order; empty if there are none.

        Their payloads fetch bodies from this store, so it has to stay open for as long as they are read.

        Args:
            chain_id: whose.
            ids: only those with these ids; others than the chain's steps have are left out.
        """

    def outline(self, chain_id: str) -> Outline:
        """Return which steps a chain has and who called whom, in the order of `load`; empty if there are none.

        A chain of a million steps is too much to be loaded: this says which of them to ask for.
        """

    def body(self, digest: bytes) -> bytes | None:
        """Return the canonical body with this digest, or None if it is not kept."""

    def anchored(self, name: str) -> RemoteStep | None:
        """Return the step that has this name among its anchors, the one written last; None if there is none."""

    def append(
        self, event: NewEvent, bodies: Mapping[bytes, bytes], *, expected: int | None = None
    ) -> MemoryEvent | None:
        """Append an event to a memory's log, at once and for good.

        Its `seq` becomes higher than every one that the memory has: its writer saw them all.

        Args:
            bodies: those that the event's payload is made of, by digest.
            expected: the version that the key must stand at, 0 for none; where it does not, nothing is written and
                None returned.
        """

    def memory_events(self, memory_name: str | None = None, key: str | None = None) -> list[MemoryEvent]:
        """Return the events of memories, in the order of their log."""

    def memory_reads(self, memory_name: str | None = None, key: str | None = None) -> list[MemoryRead]:
        """Return who read what from memories, in causal order."""

    def broken_link(self, memory_name: str) -> str | None:
        """Return which event of a memory is not what was appended, in words; None: all of them are."""

    def erase(self, memory_name: str, key: str) -> None:
        """Forget every content that a key ever had, wherever else it was kept; its events stay, and verify."""

    def describe(self) -> StoreInfo:
        """Return what the store is and how much is in it. Counts, so it takes its time on a large one."""

    def close(self) -> None:
        """Let go of the store. Closing twice is harmless."""


def newest(store: Store, *, aside: bool = True) -> Iterator[ChainInfo]:
    """Yield a store's chains, newest first; the newest few are asked for first.

    Args:
        aside: whether those are among them that are no runs of the app's.
    """
    known: set[str] = set()  # while an app writes, one that was told comes again further back
    asked = ASKED_FIRST
    while True:
        infos = store.chains(limit=asked)
        for info in infos:
            if info.chain_id not in known:
                known.add(info.chain_id)
                if aside or not is_aside(info.chain_id):
                    yield info
        if len(infos) < asked:
            return
        asked *= 8


def open_store(url: str, *, read_only: bool = False, create: bool = True) -> Store:
    """Open the store at a URL (`sqlite:///PATH`, `sqlite:///:memory:`, `postgresql://…`) or at a plain path.

    Args:
        read_only: change nothing, and make nothing.
        create: make the store if there is none.

    Raises:
        StoreError: there is none and none may be made, or it cannot be opened.
        StoreFormatError: what is there is damaged, no store of ours, or of a newer format.
    """
    # Imported here, so that a program pays for one kind of store alone.
    from becausal.redaction import folder_of
    from becausal.redaction.naming import met

    url = settings.store_url(url)
    met(folder_of(url))
    scheme, _, place = url.partition("://")
    if scheme in ("postgresql", "postgres"):
        return _open_postgres(url, read_only=read_only, create=create)
    from becausal.store.sqlite import SQLiteStore

    if scheme != "sqlite":
        raise StoreError(
            f"there is no store for {scheme}:// yet; use sqlite:///PATH or postgresql://HOST/DATABASE"
        )
    if not place.startswith("/") or place == "/":
        raise StoreError(
            f"{url} names no file; write sqlite:///PATH with three slashes, "
            "or four before an absolute path: sqlite:////home/me/runs.db"
        )
    return SQLiteStore(url, place[1:], read_only=read_only, create=create)


def _open_postgres(url: str, *, read_only: bool, create: bool) -> Store:
    try:
        from becausal.store.postgres import PostgresStore
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] not in ("psycopg", "psycopg_binary"):
            raise
        raise StoreError(
            f"{settings.shown_url(url)} needs the driver of PostgreSQL: pip install 'becausal[postgres]'"
        ) from missing
    return PostgresStore(url, read_only=read_only, create=create)
