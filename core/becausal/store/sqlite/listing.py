"""Listing the chains of a file: by its indexes, and where these are damaged by whatever of it can be read."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeVar

from becausal.store import ChainInfo
from becausal.store.sqlite import file

__all__ = ["infos"]

T = TypeVar("T")


class Said(NamedTuple):
    """What the steps of chains say, by the chains' numbers."""

    counts: dict[int, tuple[Any, ...]]
    """When they began and ended, whether one is open, how many, how many errors and handoffs, whether one is a root."""
    roots: dict[int, str]
    agents: dict[int, list[str]]


def infos(reader: sqlite3.Connection, prefix: str, limit: int) -> list[ChainInfo]:
    """Return the chains whose ids start with a prefix, newest first; -1 is no limit."""
    with file.snapshot(reader), file.legibly(reader) as damaged:
        ids = _ids(reader, prefix, limit)
        said = _or(lambda: _said(reader, [*ids]), lambda: _said_one_by_one(reader, [*ids]))
        return [_info(number, chain_id, said, damaged) for number, chain_id in ids.items()]


def _info(number: int, chain_id: str, said: Said, damaged: set[str]) -> ChainInfo:
    # A chain that has no steps lost them: it is written, and forgotten, together with them.
    counts = said.counts.get(number, (0, None, True, 0, 0, 0, True))
    started_ns, ended_ns, is_open, steps, errors, handoffs, is_rooted = counts
    texts = (chain_id, said.roots.get(number, ""), *said.agents.get(number, ()))
    return ChainInfo(
        chain_id=chain_id,
        name=texts[1],
        started_ns=started_ns,
        ended_ns=None if is_open else ended_ns,
        steps=steps,
        errors=errors,
        handoffs=handoffs,
        agents=texts[2:],
        is_damaged=number not in said.counts or not damaged.isdisjoint(texts),
        root_is_lost=not is_rooted,
    )


def _ids(reader: sqlite3.Connection, prefix: str, limit: int) -> dict[int, str]:
    """Return the ids of chains by their numbers, newest first."""
    if prefix.startswith(file.STANDS_FOR[0]):  # what stands for an id stands in no index
        return _ids_one_by_one(reader, prefix, limit)
    query = FIND_CHAINS if prefix else NEWEST_CHAINS
    found = _or(lambda: dict(reader.execute(query, (prefix, limit))), lambda: None)
    if found is None or (len(found) != limit and not _are_all(reader, found, prefix)):
        return _ids_one_by_one(reader, prefix, limit)
    return found


def _are_all(reader: sqlite3.Connection, found: dict[int, str], prefix: str) -> bool:
    """Return whether an index has all that is in the table; of ids that begin so, whether it has any."""
    if prefix:
        return bool(found)
    query = "SELECT count(*) FROM chains NOT INDEXED"
    count: int = _or(lambda: reader.execute(query).fetchone()[0], lambda: -1)
    return len(found) == count


def _ids_one_by_one(reader: sqlite3.Connection, prefix: str, limit: int) -> dict[int, str]:
    """Return the same of what can be read of the table itself, and of its indexes what it cannot give."""
    found, is_whole = _until_damaged(reader, ROWS, ROWS_FROM_THE_END)
    if not is_whole:  # each of these two is answered from an index alone, where it is there
        started, _ = _until_damaged(reader, STARTED, STARTED_FROM_THE_END)
        ids, _ = _until_damaged(reader, IDS, IDS_FROM_THE_END)
        found = {number: (*started.get(number, (0,)), *id) for number, id in ids.items()} | found
    newest = sorted(found, key=lambda number: (found[number][0], number), reverse=True)
    chosen = [number for number in newest if found[number][1].startswith(prefix)]
    return {number: found[number][1] for number in (chosen if limit < 0 else chosen[:limit])}


def _until_damaged(reader: sqlite3.Connection, *queries: str) -> tuple[dict[int, tuple[Any, ...]], bool]:
    """Return rows by their first column, from their beginning and from their end until what is damaged.

    Args:
        queries: one that begins at either end.

    Returns:
        The rows, and whether nothing on the way was damaged.
    """
    rows: dict[int, tuple[Any, ...]] = {}
    for query in queries:
        try:
            for number, *rest in reader.execute(query):
                if number in rows:
                    break
                rows[number] = tuple(rest)
            else:
                return rows, True
        except sqlite3.DatabaseError as failure:
            if not file.is_corrupt(failure):
                raise
    return rows, False


def _said(reader: sqlite3.Connection, numbers: list[int]) -> Said:
    chosen = (file.list_of(numbers),)
    counts = {number: tuple(rest) for number, *rest in reader.execute(COUNT_STEPS, chosen)}
    roots = {number: name for number, name, _ in reader.execute(FIND_ROOTS, chosen)}
    agents: dict[int, list[str]] = {}
    for number, name, _ in reader.execute(FIND_AGENTS, chosen):
        agents.setdefault(number, []).append(name)
    return Said(counts, roots, agents)


def _said_one_by_one(reader: sqlite3.Connection, numbers: list[int]) -> Said:
    """Return the same of those chains whose steps are not on what is damaged."""
    all_said = Said({}, {}, {})
    for number in numbers:
        said = _or(partial(_said, reader, [number]), lambda: Said({}, {}, {}))
        all_said.counts.update(said.counts)
        all_said.roots.update(said.roots)
        all_said.agents.update(said.agents)
    return all_said


def _or(quickly: Callable[[], T], otherwise: Callable[[], T]) -> T:
    """Return what is found quickly, and where the file's pages are damaged there, what is found otherwise."""
    try:
        return quickly()
    except sqlite3.DatabaseError as failure:
        if not file.is_corrupt(failure):
            raise
        return otherwise()


# All that starts with a text lies between it and it followed by the last character of all.
FIND_CHAINS = """SELECT chain_no, chain_id FROM chains
    WHERE chain_id >= ?1 AND chain_id <= ?1 || char(0x10FFFF)
    ORDER BY started_ns DESC, chain_no DESC LIMIT ?2"""

# By the index of the time: asked for a range of ids, SQLite would take theirs and sort every chain there is.
NEWEST_CHAINS = f"""SELECT chain_no, {file.CHAIN_ID} FROM chains
    WHERE ?1 = '' ORDER BY started_ns DESC, chain_no DESC LIMIT ?2"""

ROWS = f"SELECT chain_no, coalesce(started_ns, 0), {file.CHAIN_ID} FROM chains NOT INDEXED ORDER BY chain_no"
ROWS_FROM_THE_END = f"{ROWS} DESC"

# A page of another index holds other types.
STARTED = "SELECT chain_no, started_ns FROM chains WHERE typeof(started_ns) = 'integer' ORDER BY started_ns"
STARTED_FROM_THE_END = f"{STARTED} DESC"
IDS = "SELECT chain_no, chain_id FROM chains WHERE typeof(chain_id) = 'text' ORDER BY chain_id"
IDS_FROM_THE_END = f"{IDS} DESC"

CHOSEN = "chain_no IN (SELECT value FROM json_each(?))"

COUNT_STEPS = f"""SELECT chain_no, min(started_ns), max(ended_ns), max(ended_ns IS NULL), count(*),
        sum(status IS (SELECT name_no FROM names WHERE name = 'error')),
        sum(kind IS (SELECT name_no FROM names WHERE name = 'handoff')), max(parent_id IS NULL)
    FROM steps WHERE {CHOSEN} GROUP BY chain_no"""

# Beside min(), SQLite gives the other columns of the row that has it (sqlite.org/lang_select.html, 2.5).
FIND_ROOTS = f"""SELECT chain_no, names.name, min(seq) FROM steps JOIN names ON name_no = steps.name
    WHERE {CHOSEN} AND NOT EXISTS (
        SELECT 1 FROM steps AS parent
        WHERE parent.chain_no = steps.chain_no AND parent.step_id = steps.parent_id)
    GROUP BY chain_no"""

FIND_AGENTS = f"""SELECT chain_no, names.name, min(seq) FROM steps JOIN names ON name_no = agent
    WHERE {CHOSEN} GROUP BY chain_no, agent ORDER BY min(seq)"""
