"""Loading a chain's steps from a file.

A run may have 100,000 of them. So each row is made a step as it comes, what many rows have in common is looked up once,
and nothing is kept in between for the garbage collector to go through.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from becausal.payload import Bodies, Payload
from becausal.step import Cause, Step
from becausal.store.encoding import step_id_of
from becausal.store.sqlite import file, row
from becausal.store.sqlite.attributes import reading_of

__all__ = ["ALL_OF", "SOME_OF", "steps_of"]

ALL_OF = "chain_no = ?1"
SOME_OF = "chain_no = ?1 AND step_id IN (SELECT value FROM json_each(?2))"


class Names(dict[int, str]):
    """Texts by their numbers; each is looked up once."""

    def __init__(self, reader: sqlite3.Connection) -> None:
        self._reader = reader

    def __missing__(self, number: int) -> str:
        """Look up a text that was not asked for yet."""
        found = self._reader.execute("SELECT name FROM names WHERE name_no = ?", (number,)).fetchone()
        if found is None:
            raise LookupError(f"there is no name {number}")
        name: str = found[0]
        self[number] = name
        return name


class Ids(dict[int, str]):
    """Step ids by their numbers: one stands in several rows."""

    def __missing__(self, number: int) -> str:
        """Spell an id that was not asked for yet."""
        id = self[number] = step_id_of(number)
        return id


def steps_of(
    reader: sqlite3.Connection, chain_id: str, which: str, values: tuple[object, ...], bodies: Bodies
) -> list[Step]:
    """Return steps in `seq` order, within a transaction.

    Args:
        which: `ALL_OF` or `SOME_OF`.
        values: for that.
    """
    names, ids = Names(reader), Ids()
    causes = dict(_causes(reader, which, values, names, ids))
    payloads: dict[int | None, Payload] = dict(_payloads(reader, which, values, names, bodies))
    rows = reader.execute(f"SELECT * FROM steps WHERE {which} ORDER BY seq, started_ns, step_id", values)
    attributes_of = reading_of(file.format_of(reader))  # a writer may have upgraded it since it was opened
    return [row.step_of(one, chain_id, names, ids, payloads, causes, attributes_of) for one in rows]


def _payloads(
    reader: sqlite3.Connection, which: str, values: tuple[object, ...], names: Names, bodies: Bodies
) -> Iterator[tuple[int, Payload]]:
    # In the order of the file.
    query = f"""SELECT blob_no, digest, belief, total_size, type, lossy FROM blobs
        WHERE type IS NOT NULL AND blob_no IN (
            SELECT received FROM steps WHERE {which} AND received IS NOT NULL
            UNION SELECT produced FROM steps WHERE {which} AND produced IS NOT NULL)"""
    for number, digest, belief, size, type_no, lossy in reader.execute(query, values):
        yield number, row.payload_of(digest, belief, size, names[type_no], lossy, bodies)


def _causes(
    reader: sqlite3.Connection, which: str, values: tuple[object, ...], names: Names, ids: Ids
) -> Iterator[tuple[int, tuple[Cause, ...]]]:
    query = (
        f"SELECT step_id, source_id, kind, grade, evidence FROM causes WHERE {which} ORDER BY step_id, nth"
    )
    former: int | None = None
    of_step: tuple[Cause, ...] = ()
    for step_id, source, kind, grade, evidence in reader.execute(query, values):
        if step_id != former:
            if former is not None:
                yield former, of_step
            former, of_step = step_id, ()
        of_step += (Cause(ids[source], names[kind], names[grade], evidence),)  # type: ignore[arg-type]
    if former is not None:
        yield former, of_step
