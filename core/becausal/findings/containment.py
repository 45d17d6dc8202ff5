"""What went wrong and was put right before the output: told as a note, so that nobody is blamed for what did no harm.

A value that took another one's place is contained where the answer has the right one and not the wrong one, where
nothing in the answer was reckoned from the wrong one, no tool did anything with it, and no memory keeps it. What a
model said from nowhere is contained with the change that it was part of. Whatever cannot be told stays what it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from becausal.facts import Fact, missing
from becausal.finding import Finding
from becausal.findings.said import Said
from becausal.findings.scene import Scene
from becausal.payload import Payload
from becausal.toolchecks.reading import EFFECTS, QUERIES

__all__ = ["with_containment"]

CHANGES: Final = ("drift.changed_fact", "handoff.mutated")
AMOUNTS: Final = ("money", "number", "quantity", "percent", "duration")
MOST_FIGURES: Final = 200


def with_containment(scene: Scene, found: Sequence[Finding]) -> list[Finding]:
    """Return the findings, those about something contained as notes."""
    held = {id(one): words for one in found if (words := _contained(scene, one)) is not None}
    wrong = {(one.agent, held[id(one)]) for one in found if id(one) in held}
    return [
        replace(one, severity="note", message=f"{one.message} (contained: the answer has it right)"[:400])
        if id(one) in held or _is_part(one, wrong)
        else one
        for one in found
    ]


def _is_part(one: Finding, wrong: set[tuple[str | None, str]]) -> bool:
    return one.kind == "model.ungrounded" and any((one.agent, words) in wrong for words in one.wrong)


def _contained(scene: Scene, one: Finding) -> str | None:
    """Return the wrong words of a change that did not reach the answer; None where it did, or may have."""
    if one.kind not in CHANGES or one.severity == "note" or not scene.answer:
        return None
    said = Said(one)
    if len(one.right) != 1 or len(one.wrong) != 1 or not said.wrong_facts:
        return None
    if not said.is_put_right(scene.answer_facts, scene.answer) or _was_used(scene, one, said.wrong_facts):
        return None
    return None if _is_reckoned_from(scene, said.wrong_facts) else one.wrong[0]


def _was_used(scene: Scene, one: Finding, wrong: Sequence[Fact]) -> bool:
    """Return whether a tool that does something was given the wrong value, or a memory keeps it."""
    return any(len(missing(wrong, scene.stated(payload)[0])) < len(wrong) for payload in _effects(scene, one))


def _effects(scene: Scene, one: Finding) -> Iterator[Payload | None]:
    for step in scene.graph.nodes:
        name = step.name.lower()
        if step.seq < one.step.seq:
            continue
        if step.kind == "memory_write" or (
            step.kind == "tool" and EFFECTS.search(name) and not QUERIES.search(name)
        ):
            yield step.received


def _is_reckoned_from(scene: Scene, wrong: Sequence[Fact]) -> bool:
    """Return whether a figure of the answer is what the wrong one makes with another figure of the answer."""
    mine = _sizes(wrong)
    there = _sizes(scene.answer_facts)[:MOST_FIGURES]
    others = set(there)
    return any(
        size * other in others or (other and size / other in others) for size in mine for other in there
    )


def _sizes(stated: Iterable[Fact]) -> list[Decimal]:
    found: list[Decimal] = []
    for fact in stated:
        value: Any = fact.value
        kind = fact.kind
        if kind == "limit":
            kind, value = value[1], value[2]
        if kind in AMOUNTS:
            size = value[0] if kind == "money" else value[1] if isinstance(value, tuple) else value
            found.append(Decimal(size))
    return found
