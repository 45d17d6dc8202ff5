"""How far something came: the way from where it entered to the run's output."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from becausal.graph import Graph
from becausal.step import Step

__all__ = ["way_to_output"]


def way_to_output(graph: Graph, step: Step) -> tuple[Step, ...]:
    """Return the way on which a step's result came to the output, itself first; it alone where there is none.

    A way follows what was handed on (transfers, data, memory), and within a turn what was returned to whoever called.
    Of the turns that it reaches the last one put the output out. Where nothing was handed on, the way goes by what was
    returned alone.
    """
    output = graph.output_step
    if output is None or output.id == step.id:
        return (step,)
    reached = _reached(step, lambda here: [s for s in _next(graph, here) if s.id != output.id])
    turns = [there for there, _ in reached.values() if _is_turn_of(graph, there, output)]
    if turns:
        return (*_back(max(turns, key=lambda turn: turn.seq), reached), output)
    reached = _reached(step, lambda here: _next(graph, here))
    return _back(output, reached) if output.id in reached else (step,)


Reached = dict[str, tuple[Step, Step | None]]
"""By id: a step, and the one before it on the shortest way."""


def _reached(step: Step, following: Callable[[Step], Iterable[Step]]) -> Reached:
    reached: Reached = {step.id: (step, None)}
    waiting = deque([step])
    while waiting:
        here = waiting.popleft()
        for there in following(here):
            if there.id not in reached:
                reached[there.id] = there, here
                waiting.append(there)
    return reached


def _next(graph: Graph, step: Step) -> list[Step]:
    handed = [edge.target for edge in graph.out_edges(step) if edge.kind != "call"]
    parent = graph.parent(step)
    return handed if parent is None else [*handed, parent]


def _is_turn_of(graph: Graph, step: Step, output: Step) -> bool:
    parent = graph.parent(step)
    return parent is not None and parent.id == output.id and step.kind != "handoff"


def _back(step: Step, reached: Reached) -> tuple[Step, ...]:
    way, before = [step], reached[step.id][1]
    while before is not None:
        way.append(before)
        before = reached[before.id][1]
    return tuple(reversed(way))
