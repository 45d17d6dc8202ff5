"""Writing a batch of steps: numbers first, then rows, in one transaction.

Each text and digest is looked up once and its number remembered, so a usual batch is four `executemany`s
with no query between. What is remembered may come from a transaction that is then rolled back: all of it
is forgotten then.

Two processes may write to one file. Numbers are therefore given while the write lock is held.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import chain, islice
from operator import attrgetter
from typing import Any

from becausal import canonical
from becausal.memory_event import MemoryEvent, NewEvent
from becausal.payload import Bodies, Payload
from becausal.step import OpenStep
from becausal.store.memory_log import Find
from becausal.store.sqlite import file, memory, row
from becausal.store.sqlite.bodies import BODIES, Unpacker
from becausal.store.sqlite.contents import Contents, Prepared, Roots
from becausal.store.sweeping import named_by
from becausal.store.upkeep import SWEPT

__all__ = ["Writer"]

REMEMBERED = 32_768
"""How many names, chains and digests are remembered, each."""

DOUBT_S = 5.0
"""How long after a deletion parts are looked for that steps refer to."""

CHUNK = 500
"""How many values one query asks for; old builds of SQLite allow 999."""

# What a step has it keeps, what it lacks a later write fills in: the two ends of a handoff may be written by two
# processes, in either order. An ended step never gives way to the same step while it was open, so a late retry of
# a batch changes nothing.
WRITE_STEP = """INSERT INTO steps VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)
    ON CONFLICT(chain_no, step_id) DO UPDATE SET
        parent_id = coalesce(excluded.parent_id, parent_id), kind = excluded.kind, name = excluded.name,
        agent = excluded.agent, seq = excluded.seq, hop = excluded.hop, started_ns = excluded.started_ns,
        ended_ns = max(excluded.ended_ns, coalesce(ended_ns, 0)), status = excluded.status,
        error = coalesce(excluded.error, error), received = coalesce(excluded.received, received),
        produced = coalesce(excluded.produced, produced), trace_id = coalesce(excluded.trace_id, trace_id),
        span_id = coalesce(excluded.span_id, span_id), choices = coalesce(excluded.choices, choices),
        attributes = iif(attributes IS NULL OR excluded.attributes IS NULL,
            coalesce(excluded.attributes, attributes), json_patch(attributes, excluded.attributes))
    WHERE steps.ended_ns IS NULL OR excluded.ended_ns IS NOT NULL"""

WRITE_ANCHOR = "INSERT OR REPLACE INTO anchors VALUES (?,?,?)"

ADD_GAP = "INSERT INTO gaps VALUES (?, ?) ON CONFLICT(reason) DO UPDATE SET count = count + excluded.count"

TOUCH = "INSERT OR IGNORE INTO touched SELECT sweep, ? FROM sweeps"

# How often something was deleted; and whether somebody is looking for what to delete next.
LOOK = "SELECT (SELECT value FROM meta WHERE key = 'generation'), EXISTS (SELECT 1 FROM sweeps)"

WRITE_CAUSE = "INSERT OR REPLACE INTO causes VALUES (?,?,?,?,?,?,?)"

_CAUSES = attrgetter("causes")
_NAMES = attrgetter("kind", "name", "agent", "status")
_NAMES_OF_CAUSE = attrgetter("kind", "grade")


class Writer:
    """Writes through one connection; its owner lets one thread in at a time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._names: dict[str, int] = {}
        self._chains: dict[str, row.Chain] = {}
        self._contents = Contents(connection, self._select)
        self._unpacker = Unpacker(connection)
        self._doubted_until = 0.0
        self.generation, self._is_swept = self._look()
        """How often chains or bodies were deleted by now, in whatever process: see `upkeep`."""

    def write(self, steps: Sequence[OpenStep], *, notes_memory: bool = True) -> None:
        """Write steps and their bodies, all or none; what they wrote to memories in the order in which they came."""
        came = steps
        # What belongs to one run lies together: it has most in common, is read together, and lands on one page.
        # Sorting is stable: an open step stays ahead of the same step ended.
        steps = sorted(steps, key=attrgetter("chain_id", "id"))
        given = [one for step in steps for one in step.bodies]
        contents, known = self._contents.prepared(given), self.generation
        roots = _roots(steps)
        with self.transaction():
            if self.generation != known:  # what was known to be there may be there no more
                contents = self._contents.prepared(given)
                self.begin_anew()
            if time.monotonic() < self._doubted_until:
                self._count_swept(steps)
            self._number_names(steps, roots)
            self._number_chains(steps)
            numbers = self._contents.write(roots, contents, self._names)
            if self._is_swept:
                self._touch_contents(roots, dict(given), contents, steps)
            self._write_steps(steps, numbers)
            if notes_memory and any(step.kind in ("memory_write", "memory_read") for step in came):
                memory.note_steps(self.connection, came, self._finding(_fresh(came)))

    def append(
        self, event: NewEvent, bodies: Mapping[bytes, bytes], expected: int | None, kept: Bodies
    ) -> MemoryEvent | None:
        """Append an event of a memory; None where the key is not at `expected`.

        Its seq is beyond every one that the memory has: its writer saw them all. What is returned reads its content
        out of `kept`.
        """
        with self.transaction():
            head = memory.head_of(self.connection, event.memory, event.key)
            if expected is not None and expected != head.version:
                return None
            self.keep([] if event.payload is None else [event.payload], bodies)
            seq = max(event.seq, head.seq + 1)
            entry = memory.append(self.connection, event, self._finding(bodies), head, seq)
            # Within the transaction: after it, looking for a row would open one more.
            return memory.event_at(self.connection, entry, kept)

    def keep(self, payloads: Iterable[Payload], bodies: Mapping[bytes, bytes]) -> None:
        """Keep contents that no step has, within a transaction."""
        roots = _by_text(payloads)
        self._number_texts({payload.type_name for _, payload in roots.values()})
        contents = self._contents.prepared(bodies.items())
        self._contents.write(roots, contents, self._names)
        if self._is_swept:
            self._touch_contents(roots, bodies, contents)

    def add_gaps(self, gaps: Mapping[str, int]) -> None:
        """Add to the counts of what could not be recorded."""
        rows = [(row.encodable(reason), count) for reason, count in gaps.items()]
        with self.transaction():
            self.connection.executemany(ADD_GAP, rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what is done within it one transaction, all or nothing."""
        file.begin(self.connection)
        try:
            self._mind_deletions()
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            self._forget()
            with suppress(sqlite3.Error):  # some errors have rolled back already
                self.connection.execute("ROLLBACK")
            raise
        for remembered in (self._names, self._chains, self._contents.known):
            if len(remembered) > REMEMBERED:
                _forget_oldest(remembered)

    def begin_anew(self) -> None:
        """Doubt that parts are there which were handed out before: steps that need them are on their way."""
        self._doubted_until = time.monotonic() + DOUBT_S

    def _mind_deletions(self) -> None:
        """Forget the numbers of what others have deleted since."""
        found, self._is_swept = self._look()
        if found != self.generation:
            self.generation = found
            self._forget()

    def _look(self) -> tuple[int, bool]:
        generation, is_swept = self.connection.execute(LOOK).fetchone()
        return int(generation or 0), bool(is_swept)

    def _touch(self, named: Iterable[bytes]) -> None:
        """Say to the sweeps that are under way what must stay: digests and names."""
        self.connection.executemany(TOUCH, [(one,) for one in named])

    def _touch_contents(
        self,
        roots: Roots,
        bodies: Mapping[bytes, bytes],
        contents: Prepared,
        steps: Sequence[OpenStep] = (),
    ) -> None:
        """Say to the sweeps that what is named by contents and steps must stay."""
        self._touch(named_by((digest for digest, _ in roots.values()), bodies, steps))
        self._touch(contents.blocks())

    def _forget(self) -> None:
        self._names.clear()
        self._chains.clear()
        self._contents.known.clear()

    def _count_swept(self, steps: Sequence[OpenStep]) -> None:
        """Count the parts that these bodies refer to, handed out before and swept out since."""
        fresh = _fresh(steps)
        parts = named_by((), fresh) - fresh.keys()
        query = f"SELECT digest FROM blobs WHERE {BODIES} AND digest IN"
        gone = len(parts) - len(self._select(query, parts))
        if gone:
            self.connection.execute(ADD_GAP, (SWEPT, gone))

    def _number_names(self, steps: Sequence[OpenStep], roots: Roots) -> None:
        # Without a loop of ours: a batch has thousands of them, and a few dozen different ones.
        causes = chain.from_iterable(map(_CAUSES, steps))
        self._number_texts(
            {
                *(payload.type_name for _, payload in roots.values()),
                *chain.from_iterable(map(_NAMES, steps)),
                *chain.from_iterable(map(_NAMES_OF_CAUSE, causes)),
            }
        )

    def _number_texts(self, names: Iterable[str | None]) -> None:
        known = self._names
        names = list(names)
        if self._is_swept:
            self._touch(row.encodable(name).encode() for name in names if name is not None)
        missing = {name: row.encodable(name) for name in names if name is not None and name not in known}
        if not missing:
            return
        texts = set(missing.values())
        found: dict[str, int] = dict(self._select("SELECT name, name_no FROM names WHERE name IN", texts))
        new = list(enumerate(texts - found.keys(), self._last("name_no", "names") + 1))
        self.connection.executemany("INSERT INTO names VALUES (?, ?)", new)
        found.update((text, number) for number, text in new)
        known.update((name, found[text]) for name, text in missing.items())

    def _number_chains(self, steps: Sequence[OpenStep]) -> None:
        started: dict[str, int] = {}
        for step in steps:
            earliest = started.get(step.chain_id)
            if earliest is None or step.started_ns < earliest:
                started[step.chain_id] = step.started_ns
        known = self._chains
        missing = {chain_id: row.encodable(chain_id) for chain_id in started if chain_id not in known}
        if missing:
            query = "SELECT chain_id, chain_no, started_ns FROM chains WHERE chain_id IN"
            found = {text: row.Chain(*rest) for text, *rest in self._select(query, set(missing.values()))}
            new = {text: started[chain_id] for chain_id, text in missing.items() if text not in found}
            next_no = self._last("chain_no", "chains") + 1
            rows = [(number, *one) for number, one in enumerate(new.items(), next_no)]
            self.connection.executemany("INSERT INTO chains VALUES (?, ?, ?)", rows)
            found.update((text, row.Chain(number, earliest)) for number, text, earliest in rows)
            known.update((chain_id, found[text]) for chain_id, text in missing.items())
        # A root ends, and so comes here, after the steps within it: the chain began earlier than it seemed.
        for chain_id, earliest_ns in started.items():
            one = known[chain_id]
            if earliest_ns < one.started_ns:
                self.connection.execute(
                    "UPDATE chains SET started_ns = min(started_ns, ?) WHERE chain_no = ?",
                    (earliest_ns, one.number),
                )
                known[chain_id] = row.Chain(one.number, earliest_ns)

    def _write_steps(self, steps: Sequence[OpenStep], blobs: Mapping[str, int]) -> None:
        """Write steps with their causes and anchors.

        Rows are made as they are asked for: a list of them would bring the garbage collector to life.
        """
        chains, names, numbers = self._chains, self._names, row.numbers_of([step.id for step in steps])
        many = self.connection.executemany
        many(
            WRITE_STEP,
            (row.step_row(step, chains[step.chain_id].number, names, blobs, numbers) for step in steps),
        )
        caused = [step for step in steps if step.causes]
        if caused:
            many(WRITE_CAUSE, row.cause_rows(caused, chains, names, numbers))
        anchored = [step for step in steps if step.anchors]
        if anchored:
            many(
                WRITE_ANCHOR,
                (
                    (row.encodable(name), chains[step.chain_id].number, numbers[step.id])
                    for step in anchored
                    for name in step.anchors
                ),
            )

    def _finding(self, fresh: Mapping[bytes, bytes]) -> Find:
        """Return what finds a body: among those on their way to the store, else in it."""

        def find(digest: bytes) -> bytes | None:
            return fresh[digest] if digest in fresh else self._unpacker.body(digest)

        return find

    def _last(self, column: str, table: str) -> int:
        found: int = self.connection.execute(f"SELECT coalesce(max({column}), 0) FROM {table}").fetchone()[0]
        return found

    def _select(self, query: str, values: Iterable[str] | Iterable[bytes]) -> list[tuple[Any, ...]]:
        left = iter(values)
        rows: list[tuple[Any, ...]] = []
        while chunk := tuple(islice(left, CHUNK)):
            rows += self.connection.execute(f"{query} ({','.join('?' * len(chunk))})", chunk)
        return rows


def _roots(steps: Sequence[OpenStep]) -> Roots:
    return _by_text(
        [payload for step in steps for payload in (step.received, step.produced) if payload is not None]
    )


def _by_text(payloads: Iterable[Payload]) -> Roots:
    different = {payload.digest: payload for payload in payloads}
    digests = canonical.parse_digests(different)
    return dict(zip(different, zip(digests, different.values(), strict=True), strict=True))


def _fresh(steps: Sequence[OpenStep]) -> dict[bytes, bytes]:
    """Return the bodies that come with steps."""
    return {digest: body for step in steps for digest, body in step.bodies}


def _forget_oldest(remembered: dict[Any, Any]) -> None:
    # What is forgotten costs one more look-up, so oldest is near enough to least used.
    for key in list(islice(remembered, len(remembered) // 2)):
        del remembered[key]
