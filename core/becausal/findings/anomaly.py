"""Something is wrong, of no kind that is known: told from evidence that needs no knowledge of how the fault came about.

Asked last, and told only where no known kind of finding explains it: one at the same turn, at what it called, or at
anything that it goes back to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from becausal.finding import Finding, Severity
from becausal.findings.claims import hanging, superlatives
from becausal.findings.contradictions import contradictions, exchanges, shortened
from becausal.findings.coverage import uncovered
from becausal.findings.odd import Odd
from becausal.findings.oddities import breaks, foreign, odd_texts, stopped
from becausal.findings.scene import Scene
from becausal.findings.sources import disputed
from becausal.findings.turns import Turn, turns
from becausal.findings.way import way_to_output

__all__ = ["anomalies"]

OF_TURNS: Final[tuple[Callable[[Scene, Turn], Iterator[Odd]], ...]] = (
    contradictions,
    exchanges,
    shortened,
    superlatives,
    odd_texts,
    stopped,
    hanging,
)
"""Judges of one turn."""

OF_RUNS: Final[tuple[Callable[[Scene, Sequence[Turn]], Iterator[Odd]], ...]] = (
    breaks,
    foreign,
    uncovered,
    disputed,
)
"""Judges of a whole run's turns."""

PEOPLE: Final = re.compile(r"user|human|person|operator|customer|approver|proxy", re.IGNORECASE)
"""Names of those who speak for somebody outside, where no model speaks for them."""


def anomalies(scene: Scene, found: Sequence[Finding]) -> Iterator[Finding]:
    """Yield what is odd in a run and explained by none of the findings; of one turn the surest."""
    every = turns(scene)
    odd = [one for judge in OF_RUNS for one in judge(scene, every)]
    odd += [
        one for turn in every if _is_judged(scene, turn) for judge in OF_TURNS for one in judge(scene, turn)
    ]
    known = {finding.step.id for finding in found if finding.severity != "note"}
    told: set[str] = set()
    for one in sorted(odd, key=lambda one: (one.step.seq, -one.confidence)):
        about = _turn_of(scene, one)
        if about in told or _is_explained(scene, one, known):
            continue
        told.add(about)
        yield _finding(scene, one)


def _is_judged(scene: Scene, turn: Turn) -> bool:
    """Return whether what a turn says has to follow from what it was told: not if somebody outside had a say in it."""
    if any(edge.kind == "resume" for edge in scene.graph.in_edges(turn.step)):
        return False
    is_person = not turn.speaks and PEOPLE.search(turn.step.agent or turn.step.name) is not None
    return bool(turn.said) and bool(turn.heard) and not is_person


def _turn_of(scene: Scene, one: Odd) -> str:
    parent = scene.graph.parent(one.step) if one.step.kind != "agent" else None
    return parent.id if parent is not None and parent.kind == "agent" else one.step.id


def _is_explained(scene: Scene, one: Odd, known: set[str]) -> bool:
    """Return whether something of a known kind went wrong in the turn itself, or in what it goes back to."""
    if not known:
        return False
    turn = scene.graph.step(_turn_of(scene, one))
    inside = {step.id for step in scene.graph.nodes if step.parent_id == turn.id}
    before = {step.id for step in scene.graph.upstream(turn)}
    return bool(known & ({turn.id} | inside | before))


def _finding(scene: Scene, one: Odd) -> Finding:
    way = way_to_output(scene.graph, one.step)
    return Finding(
        kind="run.anomaly",
        severity=_severity(scene, one, len(way) > 1),
        confidence=one.confidence,
        step=one.step,
        message=one.message[:300],
        evidence=one.evidence,
        agent=one.step.agent if one.step.kind != "tool" else None,
        tool=one.step.name if one.step.kind == "tool" else None,
        path=way,
        wrong=(one.wrong,) if one.wrong else (),
        right=(one.right,) if one.right else (),
    )


def _severity(scene: Scene, one: Odd, is_on_the_way: bool) -> Severity:
    """Return `note` where somebody put it right, `error` where the answer has it."""
    answer = scene.answer.casefold()
    is_out = bool(one.wrong) and one.wrong.casefold() in answer
    if one.right and not is_out and one.right.casefold() in answer:
        return "note"
    return "error" if is_out and is_on_the_way else "warning"
