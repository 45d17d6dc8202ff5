"""Handoffs that broke what the app had declared of them.

What a contract misses was lost, cut or changed on the way, and the comparison of what was sent with what arrived says
so too. That is one fault, and told once: the app's word first, and what the comparison shows as its evidence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from becausal import semconv
from becausal.finding import Finding
from becausal.findings.scene import Scene
from becausal.findings.way import way_to_output

__all__ = ["of_contracts", "told_once"]

MISSED: Final = ("handoff.dropped", "handoff.truncated", "handoff.flattened", "handoff.mutated")
"""Kinds that say that something did not arrive as it was sent."""


def of_contracts(scene: Scene) -> Iterator[Finding]:
    """Yield each breach that was found when a handoff arrived."""
    for handoff in scene.handoffs:
        breaches = handoff.step.attributes.get(semconv.CONTRACT_BREACHES, ())
        for said in breaches if isinstance(breaches, tuple) else ():
            start = handoff.sent_by or handoff.step
            yield Finding(
                kind="contract.broken",
                severity="error",
                confidence=1.0,
                step=handoff.step,
                message=f"{handoff.sender or '?'} owes {handoff.receiver or '?'} what did not come: {said}",
                evidence=(said,),
                agent=handoff.sender,
                path=way_to_output(scene.graph, start),
            )


def told_once(found: Sequence[Finding]) -> list[Finding]:
    """Return the findings, those about a handoff that a broken contract tells of as well put to it as evidence.

    Whose fault it is the comparison knows better: nobody's but the way's, or that of whoever changed it in place.
    """
    broken = [one for one in found if one.kind == "contract.broken"]
    shown = {id(one): next((other for other in broken if _is_about(other, one)), None) for one in found}
    rest = [one for one in found if shown[id(one)] is None]
    for place, one in enumerate(rest):
        mine = [other for other in found if shown[id(other)] is one]
        if mine:
            rest[place] = replace(
                one,
                evidence=tuple(
                    dict.fromkeys((*one.evidence, *(row for other in mine for row in other.evidence)))
                ),
                agent=mine[0].agent,
                key=mine[0].key,
                wrong=tuple(word for other in mine for word in other.wrong),
                right=tuple(word for other in mine for word in other.right),
            )
    return rest


def _is_about(broken: Finding, one: Finding) -> bool:
    """Return whether a contract misses the very field that did not arrive, or all the words."""
    if one.kind not in MISSED or broken.step.id not in {one.step.id, *(step.id for step in one.path)}:
        return False
    field = re.split(r"[.\[\]]+", (one.key or "$").rstrip("]"))[-1]
    is_named = field != "$" and not field.isdigit() and _stands_in(field, broken.evidence[0])
    return is_named or (bool(one.right) and all(_stands_in(word, broken.evidence[0]) for word in one.right))


def _stands_in(word: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) is not None
