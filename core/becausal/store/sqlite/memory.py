"""The log of the memories in SQLite: events are appended, never changed (see `becausal.store.memory_log`).

The order of the log is the order of the transactions. Events that come from an adapter's steps arrive in batches, those
of `becausal.Memory` at once; `seq`, the logical clock, is the causal order across both.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

from becausal.memory_event import MemoryEvent, MemoryRead, NewEvent
from becausal.payload import Bodies, Payload
from becausal.step import OpenStep
from becausal.store import memory_log
from becausal.store.memory_log import Entry, Find
from becausal.store.sqlite import row

__all__ = [
    "ORDER",
    "SCHEMA",
    "Head",
    "append",
    "broken_link",
    "content_digests",
    "events_of",
    "head_of",
    "mark_erased",
    "note_steps",
    "reads_of",
    "value_at",
    "versions_by",
]

SCHEMA = (
    """CREATE TABLE memory_events(
        event_no INTEGER PRIMARY KEY, memory TEXT NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL,
        operation TEXT NOT NULL, of INTEGER, seq INTEGER NOT NULL, at_ns INTEGER NOT NULL,
        chain_id TEXT, step_id INTEGER, agent TEXT, digest BLOB, reason TEXT,
        salt BLOB, commitment BLOB, hash BLOB NOT NULL, UNIQUE(memory, key, version)) STRICT""",
    "CREATE INDEX memory_log ON memory_events(memory, event_no)",
    # Which event a reader's cause means.
    "CREATE INDEX memory_writers ON memory_events(step_id) WHERE step_id IS NOT NULL",
    """CREATE TABLE memory_reads(
        memory TEXT NOT NULL, key TEXT NOT NULL, chain_id TEXT NOT NULL, step_id INTEGER NOT NULL,
        agent TEXT, seq INTEGER NOT NULL, version INTEGER, source_id INTEGER,
        PRIMARY KEY(memory, key, chain_id, step_id)) STRICT, WITHOUT ROWID""",
)

_HEAD = """SELECT (SELECT coalesce(max(version), 0) FROM memory_events WHERE memory = ?1 AND key = ?2),
    (SELECT coalesce(max(seq), 0) FROM memory_events WHERE memory = ?1),
    coalesce((SELECT hash FROM memory_events WHERE memory = ?1 ORDER BY event_no DESC LIMIT 1), x'')"""

_EVENTS = """SELECT e.memory, e.key, version, operation, of, seq, at_ns, chain_id, step_id, agent, e.digest, reason,
        hash, belief, total_size, name, lossy
    FROM memory_events AS e LEFT JOIN blobs ON blobs.digest = e.digest LEFT JOIN names ON name_no = type"""

# The same as `becausal.memory_event.value_at` says of all events of a key, of which one leaves the database. A key has
# few events and its memory many (+ hides the index of the order). What retracts a version is a later one.
_VALUE_AT = f"""{_EVENTS} WHERE event_no = (
    SELECT event_no FROM (
        SELECT event_no, version, operation FROM memory_events
        WHERE memory = ?1 AND key = ?2 AND +seq <= ?3 AND operation != 'retract'
        ORDER BY version DESC LIMIT 1) AS last
    WHERE operation IN ('write', 'supersede') AND NOT EXISTS (
        SELECT 1 FROM memory_events AS r WHERE r.memory = ?1 AND r.key = ?2 AND r.version > last.version
            AND +r.seq <= ?3 AND r.operation = 'retract' AND r.of = last.version))"""

ORDER = "CREATE INDEX memory_order ON memory_events(memory, seq)"
"""So that the highest seq of a memory is found at once, however many events it has; since format 3."""


class Head(NamedTuple):
    """Where a memory's log stands, and a key in it."""

    version: int
    """The key's last; 0 where it has none."""
    seq: int
    """The highest of the memory's events."""
    hash: bytes
    """Of its last event."""


def head_of(connection: sqlite3.Connection, memory: str, key: str) -> Head:
    """Return where a memory's log stands, and a key in it."""
    return Head(*connection.execute(_HEAD, (row.encodable(memory), row.encodable(key))).fetchone())


def append(connection: sqlite3.Connection, event: NewEvent, body: Find, head: Head, seq: int) -> Entry:
    """Append an event within a transaction.

    Args:
        body: the bodies that its content is made of.
        head: where the log and the key stand.
        seq: the one that it gets.
    """
    entry = memory_log.entry_of(event, head.version + 1, seq, head.hash, body)
    query = "INSERT INTO memory_events VALUES (NULL,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
    connection.execute(query, (*entry.said, *entry[1:]))
    return entry


def event_at(connection: sqlite3.Connection, entry: Entry, bodies: Bodies) -> MemoryEvent:
    """Return the event of an entry, with its content as it is kept."""
    digest = entry.said[10]
    payload = None if digest is None else _kept(connection, digest, bodies)
    return memory_log.event_from(entry.said, entry.hash, payload)


def _kept(connection: sqlite3.Connection, digest: bytes, bodies: Bodies) -> Payload | None:
    """Return a content that an event has, as it is kept; None where it is erased."""
    query = "SELECT belief, total_size, name, lossy FROM blobs JOIN names ON name_no = type WHERE digest = ?"
    found = connection.execute(query, (digest,)).fetchone()
    if found is None:
        return None
    belief, size, type_name, lossy = found
    return row.payload_of(digest, belief, size, type_name, lossy, bodies)


def value_at(
    connection: sqlite3.Connection, memory: str, key: str, up_to: int, bodies: Bodies
) -> MemoryEvent | None:
    """Return the event that gives a key its value at a causal sequence number; None where it has none."""
    found = connection.execute(_VALUE_AT, (memory, key, up_to)).fetchone()
    return None if found is None else _event(found, bodies)


def note_steps(connection: sqlite3.Connection, steps: Sequence[OpenStep], body: Find) -> None:
    """Append the events that steps of adapters tell of, and note what they read."""
    for step in steps:
        _note_write(connection, step, body)
        rows = memory_log.reads_of(step)
        connection.executemany("INSERT OR REPLACE INTO memory_reads VALUES (?,?,?,?,?,?,?,?)", rows)


def events_of(
    connection: sqlite3.Connection,
    memory: str | None,
    key: str | None,
    bodies: Bodies,
    *,
    version: int | None = None,
) -> list[MemoryEvent]:
    """Return events, in the order of the log; None means all memories, all keys, all versions."""
    which, values = _where("e", memory=memory, key=key, version=version)
    # A key has few events and its memory many: sorting the few is quicker than walking the log (+ hides its index).
    order = "event_no" if key is None else "+event_no"
    found = connection.execute(f"{_EVENTS} WHERE {which} ORDER BY {order}", values)
    return [_event(one, bodies) for one in found.fetchall()]


def reads_of(connection: sqlite3.Connection, memory: str | None, key: str | None) -> list[MemoryRead]:
    """Return who read what, in causal order; a version is known by number or by the step that wrote it."""
    which, values = _where("r", memory=memory, key=key)
    query = f"""SELECT r.memory, r.key, coalesce(r.version, max(e.version)), r.chain_id, r.step_id, r.agent, r.seq
        FROM memory_reads AS r LEFT JOIN memory_events AS e
            ON e.step_id = r.source_id AND e.memory = r.memory AND e.key = r.key
        WHERE {which}
        GROUP BY r.memory, r.key, r.chain_id, r.step_id ORDER BY r.seq"""
    found = connection.execute(query, values)
    return [
        MemoryRead(m, k, version, chain_id, row.step_id_of(step_id), agent, seq)
        for m, k, version, chain_id, step_id, agent, seq in found
    ]


def versions_by(connection: sqlite3.Connection, step_ids: str) -> list[tuple[str | None, str, str, str, int]]:
    """Return what some steps, whose ids come as JSON, wrote: chain, step, memory, key and version."""
    query = """SELECT chain_id, step_id, memory, key, version FROM memory_events
        WHERE step_id IN (SELECT value FROM json_each(?))"""
    return [
        (chain, row.step_id_of(step), *rest) for chain, step, *rest in connection.execute(query, (step_ids,))
    ]


def broken_link(connection: sqlite3.Connection, memory: str, body: Find) -> str | None:
    """Return which event of a memory is not what was appended, in words; None: all of them are."""
    query = """SELECT memory, key, version, operation, of, seq, at_ns, chain_id, step_id, agent, digest, reason,
        salt, commitment, hash FROM memory_events WHERE memory = ? ORDER BY event_no"""
    found = connection.execute(query, (memory,))
    return memory_log.broken_link((memory_log.Entry(r[:12], *r[12:]) for r in found), body)


def content_digests(connection: sqlite3.Connection, memory: str, key: str) -> list[bytes]:
    """Return the digests of all contents that a key ever had."""
    query = "SELECT DISTINCT digest FROM memory_events WHERE memory = ? AND key = ? AND digest IS NOT NULL"
    return [digest for (digest,) in connection.execute(query, (row.encodable(memory), row.encodable(key)))]


def mark_erased(connection: sqlite3.Connection, event_no: int) -> None:
    """Hold an event of which something was erased to the one before it, as it stands now; its hash stays."""
    *said, hashed = connection.execute(
        """SELECT memory, key, version, operation, of, seq, at_ns, chain_id, step_id, agent, digest, reason, hash
        FROM memory_events WHERE event_no = ?""",
        (event_no,),
    ).fetchone()
    former = connection.execute(
        "SELECT hash FROM memory_events WHERE memory = ? AND event_no < ? ORDER BY event_no DESC LIMIT 1",
        (said[0], event_no),
    ).fetchone()
    link = memory_log.link_of(b"" if former is None else former[0], tuple(said), hashed)
    connection.execute(
        "UPDATE memory_events SET salt = ?, commitment = ? WHERE event_no = ?",
        (memory_log.ERASED, link, event_no),
    )


# Inside


def _event(found: tuple[Any, ...], bodies: Bodies) -> MemoryEvent:
    """Return an event that `_EVENTS` found."""
    digest, (belief, size, type_name, lossy) = found[10], found[13:]
    payload = None if digest is None else row.payload_of(digest, belief, size, type_name, lossy, bodies)
    return memory_log.event_from(found[:12], found[12], payload)


def _where(table: str, **asked: str | int | None) -> tuple[str, list[str | int]]:
    """Return a condition of what is asked for and its values. `? IS NULL OR …` would keep SQLite from its indexes."""
    given = {name: value for name, value in asked.items() if value is not None}
    conditions = [f"{table}.{name} = ?" for name in given]
    values = [row.encodable(value) if isinstance(value, str) else value for value in given.values()]
    return " AND ".join(conditions) or "1", values


def _note_write(connection: sqlite3.Connection, step: OpenStep, body: Find) -> None:
    event = memory_log.event_of(step)
    if event is None:
        return
    known = connection.execute(
        "SELECT 1 FROM memory_events WHERE step_id = ? AND memory = ? AND key = ?",
        (row.number_of(step.id), row.encodable(event.memory), row.encodable(event.key)),
    )
    if known.fetchone() is not None:  # a batch that is tried again
        return
    append(connection, event, body, head_of(connection, event.memory, event.key), event.seq)
