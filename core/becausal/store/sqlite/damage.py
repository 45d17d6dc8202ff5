"""What is said when SQLite cannot do what it was asked: where, what about, and what to do.

What is stored is never quoted: these words reach logs and terminals.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import zstandard

from becausal.errors import BecausalError, StoreError, StoreFormatError

__all__ = [
    "CHAIN_ID",
    "STANDS_FOR",
    "UNREADABLE",
    "chain_numbers",
    "damaged",
    "is_corrupt",
    "kind_of",
    "legibly",
    "read",
    "replace_unreadable",
    "told",
]

UNREADABLE = (zstandard.ZstdError, ValueError, LookupError, TypeError, AttributeError)
"""What reading raises where a file's pages are whole, and what they say is not."""

STANDS_FOR = "(damaged "
"""How that begins which stands for a text that cannot be read."""

CHAIN_ID = f"coalesce(chain_id, '{STANDS_FOR}none)')"
"""The id of a chain, of which a damaged row may have none."""


@contextmanager
def told(path: Path | None, doing: str) -> Iterator[None]:
    """Turn SQLite's errors into ones that say what was being done, where, and what to do about it."""
    try:
        yield
    # An integer beyond 64 bits is refused with an OverflowError; SQLite's own words may be damaged, too.
    except (sqlite3.Error, OverflowError, UnicodeDecodeError) as failure:
        # Where it quotes what is stored, a traceback must not show it either.
        raise _explained(failure, path, doing) from None if _is_undecodable(failure) else failure


@contextmanager
def read(path: Path | None, doing: str) -> Iterator[None]:
    """Do the same where nothing but what a file holds can be wrong: what nobody can have written is damage, too.

    What a caller gave is made fit for a query before this, where his mistake is still his own.
    """
    with told(path, doing):
        try:
            yield
        except BecausalError:
            raise
        except UNREADABLE as failure:
            raise damaged(path, doing, failure) from None if _is_undecodable(failure) else failure


def damaged(path: Path | None, doing: str, failure: Exception) -> StoreFormatError:
    """Return the error that says where a file is damaged and what is left to do; it quotes nothing that is stored."""
    return StoreFormatError(
        f"{path or 'the store in memory'} is damaged: {doing} failed ({_harmless(failure)}). "
        "`becausal doctor` says more. What is whole can still be read (becausal runs, becausal show) and carried to a "
        "new store (becausal export all -o FILE, becausal import FILE --store NEW). Put a backup in its place, or move "
        "it away together with its -wal and -shm files, and a new one will be made"
    )


@contextmanager
def legibly(reader: sqlite3.Connection) -> Iterator[set[str]]:
    """Have a connection give `(damaged …)` for each text that is none; gives what stood for one so far."""
    found: set[str] = set()

    def text_of(data: bytes) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError:
            stands_for = _stands_for(data)
            found.add(stands_for)
            return stands_for

    former, reader.text_factory = reader.text_factory, text_of
    try:
        yield found
    finally:
        reader.text_factory = former


def chain_numbers(connection: sqlite3.Connection, chain_ids: Iterable[str]) -> list[int]:
    """Return the numbers of the chains with these ids, of which some may stand for one that cannot be read."""
    wanted = list(chain_ids)
    query = "SELECT chain_no FROM chains WHERE chain_id IN (SELECT value FROM json_each(?))"
    found = [number for (number,) in connection.execute(query, (json.dumps(wanted),))]
    damaged = {chain_id for chain_id in wanted if chain_id.startswith(STANDS_FOR)}
    if damaged:
        with legibly(connection):
            rows = connection.execute(f"SELECT chain_no, {CHAIN_ID} FROM chains").fetchall()
        found += [number for number, chain_id in rows if chain_id in damaged and number not in found]
    return found


def replace_unreadable(
    connection: sqlite3.Connection, table: str, column: str, which: str = "1", *, by: str | None = None
) -> int:
    """Put something that can be read into the place of each text that is none, in a transaction; returns how many.

    Args:
        connection: writes.
        table: one of ours.
        column: of texts.
        which: a condition on its rows, of numbers alone.
        by: what is put there; None: what stands for it.
    """
    connection.create_function("stand_in", 1, _stand_in, deterministic=True)
    stand_in = f"stand_in(CAST({column} AS BLOB))"
    query = f"""UPDATE OR REPLACE {table} SET {column} = coalesce(?, {stand_in})
        WHERE ({which}) AND {stand_in} IS NOT NULL"""
    return connection.execute(query, (by,)).rowcount


def kind_of(failure: Exception) -> int:
    """Return the kind of an error of SQLite's; 0 of one that is not."""
    # The low byte is the kind of error, the rest its subkind. Python's own refusals have no code.
    return getattr(failure, "sqlite_errorcode", 0) & 0xFF


def _stands_for(data: bytes) -> str:
    return f"{STANDS_FOR}{hashlib.sha256(data).hexdigest()[:8]})"


def _stand_in(data: bytes | None) -> str | None:
    """Return what stands for a text; None of one that can be read."""
    try:
        (data or b"").decode()
    except UnicodeDecodeError:
        return _stands_for(data or b"")
    return None


def is_corrupt(failure: Exception) -> bool:
    """Return whether SQLite says that pages are damaged."""
    return kind_of(failure) == sqlite3.SQLITE_CORRUPT


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
