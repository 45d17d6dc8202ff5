"""Where the public runs are in a folder, and what their labels say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from becausal import foreign, semconv
from becausal.run import Run
from becausal.runs import Runs
from becausal.step import Step
from becausal.store import open_store

__all__ = ["Labelled", "Rewarded", "Turn", "index_of", "rewarded", "turns_of", "who_and_when"]

WHO_AND_WHEN = ("Algorithm-Generated", "Hand-Crafted")
TAU = "historical_trajectories"

_ADDRESS = re.compile(r" \([^()]*\)$")


@dataclass(frozen=True)
class Turn:
    """One turn of a log, as the labels count them."""

    index: int
    speaker: str


@dataclass(frozen=True)
class Labelled:
    """A failed run, and whose mistake it was."""

    name: str
    group: str
    run: Run
    turns: tuple[Turn, ...]
    agent: str
    index: int


@dataclass(frozen=True)
class Rewarded:
    """A run that was judged as a whole."""

    name: str
    run: Run
    succeeded: bool


def who_and_when(home: Path) -> Iterator[Labelled]:
    """Yield the runs of Who&When below a folder."""
    for group in WHO_AND_WHEN:
        paths = sorted(home.rglob(f"{group}/*.json"), key=lambda path: (len(path.stem), path.stem))
        for path in paths:
            labels = json.loads(path.read_text(encoding="utf-8"))
            (run,) = _runs(path)
            yield Labelled(
                f"{group}/{path.stem}",
                group,
                run,
                turns_of(labels["history"]),
                str(labels["mistake_agent"]),
                int(labels["mistake_step"]),
            )


def rewarded(home: Path) -> Iterator[Rewarded]:
    """Yield the runs of tau-bench below a folder, those of its files that are there whole."""
    for path in sorted(home.rglob(f"{TAU}/*.json")):
        if path.stat().st_size < 1000:
            continue  # a pointer to a file that was not fetched
        labels = json.loads(path.read_text(encoding="utf-8"))
        for number, (run, label) in enumerate(zip(_runs(path), labels, strict=True)):
            yield Rewarded(f"{path.stem}/{number}", run, label["reward"] == 1)


def turns_of(history: list[dict[str, object]]) -> tuple[Turn, ...]:
    """Return who spoke in each turn: `Orchestrator (-> WebSurfer)` is the orchestrator's."""
    return tuple(
        Turn(index, str(turn.get("name") or _ADDRESS.sub("", str(turn["role"]))))
        for index, turn in enumerate(history)
    )


def index_of(step: Step) -> int | None:
    """Return which turn of the log a step is."""
    index = step.attributes.get(semconv.IMPORT_INDEX)
    return index if isinstance(index, int) else None


def _runs(path: Path) -> list[Run]:
    """Return the runs in a file, in its order."""
    steps = foreign.load(path)
    store = open_store("sqlite:///:memory:")
    store.write(steps)
    return [Runs(store).get(chain_id) for chain_id in dict.fromkeys(step.chain_id for step in steps)]
