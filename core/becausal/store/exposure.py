"""Who else can read what a store keeps: it holds what was said in every run."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from becausal.redaction.marker import KEY_FILE

__all__ = ["exposed", "file_of", "owners_only"]


def file_of(url: str) -> Path | None:
    """Return the path of the file that a store is, whether it is there or not; None of one that is no file."""
    scheme, _, place = url.partition(":///")
    return None if scheme != "sqlite" or place == ":memory:" else Path(place).expanduser().absolute()


def exposed(url: str) -> list[str]:
    """Return what of a store, or the key of its markers, others can read or write, each with what to do about it.

    Nothing of what is no file of SQLite's, or is not there; and nothing where modes say nothing (Windows).
    """
    path = file_of(url)
    if path is None or os.name != "posix" or not _is_database(path):
        return []
    found = []
    beside = (path.with_name(path.name + end) for end in ("-wal", "-shm"))
    for each in (path, *beside, path.parent / KEY_FILE):
        mode = _mode(each)
        if mode is not None and mode & 0o077:
            can = "written to" if mode & 0o022 else "read"
            found.append(f"{each} can be {can} by others (mode {mode:o}): chmod 600 {each}")
    folder = _mode(path.parent)
    # In a folder that others may write to they can put another file in its place; a sticky one (/tmp) keeps them off.
    if folder is not None and folder & 0o022 and not folder & stat.S_ISVTX:
        found.append(f"{path.parent} can be written to by others (mode {folder:o}): chmod 700 {path.parent}")
    return found


def owners_only(path: Path, content: str) -> None:
    """Write a text file that only its owner can read, in place of what is there.

    Raises:
        OSError: it cannot be written.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        if os.name == "posix" and stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.fchmod(descriptor, 0o600)  # also one that was there, whoever could read it
        opened.write(content)


def _is_database(path: Path) -> bool:
    """Return whether a file is one of SQLite's, or an empty one that is to become one."""
    try:
        with path.open("rb") as opened:
            return opened.read(16) in (b"", b"SQLite format 3\x00")
    except OSError:  # not there, a directory, not for us
        return False


def _mode(path: Path) -> int | None:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return None
