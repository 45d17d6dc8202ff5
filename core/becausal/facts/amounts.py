"""Amounts: money, percentages, durations, quantities with a unit, and bare numbers."""

from __future__ import annotations

from collections.abc import Hashable
from decimal import Context, Decimal
from typing import Final

from becausal.facts.fact import FactKind, Found
from becausal.facts.numerals import EXACT, Number, number_at
from becausal.facts.tokens import Scan
from becausal.facts.units import DURATIONS, Unit

__all__ = ["duration", "in_base", "money", "number", "percent", "quantity", "unit_kind"]

_ROUNDED: Final = Context(prec=15)
"""Converted amounts are compared to so many digits: a degree Fahrenheit is no decimal fraction of a kelvin."""

_PARTS: Final = 4
"""`2 h 30 min 5 s`: so many parts at most make one duration."""


def in_base(amount: Decimal, unit: Unit) -> Decimal:
    """Return an amount in the base unit of its dimension."""
    if unit.offset:
        amount = EXACT.add(amount, unit.offset)
    return _ROUNDED.plus(EXACT.divide(EXACT.multiply(amount, unit.factor), unit.divisor)).normalize(_ROUNDED)


def money(scan: Scan, index: int) -> Found | None:
    """Return an amount of money: `(Decimal("1250"), "USD")`."""
    sign, at = 1, index
    if scan.texts[at] in ("-", "−") and scan.classes[at + 1] == "currency" and scan.glued(at):
        sign, at = -1, at + 1
    code = _code(scan, at)
    if code is not None:
        after = at + 1
        if scan.classes[after] not in ("number", "symbol"):
            return None
        found = number_at(scan, after)
        if found is None:
            return None
        end, amount = _scaled(scan, *found)
        if _code(scan, end) == code and scan.classes[end] == "word":  # $1,250 USD
            end += 1
        return Found(end, (amount * sign, code))
    found = number_at(scan, index)
    return None if found is None else _money_after(scan, found)


def _money_after(scan: Scan, found: Number) -> Found | None:
    end, amount = _scaled(scan, *found)
    at = end + 1 if scan.texts[end] == "-" and scan.glued(end) else end
    if scan.classes[at] == "currency" and scan.glued(at) and scan.classes[at + 1] == "number":
        return None  # `5 $10`: the sign belongs to what follows
    code = _code(scan, at)
    if code is not None:
        return Found(at + 1, (amount, code))
    named = scan.language.currencies.at(scan.words, at)
    if named is not None:
        return Found(named[0], (amount, named[1]))
    small = scan.language.cents.at(scan.words, at)
    return None if small is None else Found(small[0], (amount.scaleb(-2, EXACT), small[1]))


def _scaled(scan: Scan, end: int, amount: Decimal) -> Number:
    """Read on where a letter is a scale beside money alone: `$5m`, `$2b`."""
    if scan.classes[end] == "word" and scan.glued(end - 1) and scan.texts[end] in ("m", "b"):
        return end + 1, amount.scaleb(scan.language.words.glued_scales.get(scan.texts[end], 0), EXACT)
    return end, amount


def _code(scan: Scan, index: int) -> str | None:
    text = scan.texts[index]
    if scan.classes[index] == "currency":
        return scan.language.symbols.get(text, text)
    # A code that is a word as well (ALL, TOP) is none: these three are what is met in capitals.
    return text if text in scan.language.codes and text not in ("ALL", "TOP", "TRY", "CUP") else None


def percent(scan: Scan, index: int) -> Found | None:
    """Return a percentage: `Decimal("12.5")` for 12.5%."""
    found = number_at(scan, index)
    if found is None:
        return None
    end, amount = found
    sign = scan.language.percent.at(scan.words, end)
    if sign is not None:
        return Found(sign[0], amount)
    following = _of_range(scan, end)
    return Found(end, amount) if following and scan.language.percent.at(scan.words, following) else None


def duration(scan: Scan, index: int) -> Found | None:
    """Return a length of time: `("time", seconds)`, or `("calendar", months)`."""
    return _measure(scan, index, durations=True)


def quantity(scan: Scan, index: int) -> Found | None:
    """Return an amount of something that has a unit, in the base unit of its dimension: `("mass", kilograms)`."""
    return _measure(scan, index, durations=False)


def number(scan: Scan, index: int) -> Found | None:
    """Return a bare number; the numbers of a list's items are none."""
    found = number_at(scan, index)
    if found is None:
        return None
    end, amount = found
    if end == index + 1 and scan.words[index] in scan.language.words.never_a_number_alone:
        return None
    marks = scan.texts[end] in (".", ")") and scan.glued(index) and not scan.glued(end)
    if marks and end == index + 1 and len(scan.texts[index]) <= 3 and _begins_line(scan, index):
        return None
    return Found(end, amount)


def _begins_line(scan: Scan, index: int) -> bool:
    return (index == 0 or scan.classes[index - 1] == "break") and scan.texts[index + 1] != ""


def _measure(scan: Scan, index: int, *, durations: bool) -> Found | None:
    found = number_at(scan, index)
    if found is None:
        return None
    end, amount = found
    read = _unit(scan, end)
    if read is None:
        following = _of_range(scan, end)
        read = None if following is None else _unit(scan, following)
        if read is None or (read[1].dimension in DURATIONS) is not durations:
            return None
        return Found(end, (read[1].dimension, in_base(amount, read[1])))
    end, unit = read
    if (unit.dimension in DURATIONS) is not durations:
        return None
    value = in_base(amount, unit)
    for _ in range(_PARTS - 1):
        more = _smaller(scan, end, unit) if not unit.offset else None
        if more is None:
            break
        end, unit, value = more[0], more[1], EXACT.add(value, more[2])
    return Found(end, (unit.dimension, value))


def _smaller(scan: Scan, end: int, unit: Unit) -> tuple[int, Unit, Decimal] | None:
    """Return a further part of the same measure in a smaller unit: `30 min` after `2 h`."""
    at = end + 1 if scan.words[end] in ("and", ",") else end
    found = number_at(scan, at)
    read = None if found is None else _unit(scan, found[0])
    if found is None or read is None or read[1].dimension != unit.dimension or read[1].factor >= unit.factor:
        return None
    return read[0], read[1], in_base(found[1], read[1])


def _unit(scan: Scan, index: int) -> tuple[int, Unit] | None:
    at = index + 1 if scan.texts[index] == "-" and scan.glued(index) and scan.glued(index - 1) else index
    read = scan.language.unit(scan.words, scan.texts, at)
    if read is None:
        return None
    end = read[0]
    # One letter is a unit only where nothing is spelled out behind it: `5 s` but not `5 d'Or`.
    if len(scan.texts[at]) == 1 and scan.glued(at) and scan.texts[end] in ("'", "’", "-", "/"):
        return None
    inside = (
        scan.texts[end] == "."
        and scan.glued(end - 1)
        and scan.glued(end)
        and scan.classes[end + 1] != "break"
    )
    if inside and scan.texts[at].isalpha():
        return None
    return read


def _of_range(scan: Scan, end: int) -> int | None:
    """Return where the second number of a range ends: what stands behind it counts for both."""
    if scan.words[end] not in scan.language.words.range_words:
        return None
    found = number_at(scan, end + 1)
    return None if found is None else found[0]


def unit_kind(unit: Unit) -> FactKind:
    """Return which kind of fact an amount in a unit is."""
    return "duration" if unit.dimension in DURATIONS else "quantity"


def amount_value(amount: Decimal, unit: Unit) -> Hashable:
    """Return the normal form of an amount in a unit."""
    return unit.dimension, in_base(amount, unit)
