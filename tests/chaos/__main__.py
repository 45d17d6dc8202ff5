"""Everything of ours fails, blocks, lies or dies at random, and no app notices.

    python -m tests.chaos --plays 2000 --seed 1

First some runs are watched: every function of ours that they reach is a seam, but for those that carry the app's own
calls (and the guard). Then, for each play, a seam is drawn, and one of the graphs and teams of the differential tests
that reach it, in one of its ways; into that seam, and now and then into a second and a third, goes a fault, which
strikes at every call or at some. Compared with the play without becausal is all that an app can notice. Ends with
status 1 if something differed; it is printed with the play's number, by which (with the seed) it is played again:

    python -m tests.chaos --seed 1 --only 417
"""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
import faulthandler
import random
import sys
import tempfile
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.faults import KINDS, Fault, Release
from tests.chaos.handed import Provider
from tests.chaos.playing import Outcome, handed_over, outcome_of, plain, play
from tests.chaos.seams import GUARD, SHELLS, STREAMS, Reached, functions, watching
from tests.chaos.subjects import SORTS, Subject, every

import becausal

DEADLOCK_S = 90
"""A play that takes longer hangs: every thread's place is printed, and the command ends."""


@dataclass
class Reach:
    """Which subjects reach which seams."""

    subjects: dict[str, list[Subject]] = field(default_factory=dict)
    carriers: set[str] = field(default_factory=set)
    written: int = 0
    """How many functions of ours are there in all."""


def reach_of(subjects: Iterable[Subject], folder: Path) -> Reach:
    """Watch subjects being recorded."""
    found: dict[str, list[Subject]] = defaultdict(list)
    carriers: set[str] = set()
    written: set[str] = set()
    for number, subject in enumerate(subjects):
        reached = Reached()
        becausal.instrument(store=folder / f"watched {number}.db", tracer_provider=Provider())
        if number % 20 == 0:  # more of them each time: what is hooked is imported as it is needed
            written |= functions().keys()
        with watching(reached):
            outcome_of(subject)
            becausal.flush()
            becausal.uninstrument()
        carriers |= reached.carriers
        for seam in reached.seams:
            found[seam].append(subject)
    carriers |= {seam for seam in found if seam.startswith(STREAMS)}
    for seam in (
        carriers | GUARD | SHELLS | (found.keys() - written)
    ):  # what is made anew in each call is its maker's
        found.pop(seam, None)
    return Reach(dict(sorted(found.items())), carriers, len(written))


def one(number: int, seed: int, reach: Reach, folder: Path) -> tuple[Subject, list[Fault], Outcome]:
    """Make the play of a number."""
    chance = random.Random(f"{seed} {number}")
    seams = list(reach.subjects)
    seam = chance.choice(seams)
    subject = chance.choice(reach.subjects[seam])
    also = [name for name in seams if subject in reach.subjects[name]] if chance.random() < 0.3 else []
    released = Release()
    faults = [
        Fault(name, chance.choice(KINDS), chance, released)
        for name in dict.fromkeys([seam, *chance.sample(also, min(len(also), 2))])
    ]
    faulthandler.dump_traceback_later(DEADLOCK_S, exit=True)
    try:
        return subject, faults, play(subject, faults, folder, chance, released)
    finally:
        faulthandler.cancel_dump_traceback_later()


def chosen(how_many: int, seed: int) -> list[Subject]:
    """Return so many subjects: own code, teams, and graphs of every sort among them."""
    own, teams, graphs = ([one for one in every() if one.sort == sort] for sort in SORTS)
    chance = random.Random(seed)
    of_teams = chance.sample(teams, min(len(teams), max(3, how_many // 6)))
    of_graphs = chance.sample(graphs, min(len(graphs), max(0, how_many - len(own) - len(of_teams))))
    return [*own, *of_teams, *of_graphs]


def main() -> int:
    """Play; returns 1 if something differed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--plays", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--subjects", type=int, default=300, help="so many ways to run graphs and teams")
    parser.add_argument("--only", type=int, nargs="*", help="these plays alone")
    parser.add_argument(
        "--at", nargs="*", default=[""], help="seams that begin so alone, such as becausal.store"
    )
    parser.add_argument("-v", action="store_true", help="each seam with its faults")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")  # of the frameworks'
    began = time.perf_counter()
    struck: Counter[tuple[str, str]] = Counter()
    sums: Counter[str] = Counter()
    differing = 0
    with tempfile.TemporaryDirectory() as place, handed_over():
        folder = Path(place)
        reach = reach_of(chosen(asked.subjects, asked.seed), folder)
        print(
            f"{len(reach.subjects)} seams reached of {reach.written} functions; carriers: {len(reach.carriers)}"
        )
        reach.subjects = {at: on for at, on in reach.subjects.items() if at.startswith(tuple(asked.at))}
        for number in asked.only or range(asked.plays):
            subject, faults, outcome = one(number, asked.seed, reach, folder)
            struck += outcome.struck
            sums.update(recorded=outcome.recorded, missing=outcome.missing, gaps=outcome.gaps)
            if outcome.differences and not unsteady(subject):
                differing += 1
                print(f"play {number}: {subject}: {faults}", *outcome.differences, sep="\n    ", flush=True)
            if (number + 1) % 100 == 0:
                print(
                    f"{number + 1} plays, {differing} differ, {time.perf_counter() - began:.0f} s", flush=True
                )
    report(struck, sums, each=asked.v)
    print(f"{differing} plays differ, in {time.perf_counter() - began:.0f} s")
    return 1 if differing else 0


def unsteady(subject: Subject) -> bool:
    """Whether a subject differs from itself without us: then nothing can be said of it."""
    if outcome_of(subject) == plain(subject):
        return False
    print(f"{subject} differs without becausal, too")
    return True


def report(struck: Counter[tuple[str, str]], sums: Counter[str], *, each: bool) -> None:
    """Print what was done."""
    for kind in KINDS:
        of_it = {seam: number for (seam, how), number in struck.items() if how == kind}
        print(f"{sum(of_it.values()):9,}  {kind}, at {len(of_it)} seams")
    for name, number in sums.items():
        print(f"{number:9,}  steps {name}" if name != "gaps" else f"{number:9,}  gaps counted")
    if each:
        for (seam, how), number in sorted(struck.items()):
            print(f"{number:9,}  {seam} {how}")


if __name__ == "__main__":
    sys.exit(main())
