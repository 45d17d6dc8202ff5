"""How often the planted cause is found: `python -m tests.counterfactual --cases 200`."""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.counterfactual.planted import Case, Judged, judged

from becausal.counterfactual import Share


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--uncertain", type=float, default=0.0, help="share of answers given the other way")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("-v", action="store_true", help="name each case that went wrong")
    options = parser.parse_args()
    before = time.process_time()
    done: list[Judged] = []
    for seed in range(options.first_seed, options.first_seed + options.cases):
        with tempfile.TemporaryDirectory() as folder:
            case = Case.made(seed, uncertain=options.uncertain)
            done.append(judged(case, Path(folder), repeats=options.repeats))
        if options.v and not done[-1].finds_all:
            print(f"seed {seed}: planted {case.groups}\n{done[-1].found}")
    smallest = Share(sum(one.finds_smallest for one in done), len(done))
    everything = Share(sum(one.finds_all for one in done), len(done))
    replays = sorted(one.found.replays for one in done)
    print(f"the smallest cause: {smallest}")
    print(f"every cause, and no other: {everything}")
    print(f"replays a case: median {statistics.median(replays)}, most {replays[-1]}")
    print(f"faithful: {sum(one.found.faithful for one in done)} of {sum(replays)} replays")
    print(
        f"pieces that could be changed, coarsely: median {statistics.median(len(one.found.pieces) for one in done)}"
    )
    print(f"CPU: {(time.process_time() - before) / sum(replays) * 1000:.1f} ms a replay")
    return 0 if smallest.value >= 0.95 else 1


if __name__ == "__main__":
    sys.exit(main())
