"""What a workload is, and what it hands on."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

__all__ = ["Cell", "Workload", "records", "text"]

SENTENCES = """the agent read "section 4" and wrote a plan for step alpha; the tool returned 42 rows, cost=0.17 and a
note about retries on line nine of the report, see also appendix B"""
WORDS = SENTENCES.split(" ")


@dataclass(frozen=True, slots=True)
class Cell:
    """One column of the table: a workload at a size."""

    workload: str
    payload: int
    """Bytes, of what is handed on."""
    steps: int
    """Length of those workloads that have one; 0 of the others."""

    @property
    def title(self) -> str:
        """What it is called in a table."""
        size = f"{self.payload >> 20} MB" if self.payload >= 1 << 20 else f"{self.payload >> 10} KB"
        return f"{self.workload} {self.steps}" if self.steps else f"{self.workload} {size}"


class Workload:
    """An app. The framework is imported by `load`, before an instrumentor starts, and the app built by `build`."""

    name: ClassVar[str]
    framework: ClassVar[str]

    def __init__(self, payload: int, steps: int, config: Mapping[str, Any]) -> None:
        """Make one.

        Args:
            payload: bytes of what is handed on.
            steps: its length, where it has one.
            config: what an instrumentor wants passed to each run of a LangGraph app.
        """
        self.payload, self.steps = payload, steps
        self.config: dict[str, Any] = {**config, "recursion_limit": 2_000}
        self.seed = 0
        self.marks: list[float] = []
        """Processor time at each step of the run under way, in seconds."""
        self.curves: list[list[float]] = []
        """The steps' processor times of each run."""

    @property
    def operations(self) -> int:
        """How many node runs, turns and tool calls a run has."""
        raise NotImplementedError

    def build(self) -> None:
        """Build the app."""

    def prepare(self) -> Any:
        """Return an input that no run had before."""
        raise NotImplementedError

    def run(self, given: Any) -> None:
        """Run once."""
        raise NotImplementedError

    def mark(self) -> None:
        """Note that a step begins."""
        self.marks.append(time.process_time())

    def run_marked(self, given: Any) -> None:
        """Run once and keep what each step took."""
        self.marks = []
        self.run(given)
        if self.marks:
            self.curves.append(
                [after - before for before, after in zip(self.marks, self.marks[1:], strict=False)]
            )

    def first_and_last(self) -> tuple[float, float] | None:
        """Return what an early and a late step take, in microseconds; None where steps are not told apart."""
        if not self.curves or len(self.curves[0]) < 20:
            return None
        each = [statistics.median(took) * 1e6 for took in zip(*self.curves, strict=False)]
        some = max(5, len(each) // 10)
        return statistics.median(each[2 : 2 + some]), statistics.median(each[-some:])


def text(size: int, seed: float = 0) -> str:
    """Return so many bytes of prose-like ASCII, with some quotes and newlines."""
    chosen, words, length = random.Random(seed), list[str](), 0
    while length < size:
        words.append(chosen.choice(WORDS))
        length += len(words[-1]) + 1
    return " ".join(words)[:size]


def records(size: int, seed: float = 0) -> dict[str, Any]:
    """Return a dict of about so many bytes: many small records."""
    chosen, rows, length = random.Random(seed), list[dict[str, Any]](), 40
    while length < size or not rows:
        body = text(min(200, max(16, size // 4)), chosen.random())
        row = {"id": len(rows), "name": f"row-{len(rows)}", "score": chosen.random(), "ok": True}
        rows.append({**row, "tags": ["a", "bb", "ccc"], "text": body})
        length += len(body) + 95
    return {"step": 0, "records": rows}
