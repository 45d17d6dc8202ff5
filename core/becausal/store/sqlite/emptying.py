"""Emptying a run of a file: what was said in it goes, damaged or not, and what happened stays."""

from __future__ import annotations

import os
import sqlite3
from collections import Counter

from becausal.payload import ERASED
from becausal.store.erasing import lost
from becausal.store.sqlite import memory, row
from becausal.store.sqlite.attributes import rewritten
from becausal.store.sqlite.damage import UNREADABLE, chain_numbers, replace_unreadable
from becausal.store.structure import structure_of
from becausal.store.wording import ASKS, new_mark

__all__ = ["Emptying"]

# The keys that a run alone has written or read: what other runs have as well is not its own to take away.
OWN_KEYS = """SELECT memory, key FROM (
        SELECT memory, key, chain_id FROM memory_events UNION SELECT memory, key, chain_id FROM memory_reads)
    GROUP BY memory, key HAVING min(coalesce(chain_id, '') = ?)"""


NAMED = ("kind", "name", "status", "agent")
"""The columns of a step that are names."""


class Emptying:
    """Empties runs, within one transaction of a connection that gives what stands for a text that is none."""

    def __init__(self, connection: sqlite3.Connection, places: Counter[str]) -> None:
        self._connection, self.places = connection, places

    def run(self, chain_id: str) -> int | None:
        """Take everything out of a run that says more than what happened; returns its number, None where it is none."""
        found = chain_numbers(self._connection, [row.encodable(chain_id)])
        if not found:
            return None
        chain = found[0]
        rows = self._connection.execute(
            "SELECT step_id, received, produced, error, attributes FROM steps WHERE chain_no = ?", (chain,)
        ).fetchall()
        emptied: dict[int, int | None] = {}
        for step_id, received, produced, error, attributes in rows:
            sides = [None if side is None else self._emptied(side, emptied) for side in (received, produced)]
            self._connection.execute(
                """UPDATE steps SET received = ?, produced = ?, error = ?, attributes = ?, choices = NULL
                WHERE chain_no = ? AND step_id = ?""",
                (*sides, None if error is None else ERASED, _structure(attributes), chain, step_id),
            )
        self._connection.execute("UPDATE causes SET evidence = '' WHERE chain_no = ?", (chain,))
        query = "UPDATE steps SET name = kind WHERE chain_no = ? AND kind = (SELECT name_no FROM names WHERE name = ?)"
        self._connection.execute(query, (chain, ASKS))
        self._empty_events(row.encodable(chain_id), emptied)
        self._drop_unreadable(chain)
        self.places["contents"] += len(emptied)
        self.places["steps"] += len(rows)
        return chain

    def _drop_unreadable(self, chain: int) -> None:
        """Have the run say something that can be read where it cannot: then it can be loaded again."""
        replace_unreadable(self._connection, "chains", "chain_id", f"chain_no = {chain:d}")
        used = " UNION ".join(f"SELECT {column} FROM steps WHERE chain_no = {chain:d}" for column in NAMED)
        replace_unreadable(self._connection, "names", "name", f"name_no IN ({used})")

    def _emptied(self, number: int, emptied: dict[int, int | None]) -> int | None:
        """Return the number of what stands for a content in a run whose contents are gone; None of one that is lost."""
        if number not in emptied:
            digest = os.urandom(16)
            made = self._connection.execute(
                """INSERT INTO blobs SELECT (SELECT max(blob_no) + 1 FROM blobs), ?, NULL, total_size, type, ?,
                    NULL, NULL, NULL FROM blobs WHERE blob_no = ?""",
                (digest, lost("[]", ERASED), number),
            )
            query = "SELECT max(blob_no) FROM blobs"
            emptied[number] = self._connection.execute(query).fetchone()[0] if made.rowcount else None
        return emptied[number]

    def _empty_events(self, chain_id: str, emptied: dict[int, int | None]) -> None:
        self._connection.execute(
            "UPDATE memory_events SET reason = ? WHERE chain_id = ? AND reason IS NOT NULL",
            (ERASED, chain_id),
        )
        keys = self._connection.execute(OWN_KEYS, (chain_id,)).fetchall()
        self.places["keys"] += len(keys)
        for store, key in keys:
            new = new_mark()
            for table in ("memory_events", "memory_reads"):
                query = f"UPDATE {table} SET key = ? WHERE memory = ? AND key = ?"
                self._connection.execute(query, (new, store, key))
        events = self._connection.execute(
            """SELECT event_no, blob_no FROM memory_events LEFT JOIN blobs USING (digest) WHERE chain_id = ?""",
            (chain_id,),
        ).fetchall()
        for event, number in events:
            if number is not None:
                self._connection.execute(
                    """UPDATE memory_events SET digest = (SELECT digest FROM blobs WHERE blob_no = ?)
                    WHERE event_no = ?""",
                    (self._emptied(number, emptied), event),
                )
        for event, _ in events:
            memory.mark_erased(self._connection, event)


def _structure(attributes: str | None) -> str | None:
    """Return what of attributes says what happened; None of such as cannot be read."""
    try:
        return rewritten(attributes, structure_of)
    except UNREADABLE:
        return None
