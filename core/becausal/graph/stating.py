"""Texts that state a fact, in whichever form: by which words to look for them, and whether one does.

`USD 1,250.00`, `1250 dollars` and a field `amount` of 1250 state the same; so do `3 May 2026` and `2026-05-03`. What a
text states is read by `becausal.facts`, which is too slow to be done for every text; so only those are read that have
the words which every form of the fact has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import cached_property
from itertools import islice, product
from typing import Any, Final

from becausal.facts import Fact, facts
from becausal.facts.compare import Stated
from becausal.facts.units import UNITS
from becausal.graph.content import data_in
from becausal.graph.wording import normal, pieces, words

__all__ = ["Statements", "forms"]

LONGEST_PIECE: Final = 2_000
"""Characters of a sentence or a line that are read."""

MOST_PIECES: Final = 50

_MONTHS: Final = tuple(
    "january february march april may june july august september october november december".split()  # noqa: SIM905
)
_UNIT_NAMES: Final = (
    "second", "minute", "hour", "day", "week", "month", "year", "meter", "kilometer", "mile", "foot", "gram",
    "kilogram", "tonne", "pound", "liter", "milliliter", "gallon", "kilobyte", "megabyte", "gigabyte", "watt",
    "kilowatt",
    "centimeter", "millimeter", "megawatt",
)  # fmt: skip
"""The units in which amounts are usually told."""


def forms(fact: Fact) -> Iterator[frozenset[str]]:
    """Yield sets of words: whatever states a fact has all the words of one of them in its normal form."""
    value: Any = fact.value[2] if fact.kind == "limit" else fact.value  # type: ignore[index]
    kind = fact.value[1] if fact.kind == "limit" else fact.kind  # type: ignore[index]
    match kind:
        case "money":
            yield frozenset((_written(value[0]),))
        case "number" | "percent":
            yield frozenset((_written(value),))
            if kind == "percent":
                yield frozenset((_written(value / 100),))
        case "quantity" | "duration":
            sizes = (value[1] / _worth(unit) for unit in _units(value[0]))
            yield from dict.fromkeys(frozenset((_written(size),)) for size in sizes)
        case "date" if len(value) == 3:  # else a weekday, or a day counted from today: known by its words
            yield from _of_date(value)
        case _:
            needed = words(normal(fact.text))
            if needed:
                yield frozenset(needed)


class Statements:
    """What a text states, by its sentences and lines; each is read when something asks for its words."""

    def __init__(self, text: str) -> None:
        """Make them of a text in the wording of the app."""
        self._pieces = [(piece, words(normal(piece))) for piece in pieces(_without_data(text))]
        self._read: dict[str, Stated] = {}

    @cached_property
    def _having(self) -> dict[str, list[int]]:
        """By word the places of the pieces that have it."""
        having: dict[str, list[int]] = {}
        for place, (_, has) in enumerate(self._pieces):
            for word in has:
                having.setdefault(word, []).append(place)
        return having

    def hold(self, fact: Fact, needed: frozenset[str]) -> bool:
        """Return whether one of the first pieces that have some words, which are of `forms`, states a fact."""
        if not needed:
            places: Sequence[int] = range(len(self._pieces))
        else:
            places = min((self._having.get(word, ()) for word in needed), key=len)
        having = (piece for piece, has in map(self._pieces.__getitem__, places) if needed <= has)
        return any(self._stated(piece).has(fact) for piece in islice(having, MOST_PIECES))

    def _stated(self, piece: str) -> Stated:
        if piece not in self._read:
            self._read[piece] = Stated(facts(piece[:LONGEST_PIECE]))
        return self._read[piece]


def _without_data(text: str) -> str:
    """Return a text without the data in it, each leaf of which is a text of its own."""
    rest, at = [], 0
    for start, end, _ in data_in(text):
        rest.append(text[at:start])
        at = end
    return "\n".join([*rest, text[at:]]) if rest else text


def _written(size: Decimal) -> str:
    plain = f"{size:f}"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def _units(dimension: str) -> Iterator[str]:
    for name, unit in UNITS.items():
        if unit.dimension == dimension and not unit.offset and name.rpartition("-")[2] in _UNIT_NAMES:
            yield name


def _worth(name: str) -> Decimal:
    return UNITS[name].factor / UNITS[name].divisor


def _of_date(value: tuple[int | None, int | None, int | None]) -> Iterator[frozenset[str]]:
    year, month, day = value
    parts: list[list[str]] = []
    if year is not None:
        parts.append([str(year)])
    if month is not None:
        parts.append([f"{month:02}", str(month), _MONTHS[month - 1], _MONTHS[month - 1][:3]])
    if day is not None:
        parts.append([f"{day:02}", str(day)])
    yield from dict.fromkeys(map(frozenset, product(*parts)))
