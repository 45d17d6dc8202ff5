"""What becausal costs: beside the peers' instrumentors, in small, and in its store.

    python -m benchmarks --list                         # what there is
    python -m benchmarks --quick                        # half a minute: becausal beside the least that its duties take
    python -m benchmarks                                # becausal, the floors and every peer that is installed
    python -m benchmarks --only becausal --cells linear # choose
    python -m benchmarks --switches                     # what is saved by switching parts of becausal off
    python -m benchmarks --final --markdown docs/performance.md --json figures.json

The last one measures all that `docs/performance.md` shows and writes it there; it wants a machine that does nothing
else, and the peers of `benchmarks/peers.txt` (`benchmarks/README.md` says how to have them).
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from benchmarks import tables
from benchmarks.instrumentors import INSTRUMENTORS, SWITCHED, missing
from benchmarks.machine import Machine, in_words
from benchmarks.overhead import Overhead, measured
from benchmarks.quick import parsed
from benchmarks.targets import CELLS, CHAT, GROWTH
from benchmarks.workloads import WORKLOADS, Cell

PARTS = ("overhead", "growth", "small", "store")
"""What one run measures."""

QUICK: Final[Mapping[str, Any]] = {
    "parts": ["overhead"],
    "only": ["control", "duties", "becausal"],
    "cells": ["linear", "tool-loop", "fan-out", "growing", "autogen"],
    "payloads": [1 << 10, 32 << 10],
    "turns": 2,
    "seconds": 0.05,
    "steps": [10_000],
}
"""What `--quick` asks for: becausal between nothing and what its duties take at least."""

ALONE = (
    "where",
    "handoff",
    "guard",
    "small",
    "store",
    "clickhouse",
    "answers",
    "checks",
    "receiver",
    "sizing",
    "shapes",
    "soak",
)
"""Modules that are commands of their own: `python -m benchmarks.NAME --help`."""


def asked(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return what is asked for."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__, formatter_class=form)
    parser.add_argument("--list", action="store_true", help="what there is, and what is not installed")
    parser.add_argument("--final", action="store_true", help="every part, as the document shows them")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=["overhead", "growth"])
    parser.add_argument(
        "--only", nargs="+", choices=list(INSTRUMENTORS), help="instrumentors; the app alone always"
    )
    parser.add_argument("--switches", action="store_true", help="becausal with parts of it switched off")
    parser.add_argument("--cells", nargs="+", choices=list(WORKLOADS), help="workloads")
    parser.add_argument("--payloads", nargs="+", type=int, help="bytes, such as 1024 32768 1048576")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.3, help="of one instrumentor's turn")
    parser.add_argument("--steps", nargs="+", type=int, default=[100_000], help="steps in the store")
    parser.add_argument("--json", type=Path, help="write every figure here")
    parser.add_argument(
        "--markdown", type=Path, help="write the tables into this document, between its markers"
    )
    found = parsed(parser, arguments, **QUICK)
    switched = [each.name for each in SWITCHED]
    if found.switches:
        found.only, found.parts = ["control", "becausal", *switched], ["overhead"]
    elif not found.only:
        found.only = [name for name in INSTRUMENTORS if name not in switched]
    if found.final:
        if found.quick:
            parser.error("--final is every part as the document shows it: leave --quick out")
        found.parts = PARTS
    return found


def listed() -> None:
    """Print what there is."""
    print("instrumentors (--only):")
    absent = missing()
    for name, each in INSTRUMENTORS.items():
        print(
            f"  {name:16}{each.title.strip('*')}{'   not installed: ' + str(each.package) if name in absent else ''}"
        )
    print("\nworkloads (--cells):")
    for name, workload in WORKLOADS.items():
        print(f"  {name:16}{_first_line(workload.__doc__)}")
    print("\nparts of a run (--parts):", *PARTS)
    print("\ncommands of their own (python -m benchmarks.NAME):")
    for name in ALONE:
        print(f"  {name:16}{_first_line(importlib.import_module(f'benchmarks.{name}').__doc__)}")


def cells_of(options: argparse.Namespace) -> list[tuple[Cell, int]]:
    """Return the cells that are asked for, each with its turns."""
    wanted = [(cell, options.turns) for cell in CELLS if "overhead" in options.parts]
    if "growth" in options.parts:
        few = 1 if options.quick else 2
        wanted += [(cell, few) for cell in (*GROWTH, CHAT) if (cell, options.turns) not in wanted]
    if options.cells:
        wanted = [(cell, turns) for cell, turns in wanted if cell.workload in options.cells]
    if options.payloads:
        wanted = [(cell, turns) for cell, turns in wanted if cell.payload in options.payloads]
    return wanted


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for, print it, and write it where that is asked for."""
    options = asked(arguments)
    if options.list:
        listed()
        return 0
    machine, absent = Machine(), missing()
    names = [name for name in options.only if name not in absent]
    cells = cells_of(options)
    left_out = [name for name in options.only if name in absent]
    compared = (
        measured(names, cells, seconds=options.seconds, left_out=left_out) if cells else Overhead([], {}, [])
    )
    others, store = [], None
    if "small" in options.parts:
        others = importlib.import_module("benchmarks.small").measured(quick=options.quick)
    if "store" in options.parts:
        store = importlib.import_module("benchmarks.store").measured(options.steps)
        others += store.targets()
    told = machine.told()
    ratios = tables.overhead(compared) if "overhead" in options.parts and compared.rows else []
    sections = {
        "targets": [("", tables.targets(compared, others))],
        "switches" if options.switches else "overhead": ratios,
        "growth": tables.growth(compared) if compared.rows else [],
        "store": [] if store is None else store.tables(),
    }
    for section in sections.values():
        for title, table in section:
            print(f"\n{title}\n{tables.aligned(table)}" if title else tables.aligned(table))
    said = in_words(told) + (f" Not installed, and so left out: {', '.join(left_out)}." if left_out else "")
    print(f"\n{said}")
    if options.json:
        figures: dict[str, Any] = {"machine": told, **{name: dict(them) for name, them in sections.items()}}
        figures["rows"] = [row.told() for row in compared.rows]
        figures["targets"] = [asdict(one) for one in others]
        options.json.write_text(json.dumps(figures, indent=1))
    if options.markdown:
        texts = {name: _in_markdown(section) for name, section in sections.items() if section}
        if options.switches:  # the page's other tables are of all instrumentors
            texts = {"switches": f"{texts['switches']}\n\n{said}"}
        else:
            texts["machine"] = said
        tables.write(options.markdown, texts)
    return 1 if any(row.failed for row in compared.rows) else 0


def _in_markdown(section: list[tuple[str, tables.Table]]) -> str:
    return "\n\n".join(
        (f"{title}:\n\n" if title else "") + tables.markdown(table) for title, table in section
    )


def _first_line(documentation: str | None) -> str:
    return (documentation or "").strip().splitlines()[0]


if __name__ == "__main__":
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read has read enough
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # the interpreter flushes once more at its end
        code = 0
    sys.exit(code)
