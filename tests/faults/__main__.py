"""Prints the benchmark's table: `python -m tests.faults --cases 300`."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("BECAUSAL_STRICT", "1")

from tests.faults import answers
from tests.faults.case import FRAMEWORKS, KINDS, Fault
from tests.faults.composites import COMPOSITES
from tests.faults.playing import Outcome, Sealed, play
from tests.faults.scoring import table
from tests.faults.sections import SECTIONS

import becausal


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--cases", type=int, default=300, help="how many cases; each is three runs")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=[], help="kinds of faults, such as F11")
    parser.add_argument("--labels", type=Path, help="where the labels are kept, apart from the tool")
    parser.add_argument(
        "--answers", action="store_true", help="score root causes and paths in place of the alarms"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="name each case that went wrong")
    parser.add_argument(
        "--parts",
        nargs="*",
        default=["known", *SECTIONS],
        help=f"which parts: known, {', '.join(SECTIONS)}; all of them",
    )
    given = parser.parse_args()
    kinds = [kind for name, kind in sorted(KINDS.items()) if not given.only or name in given.only]
    began = time.monotonic()
    if given.answers:
        _answers(kinds, given)
        return
    sealed, outcomes = Sealed(given.labels), []
    parts = [] if given.only else [part for part in SECTIONS if part in given.parts]
    told: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        becausal.instrument("langgraph", "langchain", "autogen", store=f"sqlite:///{folder}/faults.db")
        for number in range(given.cases if "known" in given.parts else 0):
            kind, turn = kinds[number % len(kinds)], number // len(kinds)
            framework = kind.frameworks[turn % len(kind.frameworks)]
            outcome = play(kind, given.first_seed + turn, framework, sealed)
            outcomes.append(outcome)
            if given.verbose:
                _tell(outcome)
        for part in parts:
            plays, share = SECTIONS[part]
            told.append(plays(max(1, given.cases // share), given.first_seed))
        becausal.uninstrument()
    print("\n\n".join([*([table(outcomes)] if outcomes else []), *told]))
    print(
        f"\n{len(outcomes)} cases of known kinds, {3 * len(outcomes)} runs, {time.monotonic() - began:.0f} s"
    )


def _answers(kinds: list[Fault], given: argparse.Namespace) -> None:
    """Score root causes and paths; composites beside them, one for every four cases."""
    rows, others, composites = [], [], list(COMPOSITES.values())
    with tempfile.TemporaryDirectory() as folder:
        becausal.instrument("langgraph", "langchain", "autogen", store=f"sqlite:///{folder}/faults.db")
        for number in range(given.cases):
            kind, turn = kinds[number % len(kinds)], number // len(kinds)
            framework = kind.frameworks[turn % len(kind.frameworks)]
            rows.append(answers.answered(kind, given.first_seed + turn, framework))
            if given.verbose and not rows[-1].is_right:
                print(f"{kind.id} seed {rows[-1].seed} {framework}: {rows[-1].said}")
        for number in range(given.cases // 4 if not given.only else 0):
            composite, turn = composites[number % len(composites)], number // len(composites)
            framework = FRAMEWORKS[turn % len(FRAMEWORKS)]
            others.append(answers.composed(composite, given.first_seed + turn, framework))
            if given.verbose and not others[-1].is_right:
                print(f"{composite.id} seed {others[-1].seed} {framework}: {others[-1].said}")
        becausal.uninstrument()
    print(answers.summary(rows, others))


def _tell(outcome: Outcome) -> None:
    is_fine = outcome.is_class_right and outcome.is_site_right and outcome.is_blame_right
    if is_fine and not outcome.clean_alarms and not outcome.sham_alarms:
        return
    flags = f"class {outcome.is_class_right}, step {outcome.is_site_right}, blame {outcome.is_blame_right}"
    print(f"{outcome.fault.id} seed {outcome.seed} {outcome.framework}: {flags}; said {list(outcome.found)}")
    for alarm in outcome.clean_alarms:
        print(f"    clean: {alarm[:300]}")
    for alarm in outcome.sham_alarms:
        print(f"    sham: {alarm[:300]}")


if __name__ == "__main__":
    main()
