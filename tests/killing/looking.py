"""What must hold of a store after a kill: it opens, and what was acknowledged is in it, whole."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.killing.victim import MEMORY

import becausal
from becausal import canonical, semconv
from becausal.run import Run
from becausal.step import Step
from becausal.store import Store, open_store
from becausal.store.memory_log import parts_below

__all__ = ["Acknowledged", "look"]

LOADED = 6
"""So many of the newest chains are loaded as runs after each kill; older ones were after the kills before."""

ROWS_WITHOUT = {
    "causes without their step": """SELECT count(*) FROM causes LEFT JOIN steps USING (chain_no, step_id)
        WHERE steps.step_id IS NULL""",
    "anchors without their step": """SELECT count(*) FROM anchors LEFT JOIN steps USING (chain_no, step_id)
        WHERE steps.step_id IS NULL""",
    "steps without their chain": """SELECT count(*) FROM steps LEFT JOIN chains USING (chain_no)
        WHERE chains.chain_no IS NULL""",
    "steps without what they received": """SELECT count(*) FROM steps LEFT JOIN blobs ON blob_no = received
        WHERE received IS NOT NULL AND blob_no IS NULL""",
    "steps without what they produced": """SELECT count(*) FROM steps LEFT JOIN blobs ON blob_no = produced
        WHERE produced IS NOT NULL AND blob_no IS NULL""",
    "bytes in packs that are in no body": """SELECT coalesce(sum(size), 0)
        - (SELECT coalesce(sum(size), 0) FROM blobs WHERE codec = 4) FROM packs""",
    "chains without a step": """SELECT count(*) FROM chains WHERE chain_no NOT IN (SELECT chain_no FROM steps)""",
}


@dataclass
class Acknowledged:
    """What processes were told to be durable, over the life of one store."""

    steps: list[tuple[str, str]] = field(default_factory=list)
    events: dict[tuple[str, int], str] = field(default_factory=dict)
    fresh: list[tuple[str, str]] = field(default_factory=list)
    """The steps since the last look."""
    going: set[str] = field(default_factory=set)
    """The chains that were let go or erased, or were about to be."""

    def note(self, what: str, said: list[Any]) -> None:
        """Note a line that a process told."""
        if what == "flushed":
            self.steps += [(chain, step) for chain, step in said]
            self.fresh += [(chain, step) for chain, step in said]
        elif what == "appended":
            self.events[said[0], said[1]] = said[2]
        elif what == "going":
            self.going.update(said)


def look(path: Path, told: Acknowledged, seen: Counter[str]) -> list[str]:
    """Return what is wrong with a store, in words; counts in `seen` what was looked at."""
    if not path.exists() or not path.stat().st_size:
        # Killed before it made its file: then nothing was acknowledged.
        return ["the file is gone"] if told.steps or told.events else []
    wrong: list[str] = []
    try:
        store = open_store(f"sqlite:///{path}")  # as the app does that is started again
        try:
            wrong += [*_lost_steps(store, told, seen), *_lost_events(store, told, seen), *_runs(store, seen)]
            if gaps := store.gaps():
                wrong.append(f"gaps that nobody counted: {gaps}")
            memory = becausal.Memory(MEMORY, store=f"sqlite:///{path}")
            event = memory.write("after", seen["kills"])
            told.events[event.key, event.version] = event.hash
            if (broken := memory.verify()) is not None:
                wrong.append(f"the memory's log does not verify: {broken}")
            memory._store.close()
        finally:
            store.close()
    except Exception as failure:
        wrong.append(f"{type(failure).__name__}: {failure}")
    told.fresh.clear()
    return [*wrong, *_rows(path)]


def _rows(path: Path) -> list[str]:
    """Return what SQLite and joins find wrong. The rows are read as the next reader finds them: from the WAL too."""
    with sqlite3.connect(path) as connection:
        wrong = [
            f"integrity_check: {row[0]}"
            for row in connection.execute("PRAGMA integrity_check")
            if row[0] != "ok"
        ]
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            for what, query in ROWS_WITHOUT.items():
                if number := connection.execute(query).fetchone()[0]:
                    wrong.append(f"{number} {what}")
    connection.close()
    return wrong


def _lost_steps(store: Store, told: Acknowledged, seen: Counter[str]) -> list[str]:
    wrong = []
    by_chain: dict[str, set[str]] = {}
    for chain, step in told.fresh:
        if chain not in told.going:
            by_chain.setdefault(chain, set()).add(step)
    for chain, wanted in by_chain.items():
        kept = {step.id: step for step in store.load(chain)}
        for id in wanted:
            seen["acknowledged steps"] += 1
            found = kept.get(id)
            if found is None or found.status != "ok":
                wrong.append(f"step {id} was flushed and is {'lost' if found is None else found.status}")
            else:
                wrong += [f"step {id} was flushed and lacks {what}" for what in _missing(store, found)]
    known = {info.chain_id for info in store.chains()}
    wrong += [
        f"chain {chain} of an earlier look is lost"
        for chain, _ in told.steps
        if chain not in known | told.going
    ]
    return wrong


def _missing(store: Store, step: Step) -> Iterator[str]:
    """Yield which contents of a step, and of what a replay needs of it, are not there whole."""
    digests = [("what it received", step.received), ("what it produced", step.produced)]
    named = [(what, side.digest) for what, side in digests if side is not None]
    named += [(name, str(value)) for name, value in step.attributes.items() if name.startswith(semconv.KEPT)]
    for what, digest in named:
        for one in parts_below(canonical.parse_digest(digest), store.body):
            if store.body(one) is None:
                yield what
                break


def _lost_events(store: Store, told: Acknowledged, seen: Counter[str]) -> list[str]:
    # By their hashes: a key that only an erased run had has another name now.
    kept = {event.hash for event in store.memory_events(MEMORY)}
    seen["acknowledged memory events"] += len(told.events)
    return [
        f"{key}@{version} was appended and is lost"
        for (key, version), hash in told.events.items()
        if hash not in kept
    ]


def _runs(store: Store, seen: Counter[str]) -> list[str]:
    wrong = []
    for info in store.chains(limit=LOADED):
        run = Run(info.chain_id, store.load(info.chain_id), store=store)
        ids = {step.id for step in run.steps}
        seen["runs loaded"] += 1
        seen["edges"] += len(run.edges)
        wrong += [
            f"edge {edge.kind} {edge.source.id} to {edge.target.id} lacks its step"
            for edge in run.edges
            if edge.source.id not in ids or edge.target.id not in ids
        ]
    return wrong
