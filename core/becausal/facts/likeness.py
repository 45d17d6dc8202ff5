"""How like another fact one is, so that it may stand in the other's place; and which of many facts are like some."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any, Final

from becausal.facts.fact import Fact, Key

__all__ = ["AMOUNTS", "LEAST_ALIKE", "Neighbours", "comparable", "likeness", "place_of"]

AMOUNTS: Final = frozenset(["money", "number", "percent", "quantity", "duration"])

LEAST_ALIKE: Final = 3
"""One in so many of the words around two facts must be around both, unless they stand in one place."""


def likeness(fact: Fact, other: Fact) -> float:
    """Return how sure it is that one fact stands in the place of the other, 0 if it does not."""
    if comparable(fact) != comparable(other):
        return 0.0
    words = len(fact.near | other.near)
    alike = len(fact.near & other.near) / words if words else 0.0
    place = 1.0 if (at := place_of(fact)) is not None and at == place_of(other) else 0.0
    if alike < 1 / LEAST_ALIKE and not place:
        return 0.0
    return alike + place + (0.5 if fact.kind == other.kind else 0.0)


def place_of(fact: Fact) -> tuple[object, ...] | None:
    """Return where in data a fact stands, if that says what it is: not as which of several messages it was said."""
    match fact.path:
        case () | (*_, int(), "content"):
            return None
    return fact.path


def comparable(fact: Fact) -> str:
    """Return as what a fact can become another one: a limit as what it limits, money as any amount."""
    value: Any = fact.value
    kind = value[1] if fact.kind == "limit" else fact.kind
    if kind in AMOUNTS:
        return "amount"
    return "words" if kind in ("name", "quote", "term") else str(kind)


MOST_COUNTED: Final = 16
"""Facts beside one word of which it is counted with whom they share how many words."""


class Neighbours:
    """A row of facts that may grow, each of them once, by the words around it and by its place in the data."""

    def __init__(self, facts: Sequence[Fact]) -> None:
        self._facts, self._read = facts, 0
        self._first: dict[Key, int] = {}
        self._by_word: dict[tuple[str, str], list[int]] = {}
        self._by_path: dict[tuple[str, tuple[object, ...]], list[int]] = {}
        self._limits: dict[Hashable, list[int]] = {}

    def has(self, key: Key, size: int) -> bool:
        """Return whether one of the first facts says so."""
        self._read_on()
        return self._first.get(key, size) < size

    def like(self, new: Iterable[Fact], others: Iterable[Fact], size: int) -> set[int]:
        """Return the places of those of the first facts that may be like some.

        Args:
            new: what any fact may be like.
            others: what a limit alone may be like, which limits to just that.
            size: so many facts are looked at.
        """
        self._read_on()
        sought = [(comparable(other), other) for other in new]
        beside = Counter((kind, word) for kind, other in sought for word in other.near)
        # Beside a word that is beside many, most may be like one of them: all are looked at, in place of each pair.
        often = {word for word, count in beside.items() if count > MOST_COUNTED}
        found = {place for word in often for place in self._by_word.get(word, ())}
        for kind, other in sought:
            words = ((kind, word) for word in other.near)
            found.update(self._alike(other, [word for word in words if word not in often]))
            if (at := place_of(other)) is not None:
                found.update(self._by_path.get((kind, at), ()))
        for other in others if self._limits else ():
            found.update(self._limits.get(other.value, ()))
        return {place for place in found if place < size}

    def _alike(self, fact: Fact, words: Iterable[tuple[str, str]]) -> Iterator[int]:
        """Yield the places of facts with enough words of another."""
        common: Counter[int] = Counter()
        for word in words:
            common.update(self._by_word.get(word, ()))
        most = len(fact.near)
        for place, count in common.items():
            if LEAST_ALIKE * count >= most + len(self._facts[place].near) - count:
                yield place

    def _read_on(self) -> None:
        for place in range(self._read, len(self._facts)):
            fact = self._facts[place]
            if self._first.setdefault(fact.key, place) != place:
                continue
            kind = comparable(fact)
            for word in fact.near:
                self._by_word.setdefault((kind, word), []).append(place)
            if (at := place_of(fact)) is not None:
                self._by_path.setdefault((kind, at), []).append(place)
            if fact.kind == "limit":
                value: Any = fact.value
                self._limits.setdefault(value[2], []).append(place)
        self._read = len(self._facts)
