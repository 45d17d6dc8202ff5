"""Two sources that say different things of the same, of which one won, and nobody said so."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from becausal.findings.contradictions import agree
from becausal.findings.odd import Odd
from becausal.findings.scene import Scene
from becausal.findings.turns import Turn
from becausal.step import Step
from becausal.toolchecks.reading import QUERIES

__all__ = ["disputed"]

MOST_SOURCES: Final = 200
_FIGURE: Final = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?!\w)")
_NAMES: Final = re.compile(
    r"(?:^|_)(?:id|item|sku|name|order|customer|product|ticker|symbol|city|account|user|shop|case)$"
)
"""Fields that say what a record is about."""
_VARIES: Final = re.compile(
    r"time|date|updated|latency|score|rank|page|cursor|version|token|request|trace|duration|source|provider"
)


def disputed(scene: Scene, turns: Sequence[Turn]) -> Iterator[Odd]:
    """Yield a value of the answer's that one source gave and another one contradicts, unmentioned."""
    records = [
        (step, record)
        for step in [s for s in scene.graph.nodes if _is_asked(s)][:MOST_SOURCES]
        for record in _records(step)
    ]
    told: set[tuple[str, str]] = set()
    for place, (one, mine) in enumerate(records):
        for other, its in records[:place]:
            if one.name == other.name or (one.name, other.name) in told or not _is_about_the_same(mine, its):
                continue
            for field in mine.keys() & its.keys():
                a, b = str(mine[field]), str(its[field])
                if (
                    _NAMES.search(field)
                    or _VARIES.search(field)
                    or not re.search(r"\d", a + b)
                    or agree(a, b)
                ):
                    continue
                odd = _odd(scene, turns, field, (other, b), (one, a))
                if odd is not None:
                    told.add((one.name, other.name))
                    yield odd


def _is_asked(step: Step) -> bool:
    """Return whether a step is a tool that was called for what it answers, and answered."""
    return step.kind == "tool" and step.status == "ok" and QUERIES.search(step.name.lower()) is not None


def _odd(
    scene: Scene, turns: Sequence[Turn], field: str, first: tuple[Step, str], second: tuple[Step, str]
) -> Odd | None:
    """Return what is odd where the answer has one of two values and nobody says that there is another."""
    is_first, is_second = _stands(first[1], scene.answer), _stands(second[1], scene.answer)
    if is_first == is_second:
        return None
    seen = [
        turn for turn in turns if _stands(first[1], turn.heard_text) and _stands(second[1], turn.heard_text)
    ]
    if not seen or any(_stands(first[1], t.said_text) and _stands(second[1], t.said_text) for t in seen):
        return None
    won, lost = (first, second) if is_first else (second, first)
    return Odd(
        seen[0].step,
        f"{won[0].name} says {field}: {won[1]}, {lost[0].name} says {lost[1]}; the answer has the one and does not "
        "mention the other",
        (f"{won[0].name}: {field}: {won[1]}", f"{lost[0].name}: {field}: {lost[1]}"),
        0.65,
        wrong=won[1],
    )


def _stands(value: str, text: str) -> bool:
    """Return whether a value stands in a text: a figure in whichever form, anything else as it is."""
    figures = _FIGURE.findall(value.replace(",", ""))
    if len(figures) != 1:
        return value.casefold() in text.casefold()
    wanted = Decimal(figures[0])
    return any(Decimal(figure) == wanted for figure in _FIGURE.findall(text.replace(",", "")))


def _records(step: Step) -> Iterator[Mapping[str, Any]]:
    if step.produced is None or not step.produced.is_kept or step.produced.size > 100_000:
        return
    value = step.produced.value()
    rows = value if isinstance(value, list) else [value]
    for row in rows[:50]:
        if isinstance(row, dict):
            yield {str(key).casefold(): v for key, v in row.items() if isinstance(v, str | int | float)}


def _is_about_the_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two records share a name, and differ in nothing but figures."""
    shared = one.keys() & other.keys()
    names = [field for field in shared if _NAMES.search(field)]
    if not names or any(str(one[f]).casefold() != str(other[f]).casefold() for f in names):
        return False
    words = [f for f in shared if isinstance(one[f], str) and not re.search(r"\d", one[f]) and f not in names]
    return all(str(one[f]).casefold() == str(other[f]).casefold() for f in words)
