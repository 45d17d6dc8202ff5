"""What one set of facts has that another has not: missing, added, changed, no longer hedged.

A fact that is stated again counts once. A fact is still there if the other side states it in any wording, or more
exactly than before: a year put to a date, a currency to a number. A number beside no currency may be of any.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Final

from becausal.facts.fact import Fact, Key
from becausal.facts.kept import kept
from becausal.facts.likeness import AMOUNTS, comparable, likeness, place_of
from becausal.facts.stated import WEAK, Stated

__all__ = [
    "WEAK",
    "Stated",
    "added",
    "changed",
    "comparable",
    "hedges_lost",
    "lacks",
    "likeness",
    "missing",
    "side",
]

_MOST_CANDIDATES: Final = 64
_EXACTLY: Final = Decimal(0)


def missing(
    before: Iterable[Fact], after: Iterable[Fact], *, text: str = "", tolerance: Decimal | float = 0
) -> tuple[Fact, ...]:
    """Return the facts that the second side no longer states, each once, in their order.

    Args:
        before: the facts of the first side.
        after: those of the second.
        text: what the second side says in full: a name, an identifier or a quoted term that stands in it in whichever
            place is not missing.
        tolerance: by which part of itself an amount may differ; nothing by default.
    """
    there = side(after, text)
    share = Decimal(str(tolerance)) if tolerance else _EXACTLY
    gone: dict[Key, Fact] = {}
    for fact in before:
        key = fact.key
        if key not in gone and not there.has(fact, share):
            gone[key] = fact
    return tuple(gone.values())


def side(facts: Iterable[Fact], text: str) -> Stated:
    """Return what looks a side's facts up; made once of what several others are held against."""
    known = kept()
    if known is None or not isinstance(facts, tuple):
        return Stated(facts, text)
    return known.sides.of(facts, text)


def lacks(fact: Fact, facts: Iterable[Fact], text: str = "") -> bool:
    """Return whether facts do not state a fact, see `missing`."""
    return not side(facts, text).has(fact)


def added(
    before: Iterable[Fact], after: Iterable[Fact], *, text: str = "", tolerance: Decimal | float = 0
) -> tuple[Fact, ...]:
    """Return the facts that only the second side states; `text` is what the first one says in full."""
    return missing(after, before, text=text, tolerance=tolerance)


def changed(
    before: Sequence[Fact], after: Sequence[Fact], *, text: str = "", tolerance: Decimal | float = 0
) -> tuple[tuple[Fact, Fact], ...]:
    """Return pairs of a fact that is gone and the one that stands in its place.

    In its place: under the same key, or among the same words. A limit may become an amount, money a number.

    Args:
        before: the facts of the first side.
        after: those of the second.
        text: what the second side says in full, see `missing`.
        tolerance: see `missing`.
    """
    # A limit that lost its words leaves an amount that was there before: look among all that has no equal.
    new = added(before, after, tolerance=tolerance)
    fresh = {fact.key for fact in new}
    amounts = {fact.key: fact for fact in after if fact.kind in AMOUNTS and fact.key not in fresh}
    said, share = side(after, text), Decimal(str(tolerance)) if tolerance else _EXACTLY
    by_word, by_word_of_limits = _Words(new), _Words((*new, *amounts.values()))
    pairs: list[tuple[Fact, Fact]] = []
    for fact in side(before, "").like(new, tuple(amounts.values())):
        if said.has(fact, share):
            continue
        best, score = None, 0.0
        is_limit = fact.kind == "limit"
        for other in (by_word_of_limits if is_limit else by_word).beside(fact):
            fits = other.key in fresh or other.value == fact.value[2]  # type: ignore[index]
            if fits and (found := likeness(fact, other)) > score:
                best, score = other, found
        if best is not None:
            by_word.take(best)
            by_word_of_limits.take(best)
            pairs.append((fact, best))
    return tuple(pairs)


class _Words:
    """Facts by the words around them, and by their place; what has been taken is not given again."""

    def __init__(self, facts: Iterable[Fact]) -> None:
        having: dict[object, list[Fact]] = {}
        for fact in facts:
            for word in _around(fact):
                having.setdefault(word, []).append(fact)
        self._having: dict[tuple[str, object], list[Fact]] = {}
        for word, rows in having.items():
            for fact in rows[:_MOST_CANDIDATES]:
                self._having.setdefault((comparable(fact), word), []).append(fact)

    def beside(self, fact: Fact) -> list[Fact]:
        """Return the facts that stand in the place of one, or beside the same words, and may be it."""
        kind = comparable(fact)
        found = {id(other): other for word in _around(fact) for other in self._having.get((kind, word), ())}
        return list(found.values())

    def take(self, fact: Fact) -> None:
        """Give a fact to nobody else."""
        kind = comparable(fact)
        for word in _around(fact):
            rows = self._having.get((kind, word), [])
            rows[:] = [other for other in rows if other is not fact]


def _around(fact: Fact) -> Iterator[object]:
    if (at := place_of(fact)) is not None:
        yield at
    yield from sorted(fact.near)


def hedges_lost(before: Iterable[Fact], after: Iterable[Fact]) -> tuple[tuple[Fact, Fact], ...]:
    """Return pairs of a fact that the first side states with a hedge alone, and the same one stated without."""
    sure = {fact.key for fact in before if fact.hedge is None}
    hedged = {fact.key: fact for fact in before if fact.hedge is not None and fact.key not in sure}
    bare: dict[Key, Fact] = {}
    for fact in after:
        if fact.hedge is None and fact.key in hedged:
            bare.setdefault(fact.key, fact)
    return tuple((hedged[key], fact) for key, fact in bare.items())
