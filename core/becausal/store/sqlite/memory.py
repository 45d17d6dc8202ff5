"""The log of the memories in SQLite: events are appended, never changed (see `becausal.store.memory_log`).

The order of the log is the order of the transactions. Events that come from an adapter's steps arrive in batches, those
of `becausal.Memory` at once; `seq`, the logical clock, is the causal order across both.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from becausal.memory_event import MemoryEvent, MemoryRead, NewEvent
from becausal.payload import Bodies
from becausal.step import OpenStep
from becausal.store import memory_log
from becausal.store.memory_log import Find
from becausal.store.sqlite import row

__all__ = [
    "ORDER",
    "SCHEMA",
    "append",
    "broken_link",
    "content_digests",
    "events_of",
    "latest_version",
    "mark_erased",
    "note_steps",
    "reads_of",
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

ORDER = "CREATE INDEX memory_order ON memory_events(memory, seq)"
"""So that the highest seq of a memory is found at once, however many events it has; since format 3."""


def append(
    connection: sqlite3.Connection, event: NewEvent, body: Find, *, after_all: bool
) -> tuple[int, int]:
    """Append an event within a transaction; returns its version and its seq.

    Args:
        body: the bodies that its content is made of.
        after_all: give it a seq beyond every one that this memory has: its writer saw them all.
    """
    memory = row.encodable(event.memory)
    version = latest_version(connection, event.memory, event.key) + 1
    former = _last_hash(connection, memory)
    seq = max(event.seq, _highest_seq(connection, memory) + 1) if after_all else event.seq
    said = memory_log.said(event, version, seq)
    salt, commitment = memory_log.committed(event.payload, body)
    connection.execute(
        "INSERT INTO memory_events VALUES (NULL,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
        (*said, salt, commitment, memory_log.hash_of(former, said, commitment)),
    )
    return version, seq


def latest_version(connection: sqlite3.Connection, memory: str, key: str) -> int:
    """Return the number of a key's last version; 0 where it has none."""
    found: int = connection.execute(
        "SELECT coalesce(max(version), 0) FROM memory_events WHERE memory = ? AND key = ?",
        (row.encodable(memory), row.encodable(key)),
    ).fetchone()[0]
    return found


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
    query = f"""SELECT e.memory, e.key, version, operation, of, seq, at_ns, chain_id, step_id, agent, e.digest, reason,
            hash, belief, total_size, name, lossy
        FROM memory_events AS e LEFT JOIN blobs ON blobs.digest = e.digest LEFT JOIN names ON name_no = type
        WHERE {which} ORDER BY {order}"""
    return [
        MemoryEvent(
            memory=r[0],
            key=r[1],
            version=r[2],
            operation=r[3],
            of=r[4],
            seq=r[5],
            at_ns=r[6],
            chain_id=r[7],
            step_id=None if r[8] is None else row.step_id_of(r[8]),
            agent=r[9],
            payload=None if r[10] is None else row.payload_of(r[10], r[13], r[14], r[15], r[16], bodies),
            reason=r[11],
            hash=r[12].hex(),
        )
        for r in connection.execute(query, values).fetchall()
    ]


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


def broken_link(connection: sqlite3.Connection, memory: str, body: Find) -> str | None:
    """Return which event of a memory is not what was appended, in words; None: all of them are."""
    query = """SELECT memory, key, version, operation, of, seq, at_ns, chain_id, step_id, agent, digest, reason,
        salt, commitment, hash FROM memory_events WHERE memory = ? ORDER BY event_no"""
    found = connection.execute(query, (row.encodable(memory),))
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


def _where(table: str, **asked: str | int | None) -> tuple[str, list[str | int]]:
    """Return a condition of what is asked for and its values. `? IS NULL OR …` would keep SQLite from its indexes."""
    given = {name: value for name, value in asked.items() if value is not None}
    conditions = [f"{table}.{name} = ?" for name in given]
    values = [row.encodable(value) if isinstance(value, str) else value for value in given.values()]
    return " AND ".join(conditions) or "1", values


def _last_hash(connection: sqlite3.Connection, memory: str) -> bytes:
    """Return the hash of a memory's last event."""
    found = connection.execute(
        "SELECT hash FROM memory_events WHERE memory = ? ORDER BY event_no DESC LIMIT 1", (memory,)
    ).fetchone()
    return b"" if found is None else found[0]


def _highest_seq(connection: sqlite3.Connection, memory: str) -> int:
    """Return the highest seq among a memory's events."""
    query = "SELECT coalesce(max(seq), 0) FROM memory_events WHERE memory = ?"
    seq: int = connection.execute(query, (memory,)).fetchone()[0]
    return seq


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
    append(connection, event, body, after_all=False)
