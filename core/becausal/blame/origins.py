"""Who brought in what came from nowhere before: the user, a tool, a model, a memory, the app's own code."""

from __future__ import annotations

from collections.abc import Container
from typing import Final, Literal, get_args

from becausal import semconv
from becausal.graph import Graph
from becausal.step import EdgeKind, Step

__all__ = ["CARRY_OVER", "Origins", "Side", "Source"]

Side = Literal["received", "produced"]


TURNS = ("agent", "workflow", "handoff")

Source = Literal["user", "tool", "memory", "model", "agent", "unknown"]
"""What kind of thing brought content in. `agent`: the app's own code, in an agent or a workflow. `memory`: what was
there from before, be it read from a memory or carried over from an earlier run of the same conversation."""


EVERY_KIND: Final = frozenset(get_args(EdgeKind))

CARRY_OVER: Final = frozenset[EdgeKind](("memory", "resume"))
"""The kinds of causes by which work goes on from what earlier work left."""

BRING_ALONG: Final = EVERY_KIND - CARRY_OVER
"""The kinds of causes that are in the very content."""


class Origins:
    """Tells origins in one graph."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def of(self, step: Step, side: Side) -> tuple[Step, Source]:
        """Return who brought in what stands on a side of a step and came from nowhere before, and as what."""
        given_by = self._given_by(step) if side == "received" else None
        if given_by is not None:
            return given_by
        carried = side == "received" or step.kind in ("handoff", "workflow")
        if carried and (going_on := self._going_on_around(step)) is not None:
            return going_on, "memory"
        if side == "produced":
            return step, _source_of(step)
        # Nobody that we saw handed it over: the code around the step put it there.
        senders = [edge.source for edge in self._graph.in_edges(step) if edge.kind == "transfer"]
        parent = self._graph.parent(step) or step
        return (senders[-1] if step.kind == "handoff" and senders else parent), "agent"

    def _given_by(self, step: Step) -> tuple[Step, Source] | None:
        """Return who gave a step what it received, where that came from outside the run."""
        parent = self._graph.parent(step)
        # That a run goes on from another does not say that its caller gave it something old.
        if self.is_continued(step, BRING_ALONG if parent is None else EVERY_KIND):
            return step, "memory"
        if parent is None:
            return step, "user"
        # A turn under a request is given what the user gave; a tool or a memory there, what the app's own code did.
        return (parent, "user") if parent.kind == "request" and step.kind in TURNS else None

    def is_continued(self, step: Step, kinds: Container[EdgeKind] = EVERY_KIND) -> bool:
        """Return whether a cause of a step stands in another run, as in a conversation that goes on."""
        return any(cause.kind in kinds and self._graph.is_foreign(cause.source_id) for cause in step.causes)

    def _going_on_around(self, step: Step) -> Step | None:
        """Return the work, around a step or itself, that goes on from what another run left."""
        outer: Step | None = step
        while outer is not None and not self.is_continued(outer, CARRY_OVER):
            outer = self._graph.parent(outer)
        return outer


def _source_of(step: Step) -> Source:
    if step.attributes.get(semconv.SAID_BY) == "user":
        return "user"
    match step.kind:
        case "tool":
            return "tool"
        case "model":
            return "model"
        case "memory_read" | "memory_write":
            return "memory"
        case "handoff":
            return "unknown"
        case _:
            return "agent"
