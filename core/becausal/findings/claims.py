"""What an answer says of several values at once, and the values that it says it of: the lowest, the highest."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from becausal.facts import Fact, facts
from becausal.findings.contradictions import clauses
from becausal.findings.odd import Odd
from becausal.findings.scene import Scene
from becausal.findings.turns import Turn
from becausal.step import Step

__all__ = ["hanging", "superlatives"]

LOWEST: Final = re.compile(
    r"\b(?:cheapest|lowest|least expensive|smallest|minimum|shortest|fewest)\b", re.IGNORECASE
)
HIGHEST: Final = re.compile(
    r"\b(?:dearest|highest|most expensive|largest|maximum|longest|biggest)\b", re.IGNORECASE
)
NEGATED: Final = re.compile(
    r"\b(?:not|never|second|next|among|than|one of|at least|at most)\b", re.IGNORECASE
)
AMOUNTS: Final = ("money", "number", "percent", "quantity", "duration")
FEWEST: Final = 3
"""So many values of one sort make a list of which one is the lowest."""

_ENDS_OPEN: Final = re.compile(
    r"\b(?:the|an?|of|to|in|on|at|by|for|with|from|and|or|but|that|which|is|are|was|were|than|its|their|our|your)$"
)
SHORTEST: Final = 40


def superlatives(scene: Scene, turn: Turn) -> Iterator[Odd]:
    """Yield what is called the lowest or the highest of a list that was told, and is not."""
    said = [clause for payload in turn.said for clause in clauses(turn.scene.value(payload))]
    claims = [clause for clause in said if LOWEST.search(clause) or HIGHEST.search(clause)]
    if not claims:
        return
    told = [
        row
        for payload in turn.heard
        for clause in clauses(turn.scene.value(payload))
        if (row := _row(clause))
    ]
    for claim in claims:
        is_low = LOWEST.search(claim) is not None
        stated = [fact for fact in facts(claim) if fact.kind in AMOUNTS]
        if len(stated) != 1 or NEGATED.search(claim) or (is_low and HIGHEST.search(claim)):
            continue
        mine = _size(stated[0])
        shapes = {shape for shape, size, _ in told if size == mine}
        rows = [(size, words) for shape, size, words in told if shape in shapes]
        best = (min if is_low else max)((size for size, _ in rows), default=mine)
        if len({size for size, _ in rows}) < FEWEST or best == mine:
            continue
        other = next(words for size, words in rows if size == best)
        who = turn.step.agent or turn.step.name
        message = (
            f"{who} calls {stated[0].text} the {'lowest' if is_low else 'highest'}, and was told {other!r}"
        )
        yield Odd(
            turn.step, message, (f"said: {claim[:160]}", f"told: {other[:160]}"), 0.75, wrong=stated[0].text
        )


def _row(clause: str) -> tuple[frozenset[str], Decimal, str] | None:
    """Return one entry of a list: the words that all entries share, its amount, its words; None if it is none."""
    stated = [fact for fact in facts(clause) if fact.kind in AMOUNTS]
    if len(stated) != 1:
        return None
    shape = frozenset((stated[0].kind, *re.findall(r"\b[a-z]{2,}\b", clause)))
    return shape, _size(stated[0]), clause


def _size(fact: Fact) -> Decimal:
    value: Any = fact.value
    size: Decimal = value[0] if fact.kind == "money" else value[1] if isinstance(value, tuple) else value
    return size


def hanging(scene: Scene, turn: Turn) -> Iterator[Odd]:
    """Yield an answer that ends in the middle of a sentence: with a word after which another one has to come."""
    spoke: list[Step] = [step for step in turn.inner if step.kind == "model"]
    text = scene.stated(spoke[-1].produced)[1].rstrip() if spoke else ""
    last = text.rpartition("\n")[2]
    if last in turn.heard_text:
        return  # it came so
    if len(text) >= SHORTEST and _ENDS_OPEN.search(last) and len(last.split()) > 3:
        who = turn.step.agent or turn.step.name
        yield Odd(
            turn.step, f"{who} breaks off in the middle of a sentence", (last[-120:],), 0.7, wrong=last[-40:]
        )
