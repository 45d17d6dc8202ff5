"""What every benchmark here measures with."""

from __future__ import annotations

import json
import math
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

__all__ = [
    "best",
    "exponent",
    "in_own_process",
    "median",
    "peak_mib",
    "processor_time",
    "resident_mib",
    "start_peak_anew",
]


def processor_time(work: Callable[[], object]) -> float:
    """Return the seconds of processor time of this process, its other threads included, that some work takes."""
    began = time.process_time()
    work()
    return time.process_time() - began


def median(rounds: int, work: Callable[[], object]) -> float:
    """Return the median of this thread's processor time for some work, in milliseconds."""
    return statistics.median(_each(rounds, work)) * 1e3


def best(rounds: int, work: Callable[[], object]) -> float:
    """Return the least of this thread's processor time for some work, in microseconds: what noise cannot add to."""
    return min(_each(rounds, work)) * 1e6


def _each(rounds: int, work: Callable[[], object]) -> list[float]:
    taken = []
    for _ in range(rounds):
        began = time.thread_time()
        work()
        taken.append(time.thread_time() - began)
    return taken


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Return the exponent of growth between the first and the last: 1 is linear."""
    return math.log(costs[-1] / costs[0]) / math.log(sizes[-1] / sizes[0])


def resident_mib() -> float:
    """Return the memory that this process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def peak_mib() -> float:
    """Return the most memory that this process had, since `start_peak_anew` where the system lets one do that."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def start_peak_anew() -> None:
    """Forget the most memory that this process had. Source: proc_pid_clear_refs(5)."""
    reset = Path("/proc/self/clear_refs")
    if reset.exists():
        reset.write_text("5")


def in_own_process(
    module: str, *arguments: object, environment: dict[str, str] | None = None
) -> dict[str, Any]:
    """Run a module of ours in a process of its own; return what its last line says, in JSON.

    Byte code is written there, whatever the environment says: what is installed has its own, and to compile it anew
    takes longer than all else at the start.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    there = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", **(environment or {})}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=there)
    if ended.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {ended.returncode}:\n{ended.stderr[-2000:]}")
    told: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return told
