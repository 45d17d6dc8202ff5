"""What one side of a comparison states, to be looked up; sides that begin alike share what they have in common.

A turn of a conversation is told all that was said in it before. To lay out anew for each turn what it was told would
cost as much as all turns were told, so a `Row` of facts remembers of each the place at which it was stated first, and
a side is as much of a row as it was told, and a few facts of its own.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from decimal import Decimal
from functools import cached_property
from typing import Any, Final

from becausal.facts.fact import Fact, Key
from becausal.facts.likeness import AMOUNTS, Neighbours
from becausal.facts.running import Said, normal

__all__ = ["WEAK", "Row", "Stated"]

WEAK: Final = frozenset(["name", "quote", "term", "id", "version", "code"])
"""Kinds that may stand in a text without being seen there as such: a name at the head of a sentence."""

_SAME_RULES: Final = {"not": ("not", "except"), "except": ("except", "not")}
"""What is said as an exception may be said as a ban."""
_DENYING: Final = ("un", "in", "im", "dis", "non")
"""`not clear` may be said as `unclear`."""

_KEPT_SHARE: Final = 0.5
"""A rule is still there if so much of its words is."""
_MOST_LOOKED_AT: Final = 1000
"""Dates and rules, in their order."""


class _Rules:
    """The rules of one sort in a row, each once, by its words."""

    def __init__(self) -> None:
        self.places: list[int] = []
        """Of all of them."""
        self.rows: list[tuple[int, int, frozenset[str]]] = []
        """Place in the row of facts, number among the rules of the sort, words."""
        self.having: dict[str, list[int]] = {}
        self._known: set[frozenset[str]] = set()

    def add(self, place: int, words: frozenset[str]) -> None:
        number = len(self.places)
        self.places.append(place)
        if words not in self._known:
            self._known.add(words)
            for word in words:
                self.having.setdefault(word, []).append(len(self.rows))
            self.rows.append((place, number, words))

    def like(self, words: frozenset[str], size: int, most: int) -> bool:
        """Return whether one of the first rules, of those before a place, has as many of some words as it takes."""
        near = (
            {row for word in words for row in self.having.get(word, ())} if words else range(len(self.rows))
        )
        return any(
            place < size and number < most and len(words & its) >= _KEPT_SHARE * len(words)
            for place, number, its in map(self.rows.__getitem__, near)
        )

    def has_any(self, words: frozenset[str], size: int) -> bool:
        return any(self.rows[self.having[word][0]][0] < size for word in words if word in self.having)


class Row:
    """Facts in their order, each to be looked up by the place at which it was stated first; more may follow."""

    def __init__(self, facts: Iterable[Fact] = ()) -> None:
        self.facts: list[Fact] = []
        self.keys: dict[Key, int] = {}
        self.bare: dict[tuple[Hashable, bool], int] = {}
        """Numbers of nothing that is named, which may be of anything."""
        self.clocks: dict[Hashable, dict[Hashable, int]] = {}
        self.dates: dict[tuple[Any, ...], tuple[int, int]] = {}
        """Of each date its place, and its number among the dates."""
        self.places_of_dates: list[int] = []
        self.rules: dict[str, _Rules] = {}
        self.extend(facts)

    @cached_property
    def neighbours(self) -> Neighbours:
        """The same facts by the words around them."""
        return Neighbours(self.facts)

    def extend(self, facts: Iterable[Fact]) -> None:
        """Put more facts behind those that are here."""
        for place, fact in enumerate(facts, len(self.facts)):
            self._put(place, fact.kind, fact.value, fact.negated)
            self.facts.append(fact)

    def _put(self, place: int, kind: str, value: Any, negated: bool) -> None:
        self.keys.setdefault((kind, value, negated), place)
        if kind == "number":
            self.bare.setdefault((value, negated), place)
        elif kind == "money":
            self.keys.setdefault(("number", value[0], negated), place)
        elif kind == "percent":
            self.keys.setdefault(("number", value, negated), place)
        elif kind == "limit":
            self._put(place, value[1], value[2], negated)
        elif kind == "rule":
            self.rules.setdefault(value[0], _Rules()).add(place, frozenset(value[1]))
        elif kind == "date":
            self.dates.setdefault(value, (place, len(self.places_of_dates)))
            self.places_of_dates.append(place)
        elif kind == "time":
            self.clocks.setdefault(value[0], {}).setdefault(value[1], place)


class Stated:
    """The facts of one side, to be looked up."""

    def __init__(
        self,
        facts: Iterable[Fact],
        text: str = "",
        shared: tuple[Row, int] | None = None,
        said: Callable[[str], Said] = Said,
    ) -> None:
        """Lay out facts.

        Args:
            facts: the side's, without those that it shares.
            text: what it says in full.
            shared: a row of facts, and how many of its first ones are the side's, before its own.
            said: lays the text out, once words are looked up in it.
        """
        own = Row(facts)
        self._own = own.keys
        self._shared, self._size = (own.keys, 0) if shared is None else (shared[0].keys, shared[1])
        self._parts = ((own, len(own.facts)),) if shared is None else (shared, (own, len(own.facts)))
        self._text, self._said = text, said

    @cached_property
    def text(self) -> Said:
        """What the side says in full, to look words up in."""
        return self._said(self._text)

    def says(self, key: Key) -> bool:
        """Say whether a fact is stated in just this form."""
        return key in self._own or self._shared.get(key, self._size) < self._size

    def has(self, fact: Fact, tolerance: Decimal = Decimal(0)) -> bool:
        """Say whether a fact is stated here."""
        if self.says(fact.key):
            return True
        value: Any = fact.value
        match fact.kind:
            case "limit" if value[1] == "date" and not self._limits_otherwise(fact):
                # `Deadline: 3 May` is a limit, and `the deadline is 3 May` says no less.
                return self._has_date(value[2])
            case "money" if self._is_bare(value[0], fact.negated):
                return True
            case "rule":
                return self._has_rule(value[0], frozenset(value[1]))
            case "date":
                return self._has_date(value)
            case "time":
                return self._has_clock(value[0], value[1])
            case kind if kind in AMOUNTS and tolerance:
                size = _size(kind, value)
                near = self._amounts.get(_family(kind, value), ())
                return any(abs(other - size) <= tolerance * abs(size) for other in near)
            case kind if kind in WEAK:
                return bool(self.text) and normal(str(value)) in self.text
        return False

    def like(self, new: Sequence[Fact], others: Sequence[Fact]) -> list[Fact]:
        """Return the facts that may be like some, each once, in their order, see `Neighbours.like`."""
        found: list[Fact] = []
        for number, (row, size) in enumerate(self._parts):
            before = self._parts[:number]
            facts = (row.facts[place] for place in sorted(row.neighbours.like(new, others, size)))
            found += (
                fact
                for fact in facts
                if not any(other.neighbours.has(fact.key, its) for other, its in before)
            )
        return found

    def _is_bare(self, number: Hashable, negated: bool) -> bool:
        return any(row.bare.get((number, negated), size) < size for row, size in self._parts)

    def _has_clock(self, clock: Hashable, zone: Hashable) -> bool:
        zones = {
            its for row, size in self._parts for its, at in row.clocks.get(clock, {}).items() if at < size
        }
        return bool(zones) and (zone is None or None in zones)

    def _has_date(self, asked: tuple[Any, ...]) -> bool:
        before = 0
        for row, size in self._parts:
            most = _MOST_LOOKED_AT - before
            # Of a date that is told in full only that one says as much.
            told = (asked,) if None not in asked else row.dates
            if any(
                _says_as_much(date, asked) and at < size and number < most
                for date in told
                for at, number in (row.dates.get(date, (size, 0)),)
            ):
                return True
            before += bisect_left(row.places_of_dates, size)
        return False

    def _limits_otherwise(self, fact: Fact) -> bool:
        value: Any = fact.value
        sign, kind, size = value
        return any(
            self.says(("limit", (other, kind, size), fact.negated)) for other in ("<=", ">=") if other != sign
        )

    def _has_rule(self, sort: str, words: frozenset[str]) -> bool:
        """Say whether a rule of the same words is there; what must be done may be said as an order."""
        before = 0
        for rules, size in self._rules(*_SAME_RULES.get(sort, (sort,))):
            if rules.like(words, size, _MOST_LOOKED_AT - before):
                return True
            before += bisect_left(rules.places, size)
        if sort == "must":
            said = sum(word in self.text for word in words) if not self._denies(words) else 0
            return said >= _KEPT_SHARE * len(words) and said > 0
        return sort == "not" and any(f"{prefix}{word}" in self.text for prefix in _DENYING for word in words)

    def _denies(self, words: frozenset[str]) -> bool:
        return any(rules.has_any(words, size) for rules, size in self._rules("not"))

    def _rules(self, *sorts: str) -> Iterator[tuple[_Rules, int]]:
        for sort in sorts:
            for row, size in self._parts:
                if sort in row.rules:
                    yield row.rules[sort], size

    @cached_property
    def _amounts(self) -> dict[str, list[Decimal]]:
        found: dict[str, list[Decimal]] = {}
        for row, size in self._parts:
            for fact in row.facts[:size]:
                value: Any = fact.value
                kind, amount = (value[1], value[2]) if fact.kind == "limit" else (fact.kind, value)
                if kind in AMOUNTS:
                    found.setdefault(_family(kind, amount), []).append(_size(kind, amount))
        return found


def _says_as_much(date: Sequence[Any], asked: Sequence[Any]) -> bool:
    if len(date) != 3 or len(asked) != 3:
        return False
    return all(part is None or part == other for part, other in zip(asked, date, strict=True))


def _family(kind: str, value: Any) -> str:
    if kind == "money":
        return f"money {value[1]}"
    return f"{kind} {value[0]}" if kind in ("quantity", "duration") else kind


def _size(kind: str, value: Any) -> Decimal:
    size: Decimal = value[0] if kind == "money" else value[1] if kind in ("quantity", "duration") else value
    return size
