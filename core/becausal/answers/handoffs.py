"""The handoffs of a run: each with the turns on both sides of it."""

from __future__ import annotations

from collections.abc import Mapping

from becausal import semconv
from becausal.graph import Graph
from becausal.handoff import Handoff
from becausal.step import Step

__all__ = ["handoffs_of"]


def handoffs_of(graph: Graph) -> tuple[Handoff, ...]:
    """Return every handoff of a run, in the order of sending."""
    receivers = {
        cause.source_id: step for step in graph.nodes for cause in step.causes if cause.kind == "transfer"
    }
    return tuple(_handoff(graph, step, receivers) for step in graph.nodes if step.kind == "handoff")


def _handoff(graph: Graph, step: Step, receivers: Mapping[str, Step]) -> Handoff:
    said = step.attributes
    sources = [cause.source_id for cause in step.causes if cause.kind == "transfer"]
    sent_by = _named(graph, said.get(semconv.TRANSFER_SENT_BY)) or _named(graph, next(iter(sources), None))
    received_by = _named(graph, said.get(semconv.TRANSFER_RECEIVED_BY)) or receivers.get(step.id)
    sender, receiver = said.get(semconv.TRANSFER_SOURCE), said.get(semconv.TRANSFER_TARGET_OWN)
    return Handoff(
        step,
        str(sender) if sender else None,
        str(receiver) if receiver else None,
        sent_by,
        received_by,
    )


def _named(graph: Graph, step_id: object) -> Step | None:
    return graph.step(step_id) if isinstance(step_id, str) and step_id in graph else None
