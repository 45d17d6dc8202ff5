"""Two recorded values compared although a secret was known as one only when the second was recorded.

What a secret's surroundings do not give away is redacted from the moment on at which it was met as one. So what was
sent may hold a text, and what arrived the same text with a marker in it: that is no change of what was handed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from becausal.canonical.decoded import Record
from becausal.facts.kept import kept
from becausal.redaction.marker import MARKER, markers_in
from becausal.redaction.replacing import replaced

__all__ = ["alike"]

BEGINNING = "[redacted:"
"""How every marker begins."""
MOST_TEXTS = 10_000
MOST_MARKED = 64
"""Texts with markers that are led back to what they were; more of them are compared as they are."""
MOST_MARKERS = 64
"""In one text: one with more is compared as it is."""
MOST_SECRETS = 64
MOST_SEARCHED = 4_000_000
"""Characters that are looked through for what stood in the place of markers. Whoever fills the values chooses them."""
SHORTEST, LONGEST = 4, 20_000
"""Characters that may have stood in the place of one marker."""


def alike(first: Any, second: Any, *, two_keys: bool = False) -> tuple[Any, Any]:
    """Return two decoded values, with every secret that is redacted in one of them redacted in the other as well.

    The same objects where there is nothing to do, which is nearly always.

    Args:
        two_keys: they were redacted under keys of two installations: of two markers only the kinds can be compared.
    """
    if two_keys:
        first, second = _unkeyed(first), _unkeyed(second)
    if not (_has_marker(first) or _has_marker(second)):
        return first, second
    here, there = _texts(first), _texts(second)
    marked_here, marked_there = _marked(here - there), _marked(there - here)
    if marked_there and (told := _plain(marked_there, here - there)):
        first = _replaced(first, partial(replaced, instead=told))
    if marked_here and (seen := _plain(marked_here, there - here)):
        second = _replaced(second, partial(replaced, instead=seen))
    return first, second


def _marked(texts: set[str]) -> list[str]:
    return [text for text in sorted(texts) if MARKER.search(text)][:MOST_MARKED]


def _plain(marked: list[str], others: set[str]) -> dict[str, str]:
    """Return what stands for each secret, by the secret: found where one text is another but for a marker."""
    found: dict[str, str] = {}
    left = MOST_SEARCHED
    candidates = sorted(others)
    for text in marked:
        markers, between = markers_in(text), _between(text)
        if len(markers) > MOST_MARKERS:
            continue
        for other in candidates:
            if not (other.startswith(between[0]) and other.endswith(between[-1])):
                continue
            left -= len(other)
            if left < 0 or len(found) >= MOST_SECRETS:
                return found
            secrets = secrets_in(other, between)
            # Two secrets are two.
            found |= {
                secret: marker
                for secret, marker in zip(secrets, markers, strict=False)
                if not MARKER.search(secret)
            }
    return found


def secrets_in(text: str, between: list[str]) -> list[str]:
    """Return what stands between pieces in a text, if it is these pieces with something between them; else nothing.

    Each piece is taken where it stands first and none is tried elsewhere: so that what takes long cannot be written.

    Args:
        text: it begins with the first piece and ends with the last one.
        between: two pieces or more.
    """
    secrets: list[str] = []
    at, end = len(between[0]), len(text) - len(between[-1])
    for piece in between[1:-1]:
        # Where nothing stands between two markers nobody knows where the one ends.
        start = text.find(piece, at + SHORTEST, min(end, at + LONGEST + len(piece))) if piece else -1
        if start < 0:
            return []
        secrets.append(text[at:start])
        at = start + len(piece)
    if not SHORTEST <= end - at <= LONGEST:
        return []
    return [*secrets, text[at:end]]


def _between(text: str) -> list[str]:
    pieces, at = [], 0
    for found in MARKER.finditer(text):
        pieces.append(text[at : found.start()])
        at = found.end()
    return [*pieces, text[at:]]


def _replaced(value: Any, by: Callable[[str], str]) -> Any:
    kind = type(value)
    if kind is str:
        return by(value)
    if kind is dict:
        return {_replaced(key, by): _replaced(item, by) for key, item in value.items()}
    if kind is Record:
        return Record(value.type_name, {key: _replaced(item, by) for key, item in value.items()})
    if kind is list or kind is tuple:
        return kind([_replaced(item, by) for item in value])
    return value


def _unkeyed(value: Any) -> Any:
    return _replaced(value, lambda text: MARKER.sub(r"[redacted:\1:00000000]", text))


def _has_marker(value: Any) -> bool:
    """Say whether a marker may stand in a value; of a list that came before with less in it, the rest is looked at."""
    known = kept()
    looked_at: list[Sequence[Any]] = []
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, str):
            if BEGINNING in item:
                return True
        elif isinstance(item, dict):
            todo += item.values()
        elif isinstance(item, list | tuple):
            before = None if known is None else known.grown.take("without markers", item)
            todo += item if before is None else item[before[0] :]
            looked_at.append(item)
    if known is not None:
        for items in looked_at:
            known.grown.put("without markers", items, None)
    return False


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
