"""Questions about more than one chain, answered by the file's indexes: by time, by digest, by cause."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal, TypeVar

from becausal import canonical
from becausal.step import EdgeKind
from becausal.store.links import Begun, Holding, Taken
from becausal.store.sqlite import file, row

__all__ = ["SQLiteLinks"]

T = TypeVar("T")

# A chain's steps lie together, in the order of their ids; its first root is the one that began first.
_FIRST_ROOT = """SELECT root.kind FROM steps AS root
    WHERE root.chain_no = chains.chain_no AND root.parent_id IS NULL ORDER BY root.started_ns LIMIT 1"""

_BEGUN = f"""SELECT chain_id, (SELECT name FROM names WHERE name_no = ({_FIRST_ROOT})), started_ns FROM chains
    WHERE started_ns BETWEEN ? AND ? ORDER BY started_ns LIMIT ?"""

# Whatever began long before it is not looked at: a day's chains would be read for one that hangs.
_UNDER_WAY = f"""SELECT chain_id, (SELECT name FROM names WHERE name_no = ({_FIRST_ROOT})), started_ns FROM (
        SELECT * FROM chains WHERE started_ns <= ?1 ORDER BY started_ns DESC LIMIT ?2) AS chains
    WHERE EXISTS (SELECT 1 FROM steps WHERE steps.chain_no = chains.chain_no AND parent_id IS NULL
        AND started_ns <= ?1 AND (ended_ns IS NULL OR ended_ns >= ?1)) ORDER BY started_ns DESC"""

_HOLDING = """SELECT chain_id, step_id, side, digest FROM (
        SELECT chain_no, step_id, 'received' AS side, digest
            FROM blobs JOIN steps ON steps.received = blob_no WHERE digest IN ({marks})
        UNION ALL SELECT chain_no, step_id, 'produced', digest
            FROM blobs JOIN steps ON steps.produced = blob_no WHERE digest IN ({marks}))
    JOIN chains USING (chain_no) ORDER BY chain_no, step_id LIMIT ?"""

# No index: causes are written on the hot path, and asked for like this once in a while. The table is read through.
_TAKEN = """SELECT chain_id, causes.step_id, source_id, name FROM causes JOIN chains USING (chain_no)
    JOIN names ON name_no = causes.kind
    WHERE source_id IN (SELECT value FROM json_each(?)) AND NOT EXISTS (
        SELECT 1 FROM steps WHERE steps.chain_no = causes.chain_no AND steps.step_id = causes.source_id)
    ORDER BY chain_no, causes.step_id"""

CHUNK = 400
"""How many digests one query asks for."""


class SQLiteLinks:
    """The `becausal.store.links.Links` of one file."""

    def __init__(
        self, reading: Callable[[], AbstractContextManager[sqlite3.Connection]], path: Path | None
    ) -> None:
        self._reading, self._path = reading, path

    def begun(self, since_ns: int, until_ns: int, *, limit: int) -> list[Begun]:
        """Return the chains that began in a stretch of time, earliest first."""
        return self._all(_BEGUN, (_storable(since_ns), _storable(until_ns), limit), Begun)

    def under_way(self, at_ns: int, *, limit: int) -> list[Begun]:
        """Return the chains that had begun at a moment and whose first step had not ended, latest first."""
        return self._all(_UNDER_WAY, (_storable(at_ns), limit), Begun)

    def holding(self, digests: Iterable[str], *, limit: int) -> list[Holding]:
        """Return the steps that received or produced payloads with these digests, in the order of their chains."""

        def holding(
            chain_id: str, step: int, side: Literal["received", "produced"], digest: bytes
        ) -> Holding:
            return Holding(chain_id, row.step_id_of(step), side, canonical.digest_text(digest))

        wanted = [canonical.parse_digest(digest) for digest in dict.fromkeys(digests)]
        found: list[Holding] = []
        for start in range(0, len(wanted), CHUNK):
            chunk = wanted[start : start + CHUNK]
            query = _HOLDING.format(marks=",".join("?" * len(chunk)))
            found += self._all(query, (*chunk, *chunk, limit - len(found)), holding)
        return found

    def taken_from(self, step_ids: Iterable[str]) -> list[Taken]:
        """Return the steps that name one of these as their cause and stand in another chain."""

        def taken(chain_id: str, step: int, source: int, kind: EdgeKind) -> Taken:
            return Taken(chain_id, row.step_id_of(step), row.step_id_of(source), kind)

        return self._all(_TAKEN, (json.dumps([row.number_of(step_id) for step_id in step_ids]),), taken)

    def _all(self, query: str, values: tuple[object, ...], make: Callable[..., T]) -> list[T]:
        with self._reading() as reader, file.read(self._path, "looking for what chains have in common"):
            return [make(*found) for found in reader.execute(query, values)]


def _storable(time_ns: int) -> int:
    """Return a time within what a file can hold: nothing of it is earlier, or later."""
    return max(-(1 << 63), min(time_ns, (1 << 63) - 1))
