"""What a model said that nothing it was given says, nor follows from it.

A figure, a date, an identifier or an address that stands in an answer, and neither in what the model was given, nor
in what a sum, a difference, a product, a share or a rounding makes of that, nor in what anybody in the run had said
before, it has from nowhere. Whether that is wrong
nobody can say without knowing more: a model may know. So it is a warning where the model had been given material to
answer from, and a note where it had none.

A name is not judged: what a model writes in capitals is too often none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import combinations
from typing import Any, Final

from becausal.facts import Fact, missing
from becausal.finding import Finding, Severity
from becausal.findings.scene import Scene
from becausal.findings.way import way_to_output
from becausal.step import Step

__all__ = ["follows_from", "of_grounding"]

JUDGED: Final = frozenset(("money", "percent", "quantity", "date", "id", "email", "url", "number"))
MATERIAL: Final = frozenset((*JUDGED, "duration", "limit"))
AMOUNTS: Final = frozenset(("money", "percent", "quantity", "number", "duration"))

LEAVES: Final = frozenset(("model", "tool", "memory_read"))
"""Kinds of steps that say something of their own; what others produce was said within them."""

MOST_NUMBERS: Final = 60
"""Beside more figures than this, nearly every figure is the sum or the share of some of them."""
SMALLEST: Final = 100
"""A plain number below this counts things, or steps."""
MOST_TOLD: Final = 5


def of_grounding(scene: Scene) -> Iterator[Finding]:
    """Yield what models said from nowhere."""
    known: set[object] = set()  # what anybody in this run had said or been told before
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
            known.update(fact.key for fact in scene.stated(payload)[0])


def _from_nowhere(scene: Scene, step: Step) -> list[tuple[Fact, bool]]:
    given, given_text = scene.stated(step.received)
    if not given_text:
        return []
    has_material = any(fact.kind in MATERIAL and not _is_small(fact) for fact in given)
    numbers = [size for fact in given if (size := _size(fact)) is not None]
    new = missing(scene.stated(step.produced)[0], given, text=given_text)
    return [
        (fact, has_material)
        for fact in new
        if fact.kind in JUDGED
        and not _is_small(fact)
        and not _is_part(fact, given_text)
        and not _follows(fact, numbers)
    ]


def _finding(scene: Scene, step: Step, fact: Fact, has_material: bool) -> Finding:
    way = way_to_output(scene.graph, step)
    is_out = any(stated.key == fact.key for stated in scene.output_facts)
    severity: Severity = "note" if not has_material else "error" if is_out else "warning"
    return Finding(
        kind="model.ungrounded",
        severity=severity,
        confidence=0.7 if has_material else 0.4,
        step=step,
        message=f"{step.agent or step.name} says {fact.text!r}, which nothing that it was given says",
        evidence=(fact.text,),
        agent=step.agent,
        path=way if is_out else (step,),
    )


def _is_small(fact: Fact) -> bool:
    value: Any = fact.value
    return fact.kind == "number" and abs(value) < SMALLEST


def _is_part(fact: Fact, given: str) -> bool:
    """Return whether a fact's words stand in what was given, as part of something longer."""
    return len(fact.text) >= SHORTEST_PART and fact.text.casefold() in given.casefold()


SHORTEST_PART: Final = 4


def _size(fact: Fact) -> Decimal | None:
    value: Any = fact.value
    if fact.kind == "limit":
        return value[2][0] if value[1] == "money" else value[2] if isinstance(value[2], Decimal) else None
    if fact.kind == "money":
        return Decimal(value[0])
    if fact.kind in ("quantity", "duration"):
        return Decimal(value[1])
    return Decimal(value) if fact.kind in ("number", "percent") else None


def _follows(fact: Fact, numbers: Sequence[Decimal]) -> bool:
    size = _size(fact) if fact.kind in AMOUNTS else None
    return size is not None and follows_from(size, numbers)


def follows_from(size: Decimal, numbers: Sequence[Decimal]) -> bool:
    """Return whether a figure is one of others rounded or scaled, their sum or mean, or what two of them make.

    Rounded means: equal in all the digits that it has. True where there are too many others to tell.
    """
    there = list(dict.fromkeys(number for number in numbers if number.is_finite()))[: MOST_NUMBERS + 1]
    if len(there) > MOST_NUMBERS:
        return True
    if not there:
        return False
    made: list[Decimal] = [
        *there,
        sum(there, ZERO),
        sum(there, ZERO) / len(there),
        Decimal(len(numbers)),
        sum(numbers, ZERO),
    ]
    made += [one * scale for one in there for scale in SCALES]
    for one, other in combinations(there, 2):
        made += [one + other, one - other, one * other]
        made += [one * other / 100, one * (100 + other) / 100, one * (100 - other) / 100]
        made += [other * (100 + one) / 100, other * (100 - one) / 100]
        if one and other:
            made += [one / other, other / one, one / other * 100, other / one * 100]
            made += [(one - other) / other * 100, (other - one) / one * 100]
    return any(_is_rounded(abs(size), abs(figure)) for figure in made)


ZERO: Final = Decimal(0)
SCALES: Final = tuple(map(Decimal, ("100", "0.01", "1000", "0.001", "1000000", "0.000001", "12", "2", "0.5")))


def _is_rounded(size: Decimal, figure: Decimal) -> bool:
    exponent = size.normalize().as_tuple().exponent
    if not isinstance(exponent, int):
        return False
    half = Decimal(5).scaleb(exponent - 1)
    # What ends in many zeros may be exact: 20,000,000 is no rounding of 24,999,999.
    return abs(size - figure) <= min(half, abs(figure) * Decimal("0.005"))
