"""What the judges of memories share: how a finding about one is made, and which of two steps came first."""

from __future__ import annotations

from collections.abc import Iterator

from becausal.finding import Finding, FindingKind
from becausal.findings.scene import Scene
from becausal.findings.way import way_to_output
from becausal.graph import Graph
from becausal.payload import Payload
from becausal.step import Step

__all__ = ["head", "is_before", "memory_finding"]


def memory_finding(
    scene: Scene,
    kind: FindingKind,
    step: Step,
    message: str,
    confidence: float,
    evidence: tuple[str, ...],
    key: object,
    *,
    agent: str | None = None,
    wrong: tuple[str, ...] = (),
    right: tuple[str, ...] = (),
) -> Finding:
    """Return a finding about a memory, with its way to the output."""
    way = way_to_output(scene.graph, step)
    return Finding(
        kind=kind,
        severity="error" if len(way) > 1 else "warning",
        confidence=confidence,
        step=step,
        message=message,
        evidence=evidence,
        agent=agent or step.agent,
        key=key if isinstance(key, str) else None,
        path=way,
        wrong=wrong,
        right=right,
    )


def head(payload: Payload | None) -> tuple[str, ...]:
    """Return the beginning of what a payload says, as evidence quotes it; nothing where it was not kept."""
    return () if payload is None or not payload.is_kept else (payload.text()[:200],)


def is_before(graph: Graph, earlier: Step, later: Step) -> bool:
    """Return whether a step had ended before another began: by what caused what, or as turns that one caller took.

    Turns under one caller that do not overlap came one after the other: it waited for the first.
    """
    if graph.happens_before(earlier, later):
        return True
    callers = {step.id: turn for turn, step in _callers(graph, later)}
    for turn, caller in _callers(graph, earlier):
        if caller.id in callers:
            other = callers[caller.id]
            return turn.ended_ns is not None and turn.id != other.id and turn.ended_ns <= other.started_ns
    return False


def _callers(graph: Graph, step: Step) -> Iterator[tuple[Step, Step]]:
    """Yield the steps around a step, the innermost first, each with the step within it that leads to this one."""
    here, caller = step, graph.parent(step)
    while caller is not None:
        yield here, caller
        here, caller = caller, graph.parent(caller)
