"""What is said when SQLite cannot do what it was asked: where, what about, and what to do.

What is stored is never quoted: these words reach logs and terminals.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import zstandard

from becausal.errors import StoreError, StoreFormatError

__all__ = ["STANDS_FOR", "UNREADABLE", "damaged", "kind_of", "legibly", "told"]

UNREADABLE = (zstandard.ZstdError, ValueError, LookupError, TypeError, AttributeError)
"""What reading raises where a file's pages are whole, and what they say is not."""

STANDS_FOR = "(damaged "
"""How that begins which stands for a text that cannot be read."""


@contextmanager
def told(path: Path | None, doing: str) -> Iterator[None]:
    """Turn SQLite's errors into ones that say what was being done, where, and what to do about it."""
    try:
        yield
    # An integer beyond 64 bits is refused with an OverflowError; SQLite's own words may be damaged, too.
    except (sqlite3.Error, OverflowError, UnicodeDecodeError) as failure:
        # Where it quotes what is stored, a traceback must not show it either.
        raise _explained(failure, path, doing) from None if _is_undecodable(failure) else failure


def damaged(path: Path | None, doing: str, failure: Exception) -> StoreFormatError:
    """Return the error that says where a file is damaged and what is left to do; it quotes nothing that is stored."""
    return StoreFormatError(
        f"{path or 'the store in memory'} is damaged: {doing} failed ({_harmless(failure)}). "
        "`becausal doctor` says more, and what is whole can still be read (becausal runs, becausal show). Put a backup "
        "in its place, or move it away together with its -wal and -shm files, and a new one will be made"
    )


@contextmanager
def legibly(reader: sqlite3.Connection) -> Iterator[set[str]]:
    """Have a connection give `(damaged …)` for each text that is none; gives what stood for one so far."""
    found: set[str] = set()

    def text_of(data: bytes) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError:
            stands_for = f"{STANDS_FOR}{hashlib.sha256(data).hexdigest()[:8]})"
            found.add(stands_for)
            return stands_for

    reader.text_factory = text_of
    try:
        yield found
    finally:
        reader.text_factory = str


def kind_of(failure: Exception) -> int:
    """Return the kind of an error of SQLite's; 0 of one that is not."""
    # The low byte is the kind of error, the rest its subkind. Python's own refusals have no code.
    return getattr(failure, "sqlite_errorcode", 0) & 0xFF


def _is_undecodable(failure: Exception) -> bool:
    """Return whether a text is none: Python's own refusal quotes all of it (CPython, `Modules/_sqlite/cursor.c`)."""
    return isinstance(failure, UnicodeDecodeError) or str(failure).startswith("Could not decode")


def _is_damage(failure: Exception) -> bool:
    # What our statements name is there in every file of its format.
    return (
        kind_of(failure) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
        or _is_undecodable(failure)
        or str(failure).startswith("no such ")
    )


def _harmless(failure: Exception) -> str:
    """Return what is wrong, in words that quote nothing that is stored."""
    if _is_undecodable(failure):
        return "a text that is no UTF-8"
    if isinstance(failure, (sqlite3.Error, zstandard.ZstdError, OverflowError, json.JSONDecodeError)):
        return str(failure)
    return "what stands there cannot have been written so"


def _explained(failure: Exception, path: Path | None, doing: str) -> StoreError:
    where = path or "the store in memory"
    if _is_damage(failure):
        return damaged(path, doing, failure)
    advice = {
        sqlite3.SQLITE_BUSY: "another process has been writing all the time; see what holds the file open",
        sqlite3.SQLITE_FULL: "the disk is full; make room or choose another path",
        sqlite3.SQLITE_READONLY: "it may not be written; change its permissions or choose another path",
        sqlite3.SQLITE_CANTOPEN: "see that it and its directory may be read and written",
        sqlite3.SQLITE_IOERR: "the disk does not take or give it; see that it is a local one, and that no limit of "
        "a file's size is in the way (ulimit -f)",
    }.get(kind_of(failure), "")
    return StoreError(f"{where}: {doing} failed ({failure})" + (f"; {advice}" if advice else ""))
