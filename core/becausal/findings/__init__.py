"""What is wrong in a loaded run, with the evidence. Nothing here runs while the app does."""

from __future__ import annotations

from collections.abc import Sequence

from becausal.finding import SEVERITIES, Finding
from becausal.findings.delivery import delivered
from becausal.findings.handoff import MOST_HANDOFFS, Scene, judged
from becausal.graph import Graph
from becausal.handoff import Handoff

__all__ = ["find"]


def find(graph: Graph, handoffs: Sequence[Handoff]) -> tuple[Finding, ...]:
    """Return a run's findings, in the order in which they entered; the worst first where they entered at once."""
    scene = Scene(graph, handoffs)
    found = delivered(scene)
    for handoff in handoffs[:MOST_HANDOFFS]:
        found += judged(handoff, scene)
    # One fault of one step, seen by each of its receivers, is told once.
    once = {(f.kind, f.step.id, f.key, f.evidence): f for f in reversed(found)}
    return tuple(
        sorted(once.values(), key=lambda f: (f.step.seq, -SEVERITIES.index(f.severity), -f.confidence))
    )
