"""What a model said that nothing it was given says, nor follows from it.

A figure, a date, an identifier or an address that stands in an answer, and neither in what the model was given, nor
in what can be reckoned from that (`becausal.facts.derived`), nor in what anybody in the run had said, read in a memory
or computed before, it has from nowhere. Whether that is wrong nobody can say without knowing more: a model may know.
So it is a warning where the model had been given material to answer from, and a note where it had none.

A name is not judged: what a model writes in capitals is too often none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from becausal.facts import Fact, missing
from becausal.facts.derived import Given, figure_of, follows_from
from becausal.facts.growing import Growing
from becausal.finding import Finding, Severity
from becausal.findings.scene import Scene
from becausal.findings.way import way_to_output
from becausal.step import Step

__all__ = ["figure_of", "follows_from", "of_grounding"]

JUDGED: Final = frozenset(("money", "percent", "quantity", "date", "id", "email", "url", "number"))
MATERIAL: Final = frozenset((*JUDGED, "duration", "limit"))
LEAVES: Final = frozenset(("model", "tool", "memory_read"))
"""Kinds of steps that say something of their own; what others produce was said within them."""

SMALLEST: Final = 100
"""A plain number below this counts things, or steps."""
MOST_TOLD: Final = 5


def of_grounding(scene: Scene) -> Iterator[Finding]:
    """Yield what models said from nowhere."""
    known: set[object] = set()  # what anybody in this run had said or been told before
    told: Growing[None] = Growing()  # of what a turn was told most had been told before
    read: set[str] = set()
    for step in scene.graph.nodes:
        for payload in (step.received, step.produced if step.kind in LEAVES else None):
            if payload is None or payload.digest in read:
                continue
            read.add(payload.digest)
            if step.kind == "model" and payload is step.produced:
                for fact, has_material in _from_nowhere(scene, step)[:MOST_TOLD]:
                    if fact.key not in known:
                        yield _finding(scene, step, fact, has_material)
            stated = scene.stated(payload)[0]
            length, _ = told.take(None, stated) or (0, None)
            known.update(fact.key for fact in stated[length:])
            told.put(None, stated, None)


def _from_nowhere(scene: Scene, step: Step) -> list[tuple[Fact, bool]]:
    given, given_text = scene.stated(step.received)
    if not given_text:
        return []
    has_material = any(fact.kind in MATERIAL and not _is_small(fact) for fact in given)
    known = Given(given)
    new = missing(scene.stated(step.produced)[0], given, text=given_text)
    words = given_text.casefold() if new else ""
    return [
        (fact, has_material)
        for fact in new
        if fact.kind in JUDGED
        and not ("tool_calls" in fact.path and fact.path[-1] == "id")  # a call's own number is no statement
        and not _is_small(fact)
        and not _is_part(fact, words)
        and not known.leads_to(fact)
    ]


def _finding(scene: Scene, step: Step, fact: Fact, has_material: bool) -> Finding:
    way = way_to_output(scene.graph, step)
    is_out = any(stated.key == fact.key for stated in scene.output_facts)
    severity: Severity = (
        "note" if not has_material or fact.hedge is not None else "error" if is_out else "warning"
    )
    return Finding(
        kind="model.ungrounded",
        severity=severity,
        confidence=0.7 if has_material else 0.4,
        step=step,
        message=f"{step.agent or step.name} says {fact.text!r}, which nothing that it was given says",
        evidence=(fact.text,),
        agent=step.agent,
        path=way if is_out else (step,),
        wrong=(fact.text,),
    )


def _is_small(fact: Fact) -> bool:
    value: Any = fact.value
    return fact.kind == "number" and abs(value) < SMALLEST


def _is_part(fact: Fact, words: str) -> bool:
    """Return whether a fact's words stand in those of what was given, as part of something longer."""
    return len(fact.text) >= SHORTEST_PART and fact.text.casefold() in words


SHORTEST_PART: Final = 4
