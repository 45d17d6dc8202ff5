"""A body that is too large, cut down to its beginning and its end; pure.

It keeps the digest of all that was there, so it is no longer what its digest says: an entry of its own kind, which
holds the full size and what was kept. In the place of what was not, a text says how much that was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ormsgpack

from becausal.canonical.calling import packed, unpacked
from becausal.canonical.wire import UNSORTED, Code, entry

__all__ = ["cut", "is_cut"]

_HEADS = {0xC7: 2, 0xC8: 3, 0xC9: 5, **dict.fromkeys(range(0xD4, 0xD9), 1)}
"""Where the code of an extension entry stands, by its first byte (msgpack specification, "ext format family")."""


def cut(body: bytes, most: int) -> bytes:
    """Return what stands for a body of more than `most` bytes: about so many, of its beginning and its end."""
    return entry(Code.CUT_DOWN, _packed([len(body), _cut(_unpacked(body), most)]))


def is_cut(body: bytes) -> bool:
    """Return whether a body is one that was cut down."""
    at = _HEADS.get(body[0]) if body else None
    return at is not None and len(body) > at and body[at] == Code.CUT_DOWN


@dataclass(frozen=True, slots=True)
class _Entry:
    code: int
    data: bytes


def _unpacked(body: bytes) -> Any:
    return unpacked(body, _Entry)


def _packed(value: Any) -> bytes:
    return packed(value, _again, UNSORTED & ~ormsgpack.OPT_PASSTHROUGH_TUPLE)


def _again(made: _Entry) -> ormsgpack.Ext:
    return ormsgpack.Ext(made.code, made.data)


def _cut(value: Any, most: int) -> Any:
    match value:
        case str():
            return value if len(value) <= most else _text(value, most)
        case bytes():
            left = len(value) - most
            return value if left <= 0 else value[: most // 2] + _note(left).encode() + value[-(most // 2) :]
        case list():
            return _items(value, most, lambda left: _note(left, "items"))
        case dict():
            kept = _items(list(value.items()), most, lambda left: (_note(left, "fields"), None))
            return dict(kept)
        case _Entry(Code.TUPLE | Code.SET | Code.FROZENSET):
            return _Entry(value.code, _packed(_cut(_unpacked(value.data), most)))
        case _Entry(Code.MAP):
            pairs = [(key, item) for key, item in _unpacked(value.data)]
            return _Entry(
                value.code, _packed(_items(pairs, most, lambda left: (_note(left, "fields"), None)))
            )
        case _Entry(Code.SUBCLASS):
            name, content, *more = _unpacked(value.data)
            return _Entry(value.code, _packed([name, _cut(content, most), *more]))
        case _Entry() if len(value.data) > most:
            return _note(len(value.data) - most)
    return value


def _text(value: str, most: int) -> str:
    # A character has up to four bytes: in bytes, since that is what is bounded.
    data = value.encode("utf-8", "surrogatepass")
    half = max(1, most // 2)
    first, last = data[:half].decode("utf-8", "ignore"), data[-half:].decode("utf-8", "ignore")
    return f"{first}{_note(len(data) - 2 * half)}{last}" if len(data) > most else value


def _items(items: list[Any], most: int, note: Any) -> list[Any]:
    """Return the first items and the last ones; one that is too large by itself is cut down."""
    half = max(1, most // 2)
    first, taken = _until(items, half)
    last, _ = _until(items[taken:][::-1], half)
    left = len(items) - taken - len(last)
    return [*first, *([note(left)] if left else []), *last[::-1]]


def _until(items: list[Any], most: int) -> tuple[list[Any], int]:
    kept: list[Any] = []
    for item in items:
        size = _size(item)
        if size > most:
            if not kept:
                kept.append(_cut_item(item, most))
            break
        kept.append(item)
        most -= size
    return kept, len(kept)


def _cut_item(item: Any, most: int) -> Any:
    return (item[0], _cut(item[1], most)) if isinstance(item, tuple) else _cut(item, most)


def _size(item: Any) -> int:
    return len(_packed(list(item) if isinstance(item, tuple) else item))


def _note(left: int, what: str = "bytes") -> str:
    return f"[… {left:,} {what} were not kept …]"
