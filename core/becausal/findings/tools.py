"""What is wrong with a run's tool calls: the built-in checks, and what the app's own validators found.

An answer that both refuse is one fault, and told once: of the kind that the built-in check knows, with the app's word
first. Where the two speak of different things (the answer came twice, and the app misses a field in it), both are told.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from becausal.finding import Finding, FindingKind
from becausal.findings.scene import Scene
from becausal.findings.way import way_to_output
from becausal.step import Step
from becausal.toolcall import ToolCall
from becausal.toolchecks import Breach, check

__all__ = ["of_tools"]

NO_GOOD: Final[tuple[FindingKind, ...]] = (
    "tool.empty",
    "tool.error_as_data",
    "tool.cut_off",
    "tool.partial",
    "tool.schema",
)
"""Kinds that say that the answer itself is no good, which is what a validator says."""


def of_tools(scene: Scene) -> Iterator[Finding]:
    """Yield what is wrong with the tool calls of a run."""
    refused = {
        step.id: said for step in scene.graph.nodes if step.kind == "tool" and (said := ToolCall(step).checks)
    }
    for breach in check(scene.graph):
        is_the_same = breach.kind in NO_GOOD and not breach.is_mended
        yield _finding(breach, scene, refused.pop(breach.call.step.id, ()) if is_the_same else ())
    for step_id, said in refused.items():
        step = scene.graph.step(step_id)
        for one in said:
            yield _invalid(step, one, scene)


def _finding(breach: Breach, scene: Scene, refused: tuple[str, ...]) -> Finding:
    step = breach.call.step
    way = (step,) if breach.is_mended else way_to_output(scene.graph, step)
    is_mended = ", and a later call made up for it" if breach.is_mended else ""
    by_the_app = f"{_told(step, '; '.join(refused))}; " if refused else ""
    return Finding(
        kind=breach.kind,
        severity="note" if breach.is_mended else "error" if len(way) > 1 else "warning",
        confidence=1.0 if refused else breach.confidence,
        step=step,
        message=by_the_app + breach.message + is_mended,
        evidence=(*refused, *breach.evidence),
        agent=None if breach.kind != "tool.repeated" else step.agent,
        tool=step.name,
        path=way,
    )


def _invalid(step: Step, said: str, scene: Scene) -> Finding:
    way = way_to_output(scene.graph, step)
    return Finding(
        kind="tool.invalid",
        severity="error" if len(way) > 1 else "warning",
        confidence=1.0,
        step=step,
        message=_told(step, said),
        evidence=(said,),
        tool=step.name,
        path=way,
    )


def _told(step: Step, said: str) -> str:
    return f"the answer of {step.name} did not pass the app's own check: {said}"
