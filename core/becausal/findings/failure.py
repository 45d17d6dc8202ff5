"""A run that ended in an error, and what could not be judged."""

from __future__ import annotations

from collections.abc import Iterator

from becausal.finding import Finding
from becausal.findings.scene import Scene
from becausal.step import Step

__all__ = ["of_failures"]

BROKEN = ("error", "unfinished", "abandoned")
"""How a step ends that did not come to its end by itself."""


def of_failures(scene: Scene) -> Iterator[Finding]:
    """Yield what made each root fail, and a note where nothing of the content was kept."""
    for root in scene.graph.roots:
        if root.status in BROKEN:
            yield _failed(scene, root)
    payloads = [p for step in scene.graph.nodes for p in (step.received, step.produced) if p is not None]
    if payloads and not any(payload.is_kept for payload in payloads):
        yield Finding(
            kind="run.anomaly",
            severity="note",
            confidence=1.0,
            step=scene.graph.nodes[0],
            message="nothing of the content was kept, so only the shape of this run could be judged",
            evidence=("not judged: capture is digest, or the bodies are gone",),
        )


def _failed(scene: Scene, root: Step) -> Finding:
    way = [root]
    while (inner := _failed_within(scene, way[-1])) is not None:
        way.append(inner)
    first = way[-1]
    how = first.error or ("did not come to its end" if first.status != "error" else "failed")
    return Finding(
        kind="run.anomaly",
        severity="error",
        confidence=1.0,
        step=first,
        message=f"the run ended in an error: {first.kind} {first.name}: {how}"[:300],
        evidence=(how,),
        agent=first.agent,
        tool=first.name if first.kind == "tool" else None,
        path=tuple(reversed(way)),
    )


def _failed_within(scene: Scene, step: Step) -> Step | None:
    """Return the last step within one that ended as it did; a failed attempt before is no cause of the end."""
    failed = [
        child
        for child in scene.graph.children(step)
        if child.status == step.status and child.kind != "handoff"
    ]
    return failed[-1] if failed else None
