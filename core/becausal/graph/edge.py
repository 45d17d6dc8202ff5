"""An edge of the causal graph: one step caused another, how, and what shows it."""

from __future__ import annotations

from dataclasses import dataclass

from becausal.step import EdgeKind, Grade, Step

__all__ = ["Edge", "worst"]

_RANK: dict[Grade, int] = {"declared": 0, "observed": 1, "matched": 2, "inferred": 3}


@dataclass(frozen=True, slots=True)
class Edge:
    """One step caused another."""

    source: Step
    target: Step
    kind: EdgeKind
    grade: Grade
    evidence: str = ""
    """What shows it: `channel findings@3`, `tool call call_7`, `text "20,000,000"`."""


def worst(*grades: Grade) -> Grade:
    """Return the weakest of some grades: a chain of evidence is as strong as that."""
    return max(grades, key=_RANK.__getitem__)
