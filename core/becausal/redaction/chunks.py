"""Secrets that lie across the pieces of a stream: none of the pieces shows them, the text that they make up does."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

__all__ = ["whole"]

TEXTS = ("content", "text", "delta")
"""Fields of a piece that hold its share of the text, whatever framework made it."""


class Joining(Protocol):
    """What knows secrets."""

    def joined(self, pieces: Sequence[str]) -> str | None:
        """Return what may be kept of a text in pieces, if a secret lies across their borders; else None."""


def whole(items: list[Any], redact: Joining) -> list[Any]:
    """Return a stream's pieces as they may be kept: the same list, unless a secret lies across their borders.

    Then the first piece has the whole text, with what stands for the secret, and the others none: to cut it anew could
    not keep the borders that the app saw.

    Args:
        items: texts, or plain data with a field of text; not the app's own objects.
    """
    if len(items) < 2:
        return items
    for field in (None, *TEXTS):
        places = [place for place, item in enumerate(items) if type(_text(item, field)) is str]
        if (
            len(places) > 1
            and (kept := redact.joined([_text(items[place], field) for place in places])) is not None
        ):
            items = list(items)
            for place in places:
                items[place] = _with(items[place], field, kept)
                kept = ""
    return items


def _text(item: Any, field: str | None) -> Any:
    if field is None:
        return item
    return item.get(field) if isinstance(item, Mapping) else None


def _with(item: Any, field: str | None, text: str) -> Any:
    if field is None:
        return text
    changed = copy.copy(item)
    changed[field] = text
    return changed
