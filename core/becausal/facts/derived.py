"""What follows from other facts: sums, differences, products, shares, roundings, conversions, dates, counts.

    derivation(fact of "$20", facts of "bolts $12.50, nuts $7.50")  ->  sum of $12.50 and $7.50

A figure that nobody wrote down, and that figures which stand there make, is reckoned and not invented. What it may be
made of, simplest first:

    itself          rounded to the digits that it shows, in another unit, scaled
    a column        what stands at one place of every record of a list: its sum, mean, and each one's share of it
    all of a kind   the sum and the mean of every amount of money, of every length
    two             their sum, difference, product, quotient, share and growth; one more or less by so many percent
    a date          another date, so many days or months before or after it; so many days between two
    a count         of the items of a list, of those in it that say the same, and the share of so many in all

Which figures could be meant is not known, so beside more than `MOST` of them pairs are not tried: nearly every figure
is then the sum or the share of some two. `Derivation.is_sure` says whether the way is one of few.
"""

from __future__ import annotations

import datetime as dt
import re
from array import array
from bisect import bisect_left, bisect_right
from calendar import monthrange
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from itertools import combinations, islice
from math import isfinite
from typing import Any, Final

from becausal.facts.fact import Fact

__all__ = ["Derivation", "Given", "figure_of", "follows_from"]

MOST: Final = 60
"""Figures beyond which pairs are not tried."""
MOST_DATES: Final = 40
FIGURES: Final = frozenset(("money", "percent", "quantity", "number", "duration"))

ZERO, HUNDRED = Decimal(0), Decimal(100)
SCALES: Final = tuple(
    map(Decimal, ("100", "0.01", "1000", "0.001", "1000000", "0.000001", "1000000000", "12", "2", "0.5"))
)
DAY: Final = 86_400
WAYS: Final = 14
"""So many figures are made of two."""
SLACK: Final = 1e-9
"""A figure is looked up as a float, which is off by less than this part of it, and then compared as what it is."""
_SHOWN: Final = re.compile(r"\d[\d,]*(?:\.(\d+))?")

Made = tuple[str, Decimal, tuple[Fact, ...]]
"""How a figure is made, the figure, and out of what."""


@dataclass(frozen=True, slots=True)
class Derivation:
    """How a fact follows from others."""

    how: str
    """`sum`, `difference`, `product`, `quotient`, `share`, `growth`, `mean`, `rounded` (or in another unit), `scaled`,
    `count` or `date`."""
    of: tuple[Fact, ...]
    """The facts that it is made of; none of a count, and where there are too many to tell."""
    is_sure: bool = True
    """Whether few figures were there to make it of."""


class Given:
    """Facts that something may follow from; each question about them is answered from what was reckoned once."""

    def __init__(self, facts: Iterable[Fact]) -> None:
        self.facts = tuple(facts)

    def derivation(self, fact: Fact, *, as_written: bool = False) -> Derivation | None:
        """Return how a fact follows from these; None where it does not, or is no figure and no date.

        Args:
            fact: what may follow.
            as_written: only where a figure is what they make, rounded to the digits that it is written with. Else one
                that ends in zeros may be a rounding too, as `12,500` of 12,521: so it is in any case if it says so
                itself (`about 12,500`).
        """
        if fact.kind == "date":
            return self._date(fact)
        if fact.kind == "limit":
            return self._of_limit(fact, as_written=as_written)
        size = figure_of(fact) if fact.kind in FIGURES else None
        if size is None:
            return None
        return self._figure(_Nearness(fact, size, as_written=as_written))

    def leads_to(self, fact: Fact) -> bool:
        """Return whether `derivation` knows a way; where there are so many figures that it always does, at once."""
        if fact.kind in FIGURES and figure_of(fact) is not None and self._has_many:
            return True
        return self.derivation(fact) is not None

    # Inside

    @cached_property
    def _has_many(self) -> bool:
        """Whether there are more figures than `MOST`; no more of them are looked at than it takes to know."""
        found: set[tuple[str, Decimal]] = set()
        for fact in self.facts:
            size = figure_of(fact)
            if size is not None and size.is_finite():
                found.add((family(fact), size))
                if len(found) > MOST:
                    return True
        return False

    def _of_limit(self, fact: Fact, *, as_written: bool) -> Derivation | None:
        value: Any = fact.value
        limited = Fact(value[1], value[2], fact.text, fact.span, fact.path, fact.hedge)
        return self.derivation(limited, as_written=as_written)

    def _figure(self, near: _Nearness) -> Derivation | None:
        fact, size = near.fact, near.size
        for number in self._simple_sizes.near(size, near.widest):
            how, made, of = self._simple[number]
            if near.is_it(made):
                return Derivation(how, of)
        if fact.kind in ("number", "percent", "quantity") and (counted := self._counted(near)) is not None:
            return counted
        if len(self._figures) > MOST:
            return Derivation("sum", (), is_sure=False)
        for number in self._pair_sizes.near(size, near.widest):
            pair, way = divmod(number, WAYS)
            how, made, of = _of_two(*self._pairs[pair])[way]
            if near.is_it(made):
                return Derivation(how, of, len(self._figures) <= 12)
        return None

    @cached_property
    def _figures(self) -> list[tuple[Fact, Decimal]]:
        found: dict[tuple[str, Decimal], tuple[Fact, Decimal]] = {}
        for fact in self.facts:
            size = figure_of(fact)
            if size is not None and size.is_finite():
                found.setdefault((family(fact), size), (fact, size))
        return list(found.values())

    @cached_property
    def _simple(self) -> list[Made]:
        """What one figure, a column or all figures of a kind make."""
        made: list[Made] = []
        for fact, size in self._figures[: 4 * MOST]:
            made += [("rounded", size, (fact,)), *(("scaled", size * scale, (fact,)) for scale in SCALES)]
        for row in self._rows():
            sizes = [size for _, size in row]
            total = sum(sizes, ZERO)
            of = tuple(fact for fact, _ in row)
            made += [("sum", total, of), ("mean", total / len(sizes), of)]
            made += [("difference", max(sizes) - min(sizes), of)]
            if total and len(row) <= 4 * MOST:
                made += [("share", size / total * HUNDRED, (fact, *of)) for fact, size in row]
        return made

    def _rows(self) -> Iterator[list[tuple[Fact, Decimal]]]:
        """Yield the columns of lists of records, and what is of one kind; and everything."""
        rows: dict[object, list[tuple[Fact, Decimal]]] = {}
        for fact in self.facts:
            size = figure_of(fact)
            if size is None or not size.is_finite():
                continue
            if any(isinstance(key, int) for key in fact.path):
                rows.setdefault(_column(fact), []).append((fact, size))
            rows.setdefault(family(fact), []).append((fact, size))
            rows.setdefault(None, []).append((fact, size))
        for row in rows.values():
            if len(row) > 1:
                yield row
                once = list(dict.fromkeys(row))
                if len({size for _, size in row}) < len(row):
                    yield list({size: (fact, size) for fact, size in once}.values())

    @cached_property
    def _simple_sizes(self) -> _Sizes:
        return _Sizes((number, made) for number, (_, made, _) in enumerate(self._simple))

    @cached_property
    def _pairs(self) -> list[tuple[tuple[Fact, Decimal], tuple[Fact, Decimal]]]:
        return list(combinations(self._figures, 2))

    @cached_property
    def _pair_sizes(self) -> _Sizes:
        """What each two figures make: kept as sizes alone, since of sixty figures there are 25,000."""
        return _Sizes(
            (WAYS * number + way, made)
            for number, pair in enumerate(self._pairs)
            for way, (_, made, _) in enumerate(_of_two(*pair))
        )

    # Counts

    @cached_property
    def _counts(self) -> tuple[frozenset[int], frozenset[int]]:
        """How many items each list has that states something; and how many items say the same at one place."""
        lengths: dict[tuple[object, ...], int] = {}
        alike: Counter[object] = Counter()
        for fact in self.facts:
            for place, key in enumerate(fact.path):
                if isinstance(key, int):
                    head = fact.path[:place]
                    lengths[head] = max(key + 1, lengths.get(head, 0))
            if any(isinstance(key, int) for key in fact.path):
                alike[_column(fact), fact.key] += 1
        kinds = Counter(fact.kind for fact in {fact.key: fact for fact in self.facts}.values())
        whole = frozenset((*lengths.values(), *kinds.values(), len(self._figures)))
        return whole, frozenset(alike.values()) | whole

    def _counted(self, near: _Nearness) -> Derivation | None:
        whole, parts = self._counts
        if any(near.is_it(Decimal(count)) for count in parts):
            return Derivation("count", ())
        if near.fact.kind != "percent":
            return None
        for all_of in whole:
            if all_of > 1 and near.is_it(Decimal(round(near.size * all_of / 100)) / all_of * 100):
                return Derivation("count", (), is_sure=all_of <= 40)
        return None

    # Dates

    @cached_property
    def _made_days(self) -> dict[dt.date, tuple[Fact, Fact]]:
        """The days that are so long after or before others, each with what makes it first."""
        dated = ((one, day) for one in self.facts if (day := _day(_limited(one))) is not None)
        lasting = ((one, span) for one in self.facts if (span := _span(one)) is not None)
        spans = list(islice(lasting, MOST_DATES))
        made: dict[dt.date, tuple[Fact, Fact]] = {}
        for one, start in islice(dated, MOST_DATES):
            for other, (sort, count) in spans:
                for day in (*_shifted(start, sort, count), *_shifted(start, sort, -count)):
                    made.setdefault(day, (one, other))
        return made

    def _date(self, fact: Fact) -> Derivation | None:
        day = _day(fact.value)
        if day is None:
            return None
        made = self._made_days.get(day)
        return None if made is None else Derivation("date", made)


class _Sizes:
    """Numbered figures by their size, to find those near another without a look at each."""

    def __init__(self, made: Iterable[tuple[int, Decimal]]) -> None:
        sized = sorted((abs(float(figure)), number) for number, figure in made)
        self._sizes = array("d", (size for size, _ in sized))
        self._numbers = array("L", (number for _, number in sized))

    def near(self, size: Decimal, widest: Decimal) -> list[int]:
        """Return the numbers of the figures that may be no farther from a size than so much, and hardly others."""
        middle, off = abs(float(size)), float(widest)
        slack = SLACK * (middle + off)
        low, high = middle - off - slack, middle + off + slack
        if not isfinite(high):
            return sorted(self._numbers)
        return sorted(self._numbers[bisect_left(self._sizes, low) : bisect_right(self._sizes, high)])


class _Nearness:
    """Says whether a figure is another one, to the digits that it shows."""

    def __init__(self, fact: Fact, size: Decimal, *, as_written: bool) -> None:
        self.fact, self.size = fact, size
        found = _SHOWN.search(fact.text)
        places = len(found[1] or "") if found is not None else 0
        shown = Decimal(found[0].replace(",", "")) if found is not None else ZERO
        # In the unit that it is shown in: `$4.2 million` is one tenth of a million wide.
        worth = abs(size / shown) if shown else Decimal(1)
        self.exact = Decimal(5).scaleb(-places - 1) * worth
        exponent = size.normalize().as_tuple().exponent
        # What ends in many zeros may be exact: 20,000,000 is no rounding of 24,999,999.
        may_round = not as_written or fact.hedge is not None
        self.round = Decimal(5).scaleb(exponent - 1) if may_round and isinstance(exponent, int) else ZERO
        self.most = Decimal("0.05") if fact.hedge is not None else Decimal("0.005")
        self.widest = max(self.exact, self.round)
        """No figure that is farther off is it."""

    def is_it(self, figure: Decimal) -> bool:
        off, size = abs(abs(self.size) - abs(figure)), abs(figure)
        if off <= min(self.exact, size * Decimal("0.05")):
            return True
        return off <= min(self.round, size * self.most)


def _of_two(first: tuple[Fact, Decimal], second: tuple[Fact, Decimal]) -> list[Made]:
    """Return what two figures make, at most `WAYS`."""
    (one, a), (other, b) = first, second
    of = (one, other)
    made: list[Made] = [("sum", a + b, of), ("difference", a - b, of), ("product", a * b, of)]
    made += [("product", a * b / 100, of)]
    made += [("growth", a * (100 + b) / 100, of), ("growth", a * (100 - b) / 100, of)]
    made += [("growth", b * (100 + a) / 100, of), ("growth", b * (100 - a) / 100, of)]
    if a and b:
        made += [("quotient", a / b, of), ("quotient", b / a, of)]
        made += [("share", a / b * 100, of), ("share", b / a * 100, of)]
        made += [("growth", (a - b) / b * 100, of), ("growth", (b - a) / a * 100, of)]
    return made


def follows_from(size: Decimal, numbers: Iterable[Decimal]) -> bool:
    """Return whether a figure follows from others; True where there are too many others to tell."""
    return Given(map(_bare, numbers)).derivation(_bare(size)) is not None


def _bare(number: Decimal) -> Fact:
    return Fact("number", number, f"{number:f}", (0, 0))


def figure_of(fact: Fact) -> Decimal | None:
    """Return the figure of an amount or of a limit of one, in its base unit; None of anything else."""
    value: Any = _limited(fact)
    kind = fact.value[1] if fact.kind == "limit" else fact.kind  # type: ignore[index]
    match kind:
        case "money":
            return Decimal(value[0])
        case "quantity" | "duration":
            return Decimal(value[1])
        case "number" | "percent":
            return Decimal(value)
    return None


def family(fact: Fact) -> str:
    """Return what can be added up: money of one currency, quantities of one dimension."""
    value: Any = _limited(fact)
    kind = fact.value[1] if fact.kind == "limit" else fact.kind  # type: ignore[index]
    if kind == "money":
        return f"money {value[1]}"
    return f"{kind} {value[0]}" if kind in ("quantity", "duration") else str(kind)


def _limited(fact: Fact) -> object:
    value: Any = fact.value
    return value[2] if fact.kind == "limit" else value


def _column(fact: Fact) -> tuple[object, ...]:
    """Return the place of a fact without the number of its record."""
    return tuple("*" if isinstance(key, int) else key for key in fact.path)


def _day(value: Any) -> dt.date | None:
    if not isinstance(value, tuple) or len(value) != 3 or not all(isinstance(part, int) for part in value):
        return None
    try:
        return dt.date(*value)
    except ValueError:
        return None


def _span(fact: Fact) -> tuple[str, int] | None:
    """Return a duration in days, months or days of work."""
    value: Any = _limited(fact)
    kind = fact.value[1] if fact.kind == "limit" else fact.kind  # type: ignore[index]
    if kind != "duration":
        return None
    sort, size = value
    if sort == "time":
        return ("days", int(size / DAY)) if size % DAY == 0 and 0 < size < DAY * 40_000 else None
    return (sort, int(size)) if size == int(size) and 0 < size < 4_000 else None


def _shifted(start: dt.date, sort: str, count: int) -> Sequence[dt.date]:
    """Return the days that so long after a day may be: with the first one counted or not."""
    try:
        if sort == "calendar":
            months = start.year * 12 + start.month - 1 + count
            year, month = divmod(months, 12)
            day = min(start.day, monthrange(year, month + 1)[1])
            there = dt.date(year, month + 1, day)
            return there, there - dt.timedelta(days=1)
        if sort == "workdays":
            return (_workdays(start, count),)
        step = 1 if count > 0 else -1
        return start + dt.timedelta(days=count), start + dt.timedelta(days=count - step)
    except (ValueError, OverflowError):
        return ()


def _workdays(start: dt.date, count: int) -> dt.date:
    step, day = dt.timedelta(days=1 if count > 0 else -1), start
    for _ in range(abs(count)):
        day += step
        while day.weekday() > 4:
            day += step
    return day
