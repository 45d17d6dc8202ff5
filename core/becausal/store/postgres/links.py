"""Questions about more than one chain, answered by the tables' indexes: by time, by digest, by cause."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from becausal import canonical
from becausal.store.encoding import number_of, step_id_of
from becausal.store.links import Begun, Holding, Taken

__all__ = ["PostgresLinks"]

# The first root of a chain is the one that began first.
_ROOT = """SELECT kind, ended_ns, started_ns FROM steps
    WHERE steps.day = chains.day AND steps.chain_id = chains.chain_id AND parent_id IS NULL"""

_BEGUN = f"""SELECT chain_id, root.kind, chains.started_ns
    FROM chains, LATERAL ({_ROOT} ORDER BY started_ns LIMIT 1) AS root
    WHERE chains.started_ns BETWEEN %s AND %s ORDER BY chains.started_ns LIMIT %s"""

# Whatever began long before it is not looked at: a day's chains would be read for one that hangs.
_UNDER_WAY = f"""SELECT chain_id, root.kind, chains.started_ns FROM (
        SELECT * FROM chains WHERE started_ns <= %(at)s ORDER BY started_ns DESC LIMIT %(limit)s) AS chains,
        LATERAL ({_ROOT} ORDER BY started_ns LIMIT 1) AS root
    WHERE EXISTS (SELECT 1 FROM ({_ROOT}) AS one
        WHERE one.started_ns <= %(at)s AND (one.ended_ns IS NULL OR one.ended_ns >= %(at)s))
    ORDER BY chains.started_ns DESC"""

_HOLDING = """SELECT chain_id, step_id, side, digest FROM (
        SELECT day, chain_id, step_id, 'received' AS side, received AS digest
            FROM steps WHERE received = ANY(%(digests)s)
        UNION ALL SELECT day, chain_id, step_id, 'produced', produced
            FROM steps WHERE produced = ANY(%(digests)s)) AS holding
    JOIN chains USING (chain_id) ORDER BY chains.started_ns, chain_id, step_id LIMIT %(limit)s"""

# No index: causes are written on the hot path, and asked for like this once in a while. The table is read through.
_TAKEN = """SELECT chain_id, causes.step_id, source_id, causes.kind FROM causes JOIN chains USING (chain_id)
    WHERE source_id = ANY(%s::bigint[]) AND NOT EXISTS (
        SELECT 1 FROM steps WHERE steps.day = causes.day AND steps.chain_id = causes.chain_id
            AND steps.step_id = causes.source_id)
    ORDER BY chains.started_ns, chain_id, causes.step_id"""


class PostgresLinks:
    """The `becausal.store.links.Links` of one store."""

    def __init__(self, rows: Callable[[str, Sequence[Any] | dict[str, Any]], list[tuple[Any, ...]]]) -> None:
        self._rows = rows

    def begun(self, since_ns: int, until_ns: int, *, limit: int) -> list[Begun]:
        """Return the chains that began in a stretch of time, earliest first."""
        return [Begun(*found) for found in self._rows(_BEGUN, (since_ns, until_ns, limit))]

    def under_way(self, at_ns: int, *, limit: int) -> list[Begun]:
        """Return the chains that had begun at a moment and whose first step had not ended, latest first."""
        return [Begun(*found) for found in self._rows(_UNDER_WAY, {"at": at_ns, "limit": limit})]

    def holding(self, digests: Iterable[str], *, limit: int) -> list[Holding]:
        """Return the steps that received or produced payloads with these digests, in the order of their chains."""
        wanted = [canonical.parse_digest(digest) for digest in dict.fromkeys(digests)]
        return [
            Holding(chain_id, step_id_of(step), side, canonical.digest_text(digest))
            for chain_id, step, side, digest in self._rows(_HOLDING, {"digests": wanted, "limit": limit})
        ]

    def taken_from(self, step_ids: Iterable[str]) -> list[Taken]:
        """Return the steps that name one of these as their cause and stand in another chain."""
        return [
            Taken(chain_id, step_id_of(step), step_id_of(source), kind)
            for chain_id, step, source, kind in self._rows(_TAKEN, ([number_of(one) for one in step_ids],))
        ]
