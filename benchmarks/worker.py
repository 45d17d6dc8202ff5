"""A process with one instrumentor in it, which runs workloads when it is told to.

    python -m benchmarks.worker INSTRUMENTOR SINK FOLDER

It reads orders from its input, one JSON object a line, and answers each with one line. Between two orders its parent
stops it, so that no thread of an instrumentor disturbs another's measurement.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from typing import Any

from benchmarks.instrumentors import INSTRUMENTORS, Instrumentor
from benchmarks.timing import peak_mib, start_peak_anew
from benchmarks.workloads import WORKLOADS, Cell, Workload

__all__ = ["Worker"]

WARM_UP = 3
WARM_UP_S = 0.5


class Worker:
    """Runs workloads under one instrumentor."""

    def __init__(self, instrumentor: Instrumentor) -> None:
        self.instrumentor = instrumentor
        self.built: dict[Cell, Workload] = {}

    def start(self) -> dict[str, float]:
        """Start the instrumentor; returns the seconds that took, and the memory before and after."""
        before, began = peak_mib(), time.perf_counter()
        self.instrumentor.start()
        return {"setup_s": time.perf_counter() - began, "rss_mib": before, "rss_started_mib": peak_mib()}

    def warm_up(self, cell: Cell) -> dict[str, float]:
        """Build a workload and run it a few times; returns what one run makes."""
        workload = WORKLOADS[cell.workload](cell.payload, cell.steps, self.instrumentor.config)
        workload.build()
        self.built[cell] = workload
        began = time.perf_counter()
        workload.run_marked(workload.prepare())
        first_s = time.perf_counter() - began
        for _ in range(WARM_UP - 1):
            if time.perf_counter() - began < WARM_UP_S:
                workload.run_marked(workload.prepare())
        given = workload.prepare()
        made = self.instrumentor.weigh(lambda: workload.run_marked(given))
        workload.curves.clear()
        return {"first_s": first_s, "operations": workload.operations, **made}

    def turn(self, cell: Cell, seconds: float) -> dict[str, Any]:
        """Run a workload for so long, once at least; returns what a run took.

        `cpu_us` is the processor time of the whole process, its other threads and the last flush included, less what
        was spent on inputs. `wall_us` is the median of the runs, without the flush.
        """
        workload = self.built[cell]
        gc.collect()
        start_peak_anew()
        walls: list[float] = []
        aside = 0.0
        began, cpu_began = time.perf_counter(), time.process_time()
        while not walls or time.perf_counter() - began < seconds:
            preparing = time.thread_time()
            given = workload.prepare()
            aside += time.thread_time() - preparing
            started = time.perf_counter()
            workload.run_marked(given)
            walls.append(time.perf_counter() - started)
        flushing = time.perf_counter()
        self.instrumentor.flush()
        ended = time.perf_counter()
        cpu = time.process_time() - cpu_began - aside
        walls.sort()
        found = {
            "runs": len(walls),
            "cpu_us": cpu / len(walls) * 1e6,
            "wall_us": walls[len(walls) // 2] * 1e6,
        }
        early_late = workload.first_and_last()
        return {
            **found,
            "best_wall_us": walls[0] * 1e6,
            "flush_s": ended - flushing,
            "peak_mib": peak_mib(),
            **({} if early_late is None else {"first_us": early_late[0], "last_us": early_late[1]}),
        }


def main() -> None:
    """Do as told until the input ends."""
    name, sink, folder = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints is no answer
    worker = Worker(INSTRUMENTORS[name](sink, folder))
    for line in sys.stdin:
        order = json.loads(line)
        cell = Cell(*order["cell"]) if "cell" in order else None
        told: dict[str, Any]
        if cell is None:
            told = worker.start()
        elif order["do"] == "warm up":
            told = worker.warm_up(cell)
        else:
            told = worker.turn(cell, order["seconds"])
        answers.write(json.dumps(told) + "\n")
        answers.flush()
    os._exit(0)  # without the peers' farewells


if __name__ == "__main__":
    main()
