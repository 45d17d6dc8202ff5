"""Canonical bytes with their texts rewritten: the same value, typed and structured as before, without what is secret.

Parts stay where they are: they were rewritten before whatever refers to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import ormsgpack

from becausal.canonical.calling import packed, unpacked
from becausal.canonical.wire import NESTED, UNSORTED, Code

__all__ = ["Rewriting", "rewritten"]

HEADERS = frozenset(("authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "api-key"))
"""Names that stand before their values in a pair: headers, as ASGI and HTTP clients hold them."""


class Rewriting(Protocol):
    """What becomes of what is found."""

    def text(self, text: str) -> str:
        """Return a text without its secrets."""

    def raw(self, content: bytes) -> bytes:
        """Return bytes without their secrets."""

    def under(self, key: str, value: str | bytes | int) -> str | bytes | int:
        """Return what may be kept of a value that stands under a name."""

    def is_secret_key(self, key: str) -> bool:
        """Return whether what stands under a name may be secret."""


def rewritten(body: bytes, by: Rewriting) -> bytes:
    """Return a body with its texts rewritten.

    Raises:
        ValueError: it is none.
    """
    return _written(_Walk(by).value(_read(body)))


@dataclass(frozen=True, slots=True)
class _Entry:
    """An extension entry."""

    code: int
    data: bytes


def _read(body: bytes) -> Any:
    return unpacked(body, _Entry)


def _written(value: Any) -> bytes:
    return packed(value, _packed, UNSORTED)


def _packed(entry: Any) -> Any:
    return ormsgpack.Ext(entry.code, entry.data)


class _Walk:
    def __init__(self, by: Rewriting) -> None:
        self._by = by

    def value(self, value: Any) -> Any:
        kind = type(value)
        if kind is str:
            return self._by.text(value)
        if kind is dict:
            return {self.name(key): self.entry(key, item) for key, item in value.items()}
        if kind is list:
            return self.items(value)
        if kind is bytes:
            return self._by.raw(value)
        if kind is int:
            return self._number(value)
        if kind is _Entry:
            return self.extension(value)
        return value

    def name(self, key: Any) -> Any:
        """Return a key without its secrets."""
        return self._by.text(key) if type(key) is str and key != "\0" else key

    def entry(self, key: Any, item: Any) -> Any:
        """Return what stands under a key."""
        if type(key) is not str or not self._by.is_secret_key(key):
            return self.value(item)
        return self.secret(key, item)

    def secret(self, key: str, item: Any) -> Any:
        kind = type(item)
        if kind is str or kind is bytes or kind is int:
            return self._by.under(key, item)
        if kind is list:
            return [self.secret(key, one) for one in item]
        if kind is _Entry and item.code == Code.SUBCLASS:
            name, *inside = _read(item.data)
            return _Entry(item.code, _written([name, *(self.secret(key, one) for one in inside)]))
        if kind is _Entry and item.code in (Code.TUPLE, Code.SET, Code.FROZENSET):
            inside = _read(item.data)
            return _Entry(item.code, _written(self.secret(key, inside)))
        return self.value(item)

    def items(self, items: list[Any]) -> list[Any]:
        if len(items) == 2 and type(items[0]) in (str, bytes) and type(items[1]) in (str, bytes):
            name = items[0] if type(items[0]) is str else items[0].decode("latin-1")
            if name.lower() in HEADERS:
                return [items[0], self._by.under(name, items[1])]
        return [self.value(item) for item in items]

    def extension(self, ext: Any) -> Any:
        """Return an extension entry, its content rewritten where it is content of the app's."""
        if ext.code == Code.MAP:
            rows = [[self.value(key), self.entry(key, item)] for key, item in _read(ext.data)]
            return _Entry(ext.code, _written(rows))
        if ext.code == Code.STR:
            text = ext.data.decode("utf-8", "surrogatepass")
            return _Entry(ext.code, self._by.text(text).encode("utf-8", "surrogatepass"))
        if (
            ext.code == Code.ARRAY and type(_read(ext.data)[2]) is bytes
        ):  # numbers: no text, and of a fixed size
            return ext
        if ext.code in NESTED:
            return _Entry(ext.code, _written(self.value(_read(ext.data))))
        return ext

    def _number(self, value: int) -> Any:
        # A card's number, kept as one.
        if not 10**13 <= value < 10**16:
            return value
        kept = self._by.text(str(value))
        return kept if not kept.isdigit() else value
