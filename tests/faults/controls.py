"""Trivial controls: guesses at the first corrupt step that look at no content. What they hit, the cases give away."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Final

from becausal.run import Run
from becausal.step import Step

__all__ = ["CONTROLS", "Guess", "guesses"]

Guess = Mapping[str, Step | None]

CONTROLS: Final = ("first", "last", "most connected", "random", "any error flag")


def guesses(run: Run, rng: random.Random) -> Guess:
    """Return each control's guess; a workflow and a request are no guess."""
    steps = [step for step in run.steps if step.kind not in ("workflow", "request")]
    if not steps:
        return dict.fromkeys(CONTROLS)
    degree = {step.id: len(run.graph.in_edges(step)) + len(run.graph.out_edges(step)) for step in steps}
    return {
        "first": steps[0],
        "last": steps[-1],
        "most connected": max(steps, key=lambda step: degree[step.id]),
        "random": rng.choice(steps),
        "any error flag": next((step for step in steps if step.status == "error"), None),
    }
