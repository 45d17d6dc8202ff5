"""The ways in which a file comes to harm: by disks, by copying, by hands."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path

__all__ = ["DAMAGES", "damage"]

PAGE = 4096

HEADER = 100
"""Bytes that say what sort of a file it is: without them it is none of ours."""


def _page(path: Path, chance: random.Random, fill: Callable[[int], bytes]) -> None:
    whole = bytearray(path.read_bytes())
    for _ in range(chance.choice((1, 1, 1, 3))):
        at = chance.randrange(1, max(2, len(whole) // PAGE)) * PAGE
        whole[at : at + PAGE] = fill(PAGE)
    path.write_bytes(whole)


def garbage(path: Path, chance: random.Random) -> None:
    """Fill pages with what chance will have."""
    _page(path, chance, chance.randbytes)


def zeros(path: Path, chance: random.Random) -> None:
    """Empty pages, as a file system does after a power cut."""
    _page(path, chance, bytes)


def swapped(path: Path, chance: random.Random) -> None:
    """Put a page in the place of another one."""
    whole = path.read_bytes()
    at = chance.randrange(1, len(whole) // PAGE) * PAGE
    _page(path, chance, lambda size: whole[at : at + size])


def flipped(path: Path, chance: random.Random) -> None:
    """Flip bits, anywhere behind the header."""
    whole = bytearray(path.read_bytes())
    for _ in range(chance.choice((1, 3, 20, 200))):
        whole[chance.randrange(HEADER, len(whole))] ^= 1 << chance.randrange(8)
    path.write_bytes(whole)


def cut_off(path: Path, chance: random.Random) -> None:
    """Take the end away, at a page or within one."""
    whole = path.read_bytes()
    size = chance.randrange(1, len(whole) // PAGE) * PAGE
    path.write_bytes(whole[: size + chance.choice((0, 0, chance.randrange(PAGE)))])


def dropped(path: Path, chance: random.Random) -> None:
    """Drop a table or an index."""
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
        kind, name = chance.choice(connection.execute(query).fetchall())
        connection.execute(f"DROP {kind} {name}")


def rows_lost(path: Path, chance: random.Random) -> None:
    """Delete some rows of a table."""
    with closing(sqlite3.connect(path)) as connection:
        table, _ = _column(connection, chance)
        key = "1" if chance.random() < 0.1 else f"abs(random()) % {chance.choice((2, 10, 50))} = 0"
        connection.execute(f"DELETE FROM {table} WHERE {key}")
        connection.commit()


def cells_changed(path: Path, chance: random.Random) -> None:
    """Put into cells what nobody wrote there: no text, no JSON, another number, nothing."""
    with closing(sqlite3.connect(path)) as connection:
        table, column = _column(connection, chance)
        value = chance.choice(
            (
                "NULL",
                "CAST(x'4a616e6520446f652d4e6f626f6479ff' AS TEXT)",
                "'{'",
                "'[]'",
                "'~'",
                "-1",
                str(1 << 62),
                "x'28b52ffd'",
                f"substr({column}, 3)",
                f"CAST({column} AS BLOB)",
            )
        )
        where = chance.choice(("1", "abs(random()) % 10 = 0"))
        with suppress(sqlite3.IntegrityError):  # what its declaration does not allow
            connection.execute(f"UPDATE {table} SET {column} = {value} WHERE {where}")
        connection.commit()


def wal_gone(path: Path, chance: random.Random) -> None:
    """Delete the WAL."""
    path.with_name(path.name + "-wal").unlink(missing_ok=True)


def wal_spoiled(path: Path, chance: random.Random) -> None:
    """Spoil the WAL: bits, its end, all of it, or the WAL of another file."""
    wal = path.with_name(path.name + "-wal")
    chance.choice((flipped, cut_off, lambda wal, chance: wal.write_bytes(chance.randbytes(9_000))))(
        wal, chance
    )


def shm_spoiled(path: Path, chance: random.Random) -> None:
    """Leave a file beside it that is no index of its WAL."""
    path.with_name(path.name + "-shm").write_bytes(chance.randbytes(chance.choice((10, 32_768))))


def _column(connection: sqlite3.Connection, chance: random.Random) -> tuple[str, str]:
    query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    table = chance.choice([name for (name,) in connection.execute(query)])
    return table, chance.choice([row[1] for row in connection.execute(f"PRAGMA table_info({table})")])


EVERY = (garbage, zeros, swapped, flipped, cut_off, dropped, rows_lost, cells_changed)
OF_WALS = (wal_gone, wal_spoiled, shm_spoiled)
DAMAGES: Mapping[str, Callable[[Path, random.Random], None]] = {
    one.__name__.replace("_", " "): one for one in (*EVERY, *OF_WALS)
}

LIKELY = ("garbage", "zeros", "swapped", "flipped", "flipped", "cut off", "dropped", "rows lost") + (
    "cells changed",
) * 4
OF_THE_WAL = ("wal gone", "wal spoiled", "shm spoiled")


def damage(path: Path, chance: random.Random) -> str:
    """Damage a file in a way that chance will have; returns which."""
    wal = path.with_name(path.name + "-wal")
    has_wal = wal.exists() and wal.stat().st_size > 0
    which: str = chance.choice((*LIKELY, *(OF_THE_WAL * 2 if has_wal else ())))
    DAMAGES[which](path, chance)
    return which
