"""The store that is damaged: runs of every sort, a memory, contents of every size, in a file and in its WAL."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path

import becausal
from becausal import canonical, clock
from becausal.cassette import row
from becausal.errors import StoreError
from becausal.step import Step
from becausal.store import Store
from becausal.store.memory_log import parts_below

__all__ = ["KEY", "MEMORY", "RUNS", "SECRET", "Told", "chain_id", "fill", "told", "within"]

RUNS = 24

SECRET = "Jane Doe-Nobody"
"""Stands in the contents, the names, the errors and the memory: it is erased, and no refusal may quote it."""

MEMORY, KEY = "research", "market"

IN_THE_WAL = 6
"""So many of the runs are in the WAL alone, where it is there."""

Told = bytes
"""All that a store tells of a run: its steps, and what they are made of."""


def chain_id(number: int) -> str:
    return f"{number:032x}"


def fill(folder: Path) -> None:
    """Make `whole.db`, which has everything, and `wal.db`, of which the last runs are in the WAL."""
    path = folder / "made.db"
    clock._random.seed(1)  # so that what is damaged by chance is the same for the same seed
    becausal.instrument(store=path)
    for number in range(RUNS):
        if number == RUNS - IN_THE_WAL:
            becausal.uninstrument()  # folds the WAL in
            becausal.instrument(store=path)
        _record(number)
        assert becausal.flush()
    for end in ("", "-wal"):
        shutil.copy(f"{path}{end}", folder / f"wal.db{end}")
    becausal.uninstrument()
    path.rename(folder / "whole.db")


def _record(number: int) -> None:
    memory = becausal.Memory(MEMORY)
    asked = f"question {number} of {SECRET}"
    with becausal.chain(asked, id=chain_id(number)), becausal.agent("planner", received=asked) as planner:
        planner.decide("search", because=[asked], reason=f"{SECRET} wants it", confidence=0.7)
        found = becausal.tool(name="search")(_search)(number)
        memory.write(f"{KEY} {number % 4}", {"usd": number, "who": SECRET})
        sent = becausal.handoff("planner", "writer", {"found": found, "n": number})
        with becausal.receive("writer", sent) as given, becausal.agent("writer", received=given) as writer:
            memory.read(f"{KEY} {number % 4}")
            if number % 5 == 4:
                with suppress(ValueError):
                    becausal.tool(name="fails")(_fails)(number)
            writer.returned(f"answer {number}: {found[0]}")
        planner.returned(f"answer {number}: {found[0]}")


def _search(number: int) -> list[str]:
    large = " ".join(f"{number * 7919 % 104729}-{n} is what was found" for n in range(4_000))
    return [f"{SECRET} said {number} million", *([large] if number % 6 == 5 else [])]


def _fails(number: int) -> None:
    raise ValueError(f"{SECRET} is not to be had, {number}")


def told(store: Store, id: str) -> Told:
    """Return all that a store tells of a run.

    Raises:
        StoreFormatError: it is damaged.
    """
    steps = store.load(id)
    bodies = {one: store.body(one) for digest in _digests(steps) for one in parts_below(digest, store.body)}
    lines = row.lines([row.step_line(step) for step in steps])
    return b"".join([lines, *(digest + (bodies[digest] or b"-") for digest in sorted(bodies))])


def _digests(steps: list[Step]) -> list[bytes]:
    sides = [side for step in steps for side in (step.received, step.produced) if side is not None]
    return [canonical.parse_digest(side.digest) for side in sides]


def within(path: Path, store: Store, ids: Mapping[str, Told]) -> set[str]:
    """Return which runs a store tells of as they were, and has in its table where that can be read."""
    found = set()
    listed = _listed(path)
    for id, said in ids.items():
        with suppress(StoreError):
            if (listed is None or id in listed) and told(store, id) == said:
                found.add(id)
    return found


def _listed(path: Path) -> set[object] | None:
    """Return what is in the table of runs, whatever its indexes say; None where its pages are damaged."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        connection.text_factory = lambda data: data.decode(errors="replace")
        try:
            return {id for (id,) in connection.execute("SELECT chain_id FROM chains NOT INDEXED")}
        except sqlite3.Error:
            return None
