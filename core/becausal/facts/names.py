"""Names, as far as their capitals tell them: `Acme Corp`, `LangGraph`, `IBM`."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from becausal.facts.fact import Found
from becausal.facts.language import Language
from becausal.facts.tokens import Scan

__all__ = ["name", "near", "stem"]

_LONGEST: Final = 5
_JOINERS: Final = frozenset(["of", "de", "van", "von", "&"])
_ACRONYM: Final = range(2, 6)
_LEFT, _RIGHT = 5, 3


def name(scan: Scan, index: int) -> Found | None:
    """Return a name in lower case. A word alone is none where any word would have a capital."""
    if not _has_capital(scan, index):
        return None
    end = index + 1
    while end < index + _LONGEST:
        if _has_capital(scan, end) and not _breaks(scan, end):
            end += 1
        elif scan.words[end] in _JOINERS and _has_capital(scan, end + 1) and not _breaks(scan, end + 1):
            end += 2
        else:
            break
    text = scan.texts[index]
    told = any(map(str.isupper, text[1:])) and (len(text) in _ACRONYM or not text.isupper())
    if end == index + 1 and not told and scan.begins_sentence(index):
        return None
    words = [word.removesuffix("'s") for word in scan.words[index:end]]
    return Found(end, " ".join(words))


def _has_capital(scan: Scan, index: int) -> bool:
    text, word = scan.texts[index], scan.words[index]
    if scan.classes[index] != "word" or not text[:1].isupper() or len(text) < 2:
        return False
    language = scan.language
    return not (
        word in language.words.stop
        or word in language.months
        or word.removesuffix("s") in language.full_weekdays
        or text in language.codes
    )


def _breaks(scan: Scan, index: int) -> bool:
    return "\n" in scan.text[scan.ends[index - 1] : scan.starts[index]]


def near(scan: Scan, start: int, end: int) -> tuple[str | None, frozenset[str]]:
    """Return the nearest word before a fact that says something, else after it, and the stems of those around."""
    subject: str | None = None
    around: set[str] = set()
    for at in range(start - 1, max(-1, start - 1 - _LEFT), -1):
        if scan.is_boundary(at):
            break
        said = _said(scan, at)
        if said is not None:
            subject = subject or scan.words[at]
            around.add(said)
    for at in range(end, min(end + _RIGHT, scan.n)):
        if scan.is_boundary(at):
            break
        said = _said(scan, at)
        if said is not None:
            subject = subject or scan.words[at]
            around.add(said)
    return subject, frozenset(around)


def _said(scan: Scan, index: int) -> str | None:
    """Return the stem of a word that says something; None of any other token. Each is looked at once."""
    found = scan.said.get(index, "")
    if found == "":
        word = scan.words[index]
        found = scan.said[index] = stem(word, scan.language) if _says_something(scan, index) else None
    return found


def _says_something(scan: Scan, index: int) -> bool:
    word, language = scan.words[index], scan.language
    if scan.classes[index] not in ("word", "ident") or word in language.words.stop or word in language.unsure:
        return False
    # What stands right at a figure belongs to it: `3rd`, `10:00Z`.
    return not (scan.glued_before(index) and scan.classes[index - 1] in ("number", "clock", "isodate"))


def stem(word: str, language: Language) -> str:
    """Return a word without its ending: `refunds` and `refunded` are `refund`."""
    return _without_ending(word, language.words.endings)


@lru_cache(8192)
def _without_ending(word: str, endings: tuple[str, ...]) -> str:
    for ending in endings:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word
