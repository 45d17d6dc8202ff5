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

TEXTS = {
    "meta": "SELECT * FROM meta",
    "names": "SELECT * FROM names",
    "chains": "SELECT * FROM chains",
    "steps": "SELECT * FROM steps",
    "causes": "SELECT * FROM causes",
    "anchors": "SELECT * FROM anchors",
    "blobs": "SELECT lossy FROM blobs",  # and not what is in them: a sample is read elsewhere
    "gaps": "SELECT * FROM gaps",
    "marks": "SELECT * FROM marks",
    "memory_events": "SELECT * FROM memory_events",
    "memory_reads": "SELECT * FROM memory_reads",
    "erasures": "SELECT * FROM erasures",
}
"""By table, what gives all of its texts. Written out: what a damaged file calls its tables is no text for a query."""


def damages(path: Path, seconds: float) -> Iterator[str]:
    """Yield what is wrong with the pages and the texts of a file, in words that quote nothing of it.

    Args:
        path: the file.
        seconds: after so long the rest is left out.
    """
    ends = time.monotonic() + seconds
    with file.told(path, "looking it over"), contextlib.closing(file.open_reader(path)) as reader:
        unread = _Unread()
        reader.text_factory = unread
        reader.set_progress_handler(lambda: time.monotonic() > ends, STEPS_BETWEEN)
        try:
            # One damaged page can have hundreds of flaws.
            flaws = [flaw for (flaw,) in reader.execute("PRAGMA quick_check(3)") if flaw != "ok"]
            if flaws:
                yield f"{counted(len(flaws), 'flaw')} in its pages, or more, which SQLite's quick_check finds"
            tables = {
                name for (name,) in reader.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            }
            for table, query in TEXTS.items():
                unread.count = 0
                for _ in reader.execute(query) if table in tables else ():
                    pass
                if unread.count:
                    yield f"{counted(unread.count, 'text')} in its table {table} cannot be read"
        except sqlite3.OperationalError as failure:
            if file.kind_of(failure) != sqlite3.SQLITE_INTERRUPT:
                raise


class _Unread:
    """Reads the texts of a connection, and counts those that are none."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, data: bytes) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError:
            self.count += 1
            return ""
