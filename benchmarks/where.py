"""Where the time of an operation goes: the app's own, each part of becausal, the collector, the store's thread.

    python -m benchmarks.where
    python -m benchmarks.where --cells linear tool-loop --payload 32768 --seconds 5

A profile by samples, which slows nothing down: every millisecond of processor time the app's thread is looked at, and
what it took since the last look goes to the part whose code it is in. The innermost frame that is becausal's or the
app's decides, so what OpenTelemetry or the standard library do for becausal counts as becausal's. Garbage collection is
timed by its own callbacks, wherever it strikes. Of other threads the time alone is known: those of becausal and of the
exporter by their names, the rest are the app's (LangGraph runs tools in threads), with what becausal does in them.
"""

from __future__ import annotations

import argparse
import gc
import json
import signal
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

from benchmarks.instrumentors import INSTRUMENTORS
from benchmarks.quick import parsed
from benchmarks.tables import aligned, markdown, write
from benchmarks.targets import CELLS
from benchmarks.timing import in_own_process
from benchmarks.workloads import WORKLOADS, Cell

import becausal
import becausal_integrations

__all__ = ["Sampler"]

EVERY_S = 0.001

APP = "the app and its framework"
STORING = "the store's thread, and the exporter's"

CORE, ADAPTERS = Path(becausal.__file__).parent, Path(becausal_integrations.__file__).parent
BENCHMARKS = Path(__file__).parent
PARTS = {
    "sealing: the canonical form and its digests": ("canonical/", "sealing", "payload", "delta/"),
    "redaction": ("redaction/", "cleaning"),
    "spans": ("telemetry", "spans", "dialects", "fitting", "messages"),
    "handing over to the store's thread": ("writer", "store/", "keeping", "checking"),
}
"""Parts of the core, by how the paths of their modules begin; what is in none of them is the seam."""
SEAM = "the seam: steps, contexts, guards"
HOOKS = "adapters and hooks"
TOOLS = ("opentelemetry", "wrapt", "re2", "xxhash", "ormsgpack", "zstandard", "typing_extensions.py")
"""Packages whose work is whoever's who calls them, like the standard library's; other packages are the app's."""


@cache
def part_of(path: str) -> str | None:
    """Return whose the code in a file is; None where that depends on who called it."""
    place = Path(path)
    if place.is_relative_to(ADAPTERS):
        return HOOKS
    if place.is_relative_to(CORE):
        inside = place.relative_to(CORE).as_posix()
        return next((part for part, begins in PARTS.items() if inside.startswith(begins)), SEAM)
    if place.is_relative_to(BENCHMARKS):
        return APP
    _, _, package = path.rpartition("/site-packages/")
    return APP if package != path and not package.startswith(TOOLS) else None


class Sampler:
    """Adds up what the main thread's processor time went into, in seconds, by part."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self._last = self._collecting = 0.0
        self._collected = 0.0

    def __enter__(self) -> Sampler:
        gc.callbacks.append(self._collect)
        signal.signal(signal.SIGPROF, self._look)
        self._last = time.thread_time()
        signal.setitimer(signal.ITIMER_PROF, EVERY_S, EVERY_S)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, signal.SIG_IGN)
        gc.callbacks.remove(self._collect)

    def late(self, took: float) -> float:
        """Add what the last flush took on this thread; returns it."""
        self.spent["the last flush"] += took
        return took

    def _look(self, _: int, frame: FrameType | None) -> None:
        if frame is not None and frame.f_code is Sampler._collect.__code__:
            return  # what the collector took is not yet told apart; the next look is soon enough
        now = time.thread_time()
        took, self._last = now - self._last - self._collected, now
        self._collected = 0.0
        while frame is not None and (part := part_of(frame.f_code.co_filename)) is None:
            frame = frame.f_back
        self.spent[APP if frame is None or part is None else part] += took

    def _collect(self, phase: str, _: dict[str, int]) -> None:
        if threading.current_thread() is not threading.main_thread():
            return  # it is in the time of that thread
        now = time.thread_time()
        if phase == "start":
            self._collecting = now
        else:
            self._collected += now - self._collecting
            self.spent["the garbage collector"] += now - self._collecting


def looked_at(cell: Cell, seconds: float, *, is_on: bool) -> dict[str, float]:
    """Return what one operation of a cell takes, in microseconds, by part."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        instrumentor = INSTRUMENTORS["becausal" if is_on else "plain"]("", folder)
        workload = WORKLOADS[cell.workload](cell.payload, cell.steps, {})
        workload.build()
        instrumentor.start()
        for _ in range(3):
            workload.run(workload.prepare())
        instrumentor.flush()
        runs, preparing = 0, 0.0
        began, all_began, own_began = time.perf_counter(), time.process_time(), time.thread_time()
        aside_began = aside()
        with Sampler() as sampler:
            while time.perf_counter() - began < seconds:
                before = time.thread_time()
                given = workload.prepare()
                preparing += time.thread_time() - before
                workload.run(given)
                runs += 1
        sampler.spent[APP] -= preparing
        flushing = time.thread_time()
        instrumentor.flush()
        own = flushing - own_began + sampler.late(time.thread_time() - flushing)
        ours = aside() - aside_began
        sampler.spent[STORING] += ours
        sampler.spent["the app's other threads"] += time.process_time() - all_began - own - ours
        operations = runs * workload.operations
        return {part: took / operations * 1e6 for part, took in sampler.spent.items()}


def aside() -> float:
    """Return the processor time so far, in seconds, of the threads in which becausal and the exporter work."""
    clocks = [
        time.pthread_getcpuclockid(thread.ident)
        for thread in threading.enumerate()
        if thread.ident is not None and thread.name.startswith(("becausal", "Otel"))
    ]
    return sum(map(time.clock_gettime, clocks))


def table(cell: Cell, seconds: float) -> list[list[str]]:
    """Return a cell's profile as a table, dearest first; each profile is taken in a process of its own."""
    told: dict[bool, dict[str, Any]] = {
        is_on: in_own_process(
            "benchmarks.where", "--child", "on" if is_on else "off", "--cells", cell.workload,
            "--payload", cell.payload, "--seconds", seconds,
        )
        for is_on in (False, True)
    }  # fmt: skip
    without, mine = told[False], told[True]
    alone = sum(without.values())
    lines = [[cell.title, "the app alone, µs an operation", "with becausal", "added, over the app alone"]]
    for part in sorted(mine, key=lambda each: without.get(each, 0) - mine[each]):
        before, now = without.get(part, 0), mine[part]
        lines.append([part, f"{before:,.0f}", f"{now:,.0f}", f"{(now - before) / alone:+.2f}"])
    total = sum(mine.values())
    lines.append(["all of it", f"{alone:,.0f}", f"{total:,.0f}", f"{(total - alone) / alone:+.2f}"])
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Profile what is asked for."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--cells", nargs="+", choices=list(WORKLOADS), default=["linear", "tool-loop"])
    parser.add_argument("--payload", type=int, default=1024, help="bytes")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each profile")
    parser.add_argument("--child", choices=("on", "off"), help=argparse.SUPPRESS)
    parser.add_argument(
        "--markdown", type=Path, help="write the tables into this document, between its markers"
    )
    options = parsed(parser, arguments, seconds=0.5)
    steps = {cell.workload: cell.steps for cell in CELLS}
    cells = [Cell(name, options.payload, steps[name]) for name in options.cells]
    if options.child:
        print(json.dumps(looked_at(cells[0], options.seconds, is_on=options.child == "on")))
        return 0
    tables = []
    for cell in cells:
        tables.append(table(cell, options.seconds))
        print(f"{aligned(tables[-1])}\n", flush=True)
    if options.markdown:
        write(options.markdown, {"where": "\n\n".join(map(markdown, tables))})
    return 0


if __name__ == "__main__":
    sys.exit(main())
