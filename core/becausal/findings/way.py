"""How far something came: the way from where it entered to the run's output."""

from __future__ import annotations

from collections import deque

from becausal.graph import Graph
from becausal.step import Step

__all__ = ["way_to_output"]


def way_to_output(graph: Graph, step: Step) -> tuple[Step, ...]:
    """Return the shortest way on which a step's result came to the output, itself first; it alone where there is none.

    A way follows what was handed on: transfers, data, memory. Where there is none, it goes by what was returned to the
    caller.
    """
    output = graph.output_step
    if output is None or output.id == step.id:
        return (step,)
    came_from: dict[str, Step | None] = {step.id: None}
    waiting = deque([step])
    while waiting:
        here = waiting.popleft()
        for there in _next(graph, here):
            if there.id in came_from:
                continue
            came_from[there.id] = here
            if there.id == output.id:
                return tuple(reversed(_back(there, came_from)))
            waiting.append(there)
    return (step,)


def _next(graph: Graph, step: Step) -> list[Step]:
    handed = [edge.target for edge in graph.out_edges(step) if edge.kind != "call"]
    parent = graph.parent(step)
    return handed if parent is None else [*handed, parent]


def _back(step: Step, came_from: dict[str, Step | None]) -> list[Step]:
    way = [step]
    while (before := came_from[way[-1].id]) is not None:
        way.append(before)
    return way
