"""Two recorded values compared although a secret was known as one only when the second was recorded.

What a secret's surroundings do not give away is redacted from the moment on at which it was met as one. So what was
sent may hold a text, and what arrived the same text with a marker in it: that is no change of what was handed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from becausal.canonical.decoded import Record
from becausal.redaction.marker import MARKER

__all__ = ["alike"]

MOST_TEXTS = 10_000
MOST_MARKED = 64
"""Texts with markers that are led back to what they were; more of them are compared as they are."""


def alike(first: Any, second: Any, *, two_keys: bool = False) -> tuple[Any, Any]:
    """Return two decoded values, with every secret that is redacted in one of them redacted in the other as well.

    The same objects where there is nothing to do, which is nearly always.

    Args:
        two_keys: they were redacted under keys of two installations: of two markers only the kinds can be compared.
    """
    if two_keys:
        first, second = _unkeyed(first), _unkeyed(second)
    here, there = _texts(first), _texts(second)
    marked_here, marked_there = _marked(here - there), _marked(there - here)
    if marked_there:
        first = _replaced(first, _plain(marked_there, here - there))
    if marked_here:
        second = _replaced(second, _plain(marked_here, there - here))
    return first, second


def _marked(texts: set[str]) -> list[str]:
    return [text for text in sorted(texts) if MARKER.search(text)][:MOST_MARKED]


def _plain(marked: list[str], others: set[str]) -> dict[str, str]:
    """Return what stands for each secret, by the secret: found where one text is another but for a marker."""
    found: dict[str, str] = {}
    for text in marked:
        pattern = re.compile("(.{4,20000}?)".join(map(re.escape, _between(text))), re.DOTALL)
        for other in others:
            if (same := pattern.fullmatch(other)) is not None:
                found |= {
                    secret: marker
                    for secret, marker in zip(same.groups(), _markers(text), strict=True)
                    if not MARKER.search(secret)  # two secrets are two
                }
    return found


def _between(text: str) -> list[str]:
    return re.split(r"\[redacted:[a-z_]+:[0-9a-f]{8}\]", text)


def _markers(text: str) -> list[str]:
    return [found.group() for found in MARKER.finditer(text)]


def _replaced(value: Any, markers: dict[str, str]) -> Any:
    if not markers:
        return value
    kind = type(value)
    if kind is str:
        for secret in sorted(markers, key=len, reverse=True):
            value = value.replace(secret, markers[secret])
        return value
    if kind is dict:
        return {_replaced(key, markers): _replaced(item, markers) for key, item in value.items()}
    if kind is Record:
        return Record(value.type_name, {key: _replaced(item, markers) for key, item in value.items()})
    if kind is list or kind is tuple:
        return kind([_replaced(item, markers) for item in value])
    return value


def _unkeyed(value: Any) -> Any:
    found = {marker for text in _texts(value) for marker in _markers(text)}
    return _replaced(value, {marker: f"{marker[:-9]}00000000]" for marker in found})


def _texts(value: Any) -> set[str]:
    found: set[str] = set()
    for text in _walked(value):
        found.add(text)
        if len(found) >= MOST_TEXTS:
            break
    return found


def _walked(value: Any) -> Iterator[str]:
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            todo += item.values()
        elif isinstance(item, list | tuple):
            todo += item
