"""Plays runs with known provenance and prints what blame says of them.

python -m tests.provenance --runs 300 --first-seed 5000
"""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
import os
import tempfile
import time

os.environ.setdefault("BECAUSAL_STRICT", "1")

from tests.provenance.case import case_of
from tests.provenance.plants import KINDS, PlantKind
from tests.provenance.playing import PLAYERS
from tests.provenance.scoring import Score, judged, table

import becausal


def scored(runs: int, first_seed: int) -> dict[PlantKind, Score]:
    """Play runs, half of them as code of one's own, a quarter on each framework; the store must be open."""
    scores = {kind: Score() for kind in KINDS}
    for seed in range(first_seed, first_seed + runs):
        how = ("own code", "langgraph", "own code", "autogen")[seed % 4]
        case = case_of(seed, with_memory=how == "own code", may_be_code=how == "own code")
        judged(case, PLAYERS[how](case), scores, how=how)
    return scores


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.provenance",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("-v", "--verbose", action="store_true", help="name what went wrong")
    given = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        becausal.instrument("langgraph", "langchain", "autogen", store=f"sqlite:///{folder}/runs.db")
        scores = scored(given.runs, given.first_seed)
        becausal.uninstrument()
    print(table(scores, most_misses=40 if given.verbose else 0))
    print(f"\n{given.runs} runs from seed {given.first_seed}, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
