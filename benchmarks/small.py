"""What is behind the ratios: one handoff, the start, memory, and 10,000 spans a second.

    python -m benchmarks.small
    python -m benchmarks.small --quick

One handoff: processor time on the app's thread of opening it with what was sent, ending it with what was received, and
queueing it for the store; both are sealed, no payload was seen before, the best of many. Without a tracer provider, as
in the target, and with one; and the floor (`floors.py`): what was sent packed, digested and read for secrets, what was
received packed and compared with it, as it may have changed on the way, both kept for a thread, and nothing else.

The start, and memory: each in processes of their own, the best of several; the floor of the memory after 200 runs is
that of `floors.py`'s last one without its spans. Spans a second: calls of a tool on one thread, kept to that rate, with
a store and a tracer provider, and how many of them are kept.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.targets import HANDOFF_US, MEMORY_MIB, SPANS_A_SECOND, START_MS, Target
from benchmarks.timing import best, in_own_process, resident_mib
from benchmarks.workloads.base import records, text
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

__all__ = ["measured"]

ROUNDS = 60
STARTS = 5
SECONDS = 5


def measured(*, quick: bool = False) -> list[Target]:
    """Return every figure beside its target; quickly, all but the handoff of a megabyte, from one look each."""
    rounds, starts, seconds = (10, 1, 1) if quick else (ROUNDS, STARTS, SECONDS)
    return [
        *handoffs(rounds, [size for size in HANDOFF_US if size < 1 << 20 or not quick]),
        *started(starts),
        memory(starts),
        *rate(seconds),
    ]


Keeping = tuple[Mapping[str, Any], Callable[[], object]]
"""What a run is configured with, and what finishes what is under way."""

# One handoff.

Passing = tuple[Callable[[object], object], Callable[[], object]]
"""What hands a value over, and what finishes what is under way."""


def handoffs(rounds: int, sizes: Sequence[int]) -> list[Target]:
    """Return what a handoff takes, by size and by what is handed over."""
    found = []
    for size in sizes:
        told = f"{size >> 20} MB" if size >= 1 << 20 else f"{size >> 10} KB"
        without, with_spans, floor = (
            in_own_process(
                "benchmarks.small", "--child", "handoff", "--size", size, "--rounds", rounds, "--as", how
            )
            for how in ("without", "with", "floor")
        )
        for payload, us in without.items():
            what = f"one handoff, {told} {payload}"
            found.append(Target(what, "µs", us, HANDOFF_US[size], floor=floor[payload]))
            found.append(Target(f"{what}, and its spans", "µs", with_spans[payload]))
    return found


def handoff(size: int, rounds: int, how: str) -> dict[str, float]:
    """Measure it in this process; microseconds by what is handed over."""
    passed, rest = bare() if how == "floor" else recorded(with_spans=how == "with")

    def timed(make: Callable[[int, int], object]) -> float:
        values = iter([make(size, number) for number in range(rounds + 3)])
        for _ in range(3):
            passed(next(values))
        rest()
        return best(rounds, lambda: passed(next(values)))

    return {name: timed(make) for name, make in PAYLOADS.items()}


def bare() -> Passing:
    """Return what takes a value in as sent and as received, and no more."""
    from benchmarks.floors import SecretsFloor

    floor = SecretsFloor("", "")
    floor.start()
    queue: deque[tuple[tuple[bytes, bytes], bool]] = deque()

    def passed(value: object) -> None:
        sent = floor.taken(value)
        queue.append((sent, floor.packed(value) == sent[1]))

    return passed, queue.clear


def recorded(*, with_spans: bool) -> Passing:
    """Return what hands a value over under becausal."""
    import becausal
    from becausal.instrument import active_recorder
    from becausal.observation import Opening

    provider = TracerProvider() if with_spans else None
    becausal.instrument("threads", store=_store(), tracer_provider=provider)
    recorder = active_recorder()
    assert recorder is not None
    planner = recorder.begin(Opening("agent", "planner", agent="planner"))

    def passed(value: object) -> None:
        step = recorder.handoff("planner", "writer", value, sent_by=planner)
        assert step is not None
        recorder.produce(step, value)
        recorder.end(step)

    return passed, lambda: becausal.flush(60)


def messages(size: int, seed: int) -> dict[str, Any]:
    """Return a state of messages of a kilobyte each."""
    each = min(size, 1024)
    return {
        "messages": [
            {"type": "ai", "content": text(each - 40, seed + i / 1e6), "id": f"m{i}"}
            for i in range(size // each)
        ]
    }


def strings(size: int, seed: int) -> dict[str, Any]:
    """Return four long texts."""
    return {f"part {i}": text(size // 4, seed * 4 + i) for i in range(4)}


PAYLOADS: dict[str, Callable[[int, int], dict[str, Any]]] = {
    "of records": records,
    "of messages": messages,
    "of texts": strings,
}


# The start, and memory.


def started(times: int) -> list[Target]:
    """Return what importing and instrumenting take: milliseconds of processor time, and memory."""
    took = [in_own_process("benchmarks.small", "--child", "start") for _ in range(times)]
    least = {what: min(one[what] for one in took) for what in took[0]}
    return [
        *(Target(what, "ms", least[what], limit) for what, limit in START_MS.items()),
        Target("memory that both take", "MiB", least["MiB"], MEMORY_MIB),
    ]


def start() -> dict[str, float]:
    """Start in this process, as an app does that has imported its frameworks."""
    before, began = resident_mib(), time.process_time()
    import becausal

    imported, taken = time.process_time() - began, resident_mib() - before
    import benchmarks.workloads

    del benchmarks
    store = _store()
    before, began = resident_mib(), time.process_time()
    becausal.instrument(store=store)
    instrumented = time.process_time() - began
    taken += resident_mib() - before
    return {"import becausal": imported * 1e3, "becausal.instrument()": instrumented * 1e3, "MiB": taken}


def memory(times: int) -> Target:
    """Return how much more memory the process has after 200 runs of ten nodes than without us."""
    alone, ours, floor = (
        min(
            in_own_process("benchmarks.small", "--child", "memory", "--as", how)["MiB"]
            for _ in range(min(times, 3))
        )
        for how in ("without", "with", "floor")
    )
    what = "memory after 200 runs of ten nodes, more than without us"
    return Target(what, "MiB", ours - alone, MEMORY_MIB, floor=floor - alone)


def grown(how: str) -> dict[str, float]:
    """Run in this process; return the memory that it has then."""
    from benchmarks.workloads import WORKLOADS

    options, finish = GROWN[how]()
    workload = WORKLOADS["linear"](1024, 0, options)
    workload.build()
    for _ in range(200):
        workload.run(workload.prepare())
    finish()
    return {"MiB": resident_mib()}


def alone() -> Keeping:
    """Keep nothing."""
    return {}, lambda: None


def kept() -> Keeping:
    """Keep all that becausal does."""
    import becausal

    becausal.instrument(store=_store())
    return {}, lambda: becausal.flush(60)


def barely_kept() -> Keeping:
    """Keep what the last of the floors does; no spans, as there is no provider for becausal's either."""
    from benchmarks.floors import DutiesFloor

    folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    _folders.append(folder)
    floor = DutiesFloor("", folder.name)
    floor.provider = TracerProvider(sampler=ALWAYS_OFF)
    floor.start()
    return floor.config, floor.write


GROWN: dict[str, Callable[[], Keeping]] = {"without": alone, "with": kept, "floor": barely_kept}


# Spans a second.


def rate(seconds: int) -> list[Target]:
    """Return how many spans a second were made, and how many of them were lost and not counted."""
    found = in_own_process("benchmarks.small", "--child", "rate", "--seconds", seconds)
    return [
        Target("spans a second, asked for 10,000", "", found["rate"], 0.99 * SPANS_A_SECOND, at_least=True),
        Target("the same: lost, of which nothing is told", "", found["lost"], 0),
        Target("the same: lost and counted as gaps", "", found["gaps"], 0),
    ]


def spans_a_second(seconds: int) -> dict[str, float]:
    """Make spans in this process, a hundred at a time."""
    from benchmarks.instrumentors import INSTRUMENTORS

    import becausal

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        ours = INSTRUMENTORS["becausal"]("", folder)
        ours.start()

        @becausal.tool(name="lookup")
        def lookup(question: str) -> str:
            return question

        wanted, began = SPANS_A_SECOND * seconds, time.perf_counter()
        for burst in range(0, wanted, 100):
            time.sleep(max(0.0, began + burst / SPANS_A_SECOND - time.perf_counter()))
            with becausal.chain("many questions"):
                for number in range(99):
                    lookup(f"question {burst + number} of a few words, as they come")
        took = time.perf_counter() - began
        ours.flush()
        with becausal.open() as runs:
            kept, gaps = runs.store.describe().steps, sum(runs.gaps().values())
    return {"rate": wanted / took, "gaps": gaps, "lost": wanted - kept - gaps}


_folders: list[tempfile.TemporaryDirectory[str]] = []  # gone with the process


def _store() -> str:
    _folders.append(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
    return f"sqlite:///{_folders[-1].name}/becausal.db"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures; status 1 if a target is not met."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument(
        "--quick", action="store_true", help="in less than half a minute: one look each, and no megabytes"
    )
    parser.add_argument("--child", choices=["handoff", "start", "memory", "rate"], help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, default=1024, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=int, default=SECONDS, help=argparse.SUPPRESS)
    parser.add_argument("--as", dest="how", default="with", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child is None:
        from benchmarks.tables import aligned, target_table

        found = measured(quick=options.quick)
        print(aligned(target_table(found)))
        return 0 if all(one.is_met for one in found) else 1
    children: dict[str, Callable[[], dict[str, float]]] = {
        "handoff": lambda: handoff(options.size, options.rounds, options.how),
        "start": start,
        "memory": lambda: grown(options.how),
        "rate": lambda: spans_a_second(options.seconds),
    }
    print(json.dumps(children[options.child]()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
