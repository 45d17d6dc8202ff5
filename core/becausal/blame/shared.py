"""Runs of words that a text shares with what its writer was given: what was quoted in it, and where it was cut."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["FEWEST_WORDS", "Run", "Words", "runs"]

FEWEST_WORDS = 4
"""Shorter runs are shared by accident."""
SHORTEST_RUN = 16
"""Characters."""
MOST_WORDS = 400
"""Words of a text that are looked at."""

_WORD = re.compile(r"\w+(?:[.,:/'-]\w+)*")
_OPEN_END = re.compile(
    r"(?:\s*(?:\.{2,}|…|\[(?:\.{3}|…|truncated|cut)[^\]]*\]|\(truncated\)))*\s*\Z", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Words:
    """A text as its words, in lower case."""

    joined: str
    """With a blank before and after each."""

    @staticmethod
    def of(text: str) -> Words:
        """Return the words of a text."""
        return Words(f" {' '.join(_WORD.findall(text.casefold()))} ")


@dataclass(frozen=True, slots=True)
class Run:
    """Words of a text that stand one after the other in another one."""

    text: str
    start: int
    end: int
    """Characters of the text."""
    is_cut: bool
    """Whether all of the text is in it, but for a word that breaks off."""


def runs(text: str, given: Sequence[Words]) -> list[Run]:
    """Return the longest runs of words of a text that stand in one of some others, in its order."""
    found: list[Run] = []
    matches = list(_WORD.finditer(text))[:MOST_WORDS]
    words = [match.group().casefold() for match in matches]
    at = 0
    while at + 2 <= len(words):
        length, holder = _longest(words, at, given)
        start, end = matches[at].start(), matches[at + max(length, 1) - 1].end()
        is_cut = _is_cut(text, words, at, length, end, holder)
        if (length >= FEWEST_WORDS and end - start >= SHORTEST_RUN) or (
            is_cut and length >= FEWEST_WORDS - 1
        ):
            found.append(Run(text[start:end], start, end, is_cut))
            at += length
        else:
            at += 1
    return found


def _longest(words: Sequence[str], at: int, given: Sequence[Words]) -> tuple[int, Words | None]:
    best, holder = 0, None
    least = FEWEST_WORDS - 1
    asked = f" {' '.join(words[at : at + least])} "
    for other in given if at + least <= len(words) else ():
        if asked not in other.joined:
            continue
        while at + least < len(words) and f" {' '.join(words[at : at + least + 1])} " in other.joined:
            least += 1
        best, holder = least, other
        least += 1
        if at + least > len(words):
            break
        asked = f" {' '.join(words[at : at + least])} "
    return best, holder


def _is_cut(text: str, words: Sequence[str], at: int, length: int, end: int, holder: Words | None) -> bool:
    """Return whether a run is all of a text, but for the beginning of the word that would come next."""
    if at or holder is None or length < len(words) - 1:
        return False
    if length == len(words):
        return bool(_OPEN_END.match(text, end))
    return f" {' '.join([*words[:length], words[-1]])}" in holder.joined
