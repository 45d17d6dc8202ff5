"""How far a text moved from another: a deterministic measure that needs no model, and one that uses an embedding.

By words: how much of the request's content words a text no longer has, one minus ROUGE-1's recall on stems without
stop words, where a figure, a date or a name counts as one term in its normal form, so that another format is no
distance. Rare terms of the request weigh as much as frequent ones: each counts once. What a text says beside that
costs nothing, as a message grows on its way.

By an embedding: the cosine distance of whole texts, for whatever `embed` the user names: a function from texts to
vectors.

Source: Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries", section 2 (recall of a reference's words).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Final

from becausal.drift.turns import Stated
from becausal.errors import BecausalError
from becausal.facts import Fact, missing
from becausal.facts.kept import OVERHEAD, kept
from becausal.facts.language import language
from becausal.facts.names import stem

__all__ = ["Embed", "Wanted", "by_embedding", "embedder", "terms"]

Embed = Callable[[list[str]], list[list[float]]]
"""Gives each text a vector; all of one length."""

MOST_WORDS: Final = 50_000
"""Words of a text beyond which no more are read."""

_WORD: Final = re.compile(r"[^\W\d_]{2,}")


def terms(text: str) -> frozenset[str]:
    """Return the stems of a text's content words: no stop words, nothing with a digit."""
    of, known = language("en"), kept()
    left, found = MOST_WORDS, set[str]()
    for line in text.splitlines():
        # A conversation's messages are shown again at each hop.
        said = None if known is None else known.words.get(line)
        if said is None:
            said = _words(line)
            if known is not None:
                known.words.put(line, said, len(line) + OVERHEAD)
        found.update(said[0] if said[1] <= left else _WORD.findall(line.casefold())[:left])
        left -= said[1]
        if left <= 0:
            break
    return frozenset(stem(word, of) for word in found if word not in of.words.stop)


def _words(line: str) -> tuple[frozenset[str], int]:
    """Return the words of a line, and how many there are."""
    words = _WORD.findall(line.casefold())
    return frozenset(words), len(words)


class Wanted:
    """The terms of a request, to be looked for hop by hop."""

    def __init__(self, asked: Stated) -> None:
        self._facts = {fact.key: fact for fact in asked[0] if _is_term(fact)}
        self._words = terms(_without(asked[1], self._facts.values()))

    def distance(self, told: Sequence[Stated]) -> float:
        """Return how far texts moved from the request: 0 where they have all of its terms, 1 where they have none."""
        facts, wanted = self._facts, self._words
        if not facts and not wanted:
            return 0.0
        there = frozenset().union(*(terms(text) for _, text in told)) if told else frozenset()
        lost = set(facts)
        for stated, text in told:
            lost &= {fact.key for fact in missing(facts.values(), stated, text=text)}
        return (len(wanted - there) + len(lost)) / (len(wanted) + len(facts))


def by_embedding(embed: Embed, asked: str, told: Sequence[str]) -> list[float]:
    """Return the cosine distance of each text from a request: 0 the same direction, 1 none in common.

    Raises:
        BecausalError: what `embed` returns are no vectors of one length, one for each text.
    """
    vectors = [[float(number) for number in vector] for vector in embed([asked, *told])]
    if len(vectors) != len(told) + 1 or len({len(vector) for vector in vectors}) != 1:
        raise BecausalError(
            f"embed returned {len(vectors)} vectors for {len(told) + 1} texts, or some of another length; it must "
            "return one for each, all of one length"
        )
    first, *others = vectors
    return [_cosine_distance(first, other) for other in others]


def embedder(model: str) -> Embed:
    """Return an embedding by the name of a model, which `model2vec` loads: a name of the Hugging Face hub, or a path.

    Raises:
        BecausalError: model2vec is not installed.
    """
    try:
        from model2vec import StaticModel  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise BecausalError(
            "a model by name needs model2vec: pip install 'becausal[embed]'; or pass embed=, a function from a list "
            "of texts to a list of vectors"
        ) from None
    loaded = StaticModel.from_pretrained(model)
    return lambda texts: [[float(number) for number in vector] for vector in loaded.encode(texts)]


def _is_term(fact: Fact) -> bool:
    return fact.kind not in ("rule", "term", "quote", "code")


def _without(text: str, facts: object) -> str:
    """Return a text without the words of some facts, each of which is a term of its own."""
    spans = sorted(fact.span for fact in facts)  # type: ignore[attr-defined]
    kept, at = [], 0
    for start, end in spans:
        kept.append(text[at:start])
        at = max(at, end)
    return " ".join((*kept, text[at:]))


def _cosine_distance(one: Sequence[float], other: Sequence[float]) -> float:
    product = math.fsum(a * b for a, b in zip(one, other, strict=True))
    lengths = math.hypot(*one) * math.hypot(*other)
    return 1.0 if lengths == 0 else min(1.0, max(0.0, 1 - product / lengths))
