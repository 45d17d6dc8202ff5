"""What a text or a record says of what: values by the label that they stand under.

    - **Unit price:** $45.10        "unit price" is "$45.10"
    {"unit_price": "45.10"}         the same
    | Unit price | $45.10 |         the same
    The unit price is $45.10.       the same

A label is a few words and no figure, so that a clock, a link or a verse of prose is none. What stands under one label
more than once has all of its values.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeGuard

__all__ = ["Labels", "is_message", "labels", "plain"]

Labels = dict[str, list[str]]
"""Values, as they stand there, by label in its plain form."""

MOST_WORDS: Final = 4
"""A label of more words is a sentence."""
LONGEST: Final = 200
"""Characters of a value; what is longer is a text of its own."""
MOST_VALUES: Final = 5_000

_LINE: Final = re.compile(
    r"^\s*(?:[-*•>]\s+|\d+[.)]\s+)?[*_`\"']{0,3}([A-Za-z][\w /()-]{0,60}?)[*_`\"']{0,3}\s*:\s*(\S.*)$"
)
_ROW: Final = re.compile(r"^\s*\|([^|]+)\|([^|]+)\|\s*$")
_IS: Final = re.compile(
    r"(?:^|(?<=[.!?]\s))[Tt]he ([a-z][\w -]{0,60}?) (?:is|are|was|were) (.+?)(?=\.\s|\.$|;|$)", re.MULTILINE
)
_OBJECT: Final = re.compile(r"\{.*\}", re.DOTALL)
_OF_MESSAGES: Final = frozenset(("role", "type", "source", "call_id", "finish_reason"))
"""Fields that tell a message of any framework: what else it holds is no content."""
_MARKS: Final = "*_`\"' "


def plain(label: str) -> str:
    """Return a label whatever its letters and signs: `Unit price`, `unit_price` and `unitPrice` are one."""
    split = re.sub(r"(?<=[a-z])(?=[A-Z])|[\s_*`/-]+", " ", label)
    return " ".join(split.casefold().split())


def labels(value: object) -> Labels:
    """Return what stands under which label of a text or of plain data. Never raises."""
    found: Labels = {}
    for count, (label, text) in enumerate(_pairs(value)):
        name, said = plain(label), text.strip(_MARKS).removesuffix("**").rstrip(".")
        if count >= MOST_VALUES:
            break
        if name and said and len(name.split()) <= MOST_WORDS and said not in found.get(name, ()):
            found.setdefault(name, []).append(said)
    return found


def _pairs(value: object) -> Iterator[tuple[str, str]]:
    waiting: list[Any] = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield from _of_text(item)
        elif is_message(item):
            waiting.append(item["content"])
        elif isinstance(item, Mapping) and item.get("type") in ("text", "output_text", "input_text"):
            waiting.append(item.get("text"))
        elif isinstance(item, Mapping):
            for key, inner in item.items():
                said = _in_words(inner)
                if said is not None:
                    yield str(key), said
                waiting.append(inner)
        elif isinstance(item, list | tuple):
            waiting.extend(item)


def is_message(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Return whether data is a message of any framework's: its content is what it says, the rest of it is not."""
    return isinstance(value, Mapping) and "content" in value and not value.keys().isdisjoint(_OF_MESSAGES)


def _in_words(value: object) -> str | None:
    """Return a value that stands under a key, as text: a short one, or a list of figures."""
    if isinstance(value, list | tuple):
        return (
            ", ".join(map(str, value)) if value and all(isinstance(i, int | float) for i in value) else None
        )
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    said = str(value)
    return said if len(said) <= LONGEST and "\n" not in said else None


def _of_text(text: str) -> Iterator[tuple[str, str]]:
    if "{" in text and (data := _object(text)) is not None:
        yield from _pairs(data)
    for line in text.split("\n"):
        row = _ROW.match(line)
        found = row or _LINE.match(line)
        if found is None or len(found[2]) > LONGEST or set(found[2].strip()) <= set("-: "):
            continue
        if row is None and found[2].startswith("//"):
            continue  # a link
        yield found[1].strip(_MARKS), found[2]
    for label, said in _IS.findall(text):
        if len(said) <= LONGEST:
            yield label, said


def _object(text: str) -> object:
    found = _OBJECT.search(text)
    if found is None or len(found[0]) > 200_000:
        return None
    try:
        data = json.loads(found[0])
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None
