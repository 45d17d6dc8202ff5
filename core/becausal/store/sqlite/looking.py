"""Looking a whole file over for damage, within a time: its pages, its texts, and whether its runs can be loaded."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from becausal.counted import counted
from becausal.store.sqlite import file

__all__ = ["damages"]

STEPS_BETWEEN: int = 20_000
"""Of SQLite's machine, between two looks at the clock."""

MOST_PAGES: int = 3
"""So many flaws of pages are told; one damaged page can have hundreds."""


def damages(path: Path, seconds: float) -> Iterator[str]:
    """Yield what is wrong with the pages and the texts of a file, in words that quote nothing of it.

    Args:
        path: the file.
        seconds: after so long the rest is left out.
    """
    ends = time.monotonic() + seconds
    with file.told(path, "looking it over"), contextlib.closing(file.open_reader(path)) as reader:
        reader.text_factory = bytes
        reader.set_progress_handler(lambda: time.monotonic() > ends, STEPS_BETWEEN)
        try:
            flaws = [flaw for (flaw,) in reader.execute(f"PRAGMA quick_check({MOST_PAGES})") if flaw != b"ok"]
            if flaws:
                yield f"{counted(len(flaws), 'flaw')} in its pages, or more, which SQLite's quick_check finds"
            for (table,) in reader.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                unread = _unread(reader, table.decode())
                if unread:
                    yield f"{counted(unread, 'text')} in its table {table.decode()} cannot be read"
        except sqlite3.OperationalError as failure:
            if file.kind_of(failure) != sqlite3.SQLITE_INTERRUPT:
                raise


def _unread(reader: sqlite3.Connection, table: str) -> int:
    """Return how many texts of a table are none."""
    columns = [
        f'"{name.decode()}"'
        for (name,) in reader.execute("SELECT name FROM pragma_table_info(?) WHERE type = 'TEXT'", (table,))
    ]
    found = 0
    for row in reader.execute(f'SELECT {", ".join(columns)} FROM "{table}"') if columns else ():
        for text in row:
            try:
                (text or b"").decode()
            except UnicodeDecodeError:
                found += 1
    return found
