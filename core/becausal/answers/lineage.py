"""Lineage: what led to a step, and what came of it.

Nothing is weighed here. Whatever could have had an influence is in it, however unlikely, since a cause left
out would be a wrong answer; nearest first, so that the likely ones come first all the same. Blame is the
narrow answer.

Two things are told beside: how sure each step's part in it is, and which steps no way goes around. Those are where
something could have been stopped.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from becausal.answers.dominators import dominators
from becausal.errors import StepNotFoundError
from becausal.graph import Graph
from becausal.graph.edge import Edge, worst
from becausal.handoff import Handoff
from becausal.harmless import legible
from becausal.step import Grade, Step

__all__ = ["Lineage", "impact", "passed_by_all", "why"]


@dataclass(frozen=True)
class Lineage:
    """The steps on one side of a step, and the edges between them."""

    of: Step
    """The step that was asked about; not among `steps`."""
    steps: tuple[Step, ...]
    """Nearest first."""
    edges: tuple[Edge, ...]
    """Those between these steps and to or from `of`; in the order of the steps that they lead to or from."""
    dominators: tuple[Step, ...] = ()
    """The steps that every way passes, cause first: upstream, from what the run was given to `of`; downstream, from
    `of` to the run's output. Empty where there are ways around each of them."""
    goes_on: tuple[Step, ...] = ()
    """Of a run that is loaded in part: the steps whose way goes on in what is not loaded, in `seq` order."""

    @cached_property
    def grades(self) -> Mapping[str, Grade]:
        """By the id of each step: how sure it is that there is a way between it and `of`.

        A way is as sure as its weakest edge; of several ways the surest counts. A step without a way along the edges
        is `inferred`.
        """
        beside: dict[str, list[tuple[Step, Grade]]] = {}
        for edge in self.edges:
            beside.setdefault(edge.source.id, []).append((edge.target, edge.grade))
            beside.setdefault(edge.target.id, []).append((edge.source, edge.grade))
        surest = _surest(self.of, beside)
        return {step.id: surest.get(step.id, "inferred") for step in self.steps}

    @legible
    def __str__(self) -> str:
        passed = {step.id for step in self.dominators}
        lines = [f"{self.of.id[:8]} {self.of.kind} {self.of.name}"]
        lines += [
            f"  {edge.source.kind} {edge.source.name} -> {edge.target.kind} {edge.target.name}"
            f"  ({edge.kind}, {edge.grade}{': ' + edge.evidence if edge.evidence else ''})"
            for edge in self.edges
        ]
        if passed:
            lines.append(
                "no way goes around: " + ", ".join(f"{one.kind} {one.name}" for one in self.dominators)
            )
        return "\n".join(lines)

    @legible
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
    part = graph.part
    cut = (
        () if part is None else tuple(sorted(filter(part.is_cut, (target, *steps)), key=lambda one: one.seq))
    )
    # What is passed by all that is loaded need not be passed by all there is.
    passed = () if cut else tuple(passed_by_all(graph, None, target))
    return Lineage(target, tuple(steps), _nearest_first(edges, target, steps), passed, cut)


def impact(graph: Graph, of: Step | Handoff | str) -> Lineage:
    """Return everything downstream of a step or of a handoff.

    Raises:
        StepNotFoundError: there is no such step.
    """
    origin = graph.step(of)
    steps = graph.downstream(origin)
    members = {step.id for step in steps} | {origin.id}
    edges = [edge for step in (origin, *steps) for edge in graph.out_edges(step) if edge.target.id in members]
    output = graph.output_step
    passed = [] if output is None or output.id == origin.id else passed_by_all(graph, origin, output)
    goes_on = () if graph.part is None else (origin,)  # nothing tells what later steps took from it
    return Lineage(origin, tuple(steps), _nearest_first(edges, origin, steps), tuple(passed), goes_on)


def passed_by_all(graph: Graph, origin: Step | None, goal: Step) -> list[Step]:
    """Return the steps whose result every way from one step to another passes, cause first; neither of the two.

    A step is passed where its end is, on the clock of two events a step (`becausal.graph.order`). Two sorts of ways are
    left out, which would go around everything: what a step that calls others does with its input by itself, and what a
    caller alone may have handed to a step of which the record, or its content, names other causes.

    Args:
        graph: of both.
        origin: None for whatever the run began with.
        goal: the step that the ways lead to.
    """
    steps = graph.nodes
    at = {step.id: i for i, step in enumerate(steps)}
    callers = {at[step.parent_id] for step in steps if step.parent_id in at}
    caused = {at[edge.target.id] for edge in graph.edges if edge.kind != "call"}
    around = {(2 * caller, 2 * caller + 1) for caller in callers}
    around |= {(2 * at[steps[i].parent_id or ""], 2 * i) for i in caused if steps[i].parent_id in at}
    after = [
        [other for other in later if (event, other) not in around]
        for event, later in enumerate(graph.order.after)
    ]
    if origin is not None:
        starts = [2 * at[origin.id] + 1]
    else:
        led_to = {other for later in after for other in later}
        starts = [event for event in range(0, len(after), 2) if event not in led_to]
    ends = dominators(after, starts, 2 * at[goal.id] + 1)
    return [steps[event // 2] for event in ends if event % 2]


def _surest(of: Step, beside: Mapping[str, Sequence[tuple[Step, Grade]]]) -> dict[str, Grade]:
    """Return by id the grade of the surest way between a step and each other one (Dijkstra, by the weakest edge)."""
    found: dict[str, Grade] = {}
    waiting: list[tuple[int, int, str]] = [(0, 0, of.id)]
    order: tuple[Grade, ...] = ("declared", "observed", "matched", "inferred")
    count = 0
    while waiting:
        rank, _, here = heapq.heappop(waiting)
        if here in found:
            continue
        found[here] = order[rank]
        for other, grade in beside.get(here, ()):
            if other.id not in found:
                count += 1
                heapq.heappush(waiting, (order.index(worst(order[rank], grade)), count, other.id))
    del found[of.id]
    return found


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
