"""A process that never ends: a million steps of graphs, teams and own code are recorded in it. What grows?

    PYTHONPATH=. python -m benchmarks.soak --steps 1000000

Rounds of real work take turns: LangGraph runs (a conditional edge, a fan-out, a tool call, an interrupt now and then),
an AutoGen team of three turns, own code with agents, tools, decisions and a handoff. Each round says something new,
though of the requests of own code, which are names too, there are ten thousand. At intervals, after a flush and a
collection, it prints the memory that the process has, how much of that is left once the allocator has given back what
it only keeps (`malloc_trim`), the blocks that Python has allocated, threads, open files, steps still open, and the
length of all containers that an object of becausal's holds, found by walking what is alive: a new registry is counted
without being named here. Their lengths are taken several times between two lines, and the highest of each stands. At
the end: by how much the memory grows per step in the second half, with the confidence interval of that slope, what the
store takes per step, and the gaps.

Ends with status 1 if the peak of a container, of the threads or of the open files is higher after the middle than in
the quarter before it (a cache that forgets its older half is a saw: so peaks, and a tenth more is no growth), if a
cache has more than the bound that it names (`BOUNDS`; where it stays below that, it may still be filling), if the
memory surely grew by more than 5 % in the second half, if a step stayed open or if there were gaps.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import math
import os
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.timing import resident_mib
from tests.golden.own_app import announce
from tests.integrations.fakes_autogen import speaker
from tests.integrations.growth import a_graph, containers, run_once

import becausal
from becausal import bounds
from becausal.canonical import Encoder
from becausal.instrument import active_recorder, active_store
from becausal.redaction import redactor
from becausal.store.sqlite import write
from becausal_integrations.langchain import calls
from becausal_integrations.langgraph import register

LOOKS = 40
GLANCES = 4
"""How often the containers are counted for each look: the peak of a saw is seldom met."""
MOST_REQUESTS = 10_000
SURE = 2.1
"""Standard errors on either side of a slope that hold it with 95 %: Student's t for some twenty looks."""
BOUNDS: Mapping[str, int] = {
    "Allowance.runs": bounds.MOST_RUNS,
    "Calls._calls": calls.MAX_IDS,
    "Contents.known": write.REMEMBERED,
    "Encoder._known": Encoder.MOST_PARTS,
    "Encoder._leans": Encoder.MOST_LEANS,
    "Encoder._runs": Encoder.MOST_RUNS,
    "Redactor._counted": redactor.MOST_DONE,
    "Redactor._done": redactor.MOST_DONE,
    "Redactor.harmless": redactor.MOST_NAMES,
    "Register._pasts": register.MAX_PASTS,
    "Register._paused": register.MAX_PAUSED,
    "Register._saved": register.MAX_SAVED,
    "Register.threads": register.MAX_PAUSED,
    "Spending.counted": bounds.MOST_CHARGED,
    "Writer._chains": write.REMEMBERED,
    "Writer._names": write.REMEMBERED,
    "objects of Run": Encoder.MOST_RUNS,
}
"""How many all containers of that name may have, as the module says that forgets more.

A cache that takes longer to fill than a quarter of the steps is no growth while it stays in its bound. What stands not
here is judged by its peaks alone.
"""


@dataclass(frozen=True)
class Look:
    """How things stand."""

    steps: int
    memory: float
    """MiB that the process has."""
    trimmed: float
    """The same after the allocator gave back what it only keeps."""
    blocks: int
    threads: int
    files: int
    store: int
    """Bytes on disk."""
    held: Counter[str] = field(repr=False)
    """The most of each since the look before."""


def trimmed() -> float:
    """Return the same after the C library's allocator gave back what is free in it, where it can."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    return resident_mib()


def a_turn(number: int, _: object) -> str:
    """Say what a model says in a round."""
    return f"the turn of round {number}, in some forty characters"


def rounds() -> Iterator[None]:
    """Work without end, a round of each sort at a time."""
    from autogen_agentchat.teams import RoundRobinGroupChat

    compiled: Any = a_graph().compile()
    with asyncio.Runner() as loop:
        number = 0
        while True:
            number += 1
            run_once(number, compiled)
            said = partial(a_turn, number)
            agents = [speaker(name, said) for name in "abc"]
            loop.run(RoundRobinGroupChat(list(agents), max_turns=3).run(task=f"go {number}"))
            announce(f"Announce relaunch {number % MOST_REQUESTS}.")
            yield


def settled(done: int) -> tuple[int, int]:
    """Return, once nothing is under way, the steps that are recorded after so many rounds, and their bytes on disk."""
    becausal.flush(600)
    gc.collect()
    store = active_store()
    if store is None:
        return done, 0
    info = store.describe()
    return info.steps, info.bytes_on_disk


def look(steps: int, on_disk: int, held: Counter[str]) -> Look:
    """Return how things stand after so many steps."""
    before = resident_mib()
    return Look(
        steps,
        before,
        trimmed(),
        sys.getallocatedblocks(),
        threading.active_count(),
        len(os.listdir("/proc/self/fd")),
        on_disk,
        held,
    )


def soak(steps: int, looks: int = LOOKS) -> list[Look]:
    """Work until so many steps are recorded (rounds done, where nothing records); returns the looks at it."""
    found: list[Look] = []
    held, glances = Counter[str](), 0
    started, done = time.perf_counter(), 0
    a_round = 1.0  # steps of one round, as soon as they are known
    print("    steps  seconds   memory  trimmed MiB    blocks  threads  files  open  entries  store B/step")
    for _ in rounds():
        done += 1
        due = steps * (glances + 1) / (looks * GLANCES)
        if done * a_round < due and done > 1:
            continue
        recorded, on_disk = settled(done)
        a_round = recorded / done
        if recorded < due:
            continue
        held |= containers()
        glances += 1
        if glances % GLANCES:
            continue
        now = look(recorded, on_disk, held)
        held = Counter()
        found.append(now)
        recorder = active_recorder()
        print(
            f"{now.steps:9} {time.perf_counter() - started:8.0f} {now.memory:8.1f} {now.trimmed:8.1f} "
            f"{now.blocks:13} {now.threads:8} {now.files:6} {0 if recorder is None else len(recorder._open):5} "
            f"{now.held.total():8} {now.store / now.steps:13.0f}",
            flush=True,
        )
        if now.steps >= steps:
            return found
    raise AssertionError("the rounds have no end")


def slope(looks: Sequence[Look], of: str) -> tuple[float, float]:
    """Return by how much something grows per step, and how far from it the truth may lie (95 %)."""
    xs, ys = [float(one.steps) for one in looks], [float(getattr(one, of)) for one in looks]
    if len(xs) < 3:
        return (ys[-1] - ys[0]) / max(1.0, xs[-1] - xs[0]), math.inf
    line = statistics.linear_regression(xs, ys)
    off = sum((y - line.slope * x - line.intercept) ** 2 for x, y in zip(xs, ys, strict=True))
    spread = sum((x - statistics.fmean(xs)) ** 2 for x in xs)
    return line.slope, SURE * math.sqrt(off / (len(xs) - 2) / spread)


def grown(looks: Sequence[Look]) -> list[str]:
    """Return what grew between the middle and the end, in words."""
    half = len(looks) // 2
    middle, last = looks[half - 1], looks[-1]
    before, after = looks[half // 2 : half], looks[half:]
    found = []
    for name in sorted(last.held):
        peak, later = (max(one.held[name] for one in some) for some in (before, after))
        bound = BOUNDS.get(name)
        if bound is not None and later > bound:
            found.append(f"{name}: {later}, and the most is {bound}")
        if bound is None and later > 1.1 * peak + 8:
            found.append(f"{name}: {peak} -> {later}")
    for what in ("threads", "files"):
        peak, later = (max(getattr(one, what) for one in some) for some in (before, after))
        if later > peak:
            found.append(f"{what}: {peak} -> {later}")
    rate, about = slope(looks[len(looks) // 2 :], "trimmed")
    if (rate - about) * (last.steps - middle.steps) > 0.05 * middle.trimmed:
        found.append(f"memory: {rate * 2**20:.2f} ± {about * 2**20:.2f} bytes per step")
    return found


def main() -> int:
    """Run; returns 1 if something grew between the middle and the end."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument(
        "--without", action="store_true", help="without becausal, to compare; --steps are then rounds"
    )
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if not asked.without:
            becausal.instrument(store=Path(folder) / "soak.db")
        looks = soak(asked.steps)
        wrong = grown(looks)
        store, recorder = active_store(), active_recorder()
        gaps = {} if store is None else store.gaps()
        if gaps:
            wrong.append(f"gaps: {gaps}")
        if recorder is not None and recorder._open:
            wrong.append(f"open steps: {len(recorder._open)}")
        becausal.uninstrument()
    half = looks[len(looks) // 2 :]
    for name, unit in (("memory", 2**20), ("trimmed", 2**20), ("blocks", 1)):
        rate, about = (unit * one for one in slope(half, name))
        print(f"{name} in the second half: {rate:+.3f} ± {about:.3f} {'bytes ' if unit > 1 else ''}per step")
    print(f"store: {looks[-1].store / looks[-1].steps:.0f} bytes per step; gaps: {sum(gaps.values())}")
    print("\n".join(f"grew: {what}" for what in wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
