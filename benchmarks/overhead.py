"""becausal beside the peers' instrumentors and the floors, all in one run.

    python -m benchmarks overhead
    python -m benchmarks overhead --only plain control becausal --cells linear growing --turns 9

Each instrumentor has a process of its own; they take turns, each a part of a second, and only one of them moves at a
time. A ratio is taken against the app alone in the same turn. The median is over the turns; the best is the quickest
turn over the app's quickest. How far the control's ratios are from 1 is the noise: nothing smaller can be told apart.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.instrumentors import INSTRUMENTORS
from benchmarks.processes import WorkerFailed, WorkerProcess, workers
from benchmarks.workloads import WORKLOADS, Cell

__all__ = ["Row", "measured"]

TOO_LONG_S = 1.0
"""What takes this long a run takes part in the first turn alone."""

FEW_TURNS = 1


@dataclass(slots=True)
class Row:
    """What one instrumentor cost in one cell. Ratios are over the app alone; times are of one run."""

    cell: Cell
    instrumentor: str
    turns: int = 0
    cpu: float = 1.0
    """Processor time, the median of the turns."""
    cpu_best: float = 1.0
    wall: float = 1.0
    wall_best: float = 1.0
    cpu_us: float = 0.0
    """The least processor time, in microseconds."""
    added_us: float = 0.0
    """Processor time added to one operation, the median, in microseconds."""
    spans: float | None = None
    attribute_bytes: float | None = None
    least_bytes: float | None = None
    """Of these: of the attributes that no span of becausal's can do without."""
    added_mib: float = 0.0
    """Most memory during the cell over that of the app alone."""
    flush_s: float = 0.0
    first_us: float | None = None
    """What an early step took."""
    last_us: float | None = None
    ratios: list[float] = field(default_factory=list)
    """Of each turn: processor time."""
    failed: str | None = None

    def told(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


class Cells:
    """Measures cells with workers that are there."""

    def __init__(self, there: dict[str, WorkerProcess], say: Callable[[str], None]) -> None:
        self.there, self.say = there, say

    def measured(self, cell: Cell, turns: int, seconds: float) -> list[Row]:
        """Return a row for each worker that knows the cell's framework."""
        framework = WORKLOADS[cell.workload].framework
        names = [name for name in self.there if framework in INSTRUMENTORS[name].frameworks]
        rows = {name: Row(cell, name) for name in names}
        made = {name: self._asked(rows[name], do="warm up") for name in names}
        found: dict[str, list[dict[str, Any] | None]] = {name: [] for name in names}
        for turn in range(turns):
            shift = turn % len(names)
            for name in names[shift:] + names[:shift]:
                first = next(iter(found[name]), None)
                slow = first is not None and first["cpu_us"] > TOO_LONG_S * 1e6
                waits = rows[name].failed or (slow and turn >= FEW_TURNS)
                found[name].append(None if waits else self._asked(rows[name], do="turn", seconds=seconds))
        for name in names:
            if not rows[name].failed:
                fill(rows[name], made[name] or {}, found[name], found["plain"])
        told = [
            f"{name} {rows[name].cpu:.2f}" if not rows[name].failed else f"{name} failed" for name in names
        ]
        self.say(f"{cell.title}: {', '.join(told)}")
        return list(rows.values())

    def _asked(self, row: Row, **order: object) -> dict[str, Any] | None:
        cell = (row.cell.workload, row.cell.payload, row.cell.steps)
        try:
            return self.there[row.instrumentor].ask(cell=cell, **order)
        except WorkerFailed as failure:
            row.failed = str(failure)
            self.say(row.failed)
            if row.instrumentor == "plain":
                raise
            return None


def fill(
    row: Row,
    made: dict[str, Any],
    turns: Sequence[dict[str, Any] | None],
    plain: Sequence[dict[str, Any] | None],
) -> None:
    """Work a row's figures out, from its turns and those of the app alone."""
    pairs = [(mine, alone) for mine, alone in zip(turns, plain, strict=True) if mine and alone]
    middle = statistics.median
    row.turns = len(pairs)
    row.ratios = [round(mine["cpu_us"] / alone["cpu_us"], 3) for mine, alone in pairs]
    row.cpu = middle(mine["cpu_us"] / alone["cpu_us"] for mine, alone in pairs)
    row.wall = middle(mine["wall_us"] / alone["wall_us"] for mine, alone in pairs)
    row.added_us = middle((mine["cpu_us"] - alone["cpu_us"]) / made["operations"] for mine, alone in pairs)
    row.added_mib = middle(mine["peak_mib"] - alone["peak_mib"] for mine, alone in pairs)
    row.flush_s = middle(mine["flush_s"] for mine, _ in pairs)
    row.cpu_us = min(mine["cpu_us"] for mine, _ in pairs)
    row.cpu_best = row.cpu_us / min(alone["cpu_us"] for alone in plain if alone)
    least = min(alone["best_wall_us"] for alone in plain if alone)
    row.wall_best = min(mine["best_wall_us"] for mine, _ in pairs) / least
    row.spans, row.attribute_bytes = made.get("spans"), made.get("attribute_bytes")
    row.least_bytes = made.get("least_bytes")
    if "first_us" in pairs[0][0]:
        row.first_us = middle(mine["first_us"] for mine, _ in pairs)
        row.last_us = middle(mine["last_us"] for mine, _ in pairs)


@dataclass(slots=True)
class Overhead:
    """What was found."""

    rows: list[Row]
    setup: dict[str, dict[str, float]]
    """Of each instrumentor: `setup_s`, `rss_mib` before and `rss_started_mib` after it started."""
    left_out: list[str]
    """Peers that are not installed."""


def measured(
    names: Sequence[str],
    cells: Sequence[tuple[Cell, int]],
    *,
    seconds: float,
    left_out: Sequence[str] = (),
    say: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True),
) -> Overhead:
    """Measure instrumentors, `plain` among them, in cells, each in so many turns."""
    asked = ["plain", *[name for name in names if name != "plain"]]
    with workers(asked) as there:
        at = Cells(there, say)
        rows = [row for cell, turns in cells for row in at.measured(cell, turns, seconds)]
        setup = {name: dict(worker.started) for name, worker in there.items()}
    return Overhead(rows, setup, list(left_out))
