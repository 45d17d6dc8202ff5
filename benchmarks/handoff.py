"""Where the time of one handoff goes: each part of it, in its place.

    python -m benchmarks.handoff
    python -m benchmarks.handoff --size 32768 --markdown docs/performance.md

A timer around each part takes what was spent in it less what was spent in the parts within it, over many handoffs of
which no payload was seen before, without a tracer provider; told is the 10th percentile. The timers take a third of a
microsecond each, so the sum is above what `python -m benchmarks.small` finds: take the shares.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.quick import parsed
from benchmarks.small import PAYLOADS, recorded
from benchmarks.tables import aligned, markdown, write
from benchmarks.timing import in_own_process

__all__ = ["measured"]

ROUNDS = 600
QUICK = 60
WARM = 60

PARTS = {
    "packed, split, digested": ("becausal.canonical", "Encoder.encode"),
    "looked up among what was read for secrets": ("becausal.redaction.redactor", "Redactor.keeps"),
    "read for secrets": ("becausal.redaction.redactor", "Redactor._strikes"),
    "sealed: payload, bodies": ("becausal.sealing", "Sealer.seal"),
    "received: packed and compared": ("becausal.sealing", "Sealer.is_again"),
    "beginning: context, parent, who is open": ("becausal.recorder", "Recorder.handoff"),
    "step: id, number, time, causes": ("becausal.making", "new_step"),
    "what the handoff says: attributes, cause": ("becausal.observation", "Passing.opening"),
    "its own words cleaned": ("becausal.keeping", "clean"),
    "producing: what is to be checked": ("becausal.recorder", "Recorder.produce"),
    "ending: time, status": ("becausal.recorder", "Recorder.end"),
    "its span, which nobody makes": ("becausal.telemetry", "Telemetry.open", "Telemetry.close"),
    "queue": ("becausal.writer", "Writer.put"),
}
"""By what they do: the functions, after their module."""


class Timers:
    """Time what runs in functions, without what runs in others of them within."""

    def __init__(self) -> None:
        self.spent: defaultdict[str, list[float]] = defaultdict(list)
        """Of each part: in every handoff, in microseconds."""
        self._now: defaultdict[str, float] = defaultdict(float)
        self._within = [0.0]

    def around(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that is timed as a part."""

        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            self._within.append(0.0)
            began = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                took = time.perf_counter() - began
                self._now[part] += took - self._within.pop()
                self._within[-1] += took

        return timed

    def done(self, *, counts: bool) -> None:
        """Note that a handoff is over."""
        for part, took in self._now.items():
            if counts:
                self.spent[part].append(took * 1e6)
        self._now.clear()


def parts_of(size: int, payload: str, rounds: int) -> dict[str, float]:
    """Return what each part of a handoff takes in this process, in microseconds."""
    timers = Timers()
    for part, (module, *names) in PARTS.items():
        for name in names:
            holder: Any = importlib.import_module(module)
            *classes, last = name.split(".")
            for each in classes:
                holder = getattr(holder, each)
            setattr(holder, last, timers.around(part, getattr(holder, last)))
    passed, flush = recorded(with_spans=False)
    make = PAYLOADS[payload]
    for number in range(WARM + rounds):
        value = make(size, number)
        passed(value)
        timers.done(counts=number >= WARM)
        if number % 200 == 0:
            flush()
    return {part: statistics.quantiles(timers.spent[part], n=10)[0] for part in PARTS if timers.spent[part]}


def measured(size: int, rounds: int = ROUNDS) -> list[list[str]]:
    """Return a table of the parts, by what is handed over."""
    found = {
        payload: in_own_process("benchmarks.handoff", "--child", payload, "--size", size, "--rounds", rounds)
        for payload in PAYLOADS
    }
    parts = sorted(PARTS, key=lambda part: -max(each.get(part, 0) for each in found.values()))
    lines = [["a handoff, µs", *PAYLOADS]]
    lines += [[part, *(f"{each.get(part, 0):.1f}" for each in found.values())] for part in parts]
    return [*lines, ["all of it, with the timers", *(f"{sum(each.values()):.1f}" for each in found.values())]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, and write it into a document."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--size", type=int, default=1024, help="bytes of what is handed over")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="handoffs that count")
    parser.add_argument("--markdown", type=Path, help="a document whose table is written anew")
    parser.add_argument("--child", choices=list(PAYLOADS), help=argparse.SUPPRESS)
    options = parsed(parser, arguments, rounds=QUICK)
    if options.child is not None:
        print(json.dumps(parts_of(options.size, options.child, options.rounds)))
        return 0
    table = measured(options.size, options.rounds)
    print(aligned(table))
    if options.markdown is not None:
        write(options.markdown, {"handoff": markdown(table)})
    return 0


if __name__ == "__main__":
    sys.exit(main())
