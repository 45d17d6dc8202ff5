"""The SQLite file: how it is made and opened, and what is said when it cannot be; what is in it stands in `schema`.

A file of ours is known by SQLite's application id, which stands in the first 100 bytes. So somebody else's
database is refused before SQLite opens it, which could already change it (a WAL is folded in on closing).

The schema is made before the switch to WAL: from the first moment it is in the main file, where that
check finds it.

Source: sqlite.org/fileformat2.html, section 1.3; sqlite.org/wal.html.
"""

from __future__ import annotations

import json
import logging
import os
import random
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from becausal.errors import StoreError, StoreFormatError
from becausal.installed import own_version
from becausal.settings import DEFAULT_STORE
from becausal.store.sqlite.damage import (
    CHAIN_ID,
    STANDS_FOR,
    UNREADABLE,
    damaged,
    is_corrupt,
    kind_of,
    legibly,
    read,
    told,
)
from becausal.store.sqlite.schema import APPLICATION_ID, FORMAT, FUNCTIONS, SCHEMA, UPGRADES

__all__ = [
    "BESIDE",
    "CHAIN_ID",
    "FORMAT",
    "STANDS_FOR",
    "UNREADABLE",
    "Identity",
    "alone",
    "begin",
    "beside",
    "check",
    "damaged",
    "format_of",
    "hurried",
    "identity",
    "in_memory",
    "is_corrupt",
    "kind_of",
    "legibly",
    "list_of",
    "open_reader",
    "open_writer",
    "prepare",
    "read",
    "snapshot",
    "tell_if_held",
    "told",
]

log: logging.Logger = logging.getLogger("becausal")

BUSY_SECONDS = 30.0

SILENT_MS = 1_000
"""So long others are waited for without a word, where somebody waits for us in turn."""

CHECKPOINT_PAGES = 20_000
"""After so many pages the WAL is folded in, by whoever writes then: 80 MB."""

WAL_BYTES = 128 << 20
"""What the WAL is cut down to once it has been folded in."""

CACHE_KIB = 8_000
"""Pages that the writing connection keeps at hand. Four times as many are no quicker
(`python -m benchmarks.store --steps 1000000`): what they lack the system has."""

# A generator of our own: an app that seeds `random` must not lose a number to us.
_random = random.Random()


Identity = tuple[int, int]
"""Of a file, whatever it is called: its device and its inode."""

BESIDE = ("-wal", "-shm")


def beside(path: Path, end: str) -> Path:
    """Return the path of what SQLite keeps beside a file; of the file itself for an empty end."""
    return path.with_name(path.name + end)


def identity(path: Path | str) -> Identity | None:
    """Return what a path leads to; None: nothing."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other processes of ours from making a file anew in a folder; where it is there, and can be locked."""
    try:
        import fcntl

        descriptor = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):  # Windows, where nobody can delete what is open
        yield
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def prepare(path: Path) -> None:
    """Make an empty file that only its owner can read, and its directory; leave what is there."""
    folder = path.parent
    try:
        if not folder.exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if folder.name == Path(DEFAULT_STORE.removeprefix("sqlite:///")).parent.name:
                (folder / ".gitignore").write_text("*\n", encoding="utf-8")
        # SQLite gives the -wal and -shm beside it the mode of the file.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except (FileExistsError, NotADirectoryError) as failure:
        raise StoreError(
            f"cannot make {path}: {failure.filename} is a file, not a directory; choose another path"
        ) from failure
    except IsADirectoryError as failure:
        raise StoreError(f"{path} is a directory; name a file in it, such as {path}/becausal.db") from failure
    except OSError as failure:
        raise StoreError(
            f"cannot write {path}: {failure.strerror} ({failure.filename}); choose another path with "
            "BECAUSAL_STORE or becausal.instrument(store=…), or allow writing there"
        ) from failure


def check(path: Path) -> None:
    """Refuse what is no file of ours, without touching it. An empty file is as good as none.

    Raises:
        StoreError: it does not exist, or cannot be read.
        StoreFormatError: it is something else.
    """
    try:
        with path.open("rb") as opened:
            header = opened.read(100)
    except (FileNotFoundError, NotADirectoryError) as failure:
        raise StoreError(
            f"{path} does not exist: no run has been recorded there yet. Call becausal.instrument() before the app "
            "runs; if it ran in another directory, name its store (BECAUSAL_STORE, --store, or "
            "becausal.open('path/to/becausal.db'))"
        ) from failure
    except OSError as failure:
        raise StoreError(
            f"cannot read {path}: {failure.strerror}. Name a file that this user may read (--store, BECAUSAL_STORE)"
        ) from failure
    if header and not header.startswith(b"SQLite format 3\x00"):
        raise StoreFormatError(f"{path} is no SQLite database; it was left as it is. Choose another path")
    if header and int.from_bytes(header[68:72], "big") != APPLICATION_ID:
        raise StoreFormatError(
            f"{path} is an SQLite database, but not one of becausal's; it was left as it is. "
            "Choose another path"
        )


def open_writer(path: Path) -> sqlite3.Connection:
    """Return a connection that writes, having made the schema if the file is empty."""
    with told(path, "opening it"):
        connection = _connect(f"{path.as_uri()}?mode=rw")
        try:
            _make_schema(connection)
            with read(path, "opening it"):
                _check_format(connection, path)
            _upgrade(connection)
            _switch_to_wal(connection, path)
            # FULL: what was acknowledged survives a power cut; at 512 steps a batch it costs 2 %.
            connection.execute("PRAGMA synchronous = FULL")
            # Fewer, larger checkpoints: nearly twice the steps per second of the default 1000.
            connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            # After a burst, or a reader that was in the way of a checkpoint, the WAL shrinks again.
            connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
            connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        except BaseException:
            connection.close()
            raise
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """Return a connection that cannot change the file."""
    with read(path, "opening it"):
        try:
            return _open_reader(path, "mode=ro")
        except sqlite3.OperationalError:
            # Even a reader of a WAL needs to write the -shm beside it. Where it cannot, no one else
            # can either, and the file may be taken as unchanging.
            if os.access(path.parent, os.W_OK):
                raise
            return _open_reader(path, "mode=ro&immutable=1")


def format_of(connection: sqlite3.Connection) -> int:
    """Return the number of a file's format."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'format'").fetchone()
    return int(row[0]) if row else FORMAT


def in_memory() -> sqlite3.Connection:
    """Return a connection to a new database in memory."""
    connection = _connect("file::memory:")
    _make_schema(connection)
    return connection


@contextmanager
def snapshot(reader: sqlite3.Connection) -> Iterator[None]:
    """Have several queries see one state. In memory nobody writes meanwhile: the lock is the same."""
    reader.execute("BEGIN")
    try:
        yield
    finally:
        with suppress(sqlite3.Error):  # what went wrong first is what is told
            reader.execute("ROLLBACK")


def begin(connection: sqlite3.Connection) -> None:
    """Start a transaction that writes, waiting for other processes.

    SQLite's own waiting is unfair: a process that writes all the time can starve another beyond its
    time-out. So it is tried again after a random pause.
    """
    _patiently(connection, "BEGIN IMMEDIATE")


def tell_if_held(connection: sqlite3.Connection, path: Path | None, doing: str) -> None:
    """Wait a moment for other processes that write, and where that is not enough say what is waited for."""
    connection.execute(f"PRAGMA busy_timeout = {SILENT_MS}")
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    except sqlite3.OperationalError as failure:
        if not _is_busy(failure):
            raise
        with suppress(Exception):  # a filter of the app's may fail
            log.warning("becausal waits for who else writes to %s, before %s", path, doing)
    finally:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000:.0f}")


@contextmanager
def hurried(connection: sqlite3.Connection) -> Iterator[None]:
    """Have what is done meanwhile not wait for the disk: after a power cut the last deletions may have to be repeated.

    The file stays whole, and what was acknowledged before stays acknowledged.
    """
    connection.execute("PRAGMA synchronous = NORMAL")
    try:
        yield
    finally:
        connection.execute("PRAGMA synchronous = FULL")


def list_of(values: Iterable[object]) -> str:
    """Return values as the JSON that `json_each(?)` makes rows of: one parameter for as many as there are."""
    return json.dumps([value for value in values if value is not None])


def _connect(uri: str) -> sqlite3.Connection:
    if sqlite3.sqlite_version_info < (3, 37):
        raise StoreError(
            f"this Python has SQLite {sqlite3.sqlite_version}; becausal needs 3.37 or later: "
            "use another build of Python"
        )
    # Locks of ours keep threads apart, so SQLite's check of the thread would only be in the way.
    return sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)


def _open_reader(path: Path, mode: str) -> sqlite3.Connection:
    connection = _connect(f"{path.as_uri()}?{mode}")
    try:
        connection.execute("PRAGMA query_only = ON")
        _check_format(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _is_empty(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is None


def _make_schema(connection: sqlite3.Connection) -> None:
    if not _is_empty(connection):
        return
    # So that the file shrinks when runs are forgotten: before its first page, or it takes a VACUUM. Carried out, this
    # would write that page by itself, without our id on it; it takes effect when it is compiled, and EXPLAIN does that.
    connection.execute("EXPLAIN PRAGMA auto_vacuum = INCREMENTAL")
    begin(connection)
    try:
        if _is_empty(connection):  # no other process was faster
            for statement in SCHEMA:
                connection.execute(" ".join(statement.split()))  # all of it is on the first page then
            version = own_version() or "(not installed)"
            facts = [("format", str(FORMAT)), ("created_by", f"becausal {version}")]
            connection.executemany("INSERT INTO meta(key, value) VALUES (?, ?)", facts)
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _upgrade(connection: sqlite3.Connection) -> None:
    if format_of(connection) == FORMAT:
        return
    for name, function in FUNCTIONS.items():
        connection.create_function(name, 1, function)
    begin(connection)
    try:
        while (found := format_of(connection)) < FORMAT:  # unless another process was faster
            for statement in UPGRADES[found]:
                connection.execute(statement)
            connection.execute("UPDATE meta SET value = ? WHERE key = 'format'", (str(found + 1),))
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _check_format(connection: sqlite3.Connection, path: Path) -> None:
    if _is_empty(connection):
        raise StoreError(
            f"{path} is empty: no run has been recorded there yet. Call becausal.instrument() "
            "before the app runs, and a store is made in it"
        )
    found = format_of(connection)
    if found < 1:
        raise ValueError(f"a format {found}")
    if found > FORMAT:
        raise StoreFormatError(
            f"{path} was written by a newer becausal (format {found}); this one reads up to {FORMAT}: "
            "pip install -U becausal"
        )


def _switch_to_wal(connection: sqlite3.Connection, path: Path) -> None:
    if _patiently(connection, "PRAGMA journal_mode = WAL") != "wal":
        raise StoreError(
            f"the file system of {path} cannot share memory between processes, which SQLite's WAL needs; "
            "put the store on a local disk"
        )


def _patiently(connection: sqlite3.Connection, statement: str) -> object:
    # Half as long again as SQLite waits: so a wait that ran its time out is tried once more. Where SQLite
    # does not wait at all (the switch to WAL), it is tried often.
    deadline = time.monotonic() + 1.5 * BUSY_SECONDS
    while True:
        try:
            row = connection.execute(statement).fetchone()
            return row[0] if row else None
        except sqlite3.OperationalError as failure:
            if not _is_busy(failure) or time.monotonic() > deadline:
                raise
            time.sleep(_random.uniform(0.005, 0.05))


def _is_busy(failure: sqlite3.OperationalError) -> bool:
    return kind_of(failure) == sqlite3.SQLITE_BUSY
