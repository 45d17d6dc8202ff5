"""How far something came: the way from where it entered to the run's output."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Iterable, Mapping

from becausal.graph import Graph
from becausal.step import Step

__all__ = ["carriers", "next_turns", "way_over", "way_to_output"]


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


def way_over(graph: Graph, step: Step, over: Step) -> tuple[Step, ...]:
    """Return the way from one step over another to the output; where none leads to the other, the two and the rest."""
    reached = _reached(step, lambda here: _next(graph, here))
    head = _back(over, reached) if over.id in reached else (step, over)
    return tuple(dict.fromkeys((*head, *way_to_output(graph, over))))


def carriers(
    graph: Graph, step: Step, *, past: Container[str] = (), kept: Mapping[str, Step] | None = None
) -> tuple[Step, ...]:
    """Return every step that carried a step's result towards the output, itself first, in the order of their beginning.

    A way is one of several where the result went to many who were heard together; these are all of them. Where the
    output is not reached (it was told to somebody, and not returned), they lead to the last step that was.

    Args:
        past: ids of steps through which it did not go on.
        kept: what `next_turns` says of this graph, where many are asked about.
    """
    output = graph.output_step
    if output is not None and output.id == step.id:
        return (step,)
    own = frozenset([output.id] if output is not None else ())
    later = next_turns(graph) if kept is None else kept

    def following(here: Step) -> list[Step]:
        own_next = later.get(here.id)
        return [*_next(graph, here), *([own_next] if own_next is not None else [])]

    reached = _reached(
        step, lambda here: [s for s in following(here) if s.id not in own and s.id not in past]
    )
    steps = {there.id: there for there, _ in reached.values()}
    turns = [there for there in steps.values() if output is not None and _is_turn_of(graph, there, output)]
    ends = turns or [there for there in steps.values() if there.kind != "handoff"] or list(steps.values())
    last = max(ends, key=lambda there: there.seq)
    leading: dict[str, list[str]] = {}
    for there in steps.values():
        for after in following(there):
            leading.setdefault(after.id, []).append(there.id)
    back, waiting = {last.id}, [last.id]
    while waiting:
        for before in leading.get(waiting.pop(), ()):
            if before not in back:
                back.add(before)
                waiting.append(before)
    found = [there for there in steps.values() if there.id in back or there.id == step.id]
    rest = sorted((there for there in found if there.id != step.id), key=lambda there: there.seq)
    way = [step, *rest]
    if turns and output is not None:
        waited, gave = _given_back(graph, output, last)
        if waited or not gave or any(turn.id in back for turn in gave):
            way += [*(turn for turn in waited if turn.id not in back), output]
    return tuple(way)


def next_turns(graph: Graph) -> dict[str, Step]:
    """Return, by the id of a turn that nobody took anything from, its agent's next turn: it kept what it was told."""
    later: dict[str, Step] = {}
    waiting: dict[tuple[str | None, str | None], Step] = {}
    for step in graph.nodes:
        if step.kind != "agent" or step.agent is None:
            continue
        who = step.parent_id, step.agent
        before = waiting.pop(who, None)
        if before is not None:
            later[before.id] = step
        if all(edge.kind == "call" for edge in graph.out_edges(step)):
            waiting[who] = step
    return later


def _given_back(graph: Graph, output: Step, last: Step) -> tuple[list[Step], list[Step]]:
    """Return the turns that gave the output as their own: those that had waited for the last turn, and all of them.

    An output that a turn gave before the last one began was given without it.
    """
    if output.produced is None:
        return [], []
    gave = [
        turn
        for turn in graph.children(output)
        if turn.kind == "agent"
        and turn.produced is not None
        and turn.produced.belief == output.produced.belief
    ]
    return [turn for turn in gave if turn.seq < last.seq and (turn.ended_ns or 0) >= last.started_ns], gave


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
