"""An answer about another thing than was asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from becausal.graph import Graph
from becausal.toolchecks.breach import Breach
from becausal.toolchecks.reading import MOST_TEXT, Calls, Reading, text_at

__all__ = ["irrelevant"]

SHORT_WORD = re.compile(r"[^\W\d_]{3,}")
WORD = re.compile(r"[^\W\d_]{4,}")
IDENTIFIER = re.compile(
    r"\b(?=[A-Za-z0-9_-]*\d)(?=[A-Za-z0-9_-]*[A-Za-z])[A-Za-z0-9]+(?:[-_][A-Za-z0-9]+)*\b"
)
COMMON = frozenset(
    ("about", "what", "which", "where", "when", "who", "whom", "whose", "does", "have", "with", "from", "that",
     "this", "these", "those", "into", "over", "under", "than", "then", "them", "they", "their", "there", "here",
     "your", "yours", "please", "tell", "find", "show", "give", "list", "search", "look", "information", "details",
     "latest", "current", "recent", "best", "good", "more", "most", "some", "many", "much", "very", "also", "each",
     "other", "between", "during", "after", "before", "would", "could", "should", "will", "shall", "might", "must",
     "been", "being", "were", "was", "are", "and", "for", "the", "how")
)  # fmt: skip
FEWEST_WORDS = 2
SHORTEST_ANSWER = 12


def irrelevant(reading: Reading, calls: Calls, _: Graph) -> Breach | None:
    """About another thing than was asked for: another identifier, or not one word of the query."""
    if not reading.is_answered or reading.call.step.status == "error":
        return None
    asked = [value for value in reading.arguments.values() if isinstance(value, str) and len(value) < 2000]
    answer = reading.text[:MOST_TEXT]
    return (
        _another_identifier(reading, asked, answer)
        or _another_subject(reading, asked, answer)
        or _no_word_of(reading, asked, answer)
    )


def _another_identifier(reading: Reading, asked: Sequence[str], answer: str) -> Breach | None:
    """The answer has another identifier in the field that one was asked for by."""
    data = reading.data
    if not isinstance(data, Mapping):
        return None
    for name, value in reading.arguments.items():
        if not isinstance(value, str) or value not in asked or IDENTIFIER.fullmatch(value) is None:
            continue
        field = text_at(data, name.lower())
        its = None if field is None else field[1]
        if isinstance(its, str) and its.lower() != value.lower() and value.lower() not in answer.lower():
            said = f"{reading.call.name} was asked for {value} and answered about {its}"
            return reading.breach("tool.irrelevant", said, 0.95, f"{name}: {value}", f"{name}: {its}")
    return None


def _another_subject(reading: Reading, asked: Sequence[str], answer: str) -> Breach | None:
    """The answer names another subject in the field that one was asked for by, of several words each.

    One word may be a code, a short form or a translation of another. Of several words one stays.
    """
    data = reading.data
    if not isinstance(data, Mapping) or not reading.is_query:
        return None
    for name, value in reading.arguments.items():
        field = text_at(data, name.lower())
        if value not in asked or field is None or not isinstance(value, str) or not isinstance(field[1], str):
            continue
        mine, its = _stems(value), _stems(field[1])
        is_told = min(len(mine), len(its)) >= FEWEST_WORDS
        if is_told and not mine & its and value.lower() not in answer.lower():
            said = f"{reading.call.name} was asked about {value} and answered about {field[1]}"
            return reading.breach("tool.irrelevant", said, 0.7, f"{name}: {value}", f"{name}: {field[1]}")
    return None


def _stems(text: str) -> frozenset[str]:
    return frozenset(word[:3].lower() for word in SHORT_WORD.findall(text) if word.lower() not in COMMON)


def _no_word_of(reading: Reading, asked: Sequence[str], answer: str) -> Breach | None:
    is_retrieval = reading.is_query and any(
        name.lower()
        in (
            "",
            "q",
            "query",
            "question",
            "text",
            "search",
            "search_query",
            "topic",
            "keywords",
            "term",
            "input",
        )
        for name in reading.arguments
    )
    if not is_retrieval:
        return None
    words = {word for text in asked for word in map(str.lower, WORD.findall(text)) if word not in COMMON}
    numbers = {number for text in asked for number in re.findall(r"\d{2,}", text)}
    there = set(map(str.lower, WORD.findall(answer)))
    if len(words) < FEWEST_WORDS or len(there) < SHORTEST_ANSWER:
        return None
    stems = {word[:4] for word in there}
    if any(word[:4] in stems for word in words) or any(number in answer for number in numbers):
        return None
    said = f"not one word of what {reading.call.name} was asked for stands in its answer"
    return reading.breach("tool.irrelevant", said, 0.8, ", ".join(sorted(words)[:8]), answer[:80])
