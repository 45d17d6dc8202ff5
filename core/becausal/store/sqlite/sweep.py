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
from becausal.store.upkeep import SWEPT, Progress, silent

__all__ = ["Reading", "Sweep", "bytes_of_memories", "drop_unused_names"]

Reading = Callable[[], AbstractContextManager[sqlite3.Connection]]

BODIES_AT_ONCE = 1_000

_UNUSED_NAMES = """SELECT name_no, CAST(name AS BLOB) FROM names WHERE name_no NOT IN (
    SELECT kind FROM steps NOT INDEXED UNION SELECT name FROM steps NOT INDEXED
    UNION SELECT status FROM steps NOT INDEXED UNION SELECT agent FROM steps NOT INDEXED WHERE agent IS NOT NULL
    UNION SELECT kind FROM causes UNION SELECT grade FROM causes
    UNION SELECT type FROM blobs NOT INDEXED WHERE type IS NOT NULL)"""

_DROP_NAME = "DELETE FROM names WHERE name_no = ?"

# What is in use is asked of the tables themselves: what a damaged index lacks would be taken for dead, and deleted.
_OF_MEMORIES = "SELECT DISTINCT digest FROM memory_events NOT INDEXED WHERE digest IS NOT NULL"

# What a replay needs of a step is named in its attributes alone.
_OF_STEPS = f"""SELECT received, produced, iif(instr(attributes, '"{semconv.KEPT}') > 0, attributes, NULL)
    FROM steps NOT INDEXED"""

# By the index, and seen in the table that it is no other's.
_FIND = """SELECT found.blob_no FROM blobs AS named JOIN blobs AS found USING (blob_no)
    WHERE named.digest = ?1 AND +found.digest = ?1"""


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
        with self._reading() as reader, file.read(self._path, "looking for names that nothing has"):
            unused = reader.execute(_UNUSED_NAMES).fetchall()
        touched: set[bytes] = set()
        for start in range(0, len(unused), BODIES_AT_ONCE):
            with self._changing("dropping names", counts=True) as connection:
                touched.update(_touched(connection, sweep))
                chunk = unused[start : start + BODIES_AT_ONCE]
                connection.executemany(
                    _DROP_NAME, [(number,) for number, name in chunk if name not in touched]
                )

    def _unmarked(self, last: int) -> list[int]:
        """Return the numbers up to `last` of the bodies that nothing live refers to."""
        with self._reading() as reader, file.read(self._path, "marking what is in use"):
            marking = _Marking(reader, last, self._told)
            for received, produced, attributes in reader.execute(_OF_STEPS):
                marking.mark(number for number in (received, produced) if number is not None)
                if attributes is not None:
                    marking.find(_kept_in(attributes))
            marking.find(digest for (digest,) in reader.execute(_OF_MEMORIES))
            marking.go_on()
            return marking.unmarked()


class _Marking:
    """Marks bodies up to a number, and all that they are made of."""

    def __init__(self, reader: sqlite3.Connection, last: int, told: Progress) -> None:
        self._reader, self._last, self._told = reader, last, told
        self.alive = bytearray(last + 1)
        self._waiting: list[int] = []
        self._missing: set[bytes] = set()

    def mark(self, numbers: Iterable[int]) -> None:
        """Mark bodies by their numbers."""
        for number in numbers:
            if number <= self._last and not self.alive[number]:
                self.alive[number] = 1
                self._waiting.append(number)

    def find(self, digests: Iterable[bytes]) -> None:
        """Mark bodies by their digests; what is not there is remembered."""
        for digest in digests:
            found = self._reader.execute(_FIND, (digest,)).fetchone()
            if found is None:
                self._missing.add(digest)
            else:
                self.mark(found)

    def go_on(self) -> None:
        """Mark all that the marked ones are made of."""
        total = self._reader.execute("SELECT count(*) FROM blobs").fetchone()[0]
        unpacker, done = Unpacker(self._reader), 0
        while self._waiting:
            # In the order of the file: of a pack each body is there once it is unpacked.
            wave, self._waiting = sorted(self._waiting), []
            for number in wave:
                done += 1
                if done % 1_000 == 0:
                    self._told("marking what is in use", done, total)
                self.find(unpacker.made_of(number))

    def unmarked(self) -> list[int]:
        """Return the numbers of the others.

        Raises:
            ValueError: one of them was not found by its digest, so that it may be in use: an index is damaged.
        """
        there = self._reader.execute(
            "SELECT blob_no, digest FROM blobs NOT INDEXED WHERE blob_no <= ?", (self._last,)
        )
        dead = [(number, digest) for number, digest in there.fetchall() if not self.alive[number]]
        for _, digest in dead:
            # Written only now, it is found by now, and whoever sweeps is told of it.
            if digest in self._missing and self._reader.execute(_FIND, (digest,)).fetchone() is None:
                raise ValueError("an index does not lead to what is there")
        return [number for number, _ in dead]


def bytes_of_memories(reader: sqlite3.Connection) -> int:
    """Return about how many bytes the contents take that memories hold, which stay whatever runs go."""
    (last,) = reader.execute("SELECT coalesce(max(blob_no), 0) FROM blobs").fetchone()
    marking = _Marking(reader, last, silent)
    marking.find(digest for (digest,) in reader.execute(_OF_MEMORIES))
    marking.go_on()
    query = f"""SELECT sum(iif(codec = {PACKED}, size * packed, length(data)))
        FROM blobs, (SELECT sum(length(data)) * 1.0 / max(sum(size), 1) AS packed FROM packs)
        WHERE blob_no IN (SELECT value FROM json_each(?))"""
    held = file.list_of(number for number, is_alive in enumerate(marking.alive) if is_alive)
    (found,) = reader.execute(query, (held,)).fetchone()
    return int(found or 0)


def drop_unused_names(connection: sqlite3.Connection) -> None:
    """Delete the names that nothing has, within a transaction."""
    unused = connection.execute(_UNUSED_NAMES).fetchall()
    connection.executemany(_DROP_NAME, [(number,) for number, _ in unused])


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
