"""What was uncertain and became certain on its way: a hedge that got lost, a guess that was passed on as known."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

from becausal.decision import Decision
from becausal.facts import Fact, hedges_lost
from becausal.facts.claims import claims
from becausal.finding import Finding
from becausal.findings.scene import Scene
from becausal.findings.way import way_over, way_to_output
from becausal.step import Step

__all__ = ["of_confidence"]

LOW = 0.5
"""A decision below this is a guess."""

SPEAKERS = ("agent", "model", "tool", "memory_read", "request")
"""Kinds of steps whose statements are read."""

SOURCES = ("tool", "memory_read")
"""Kinds of steps from which one learns what is so."""

MOST_READ = 2_000
"""So many payloads of a run are read for hedges."""

MOST_CLAIMS = 200
"""So many clauses of an answer are looked for."""


def of_confidence(scene: Scene) -> Iterator[Finding]:
    """Yield statements that were hedged, or guessed, where they entered and are plain in the output."""
    output = scene.graph.output_step
    if output is None or not scene.output:
        return
    speakers = _speakers(scene)
    told = list(_unhedged(scene, speakers, output))
    yield from told
    known = {(finding.path[0].id, finding.step.id) for finding in told}
    for finding in _claimed(scene, speakers, output):
        if (finding.path[0].id, finding.step.id) not in known:  # else told by its figures
            yield finding
    yield from _guessed(scene, output)


def _speakers(scene: Scene) -> list[Step]:
    """Return the steps that say something, as they came to say it."""
    found = [step for step in scene.graph.nodes if step.kind in SPEAKERS and step.produced is not None]
    # Whoever waits for others says it after them, though he began before.
    return sorted(found[:MOST_READ], key=lambda step: (scene.ends[step.id], -step.seq))


def _unhedged(scene: Scene, speakers: Sequence[Step], output: Step) -> Iterator[Finding]:
    """Figures, dates, names."""
    said = [
        (step, fact.key, fact.hedge, fact) for step in speakers for fact in scene.stated(step.produced)[0]
    ]
    doubted, sure = _first(said), _first_sure(scene, said)
    for before, after in hedges_lost([fact for _, fact in doubted.values()], scene.told[0]):
        if any(fact.hedge is not None and fact.key == after.key for fact in scene.told[0]):
            continue
        entered, lost_by = doubted[before.key][0], sure.get(before.key, output)
        if _was_lost(scene, entered, lost_by, output):
            evidence = f"{before.hedge} {before.text}", after.text
            yield _finding(scene, entered, lost_by, before.text, before.hedge, evidence, 0.8)


def _claimed(scene: Scene, speakers: Sequence[Step], output: Step) -> Iterator[Finding]:
    """What is said without a figure: `maybe the parser drops a row`."""
    answer = [claim for claim in claims(scene.told[1]) if claim.hedge is None]
    if not answer:
        return
    said = [
        (step, claim.stems, claim.hedge, claim)
        for step in speakers
        for claim in claims(scene.stated(step.produced)[1])
    ]
    doubted, sure = _first(said), _first_sure(scene, said)
    still = {claim.stems for claim in claims(scene.told[1]) if claim.hedge is not None}
    for claim in answer[:MOST_CLAIMS]:
        if claim.stems not in doubted or claim.stems in still or _was_looked_up(scene, speakers, claim.stems):
            continue
        entered, before = doubted[claim.stems]
        lost_by = sure.get(claim.stems, output)
        if _was_lost(scene, entered, lost_by, output):
            evidence = before.text, claim.text
            yield _finding(scene, entered, lost_by, claim.text[:100], before.hedge, evidence, 0.7)


def _was_looked_up(scene: Scene, speakers: Sequence[Step], stems: frozenset[str]) -> bool:
    """Return whether a tool or a memory said all the words of a claim."""
    return any(
        all(word in scene.stated(step.produced)[1].lower() for word in stems)
        for step in speakers
        if step.kind in SOURCES
    )


Said = TypeVar("Said")
Same = TypeVar("Same", bound=Hashable)


def _first(said: Iterable[tuple[Step, Same, str | None, Said]]) -> dict[Same, tuple[Step, Said]]:
    """Return who first said each thing with a hedge."""
    found: dict[Same, tuple[Step, Said]] = {}
    for step, same, hedge, one in said:
        if hedge is not None:
            found.setdefault(same, (step, one))
    return found


def _first_sure(scene: Scene, said: Iterable[tuple[Step, Same, str | None, Said]]) -> dict[Same, Step]:
    """Return who first said each thing without a hedge."""
    found: dict[Same, Step] = {}
    for step, same, hedge, _ in said:
        if hedge is None:
            found.setdefault(same, step)
    return found


def _was_lost(scene: Scene, entered: Step, lost_by: Step, output: Step) -> bool:
    """Return whether it was certain only after somebody had doubted it, and nobody had looked it up."""
    if lost_by.kind in SOURCES:
        return False
    if scene.ends[entered.id] > scene.ends[lost_by.id]:
        return False  # it was known before anybody doubted it
    if lost_by.id == output.id:
        return True
    return any(step.id == lost_by.id for step in scene.graph.downstream(entered))  # else known from elsewhere


def _finding(
    scene: Scene,
    entered: Step,
    lost_by: Step,
    said: str,
    hedge: str | None,
    evidence: tuple[str, ...],
    confidence: float,
) -> Finding:
    return Finding(
        kind="confidence.inflated",
        severity="error",
        confidence=confidence,
        step=lost_by,
        message=f"{said!r} was uncertain ({hedge}) and is told as certain",
        evidence=evidence,
        agent=lost_by.agent,
        path=way_over(scene.graph, entered, lost_by),
    )


def _guessed(scene: Scene, output: Step) -> Iterator[Finding]:
    for step in scene.graph.nodes:
        for choice in step.choices:
            sure = Decision(step, choice).confidence
            if sure is None or sure.score >= LOW:
                continue
            stated = [fact for fact in scene.stated(step.produced)[0] if fact.hedge is None]
            plain = {fact.key: fact for fact in scene.told[0] if fact.hedge is None}
            passed_on = [fact for fact in stated if fact.key in plain]
            if not passed_on or step.id not in scene.leads_to_output or _was_known(scene, step, passed_on):
                continue
            yield Finding(
                kind="confidence.inflated",
                severity="error",
                confidence=0.75,
                step=step,
                message=f"{passed_on[0].text!r} was a guess ({sure.score:.2f}) and is told as certain",
                evidence=(choice.conclusion[:200], f"{sure.score:.2f} {sure.method}"),
                agent=step.agent,
                path=way_to_output(scene.graph, step),
            )


def _was_known(scene: Scene, step: Step, passed_on: list[Fact]) -> bool:
    """Return whether what a guess says stood in what it was given."""
    given = {fact.key for fact in scene.stated(step.received)[0]}
    return all(fact.key in given for fact in passed_on)
