"""What a text claims: the words of each clause without figures that say something, and whether they are hedged.

    "Maybe the parser drops the last row."   ->   drop, last, parser, row; maybe

Two clauses of the same words claim the same; which hedge one of them has tells how sure it is. What a clause with
figures says is told by its facts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from becausal.facts.language import language
from becausal.facts.names import stem
from becausal.facts.tokens import Scan

__all__ = ["Claim", "claims"]

FEWEST: Final = 3
"""Words that say something; of fewer, two clauses may be alike by chance."""
LONGEST: Final = 200_000
"""Characters of a text that are read."""

_FIGURES: Final = ("number", "currency", "isodate", "date", "clock")
_SPEAKER: Final = re.compile(
    r"^[ \t]*(?:- )?(?:[\w.-]{1,40}(?: \([^)\n]{0,60}\))?: ){1,3}|^[ \t]*[\w.-]{1,40}:[ \t]*$", re.MULTILINE
)
"""What stands before a message or a field where data is written out as text."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One clause."""

    stems: frozenset[str]
    hedge: str | None
    text: str


def claims(text: str, *, locale: str = "en") -> list[Claim]:
    """Return the clauses of a text that say something, in their order."""
    scan = Scan(_SPEAKER.sub("", text[:LONGEST]), language(locale))
    return [claim for begin, end in _clauses(scan) if (claim := _claim(scan, begin, end)) is not None]


def _clauses(scan: Scan) -> Iterator[tuple[int, int]]:
    begin = 0
    for at in range(scan.n + 1):
        if at == scan.n or scan.is_boundary(at):
            if at > begin:
                yield begin, at
            begin = at + 1


def _claim(scan: Scan, begin: int, end: int) -> Claim | None:
    of, stems, hedge, at = scan.language, set(), None, begin
    while at < end:
        word = scan.words[at]
        if scan.classes[at] in _FIGURES:
            return None
        if (doubt := of.unsure.at(scan.words, at)) is not None:
            hedge, at = hedge or doubt[1], doubt[0]
            continue
        if word in of.words.deny:
            stems.add("not")
        elif scan.classes[at] in ("word", "ident") and word not in of.words.stop:
            stems.add(stem(word, of))
        at += 1
    said = " ".join(scan.text[scan.starts[begin] : scan.ends[end - 1]].split())
    return Claim(frozenset(stems), hedge, said) if len(stems) >= FEWEST else None
