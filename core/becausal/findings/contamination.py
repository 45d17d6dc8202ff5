"""How far something wrong came by way of a memory: from where it entered, over the write, to every reader."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from becausal import semconv
from becausal.facts.fact import Key
from becausal.finding import Finding
from becausal.findings.scene import Scene
from becausal.memory_view import content_of
from becausal.step import Step

__all__ = ["contaminated"]

KINDS = (
    "tool.",
    "model.",
    "handoff.mutated",
    "handoff.injected",
    "drift.changed_fact",
    "memory.retracted_read",
)
"""Kinds of findings after which a content is wrong, and not only missing."""


def contaminated(scene: Scene, found: Sequence[Finding]) -> Iterator[Finding]:
    """Yield each write to a memory that kept what a finding says is wrong, with those who read it."""
    told: set[str] = set()
    for finding in found:
        if finding.severity == "note" or not finding.kind.startswith(KINDS):
            continue
        wrong = {fact.key for fact in scene.stated(finding.step.produced)[0]}
        for write in scene.graph.downstream(finding.step) if wrong else ():
            if write.id in told or not _keeps(scene, write, wrong):
                continue
            readers = [edge.target for edge in scene.graph.out_edges(write) if edge.kind == "memory"]
            if readers:
                told.add(write.id)
                yield _finding(scene, finding, write, readers)


def _keeps(scene: Scene, write: Step, wrong: set[Key]) -> bool:
    if write.kind != "memory_write" or write.attributes.get(semconv.MUTATED) is True:
        return False
    return any(fact.key in wrong for fact in scene.stated(content_of(write))[0])


def _finding(scene: Scene, finding: Finding, write: Step, readers: Sequence[Step]) -> Finding:
    key = write.attributes.get(semconv.MEMORY_RECORD)
    name = f"{write.attributes.get(semconv.MEMORY_STORE, write.name)}/{key}"
    who = list(dict.fromkeys(reader.agent or reader.name for reader in readers))
    return Finding(
        kind="memory.contaminated",
        severity="error" if any(reader.id in scene.leads_to_output for reader in readers) else "warning",
        confidence=min(finding.confidence, 0.9),
        step=write,
        message=f"{name} keeps what is wrong ({finding.kind}), and was read by {', '.join(who)}",
        evidence=finding.evidence[:2],
        agent=write.agent,
        key=key if isinstance(key, str) else None,
        path=(finding.step, write, *readers),
    )
