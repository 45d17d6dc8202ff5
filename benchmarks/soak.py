"""Runs of a graph without end in one process: what grows?

    python -m benchmarks.soak --runs 50000

Each run is a graph with a conditional edge, a fan-out, a model call with a tool call, and an interrupt now and then. At
intervals it prints the memory that the process has (after a collection), the steps still open, and the length of every
container that an object of becausal's holds, registries among them, found by walking what is alive: a new registry is
counted without being named here. Ends with status 1 if a container grew between the middle and the end, or the memory
by more than 5 %.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.timing import resident_mib
from tests.integrations.growth import a_graph, containers, run_once

import becausal
from becausal.instrument import active_recorder


def look(done: int, started: float) -> tuple[float, Counter[str]]:
    """Print how things stand after so many runs."""
    becausal.flush(120)
    gc.collect()
    memory, held, recorder = resident_mib(), containers(), active_recorder()
    is_open = 0 if recorder is None else len(recorder._open)
    seconds = time.perf_counter() - started
    print(
        f"{done:7} runs {seconds:7.1f} s  memory {memory:7.1f} MiB  open steps {is_open}  "
        f"entries {sum(held.values())}  objects {len(gc.get_objects())}",
        flush=True,
    )
    return memory, held


def main() -> int:
    """Run; returns 1 if something grew between the middle and the end."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=50_000)
    parser.add_argument("--without", action="store_true", help="without becausal, to compare")
    asked = parser.parse_args()
    compiled = a_graph().compile()
    looks = []
    with tempfile.TemporaryDirectory() as folder:
        if not asked.without:
            becausal.instrument(store=Path(folder) / "soak.db")
        started = time.perf_counter()
        every = max(1, asked.runs // 10)
        for number in range(1, asked.runs + 1):
            run_once(number, compiled)
            if number % every == 0:
                looks.append(look(number, started))
        becausal.uninstrument()
    (memory, held), (last_memory, last_held) = looks[len(looks) // 2 - 1], looks[-1]
    grown = {name: (held[name], length) for name, length in last_held.items() if length > held[name]}
    for name, (before, after) in sorted(grown.items()):
        print(f"grew: {name} {before} -> {after}")
    print(f"memory from the middle to the end: {memory:.1f} -> {last_memory:.1f} MiB")
    return 1 if grown or last_memory > 1.05 * memory else 0


if __name__ == "__main__":
    sys.exit(main())
