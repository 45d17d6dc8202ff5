"""Lineage: what led to a step, and what came of it.

Nothing is weighed here. Whatever could have had an influence is in it, however unlikely, since a cause left
out would be a wrong answer; nearest first, so that the likely ones come first all the same. Blame is the
narrow answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from becausal.errors import StepNotFoundError
from becausal.graph import Graph
from becausal.graph.edge import Edge
from becausal.handoff import Handoff
from becausal.step import Step

__all__ = ["Lineage", "impact", "why"]


@dataclass(frozen=True)
class Lineage:
    """The steps on one side of a step, and the edges between them."""

    of: Step
    """The step that was asked about; not among `steps`."""
    steps: tuple[Step, ...]
    """Nearest first."""
    edges: tuple[Edge, ...]
    """Those between these steps and to or from `of`; in the order of the steps that they lead to or from."""

    def __str__(self) -> str:
        lines = [f"{self.of.id[:8]} {self.of.kind} {self.of.name}"]
        lines += [
            f"  {edge.source.kind} {edge.source.name} -> {edge.target.kind} {edge.target.name}"
            f"  ({edge.kind}, {edge.grade}{': ' + edge.evidence if edge.evidence else ''})"
            for edge in self.edges
        ]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Lineage of {self.of.kind} {self.of.name}: {len(self.steps)} steps, {len(self.edges)} edges>"


def why(graph: Graph, of: Step | Handoff | str | None = None) -> Lineage:
    """Return everything upstream of a step, of a handoff or, by default, of the output.

    Raises:
        StepNotFoundError: there is no such step, or nothing was produced that could be asked about.
    """
    target = graph.step(of) if of is not None else _output_step(graph)
    steps = graph.upstream(target)
    members = {step.id for step in steps} | {target.id}
    edges = [edge for step in (target, *steps) for edge in graph.in_edges(step) if edge.source.id in members]
    return Lineage(target, tuple(steps), _nearest_first(edges, target, steps))


def impact(graph: Graph, of: Step | Handoff | str) -> Lineage:
    """Return everything downstream of a step or of a handoff.

    Raises:
        StepNotFoundError: there is no such step.
    """
    origin = graph.step(of)
    steps = graph.downstream(origin)
    members = {step.id for step in steps} | {origin.id}
    edges = [edge for step in (origin, *steps) for edge in graph.out_edges(step) if edge.target.id in members]
    return Lineage(origin, tuple(steps), _nearest_first(edges, origin, steps))


def _nearest_first(edges: Sequence[Edge], of: Step, steps: Sequence[Step]) -> tuple[Edge, ...]:
    # An edge is as far away as the farther of its ends.
    place = {step.id: i for i, step in enumerate((of, *steps))}
    return tuple(sorted(edges, key=lambda edge: max(place[edge.source.id], place[edge.target.id])))


def _output_step(graph: Graph) -> Step:
    # A run that failed produced nothing; what led to its failure is asked about its root.
    step = graph.output_step or next(reversed(graph.roots), None)
    if step is None:
        raise StepNotFoundError("this run has no step that nobody called, and no output; name a step")
    return step
