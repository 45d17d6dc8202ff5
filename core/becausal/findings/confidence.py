"""What was uncertain and became certain on its way: a hedge that got lost, a guess that was passed on as known."""

from __future__ import annotations

from collections.abc import Iterator

from becausal.decision import Decision
from becausal.facts import Fact, hedges_lost
from becausal.facts.fact import Key
from becausal.finding import Finding
from becausal.findings.scene import Scene
from becausal.step import Step

__all__ = ["of_confidence"]

LOW = 0.5
"""A decision below this is a guess."""

SPEAKERS = ("agent", "model", "tool", "memory_read", "request")
"""Kinds of steps whose statements are read."""

MOST_READ = 2_000
"""So many payloads of a run are read for hedges."""


def of_confidence(scene: Scene) -> Iterator[Finding]:
    """Yield statements that were hedged, or guessed, where they entered and are plain in the output."""
    output = scene.graph.output_step
    if output is None or not scene.output:
        return
    said = _said(scene)
    yield from _unhedged(scene, said, output)
    yield from _guessed(scene, output)


def _said(scene: Scene) -> list[tuple[Step, tuple[Fact, ...]]]:
    found = []
    for step in scene.graph.nodes:
        payload = step.produced
        if step.kind in SPEAKERS and payload is not None:
            found.append((step, scene.stated(payload)[0]))
            if len(found) >= MOST_READ:
                break
    # Whoever waits for others says it after them, though he began before.
    return sorted(found, key=lambda row: (scene.ends[row[0].id], -row[0].seq))


def _unhedged(scene: Scene, said: list[tuple[Step, tuple[Fact, ...]]], output: Step) -> Iterator[Finding]:
    first_hedged: dict[Key, tuple[Step, Fact]] = {}
    first_plain: dict[Key, Step] = {}
    for step, stated in said:
        for fact in stated:
            if fact.hedge is not None:
                first_hedged.setdefault(fact.key, (step, fact))
            else:
                first_plain.setdefault(fact.key, step)
    hedged = [fact for _, fact in first_hedged.values()]
    for before, after in hedges_lost(hedged, scene.answer_facts):
        entered, _ = first_hedged[before.key]
        lost_by = first_plain.get(before.key, output)
        if scene.ends[entered.id] > scene.ends[lost_by.id]:
            continue  # it was known before anybody doubted it
        if (
            lost_by.id not in {step.id for step in scene.graph.downstream(entered)}
            and lost_by.id != output.id
        ):
            continue  # somebody else knew it, from elsewhere
        if any(fact.hedge is not None and fact.key == after.key for fact in scene.answer_facts):
            continue
        yield Finding(
            kind="confidence.inflated",
            severity="error",
            confidence=0.8,
            step=lost_by,
            message=f"{before.text!r} was uncertain ({before.hedge}) and is told as certain",
            evidence=(f"{before.hedge} {before.text}", after.text),
            agent=lost_by.agent,
            path=_path(scene, entered, lost_by, output),
        )


def _guessed(scene: Scene, output: Step) -> Iterator[Finding]:
    for step in scene.graph.nodes:
        for choice in step.choices:
            sure = Decision(step, choice).confidence
            if sure is None or sure.score >= LOW:
                continue
            stated = [fact for fact in scene.stated(step.produced)[0] if fact.hedge is None]
            plain = {fact.key: fact for fact in scene.answer_facts if fact.hedge is None}
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
                path=_path(scene, step, output, output),
            )


def _was_known(scene: Scene, step: Step, passed_on: list[Fact]) -> bool:
    """Return whether what a guess says stood in what it was given."""
    given = {fact.key for fact in scene.stated(step.received)[0]}
    return all(fact.key in given for fact in passed_on)


def _path(scene: Scene, entered: Step, lost_by: Step, output: Step) -> tuple[Step, ...]:
    way = [entered, *(step for step in scene.graph.downstream(entered) if step.seq <= output.seq)]
    marks = [step for step in way if step.id in (entered.id, lost_by.id, output.id)]
    return tuple(dict.fromkeys(marks))
