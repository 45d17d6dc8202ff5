"""Numbers: figures with or without separators, scales (`1.5k`, `20 million`) and words (`twenty-five`)."""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Final

from becausal.facts.tokens import Scan

__all__ = ["EXACT", "Number", "number_at"]

EXACT: Final = Context(prec=60)
MOST_DIGITS: Final = 40
"""A longer run of digits is a name, not a quantity."""

Number = tuple[int, Decimal]
"""Where it ends, and how much it is."""

_FRACTIONS: Final = {
    "½": Decimal("0.5"), "¼": Decimal("0.25"), "¾": Decimal("0.75"), "⅓": Decimal(1) / 3, "⅔": Decimal(2) / 3,
}  # fmt: skip
_SIGNS: Final = {"-": -1, "−": -1, "+": 1}


def number_at(scan: Scan, index: int) -> Number | None:
    """Return the number that stands at a token."""
    sort = scan.classes[index]
    if sort == "number":
        return _figure(scan, index)
    if sort == "word":
        return _words(scan, index)
    if sort == "symbol" and scan.texts[index] in _SIGNS and scan.classes[index + 1] == "number":
        if not scan.glued(index) or (
            scan.glued_before(index) and scan.classes[index - 1] in ("number", "word")
        ):
            return None
        found = _figure(scan, index + 1)
        return None if found is None else (found[0], found[1] * _SIGNS[scan.texts[index]])
    return None


def _figure(scan: Scan, index: int) -> Number | None:
    text = scan.texts[index]
    if text in _FRACTIONS:
        return index + 1, _FRACTIONS[text]
    if len(text) > MOST_DIGITS:
        return None
    value = _decimal(text, scan.language.decimal)
    end = index + 1
    if scan.texts[end] in _FRACTIONS and scan.glued(index):
        return end + 1, value + _FRACTIONS[scan.texts[end]]
    words = scan.language.words
    if scan.classes[end] == "word":
        if scan.glued(index):
            power = words.glued_scales.get(scan.texts[end])
            if power is not None and scan.texts[end] not in ("m", "b"):
                return end + 1, value.scaleb(power, EXACT)
            if scan.words[end] in words.ordinal_endings:
                return end + 1, value
            return end, value
        power = words.scales.get(scan.words[end])
        if power is not None:
            return end + 1, value.scaleb(power, EXACT)
    elif scan.texts[end] == "-" and scan.glued(index) and scan.words[end + 1] in words.scales:
        return end + 2, value.scaleb(words.scales[scan.words[end + 1]], EXACT)
    return end, value


def _decimal(text: str, point: str) -> Decimal:
    """Return a figure's value; of two sorts of separators the last one is the point, whatever is usual."""
    exponent = ""
    for sign in "eE":
        if sign in text:
            text, _, exponent = text.partition(sign)
    other = "." if point == "," else ","
    if point in text and other in text:
        point = max(point, other, key=text.rfind)
    elif text.count(point) > 1:
        point = ""
    kept = "".join(char for char in text if char in "0123456789" or char.isdecimal() or char == point)
    kept = kept.replace(",", ".")
    # Decimal reads the digits of every script.
    return Decimal(f"{kept}e{exponent}" if exponent else kept)


def _words(scan: Scan, index: int) -> Number | None:
    """Return a number in words: `two hundred and five thousand`."""
    words = scan.language.words
    if scan.words[index] not in words.numerals and not (
        scan.words[index] in words.scales
        and len(scan.words[index]) > 3
        and scan.words[index - 1] in ("a", "an")
    ):
        return None
    whole, part, at, end = 0, 0, index, index
    while True:
        word = scan.words[at]
        if word in words.numerals:
            part += words.numerals[word]
        elif word in words.hundred and part:
            part *= 100
        elif word in words.scales and len(word) > 3:
            whole += (part or 1) * 10 ** words.scales[word]
            part = 0
        else:
            break
        at = end = at + 1
        following = scan.words[at]
        if (following == "-" and scan.glued(at)) or (following == "and" and part >= 100 and part % 100 == 0):
            at += 1
        if scan.classes[at] != "word" or end - index > 12:
            break
        if (
            word in words.numerals
            and scan.words[at] in words.numerals
            and not (words.numerals[word] >= 20 and words.numerals[scan.words[at]] < 10)
        ):
            break
    return end, Decimal(whole + part)
