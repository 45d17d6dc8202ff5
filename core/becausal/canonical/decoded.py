"""From canonical bytes back to plain Python data, for reading and comparing. No class of the app is made."""

from __future__ import annotations

import datetime as dt
import decimal
import fractions
import re
import struct
import uuid
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ormsgpack

from becausal.canonical.wire import NESTED, Code

__all__ = ["Cycle", "Missing", "Opaque", "Reading", "Record", "decode", "part_digests"]


class Record(dict[Any, Any]):
    """The fields of a typed object, and the name of its type.

    Equal to any dict of the same fields; `becausal.delta.same` minds the type as well.
    """

    __slots__ = ("type_name",)

    def __init__(self, type_name: str, fields: dict[Any, Any]) -> None:
        super().__init__(fields)
        self.type_name = type_name

    def __repr__(self) -> str:
        return f"Record({self.type_name!r}, {super().__repr__()})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Record, (self.type_name, dict(self))


@dataclass(frozen=True, slots=True)
class Opaque:
    """Something known by name only: a class, a function, a lock."""

    kind: str
    """`class`, `function`, `opaque` or `cut`."""
    name: str


@dataclass(frozen=True, slots=True)
class Missing:
    """A part that is not there."""

    digest: bytes


@dataclass(frozen=True, slots=True)
class Cycle:
    """A container that stands here again.

    `depth` counts upwards: 1 is the container in which this stands.
    """

    depth: int


@dataclass(frozen=True, slots=True)
class _TypeName:
    name: str


def decode(body: bytes, part: Callable[[bytes], bytes | None]) -> object:
    """Return the value of a body as plain Python data.

    Tuples, sets, big ints, dates, Decimal, UUID come back as they were; typed objects as `Record`; enums as
    their value; arrays as nested lists; subclasses of builtins as the builtin. A part that cannot be
    found or read becomes `Missing`. Bytes in a set or as a key of a dict must be hashable when decoded;
    what is not is kept as a tuple of its items.

    Args:
        body: what `Encoded.body` gave.
        part: gives the body of a digest, None if it is not to be had.

    Raises:
        ValueError: the body itself is damaged.
    """
    return Reading(part).read(body)


def part_digests(body: bytes) -> list[bytes]:
    """Return the digests of the parts that a body refers to itself, in its order, each once."""
    if _PART.search(body) is None:  # much faster than reading it
        return []
    found: dict[bytes, None] = {}

    def note(code: int, data: bytes) -> object:
        if code == Code.PART:
            found[data] = None
        elif code in NESTED:
            _unpack(data, note)
        return None

    _unpack(body, note)
    return list(found)


def _unpack(body: bytes, hook: Callable[[int, bytes], object]) -> Any:
    return ormsgpack.unpackb(body, ext_hook=hook)


_PART = re.compile(re.escape(ormsgpack.packb(ormsgpack.Ext(Code.PART, bytes(16)))[:2]))
"""How an entry begins that refers to a part."""


class Reading:
    """One reading of a body; `record` and `nested` say what becomes of typed things."""

    def __init__(self, part: Callable[[bytes], bytes | None]) -> None:
        self.part = part

    def read(self, body: bytes) -> object:
        """Return the value of a body; see `decode`."""
        return _settled(_unpack(body, self.entry), self.record)

    def record(self, type_name: str, fields: dict[Any, Any]) -> object:
        """Return what stands for a typed object."""
        return Record(type_name, fields)

    def entry(self, code: int, data: bytes) -> object:
        """Return what stands for an extension entry."""
        read = _ENTRIES.get(code)
        if read is not None:
            return read(data)
        if code == Code.PART:
            return self.referred(data)
        if code not in NESTED:
            return Opaque("opaque", f"extension {code}")
        return self.nested(code, self.read(data))

    def referred(self, digest: bytes) -> object:
        """Return what stands for a part."""
        body = self.part(digest)
        if body is None:
            return Missing(digest)
        try:
            return self.read(body)
        except (ValueError, RecursionError):
            return Missing(digest)

    def nested(self, code: int, content: Any) -> object:
        """Return what stands for an entry whose content has been read."""
        if code == Code.TUPLE:
            return tuple(content)
        if code == Code.SET:
            return {_hashable(item) for item in content}
        if code == Code.FROZENSET:
            return frozenset(_hashable(item) for item in content)
        if code == Code.MAP:
            fields = {_hashable(key): value for key, value in content}
            return _recorded(fields, self.record) if type(fields.get("\0")) is _TypeName else fields
        if code == Code.ENUM:
            return content[2]
        if code == Code.ARRAY:
            return _items(*content)
        return content[1]


def _settled(value: Any, record: Callable[[str, dict[Any, Any]], object]) -> Any:
    """Turn maps that carry a type name into records, however deep."""
    box = [value]
    todo: list[tuple[Any, Any]] = [(box, 0)]
    typed: list[tuple[Any, Any]] = []
    while todo:
        holder, key = todo.pop()
        inner = holder[key]
        if type(inner) is dict:
            if type(inner.get("\0")) is _TypeName:
                typed.append((holder, key))
            todo += [(inner, name) for name in inner]
        elif type(inner) is list:
            todo += [(inner, index) for index in range(len(inner))]
    # What was met last lies deepest: a record is made once those in it are.
    for holder, key in reversed(typed):
        holder[key] = _recorded(holder[key], record)
    return box[0]


def _recorded(fields: dict[Any, Any], record: Callable[[str, dict[Any, Any]], object]) -> object:
    return record(fields.pop("\0").name, fields)


def _hashable(value: Any) -> Any:
    kind = type(value)
    if kind is list or kind is tuple:
        return tuple(_hashable(item) for item in value)
    if kind is set or kind is frozenset:
        return frozenset(value)
    if kind is dict or kind is Record:
        return tuple((_hashable(key), _hashable(item)) for key, item in value.items())
    return value


def _datetime(data: bytes) -> object:
    *fields, fold, offset, zone = ormsgpack.unpackb(data)
    return dt.datetime(*fields, tzinfo=_zone(offset, zone), fold=fold)  # type: ignore[misc]


def _time(data: bytes) -> object:
    *fields, fold, offset, zone = ormsgpack.unpackb(data)
    return dt.time(*fields, tzinfo=_zone(offset, zone), fold=fold)  # type: ignore[misc]


def _zone(offset: int | None, name: str | None) -> dt.tzinfo | None:
    if name is not None and not name.startswith("?"):
        try:
            return zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            pass  # another machine's zones: the offset remains
    return None if offset is None else dt.timezone(dt.timedelta(microseconds=offset))


def _complex(data: bytes) -> complex:
    return complex(ormsgpack.unpackb(data[:9]), ormsgpack.unpackb(data[9:]))


def _fraction(data: bytes) -> fractions.Fraction:
    # Not by way of the text: `1e999999999` is a fraction too, and takes hours to become one.
    above, _, below = data.decode().partition("/")
    return fractions.Fraction(int(above), int(below or 1))


def _named(kind: str) -> Callable[[bytes], object]:
    return lambda data: Opaque(kind, data.decode())


_ENTRIES: dict[int, Callable[[bytes], object]] = {
    Code.TYPE: lambda data: _TypeName(data.decode()),
    Code.CYCLE: lambda data: Cycle(ormsgpack.unpackb(data)),
    Code.CUT: _named("cut"),
    Code.OPAQUE: _named("opaque"),
    Code.CLASS: _named("class"),
    Code.FUNCTION: _named("function"),
    Code.INT: lambda data: int.from_bytes(data, "big", signed=True),
    Code.STR: lambda data: data.decode("utf-8", "surrogatepass"),
    Code.DATETIME: _datetime,
    Code.DATE: lambda data: dt.date(*ormsgpack.unpackb(data)),
    Code.TIME: _time,
    Code.TIMEDELTA: lambda data: dt.timedelta(*ormsgpack.unpackb(data)),
    Code.UUID: lambda data: uuid.UUID(bytes=data),
    Code.DECIMAL: lambda data: decimal.Decimal(data.decode()),
    Code.COMPLEX: _complex,
    Code.FRACTION: _fraction,
}


def _items(kind: str, form: str, shape: list[int], content: Any) -> object:
    """Return an array's items as nested lists; its bytes if the type of its items is not a plain number."""
    if type(content) is not bytes:
        return content
    code = _NUMBERS.get(form.lstrip("<>=|"))
    if code is None:
        return content
    order = ">" if form.startswith(">") else "<"
    return _shaped([item for (item,) in struct.iter_unpack(order + code, content)], shape)


def _shaped(items: list[Any], shape: list[int]) -> Any:
    if not shape:
        return items[0]
    for length in reversed(shape[1:]):
        count = len(items) // length if length else 0
        items = [items[i * length : (i + 1) * length] for i in range(count)]
    return items


_NUMBERS = {
    "b1": "?", "i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I", "i8": "q", "u8": "Q",
    "f2": "e", "f4": "f", "f8": "d",
}  # fmt: skip
