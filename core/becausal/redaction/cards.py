"""Numbers of payment cards, told from all other long numbers.

A number is one if its length fits its issuer, if it passes Luhn's check, and if it is written as people write cards:
in one run, or in the groups that are embossed. One number in some two hundred of sixteen digits passes by chance; those
that are no card stay (times, phone numbers, ids that begin otherwise).

Sources: ISO/IEC 7812-1 annex B (the check digit); the issuers' ranges as in "Payment card number", Wikipedia, section
"Issuer identification number", Maestro and the old Visa of 13 digits left out, since too much else looks like them.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator

__all__ = ["NUMBER", "RUN", "TELLING", "cards_in", "is_card", "may_hold_card", "numbers_in"]

RUN = r"[0-9](?:[ -]?[0-9]){12,}"
"""Digits that may hold a card, with single separators."""

TELLING = r"[2-6][0-9]{3}(?:[0-9]{10,}|(?:[ -][0-9]{4}){3}|[ -][0-9]{6}[ -][0-9]{4})"
"""What stands where a card begins: its digits in a row, or the groups. Of a message's id it holds next to never."""

NUMBER = r"\xcf\x00(?:\x00[\x09-\xff]|[\x01-\x23])"
"""How a number from some 10**13 to 10**16 begins in a packed body: one of a card, kept as a number."""

_NUMBER = re.compile(NUMBER.encode("latin-1"))

_ISSUED_AT = (
    r"(?=("
    r"4[0-9]{15}"  # Visa
    r"|(?:5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}"  # Mastercard
    r"|3[47][0-9]{13}"  # American Express
    r"|3(?:0[0-5]|[68][0-9])[0-9]{11}"  # Diners Club
    r"|(?:6011|65[0-9]{2}|64[4-9][0-9])[0-9]{12}"  # Discover
    r"|35(?:2[89]|[3-8][0-9])[0-9]{12}"  # JCB
    r"|62[0-9]{14}"  # UnionPay
    r"))"
)
"""Wherever one may begin: how it begins says how long it is."""

_EMBOSSED = {(4, 4, 4, 4), (4, 6, 5), (4, 6, 4)}
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def is_card(digits: str) -> bool:
    """Return whether digits without separators are the number of a card."""
    found = _issued_at().match(digits)
    return found is not None and found[1] == digits and _checks(digits)


def may_hold_card(run: bytes) -> bool:
    """Return whether a card may stand in a run of digits of which the ends may be no text: digits by chance.

    Of a message's id, which is such a run as often as not, it tells in no time that there is none.

    Args:
        run: what `RUN` matched in an encoded body.
    """
    digits = run.translate(None, b" -").decode()
    return any(_checks(found[1]) for found in _issued_at().finditer(digits))


def numbers_in(body: bytes) -> Iterator[bytes]:
    """Yield the digits of the numbers in a packed body that have as many as a card."""
    for found in _NUMBER.finditer(body):
        start = found.start() + 1
        yield str(int.from_bytes(body[start : start + 8], "big")).encode()


def cards_in(run: bytes) -> list[tuple[int, int]]:
    """Return where cards stand in a run of digits: the first, then the first behind it, and so on.

    Args:
        run: what `RUN` matched, whole.
    """
    cards: list[tuple[int, int]] = []
    at = 0
    for start, end in _candidates([match.span() for match in re.finditer(rb"[0-9]+", run)]):
        if start >= at and is_card(run[start:end].translate(None, b" -").decode()):
            cards.append((start, end))
            at = end
    return cards


@functools.cache
def _issued_at() -> re.Pattern[str]:
    return re.compile(_ISSUED_AT)  # by the first long number: not at every start


def _candidates(groups: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    for index, (start, end) in enumerate(groups):
        if 13 <= end - start <= 19:
            yield start, end
        for shape in _EMBOSSED:
            some = groups[index : index + len(shape)]
            if tuple(stop - begin for begin, stop in some) == shape:
                yield start, some[-1][1]


def _checks(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        total += _DOUBLED[int(digit)] if place % 2 else int(digit)
    return total % 10 == 0
