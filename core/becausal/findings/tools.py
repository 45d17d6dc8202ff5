"""What is wrong with a run's tool calls: the built-in checks, and what the app's own validators found."""

from __future__ import annotations

from collections.abc import Iterator

from becausal.finding import Finding
from becausal.findings.scene import Scene
from becausal.findings.way import way_to_output
from becausal.step import Step
from becausal.toolcall import ToolCall
from becausal.toolchecks import Breach, check

__all__ = ["of_tools"]

SURE_ENOUGH = 0.5


def of_tools(scene: Scene) -> Iterator[Finding]:
    """Yield what is wrong with the tool calls of a run."""
    for breach in check(scene.graph):
        yield _finding(breach, scene)
    for step in scene.graph.nodes:
        if step.kind == "tool":
            yield from _invalid(step, scene)


def _finding(breach: Breach, scene: Scene) -> Finding:
    step = breach.call.step
    way = (step,) if breach.is_mended else way_to_output(scene.graph, step)
    is_mended = ", and a later call made up for it" if breach.is_mended else ""
    return Finding(
        kind=breach.kind,
        severity="note" if breach.is_mended else "error" if len(way) > 1 else "warning",
        confidence=breach.confidence,
        step=step,
        message=breach.message + is_mended,
        evidence=breach.evidence,
        agent=None if breach.kind != "tool.repeated" else step.agent,
        tool=step.name,
        path=way,
    )


def _invalid(step: Step, scene: Scene) -> Iterator[Finding]:
    for said in ToolCall(step).checks:
        way = way_to_output(scene.graph, step)
        yield Finding(
            kind="tool.invalid",
            severity="error" if len(way) > 1 else "warning",
            confidence=1.0,
            step=step,
            message=f"the answer of {step.name} did not pass the app's own check: {said}",
            evidence=(said,),
            tool=step.name,
            path=way,
        )
