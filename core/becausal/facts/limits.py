"""Limits (`at most 5`, `no later than 3 May`) and rules (`must`, `not`, `only`, `except`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from becausal.facts import amounts, dates
from becausal.facts.fact import FactKind, Found
from becausal.facts.language import Language
from becausal.facts.names import stem
from becausal.facts.tokens import Scan

__all__ = ["MEASURES", "is_denial", "limit", "measured", "rule"]

Reader = Callable[[Scan, int], Found | None]

MEASURES: Final[tuple[tuple[FactKind, Reader], ...]] = (
    ("money", amounts.money),
    ("date", dates.date),
    ("time", dates.time),
    ("percent", amounts.percent),
    ("duration", amounts.duration),
    ("quantity", amounts.quantity),
    ("number", amounts.number),
)
"""What can be measured, and so limited; the first that fits is it."""

_OPPOSITE: Final = {"<=": ">=", ">=": "<="}
_TIMES: Final = frozenset(["date", "time"])
_FILLERS: Final = frozenset(["of", "the", "a", "an", ":"])
_LONGEST_RULE: Final = 8


def measured(scan: Scan, index: int) -> Found | None:
    """Return the amount, date or time that stands at a token; read once, however many readers ask."""
    if index not in scan.measured:
        found: Found | None = None
        for kind, read in MEASURES:
            found = read(scan, index)
            if found is not None:
                found = Found(found.end, found.value, kind)
                break
        scan.measured[index] = found
    return scan.measured[index]


def limit(scan: Scan, index: int) -> Found | None:
    """Return a limit: `("<=", "money", (Decimal("200"), "USD"))`.

    Less than and at most are one: paraphrases mix them.
    """
    found = scan.language.limits.at(scan.words, index)
    if found is None:
        is_figure = (
            scan.classes[index] in ("number", "currency") or scan.words[index] in scan.language.words.numerals
        )
        return _limit_after(scan, index) if is_figure else None
    at, (sign, times_only) = found
    if times_only or scan.words[at] in _FILLERS:
        at += scan.words[at] in _FILLERS
    hedge = scan.language.around.at(scan.words, at)
    of = measured(scan, at if hedge is None else hedge[0])
    if of is None or of.kind is None or of.value is None or (times_only and of.kind not in _TIMES):
        return None
    if index and is_denial(scan, index - 1):  # `don't exceed 5`
        sign = _OPPOSITE[sign]
    return Found(of.end, (sign, of.kind, of.value))


def is_denial(scan: Scan, index: int) -> bool:
    """Say whether a word denies what follows it."""
    word = scan.words[index]
    return word in scan.language.words.deny or word.endswith("n't")


def _limit_after(scan: Scan, index: int) -> Found | None:
    of = measured(scan, index)
    if of is None or of.value is None:
        return None
    at = of.end
    if scan.classes[at] == "word" and scan.words[at] not in scan.language.limits_after:
        at += 1  # `5 pages or fewer`
    found = scan.language.limits_after.at(scan.words, at)
    if found is None:
        return None
    following = measured(scan, found[0]) if found[0] < scan.n else None
    return Found(found[0], (found[1], of.kind, of.value)) if following is None else None


def rule(scan: Scan, index: int) -> Found | None:
    """Return a rule: `("not", ("contact", "customer"))`, the stems of what its clause says, sorted."""
    found = scan.language.rules.at(scan.words, index)
    if found is None:
        return None
    end, sort = found
    if not sort or (scan.words[end] in scan.language.limits and limit(scan, end) is not None):
        return Found(end, None)
    stems = _stems(scan, range(end, min(end + _LONGEST_RULE, scan.n)))
    if (
        len(stems) < 2
    ):  # in the passive voice what is ruled stands before: `the customer must not be contacted`
        stems |= _stems(scan, range(index - 1, max(-1, index - 1 - _LONGEST_RULE // 2), -1))
    return Found(end, (sort, tuple(sorted(stems)))) if stems else None


def _stems(scan: Scan, places: range) -> set[str]:
    """Return the stems of the words that say something, as far as the clause goes."""
    stems: set[str] = set()
    for at in places:
        if scan.is_boundary(at) or scan.texts[at] == ",":
            break
        word = scan.words[at]
        counted = at > 0 and scan.classes[at - 1] == "number"  # `48 hours` is a fact of its own
        if (
            scan.classes[at] == "word"
            and not counted
            and len(word) > 1
            and not _is_other(word, scan.language)
        ):
            stems.add(stem(word, scan.language))
    return stems


def _is_other(word: str, language: Language) -> bool:
    return (
        word in language.words.stop
        or word in language.rules
        or word in language.months
        or word.upper() in language.codes
    )
