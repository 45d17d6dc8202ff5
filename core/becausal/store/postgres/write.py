"""Writing a batch of steps: one transaction, in which rows go by binary COPY.

First the chains of the batch are locked, in the order of their ids. Nobody else writes to them until the transaction
ends, so what they have already can be read, put together with what is new, and be counted. Contents, which chains
share, go through a table of the connection's own, and what is there already is left as it is; they are sorted, or two
batches would wait for each other.

Source: postgresql.org/docs/current/explicit-locking.html (deadlocks).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Final, LiteralString

from becausal.memory_event import NewEvent
from becausal.payload import Payload
from becausal.step import OpenStep
from becausal.store.encoding import Packer, encodable, number_of, unpack
from becausal.store.memory_log import Entry, Find
from becausal.store.postgres import memory
from becausal.store.postgres.connecting import Connection, Place
from becausal.store.postgres.rollup import COLUMNS, Rollup
from becausal.store.postgres.row import (
    CAUSE_TYPES,
    STEP_TYPES,
    StepRow,
    cause_rows,
    merged,
    payload_row,
    step_row,
)
from becausal.store.postgres.schema import DAY_NS, lock_number
from becausal.store.sweeping import named_by
from becausal.store.upkeep import SWEPT

__all__ = ["ADD_GAPS", "Batch", "append", "finding", "generation", "keep"]

BODY_TYPES: Final = ("bytea", "int8", "int2", "bytea")
PAYLOAD_TYPES: Final = ("bytea", "bytea", "int8", "text", "text")

FIND_STEPS: Final = f"""SELECT {", ".join(f"steps.{name}" for name in StepRow._fields)}
    FROM unnest(%s::int[], %s::text[], %s::bigint[]) AS wanted(day, chain_id, step_id)
    JOIN steps USING (day, chain_id, step_id)"""


FIND_ROOT: Final = """SELECT seq, parent_id, name FROM steps WHERE day = %s AND chain_id = %s AND NOT EXISTS (
        SELECT 1 FROM steps AS parent WHERE parent.day = steps.day AND parent.chain_id = steps.chain_id
            AND parent.step_id = steps.parent_id)
    ORDER BY seq, started_ns, step_id LIMIT 1"""

ADD_GAPS: Final = """INSERT INTO gaps SELECT * FROM unnest(%s::text[], %s::bigint[])
    ON CONFLICT (reason) DO UPDATE SET count = gaps.count + excluded.count"""

# In one order, or two batches would wait for each other.
TOUCH: Final = """INSERT INTO touched SELECT digest, sweep FROM unnest(%s::bytea[]) AS digest,
        unnest(%s::text[]) AS sweep ORDER BY digest, sweep ON CONFLICT DO NOTHING"""

WRITE_CHAIN: Final = """UPDATE chains SET day = %s, started_ns = %s, ended_ns = %s, steps = %s, open = %s, errors = %s,
    handoffs = %s, touched_ns = %s, wrong = %s, root_seq = %s, root_parent = %s, root_name = %s,
    agents = %s WHERE chain_id = %s"""


class Batch:
    """Steps on their way into the store; what can be done before others are kept waiting is done when it is made."""

    def __init__(self, steps: Sequence[OpenStep], *, notes_memory: bool) -> None:
        self._steps, self._notes_memory = steps, notes_memory
        self._fresh = {digest: body for step in steps for digest, body in step.bodies}
        packer = Packer()
        self._bodies = [(digest, *packer.pack(body)) for digest, body in sorted(self._fresh.items())]
        payloads = {
            payload.digest: payload
            for step in steps
            for payload in (step.received, step.produced)
            if payload is not None
        }
        self._payloads = sorted(map(payload_row, payloads.values()), key=lambda row: row[0])
        self._started: dict[str, int] = {}
        for step in steps:
            chain_id = encodable(step.chain_id)
            self._started[chain_id] = min(self._started.get(chain_id, step.started_ns), step.started_ns)

    def write(self, connection: Connection, place: Place, known: int | None) -> int:
        """Write all of it, within a transaction; returns how often something was deleted from the store by now.

        Args:
            known: how often when the former batch was written; since then parts were handed out that may be gone.
        """
        connection.execute("SELECT pg_advisory_xact_lock_shared(%s)", (lock_number(place),))
        found, sweeps = _look(connection)
        chains = self._lock_chains(connection)
        _add_payloads(connection, self._payloads)
        _add_bodies(connection, self._bodies)
        if sweeps:
            roots = (row[0] for row in self._payloads)
            _touch(connection, sweeps, named_by(roots, self._fresh, self._steps))
        self._write_steps(connection, chains)
        self._write_anchors(connection)
        if self._notes_memory:
            memory.note_steps(connection, self._steps, finding(connection, self._fresh))
        if found != known is not None:
            self._count_swept(connection)
        return found

    def _count_swept(self, connection: Connection) -> None:
        """Count the parts that these bodies refer to, handed out before and swept out since."""
        parts = named_by((), self._fresh) - self._fresh.keys()
        query = "SELECT count(*) FROM bodies WHERE digest = ANY(%s)"
        (there,) = connection.execute(query, (list(parts),)).fetchone() or (0,)
        if len(parts) > there:
            connection.execute(ADD_GAPS, ([SWEPT], [len(parts) - there]))

    def days(self) -> set[int]:
        """Return the days on which its chains began, as far as it knows."""
        return {started // DAY_NS for started in self._started.values()}

    def _lock_chains(self, connection: Connection) -> dict[str, Rollup]:
        ids = sorted(self._started)
        started = [self._started[chain_id] for chain_id in ids]
        connection.execute(
            """INSERT INTO chains(chain_id, day, started_ns)
            SELECT * FROM unnest(%s::text[], %s::int[], %s::bigint[]) ON CONFLICT DO NOTHING""",
            (ids, [one // DAY_NS for one in started], started),
        )
        query = (
            f'SELECT {COLUMNS} FROM chains WHERE chain_id = ANY(%s) ORDER BY chain_id COLLATE "C" FOR UPDATE'
        )
        found = connection.execute(query, (ids,)).fetchall()
        return {row[0]: Rollup.of(row) for row in found}

    def _write_steps(self, connection: Connection, chains: Mapping[str, Rollup]) -> None:
        pairs = [(step_row(step, chains[encodable(step.chain_id)].day), step) for step in self._steps]
        pairs.sort(key=lambda pair: pair[0][:3])  # an open step stays ahead of the same step ended
        rows: list[StepRow] = []
        causes: dict[tuple[object, ...], tuple[object, ...]] = {}
        unrooted: list[Rollup] = []
        known = _there(connection, chains, [row for row, _ in pairs])
        for chain_id, group in groupby(pairs, key=lambda pair: pair[0].chain_id):
            chain, of_chain = chains[chain_id], list(group)
            there = known.get(chain_id, {})
            now = dict(there)
            for row, step in of_chain:
                now[row.step_id] = merged(now.get(row.step_id), row)
                causes.update((cause[:4], cause) for cause in cause_rows(step, chain.day))
            changed = [row for number, row in now.items() if row != there.get(number)]
            _forget(connection, chain, [row.step_id for row in changed if row.step_id in there])
            _forget_causes(connection, [key for key in causes if key[1] == chain_id and key[2] in there])
            if not chain.steps:
                chain.take_root(changed)
            elif chain.may_have_another_root(changed):
                unrooted.append(chain)
            for row in changed:
                chain.count(there.get(row.step_id), row)
            rows += changed
        _copy(connection, f"steps ({', '.join(StepRow._fields)})", STEP_TYPES, rows)
        _copy(connection, "causes", CAUSE_TYPES, causes.values())
        for chain in unrooted:
            found = connection.execute(FIND_ROOT, (chain.day, chain.chain_id)).fetchone()
            chain.root_seq, chain.root_parent, chain.root_name = found or (None, None, None)
        with connection.cursor() as cursor:
            cursor.executemany(WRITE_CHAIN, [(*chain.row()[1:], chain.chain_id) for chain in chains.values()])

    def _write_anchors(self, connection: Connection) -> None:
        anchors = {
            encodable(name): (encodable(name), encodable(step.chain_id), number_of(step.id))
            for step in self._steps
            for name in step.anchors
        }
        if anchors:
            connection.execute("DELETE FROM anchors WHERE name = ANY(%s)", (sorted(anchors),))
            _copy(connection, "anchors", ("text", "text", "int8"), anchors.values())


def generation(connection: Connection) -> int:
    """Return how often something was deleted from the store."""
    return _look(connection)[0]


def _look(connection: Connection) -> tuple[int, list[str]]:
    """Return how often something was deleted, and the sweeps that look for what to delete next."""
    query = """SELECT (SELECT value FROM meta WHERE key = 'generation'),
        (SELECT array_agg(sweep ORDER BY sweep) FROM sweeps)"""
    found, sweeps = connection.execute(query).fetchone() or (None, None)
    return int(found or 0), sweeps or []


def append(
    connection: Connection, place: Place, event: NewEvent, bodies: Mapping[bytes, bytes], expected: int | None
) -> Entry | None:
    """Append an event of a memory, within a transaction; None where the key does not stand at `expected`."""
    connection.execute("SELECT pg_advisory_xact_lock_shared(%s)", (lock_number(place),))
    keep(connection, [] if event.payload is None else [event.payload], bodies)
    return memory.append(connection, event, expected, finding(connection, bodies))


def keep(connection: Connection, payloads: Iterable[Payload], bodies: Mapping[bytes, bytes]) -> None:
    """Keep contents that no step has, within a transaction."""
    packer = Packer()
    roots = {row[0]: row for row in map(payload_row, payloads)}
    _add_payloads(connection, list(roots.values()))
    _add_bodies(connection, [(digest, *packer.pack(body)) for digest, body in sorted(bodies.items())])
    _, sweeps = _look(connection)
    if sweeps:
        _touch(connection, sweeps, named_by(roots, bodies))


def finding(connection: Connection, fresh: Mapping[bytes, bytes]) -> Find:
    """Return what finds a body: among those on their way to the store, else in it."""

    def find(digest: bytes) -> bytes | None:
        if digest in fresh:
            return fresh[digest]
        found = connection.execute("SELECT codec, data FROM bodies WHERE digest = %s", (digest,)).fetchone()
        return None if found is None else unpack(*found)

    return find


def _there(
    connection: Connection, chains: Mapping[str, Rollup], rows: Iterable[StepRow]
) -> dict[str, dict[int, StepRow]]:
    """Return those of some steps that are there already, by chain and id."""
    found: dict[str, dict[int, StepRow]] = {}
    asked = sorted({row[:3] for row in rows if chains[row.chain_id].steps})
    if asked:
        for there in map(
            StepRow._make, connection.execute(FIND_STEPS, [*map(list, zip(*asked, strict=True))])
        ):
            found.setdefault(there.chain_id, {})[there.step_id] = there
    return found


def _forget(connection: Connection, chain: Rollup, ids: list[int]) -> None:
    """Take out rows that are written anew."""
    if ids:
        query = "DELETE FROM steps WHERE day = %s AND chain_id = %s AND step_id = ANY(%s)"
        connection.execute(query, (chain.day, chain.chain_id, ids))


def _forget_causes(connection: Connection, keys: list[tuple[object, ...]]) -> None:
    if keys:
        query = "DELETE FROM causes WHERE day = %s AND chain_id = %s AND step_id = %s AND nth = %s"
        with connection.cursor() as cursor:
            cursor.executemany(query, keys)


def _add_payloads(connection: Connection, rows: Sequence[tuple[object, ...]]) -> None:
    _add(connection, "payloads", PAYLOAD_TYPES, rows)


def _add_bodies(connection: Connection, rows: Sequence[tuple[object, ...]]) -> None:
    _add(connection, "bodies", BODY_TYPES, rows)


def _touch(connection: Connection, sweeps: list[str], named: Iterable[bytes]) -> None:
    """Say to the sweeps that are under way what must stay."""
    connection.execute(TOUCH, (sorted(named), sweeps))


def _add(
    connection: Connection, table: LiteralString, types: Sequence[str], rows: Sequence[tuple[object, ...]]
) -> None:
    """Write rows, sorted by their digests, but for those that are there."""
    if not rows:
        return
    connection.execute(f"CREATE TEMP TABLE IF NOT EXISTS new_{table} (LIKE {table}) ON COMMIT DELETE ROWS")
    _copy(connection, f"new_{table}", types, rows)
    connection.execute(
        f"INSERT INTO {table} SELECT * FROM new_{table} ORDER BY digest ON CONFLICT DO NOTHING"
    )


def _copy(
    connection: Connection, table: str, types: Sequence[str], rows: Collection[Sequence[object]]
) -> None:
    if not rows:
        return
    with connection.cursor().copy(f"COPY {table} FROM STDIN (FORMAT binary)") as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)
