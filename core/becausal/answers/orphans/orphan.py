"""What an orphan is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from becausal.graph.edge import Edge
from becausal.harmless import legible
from becausal.step import Step

__all__ = ["How", "Orphan", "top_of"]

How = Literal["unlinked", "dangling", "outlived", "unread"]
"""`unlinked`: a chain of its own. `dangling`: its caller is not in the store. `outlived`: it went on after the run was
over. `unread`: a message that nobody received."""


@dataclass(frozen=True, slots=True)
class Orphan:
    """Work without a living link to the run that it belongs to."""

    how: How
    step: Step
    """The first of its steps: the one whose caller is missing."""
    steps: tuple[Step, ...]
    """All of them, in `seq` order."""
    run: str | None
    """The chain id of the run that it belongs to; None where no run shows its content."""
    edges: tuple[Edge, ...]
    """What joins it to the run: `spawn` from the step that was at work, `data` to the step that took up what it
    brought; graded `matched`, or `inferred` where other runs fit as well."""
    is_read: bool
    """Whether anybody in the run took up what it brought."""
    has_outlived: bool
    """Whether it went on after the run was over."""
    others: tuple[str, ...] = ()
    """The chain ids of other runs that it may as well belong to."""

    @property
    def evidence(self) -> tuple[str, ...]:
        """What shows that it belongs to the run: the content that they share."""
        return tuple(edge.evidence for edge in self.edges)

    @legible
    def __str__(self) -> str:
        read = "read" if self.is_read else "read by nobody"
        late = ", outlived the run" if self.has_outlived else ""
        return f"{self.how}: {self.step.kind} {self.step.name}, {read}{late}"


def top_of(steps: Sequence[Step]) -> Step:
    """Return the first step whose caller is none of them."""
    ids = {step.id for step in steps}
    return next((step for step in steps if step.parent_id not in ids), steps[0])
