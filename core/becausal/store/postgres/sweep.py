"""Sweeping a store: what nothing refers to any more goes, while others write (see `becausal.store.sweeping`)."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeVar

from becausal import semconv
from becausal.store.postgres.connecting import Connection
from becausal.store.postgres.moving import Changing, Rows
from becausal.store.postgres.write import ADD_GAPS
from becausal.store.sweeping import LONGEST_NS, Begun, kept_by, parts_of
from becausal.store.upkeep import SWEPT, Progress, silent

__all__ = ["Sweep", "bytes_of_memories", "chunks", "count_up"]

T = TypeVar("T")

BODIES_AT_ONCE: Final = 500

_OF_MEMORIES = "SELECT DISTINCT digest FROM memory_events WHERE digest IS NOT NULL"

_ROOTS = (
    "SELECT DISTINCT received FROM steps WHERE received IS NOT NULL",
    "SELECT DISTINCT produced FROM steps WHERE produced IS NOT NULL",
    _OF_MEMORIES,
)


class Sweep:
    """Sweeps one store."""

    def __init__(self, rows: Rows, alone: Changing, told: Progress) -> None:
        """Take what reads.

        Args:
            rows: reads.
            alone: does some work while nobody writes.
            told: told how far it is.
        """
        self._rows, self._alone, self._told = rows, alone, told

    def once(self) -> Iterator[int]:
        """Sweep once; yields how many bodies were deleted. See `becausal.store.sweeping`."""
        sweep, now = os.urandom(8).hex(), time.time_ns()

        def announce(connection: Connection) -> None:
            connection.execute("DELETE FROM sweeps WHERE abs(%s - began_ns) > %s", (now, LONGEST_NS))
            connection.execute("DELETE FROM touched WHERE sweep NOT IN (SELECT sweep FROM sweeps)")
            connection.execute("INSERT INTO sweeps VALUES (%s, %s) ON CONFLICT DO NOTHING", (sweep, now))
            count_up(connection)

        def end(connection: Connection) -> None:
            connection.execute("DELETE FROM sweeps WHERE sweep = %s", (sweep,))
            connection.execute("DELETE FROM touched WHERE sweep = %s", (sweep,))

        # First of all: whoever writes from now on hands out again what this may delete, and says what must stay.
        self._alone("announcing a sweep", announce)
        try:
            yield from self._sweep_bodies(sweep)
        finally:
            self._alone("ending a sweep", end)

    def _sweep_bodies(self, sweep: str) -> Iterator[int]:
        query = "SELECT digest FROM bodies UNION SELECT digest FROM payloads"
        there = {digest for (digest,) in self._rows("listing contents", query)}
        dead = sorted(there - self._alive())
        left = set(dead)
        for nth, chunk in enumerate(chunks(dead, BODIES_AT_ONCE)):
            self._told("sweeping", nth * BODIES_AT_ONCE, len(dead))

            def work(connection: Connection, chunk: Sequence[bytes] = chunk) -> int:
                lost = _revive(connection, left, _touched(connection, sweep))
                going = [digest for digest in chunk if digest in left]
                connection.execute("DELETE FROM payloads WHERE digest = ANY(%s)", (going,))
                gone = connection.execute("DELETE FROM bodies WHERE digest = ANY(%s)", (going,)).rowcount
                if lost:
                    connection.execute(ADD_GAPS, ([SWEPT], [lost]))
                count_up(connection)
                return gone

            yield self._alone("sweeping bodies", work)
        self._told("sweeping", len(dead), len(dead))

    def _alive(self) -> set[bytes]:
        """Return the digests of all that something refers to."""
        doing = "marking what is in use"
        roots = {digest for query in _ROOTS for (digest,) in self._rows(doing, query)}
        roots.update(self._kept(doing))
        return _reached(self._rows, roots, self._told)

    def _kept(self, doing: str) -> Iterator[bytes]:
        # What a replay needs of a step is named in its attributes alone.
        query = "SELECT attributes FROM steps WHERE attributes LIKE %s"
        for (text,) in self._rows(doing, query, (f'%"{semconv.KEPT}%',)):
            yield from kept_by(json.loads(text))


def bytes_of_memories(rows: Rows) -> int:
    """Return how many bytes the contents take that memories hold, which stay whatever runs go."""
    doing = "measuring it"
    held = _reached(rows, {digest for (digest,) in rows(doing, _OF_MEMORIES)}, silent)
    query = "SELECT coalesce(sum(length(data)), 0) FROM bodies WHERE digest = ANY(%s)"
    [(found,)] = rows(doing, query, (list(held),))
    return int(found)


def _reached(rows: Rows, roots: set[bytes], told: Progress) -> set[bytes]:
    """Return the digests of contents and of all that they are made of."""
    alive, waiting, done = set(roots), list(roots), 0
    while waiting:
        chunk, waiting = waiting[:BODIES_AT_ONCE], waiting[BODIES_AT_ONCE:]
        query = "SELECT codec, data FROM bodies WHERE digest = ANY(%s)"
        for codec, data in rows("marking what is in use", query, (chunk,)):
            new = set(parts_of(codec, data)) - alive
            alive |= new
            waiting.extend(new)
        done += len(chunk)
        told("marking", done, done + len(waiting))
    return alive


def count_up(connection: Connection) -> None:
    """Have every writer forget, at its next write, which parts of contents it handed out."""
    connection.execute(
        """INSERT INTO meta VALUES ('generation', '1')
        ON CONFLICT (key) DO UPDATE SET value = (meta.value::bigint + 1)::text"""
    )


def chunks(items: Sequence[T], size: int) -> Iterator[list[T]]:
    """Yield items, so many at once."""
    for start in range(0, len(items), size):
        yield list(items[start : start + size])


def _touched(connection: Connection, sweep: str) -> list[bytes]:
    """Take what was named since a sweep has looked, within a transaction while nobody writes.

    Raises:
        Begun: the sweep is no more.
    """
    goes_on = "UPDATE sweeps SET began_ns = %s WHERE sweep = %s"
    if connection.execute(goes_on, (time.time_ns(), sweep)).rowcount == 0:
        raise Begun
    query = "DELETE FROM touched WHERE sweep = %s RETURNING digest"
    return [digest for (digest,) in connection.execute(query, (sweep,))]


def _revive(connection: Connection, left: set[bytes], named: Iterable[bytes]) -> int:
    """Take out of what is left to go what was named, and all its parts; returns how many of these are gone already."""
    waiting = left.intersection(named)
    parts: set[bytes] = set()
    while waiting:
        left -= waiting
        query = "SELECT codec, data FROM bodies WHERE digest = ANY(%s)"
        found = {part for row in connection.execute(query, (list(waiting),)) for part in parts_of(*row)}
        parts |= found
        waiting = left & found
    query = "SELECT count(*) FROM bodies WHERE digest = ANY(%s)"
    (there,) = connection.execute(query, (list(parts),)).fetchone() or (0,)
    return len(parts) - int(there)
