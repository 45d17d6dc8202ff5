"""A value as it was sent against the value that arrived: what of it is gone, cut, flattened, put in another order.

The value that arrived may hold more: a graph's state has what other nodes wrote, a prompt has what stands around. So
what was sent is looked for in it, and only what is not there counts. Tuples are lists, 5 is 5.0, an object is its
fields, keys have no order.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from becausal import facts as stating
from becausal.canonical.belief import is_message, meaning, speaks
from becausal.canonical.decoded import Cycle, Missing, Opaque, Record
from becausal.delta.listing import in_step
from becausal.delta.sameness import same_content
from becausal.facts.kept import kept
from becausal.findings.loss import Loss
from becausal.findings.texts import lost_words, normal, text_losses
from becausal.payload import text_of

__all__ = ["Budget", "losses", "mark_of"]

MOST_LEVELS: Final = 60
MOST_VALUES: Final = 200_000
"""Values of a payload that are compared; beyond, a handoff is not judged."""
MOST_AHEAD: Final = 8
"""So many items on, an item is looked for under another name."""
MOST_TEXT: Final = 3_000_000
"""Characters of changed text that are read for facts."""

At = tuple[object, ...]
_NUMBERS: Final = (int, float, Decimal, Fraction)
_CONTROL: Final = frozenset(["RemoveMessage", "Overwrite"])
"""LangGraph's instructions to a channel, which arrive as their effect."""


class Budget:
    """How much may still be compared; `is_spent` once something was left out."""

    def __init__(self, values: int = MOST_VALUES, text: int = MOST_TEXT) -> None:
        self.values, self.text = values, text
        self.is_spent = False

    def take(self, values: int = 1, text: int = 0) -> bool:
        """Say whether so much more may be compared."""
        self.values -= values
        self.text -= text
        if self.values < 0 or self.text < 0:
            self.is_spent = True
        return not self.is_spent


def losses(
    sent: Any, received: Any, budget: Budget, *, locale: str = "en", is_aligned: bool = False
) -> list[Loss]:
    """Return what a value lost on its way, in the order of what was sent. Never raises.

    Args:
        sent: as it was sent, decoded.
        received: as it arrived.
        budget: how much may be compared.
        locale: whose words its texts have.
        is_aligned: fields of one name are the same field, even where no name is in both.
    """
    return list(_Comparison(budget, locale, is_aligned).compare((), sent, received, is_field=False))


def mark_of(value: Any, budget: Budget, depth: int = 0) -> int:
    """Return a number that is equal for values that mean the same, and hardly ever for others."""
    budget.is_spent |= depth > MOST_LEVELS
    if not budget.take():
        return 0
    if isinstance(value, Mapping):
        fields = _said(value)
        return hash(frozenset((str(key), mark_of(item, budget, depth + 1)) for key, item in fields.items()))
    if isinstance(value, list | tuple):
        return hash(("list", *[mark_of(item, budget, depth + 1) for item in value]))
    if isinstance(value, set | frozenset):
        return hash(("list", *sorted(mark_of(item, budget, depth + 1) for item in value)))
    if isinstance(value, str):
        return hash(normal(value)) if len(value) < 10_000 else hash(value)
    if isinstance(value, bool) or value is None or not isinstance(value, _NUMBERS):
        return hash((type(value).__name__, str(value) if not isinstance(value, bytes) else value))
    return hash(value)


def _said(value: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """Return the fields that carry meaning."""
    says = speaks(value) if type(value) is Record else is_message(value)
    if not says:
        return value
    fields = {key: item for key, item in meaning(value).items() if item not in (None, [], {}, "")}
    # Whose turn it is may be renamed by a wrapper; what is said, asked or answered may not.
    return {key: item for key, item in fields.items() if key not in ("metadata", "additional_kwargs")}


class _Comparison:
    def __init__(self, budget: Budget, locale: str, is_aligned: bool) -> None:
        self.budget, self.locale, self.is_aligned = budget, locale, is_aligned

    def compare(self, at: At, a: Any, b: Any, *, is_field: bool) -> Iterator[Loss]:
        """Yield what one value lost in becoming the other."""
        self.budget.is_spent |= len(at) > MOST_LEVELS
        if a is b or not self.budget.take():
            return
        if (
            _says_nothing(a)
            or isinstance(a, Opaque | Cycle | Missing)
            or isinstance(b, Opaque | Cycle | Missing)
        ):
            return
        if isinstance(a, Mapping) and type(a) is Record and a.type_name.rpartition(".")[2] in _CONTROL:
            return
        if b is None:
            yield Loss("dropped", at, a, b, 0.9, self.facts(a))
        elif isinstance(a, Mapping) and isinstance(b, Mapping):
            yield from self.fields(at, a, b)
        elif isinstance(a, list | tuple) and isinstance(b, list | tuple):
            yield from self.items(at, list(a), list(b))
        elif isinstance(a, set | frozenset) and isinstance(b, set | frozenset | list | tuple):
            yield from self.members(at, a, b)
        elif isinstance(a, str) and isinstance(b, str):
            if a != b and self.budget.take(text=len(a) + len(b)):
                yield from text_losses(at, a, b, locale=self.locale, is_field=is_field)
        elif isinstance(b, Mapping | list | tuple | set | frozenset):
            yield from self.within(at, a, b)
        else:
            yield from self.leaves(at, a, b)

    def fields(self, at: At, a: Mapping[Any, Any], b: Mapping[Any, Any]) -> Iterator[Loss]:
        mine, theirs = _said(a), _said(b)
        if not at and not self.is_aligned and mine and not set(map(str, mine)) & set(map(str, theirs)):
            yield from self.within(at, a, b)
            return
        renamed = {str(key): key for key in theirs}
        for key, item in mine.items():
            other = key if key in theirs else renamed.get(str(key))
            if other is None:
                if not _says_nothing(item):
                    yield Loss("dropped", (*at, key), item, None, 0.9, self.facts(item))
                continue
            if type(other) is not type(key) and not isinstance(key, str):
                yield Loss("flattened", (*at, key), key, other, 0.8, why=f"the key {key!r} became {other!r}")
            yield from self.compare((*at, key), item, theirs[other], is_field=key != "content")

    def members(self, at: At, a: Any, b: Any) -> Iterator[Loss]:
        there = {mark_of(item, self.budget) for item in b}
        for item in sorted(a, key=repr):
            if mark_of(item, self.budget) not in there and not self.budget.is_spent:
                yield Loss("dropped", at, item, None, 0.9, self.facts(item))
        if isinstance(b, list | tuple) and not self.budget.is_spent:
            yield Loss("flattened", at, a, b, 0.6, why=f"{type(a).__name__} became {type(b).__name__}")

    def items(self, at: At, a: list[Any], b: list[Any]) -> Iterator[Loss]:
        a = [
            item
            for item in a
            if type(item) is not Record or item.type_name.rpartition(".")[2] not in _CONTROL
        ]
        here = [mark_of(item, self.budget) for item in a]
        there = self.marks_of(at, b)
        if self.budget.is_spent:
            return
        counts, theirs = Counter(here), Counter(there)
        gone = [place for place, mark in enumerate(here) if mark not in theirs]
        yield from self.again(at, a, here, counts, theirs)
        if not gone:
            if not _in_order(here, there):
                yield Loss("reordered", at, a, b, 0.8, why="the same items in another order")
            return
        known = set(here)
        rest = [b[place] for place, mark in enumerate(there) if mark not in known]
        pairs = self.pairs([a[place] for place in gone], rest)
        for index in pairs:
            yield from self.compare((*at, gone[index]), a[gone[index]], rest[pairs[index]], is_field=True)
        lost = [gone[index] for index in range(len(gone)) if index not in pairs]
        if not lost:
            return
        if len(lost) < len(a) and _is_an_end(lost, len(a)):
            facts = self.facts([a[place] for place in lost])
            yield Loss("truncated", at, a, b, 0.9, facts, why=f"{len(lost)} of {len(a)} items are gone")
            return
        for place in lost:
            if not _says_nothing(a[place]):
                yield Loss("dropped", (*at, place), a[place], None, 0.9, self.facts(a[place]))

    def marks_of(self, at: At, items: list[Any]) -> list[int]:
        """Return the marks of what arrived; of a list that arrived before with less in it, the new ones' are made."""
        known = kept()
        if known is None:
            return [mark_of(item, self.budget) for item in items]
        length, (marks, values) = known.grown.take(("marks", at), items) or (0, ([], 0))
        if not self.budget.take(values):
            return []
        before = self.budget.values
        marks += [mark_of(item, self.budget) for item in items[length:]]
        if not self.budget.is_spent:
            known.grown.put(("marks", at), items, (marks, values + before - self.budget.values))
        return marks

    def pairs(self, gone: list[Any], rest: list[Any]) -> dict[int, int]:
        """Return which of the items that are not there became which of those that were not sent."""
        found = {i: j for i, j in in_step(gone, rest) if self.akin(gone[i], rest[j])} if rest else {}
        # A message that came under another id: the next one that says about as much.
        taken, after = set(found.values()), -1
        for place, item in enumerate(gone):
            if place in found:
                after = found[place]
                continue
            near = range(after + 1, min(after + 1 + MOST_AHEAD, len(rest)))
            other = next((j for j in near if j not in taken and self.akin(item, rest[j])), None)
            if other is not None:
                found[place] = after = other
                taken.add(other)
        return found

    def again(
        self, at: At, a: list[Any], here: list[int], counts: Counter[int], theirs: Counter[int]
    ) -> Iterator[Loss]:
        """Yield what arrived more often than it was sent; only what has an id tells a copy from an equal item."""
        seen: set[int] = set()
        for place, mark in enumerate(here):
            if mark not in seen and theirs[mark] > counts[mark] and _has_id(a[place]):
                seen.add(mark)
                times = theirs[mark] - counts[mark]
                yield Loss(
                    "duplicated", (*at, place), a[place], a[place], 0.8, why=f"{times} time(s) too often"
                )

    def akin(self, a: Any, b: Any) -> bool:
        """Say whether one item may have become the other: more of it is kept than not."""
        if not (isinstance(a, Mapping | str) and isinstance(b, Mapping | str)):
            return isinstance(a, Mapping | str) == isinstance(b, Mapping | str)
        if (
            isinstance(a, Mapping)
            and isinstance(b, Mapping)
            and a.get("id") is not None
            and a.get("id") == b.get("id")
        ):
            return True
        mine, yours = text_of(a)[:2_000], text_of(b)[:2_000]
        words = len(set(mine.lower().split()))
        return len(lost_words(mine, yours)) <= 0.6 * words if words else True

    def within(self, at: At, a: Any, b: Any) -> Iterator[Loss]:
        """Look for a value anywhere in another: a list of messages in a state, a text in a message."""
        wanted = mark_of(a, self.budget)
        parts = set(self.marks(b))
        if wanted in parts or self.budget.is_spent:
            return
        if isinstance(a, list | tuple) and all(mark_of(item, self.budget) in parts for item in a):
            return
        if isinstance(a, Mapping) and all(
            _says_nothing(item) or mark_of(item, self.budget) in parts for item in _said(a).values()
        ):
            return
        text = text_of(b)
        if isinstance(a, str) and self.budget.take(text=len(a) + len(text)):
            yield from text_losses(at, a, text, locale=self.locale)
        elif not isinstance(a, str):
            yield from self.stated(at, a, b, text)

    def stated(self, at: At, a: Any, b: Any, text: str) -> Iterator[Loss]:
        """Compare by facts alone, where the shapes have nothing in common."""
        if not self.budget.take(text=len(text)):
            return
        gone = stating.missing(self.facts(a), self.facts(b), text=text)
        if gone:
            yield Loss("dropped", at, a, b, 0.6, gone)

    def marks(self, value: Any) -> Iterator[int]:
        todo = [value]
        while todo and not self.budget.is_spent:
            item = todo.pop()
            yield mark_of(item, self.budget)
            if isinstance(item, Mapping):
                todo.extend(item.values())
            elif isinstance(item, list | tuple):
                todo.extend(item)

    def leaves(self, at: At, a: Any, b: Any) -> Iterator[Loss]:
        """Compare what is no container on the other side, or a container that became a text."""
        if isinstance(a, _NUMBERS) and isinstance(b, _NUMBERS) and isinstance(a, bool) == isinstance(b, bool):
            if a == b or (a != a and b != b):
                if isinstance(a, Decimal | Fraction) and isinstance(b, float):
                    yield Loss("flattened", at, a, b, 0.6, why=f"{type(a).__name__} became float")
            else:
                close = isinstance(a, float) or isinstance(b, float)
                if not (close and math.isclose(a, b, rel_tol=1e-12)):
                    yield Loss("mutated", at, a, b, 0.95, self.facts(a), self.facts(b))
            return
        if isinstance(a, Mapping | list | tuple | set | frozenset):
            yield from self.flattened(at, a, b)
        elif _is_same_leaf(a, b):
            return
        elif isinstance(b, str) and not isinstance(a, str):
            yield from self.written_out(at, a, b)
        elif type(a) is type(b):
            yield Loss("mutated", at, a, b, 0.9, self.facts(a), self.facts(b))
        elif not same_content(a, b):
            gone = stating.missing(self.facts(a), self.facts(b), text=str(b))
            if gone or not self.facts(a):
                yield Loss("mutated", at, a, b, 0.9, self.facts(a), self.facts(b))

    def flattened(self, at: At, a: Any, b: Any) -> Iterator[Loss]:
        """Tell of data that became a text: what is missing from the text, and that it is text."""
        if not isinstance(b, str) or not self.budget.take(text=len(b)):
            return
        decoded = _decoded(b)
        if decoded is not None and type(decoded) is not str:
            yield from self.compare(at, a, decoded, is_field=True)
        gone = () if decoded is not None else stating.missing(self.facts(a), self.facts(b), text=b)
        yield Loss("flattened", at, a, b, 0.9, gone, why=f"{type(a).__name__} became text")

    def written_out(self, at: At, a: Any, b: str) -> Iterator[Loss]:
        if same_content(a, b) or not stating.missing(self.facts(a), self.facts(b), text=b):
            yield Loss("flattened", at, a, b, 0.8, why=f"{type(a).__name__} became text")
        else:
            yield Loss("mutated", at, a, b, 0.9, self.facts(a), self.facts(b))

    def facts(self, value: Any) -> tuple[stating.Fact, ...]:
        """Return what a value states; nothing once the budget is spent."""
        size = len(value) if isinstance(value, str | list | tuple | dict) else 1
        return stating.facts(value, locale=self.locale) if self.budget.take(size // 8) else ()


def _says_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, str | list | tuple | dict | set | frozenset) and not value)


def _is_same_leaf(a: Any, b: Any) -> bool:
    if isinstance(a, dt.datetime) and isinstance(b, dt.datetime):
        aware = a.utcoffset() is None, b.utcoffset() is None
        return aware[0] == aware[1] and a == b
    return type(a) is type(b) and bool(a == b)


def _has_id(value: Any) -> bool:
    return isinstance(value, Mapping) and any(
        value.get(name) is not None for name in ("id", "tool_call_id", "call_id")
    )


def _in_order(here: list[int], there: list[int]) -> bool:
    """Say whether all of one row stands in the other, in its order."""
    rest = iter(there)
    return all(mark in rest for mark in here)


def _is_an_end(places: list[int], length: int) -> bool:
    """Say whether places are the head or the tail of a row."""
    row = list(range(places[0], places[-1] + 1)) == places
    return row and (places[0] == 0 or places[-1] == length - 1)


def _decoded(text: str) -> object:
    if text[:1] not in ("{", "["):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
