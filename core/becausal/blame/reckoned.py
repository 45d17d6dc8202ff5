"""Figures that nobody wrote down, and that figures which were given make: how, and out of which.

What `becausal.facts.derived` finds is grounded: it may be reckoned. To name the operands is a stronger claim. So here
they must have been given together, make the figure to the very digits that it is written with (`12,500` is no mean of
12,521.25; `about 12,500` is), and the figure must have more digits than chance would hit: with n figures there are some
twelve ways to combine each two of them, and a figure of d digits is met by one in 10^d.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

from becausal.blame.given import Scope
from becausal.facts import Fact
from becausal.facts.derived import figure_of
from becausal.graph.wording import telling_words

__all__ = ["Reckoning", "reckonings"]

WAYS: Final = 12
"""In so many ways two figures are combined."""
MOST_BY_CHANCE: Final = 0.3
FEW_BY_CHANCE: Final = 0.05
DAY: Final = 86_400
FIGURES: Final = frozenset(("money", "percent", "quantity", "number", "duration"))

_PLAIN: Final = frozenset(("sum", "mean", "count"))
"""What is made of a whole column: of these there are few."""


@dataclass(frozen=True, slots=True)
class Reckoning:
    """How a figure follows from what was given."""

    how: str
    """`sum`, `difference`, `product`, `quotient`, `share`, `growth`, `mean`, `rounded`, `scaled`, `count`, `date`."""
    operands: tuple[Fact, ...]
    scope: Scope
    is_sure: bool


def reckonings(fact: Fact, scopes: Sequence[Scope]) -> list[Reckoning]:
    """Return the ways in which a figure follows from what was given, one for each scope; the likeliest first."""
    found = [way for scope in scopes if (way := _in_scope(fact, scope)) is not None]
    apart = {(way.how, frozenset(operand.key for operand in way.operands)): way for way in reversed(found)}
    return sorted(
        apart.values(), key=lambda way: (not way.is_sure, -_likeness(fact, way), len(way.scope.facts))
    )


def _in_scope(fact: Fact, scope: Scope) -> Reckoning | None:
    special = _days_between(fact, scope) or _count(fact, scope)
    if special is not None:
        return special
    if fact.kind == "date":
        dated = scope.given.derivation(fact)
        return None if dated is None or not dated.of else Reckoning("date", dated.of, scope, True)
    found = scope.given.derivation(fact, as_written=True) if fact.kind in (*FIGURES, "limit") else None
    if found is None or not found.of or not _is_told(fact, found.how, found.of):
        return None
    by_chance = _by_chance(fact, found.how, found.of, scope)
    if by_chance > MOST_BY_CHANCE:
        return None
    return Reckoning(found.how, found.of, scope, found.is_sure and by_chance <= FEW_BY_CHANCE)


def _is_told(fact: Fact, how: str, of: Sequence[Fact]) -> bool:
    if how == "scaled":  # by a thousand it is told otherwise; by two or twelve it is chance
        one, other = figure_of(fact), figure_of(of[0])
        return bool(
            one and other and _digits(fact) >= 3 and (one / other).normalize().as_tuple().digits == (1,)
        )
    if how == "growth" and fact.kind != "percent":  # by so many percent, and not by thousands
        return any(0 < (figure_of(one) or 0) <= 100 for one in of)
    return how != "rounded" or (_digits(fact) >= 2 and figure_of(fact) != figure_of(of[0]))


def _by_chance(fact: Fact, how: str, of: Sequence[Fact], scope: Scope) -> float:
    """Return how many figures with as many digits would be met so by chance."""
    figures = scope.figures
    if len(of) > 2 or (how in _PLAIN and len(of) != 2):
        ways = 4.0 * figures if how == "share" else 12.0
    elif how in ("rounded", "scaled"):
        ways = float(figures)
    else:
        ways = WAYS * figures * (figures - 1) / 2
    return ways * 10.0 ** -_digits(fact)


def _digits(fact: Fact) -> int:
    """Return how many digits of a figure tell something."""
    shown = re.search(r"\d[\d,]*(?:\.\d+)?", fact.text)
    if shown is None:
        return 1
    plain = shown[0].replace(",", "").lstrip("0.")
    return max(1, len(plain.replace(".", "") if "." in shown[0] else plain.rstrip("0")))


def _likeness(fact: Fact, way: Reckoning) -> int:
    return len(fact.near & frozenset[str]().union(*(operand.near for operand in way.operands)))


def _days_between(fact: Fact, scope: Scope) -> Reckoning | None:
    days = _days(fact)
    if days is None or days < 2:
        return None
    dates = scope.dates
    found = [
        pair
        for pair in combinations(dates, 2)
        if (one := _day(pair[0])) and (other := _day(pair[1])) and abs(one - other) == days
    ]
    return Reckoning("difference", found[0], scope, len(found) == 1 and len(dates) <= 4) if found else None


def _days(fact: Fact) -> int | None:
    value: Any = fact.value
    if fact.kind == "duration" and value[0] == "time" and value[1] % DAY == 0:
        return int(value[1] / DAY)
    if (
        fact.kind == "number"
        and value == int(value)
        and ("day" in fact.near or "days" in (fact.subject or ""))
    ):
        return int(value)
    return None


def _day(fact: Fact) -> int | None:
    value: Any = fact.value
    day = value[2] if fact.kind == "limit" else value
    try:
        return dt.date(*day).toordinal()
    except (TypeError, ValueError):
        return None


def _count(fact: Fact, scope: Scope) -> Reckoning | None:
    """Return the count of a list's items, where the words beside the figure name the list."""
    value: Any = fact.value
    if fact.kind != "number" or value != int(value) or not 1 < value < 10_000:
        return None
    named = {word.removesuffix("s") for word in fact.near} | telling_words(fact.subject or "")
    for head, items in scope.lists.items():
        name = next((str(key) for key in reversed(head) if isinstance(key, str)), "")
        if len(items) == value and telling_words(name) & named:
            return Reckoning("count", tuple(items.values()), scope, True)
    return None
