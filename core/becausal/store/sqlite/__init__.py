"""SQLite in WAL mode: the store that needs nothing installed and no server.

One connection writes, one reads: the app writes while a notebook, a command line and other processes of the
app read and write the same file. A batch is one transaction, fsynced when it commits.

A connection must not cross a fork: its locks stay with the parent. Each process has its own, opened when
it first asks. A store in memory is one connection; a forked child begins with an empty one.

Not for network file systems, whose locks SQLite cannot rely on.

Source: sqlite.org/wal.html; sqlite.org/howtocorrupt.html, section 2.6 (fork).
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING

from becausal.errors import StoreError
from becausal.memory_event import MemoryEvent, MemoryRead, NewEvent
from becausal.step import OpenStep, RemoteStep, Step
from becausal.store import ChainInfo, StoreInfo, memory_log
from becausal.store.outline import Outline
from becausal.store.sqlite import bodies, file, memory, row
from becausal.store.sqlite.loading import ALL_OF, SOME_OF, steps_of
from becausal.store.sqlite.session import Session, is_open_here, of_the_parent
from becausal.store.sqlite.write import Writer
from becausal.store.upkeep import Erasure

if TYPE_CHECKING:
    from becausal.store.links import Links
    from becausal.store.moving import Moving
    from becausal.store.upkeep import Upkeep

__all__ = ["SQLiteStore"]

MEMORY = ":memory:"

MOST_ROWS = 2**63 - 1
"""What SQLite's numbers go up to."""

DELETED = "store deleted while in use"
"""The gap of a file that was deleted under us: of what was recorded in it, nobody knows how much."""

log: logging.Logger = logging.getLogger("becausal")


class SQLiteStore:
    """A `becausal.store.Store` in one file, or in memory."""

    def __init__(self, url: str, place: str, *, read_only: bool = False, create: bool = True) -> None:
        self.url = url
        # Absolute: the app may change its directory.
        self._path = None if place == MEMORY else Path(place).expanduser().absolute()
        self._read_only = read_only
        self._closed = False
        self._losses = 0  # how often the file was gone
        if self._path is not None and not is_open_here(self._path):
            if create and not read_only:
                file.prepare(self._path)
            file.check(self._path)
        self._session = Session(self._path)
        # At once, so that what is wrong is said now and not in the middle of a run.
        with self._writing() if not read_only else self._reading():
            pass

    def write(self, steps: Sequence[OpenStep], *, notes_memory: bool = True) -> None:
        """Keep steps and their bodies, all of them or, if this raises, none."""
        if steps:
            with self._writing() as writer, file.told(self._path, f"writing {len(steps)} steps"):
                writer.write(steps, notes_memory=notes_memory)

    def add_gaps(self, gaps: Mapping[str, int]) -> None:
        """Add to the counts of what could not be recorded, by reason."""
        if gaps:
            with self._writing() as writer, file.told(self._path, "writing the counts of gaps"):
                writer.add_gaps(gaps)

    def gaps(self) -> dict[str, int]:
        """Return how much could not be recorded, by reason."""
        with self._reading() as reader, file.read(self._path, "reading the counts of gaps"):
            found = reader.execute("SELECT reason, count FROM gaps ORDER BY reason")
            return {str(reason): int(count) for reason, count in found}

    def chains(self, *, prefix: str = "", limit: int | None = None) -> list[ChainInfo]:
        """Return the chains whose ids start with a prefix, newest first."""
        # Here, and so below: an app that only records never asks.
        from becausal.store.sqlite.listing import infos

        begins, most = row.encodable(prefix), -1 if limit is None else min(index(limit), MOST_ROWS)
        with self._reading() as reader, file.read(self._path, "listing the chains"):
            return infos(reader, begins, most)

    def load(self, chain_id: str, ids: Collection[str] | None = None) -> list[Step]:
        """Return a chain's steps in `seq` order, or those with some ids; empty if there are none."""
        doing, wanted = f"loading the chain {chain_id}", row.encodable(chain_id)
        only = None if ids is None else file.list_of(map(row.number_of, ids))
        with self._reading() as reader, file.read(self._path, doing):
            return self._load(reader, wanted, only)

    def outline(self, chain_id: str) -> Outline:
        """Return which steps a chain has and who called whom, in the order of `load`; empty if there are none."""
        wanted = row.encodable(chain_id)
        with self._reading() as reader, file.read(self._path, f"reading the outline of the chain {chain_id}"):
            return Outline(reader.execute(OUTLINE, (wanted,)))

    def body(self, digest: bytes) -> bytes | None:
        """Return the canonical body with this digest, or None if it is not kept."""
        session = self._own_session()
        body = session.bodies.get(digest)
        if body is None:
            doing = f"reading the body {digest.hex()}"
            with session.read_lock, file.read(self._path, doing):
                body = session.unpacker().body(digest)
            if body is None:
                return None
            session.bodies.put(digest, body)
        return body

    def anchored(self, name: str) -> RemoteStep | None:
        """Return the step that has this name among its anchors, the one written last; None if there is none."""
        wanted = row.encodable(name)
        with self._reading() as reader, file.read(self._path, f"looking up the anchor {name}"):
            found = reader.execute(FIND_ANCHOR, (wanted,)).fetchone()
            return None if found is None else RemoteStep(row.step_id_of(found[0]), *found[1:])

    def append(
        self, event: NewEvent, bodies: Mapping[bytes, bytes], *, expected: int | None = None
    ) -> MemoryEvent | None:
        """Append an event to a memory's log at once; None where the key does not stand at `expected`."""
        with self._writing() as writer, file.told(self._path, f"writing to the memory {event.memory}"):
            return writer.append(event, bodies, expected, self)

    def memory_events(self, memory_name: str | None = None, key: str | None = None) -> list[MemoryEvent]:
        """Return the events of memories, in the order of their log."""
        doing = "reading the log of the memories"
        with self._reading() as reader, file.read(self._path, doing):
            return memory.events_of(reader, memory_name, key, self)

    def memory_value(self, memory_name: str, key: str, seq: int | None = None) -> MemoryEvent | None:
        """Return the event that gives a key its value at a causal sequence number; None where it has none."""
        asked = row.encodable(memory_name), row.encodable(key), memory_log.up_to(seq)
        with self._reading() as reader, file.read(self._path, f"reading the memory {memory_name}"):
            return memory.value_at(reader, *asked, self)

    def memory_reads(self, memory_name: str | None = None, key: str | None = None) -> list[MemoryRead]:
        """Return who read what from memories, in causal order."""
        with self._reading() as reader, file.read(self._path, "reading who read the memories"):
            return memory.reads_of(reader, memory_name, key)

    def memory_versions(self, step_ids: Collection[str]) -> list[tuple[str | None, str, str, str, int]]:
        """Return what some steps wrote to memories: the chain, the step, the memory, the key and the version."""
        asked = file.list_of(map(row.number_of, step_ids))
        with (
            self._reading() as reader,
            file.read(self._path, "reading which versions of memories a run wrote"),
        ):
            return memory.versions_by(reader, asked)

    def broken_link(self, memory_name: str) -> str | None:
        """Return which event of a memory is not what was appended, in words; None: all of them are."""
        wanted = row.encodable(memory_name)
        with self._reading() as reader, file.read(self._path, f"verifying the memory {memory_name}"):
            return memory.broken_link(reader, wanted, self.body)

    def erase(self, memory_name: str, key: str) -> None:
        """Forget every content that a key ever had, wherever else it was kept; its events stay."""
        self.upkeep().erase(Erasure(memory=(memory_name, key)))

    def describe(self) -> StoreInfo:
        """Return what the store is and how much is in it."""
        query = f"""SELECT (SELECT value FROM meta WHERE key = 'format'), (SELECT count(*) FROM chains),
            (SELECT count(*) FROM steps), (SELECT count(*) FROM blobs WHERE {bodies.BODIES})"""
        with self._reading() as reader, file.read(self._path, "counting what is in it"):
            format, chains, steps, contents = reader.execute(query).fetchone()
            (in_memory,) = reader.execute(
                "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
            ).fetchone()
            size = in_memory if self._path is None else _bytes_on_disk(self._path)
            return StoreInfo(self.url, self._path, int(format), size, chains, steps, contents)

    def links(self) -> Links:
        """Return what answers about more than one chain."""
        from becausal.store.sqlite.links import SQLiteLinks

        return SQLiteLinks(self._reading, self._path)

    def moving(self) -> Moving:
        """Return what carries the store to another one."""
        from becausal.store.sqlite.moving import SQLiteMoving

        return SQLiteMoving(self._reading, self._writing, self._path)

    def upkeep(self) -> Upkeep:
        """Return what keeps the file within bounds."""
        from becausal.store.sqlite.upkeep import SQLiteUpkeep

        return SQLiteUpkeep(
            self._reading,
            self._writing,
            self._path,
            lambda: self._own_session().forget_bodies(),
            lambda: self._losses,
        )

    def close(self) -> None:
        """Fold the WAL into the file and let go of it. Closing twice is harmless."""
        if not self._closed:
            session = self._own_session()
            self._closed = True
            session.close()

    @contextmanager
    def _writing(self) -> Iterator[Writer]:
        if self._read_only:
            raise StoreError(f"{self.url} was opened to read only; open it without read_only=True to write")
        session = self._own_session()
        if session.is_astray:
            session = self._anew(session)
        with session.write_lock:
            yield session.writer()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        session = self._own_session()
        with session.read_lock:
            yield session.reader()

    def _anew(self, former: Session) -> Session:
        """Make the file again that was deleted while it was being written to."""
        assert self._path is not None
        with former.write_lock, file.alone(self._path.parent):
            if self._session is not former:  # another thread was faster
                return self._session
            former.drop_remains()
            if not is_open_here(self._path):
                file.prepare(self._path)
                file.check(self._path)
            session = self._session = Session(self._path)
            session.writer()
            former.close()
        self._losses += 1
        session.writer().begin_anew()
        session.writer().add_gaps({DELETED: 1})
        with suppress(Exception):  # a filter of the app's may fail
            log.warning(
                "becausal: %s was deleted or replaced while it was being written to; a new one was made, and what was "
                "in the former is lost. To make room, use `becausal prune` instead",
                self._path,
            )
        return session

    def _own_session(self) -> Session:
        if self._closed:
            raise StoreError(f"{self.url} is closed; open it again with becausal.store.open_store")
        session = self._session
        if session.pid != os.getpid():
            of_the_parent.append(session)
            session = self._session = Session(self._path)
        return session

    def _load(self, reader: sqlite3.Connection, chain_id: str, only: str | None) -> list[Step]:
        with file.snapshot(reader):
            found = reader.execute("SELECT chain_no FROM chains WHERE chain_id = ?", (chain_id,)).fetchone()
            if found is None:
                if chain_id.startswith(file.STANDS_FOR):  # as `chains` called it
                    raise ValueError("its id cannot be read")
                return []
            which, values = (ALL_OF, found) if only is None else (SOME_OF, (*found, only))
            steps = steps_of(reader, chain_id, which, values, self)
            if not steps and only is None:  # so that nobody takes it for a run in which nothing happened
                raise ValueError("it has lost its steps")
            return steps


# Queries.


OUTLINE = """SELECT step_id, parent_id, seq, steps.started_ns, ended_ns FROM steps JOIN chains USING (chain_no)
    WHERE chain_id = ? ORDER BY seq, steps.started_ns, step_id"""

FIND_ANCHOR = """SELECT step_id, chain_id, seq, hop, agents.name
    FROM anchors JOIN steps USING (chain_no, step_id) JOIN chains USING (chain_no)
    LEFT JOIN names AS agents ON agents.name_no = steps.agent WHERE anchors.name = ?"""


def _bytes_on_disk(path: Path) -> int:
    beside = (path.with_name(path.name + end) for end in ("", "-wal", "-shm"))
    return sum(each.stat().st_size for each in beside if each.exists())
