"""Looking a whole file over for damage, within a time: its pages, its texts, and whether its runs can be loaded."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from becausal.counted import counted
from becausal.store.sqlite import file
from becausal.store.upkeep import Progress, silent

__all__ = ["damages"]

AGAIN_S: float = 0.01
"""Between two interrupts of what should have come to its end."""

TELLS_S: Final = 0.1
"""Between two words on how long it takes."""

DOING: Final = "looking for damage, so many seconds at most"

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


def damages(
    path: Path, seconds: float, *, pages_alone: bool = False, told: Progress | None = None
) -> list[str]:
    """Return what is wrong with the pages and the texts of a file, in words that quote nothing of it.

    Args:
        path: the file.
        seconds: after so long the rest is left out.
        pages_alone: leave out the texts.
        told: told how long it takes; what it raises puts an end to it.
    """
    found: list[str] = []

    def look() -> None:
        for each in (_flaws,) if pages_alone else (_flaws, _unread):
            found.extend(each(reader))

    with file.told(path, "looking it over"), contextlib.closing(file.open_reader(path)) as reader:
        _within(seconds, look, reader, told or silent)
    return found


def _flaws(reader: sqlite3.Connection) -> Iterator[str]:
    # One damaged page can have hundreds of flaws.
    flaws = [flaw for (flaw,) in reader.execute("PRAGMA quick_check(3)") if flaw != "ok"]
    if flaws:
        yield f"{counted(len(flaws), 'flaw')} in its pages, or more, which SQLite's quick_check finds"


def _unread(reader: sqlite3.Connection) -> Iterator[str]:
    unread = reader.text_factory = _Unread()
    tables = {name for (name,) in reader.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for table, query in TEXTS.items():
        unread.count = 0
        for _ in reader.execute(query) if table in tables else ():
            pass
        if unread.count:
            yield f"{counted(unread.count, 'text')} in its table {table} cannot be read"


def _within(seconds: float, look: Callable[[], None], reader: sqlite3.Connection, told: Progress) -> None:
    """Have what is done with a connection come to an end after so many seconds, wherever it is by then."""
    is_done, failures = threading.Event(), list[Exception]()

    def work() -> None:
        try:
            look()
        except Exception as failure:
            failures.append(failure)
        finally:
            is_done.set()

    # On a thread of its own: whoever waits for it hears of an interrupt, or of an app that ends.
    thread = threading.Thread(target=work, name="becausal-looking", daemon=True)
    thread.start()
    began = time.monotonic()
    try:
        while (left := began + seconds - time.monotonic()) > 0 and not is_done.wait(min(left, TELLS_S)):
            told(DOING, int(time.monotonic() - began), int(seconds))
    finally:
        # SQLite 3.40 asks no progress handler while it checks one table, and forgets an interrupt between statements.
        while not is_done.is_set():
            reader.interrupt()
            is_done.wait(AGAIN_S)
        thread.join()  # it must not meet a connection that is closed
    if failures and file.kind_of(failures[0]) != sqlite3.SQLITE_INTERRUPT:
        raise failures[0]


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
