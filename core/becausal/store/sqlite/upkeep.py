"""Forgetting chains, erasing, giving space back: what keeps a file within bounds.

Everything that takes long is done without the write lock, or in transactions so small that nobody who writes waits
for them. Whoever writes remembers numbers of chains and bodies, and an encoder remembers which parts it handed out;
so each deletion counts `meta.generation` up, which every writer looks at as it begins (see `write.Writer`).
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from becausal.errors import StoreError, StoreFormatError
from becausal.store.encoding import Packer
from becausal.store.sqlite import file, row
from becausal.store.sqlite.bodies import drop_remains
from becausal.store.sqlite.damage import chain_numbers
from becausal.store.sqlite.write import Writer
from becausal.store.sweeping import swept
from becausal.store.upkeep import (
    SAYS_WRONG,
    ChainAge,
    Erased,
    Erasure,
    Mark,
    NotReleasedError,
    Progress,
    silent,
)

if TYPE_CHECKING:
    from becausal.store.sqlite.sweep import Reading

__all__ = ["SQLiteUpkeep"]

Writing = Callable[[], AbstractContextManager[Writer]]

NOT_ERASED = (
    "nothing was erased, for not all of it would be found, and what is whole could be destroyed. Carry the runs to a "
    "new store and erase there, then delete this file (with its -wal and -shm) and the one that carried them: both "
    "still hold it"
)

CHAINS_AT_ONCE = 32
"""How many chains one transaction deletes."""

PAGES_AT_ONCE = 2_000
"""How many free pages one transaction gives back: 8 MB."""

PATIENCE_S = 10.0
"""How long readers are waited for who still look at a former state."""

# A run that lost its steps is over; it goes as the others do.
_AGES = f"""SELECT {file.CHAIN_ID},
        max(coalesce(max(steps.started_ns), chains.started_ns, 0), coalesce(max(ended_ns), 0)) AS touched,
        count(step_id),
        max(step_id IS NOT NULL AND ended_ns IS NULL OR (parent_id IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM steps AS p WHERE p.chain_no = steps.chain_no AND p.step_id = steps.parent_id))),
        max(step_id IS NOT NULL AND status IS (SELECT name_no FROM names WHERE name = 'error')
            {"".join(f" OR instr(attributes, '{chr(34)}{name}{chr(34)}:') > 0" for name in SAYS_WRONG)})
            OR EXISTS (SELECT 1 FROM marks WHERE marks.chain_id = chains.chain_id AND mark = 'found'),
        EXISTS (SELECT 1 FROM marks WHERE marks.chain_id = chains.chain_id AND mark = 'pinned')
    FROM chains LEFT JOIN steps USING (chain_no) GROUP BY chain_no ORDER BY touched, chain_no"""

# Causes outside their own chain, of the chains that are asked about; few, and then one look through all steps.
_FAR = """SELECT source_id, chain_id FROM causes JOIN chains USING (chain_no)
    WHERE chain_id IN (SELECT value FROM json_each(?)) AND NOT EXISTS (
        SELECT 1 FROM steps WHERE steps.chain_no = causes.chain_no AND steps.step_id = causes.source_id)"""

_OWNERS = """SELECT step_id, chain_id FROM steps JOIN chains USING (chain_no)
    WHERE step_id IN (SELECT value FROM json_each(?))"""

_READ = """SELECT DISTINCT r.chain_id, e.chain_id FROM memory_reads AS r JOIN memory_events AS e
        ON e.memory = r.memory AND e.key = r.key AND (e.version = r.version OR e.step_id = r.source_id)
    WHERE r.chain_id IN (SELECT value FROM json_each(?)) AND e.chain_id IS NOT NULL AND e.chain_id != r.chain_id"""

_FIRST = """SELECT chain_id, attributes FROM chains JOIN steps USING (chain_no)
    WHERE chain_id IN (SELECT value FROM json_each(?)) AND parent_id IS NULL"""

_COUNT_GENERATION = """INSERT INTO meta VALUES ('generation', '1')
    ON CONFLICT(key) DO UPDATE SET value = CAST(value AS INTEGER) + 1"""

_NOTE_TIME = "INSERT OR REPLACE INTO meta VALUES (?, ?)"

_FORGET = (
    "DELETE FROM causes WHERE chain_no IN (SELECT value FROM json_each(?1))",
    "DELETE FROM anchors WHERE chain_no IN (SELECT value FROM json_each(?1))",
    # Without an index by runs: looked through once for many of them.
    """DELETE FROM memory_reads WHERE chain_id IN (
        SELECT chain_id FROM chains WHERE chain_no IN (SELECT value FROM json_each(?1)))""",
    """DELETE FROM marks WHERE chain_id IN (
        SELECT chain_id FROM chains WHERE chain_no IN (SELECT value FROM json_each(?1)))""",
    "DELETE FROM chains WHERE chain_no IN (SELECT value FROM json_each(?1))",
)


class SQLiteUpkeep:
    """The `becausal.store.upkeep.Upkeep` of one file."""

    def __init__(
        self,
        reading: Reading,
        writing: Writing,
        path: Path | None,
        forget_bodies: Callable[[], object],
        losses: Callable[[], int],
    ) -> None:
        self._reading, self._writing, self._path = reading, writing, path
        self._forget_bodies, self._losses = forget_bodies, losses

    @property
    def generation(self) -> int:
        """How often something was deleted, as far as the last write saw it."""
        with self._writing() as writer:
            return writer.generation + (self._losses() << 32)  # a file that was made anew has forgotten all

    def size(self) -> int:
        """Return how many bytes the file takes, without its free pages."""
        query = """SELECT (page_count - freelist_count) * page_size
            FROM pragma_page_count, pragma_freelist_count, pragma_page_size"""
        with self._reading() as reader, file.read(self._path, "measuring it"):
            found: int = reader.execute(query).fetchone()[0]
        return found

    def least(self) -> int:
        """Return how many bytes the file takes without any run: pages of tables and indexes, and what memories hold."""
        from becausal.store.sqlite.sweep import bytes_of_memories

        query = """SELECT (1 + (auto_vacuum > 0) + (SELECT count(*) FROM sqlite_master WHERE rootpage > 0)) * page_size
            FROM pragma_auto_vacuum, pragma_page_size"""
        with self._reading() as reader, file.read(self._path, "measuring it"):
            found: int = reader.execute(query).fetchone()[0]
            return found + bytes_of_memories(reader)

    def damages(
        self,
        seconds: float,
        *,
        pages_alone: bool = False,
        whole_for_ns: int = 0,
        told: Progress | None = None,
    ) -> list[str]:
        """Return what is damaged in the file's pages and texts, in words."""
        from becausal.store.sqlite.looking import damages

        if self._path is None or self._is_recent("found_whole_at", whole_for_ns):
            return []
        found = damages(self._path, seconds, pages_alone=pages_alone, told=told)
        if whole_for_ns and not found:
            with self._changing("noting that it is whole") as connection:
                connection.execute(_NOTE_TIME, ("found_whole_at", str(time.time_ns())))
        return found

    def ages(self) -> list[ChainAge]:
        """Return all chains, those that were touched longest ago first."""
        # Here, and so below: who only records asks for none of it.
        from becausal.store.depending import replayed_by, sources_of
        from becausal.store.sqlite.attributes import attributes_of

        doing = "looking at the age of its runs"
        with self._reading() as reader, file.read(self._path, doing), file.legibly(reader):
            found = reader.execute(_AGES).fetchall()
            asking = _Asking(reader)
            sources = sources_of([one[0] for one in found if one[4] or one[5]], asking)
            replayed = replayed_by((one[0] for one in found), asking, attributes_of)
            return [
                ChainAge(
                    chain_id,
                    touched,
                    steps,
                    bool(is_open),
                    bool(troubled),
                    bool(pinned),
                    tuple(sorted(sources.get(chain_id, ()))),
                    replayed.get(chain_id),
                )
                for chain_id, touched, steps, is_open, troubled, pinned in found
            ]

    def mark(self, chain_id: str, mark: Mark, *, remove: bool = False) -> None:
        """Give a chain a mark, or take it away."""
        query = (
            "DELETE FROM marks WHERE chain_id = ? AND mark = ?"
            if remove
            else "INSERT OR IGNORE INTO marks VALUES (?, ?)"
        )
        with self._changing(f"marking {chain_id}") as connection:
            connection.execute(query, (row.encodable(chain_id), mark))

    def forget(self, chain_ids: Sequence[str]) -> int:
        """Delete chains in small transactions; returns how many steps."""
        steps = 0
        for start in range(0, len(chain_ids), CHAINS_AT_ONCE):
            chunk = [row.encodable(chain_id) for chain_id in chain_ids[start : start + CHAINS_AT_ONCE]]
            with self._changing(f"forgetting {len(chunk)} runs", counts=True) as connection:
                numbers = (file.list_of(chain_numbers(connection, chunk)),)
                steps += connection.execute(
                    "DELETE FROM steps WHERE chain_no IN (SELECT value FROM json_each(?))", numbers
                ).rowcount
                for statement in _FORGET:
                    connection.execute(statement, numbers)
        return steps

    def sweep(self, told: Progress | None = None) -> int:
        """Delete every body that nothing refers to any more; returns how many."""
        return swept(lambda: self._sweep(told or silent))

    def release(self, *, whole: bool = False) -> None:
        """Give free pages back to the disk; `whole`: rewrite the file, so that nothing deleted is left in it."""
        if self._path is None:
            return
        if whole:
            from becausal.store.sqlite.sweep import drop_unused_names

            with self._changing("taking out what nothing has", counts=True) as connection:
                drop_unused_names(connection)
                drop_remains(connection, Packer())
            with self._writing() as writer, file.told(self._path, "rewriting it"):
                writer.connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
                writer.connection.execute("VACUUM")
                self._fold_in(writer.connection)
            return
        while self._free_pages():
            with self._writing() as writer, file.told(self._path, "giving space back"):
                # Each page given back is a row of this statement, which has to be read to its end.
                writer.connection.execute(f"PRAGMA incremental_vacuum({PAGES_AT_ONCE})").fetchall()
                writer.connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def take_turn(self, every_ns: int) -> bool:
        """Return whether it is this caller's turn to prune."""
        with self._changing("taking a turn to prune") as connection:
            now = time.time_ns()  # not before: of two who wait here the later one would see a time to come
            if _is_recent(connection, "pruned_at", every_ns, now):
                return False
            connection.execute(_NOTE_TIME, ("pruned_at", str(now)))
        return True

    def erase(self, what: Erasure, *, dry_run: bool = False, told: Progress | None = None) -> Erased:
        """Erase contents for good, in every place where they stand."""
        try:
            erased = self._erase(what, dry_run, told or silent)
        except StoreFormatError as failure:
            raise StoreFormatError(f"{NOT_ERASED}: {failure}") from failure
        if not dry_run:
            self._forget_bodies()
            try:
                if what.chain_id is not None or what.memory is not None or erased.unread:
                    self.sweep(told)  # what only this run had, or is part of what nobody can read
                # Also where nothing was found: so may what was deleted before.
                self.release(whole=True)
            except StoreError as failure:
                raise NotReleasedError(erased, failure) from failure
        return erased

    def _erase(self, what: Erasure, dry_run: bool, told: Progress) -> Erased:
        """Erase in one transaction, of which a dry run leaves nothing."""
        # Here: who records pays nothing for it.
        from becausal.store.erasing import DryRun
        from becausal.store.sqlite.erase import Erasing

        self._look_over(told)  # takes longest of all: before others have to wait
        at_ns, erased = time.time_ns(), Erased()
        with suppress(DryRun), self._changing("erasing", counts=True) as connection:
            # What is taken out must not stay in free pages until they are used again.
            connection.execute("PRAGMA secure_delete = ON")
            erasing = Erasing(connection, what, told)
            try:
                chain_ids, unread = erasing.carry_out()
            except file.UNREADABLE as failure:
                raise file.damaged(self._path, "erasing", failure) from failure
            connection.execute("DELETE FROM sweeps")  # what they found out about contents holds no more
            connection.execute("DELETE FROM touched")
            places = {sort: count for sort, count in sorted(erasing.places.items()) if count}
            erased = Erased(places, tuple(chain_ids), at_ns, what.reason, unread)
            if dry_run or not places:
                raise DryRun(erased)  # nothing of it stays
            connection.execute(
                "INSERT INTO erasures VALUES (NULL, ?, ?, ?, ?)",
                (at_ns, row.encodable(what.reason), json.dumps(places), json.dumps(chain_ids)),
            )
        return erased

    def erasures(self) -> list[Erased]:
        """Return what was ever erased, oldest first."""
        query = "SELECT places, chain_ids, at_ns, reason FROM erasures ORDER BY erasure_no"
        with self._reading() as reader, file.read(self._path, "looking for erasures"):
            return [
                Erased(json.loads(places), tuple(json.loads(chain_ids)), at_ns, reason)
                for places, chain_ids, at_ns, reason in reader.execute(query)
            ]

    # Inside

    def _look_over(self, told: Progress) -> None:
        """Raise where pages are not what they were: a row that was read may not be found again by its key there.

        Raises:
            StoreFormatError: a page is damaged.
        """
        doing = "looking over its pages"
        told(doing, 0, 1)
        with self._reading() as reader, file.told(self._path, doing):
            ((flaw,), *_) = reader.execute("PRAGMA integrity_check(1)").fetchall()
        if flaw != "ok":
            raise file.damaged(self._path, doing, sqlite3.DatabaseError(flaw.split("\n")[-1]))
        told(doing, 1, 1)

    def _is_recent(self, what: str, for_ns: int) -> bool:
        """Return whether a time that was noted is no longer ago than that."""
        with self._reading() as reader, file.read(self._path, "looking when it was looked over"):
            return _is_recent(reader, what, for_ns, time.time_ns())

    @contextmanager
    def _changing(self, doing: str, *, counts: bool = False) -> Iterator[sqlite3.Connection]:
        """Give the connection within a transaction; `counts`: writers elsewhere must forget what they remember."""
        with self._writing() as writer, file.told(self._path, doing):
            file.tell_if_held(writer.connection, self._path, doing)
            hurried = file.hurried(writer.connection) if counts else nullcontext()
            with hurried, writer.transaction():
                if counts:
                    writer.connection.execute(_COUNT_GENERATION)
                yield writer.connection

    def _sweep(self, told: Progress) -> Iterator[int]:
        """Sweep once; yields how many bodies were deleted."""
        from becausal.store.sqlite.sweep import Sweep

        return Sweep(self._reading, self._changing, self._path, told).once()

    def _free_pages(self) -> int:
        query = """SELECT freelist_count * (auto_vacuum = 2) FROM pragma_freelist_count, pragma_auto_vacuum"""
        with self._reading() as reader, file.read(self._path, "measuring it"):
            found: int = reader.execute(query).fetchone()[0]
        return found

    def _fold_in(self, connection: sqlite3.Connection) -> None:
        """Fold the WAL in and empty it; it holds former states of pages."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            with suppress(sqlite3.OperationalError):
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
                (is_busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                if not is_busy:
                    return
            if time.monotonic() > deadline:
                raise StoreError(
                    f"{self._path}: somebody still reads a former state of it, which its -wal file holds; "
                    "close who reads it (a notebook, another command), and do this again"
                )
            time.sleep(0.05)


def _is_recent(connection: sqlite3.Connection, what: str, for_ns: int, now: int) -> bool:
    found = connection.execute("SELECT value FROM meta WHERE key = ?", (what,)).fetchone()
    # A clock that was set back must not put it off for ever.
    return found is not None and 0 <= now - int(found[0]) < for_ns


class _Asking:
    """Asks a file which of its chains depend on which."""

    def __init__(self, reader: sqlite3.Connection) -> None:
        self._reader = reader

    def far(self, chain_ids: Sequence[str]) -> Iterable[tuple[int, str]]:
        return self._reader.execute(_FAR, (file.list_of(chain_ids),))

    def owners(self, step_ids: Sequence[int]) -> Iterable[tuple[int, str]]:
        return self._reader.execute(_OWNERS, (file.list_of(step_ids),))

    def read(self, chain_ids: Sequence[str]) -> Iterable[tuple[str, str]]:
        return self._reader.execute(_READ, (file.list_of(chain_ids),))

    def first(self, chain_ids: Sequence[str]) -> Iterable[tuple[str, str | None]]:
        return self._reader.execute(_FIRST, (file.list_of(chain_ids),))
