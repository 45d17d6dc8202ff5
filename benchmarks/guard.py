"""Whether a step has become dearer, by counting: the same on a slow machine, a busy one and a quick one.

    python -m benchmarks.guard            # count, and hold it against benchmarks/guard.json; status 1 if it is dearer
    python -m benchmarks.guard --write    # after a step became cheaper, or dearer for a good reason

Counted is what one operation costs the app's threads, for each workload: `calls`, every call of a Python function or of
a C function, in whatever module, that is made with becausal and is not made without it; and `instructions`, the byte
code that runs in becausal's own modules. Work on becausal's own threads is not counted, nor what a C function does
inside. The first shows what we have others do (spans, encoders), the second loops that call nothing.

What C functions do shows in a `ratio` alone: processor time of the app's thread with becausal over that without, in one
process, in turns, the best of each. Time is held against time of the same moments: a slow machine changes it little.

More than a tenth above what is written down fails (of a ratio: a third), and so does a growing conversation of which
200 steps cost more than a tenth beyond four times what 50 do. The counts belong to a version of Python, and move with
those of the frameworks.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import math
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import Any

from benchmarks.instrumentors import INSTRUMENTORS, Instrumentor
from benchmarks.quick import parsed
from benchmarks.workloads import WORKLOADS, Cell, Workload

__all__ = ["calls", "dearer", "instructions", "measured"]

Counts = Mapping[str, Mapping[str, float]]
"""Of each cell: `calls` and `instructions` of an operation, or a `ratio`."""

LIMITS = Path(__file__).with_name("guard.json")
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"

TOLERANCE = 0.10
"""What threads do differs by less than a hundredth between two counts."""

RATIO_TOLERANCE = 0.33
"""Between two machines, or a quiet one and a busy one, a ratio of best times differs by up to a fifth."""

TURNS, RUNS = 5, 3
MOST_TURNS = 20
"""Of a ratio that is still too high: whatever else the machine does only adds, so the least of more turns is nearer."""

ROUNDS = 4
"""The least of them counts: now and then a random id looks like a secret and is looked at twice."""

OURS = ("becausal.", "becausal_integrations.")
ASIDE = ("becausal", "Otel")
"""How the names of threads begin that are not the app's."""

SHORT, LONG = Cell("growing", 1024, 50), Cell("growing", 1024, 200)
LARGE = Cell("linear", 1 << 20, 0)
"""Of this one the ratio says more than counts."""

TIMED = (Cell("linear", 1024, 0), LARGE)

CELLS = (
    Cell("linear", 1024, 0),
    Cell("linear", 32 * 1024, 0),
    Cell("linear-async", 1024, 0),
    Cell("tool-loop", 1024, 0),
    Cell("fan-out", 1024, 0),
    SHORT,
    LONG,
    Cell("autogen", 1024, 30),
)


@dataclass(slots=True)
class Counter:
    """Counts, from several threads."""

    count: int = 0


@contextmanager
def on_all_threads(hook: Any, setting: str) -> Any:
    """Have a hook of `sys.setprofile` or `sys.settrace` on this thread and on those that start inside."""

    def unless_aside(frame: FrameType, event: str, argument: object) -> Any:
        if not threading.current_thread().name.startswith(ASIDE):
            return hook(frame, event, argument)
        return None

    gc.collect()
    gc.disable()  # what a collection runs is not what a step costs
    getattr(threading, setting)(unless_aside)
    getattr(sys, setting)(hook)
    try:
        yield
    finally:
        getattr(sys, setting)(None)
        getattr(threading, setting)(None)
        gc.enable()


def calls(work: Callable[[], object]) -> int:
    """Return how many calls some work makes on the app's threads."""
    counter = Counter()

    def called(frame: FrameType, event: str, argument: object) -> None:
        if event in ("call", "c_call"):
            counter.count += 1

    with on_all_threads(called, "setprofile"):
        work()
    return counter.count


def instructions(work: Callable[[], object]) -> int:
    """Return how many byte code instructions of ours some work runs on the app's threads."""
    counter = Counter()

    def within(frame: FrameType, event: str, argument: object) -> Any:
        if event == "opcode":
            counter.count += 1
        return within

    def entered(frame: FrameType, event: str, argument: object) -> Any:
        if not str(frame.f_globals.get("__name__", "")).startswith(OURS):
            return None
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        return within

    with on_all_threads(entered, "settrace"):
        work()
    return counter.count


def measured(
    cells: Iterable[Cell] = CELLS, timed: Iterable[Cell] = TIMED, limits: Counts = MappingProxyType({})
) -> dict[str, dict[str, float]]:
    """Count what becausal adds to an operation of each cell, and time some."""
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        ours = INSTRUMENTORS["becausal"]("", folder)
        alone = {cell: counted(warm(cell), calls) for cell in cells}
        ours.start()
        for cell, without in alone.items():
            workload = warm(cell)
            added = counted(workload, calls) - without
            own = counted(workload, instructions)
            each = workload.operations
            found[cell.title] = {"calls": round(added / each, 1), "instructions": round(own / each, 1)}
        for cell in timed:
            enough = limits.get(cell.title, {}).get("ratio", math.inf) * (1 + RATIO_TOLERANCE)
            found.setdefault(cell.title, {})["ratio"] = round(ratio(cell, ours, enough), 2)
        ours.flush()
    return found


def ratio(cell: Cell, ours: Instrumentor, enough: float) -> float:
    """Return the app's thread's best processor time of a run over that without us; the two take turns.

    It is measured for longer where it is more than `enough`.
    """
    uninstrument = importlib.import_module("becausal").uninstrument
    workload = warm(cell)
    least = {True: math.inf, False: math.inf}
    for turn in range(2 * MOST_TURNS):
        if turn >= 2 * TURNS and least[True] <= enough * least[False]:
            break
        is_on = turn % 2 == 0
        if is_on:
            ours.start()
        else:
            uninstrument()
        for number in range(RUNS):
            given = workload.prepare()
            began = time.thread_time()
            workload.run(given)
            if number:  # the first one of a turn finds its caches empty
                least[is_on] = min(least[is_on], time.thread_time() - began)
        ours.flush()
    ours.start()
    return least[True] / least[False]


def warm(cell: Cell) -> Workload:
    """Return a workload that has run: imports and caches are done."""
    workload = WORKLOADS[cell.workload](cell.payload, cell.steps, {})
    workload.build()
    for _ in range(2):
        workload.run(workload.prepare())
    return workload


def counted(workload: Workload, count: Callable[[Callable[[], object]], int]) -> int:
    """Return what one run counts."""
    rounds = 1 if workload.steps >= LONG.steps else ROUNDS if count is calls else ROUNDS // 2
    given = [workload.prepare() for _ in range(rounds)]
    return min(count(lambda one=one: workload.run(one)) for one in given)  # type: ignore[misc]


def dearer(found: Counts, limits: Counts) -> list[str]:
    """Return what became dearer than was written down, in words."""
    told = []
    for cell, counts in found.items():
        for what, count in counts.items():
            limit = limits.get(cell, {}).get(what)
            if limit is None:
                told.append(f"{cell}: nothing is written down for its {what}")
            elif count > limit * (1 + (RATIO_TOLERANCE if what == "ratio" else TOLERANCE)):
                more = count / limit - 1
                told.append(f"{cell}: {what} {count:,.4g}, {more:.0%} more than the {limit:,.4g} before")
    return told + superlinear(found)


def superlinear(found: Counts) -> list[str]:
    """Return what of the growing conversation costs a step more the longer it is, in words."""
    if SHORT.title not in found or LONG.title not in found:
        return []
    early, late = found[SHORT.title], found[LONG.title]  # neither of them is timed
    return [
        f"growing: {late[what]:,.0f} {what} a step in {LONG.steps} steps, {early[what]:,.0f} in {SHORT.steps}"
        for what in early
        if late[what] > early[what] * (1 + TOLERANCE)
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Count, and say what became dearer."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument(
        "--cells", nargs="+", choices=list(WORKLOADS), help="workloads (default: those that are written down)"
    )
    parser.add_argument("--write", action="store_true", help="write the counts down as the new limits")
    options = parsed(parser, arguments, cells=["linear"])
    if options.write and options.cells:
        parser.error("--write writes every count down: leave --cells and --quick out")
    cells = [cell for cell in CELLS if not options.cells or cell.workload in options.cells]
    timed = [cell for cell in TIMED if not options.cells or cell in cells]
    everything = json.loads(LIMITS.read_text()) if LIMITS.exists() else {}
    limits = everything.get(VERSION, {})
    found = measured(cells, timed, {} if options.write else limits)
    for cell, counts in found.items():
        before = limits.get(cell, {})
        shown = (
            f"{count:>10,.{digits}f} {what} ({before.get(what, 0):,.{digits}f} written down)"
            for what, count in counts.items()
            for digits in (2 if what == "ratio" else 0,)
        )
        print(f"{cell:22}{''.join(shown)}")
    if options.write:
        LIMITS.write_text(json.dumps({**everything, VERSION: found}, indent=1, sort_keys=True) + "\n")
        told = superlinear(found)
    elif limits:
        told = dearer(found, limits)
    else:
        told = [f"nothing is written down for Python {VERSION}; python -m benchmarks.guard --write does"]
    for line in told:
        print(line, file=sys.stderr)
    return 1 if told else 0


if __name__ == "__main__":
    sys.exit(main())
