"""Canonical bytes with their texts rewritten: the same value, typed and structured as before, without what is secret.

Parts stay where they are: they were rewritten before whatever refers to them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import ormsgpack

from becausal.canonical.calling import packed, unpacked
from becausal.canonical.looks import NAMES
from becausal.canonical.terms import SplitError
from becausal.canonical.wire import NESTED, UNSORTED, Code

__all__ = ["Rewriting", "ends_text", "rewritten"]

HEADERS = frozenset(("authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "api-key"))
"""Names that stand before their values in a pair: headers, as ASGI and HTTP clients hold them."""

TYPES = ("string", "number", "integer", "boolean", "object", "array", "null")
"""Of a JSON schema: under `password` it says what a password is."""

_IS_TEXT = re.compile(r"[|<>=]?S[0-9]+")
"""How the form of an array is written whose items are texts as bytes; a single one is not in a list."""

_MAY_BE_TEXT = re.compile(r"^[|<>=]?(?:[iu]1|V[0-9]+)$|^\[.*(?<!\(''), '[|<>=]?(?:[iu]1|V[0-9]+)'")
"""The same of single bytes, or with a field of them; what has no name lies between fields."""


class Rewriting(Protocol):
    """What becomes of what is found."""

    def text(self, text: str) -> str:
        """Return a text without its secrets."""

    def raw(self, content: bytes) -> bytes:
        """Return bytes without their secrets."""

    def under(self, key: str, value: str | bytes | int) -> str | bytes | int:
        """Return what may be kept of a value that stands under a name."""

    def is_secret_key(self, key: str, /) -> bool:
        """Return whether what stands under a name may be secret."""


def rewritten(body: bytes, by: Rewriting) -> bytes:
    """Return a body with its texts rewritten.

    Raises:
        SplitError: what stands under a secret's name is a part, which nobody has judged by that name.
        ValueError: it is none.
    """
    value, walk = _read(body), _Walk(by)
    walk.refuse_split_pair(value)
    return _written(walk.value(value))


def ends_text(body: bytes, end: int) -> bool:
    """Return whether a text or bytes of up to 255 bytes may end at a place: as a name does, and its value follows.

    A number or a digest has the letters of a short name in it by chance, one in some ten thousand.
    """
    for length in range(1, min(end, 256)):
        start = end - length
        before = body[start - 1]
        is_head = before == 0xA0 | length if length < 32 else False
        if not is_head and before == length and start > 1:
            is_head = body[start - 2] in _HEADS
        if is_head and _is_utf8(body[start:end]):
            return True
    return False


_HEADS = frozenset(b"\xd9\xc4")
"""How a text of 32 to 255 bytes begins, and bytes of up to 255; their length follows."""


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


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

    def refuse_split_pair(self, value: Any) -> None:
        """Refuse a pair that is the whole value, of which a long text is a part by itself; elsewhere none is.

        Raises:
            SplitError: it is one, of a secret's name and a part.
        """
        pair = _read(value.data) if type(value) is _Entry and value.code == Code.TUPLE else value
        if type(pair) is not list or len(pair) != 2 or self._secret_name(pair[0]) is None:
            return
        if type(pair[1]) is _Entry and pair[1].code == Code.PART:
            raise SplitError

    def value(self, value: Any) -> Any:
        kind = type(value)
        if kind is str:
            return self._by.text(value)
        if kind is dict:
            return self.mapping(value)
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

    def mapping(self, fields: dict[Any, Any]) -> dict[Any, Any]:
        """Return a dict without its secrets."""
        told = None
        if "value" in fields:  # {"name": "password", "value": …}
            told = next(
                (said for key in NAMES if (said := self._secret_name(fields.get(key))) is not None), None
            )
        kept = []
        for key, item in fields.items():
            by = told if told is not None and key == "value" else self._secret_name(key)
            kept.append((self.name(key), self.value(item) if by is None else self.secret(by, item)))
        return with_keys_apart(kept)

    def entry(self, key: Any, item: Any) -> Any:
        """Return what stands under a key."""
        name = self._secret_name(key)
        return self.value(item) if name is None else self.secret(name, item)

    def _secret_name(self, key: Any) -> str | None:
        name = _said(key)
        return name if name is not None and self._by.is_secret_key(name) else None

    def secret(self, key: str, item: Any) -> Any:
        """Return what may be kept of what stands under a name, however deep it stands there."""
        kind = type(item)
        if kind is str or kind is bytes or kind is int:
            return self._by.under(key, item)
        if kind is list:
            return [self.secret(key, one) for one in item]
        if kind is dict:
            if (
                item.get("type") in TYPES or "$ref" in item or "anyOf" in item
            ):  # a JSON schema: what a tool takes is told in words
                return self.mapping(item)
            return with_keys_apart(
                (self.name(name), self.below(key, name, one)) for name, one in item.items()
            )
        if kind is _Entry and item.code == Code.PART:
            raise SplitError
        if kind is not _Entry or item.code not in NESTED:
            return self.value(item)
        if item.code in (Code.SUBCLASS, Code.ENUM):
            name, *inside = _read(item.data)
            return _Entry(item.code, _written([name, *(self.secret(key, one) for one in inside)]))
        if item.code == Code.MAP:
            rows = [[self.value(name), self.below(key, name, one)] for name, one in _read(item.data)]
            return _Entry(item.code, _written(rows))
        if item.code in (Code.TUPLE, Code.SET, Code.FROZENSET):
            return _Entry(item.code, _written(self.secret(key, _read(item.data))))
        if item.code == Code.ARRAY:
            return self._array(item, lambda content: self.secret(key, content))
        return self.value(item)

    def below(self, key: str, name: Any, item: Any) -> Any:
        """Return what stands under a name in a dict that stands under a secret's name."""
        if (own := self._secret_name(name)) is not None:
            return self.secret(own, item)
        if _said(name) == "value":
            kept = self.secret(key, item)
            return self.secret("secret", item) if kept == item else kept
        if type(item) in (str, bytes) and not is_one_word(item):
            return self.value(item)
        return self.value(item) if type(item) is int else self.secret(key, item)

    def items(self, items: list[Any]) -> list[Any]:
        # ("password", …): headers, as ASGI and HTTP clients hold them, and forms.
        if len(items) == 2 and (name := self._secret_name(items[0])) is not None:
            return [self.value(items[0]), self.beside(name, items[1])]
        return [self.value(item) for item in items]

    def beside(self, name: str, item: Any) -> Any:
        """Return what may be kept of what stands behind a secret's name in a pair, or of each of several texts."""
        kind = type(item)
        # Not names of fields: ["password", "user"].
        if kind in (str, bytes) and (name.lower() in HEADERS or (is_one_word(item) and not is_name(item))):
            return self._by.under(name, item)
        if kind is list:
            return [self.beside(name, one) for one in item]
        if kind is _Entry and item.code in (Code.TUPLE, Code.SET, Code.FROZENSET):
            return _Entry(item.code, _written(self.beside(name, _read(item.data))))
        if kind is _Entry and item.code == Code.ARRAY:
            return self._array(item, lambda content: self.beside(name, content))
        return self.value(item)

    def extension(self, ext: Any) -> Any:
        """Return an extension entry, its content rewritten where it is content of the app's."""
        if ext.code == Code.MAP:
            rows = [[self.value(key), self.entry(key, item)] for key, item in _read(ext.data)]
            return _Entry(ext.code, _written(rows))
        if ext.code == Code.STR:
            text = ext.data.decode("utf-8", "surrogatepass")
            return _Entry(ext.code, self._by.text(text).encode("utf-8", "surrogatepass"))
        if ext.code == Code.ARRAY:
            return self._array(ext, self.value)
        if ext.code in NESTED:
            return _Entry(ext.code, _written(self.value(_read(ext.data))))
        return ext

    def _array(self, ext: _Entry, keep: Callable[[Any], Any]) -> _Entry:
        """Return an array; numbers are no text, and of a fixed size, but for single bytes, which may be one."""
        name, form, shape, content = _read(ext.data)
        if type(content) is not bytes or _IS_TEXT.fullmatch(form):
            return _Entry(ext.code, _written([name, form, shape, keep(content)]))
        if _MAY_BE_TEXT.search(form) is None or (kept := keep(content)) == content:
            return ext
        return _Entry(ext.code, _written([name, "|u1", [len(kept)], kept]))

    def _number(self, value: int) -> Any:
        # A card's number, kept as one.
        if not 10**13 <= value < 10**16:
            return value
        kept = self._by.text(str(value))
        return kept if not kept.isdigit() else value


def is_one_word(item: str | bytes) -> bool:
    """Return whether there is no space in a text: below a secret's name there are descriptions, too."""
    return len(item.split()) == 1


def is_name(item: str | bytes) -> bool:
    """Return whether a text may be the name of a field."""
    return (
        re.fullmatch(
            rb"[A-Za-z_.-]*", item if isinstance(item, bytes) else item.encode("utf-8", "surrogatepass")
        )
        is not None
    )


def _said(key: Any) -> str | None:
    """Return what a key says: a text, bytes, a member of an enum, an instance of a subclass."""
    if type(key) is str:
        return key
    if type(key) is bytes:
        return key.decode("latin-1")
    if type(key) is _Entry:
        if key.code == Code.ENUM:
            return _said(_read(key.data)[2])
        if key.code == Code.SUBCLASS:
            return _said(_read(key.data)[1])
    return None


def with_keys_apart(items: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    """Return a dict; of two keys that have become the same, the second gets a number."""
    made: dict[Any, Any] = {}
    for key, item in items:
        name, nth = key, 2
        while name in made:
            name, nth = f"{key} #{nth}", nth + 1
        made[name] = item
    return made
