"""Handoffs that broke what the app had declared of them."""

from __future__ import annotations

from collections.abc import Iterator

from becausal import semconv
from becausal.finding import Finding
from becausal.findings.scene import Scene
from becausal.findings.way import way_to_output

__all__ = ["of_contracts"]


def of_contracts(scene: Scene) -> Iterator[Finding]:
    """Yield each breach that was found when a handoff arrived."""
    for handoff in scene.handoffs:
        breaches = handoff.step.attributes.get(semconv.CONTRACT_BREACHES, ())
        for said in breaches if isinstance(breaches, tuple) else ():
            start = handoff.sent_by or handoff.step
            yield Finding(
                kind="contract.broken",
                severity="error",
                confidence=1.0,
                step=handoff.step,
                message=f"{handoff.sender or '?'} owes {handoff.receiver or '?'} what did not come: {said}",
                evidence=(said,),
                agent=handoff.sender,
                path=way_to_output(scene.graph, start),
            )
