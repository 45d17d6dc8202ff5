"""Values out of bytes: whatever bytes there are, they say some value, so that a fuzzer may change any of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

__all__ = ["Note", "Source", "value_of"]

DEEPEST = 12
MOST_ITEMS = 9
TEXTS = (
    "",
    "role",
    "content",
    "type",
    "ai",
    "id",
    "name",
    "é",
    "\0",
    "\ud800",
    "x" * 300,
    "tool_calls",
    "args",
    "…",
)


@dataclass
class Note:
    """A typed thing of an app."""

    title: Any
    body: Any = None


class Source:
    """Bytes, taken from the front; when none are left, zeros."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    @property
    def is_empty(self) -> bool:
        return self.at >= len(self.data)

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1] if self.at <= len(self.data) else 0

    def some(self, count: int) -> bytes:
        self.at += count
        return self.data[self.at - count : self.at]

    def rest(self) -> bytes:
        return self.some(max(0, len(self.data) - self.at))

    def text(self) -> str:
        kind = self.byte()
        if kind < len(TEXTS):
            return TEXTS[kind]
        return self.some(kind % 48).decode("utf-8", "surrogateescape" if kind & 1 else "replace")


def value_of(source: Source, depth: int = 0) -> Any:
    """Return the value that bytes say."""
    kind = source.byte()
    if depth < DEEPEST and kind % 3 == 0:
        return NESTED[kind // 3 % len(NESTED)](source, depth + 1)
    return LEAVES[kind // 3 % len(LEAVES)](source)


def _items(source: Source, depth: int) -> list[Any]:
    return [value_of(source, depth) for _ in range(source.byte() % MOST_ITEMS) if not source.is_empty]


def _hashable(source: Source, depth: int) -> Any:
    try:
        value = value_of(source, depth)
        hash(value)
    except TypeError:
        return source.text()
    return value


def _dict(source: Source, depth: int) -> dict[Any, Any]:
    count = source.byte() % MOST_ITEMS
    return {_hashable(source, depth): value_of(source, depth) for _ in range(count) if not source.is_empty}


def _message(source: Source, depth: int) -> dict[str, Any]:
    return {"type": source.text(), "content": value_of(source, depth), "id": source.text(), "name": None}


def _cycle(source: Source, depth: int) -> list[Any]:
    items = _items(source, depth)
    items.append(items)
    return items


def _number(source: Source) -> int:
    return int.from_bytes(source.some(source.byte() % 12), "big", signed=True)


def _float(source: Source) -> float:
    import struct

    return float(struct.unpack(">d", source.some(8).ljust(8, b"\0"))[0])


def _moment(source: Source) -> dt.datetime:
    zone = dt.timezone(dt.timedelta(minutes=source.byte() * 11 - 1400)) if source.byte() & 1 else None
    since = abs(_number(source)) % (3_000 * 365 * 86_400 * 1_000_000)
    return (dt.datetime(1, 1, 2) + dt.timedelta(microseconds=since)).replace(tzinfo=zone)


def _decimal(source: Source) -> Decimal:
    return Decimal(_number(source)).scaleb(source.byte() - 128) if source.byte() & 7 else Decimal("NaN")


NESTED: tuple[Callable[[Source, int], Any], ...] = (
    _items,
    _dict,
    lambda source, depth: tuple(_items(source, depth)),
    lambda source, depth: {_hashable(source, depth) for _ in range(source.byte() % MOST_ITEMS)},
    _message,
    lambda source, depth: Note(value_of(source, depth), value_of(source, depth)),
    lambda source, depth: [_message(source, depth) for _ in range(source.byte() % 20) if not source.is_empty],
    _cycle,
)
LEAVES: tuple[Callable[[Source], Any], ...] = (
    Source.text,
    Source.text,
    _number,
    _float,
    lambda source: None,
    lambda source: bool(source.byte() & 1),
    lambda source: source.some(source.byte() % 40),
    _moment,
    lambda source: _moment(source).date(),
    lambda source: _moment(source).timetz(),
    _decimal,
    lambda source: Fraction(_number(source), 1 + source.byte()),
    lambda source: UUID(bytes=source.some(16).ljust(16, b"\0")),
    lambda source: complex(_float(source), _float(source)),
    lambda source: dt.timedelta(microseconds=_number(source) % 10**15),
    lambda source: range(source.byte()),
    lambda source: Source,
)
