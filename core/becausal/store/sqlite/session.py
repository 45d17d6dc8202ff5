"""What one process holds open of a store: two connections, and the bodies that were last asked for."""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from contextlib import suppress
from pathlib import Path

from becausal.store.bodycache import BodyCache
from becausal.store.sqlite import file
from becausal.store.sqlite.bodies import Unpacker
from becausal.store.sqlite.write import Writer

__all__ = ["Session", "is_open_here", "of_the_parent"]


class Session:
    """The connections of one process to one file, opened when they are first needed."""

    def __init__(self, path: Path | None) -> None:
        self.pid = os.getpid()
        self.bodies = BodyCache()
        self.write_lock = threading.RLock()
        # In memory both are the same connection, so both are the same lock.
        self.read_lock = self.write_lock if path is None else threading.RLock()
        self.path = path
        self._place = None if path is None else str(path)
        self._reader: sqlite3.Connection | None = None
        self._unpacker: Unpacker | None = None
        self._writing: sqlite3.Connection | None = None
        self._writer: Writer | None = None
        self._is_closed = False
        self._files: dict[
            str, file.Identity | None
        ] = {}  # what is open to be written, and what belongs to it
        _sessions.add(self)

    @property
    def is_open(self) -> bool:
        """Whether it has a connection to the file."""
        return not self._is_closed and (self._reader is not None or self._writing is not None)

    def writer(self) -> Writer:
        """Return what writes, through the one connection that does."""
        if self._writer is None:
            self._writing = file.in_memory() if self.path is None else file.open_writer(self.path)
            with file.told(self.path, "opening it"):
                self._writer = Writer(self._writing)
            if self.path is not None:
                self._files = {end: file.identity(file.beside(self.path, end)) for end in ("", *file.BESIDE)}
        return self._writer

    @property
    def is_astray(self) -> bool:
        """Whether what is open to be written stands no more where it did: deleted, or replaced by another file.

        SQLite goes on writing to what nobody will ever read again.
        """
        place = self._place
        return place is not None and bool(self._files) and file.identity(place) != self._files[""]

    def drop_remains(self) -> None:
        """Remove what was left beside a file that is gone: another file of its name must not take it for its own."""
        if self.path is not None:
            for end in file.BESIDE:
                left = file.beside(self.path, end)
                if self._files.get(end) is not None and file.identity(left) == self._files[end]:
                    left.unlink(missing_ok=True)

    def reader(self) -> sqlite3.Connection:
        """Return the connection that reads."""
        if self.path is None:
            self.writer()
            assert self._writing is not None
            return self._writing
        if self._reader is None:
            self._reader = file.open_reader(self.path)
        return self._reader

    def unpacker(self) -> Unpacker:
        """Return what reads bodies."""
        if self._unpacker is None:
            self._unpacker = Unpacker(self.reader())
        return self._unpacker

    def forget_bodies(self) -> None:
        """Have no bodies at hand any more."""
        with self.read_lock:
            self.bodies.clear()
            if self._unpacker is not None:
                self._unpacker.forget()

    def close(self) -> None:
        """Let go of both connections."""
        with self.write_lock, self.read_lock:
            # The writer last: the last one to leave folds the WAL in and removes it.
            if self._reader is not None:
                self._reader.close()
            if self._writing is not None:
                with suppress(sqlite3.Error):  # others may be reading; then the last of them does it
                    # Before a truncating checkpoint it must have seen what others wrote since, or SQLite 3.40 waits
                    # for the reader that it is itself, for as long as its time-out.
                    self._writing.execute("PRAGMA wal_checkpoint(PASSIVE)")
                    self._writing.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                self._writing.close()
            self._is_closed = True


# Sessions of parents, kept from the garbage collector: closing their connections here would touch locks
# that are not ours.
of_the_parent: list[Session] = []

_sessions: weakref.WeakSet[Session] = weakref.WeakSet()


def is_open_here(path: Path) -> bool:
    """Return whether this process has a connection to a file: then it is one of ours, and must not be opened again.

    Closing any other descriptor of it drops the locks of SQLite's. The next process to leave takes itself for the last
    one, and removes the WAL that this one writes to (sqlite.org/howtocorrupt.html, section 2.2).
    """
    mine = [session for session in list(_sessions) if session.pid == os.getpid() and session.is_open]
    return any(session.path == path and not session.is_astray for session in mine) and path.exists()
