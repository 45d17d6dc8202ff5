"""What the library must cost at most: the limits that the figures stand beside."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.workloads.base import Cell

__all__ = ["CELLS", "GROWTH", "HANDOFF_US", "MEMORY_MIB", "RATIOS", "SPAN_BYTES", "START_MS", "Target"]

KB, MB = 1 << 10, 1 << 20

CELLS = (
    Cell("linear", KB, 0),
    Cell("linear", 32 * KB, 0),
    Cell("linear", MB, 0),
    Cell("linear-async", KB, 0),
    Cell("linear-async", 32 * KB, 0),
    Cell("linear-async", MB, 0),
    Cell("tool-loop", KB, 0),
    Cell("fan-out", KB, 0),
    Cell("growing", KB, 200),
    Cell("autogen", KB, 30),
)
"""The columns of the table."""

GROWTH = tuple(Cell("growing", KB, steps) for steps in (50, 100, 200, 400))
"""The conversation whose exponent is asked for."""

CHAT = Cell("autogen", KB, 300)
"""A chat as long as they get."""

RATIOS = {
    ("linear", KB): 1.25,
    ("linear", 32 * KB): 1.4,
    ("linear", MB): 3.5,
    ("tool-loop", KB): 1.2,
    ("fan-out", KB): 1.2,
    ("growing", KB): 1.35,
    ("autogen", KB): 1.2,
}
"""Processor time over that of the app alone, by workload and payload; a coroutine's chain is held to the same."""

SPAN_BYTES = 60_000
"""Attributes of the spans of one growing conversation of 200 steps."""

LAST_OVER_FIRST = 1.3
"""How much more than without us the last step of that conversation may be dearer than its first."""

HANDOFF_US = {KB: 12.0, 32 * KB: 40.0, MB: 1000.0}
"""Processor time on the app's thread of one handoff, in microseconds, by its payload's size."""

START_MS = {"import becausal": 100.0, "becausal.instrument()": 50.0}

MEMORY_MIB = 10.0
"""What the process may have more than without us."""

SPANS_A_SECOND = 10_000


@dataclass(frozen=True, slots=True)
class Target:
    """A figure, and what it may be at most (or at least)."""

    what: str
    unit: str
    found: float
    limit: float | None = None
    """None where it is shown for what it is."""
    at_least: bool = False
    floor: float | None = None
    """What it is where nothing is done but what was promised, bare; None where that is not measured."""

    @property
    def is_below_floor(self) -> bool:
        """Whether nobody who keeps the promises in Python can meet it."""
        return self.limit is not None and self.floor is not None and self.floor > self.limit

    @property
    def is_met(self) -> bool:
        """Whether it is."""
        if self.limit is None:
            return True
        return self.found >= self.limit if self.at_least else self.found <= self.limit


def ratio_of(cell: Cell) -> float | None:
    """Return the target of a cell's processor time over that of the app alone; None where there is none."""
    if cell in GROWTH[:2] or cell in GROWTH[3:] or cell == CHAT:
        return None
    return RATIOS.get((cell.workload.removesuffix("-async"), cell.payload))


def floor_of(cell: Cell) -> str:
    """Return the name of the floor that a cell's figure stands on (`floors.py` says why)."""
    return "snapshots" if cell.payload >= MB or cell.workload == "growing" else "duties"
