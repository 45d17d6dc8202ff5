"""SQLite in WAL mode: the store that needs nothing installed and no server.

One connection writes, one reads: the app writes while a notebook, a command line and other processes of the
app read and write the same file. A batch is one transaction, fsynced when it commits.

A connection must not cross a fork: its locks stay with the parent. Each process has its own, opened when
it first asks. A store in memory is one connection; a forked child begins with an empty one.

Not for network file systems, whose locks SQLite cannot rely on.

Source: sqlite.org/wal.html; sqlite.org/howtocorrupt.html, section 2.6 (fork).
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zstandard

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
        with self._reading() as reader, file.told(self._path, "reading the counts of gaps"):
            return dict(reader.execute("SELECT reason, count FROM gaps ORDER BY reason"))

    def chains(self, *, prefix: str = "", limit: int | None = None) -> list[ChainInfo]:
        """Return the chains whose ids start with a prefix, newest first."""
        with self._reading() as reader, file.told(self._path, "listing the chains"):
            return _chain_infos(reader, prefix, -1 if limit is None else limit)

    def load(self, chain_id: str, ids: Collection[str] | None = None) -> list[Step]:
        """Return a chain's steps in `seq` order, or those with some ids; empty if there are none."""
        doing = f"loading the chain {chain_id}"
        only = None if ids is None else _list(map(row.number_of, ids))
        with self._reading() as reader, file.told(self._path, doing):
            try:
                return self._load(reader, row.encodable(chain_id), only)
            except file.UNREADABLE as failure:
                raise file.damaged(self._path, doing, failure) from failure

    def outline(self, chain_id: str) -> Outline:
        """Return which steps a chain has and who called whom, in the order of `load`; empty if there are none."""
        with self._reading() as reader, file.told(self._path, f"reading the outline of the chain {chain_id}"):
            return Outline(reader.execute(OUTLINE, (row.encodable(chain_id),)))

    def body(self, digest: bytes) -> bytes | None:
        """Return the canonical body with this digest, or None if it is not kept."""
        session = self._own_session()
        body = session.bodies.get(digest)
        if body is None:
            doing = f"reading the body {digest.hex()}"
            with session.read_lock, file.told(self._path, doing):
                try:
                    body = session.unpacker().body(digest)
                except zstandard.ZstdError as failure:
                    raise file.damaged(self._path, doing, failure) from failure
            if body is None:
                return None
            session.bodies.put(digest, body)
        return body

    def anchored(self, name: str) -> RemoteStep | None:
        """Return the step that has this name among its anchors, the one written last; None if there is none."""
        with self._reading() as reader, file.told(self._path, f"looking up the anchor {name}"):
            found = reader.execute(FIND_ANCHOR, (row.encodable(name),)).fetchone()
        return None if found is None else RemoteStep(row.step_id_of(found[0]), *found[1:])

    def append(
        self, event: NewEvent, bodies: Mapping[bytes, bytes], *, expected: int | None = None
    ) -> MemoryEvent | None:
        """Append an event to a memory's log at once; None where the key does not stand at `expected`."""
        with self._writing() as writer, file.told(self._path, f"writing to the memory {event.memory}"):
            entry = writer.append(event, bodies, expected)
            if entry is None:
                return None
            # By the connection that wrote it: it has the pages at hand, and the other would have to read them anew.
            digest = entry.said[10]
            payload = None if digest is None else memory.kept(writer.connection, digest, self)
        return memory_log.event_from(entry.said, entry.hash, payload)

    def memory_events(self, memory_name: str | None = None, key: str | None = None) -> list[MemoryEvent]:
        """Return the events of memories, in the order of their log."""
        doing = "reading the log of the memories"
        with self._reading() as reader, file.told(self._path, doing):
            return memory.events_of(reader, memory_name, key, self)

    def memory_value(self, memory_name: str, key: str, seq: int | None = None) -> MemoryEvent | None:
        """Return the event that gives a key its value at a causal sequence number; None where it has none."""
        doing = f"reading the memory {memory_name}"
        with self._reading() as reader, file.told(self._path, doing):
            return memory.value_at(reader, memory_name, key, seq, self)

    def memory_reads(self, memory_name: str | None = None, key: str | None = None) -> list[MemoryRead]:
        """Return who read what from memories, in causal order."""
        with self._reading() as reader, file.told(self._path, "reading who read the memories"):
            return memory.reads_of(reader, memory_name, key)

    def broken_link(self, memory_name: str) -> str | None:
        """Return which event of a memory is not what was appended, in words; None: all of them are."""
        with self._reading() as reader, file.told(self._path, f"verifying the memory {memory_name}"):
            return memory.broken_link(reader, memory_name, self.body)

    def erase(self, memory_name: str, key: str) -> None:
        """Forget every content that a key ever had, wherever else it was kept; its events stay."""
        self.upkeep().erase(Erasure(memory=(memory_name, key)))

    def describe(self) -> StoreInfo:
        """Return what the store is and how much is in it."""
        query = f"""SELECT (SELECT value FROM meta WHERE key = 'format'), (SELECT count(*) FROM chains),
            (SELECT count(*) FROM steps), (SELECT count(*) FROM blobs WHERE {bodies.BODIES})"""
        with self._reading() as reader, file.told(self._path, "counting what is in it"):
            format, chains, steps, contents = reader.execute(query).fetchone()
            (in_memory,) = reader.execute(
                "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
            ).fetchone()
        size = in_memory if self._path is None else _bytes_on_disk(self._path)
        return StoreInfo(self.url, self._path, int(format), size, chains, steps, contents)

    def links(self) -> Links:
        """Return what answers about more than one chain."""
        # Imported here, as below: an app that only records never asks.
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
        with _snapshot(reader):
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


@contextmanager
def _snapshot(reader: sqlite3.Connection) -> Iterator[None]:
    # Several queries that must see one state. In memory nobody writes meanwhile: the lock is the same.
    reader.execute("BEGIN")
    try:
        yield
    finally:
        with suppress(sqlite3.Error):  # what went wrong first is what is told
            reader.execute("ROLLBACK")


def _chain_infos(reader: sqlite3.Connection, prefix: str, limit: int) -> list[ChainInfo]:
    prefix = row.encodable(prefix)
    with _snapshot(reader), file.legibly(reader) as damaged:
        ids = dict(reader.execute(FIND_CHAINS if prefix else NEWEST_CHAINS, (prefix, limit)))
        chosen = (_list(ids),)
        counts = {number: rest for number, *rest in reader.execute(COUNT_STEPS, chosen)}
        roots = {number: name for number, name, _ in reader.execute(FIND_ROOTS, chosen)}
        agents: dict[int, list[str]] = {}
        for number, name, _ in reader.execute(FIND_AGENTS, chosen):
            agents.setdefault(number, []).append(name)
    infos = []
    for number, chain_id in ids.items():
        # A chain that has no steps lost them: it is written, and forgotten, together with them.
        started_ns, ended_ns, is_open, steps, errors, handoffs = counts.get(number, (0, None, True, 0, 0, 0))
        texts = (chain_id, roots.get(number, ""), *agents.get(number, ()))
        infos.append(
            ChainInfo(
                chain_id=chain_id,
                name=texts[1],
                started_ns=started_ns,
                ended_ns=None if is_open else ended_ns,
                steps=steps,
                errors=errors,
                handoffs=handoffs,
                agents=texts[2:],
                is_damaged=number not in counts or not damaged.isdisjoint(texts),
            )
        )
    return infos


# All that starts with a text lies between it and it followed by the last character of all.
FIND_CHAINS = """SELECT chain_no, chain_id FROM chains
    WHERE chain_id >= ?1 AND chain_id <= ?1 || char(0x10FFFF)
    ORDER BY started_ns DESC, chain_no DESC LIMIT ?2"""

# By the index of the time: asked for a range of ids, SQLite would take theirs and sort every chain there is.
NEWEST_CHAINS = """SELECT chain_no, chain_id FROM chains
    WHERE ?1 = '' ORDER BY started_ns DESC, chain_no DESC LIMIT ?2"""

OUTLINE = """SELECT step_id, parent_id, seq, steps.started_ns, ended_ns FROM steps JOIN chains USING (chain_no)
    WHERE chain_id = ? ORDER BY seq, steps.started_ns, step_id"""

CHOSEN = "chain_no IN (SELECT value FROM json_each(?))"

COUNT_STEPS = f"""SELECT chain_no, min(started_ns), max(ended_ns), max(ended_ns IS NULL), count(*),
        sum(status IS (SELECT name_no FROM names WHERE name = 'error')),
        sum(kind IS (SELECT name_no FROM names WHERE name = 'handoff'))
    FROM steps WHERE {CHOSEN} GROUP BY chain_no"""

# Beside min(), SQLite gives the other columns of the row that has it (sqlite.org/lang_select.html, 2.5).
FIND_ROOTS = f"""SELECT chain_no, names.name, min(seq) FROM steps JOIN names ON name_no = steps.name
    WHERE {CHOSEN} AND NOT EXISTS (
        SELECT 1 FROM steps AS parent
        WHERE parent.chain_no = steps.chain_no AND parent.step_id = steps.parent_id)
    GROUP BY chain_no"""

FIND_AGENTS = f"""SELECT chain_no, names.name, min(seq) FROM steps JOIN names ON name_no = agent
    WHERE {CHOSEN} GROUP BY chain_no, agent ORDER BY min(seq)"""


FIND_ANCHOR = """SELECT step_id, chain_id, seq, hop, agents.name
    FROM anchors JOIN steps USING (chain_no, step_id) JOIN chains USING (chain_no)
    LEFT JOIN names AS agents ON agents.name_no = steps.agent WHERE anchors.name = ?"""


def _list(numbers: Iterable[Any]) -> str:
    return json.dumps([number for number in numbers if number is not None])


def _bytes_on_disk(path: Path) -> int:
    beside = (path.with_name(path.name + end) for end in ("", "-wal", "-shm"))
    return sum(each.stat().st_size for each in beside if each.exists())
