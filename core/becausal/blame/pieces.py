"""An output cut into pieces: the leaves of data, each with its path; the lines and sentences of texts.

What was asked of tools, and a message's bookkeeping, is not said to anybody, and is no piece. Data that was written as
text (a model's answer in JSON, in a fence or not) is cut as the data that it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from becausal.graph.content import formats_in, said_in, text_of_scalar
from becausal.graph.wording import pieces

__all__ = ["Piece", "cut"]

_FENCE = re.compile(r"\A\s*```(?:json)?\s*\n(.*)\n\s*```\s*\Z", re.DOTALL)
_NAME = re.compile(r"[^\W\d]\w*\Z")
LONGEST_JSON = 1_000_000
FEWEST_WORDS = 4
"""A text of so many words is the same text wherever it stands in an output, and told once."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of an output."""

    text: str
    at: str
    """Where it stands: `$.report.total`, `$.messages[3].content`; `$` where the output is a text."""
    key: str | None = None
    """The key that it stands under, if it is a leaf of data."""


def cut(value: object) -> Iterator[Piece]:
    """Yield the pieces of a decoded payload, each once, in its order."""
    seen: set[object] = set()
    for piece in _leaves(value, "$", None):
        is_long = piece.text.count(" ") >= FEWEST_WORDS - 1
        one = piece.text if is_long or piece.key is None else (piece.text, piece.at)
        if one not in seen:
            seen.add(one)
            yield piece


def _leaves(value: object, at: str, key: str | None) -> Iterator[Piece]:
    match value:
        case Mapping():
            said = said_in(value)
            if said is None:
                return
            is_message = said is not value
            formats = formats_in(said)
            for name, item in said.items():
                if name in formats:
                    continue
                yield from _leaves(item, _under(at, str(name)), None if is_message else str(name))
        case list() | tuple():
            for number, item in enumerate(value):
                yield from _leaves(item, f"{at}[{number}]", key)
        case set() | frozenset():
            for item in value:
                yield from _leaves(item, f"{at}[]", key)
        case _ if (text := text_of_scalar(value)) is not None:
            data = _data(text) if isinstance(value, str) else None
            if data is not None:
                yield from _leaves(data, at, key)
            else:
                yield from (Piece(piece, at, key) for piece in pieces(text))


def _under(at: str, name: str) -> str:
    return f"{at}.{name}" if _NAME.match(name) else f"{at}[{json.dumps(name, ensure_ascii=False)}]"


def _data(text: str) -> object:
    fenced = _FENCE.match(text)
    inner = (fenced[1] if fenced is not None else text).strip()
    if inner[:1] not in ("{", "[") or len(inner) > LONGEST_JSON:
        return None
    try:
        value: object = json.loads(inner)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict | list) else None
