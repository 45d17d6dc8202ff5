"""Sweeping a file: what nothing refers to any more goes, while others write (see `becausal.store.sweeping`)."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from becausal import semconv
from becausal.store.encoding import PACKED, Packer
from becausal.store.sqlite import file
from becausal.store.sqlite.bodies import BODIES, Unpacker, pack_number
from becausal.store.sqlite.packs import tidy
from becausal.store.sqlite.write import ADD_GAP
from becausal.store.sweeping import LONGEST_NS, Begun, kept_by
from becausal.store.upkeep import SWEPT, Progress

__all__ = ["Reading", "Sweep", "drop_unused_names"]

Reading = Callable[[], AbstractContextManager[sqlite3.Connection]]

BODIES_AT_ONCE = 1_000

_UNUSED_NAMES = """SELECT name_no, name FROM names WHERE name_no NOT IN (
    SELECT kind FROM steps UNION SELECT name FROM steps UNION SELECT status FROM steps
    UNION SELECT agent FROM steps WHERE agent IS NOT NULL UNION SELECT kind FROM causes UNION SELECT grade FROM causes
    UNION SELECT type FROM blobs WHERE type IS NOT NULL)"""

_DROP_NAME = "DELETE FROM names WHERE name_no = ?"

_ROOTS = (
    "SELECT received FROM steps WHERE received IS NOT NULL",
    "SELECT produced FROM steps WHERE produced IS NOT NULL",
    "SELECT blob_no FROM memory_events JOIN blobs USING (digest)",
)

# What a replay needs of a step is named in its attributes alone.
_KEPT = f"""SELECT attributes FROM steps WHERE instr(attributes, '"{semconv.KEPT}') > 0"""


class Changing(Protocol):
    """Gives the connection within a transaction."""

    def __call__(self, doing: str, *, counts: bool = False) -> AbstractContextManager[sqlite3.Connection]:
        """Give it; `counts`: writers elsewhere must forget what they remember."""


class Sweep:
    """Sweeps one file."""

    def __init__(self, reading: Reading, changing: Changing, path: Path | None, told: Progress) -> None:
        self._reading, self._changing, self._path, self._told = reading, changing, path, told

    def once(self) -> Iterator[int]:
        """Sweep once; yields how many bodies were deleted. See `becausal.store.sweeping`."""
        sweep, now = os.urandom(8).hex(), time.time_ns()
        # First of all: whoever writes from now on hands out again what this may delete, and says what must stay.
        with self._changing("announcing a sweep", counts=True) as connection:
            connection.execute("DELETE FROM sweeps WHERE abs(? - began_ns) > ?", (now, LONGEST_NS))
            connection.execute("DELETE FROM touched WHERE sweep NOT IN (SELECT sweep FROM sweeps)")
            connection.execute("INSERT INTO sweeps VALUES (?, ?)", (sweep, now))
            (last,) = connection.execute("SELECT coalesce(max(blob_no), 0) FROM blobs").fetchone()
        try:
            yield from self._sweep_bodies(sweep, last)
            self._sweep_names(sweep)
        finally:
            with self._changing("ending a sweep") as connection:
                connection.execute("DELETE FROM sweeps WHERE sweep = ?", (sweep,))
                connection.execute("DELETE FROM touched WHERE sweep = ?", (sweep,))

    def _sweep_bodies(self, sweep: str, last: int) -> Iterator[int]:
        dead = self._unmarked(last)
        left, packer = set(dead), Packer()
        for start in range(0, len(dead), BODIES_AT_ONCE):
            self._told("sweeping", start, len(dead))
            with self._changing("sweeping bodies", counts=True) as connection:
                lost = _revive(connection, left, _touched(connection, sweep))
                going = left.intersection(dead[start : start + BODIES_AT_ONCE])
                query = f"""DELETE FROM blobs WHERE blob_no IN (SELECT value FROM json_each(?))
                    RETURNING codec IS NULL OR {BODIES}, blob_no, codec, iif(codec = {PACKED}, data, NULL)"""
                rows = connection.execute(query, (file.list_of(going),)).fetchall()
                gone = sum(one for one, *_ in rows)
                tidy(connection, packer, [pack for _, *rest in rows for pack in pack_number(*rest)])
                if lost:
                    connection.execute(ADD_GAP, (SWEPT, lost))
            yield gone
        self._told("sweeping", len(dead), len(dead))

    def _sweep_names(self, sweep: str) -> None:
        """Delete the names that nothing has any more: a request's is often a name of its own.

        They are looked for before, without the lock that others wait for: that takes a look at every step.
        """
        with self._reading() as reader, file.told(self._path, "looking for names that nothing has"):
            unused = reader.execute(_UNUSED_NAMES).fetchall()
        touched: set[bytes] = set()
        for start in range(0, len(unused), BODIES_AT_ONCE):
            with self._changing("dropping names", counts=True) as connection:
                touched.update(_touched(connection, sweep))
                chunk = unused[start : start + BODIES_AT_ONCE]
                connection.executemany(
                    _DROP_NAME, [(number,) for number, name in chunk if name.encode() not in touched]
                )

    def _unmarked(self, last: int) -> list[int]:
        """Return the numbers up to `last` of the bodies that nothing live refers to."""
        alive = bytearray(last + 1)
        waiting: list[int] = []
        with self._reading() as reader, file.told(self._path, "marking what is in use"):
            total = reader.execute("SELECT count(*) FROM blobs").fetchone()[0]
            for number in _roots(reader):
                if number <= last and not alive[number]:
                    alive[number] = 1
                    waiting.append(number)
            unpacker, done = Unpacker(reader), 0
            while waiting:
                # In the order of the file: of a pack each body is there once it is unpacked.
                wave, waiting = sorted(waiting), []
                for number in wave:
                    done += 1
                    if done % 1_000 == 0:
                        self._told("marking what is in use", done, total)
                    for part in _numbers(reader, unpacker.made_of(number)):
                        if part is not None and part <= last and not alive[part]:
                            alive[part] = 1
                            waiting.append(part)
            there = reader.execute("SELECT blob_no FROM blobs WHERE blob_no <= ?", (last,))
            return [number for (number,) in there if not alive[number]]


def drop_unused_names(connection: sqlite3.Connection) -> None:
    """Delete the names that nothing has, within a transaction."""
    unused = connection.execute(_UNUSED_NAMES).fetchall()
    connection.executemany(_DROP_NAME, [(number,) for number, _ in unused])


def _roots(reader: sqlite3.Connection) -> Iterator[int]:
    for query in _ROOTS:
        for (number,) in reader.execute(query):
            yield number
    for (attributes,) in reader.execute(_KEPT):
        yield from (number for number in _numbers(reader, _kept_in(attributes)) if number)


def _kept_in(attributes: str) -> list[bytes]:
    """Return what a replay needs of a step; nothing of one that is damaged, as its run cannot be loaded."""
    try:
        return list(kept_by(json.loads(attributes)))
    except (ValueError, AttributeError):
        return []


def _numbers(reader: sqlite3.Connection, digests: Iterable[bytes]) -> Iterator[int | None]:
    """Yield the numbers of contents; None of one that is not there."""
    for digest in digests:
        found = reader.execute("SELECT blob_no FROM blobs WHERE digest = ?", (digest,)).fetchone()
        yield None if found is None else found[0]


def _touched(connection: sqlite3.Connection, sweep: str) -> list[bytes]:
    """Take what was named since a sweep has looked, within a transaction.

    Raises:
        Begun: the sweep is no more.
    """
    goes_on = "UPDATE sweeps SET began_ns = ? WHERE sweep = ?"
    if connection.execute(goes_on, (time.time_ns(), sweep)).rowcount == 0:
        raise Begun
    query = "DELETE FROM touched WHERE sweep = ? RETURNING named"
    return [named for (named,) in connection.execute(query, (sweep,)).fetchall()]


def _revive(connection: sqlite3.Connection, left: set[int], named: Iterable[bytes]) -> int:
    """Take out of what is left to go what was named, and all its parts; returns how many of these are gone already."""
    lost, unpacker = 0, Unpacker(connection)
    waiting = list(_numbers(connection, named))
    while waiting:
        number = waiting.pop()
        if number is not None and number in left:
            left.discard(number)
            parts = list(_numbers(connection, unpacker.made_of(number)))
            lost += parts.count(None)
            waiting += parts
    return lost
