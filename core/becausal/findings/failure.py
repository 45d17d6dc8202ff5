"""A run that ended in an error, work that failed on the way and was passed over, and what could not be judged."""

from __future__ import annotations

from collections.abc import Iterator

from becausal import semconv
from becausal.finding import Finding
from becausal.findings.scene import Scene
from becausal.step import Step

__all__ = ["of_failures"]

BROKEN = ("error", "unfinished", "abandoned")
"""How a step ends that did not come to its end by itself."""


def of_failures(scene: Scene) -> Iterator[Finding]:
    """Yield what made each root fail, what failed below one that did not, and a note where no content was kept."""
    for root in scene.graph.roots:
        if root.status in BROKEN:
            yield _failed(scene, root)
        elif root.status == "ok":
            yield from _passed_over(scene, root)
    yield from _beyond_bounds(scene)
    payloads = [p for step in scene.graph.nodes for p in (step.received, step.produced) if p is not None]
    if payloads and not any(payload.is_kept for payload in payloads):
        beyond = any(semconv.LEFT_OUT in step.attributes for step in scene.graph.nodes)
        why = "the run was beyond max_run_bytes" if beyond else "capture is digest, or the bodies are gone"
        yield Finding(
            kind="run.anomaly",
            severity="note",
            confidence=1.0,
            step=scene.graph.nodes[0],
            message="nothing of the content was kept, so only the shape of this run could be judged",
            evidence=(f"not judged: {why}",),
        )


def _beyond_bounds(scene: Scene) -> Iterator[Finding]:
    """Yield a note for each bound that contents of this run went beyond: what is not kept is not judged."""
    cut = [
        s for s in scene.graph.nodes if any(p is not None and p.cut_down for p in (s.received, s.produced))
    ]
    left_out = [step for step in scene.graph.nodes if semconv.LEFT_OUT in step.attributes]
    for steps, done, bound in (
        (cut, "cut down", "max_payload_bytes"),
        (left_out, "left out", "max_run_bytes"),
    ):
        if steps:
            count = f"{len(steps)} step{'' if len(steps) == 1 else 's'}"
            yield Finding(
                kind="run.anomaly",
                severity="note",
                confidence=1.0,
                step=steps[0],
                message=f"the content of {count} was {done} ({bound}), and what is not kept is not judged",
                evidence=(f"a larger {bound} (BECAUSAL_{bound.upper()}) keeps it",),
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


def _passed_over(scene: Scene, root: Step) -> Iterator[Finding]:
    """Yield turns and model calls that failed, where nobody tried again and nothing else took their place."""
    waiting = [root]
    while waiting:
        step = waiting.pop()
        waiting.extend(scene.graph.children(step))
        if step.kind not in ("agent", "model") or step.status not in BROKEN or _was_handled(scene, step):
            continue
        if any(
            child.status in BROKEN and child.kind in ("agent", "model")
            for child in scene.graph.children(step)
        ):
            continue  # told where it began
        how = step.error or "did not come to its end"
        yield Finding(
            kind="run.anomaly",
            severity="warning",
            confidence=0.8,
            step=step,
            message=f"{step.kind} {step.name} failed, and the run went on without it: {how}"[:300],
            evidence=(how,),
            agent=step.agent,
            path=(step,),
        )


def _was_handled(scene: Scene, step: Step) -> bool:
    """Return whether it was tried again, something was done about it, or another one of its sort came after it."""
    if any(edge.kind in ("retry", "route", "resume") for edge in scene.graph.out_edges(step)):
        return True
    parent = scene.graph.parent(step)
    if parent is None:
        return False
    after = [
        child for child in scene.graph.children(parent) if child.seq > step.seq and child.kind == step.kind
    ]
    return any(child.status == "ok" for child in after) or (
        step.kind == "model" and parent.status not in BROKEN and parent.produced is not None
    )


def _failed_within(scene: Scene, step: Step) -> Step | None:
    """Return the last step within one that ended as it did; a failed attempt before is no cause of the end."""
    failed = [
        child
        for child in scene.graph.children(step)
        if child.status == step.status and child.kind != "handoff"
    ]
    return failed[-1] if failed else None
