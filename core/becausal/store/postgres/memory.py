"""The log of the memories in PostgreSQL: events are appended, never changed (see `becausal.store.memory_log`).

Each memory has a head, which is the lock and the sequence: whoever appends holds it until all is durable. So a log
has no holes that a late commit would fill, and two memories do not wait for each other. Heads are always taken in the
order of their names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from becausal.memory_event import MemoryEvent, MemoryRead, NewEvent
from becausal.payload import Payload
from becausal.step import OpenStep
from becausal.store import memory_log
from becausal.store.encoding import encodable, number_of, step_id_of
from becausal.store.memory_log import Entry, Find
from becausal.store.postgres.connecting import Connection

__all__ = [
    "ENTRIES",
    "add",
    "add_reads",
    "append",
    "broken_link",
    "content_digests",
    "entries",
    "entries_of",
    "events_of",
    "heads_of",
    "note_steps",
    "reads_of",
    "value_at",
    "versions_by",
]

SAID = "memory, key, version, operation, of, seq, at_ns, chain_id, step_id, agent, digest, reason"

ENTRIES = f"""SELECT {SAID}, salt, commitment, hash FROM memory_events LEFT JOIN memory_salts USING (memory, nth)
    WHERE memory = %(memory)s ORDER BY nth"""

# The same as `becausal.memory_event.value_at` says of all events of a key, of which one leaves the database.
_VALUE_AT = f"""SELECT {SAID}, hash FROM (
        SELECT {SAID}, hash FROM memory_events
        WHERE memory = %(memory)s AND key = %(key)s AND seq <= %(seq)s AND operation != 'retract'
        ORDER BY version DESC LIMIT 1) AS last
    WHERE operation IN ('write', 'supersede') AND NOT EXISTS (
        SELECT 1 FROM memory_events AS r WHERE r.memory = %(memory)s AND r.key = %(key)s AND r.seq <= %(seq)s
            AND r.operation = 'retract' AND r.of = last.version)"""

EVENT_TYPES = (
    *("text", "text", "int8", "text", "int8", "int8", "int8", "text", "int8", "text", "bytea", "text"),
    *("int8", "bytea", "bytea"),
)


class _Head(NamedTuple):
    nth: int
    seq: int
    hash: bytes


def append(connection: Connection, event: NewEvent, expected: int | None, body: Find) -> Entry | None:
    """Append an event that its writer saw all others before; None where the key does not stand at `expected`."""
    memory, key = encodable(event.memory), encodable(event.key)
    heads = heads_of(connection, [memory])
    version = _versions(connection, memory, [key]).get(key, 0)
    if expected is not None and expected != version:
        return None
    seq = max(event.seq, heads[memory].seq + 1)
    entry = memory_log.entry_of(event, version + 1, seq, heads[memory].hash, body)
    add(connection, [entry], heads)
    return entry


def note_steps(connection: Connection, steps: Sequence[OpenStep], body: Find) -> None:
    """Append the events that steps of adapters tell of, and note what they read."""
    add_reads(connection, [row for step in steps for row in memory_log.reads_of(step)])
    events = [event for event in map(memory_log.event_of, steps) if event is not None]
    if not events:
        return
    memories = sorted({encodable(event.memory) for event in events})
    heads = heads_of(connection, memories)
    known = _noted(connection, memories, [event.step_id for event in events if event.step_id is not None])
    versions = {
        memory: _versions(
            connection, memory, {encodable(e.key) for e in events if encodable(e.memory) == memory}
        )
        for memory in memories
    }
    made: list[Entry] = []
    last = {memory: head.hash for memory, head in heads.items()}
    for event in events:
        memory, key = encodable(event.memory), encodable(event.key)
        if event.step_id is not None:
            if (number_of(event.step_id), memory, key) in known:  # a batch that is tried again
                continue
            known.add((number_of(event.step_id), memory, key))
        version = versions[memory].get(key, 0) + 1
        versions[memory][key] = version
        made.append(memory_log.entry_of(event, version, event.seq, last[memory], body))
        last[memory] = made[-1].hash
    add(connection, made, heads)


def add(connection: Connection, made: Sequence[Entry], heads: dict[str, _Head] | None = None) -> None:
    """Put entries behind the logs of their memories, as they are."""
    if not made:
        return
    heads = heads if heads is not None else heads_of(connection, sorted({entry.said[0] for entry in made}))
    now = dict(heads)
    salts = []
    columns = f"{SAID}, nth, commitment, hash"
    with connection.cursor().copy(f"COPY memory_events ({columns}) FROM STDIN (FORMAT binary)") as copy:
        copy.set_types(EVENT_TYPES)
        for entry in made:
            memory, seq = entry.said[0], entry.said[5]
            nth = now[memory].nth + 1
            now[memory] = _Head(nth, max(now[memory].seq, seq), entry.hash)
            copy.write_row((*entry.said, nth, entry.commitment, entry.hash))
            if entry.salt is not None:
                salts.append((memory, nth, entry.salt))
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO memory_salts VALUES (%s, %s, %s)", salts)
        cursor.executemany(
            "UPDATE memory_heads SET nth = %s, seq = %s, hash = %s WHERE memory = %s",
            [(*head, memory) for memory, head in now.items() if head != heads[memory]],
        )


def entries(connection: Connection, memory: str) -> list[Entry]:
    """Return a memory's log."""
    return entries_of(connection.execute(ENTRIES, {"memory": encodable(memory)}))


def entries_of(rows: Iterable[tuple[Any, ...]]) -> list[Entry]:
    """Return what a query of `ENTRIES` found."""
    return [Entry(r[:12], *r[12:]) for r in rows]


def events_of(
    connection: Connection,
    memory: str | None,
    key: str | None,
    payloads: Callable[[Iterable[bytes]], dict[bytes, Payload]],
) -> list[MemoryEvent]:
    """Return events, in the order of their logs; None means all memories, all keys."""
    which, asked = _where(memory=memory, key=key)
    query = f"""SELECT {SAID}, hash FROM memory_events
        WHERE {which} ORDER BY memory, nth"""
    found = connection.execute(query, asked).fetchall()
    known = payloads({r[10] for r in found if r[10] is not None})
    return [memory_log.event_from(r[:12], r[12], None if r[10] is None else known[r[10]]) for r in found]


def value_at(
    connection: Connection,
    memory: str,
    key: str,
    seq: int | None,
    payloads: Callable[[Iterable[bytes]], dict[bytes, Payload]],
) -> MemoryEvent | None:
    """Return the event that gives a key its value at a causal sequence number; None where it has none."""
    asked = {"memory": encodable(memory), "key": encodable(key), "seq": memory_log.up_to(seq)}
    found = connection.execute(_VALUE_AT, asked).fetchone()
    if found is None:
        return None
    payload = None if found[10] is None else payloads({found[10]})[found[10]]
    return memory_log.event_from(found[:12], found[12], payload)


def reads_of(connection: Connection, memory: str | None, key: str | None) -> list[MemoryRead]:
    """Return who read what, in causal order; a version is known by number or by the step that wrote it."""
    which, asked = _where("r.", memory=memory, key=key)
    query = f"""SELECT r.memory, r.key, coalesce(min(r.version), max(e.version)), r.chain_id, r.step_id,
            min(r.agent), min(r.seq)
        FROM memory_reads AS r LEFT JOIN memory_events AS e
            ON e.memory = r.memory AND e.step_id = r.source_id AND e.key = r.key
        WHERE {which}
        GROUP BY r.memory, r.key, r.chain_id, r.step_id ORDER BY min(r.seq), r.memory, r.key, r.chain_id, r.step_id"""
    return [
        MemoryRead(m, k, version, chain_id, step_id_of(step_id), agent, seq)
        for m, k, version, chain_id, step_id, agent, seq in connection.execute(query, asked)
    ]


def versions_by(
    connection: Connection, step_ids: Iterable[str]
) -> list[tuple[str | None, str, str, str, int]]:
    """Return what some steps wrote: the chain, the step, the memory, the key and the version."""
    query = (
        "SELECT chain_id, step_id, memory, key, version FROM memory_events WHERE step_id = ANY(%s::bigint[])"
    )
    found = connection.execute(query, ([number_of(one) for one in step_ids],))
    return [(chain, step_id_of(step), *rest) for chain, step, *rest in found]


def broken_link(connection: Connection, memory: str, body: Find) -> str | None:
    """Return which event of a memory is not what was appended, in words; None: all of them are."""
    log = entries(connection, memory)
    broken = memory_log.broken_link(log, body)
    if broken is not None:
        return broken
    row = connection.execute(
        "SELECT nth, hash FROM memory_heads WHERE memory = %s", (encodable(memory),)
    ).fetchone()
    if (row or (0, b"")) != ((len(log), log[-1].hash) if log else (0, b"")):
        return f"{memory}: its last events are missing"
    return None


def content_digests(connection: Connection, memory: str, key: str) -> list[bytes]:
    """Return the digests of all contents that a key ever had."""
    query = "SELECT DISTINCT digest FROM memory_events WHERE memory = %s AND key = %s AND digest IS NOT NULL"
    return [digest for (digest,) in connection.execute(query, (encodable(memory), encodable(key)))]


def add_reads(connection: Connection, rows: Sequence[tuple[object, ...]], *, replace: bool = True) -> None:
    """Note who read what, as `becausal.store.memory_log.reads_of` tells it."""
    if not rows:
        return
    with connection.cursor() as cursor:
        which = "memory = %s AND key = %s AND chain_id = %s AND step_id = %s"
        if replace:
            cursor.executemany(f"DELETE FROM memory_reads WHERE {which}", [row[:4] for row in rows])
        cursor.executemany(
            "INSERT INTO memory_reads VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING", rows
        )


def heads_of(connection: Connection, memories: Sequence[str]) -> dict[str, _Head]:
    """Lock the heads of memories, in the order of their names, and return where they stand."""
    connection.execute(
        """INSERT INTO memory_heads SELECT memory, 0, 0, ''::bytea FROM unnest(%s::text[]) AS memory
        ORDER BY memory COLLATE "C" ON CONFLICT DO NOTHING""",
        (list(memories),),
    )
    query = """SELECT memory, nth, seq, hash FROM memory_heads WHERE memory = ANY(%s)
        ORDER BY memory COLLATE "C" FOR UPDATE"""
    return {memory: _Head(*rest) for memory, *rest in connection.execute(query, (list(memories),))}


# Inside


def _where(table: str = "", **asked: str | None) -> tuple[str, dict[str, str]]:
    """Return a condition of what is asked for, and its values."""
    given = {name: encodable(value) for name, value in asked.items() if value is not None}
    return " AND ".join(f"{table}{name} = %({name})s" for name in given) or "true", given


def _versions(connection: Connection, memory: str, keys: Iterable[str]) -> dict[str, int]:
    query = "SELECT key, max(version) FROM memory_events WHERE memory = %s AND key = ANY(%s) GROUP BY key"
    return dict(connection.execute(query, (memory, list(keys))).fetchall())


def _noted(
    connection: Connection, memories: Sequence[str], step_ids: Iterable[str]
) -> set[tuple[int, str, str]]:
    query = "SELECT step_id, memory, key FROM memory_events WHERE memory = ANY(%s) AND step_id = ANY(%s::bigint[])"
    return set(connection.execute(query, (list(memories), [number_of(one) for one in step_ids])).fetchall())
