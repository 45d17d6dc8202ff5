"""Damages a store, and has every command at it.

    python -m tests.damaging --times 300 --seed 1

A store of runs of every sort, with a memory, is copied, and its copy damaged: pages of garbage, of zeros, of another
table; flipped bits; its end cut off; tables and indexes dropped; rows deleted; cells that hold what nobody wrote there;
its WAL deleted or spoiled. What the store still gives as it was, where its runs are loaded one by one, is whole. Then
commands are carried out, those that change the store each on a copy of its own: none ends with a traceback, hangs,
quotes what is stored where it tells of damage, or ends with 2 and no word; `runs` lists what is whole, and calls
nothing of it damaged; `export all` and `import` carry all of it into a new store; `prune` and `erase` lose none of it;
and where `erase` says that all is well, no byte of what it erased is left. Ends with status 1 if something was wrong;
each is printed with its number, by which (with the seed) it is done again (`--only`); with `--keep FOLDER` the store
that it was found on is left there.
"""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
import logging
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.damaging.damages import damage
from tests.damaging.looking import Look
from tests.damaging.victim import RUNS, chain_id, fill, told

from becausal.store import open_store

__all__ = ["main", "run"]


def run(
    numbers: Iterable[int], seed: int, *, says: bool = False, keep: Path | None = None
) -> tuple[list[str], Counter[str]]:
    """Damage so often; returns what was wrong, and counts of what was looked at."""
    wrong: list[str] = []
    seen: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder)
        store = open_store(str(folder / "whole.db"), read_only=True)
        runs = {id: told(store, id) for id in map(chain_id, range(RUNS))}
        store.close()
        for number in numbers:
            chance = random.Random(f"{seed}.{number}")
            place = folder / "place"
            place.mkdir()
            which = "wal.db" if chance.random() < 0.4 else "whole.db"
            for each in folder.glob(f"{which}*"):
                shutil.copy(each, place / each.name.replace(which, "runs.db"))
            how = damage(place / "runs.db", chance)
            seen[f"damage: {how}"] += 1
            before = shutil.copytree(place, folder / "before")
            found = [f"{number}: {how}: {one}" for one in Look(place / "runs.db", runs, seen).all(chance)]
            wrong += found
            if says and found:
                print(*found, sep="\n", flush=True)
            if keep is not None and found:
                shutil.copytree(before, keep / str(number))
            for each in (place, before):
                shutil.rmtree(each)
    return wrong, seen


def main() -> int:
    """Damage as often as the command line says; returns 1 if something was wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, metavar="NUMBER", help="this one alone")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="leave there what something was wrong with"
    )
    asked = parser.parse_args()
    logging.getLogger("becausal").setLevel(logging.CRITICAL)
    began = time.perf_counter()
    numbers = range(asked.times) if asked.only is None else [asked.only]
    wrong, seen = run(numbers, asked.seed, says=True, keep=asked.keep)
    for what, number in sorted(seen.items()):
        print(f"{number:9,}  {what}")
    print(f"{len(wrong):9,}  things wrong, in {time.perf_counter() - began:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
