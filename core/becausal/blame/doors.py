"""From where what a step received may have come, whatever it was: worked out once for all texts that are led back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from becausal.graph import Graph
from becausal.graph.edge import Edge
from becausal.step import Grade, Step

__all__ = ["Door", "Doors", "Way"]


@dataclass(frozen=True, slots=True)
class Way:
    """An edge into a step."""

    source: Step
    grade: Grade
    is_around: bool
    """Whether its source encloses the step."""


@dataclass(frozen=True, slots=True)
class Door:
    """The ways into one step, the latest first."""

    parent: Step | None
    inside: tuple[Way, ...]
    """From what its caller called too."""
    past: tuple[Way, ...]
    """Past its caller."""


class Doors:
    """The doors of one graph's steps."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._doors: dict[str, Door] = {}
        self._passing: dict[str, tuple[Step, ...]] = {}
        self.steps = {step.id: step for step in graph.nodes}
        """The graph's steps by their ids."""

    def of(self, step: Step) -> Door:
        """Return a step's door."""
        door = self._doors.get(step.id)
        if door is None:
            door = self._doors[step.id] = self._made(step)
        return door

    def passing(self, step: Step) -> tuple[Step, ...]:
        """Return what a way names that passes a step: of a handoff also its sender's turn, which carried the text."""
        found = self._passing.get(step.id)
        if found is None:
            sender = self._graph.parent(step) if step.kind == "handoff" else None
            found = (sender, step) if sender is not None and sender.kind == "agent" else (step,)
            self._passing[step.id] = found
        return found

    def _made(self, step: Step) -> Door:
        graph, parent = self._graph, self._graph.parent(step)
        edges = [edge for edge in reversed(graph.in_edges(step)) if edge.kind != "call"]
        inside = [parent is not None and graph.order.encloses(parent.id, edge.source.id) for edge in edges]
        return Door(
            parent,
            self._ways(step, [edge for edge, is_inside in zip(edges, inside, strict=True) if is_inside]),
            self._ways(step, [edge for edge, is_inside in zip(edges, inside, strict=True) if not is_inside]),
        )

    def _ways(self, step: Step, edges: Sequence[Edge]) -> tuple[Way, ...]:
        encloses = self._graph.order.encloses
        return tuple(Way(edge.source, edge.grade, encloses(edge.source.id, step.id)) for edge in edges)
