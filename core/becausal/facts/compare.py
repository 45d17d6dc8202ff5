"""What one set of facts has that another has not: missing, added, changed, no longer hedged.

A fact that is stated again counts once. A fact is still there if the other side states it in any wording, or more
exactly than before: a year put to a date, a currency to a number. A number beside no currency may be of any.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from decimal import Decimal
from typing import Any, Final

from becausal.facts.fact import Fact, Key
from becausal.facts.kept import MOST_SIDES, kept

__all__ = ["WEAK", "Stated", "added", "changed", "comparable", "hedges_lost", "likeness", "missing"]

WEAK: Final = frozenset(["name", "quote", "term", "id", "version", "code"])
"""Kinds that may stand in a text without being seen there as such: a name at the head of a sentence."""

_SAME_RULES: Final = {"not": ("not", "except"), "except": ("except", "not")}
"""What is said as an exception may be said as a ban."""
_DENYING: Final = ("un", "in", "im", "dis", "non")
"""`not clear` may be said as `unclear`."""

_AMOUNTS: Final = frozenset(["money", "number", "percent", "quantity", "duration"])
_MOST_CANDIDATES: Final = 64
_KEPT_SHARE: Final = 0.5
"""A rule is still there if so much of its words is."""


class Stated:
    """The facts of one side, to be looked up."""

    def __init__(self, facts: Iterable[Fact], text: str = "") -> None:
        self.keys: set[Key] = set()
        self.rules: dict[str, list[frozenset[str]]] = {}
        self.dates: list[tuple[Any, ...]] = []
        self.clocks: dict[Hashable, set[Hashable]] = {}
        self.amounts: dict[str, list[Decimal]] = {}
        self.bare: set[tuple[Hashable, bool]] = set()
        """Numbers of nothing that is named, which may be of anything."""
        self.text = " ".join(text.casefold().split())
        for fact in facts:
            self._put(fact.kind, fact.value, fact.negated)

    def _put(self, kind: str, value: Any, negated: bool) -> None:
        self.keys.add((kind, value, negated))
        if kind == "limit":
            self._put(value[1], value[2], negated)
        elif kind == "rule":
            self.rules.setdefault(value[0], []).append(frozenset(value[1]))
        elif kind == "date":
            self.dates.append(value)
        elif kind == "time":
            self.clocks.setdefault(value[0], set()).add(value[1])
        elif kind == "number":
            self.bare.add((value, negated))
        elif kind in ("money", "percent"):
            self.keys.add(("number", value[0] if kind == "money" else value, negated))
        if kind in _AMOUNTS:
            self.amounts.setdefault(*_family(kind, value)[:1], []).append(_size(kind, value))

    def has(self, fact: Fact, tolerance: Decimal = Decimal(0)) -> bool:
        """Say whether a fact is stated here."""
        if fact.key in self.keys:
            return True
        value: Any = fact.value
        match fact.kind:
            case "limit" if value[1] == "date" and not self._limits_otherwise(fact):
                # `Deadline: 3 May` is a limit, and `the deadline is 3 May` says no less.
                return any(_says_as_much(date, value[2]) for date in self.dates[:1000])
            case "money" if (value[0], fact.negated) in self.bare:
                return True
            case "rule":
                return self._has_rule(value[0], frozenset(value[1]))
            case "date":
                return any(_says_as_much(date, value) for date in self.dates[:1000])
            case "time":
                zones = self.clocks.get(value[0], set())
                return bool(zones) and (value[1] is None or None in zones)
            case kind if kind in _AMOUNTS and tolerance:
                size = _size(kind, value)
                near = self.amounts.get(_family(kind, value)[0], ())
                return any(abs(other - size) <= tolerance * abs(size) for other in near)
            case kind if kind in WEAK:
                return bool(self.text) and " ".join(str(value).casefold().split()) in self.text
        return False

    def _limits_otherwise(self, fact: Fact) -> bool:
        value: Any = fact.value
        sign, kind, size = value
        return any(
            ("limit", (other, kind, size), fact.negated) in self.keys
            for other in ("<=", ">=")
            if other != sign
        )

    def _has_rule(self, sort: str, words: frozenset[str]) -> bool:
        """Say whether a rule of the same words is there; what must be done may be said as an order."""
        rows = [row for other in _SAME_RULES.get(sort, (sort,)) for row in self.rules.get(other, ())][:1000]
        if any(len(words & row) >= _KEPT_SHARE * len(words) for row in rows):
            return True
        if sort == "must":
            said = sum(word in self.text for word in words) if not self._denies(words) else 0
            return said >= _KEPT_SHARE * len(words) and said > 0
        return sort == "not" and any(f"{prefix}{word}" in self.text for prefix in _DENYING for word in words)

    def _denies(self, words: frozenset[str]) -> bool:
        return any(words & row for row in self.rules.get("not", ()))


def _side(facts: Iterable[Fact], text: str) -> Stated:
    """Return what looks a side's facts up; made once of what several others are held against."""
    known = kept()
    if known is None or not isinstance(facts, tuple):
        return Stated(facts, text)
    name = (id(facts), text)
    found = known.sides.get(name)
    if found is None:
        while len(known.sides) >= MOST_SIDES:
            del known.sides[next(iter(known.sides))]
        # With the facts themselves: another tuple must not come to have their identity.
        found = known.sides[name] = facts, Stated(facts, text)
    side: Stated = found[1]
    return side


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
    there = _side(after, text)
    share = Decimal(str(tolerance))
    gone: dict[Key, Fact] = {}
    for fact in before:
        key = fact.key
        if key not in there.keys and key not in gone and not there.has(fact, share):
            gone[key] = fact
    return tuple(gone.values())


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
    gone = missing(before, after, text=text, tolerance=tolerance)
    # A limit that lost its words leaves an amount that was there before: look among all that has no equal.
    new = added(before, after, tolerance=tolerance)
    fresh = {fact.key for fact in new}
    loose = {fact.key: fact for fact in after}
    by_word: dict[object, list[Fact]] = {}
    for fact in (*new, *(fact for fact in loose.values() if fact.key not in fresh and fact.kind in _AMOUNTS)):
        for word in (fact.path or None, *fact.near):
            if word is not None:
                by_word.setdefault(word, []).append(fact)
    pairs: list[tuple[Fact, Fact]] = []
    taken: set[Key] = set()
    for fact in gone:
        best, score = None, 0.0
        for other in _candidates(fact, by_word):
            fits = other.key in fresh or (fact.kind == "limit" and other.value == fact.value[2])  # type: ignore[index]
            if other.key not in taken and fits and (found := likeness(fact, other)) > score:
                best, score = other, found
        if best is not None:
            taken.add(best.key)
            pairs.append((fact, best))
    return tuple(pairs)


def hedges_lost(before: Iterable[Fact], after: Iterable[Fact]) -> tuple[tuple[Fact, Fact], ...]:
    """Return pairs of a fact that the first side states with a hedge alone, and the same one stated without."""
    sure = {fact.key for fact in before if fact.hedge is None}
    hedged = {fact.key: fact for fact in before if fact.hedge is not None and fact.key not in sure}
    bare: dict[Key, Fact] = {}
    for fact in after:
        if fact.hedge is None and fact.key in hedged:
            bare.setdefault(fact.key, fact)
    return tuple((hedged[key], fact) for key, fact in bare.items())


def _candidates(fact: Fact, by_word: dict[object, list[Fact]]) -> list[Fact]:
    found: dict[Key, Fact] = {}
    for word in (fact.path or None, *sorted(fact.near)):
        for other in by_word.get(word, ())[:_MOST_CANDIDATES]:
            found.setdefault(other.key, other)
    return list(found.values())


def likeness(fact: Fact, other: Fact) -> float:
    """Return how sure it is that one fact stands in the place of the other, 0 if it does not."""
    kinds = {comparable(fact), comparable(other)}
    if len(kinds) > 1:
        return 0.0
    words = len(fact.near | other.near)
    alike = len(fact.near & other.near) / words if words else 0.0
    place = 1.0 if fact.path and fact.path == other.path else 0.0
    if alike < 1 / 3 and not place:
        return 0.0
    return alike + place + (0.5 if fact.kind == other.kind else 0.0)


def comparable(fact: Fact) -> str:
    """Return as what a fact can become another one: a limit as what it limits, money as any amount."""
    value: Any = fact.value
    kind = value[1] if fact.kind == "limit" else fact.kind
    if kind in _AMOUNTS:
        return "amount"
    return "words" if kind in ("name", "quote", "term") else str(kind)


def _says_as_much(date: tuple[Any, ...], asked: tuple[Any, ...]) -> bool:
    if len(date) != 3 or len(asked) != 3:
        return False
    return all(part is None or part == other for part, other in zip(asked, date, strict=True))


def _family(kind: str, value: Any) -> tuple[str]:
    if kind == "money":
        return (f"money {value[1]}",)
    return (f"{kind} {value[0]}",) if kind in ("quantity", "duration") else (kind,)


def _size(kind: str, value: Any) -> Decimal:
    size: Decimal = value[0] if kind == "money" else value[1] if kind in ("quantity", "duration") else value
    return size
