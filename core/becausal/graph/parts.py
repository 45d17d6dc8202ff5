"""Parts of texts by which content is known again inside longer ones: quoted, cut short, in another case or markup.

A line or sentence is known by its first words; wherever these stand in another text, one after the other, the rest is
compared. A figure that is long enough not to be met by chance is known by its normal form. So a text is looked for by
looking up each place of the longer one, and never by trying every text there is.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from becausal.graph.wording import figures as figures_in
from becausal.graph.wording import normal, pieces

__all__ = ["Known", "Part", "Said", "figures", "latest", "sentences", "shown_as"]

HEAD: Final = 4
"""Words by which a sentence is known."""
SHORTEST: Final = 16
"""Characters of a sentence; a shorter one is said by accident."""
FEWEST_SHARED: Final = 6
"""So many words of a sentence, or all that it has, must stand in the other text."""
MOST_DIGITS_BY_CHANCE: Final = 4
MOST_ALIKE: Final = 32
"""So many sentences of one beginning are compared: the latest."""
MOST_SHOWN: Final = 20
"""Words of a sentence."""
MOST_REMEMBERED: Final = 1_024
LONGEST: Final = 2_000_000
"""Characters of a text that are looked through."""

Part = tuple[str, str]
"""What it is, `piece` or `figure`, and its normal form."""

_WORD: Final = re.compile(r"\w+(?:[.,]\d+)*")


class Known:
    """The sentences that were said so far, by their first words."""

    def __init__(self) -> None:
        self._by_head: dict[tuple[str, ...], dict[str, None]] = {}

    def add(self, sentence: str) -> None:
        """Take in a sentence, as `sentences` gives it."""
        self._by_head.setdefault(_head(sentence), {})[sentence] = None

    def within(self, text: str) -> Iterator[str]:
        """Yield those that stand in a text, whole or cut short, each once."""
        words = _WORD.findall(text[:LONGEST].casefold())
        joined = f"{' '.join(words)} "
        found: set[str] = set()
        for at, head in enumerate(zip(*(words[n:] for n in range(HEAD)), strict=False)):
            if head not in self._by_head:
                continue
            for sentence in latest(self._by_head[head], MOST_ALIKE):
                if sentence not in found and _is_shared(sentence, words, at, joined):
                    found.add(sentence)
                    yield sentence


class Said:
    """What texts say, in the forms that parts are compared in; of the texts that were asked about last."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, tuple[str, frozenset[str]]] = OrderedDict()

    def says(self, digest: bytes, leaves: Iterable[str], part: Part) -> bool:
        """Return whether one of the texts under a digest says a part."""
        known = self._known.get(digest)
        if known is None:
            texts = [leaf[:LONGEST] for leaf in leaves]
            joined = "\n".join(f" {' '.join(_WORD.findall(text.casefold()))} " for text in texts)
            known = self._known[digest] = joined, frozenset[str]().union(*map(figures, texts))
            if len(self._known) > MOST_REMEMBERED:
                self._known.popitem(last=False)
        return part[1] in known[1] if part[0] == "figure" else f" {part[1]} " in known[0]


def sentences(text: str) -> Iterator[str]:
    """Yield the lines and sentences of a text as words in lower case, without those that anybody may say."""
    for piece in pieces(text[:LONGEST]):
        words = _WORD.findall(piece.casefold())
        if len(words) >= HEAD and len(piece) >= SHORTEST:
            yield " ".join(words)


def shown_as(sentence: str, text: str) -> str:
    """Return how a text writes the words of a sentence that stands in it, as far as it does."""
    words = [re.escape(word) for word in sentence.split(" ")]
    for most in (min(len(words), MOST_SHOWN), FEWEST_SHARED):
        found = re.search(r"\W+".join(words[:most]), text, re.IGNORECASE)
        if found is not None:
            return found[0]
    return sentence


def figures(text: str) -> set[str]:
    """Return the figures, dates and identifiers of a text that are too long to be met by chance, in normal form."""
    return {
        normal(figure).lstrip("$€£¥ ") if not figure.isdecimal() else figure
        for figure in figures_in(text[:LONGEST])
        if _tells(figure)
    }


def _tells(figure: str) -> bool:
    if len(figure) <= MOST_DIGITS_BY_CHANCE:
        return False
    digits = figure if figure.isdecimal() else "".join(filter(str.isdecimal, figure))
    return len(digits.strip("0")) > MOST_DIGITS_BY_CHANCE


def latest(texts: dict[str, None], most: int) -> list[str]:
    """Return the last texts of many, in their order."""
    return list(islice(reversed(texts), most))[::-1]


def _head(sentence: str) -> tuple[str, ...]:
    return tuple(sentence.split(" ", HEAD)[:HEAD])


def _is_shared(sentence: str, words: list[str], at: int, joined: str) -> bool:
    if f"{sentence} " in joined:
        return True
    said = sentence.split(" ")
    length = 0
    while length < len(said) and at + length < len(words) and said[length] == words[at + length]:
        length += 1
    return length >= FEWEST_SHARED
