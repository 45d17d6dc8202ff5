"""PostgreSQL: the store that several machines record to and read from.

One connection writes, one reads, each opened when it is first needed. A batch is one transaction. Concurrency is
the database's: writers of different chains and memories do not wait for each other.

A connection must not cross a fork, so each process has its own.

Needs the extra `postgres` (psycopg 3); only modules of this package import it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import zstandard

from becausal.errors import StoreError, StoreFormatError
from becausal.memory_event import MemoryEvent, MemoryRead, NewEvent
from becausal.payload import Payload
from becausal.step import Cause, OpenStep, RemoteStep, Step
from becausal.store import ChainInfo, StoreInfo, memory_log
from becausal.store.encoding import cause_of, encodable, number_of, payload_of, step_id_of, unpack
from becausal.store.links import Links
from becausal.store.memory_log import Entry
from becausal.store.moving import Moving
from becausal.store.outline import Outline
from becausal.store.postgres import memory, write
from becausal.store.postgres.connecting import Connection, Place
from becausal.store.postgres.links import PostgresLinks
from becausal.store.postgres.moving import PostgresMoving
from becausal.store.postgres.rollup import COLUMNS, Rollup
from becausal.store.postgres.row import StepRow, step_of
from becausal.store.postgres.schema import FORMAT
from becausal.store.postgres.session import Session, of_the_parent, whole
from becausal.store.postgres.upkeep import PostgresUpkeep
from becausal.store.upkeep import Erasure, Upkeep

__all__ = ["PostgresStore"]

T = TypeVar("T")

Values: TypeAlias = Sequence[Any] | Mapping[str, Any] | None

SNAPSHOT = "ISOLATION LEVEL REPEATABLE READ READ ONLY"
"""For several queries that must see one state."""


class PostgresStore:
    """A `becausal.store.Store` in a schema of a PostgreSQL database."""

    def __init__(self, url: str, *, read_only: bool = False, create: bool = True) -> None:
        self._place = Place(url)
        self._read_only, self._create = read_only, create
        self._closed = False
        self._session = Session(self._place, create=create)
        # At once, so that what is wrong is said now and not in the middle of a run.
        line = self._session.reading if read_only else self._session.writing
        line.run("opening it", lambda connection: None)

    @property
    def url(self) -> str:
        """What it was opened with, without the password."""
        return self._place.shown

    def write(self, steps: Sequence[OpenStep], *, notes_memory: bool = True) -> None:
        """Keep steps and their bodies, all of them or, if this raises, none."""
        if not steps:
            return
        line = self._writable().writing
        batch = write.Batch(steps, notes_memory=notes_memory)

        def work(connection: Connection) -> None:
            partitions = line.partitions(connection)
            partitions.make(batch.days())
            with whole(connection):
                known = batch.write(connection, self._place, line.generation)
            line.generation = known

        line.run(f"writing {len(steps)} steps", work, patient=True)

    def add_gaps(self, gaps: Mapping[str, int]) -> None:
        """Add to the counts of what could not be recorded, by reason."""
        told = {encodable(reason): count for reason, count in sorted(gaps.items())}

        def work(connection: Connection) -> None:
            with whole(connection):
                connection.execute(write.ADD_GAPS, (list(told), list(told.values())))

        if told:
            # Not twice: a count that may be in already would be counted again.
            self._writable().writing.run("writing the counts of gaps", work, again=False)

    def gaps(self) -> dict[str, int]:
        """Return how much could not be recorded, by reason."""
        query = 'SELECT reason, count FROM gaps ORDER BY reason COLLATE "C"'
        return dict(self._rows("reading the counts of gaps", query))

    def chains(self, *, prefix: str = "", limit: int | None = None) -> list[ChainInfo]:
        """Return the chains whose ids start with a prefix, newest first."""
        # All that starts with a text lies between it and it followed by the last character of all.
        query = f"""SELECT {COLUMNS} FROM chains
            {"WHERE chain_id BETWEEN %(prefix)s AND %(prefix)s || chr(1114111)" if prefix else ""}
            ORDER BY started_ns DESC, chain_id DESC LIMIT %(limit)s"""
        asked = {"prefix": encodable(prefix), "limit": limit}
        doing = "listing the chains"
        chains = [Rollup.of(found) for found in self._rows(doing, query, asked)]
        # The earliest step whose caller is not there need not be the only one: a run that was taken up again has its
        # root further on. Few are asked about, since few lack what holds their first step.
        unsure = [chain.chain_id for chain in chains if chain.root_parent is not None]
        rooted = {chain_id for (chain_id,) in (self._rows(doing, ROOTED, (unsure,)) if unsure else [])}
        return [
            chain.info(is_rooted=chain.root_parent is None or chain.chain_id in rooted) for chain in chains
        ]

    def load(self, chain_id: str, ids: Collection[str] | None = None) -> list[Step]:
        """Return a chain's steps in `seq` order, or those with some ids; empty if there are none."""
        doing = f"loading the chain {chain_id}"
        only = None if ids is None else [number_of(one) for one in ids]

        def work(connection: Connection) -> list[Step]:
            with whole(connection, SNAPSHOT):
                return self._load(connection, encodable(chain_id), only)

        try:
            return self._read(doing, work)
        except (ValueError, LookupError, TypeError) as failure:
            raise self._damaged(doing, failure) from failure

    def outline(self, chain_id: str) -> Outline:
        """Return which steps a chain has and who called whom, in the order of `load`; empty if there are none."""
        query = f"""SELECT step_id, parent_id, seq, started_ns, ended_ns FROM steps
            WHERE day = (SELECT day FROM chains WHERE chain_id = %(id)s) AND chain_id = %(id)s {IN_ORDER}"""
        doing = f"reading the outline of the chain {chain_id}"
        return Outline(self._rows(doing, query, {"id": encodable(chain_id)}))

    def body(self, digest: bytes) -> bytes | None:
        """Return the canonical body with this digest, or None if it is not kept."""
        cache = self._own_session().bodies
        body = cache.get(digest)
        if body is None:
            doing = f"reading the body {digest.hex()}"
            found = self._rows(doing, "SELECT codec, data FROM bodies WHERE digest = %s", (digest,))
            if not found:
                return None
            try:
                body = unpack(*found[0])
            except zstandard.ZstdError as failure:
                raise self._damaged(doing, failure) from failure
            cache.put(digest, body)
        return body

    def anchored(self, name: str) -> RemoteStep | None:
        """Return the step that has this name among its anchors, the one written last; None if there is none."""
        query = """SELECT steps.step_id, steps.chain_id, seq, hop, agent FROM anchors
            JOIN chains USING (chain_id)
            JOIN steps ON steps.day = chains.day AND steps.chain_id = chains.chain_id
                AND steps.step_id = anchors.step_id
            WHERE anchors.name = %s"""
        found = self._rows(f"looking up the anchor {name}", query, (encodable(name),))
        return RemoteStep(step_id_of(found[0][0]), *found[0][1:]) if found else None

    def append(
        self, event: NewEvent, bodies: Mapping[bytes, bytes], *, expected: int | None = None
    ) -> MemoryEvent | None:
        """Append an event to a memory's log at once; None where the key does not stand at `expected`."""

        def work(connection: Connection) -> Entry | None:
            with whole(connection):
                return write.append(connection, self._place, event, bodies, expected)

        entry = self._writable().writing.run(f"writing to the memory {event.memory}", work, again=False)
        if entry is None:
            return None
        return memory_log.event_from(
            entry.said, entry.hash, self._payloads_of(entry.said[10]).get(entry.said[10])
        )

    def memory_events(self, memory_name: str | None = None, key: str | None = None) -> list[MemoryEvent]:
        """Return the events of memories, in the order of their log."""

        def work(connection: Connection) -> list[MemoryEvent]:
            with whole(connection, SNAPSHOT):
                return memory.events_of(
                    connection, memory_name, key, lambda digests: self._payloads(connection, digests)
                )

        return self._read("reading the log of the memories", work)

    def memory_value(self, memory_name: str, key: str, seq: int | None = None) -> MemoryEvent | None:
        """Return the event that gives a key its value at a causal sequence number; None where it has none."""

        def work(connection: Connection) -> MemoryEvent | None:
            with whole(connection, SNAPSHOT):
                return memory.value_at(
                    connection, memory_name, key, seq, lambda digests: self._payloads(connection, digests)
                )

        return self._read(f"reading the memory {memory_name}", work)

    def memory_reads(self, memory_name: str | None = None, key: str | None = None) -> list[MemoryRead]:
        """Return who read what from memories, in causal order."""
        return self._read(
            "reading who read the memories",
            lambda connection: memory.reads_of(connection, memory_name, key),
        )

    def memory_versions(self, step_ids: Collection[str]) -> list[tuple[str | None, str, str, str, int]]:
        """Return what some steps wrote to memories: the chain, the step, the memory, the key and the version."""
        return self._read(
            "reading which versions of memories a run wrote",
            lambda connection: memory.versions_by(connection, step_ids),
        )

    def broken_link(self, memory_name: str) -> str | None:
        """Return which event of a memory is not what was appended, in words; None: all of them are."""

        def work(connection: Connection) -> str | None:
            with whole(connection, SNAPSHOT):
                return memory.broken_link(connection, memory_name, self.body)

        return self._read(f"verifying the memory {memory_name}", work)

    def erase(self, memory_name: str, key: str) -> None:
        """Forget every content that a key ever had, wherever else it was kept; its events stay."""
        self.upkeep().erase(Erasure(memory=(memory_name, key)))

    def describe(self) -> StoreInfo:
        """Return what the store is and how much is in it."""
        query = """SELECT (SELECT count(*) FROM chains), (SELECT coalesce(sum(steps), 0)::bigint FROM chains),
            (SELECT count(*) FROM bodies), (SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class
                WHERE relnamespace = to_regnamespace(%s) AND relkind = 'r')"""
        name = '"' + self._place.schema.replace('"', '""') + '"'
        [(chains, steps, bodies, size)] = self._rows("counting what is in it", query, (name,))
        return StoreInfo(self.url, None, FORMAT, size, chains, steps, bodies)

    def server(self) -> tuple[str, bool]:
        """Return the server's version, and whether we may write there."""
        query = "SELECT current_setting('server_version'), has_table_privilege('steps', 'INSERT')"
        [(version, may_write)] = self._rows("asking the server", query)
        return str(version), bool(may_write)

    def links(self) -> Links:
        """Return what answers about more than one chain."""
        return PostgresLinks(
            lambda query, values: self._rows("looking for what chains have in common", query, values)
        )

    def moving(self) -> Moving:
        """Return what carries the store to another one."""
        return PostgresMoving(self._rows, self._changing, self._place)

    def upkeep(self) -> Upkeep:
        """Return what keeps the store within bounds."""
        return PostgresUpkeep(
            self._rows,
            self._changing,
            self._place,
            self._generation,
            lambda: self._own_session().bodies.clear(),
        )

    def close(self) -> None:
        """Let go of the connections. Closing twice is harmless."""
        if not self._closed:
            session = self._own_session()
            self._closed = True
            session.close()

    # Inside

    def _read(self, doing: str, work: Callable[[Connection], T]) -> T:
        return self._own_session().reading.run(doing, work)

    def _rows(self, doing: str, query: str, values: Values = None) -> list[tuple[Any, ...]]:
        return self._read(doing, lambda connection: connection.execute(query, values, binary=True).fetchall())

    def _changing(self, doing: str, work: Callable[[Connection], T]) -> T:
        """Return what some work gives that is one transaction, and may be done twice."""

        def whole_work(connection: Connection) -> T:
            with whole(connection):
                return work(connection)

        return self._writable().writing.run(doing, whole_work)

    def _generation(self) -> int:
        """Return how often something was deleted, as far as the last write saw it."""
        line = self._writable().writing
        if line.generation is None:
            line.generation = line.run("looking for deletions", write.generation)
        return line.generation

    def _writable(self) -> Session:
        if self._read_only:
            raise StoreError(f"{self.url} was opened to read only; open it without read_only=True to write")
        return self._own_session()

    def _own_session(self) -> Session:
        if self._closed:
            raise StoreError(f"{self.url} is closed; open it again with becausal.store.open_store")
        session = self._session
        if session.pid != os.getpid():
            of_the_parent.append(session)
            session = self._session = Session(self._place, create=self._create)
        return session

    def _load(self, connection: Connection, chain_id: str, only: list[int] | None) -> list[Step]:
        day = connection.execute("SELECT day FROM chains WHERE chain_id = %s", (chain_id,)).fetchone()
        if day is None:
            return []
        which, values = "day = %s AND chain_id = %s", (*day, chain_id)
        if only is not None:
            which, values = f"{which} AND step_id = ANY(%s::bigint[])", (*values, only)
        query = f"SELECT {', '.join(StepRow._fields)} FROM steps WHERE {which} {IN_ORDER}"
        rows = [StepRow._make(found) for found in connection.execute(query, values, binary=True)]
        query = f"""SELECT step_id, source_id, kind, grade, evidence FROM causes WHERE {which}
            ORDER BY step_id, nth"""
        causes: dict[int, list[Cause]] = {}
        for number, *cause in connection.execute(query, values, binary=True):
            causes.setdefault(number, []).append(cause_of(*cause))
        payloads = self._payloads(
            connection, {one for row in rows for one in (row.received, row.produced) if one}
        )
        return [step_of(row, payloads, tuple(causes.get(row.step_id, ())), chain_id) for row in rows]

    def _payloads(self, connection: Connection, digests: Iterable[bytes]) -> dict[bytes, Payload]:
        query = "SELECT digest, belief, size, type, lossy FROM payloads WHERE digest = ANY(%s)"
        found = connection.execute(query, (list(digests),), binary=True)
        return {
            digest: payload_of(digest, belief, size, type_name, lossy, self)
            for digest, belief, size, type_name, lossy in found
        }

    def _payloads_of(self, digest: bytes | None) -> dict[bytes, Payload]:
        if digest is None:
            return {}
        return self._read("reading a payload", lambda connection: self._payloads(connection, [digest]))

    def _damaged(self, doing: str, failure: Exception) -> StoreFormatError:
        return StoreFormatError(
            f"{self.url} holds what becausal did not write: {doing} failed ({failure}); restore it from a backup"
        )


ROOTED = """SELECT chain_id FROM chains WHERE chain_id = ANY(%s) AND EXISTS (SELECT 1 FROM steps
    WHERE steps.day = chains.day AND steps.chain_id = chains.chain_id AND parent_id IS NULL)"""

IN_ORDER = "ORDER BY seq, started_ns, step_id"
