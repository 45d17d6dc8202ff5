"""Prints what becausal says of public runs beside their labels: `python -m tests.public --home DIR`."""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ.setdefault("BECAUSAL_STRICT", "1")

from tests import public
from tests.faults.scoring import wilson
from tests.public.answers import ANSWERS, CONTROLS, Said, best_constants, by_chance
from tests.public.logs import WHO_AND_WHEN, Labelled, Rewarded, rewarded, who_and_when

__all__ = ["attribution", "judgement"]

Row = tuple[str, int, int, int]
"""A name, and of how many it said something, the right agent, the right turn."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.public", description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="where the public runs are")
    given = parser.parse_args()
    began = time.monotonic()
    labelled = list(who_and_when(given.home))
    judged = list(rewarded(given.home))
    if not labelled and not judged:
        parser.error(f"{given.home} has none of the public runs.\n{public.__doc__}")
    runs = [*(one.run for one in labelled), *(one.run for one in judged)]
    print(f"{len(runs)} runs of {sum(len(run.steps) for run in runs)} steps loaded")
    for group in WHO_AND_WHEN:
        if of_group := [one for one in labelled if one.group == group]:
            print(f"\nWho&When, {group}: {len(of_group)} runs\n{attribution(of_group)}")
    if labelled:
        print(f"\nWho&When, all: {len(labelled)} runs\n{attribution(labelled)}")
    if judged:
        print(f"\ntau-bench: {len(judged)} runs\n{judgement(judged)}")
    kinds = Counter(f"{finding.severity} {finding.kind}" for run in runs for finding in run.findings)
    print("\nfindings by kind:", ", ".join(f"{kind} {n}" for kind, n in kinds.most_common()) or "none")
    print(f"{time.monotonic() - began:.0f} s")


def attribution(labelled: Sequence[Labelled]) -> str:
    """Return a table of who named the labelled agent and the labelled turn."""
    of = len(labelled)
    lines = [f"{'':<30} {'says':>5} {'agent':>22} {'turn':>22}"]
    for name, answer in (ANSWERS | CONTROLS).items():
        said = [answer(one) for one in labelled]
        agents = _hits(labelled, said, lambda one, it: it.agent == one.agent)
        turns = _hits(labelled, said, lambda one, it: it.index == one.index)
        spoke = sum(it is not None for it in said)
        lines.append(f"{name:<30} {spoke:>5} {_share(agents, of)} {_share(turns, of)}")
    agent, turn = best_constants(labelled)
    lines.append(f"{'control: the commonest label':<30} {of:>5} {_share(agent, of)} {_share(turn, of)}")
    by_agent, by_turn = by_chance(labelled)
    lines.append(f"{'control: a turn at random':<30} {of:>5} {by_agent:>22.1%} {by_turn:>22.1%}")
    at_odds = sum(one.turns[one.index].speaker != one.agent for one in labelled)
    lines.append(f"the labelled turn is not the labelled agent's in {at_odds} runs")
    return "\n".join(lines)


def judgement(judged: Sequence[Rewarded]) -> str:
    """Return a table of how often failed and successful runs are found fault with."""
    groups = {word: [one for one in judged if one.succeeded is ok] for word, ok in _OUTCOMES.items()}
    lines = [f"{'':<30} " + " ".join(f"{f'of {len(runs)} that {word}':>22}" for word, runs in groups.items())]
    for name, is_found in _JUDGES.items():
        shares = [_share(sum(map(is_found, runs)), len(runs)) for runs in groups.values()]
        lines.append(f"{name:<30} " + " ".join(shares))
    return "\n".join(lines)


_OUTCOMES = {"failed": False, "succeeded": True}

_JUDGES: dict[str, Callable[[Rewarded], bool]] = {
    "an error is found": lambda one: any(finding.severity == "error" for finding in one.run.findings),
    "an error or a warning": lambda one: any(finding.severity != "note" for finding in one.run.findings),
    "root_cause() names somebody": lambda one: bool(one.run.root_cause()),
    "health is not ok": lambda one: not one.run.health.ok,
    "control: over 25 steps": lambda one: len(one.run.steps) > 25,
}


def _hits(
    labelled: Sequence[Labelled], said: Sequence[Said | None], is_right: Callable[[Labelled, Said], bool]
) -> int:
    return sum(it is not None and is_right(one, it) for one, it in zip(labelled, said, strict=True))


def _share(hits: int, of: int) -> str:
    low, high = wilson(hits, of)
    return f"{hits:>4} {hits / max(of, 1):6.1%} {f'[{low:.0%}, {high:.0%}]':>10}"


if __name__ == "__main__":
    main()
