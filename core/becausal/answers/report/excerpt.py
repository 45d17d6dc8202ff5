"""Payloads cut to what a report can hold: the place around the words that matter, with what is left out marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from becausal.facts import facts
from becausal.facts.fact import Key
from becausal.harmless import harmless
from becausal.payload import Payload

__all__ = ["Excerpt", "excerpt", "excerpt_of", "one_line"]

WIDTH: Final = 600
"""Characters of a payload that a report shows."""

LARGEST: Final = 2_000_000
"""Bytes of a payload beyond which it is not read for a report."""


@dataclass(frozen=True)
class Excerpt:
    """Some of what a payload says."""

    text: str
    """Lines, with `[… 120 characters …]` where some are left out."""
    marked: tuple[str, ...] = ()
    """The words in it that matter."""


def excerpt(
    payload: Payload | None, words: Sequence[str] = (), keys: frozenset[Key] = frozenset()
) -> Excerpt:
    """Return what a payload says around the first of some words that it holds; else its beginning.

    Args:
        words: as they were written.
        keys: facts that matter too, in whichever wording.
    """
    if payload is None:
        return Excerpt("(nothing was recorded)")
    if not payload.is_kept:
        return Excerpt(f"(the content was not kept: {payload.size} bytes)")
    if payload.size > LARGEST:
        return Excerpt(f"({payload.size} bytes of {payload.type_name})")
    return excerpt_of(payload.text(), words, keys)


def excerpt_of(said: str, words: Sequence[str] = (), keys: frozenset[Key] = frozenset()) -> Excerpt:
    """Return the same of a text."""
    text = _readable(said)
    stated = (fact.text for fact in facts(text) if fact.key in keys) if keys else ()
    there = tuple(word for word in dict.fromkeys(map(_readable, (*words, *stated))) if word and word in text)
    first = min((text.index(word) for word in there), default=0)
    start = 0 if len(text) <= WIDTH else max(0, min(first - WIDTH // 3, len(text) - WIDTH))
    shown = text[start : start + WIDTH]
    before = f"[… {start} characters …]\n" if start else ""
    left = len(text) - start - len(shown)
    after = f"\n[… {left} characters …]" if left else ""
    return Excerpt(f"{before}{shown}{after}", tuple(word for word in there if word in shown))


def one_line(text: str, width: int = 200) -> str:
    """Return the head of a text as one harmless line."""
    line = harmless(" ".join(text[: 4 * width + 200].split()))
    return line if len(line) <= width and len(text) <= 4 * width + 200 else line[: width - 1] + "…"


def _readable(text: str) -> str:
    return harmless(text, keeping="\n\t")
