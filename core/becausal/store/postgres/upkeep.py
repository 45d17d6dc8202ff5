"""Forgetting chains, erasing, giving space back: what keeps a store within bounds.

Whoever deletes contents does so alone: writers share a lock of the store's while they write a batch, and who deletes
has it for himself, for no longer than a few hundred contents take. Each deletion counts `meta.generation` up, which
every writer looks at as it begins: an encoder remembers which parts it handed out.

The days whose runs are all gone go by dropping their tables.
"""

from __future__ import annotations

import calendar
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, TypeVar

from psycopg import errors, sql

from becausal.errors import StoreError
from becausal.store.depending import replayed_by, sources_of
from becausal.store.encoding import attributes_of, encodable
from becausal.store.erasing import DryRun
from becausal.store.postgres.connecting import Connection, Place
from becausal.store.postgres.erase import Erasing
from becausal.store.postgres.moving import Changing, Rows
from becausal.store.postgres.schema import DAY_NS, lock_number
from becausal.store.postgres.sweep import Sweep, bytes_of_memories, chunks, count_up
from becausal.store.sweeping import swept
from becausal.store.upkeep import ChainAge, Erased, Erasure, Mark, NotReleasedError, Progress, silent

__all__ = ["PostgresUpkeep"]

T = TypeVar("T")

CHAINS_AT_ONCE: Final = 64
"""How many chains one transaction deletes."""

_AGES = """SELECT chain_id, touched_ns, steps, open > 0,
        wrong OR errors > 0 OR EXISTS (SELECT 1 FROM marks WHERE marks.chain_id = chains.chain_id AND mark = 'found'),
        EXISTS (SELECT 1 FROM marks WHERE marks.chain_id = chains.chain_id AND mark = 'pinned')
    FROM chains ORDER BY touched_ns, chain_id"""

# Causes outside their own chain, of the chains that are asked about.
_FAR = """SELECT source_id, chain_id FROM causes WHERE chain_id = ANY(%s) AND NOT EXISTS (
        SELECT 1 FROM steps WHERE steps.day = causes.day AND steps.chain_id = causes.chain_id
            AND steps.step_id = causes.source_id)"""

_OWNERS = "SELECT step_id, chain_id FROM steps WHERE step_id = ANY(%s)"

_READ = """SELECT DISTINCT r.chain_id, e.chain_id FROM memory_reads AS r JOIN memory_events AS e
        ON e.memory = r.memory AND e.key = r.key AND (e.version = r.version OR e.step_id = r.source_id)
    WHERE r.chain_id = ANY(%s) AND e.chain_id IS NOT NULL AND e.chain_id != r.chain_id"""

_FIRST = """SELECT chain_id, attributes FROM chains JOIN steps USING (day, chain_id)
    WHERE chain_id = ANY(%s) AND parent_id IS NULL"""


class PostgresUpkeep:
    """The `becausal.store.upkeep.Upkeep` of one store."""

    def __init__(
        self,
        rows: Rows,
        changing: Changing,
        place: Place,
        generation: Callable[[], int],
        forget_bodies: Callable[[], object],
    ) -> None:
        self._rows, self._changing, self._place = rows, changing, place
        self._generation, self._forget_bodies = generation, forget_bodies

    @property
    def generation(self) -> int:
        """How often something was deleted, as far as the last write saw it."""
        return self._generation()

    def size(self) -> int:
        """Return how many bytes the rows of the store take: free space in its tables is used again."""
        query = """SELECT coalesce(sum(pg_total_relation_size(c.oid) * CASE
                WHEN coalesce(s.n_live_tup, 0) + coalesce(s.n_dead_tup, 0) = 0 THEN 1.0
                ELSE s.n_live_tup::float / (s.n_live_tup + s.n_dead_tup) END), 0)::bigint
            FROM pg_class AS c LEFT JOIN pg_stat_all_tables AS s ON s.relid = c.oid
            WHERE c.relnamespace = to_regnamespace(%s) AND c.relkind = 'r'"""
        [(size,)] = self._rows("measuring it", query, (_quoted(self._place.schema),))
        return int(size)

    def least(self) -> int:
        """Return what memories hold: what empty tables and indexes take is the server's matter."""
        return bytes_of_memories(self._rows)

    def damages(
        self,
        seconds: float,
        *,
        pages_alone: bool = False,
        whole_for_ns: int = 0,
        told: Progress | None = None,
    ) -> list[str]:
        """Return nothing: the server looks after its files."""
        return []

    def ages(self) -> list[ChainAge]:
        """Return all chains, those that were touched longest ago first."""
        doing = "looking at the age of its runs"
        found = self._rows(doing, _AGES)
        asking = _Asking(self._rows, doing)
        sources = sources_of([one[0] for one in found if one[4] or one[5]], asking)
        replayed = replayed_by((one[0] for one in found), asking, attributes_of)
        return [
            ChainAge(
                chain_id,
                touched,
                steps,
                is_open,
                is_troubled,
                is_pinned,
                tuple(sorted(sources.get(chain_id, ()))),
                replayed.get(chain_id),
            )
            for chain_id, touched, steps, is_open, is_troubled, is_pinned in found
        ]

    def mark(self, chain_id: str, mark: Mark, *, remove: bool = False) -> None:
        """Give a chain a mark, or take it away."""
        query = (
            "DELETE FROM marks WHERE chain_id = %s AND mark = %s"
            if remove
            else "INSERT INTO marks VALUES (%s, %s) ON CONFLICT DO NOTHING"
        )
        self._changing(
            f"marking {chain_id}", lambda connection: connection.execute(query, (encodable(chain_id), mark))
        )

    def forget(self, chain_ids: Sequence[str]) -> int:
        """Delete chains in small transactions; returns how many steps."""
        steps = 0
        for chunk in chunks([encodable(one) for one in chain_ids], CHAINS_AT_ONCE):

            def work(connection: Connection, chunk: Sequence[str] = chunk) -> int:
                query = """SELECT DISTINCT day FROM (SELECT day FROM chains WHERE chain_id = ANY(%s)
                    ORDER BY chain_id COLLATE "C" FOR UPDATE) AS locked"""
                days = [day for (day,) in connection.execute(query, (chunk,))]
                which = "WHERE day = ANY(%s) AND chain_id = ANY(%s)"
                gone = connection.execute(f"DELETE FROM steps {which}", (days, chunk)).rowcount
                connection.execute(f"DELETE FROM causes {which}", (days, chunk))
                for table in ("anchors", "memory_reads", "marks", "chains"):
                    connection.execute(f"DELETE FROM {table} WHERE chain_id = ANY(%s)", (chunk,))
                count_up(connection)
                return gone

            steps += self._changing(f"forgetting {len(chunk)} runs", work)
        return steps

    def sweep(self, told: Progress | None = None) -> int:
        """Delete every body that nothing refers to any more; returns how many."""
        return swept(lambda: self._sweep(told or silent))

    def release(self, *, whole: bool = False) -> None:
        """Drop the tables of days that have no runs any more; `whole`: rewrite every table, which needs their owner.

        The space of single rows is the server's to use again (autovacuum), and the rest of what its write-ahead log
        and backups still hold its operator's to see to.
        """
        yesterday = time.time_ns() // DAY_NS - 1
        query = """SELECT c.relname FROM pg_class AS c JOIN pg_inherits AS i ON i.inhrelid = c.oid
            WHERE c.relnamespace = to_regnamespace(%s) AND i.inhparent IN ('steps'::regclass, 'causes'::regclass)
                AND c.relname NOT LIKE '%%\\_other'"""
        names = [name for (name,) in self._rows("listing its days", query, (_quoted(self._place.schema),))]
        kept = {day for (day,) in self._rows("listing its days", "SELECT DISTINCT day FROM chains")}
        for name in names:
            day = _day_of(name)
            if day is not None and day < yesterday and day not in kept:
                self._drop(name, day)
        if whole:
            self._rewrite()

    def erase(self, what: Erasure, *, dry_run: bool = False, told: Progress | None = None) -> Erased:
        """Erase contents for good, in every place where they stand."""
        at_ns = time.time_ns()

        def work(connection: Connection) -> Erased:
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (lock_number(self._place),))
            # Nobody changes the log of memories, but for this.
            connection.execute("GRANT UPDATE, DELETE ON memory_events TO CURRENT_USER")
            erasing = Erasing(connection, what, told or silent)
            chain_ids, unread = erasing.carry_out()
            connection.execute("DELETE FROM sweeps")  # what they found out about contents holds no more
            connection.execute("DELETE FROM touched")
            connection.execute("REVOKE UPDATE, DELETE ON memory_events FROM CURRENT_USER")
            places = {sort: count for sort, count in sorted(erasing.places.items()) if count}
            erased = Erased(places, tuple(chain_ids), at_ns, what.reason, unread)
            if dry_run or not places:
                raise DryRun(erased)  # nothing of it stays
            connection.execute(
                "INSERT INTO erasures VALUES (%s, %s, %s, %s)",
                (at_ns, encodable(what.reason), json.dumps(places), json.dumps(chain_ids)),
            )
            count_up(connection)
            return erased

        try:
            erased = self._changing("erasing", work)
        except DryRun as only:
            return only.erased
        self._forget_bodies()
        try:
            if what.chain_id is not None or what.memory is not None or erased.unread:
                self.sweep(told)  # what only this run had, or is part of what nobody can read
            self.release(whole=True)
        except StoreError as failure:
            raise NotReleasedError(erased, failure) from failure
        return erased

    def take_turn(self, every_ns: int) -> bool:
        """Return whether it is this caller's turn to prune."""

        def work(connection: Connection) -> bool:
            connection.execute("INSERT INTO meta VALUES ('pruned_at', '0') ON CONFLICT DO NOTHING")
            query = "SELECT value FROM meta WHERE key = 'pruned_at' FOR UPDATE"
            (found,) = connection.execute(query).fetchone() or ("0",)
            now = time.time_ns()  # not before: of two who wait here the later one would see a time to come
            # A clock that was set back must not put it off for ever.
            if 0 <= now - int(found) < every_ns:
                return False
            connection.execute("UPDATE meta SET value = %s WHERE key = 'pruned_at'", (str(now),))
            return True

        return self._changing("taking a turn to prune", work)

    def erasures(self) -> list[Erased]:
        """Return what was ever erased, oldest first."""
        query = "SELECT places, chain_ids, at_ns, reason FROM erasures ORDER BY at_ns"
        return [
            Erased(json.loads(places), tuple(json.loads(chain_ids)), at_ns, reason)
            for places, chain_ids, at_ns, reason in self._rows("looking for erasures", query)
        ]

    # Inside

    def _alone(self, doing: str, work: Callable[[Connection], T]) -> T:
        """Return what some work gives, done while nobody writes."""

        def alone(connection: Connection) -> T:
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (lock_number(self._place),))
            return work(connection)

        return self._changing(doing, alone)

    def _sweep(self, told: Progress) -> Iterator[int]:
        """Sweep once; yields how many bodies were deleted."""
        return Sweep(self._rows, self._alone, told).once()

    def _drop(self, name: str, day: int) -> None:
        def work(connection: Connection) -> None:
            # A run of that day may have come meanwhile.
            query = "SELECT 1 FROM chains WHERE day = %s LIMIT 1"
            if connection.execute(query, (day,)).fetchone() is None:
                connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(name)))

        try:
            self._alone(f"dropping {name}", work)
        except StoreError as failure:
            if not isinstance(failure.__cause__, errors.InsufficientPrivilege):
                raise  # one who may not drop tables leaves them, empty as they are

    def _rewrite(self) -> None:
        query = "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(%s) AND relkind = 'r'"
        for (name,) in self._rows("listing its tables", query, (_quoted(self._place.schema),)):

            def work(connection: Connection, name: str = name) -> None:
                connection.execute("COMMIT")  # VACUUM is no part of a transaction
                connection.execute(sql.SQL("VACUUM (FULL) {}").format(sql.Identifier(name)))
                connection.execute("BEGIN")

            self._changing(f"rewriting {name}", work)


def _day_of(name: str) -> int | None:
    """Return the day whose table has this name."""
    try:
        moment = time.strptime(name.rpartition("_")[2] + " UTC", "%Y%m%d %Z")
    except ValueError:
        return None
    return calendar.timegm(moment) // 86_400


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


class _Asking:
    """Asks a store which of its chains depend on which."""

    def __init__(self, rows: Rows, doing: str) -> None:
        self._rows, self._doing = rows, doing

    def far(self, chain_ids: Sequence[str]) -> Iterable[tuple[int, str]]:
        return self._rows(self._doing, _FAR, (list(chain_ids),))

    def owners(self, step_ids: Sequence[int]) -> Iterable[tuple[int, str]]:
        return self._rows(self._doing, _OWNERS, (list(step_ids),))

    def read(self, chain_ids: Sequence[str]) -> Iterable[tuple[str, str]]:
        return self._rows(self._doing, _READ, (list(chain_ids),))

    def first(self, chain_ids: Sequence[str]) -> Iterable[tuple[str, str | None]]:
        return self._rows(self._doing, _FIRST, (list(chain_ids),))
