"""What one process holds open of a store: a connection that writes, one that reads, and the bodies last asked for.

A connection that was lost is opened again when it is next needed; what was under way on it is tried again where that
cannot do a thing twice.
"""

from __future__ import annotations

import os
import random
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, TypeVar

import psycopg

from becausal.errors import StoreError
from becausal.store.bodycache import BodyCache
from becausal.store.postgres import schema
from becausal.store.postgres.connecting import Connection, Place, connect, explained, is_conflict

__all__ = ["Session", "of_the_parent", "whole"]

T = TypeVar("T")

CONFLICTS: Final = 20
"""How often a transaction that met another one is tried."""

PATIENCE_S: Final = 5.0
"""For how long a batch waits for a server that went away; the next one does not, until the server has come back."""

# Whatever the driver, or Python on its behalf, finds wrong: an integer beyond 64 bits is an OverflowError.
FAILURES = (psycopg.Error, OverflowError)

# A generator of our own: an app that seeds `random` must not lose a number to us.
_random = random.Random()


class _Unsure(Exception):
    """The connection was lost while a transaction was committed: it may have been, or not."""


class Session:
    """The connections of one process to one store, opened when they are first needed."""

    def __init__(self, place: Place, *, create: bool) -> None:
        self.pid = os.getpid()
        self.bodies = BodyCache()
        self.writing = _Line(place, read_only=False, create=create)
        self.reading = _Line(place, read_only=True, create=False)

    def close(self) -> None:
        """Let go of both connections."""
        for line in (self.writing, self.reading):
            with line.lock:
                line.drop()


class _Line:
    """One connection, and the lock of whoever uses it."""

    def __init__(self, place: Place, *, read_only: bool, create: bool) -> None:
        self.lock = threading.RLock()
        self.generation: int | None = None
        """How often something was deleted from the store, as the last write saw it."""
        self._place, self._read_only, self._create = place, read_only, create
        self._partitions: schema.Partitions | None = None
        self._open: list[Connection] = []
        self._is_patient = True
        # A store that nobody closed goes with its last reader; and never that of a parent.
        weakref.finalize(self, _close, self._open, os.getpid())

    def drop(self) -> None:
        """Close the connection, if there is one."""
        _close(self._open, os.getpid())
        self._partitions = None

    def partitions(self, connection: Connection) -> schema.Partitions:
        """Return the days that have tables of their own, as this connection knows."""
        if self._partitions is None:
            self._partitions = schema.Partitions(connection)
        return self._partitions

    def open(self) -> None:
        """Connect, and see that the tables are there."""
        connection = connect(self._place, read_only=self._read_only)
        try:
            if not self._read_only:
                _check_rights(connection, self._place)
                schema.migrate(connection, self._place, create=self._create)
            schema.check(connection, self._place)
        except BaseException:
            connection.close()
            raise
        self._open.append(connection)

    def run(
        self, doing: str, work: Callable[[Connection], T], *, again: bool = True, patient: bool = False
    ) -> T:
        """Return what some work on the connection gives.

        Args:
            doing: what it does, for errors.
            work: one transaction, or a query.
            again: whether it may be done twice.
            patient: whether to wait for a server that went away.

        Raises:
            StoreError: it failed.
        """
        until = time.monotonic() + (PATIENCE_S if patient and self._is_patient else 0)
        conflicts, stale = 0, bool(self._open)
        with self.lock:
            while True:
                try:
                    if not self._open:
                        self.open()
                    done = work(self._open[0])
                    self._is_patient = True
                    return done
                except _Unsure as unsure:
                    failure, may_repeat = unsure.__cause__, again
                except FAILURES as found:
                    failure, may_repeat = found, True
                assert isinstance(failure, Exception)
                is_lost = not self._open or self._open[0].closed
                if is_lost:
                    self.drop()
                if is_conflict(failure) and conflicts < CONFLICTS:
                    conflicts += 1
                    time.sleep(_random.uniform(0, 0.01 * conflicts))  # or the same two meet again
                elif is_lost and may_repeat and (stale or time.monotonic() < until):
                    if not stale:  # one that had stood idle is opened again at once
                        time.sleep(_random.uniform(0.05, 0.2))
                    stale = False
                else:
                    self._is_patient = not is_lost
                    raise explained(failure, self._place, doing) from failure


@contextmanager
def whole(connection: Connection, mode: str = "") -> Iterator[None]:
    """Make what is done within all or nothing, and durable when it is left.

    Args:
        mode: more words for BEGIN.
    """
    connection.execute(f"BEGIN {mode}")
    try:
        yield
    except BaseException:
        with suppress(psycopg.Error):
            connection.execute("ROLLBACK")
        raise
    try:
        connection.execute("COMMIT")
    except psycopg.OperationalError as failure:
        raise _Unsure from failure


def _check_rights(connection: Connection, place: Place) -> None:
    row = connection.execute("SELECT pg_is_in_recovery(), current_user").fetchone()
    if row is not None and row[0]:
        raise StoreError(
            f"{place.shown}: this server is a standby, which may only be read; connect to the primary "
            "(target_session_attrs=read-write finds it among several hosts)"
        )
    query = """SELECT to_regclass('steps') IS NULL OR has_table_privilege('steps', 'INSERT')"""
    allowed = connection.execute(query).fetchone()
    if row is not None and allowed is not None and not allowed[0]:
        raise StoreError(
            f"{place.shown}: the role {row[1]} may read this store and not write to it; connect as another role, or "
            f'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "{place.schema}" to it'
        )


def _close(opened: list[Connection], pid: int) -> None:
    # A child of a fork leaves the parent's connections alone: closing one would end it for the parent too.
    while opened and os.getpid() == pid:
        with suppress(psycopg.Error):
            opened.pop().close()


# Sessions of parents, kept from the garbage collector.
of_the_parent: list[Session] = []
