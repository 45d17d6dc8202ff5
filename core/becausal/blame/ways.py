"""Where a text stands, the ways on which it can have come there, and the one that is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from becausal.blame.origins import Side, Source
from becausal.decision import Decision
from becausal.step import Grade, Step

__all__ = ["Arrival", "Place", "Ways"]


class Place(NamedTuple):
    """One side of a step."""

    step_id: str
    side: Side


@dataclass(frozen=True, slots=True)
class Arrival:
    """How a text came in and travelled."""

    origin: Step
    source: Source
    path: tuple[Step, ...]
    """From the origin to the step asked about; each step once, but for one that is both."""
    decisions: tuple[Decision, ...]
    """What the steps on the path decided, cause first."""
    grade: Grade
    in_transit: bool
    """Whether it entered between what was sent and what was received."""
    side: Side = "produced"
    """Where it came in: in what the origin produced, or in what it received."""
    candidates: tuple[Step, ...] = ()
    """Steps that may as well have brought it in: they produced the same, and nothing says whose was used."""
    goes_on: bool = False
    """Whether its way goes on before what is loaded of the chain: the origin is only where it comes in from there."""


@dataclass(frozen=True, slots=True)
class Ways:
    """The ways on which a text can have come to a place."""

    came_from: dict[Place, tuple[Place, Grade] | None]
    """Of each place on them: the next one towards the end, and how surely."""
    ends: list[tuple[Place, Grade]]
    """Where they begin, as the search goes backwards."""
    told: dict[tuple[Place, Grade], Arrival] = field(default_factory=dict)
    """Those of them that were told, by where they begin and how surely."""
