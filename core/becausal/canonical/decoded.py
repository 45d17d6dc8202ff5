"""From canonical bytes back to plain Python data, for reading and comparing. No class of the app is made."""

from __future__ import annotations

import datetime as dt
import decimal
import fractions
import re
import uuid
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ormsgpack

from becausal.canonical.calling import unpacked
from becausal.canonical.leaves import items_of
from becausal.canonical.wire import NESTED, PART, Code

__all__ = ["Cycle", "Missing", "Opaque", "Reading", "Record", "decode", "part_digests"]

MOST_LEVELS = 400
"""So deep may containers lie in one another, through all parts. A recorder follows 255 levels of plain data and 64 of
objects; what lies deeper was made by hand, to exhaust whoever walks through it."""

MOST_REPEATED = 64 << 20
"""Bytes that parts may come to which were read before in the same body. What is read once is as large as the store has
it; what is named twice in a part that is named twice, and so on, is as large as somebody likes."""

AT_LEAST = 1_024
"""Bytes that a repeated part counts for, however small it is: reading it takes time."""

ITEM_BYTES = 64
"""What an item takes in memory, about."""


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

    def __repr__(self) -> str:
        return "<content that is not there>"


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
    found or read becomes `Missing`, so does one that lies within itself, or that would go beyond `MOST_LEVELS` or
    `MOST_REPEATED`. Bytes in a set or as a key of a dict must be hashable when decoded;
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
    return unpacked(body, hook)


_PART = re.compile(re.escape(PART))
"""How an entry begins that refers to a part."""


@dataclass(slots=True)
class _Later:
    """An entry that is read once the walk comes to it: msgpack's own way down would be as deep as somebody likes."""

    code: int
    data: bytes


@dataclass(slots=True)
class _Frame:
    """A body, or the content of an entry, that is being read."""

    box: list[Any]
    """The value, when all is done."""
    todo: list[tuple[Any, Any, int]]
    """What is to be looked at: what holds it, by which key, how many levels down."""
    typed: list[tuple[Any, Any]]
    """Maps that carry a type name."""
    place: tuple[Any, Any]
    """Where the value goes."""
    code: int = 0
    digest: bytes | None = None
    """Of a part."""
    again: bool = False
    """Whether this is a part that was read before, or is within one."""


class Reading:
    """One reading of a body; `record` and `nested` say what becomes of typed things, `failed` of what is damaged."""

    def __init__(self, part: Callable[[bytes], bytes | None]) -> None:
        self.part = part
        self._met: set[bytes] = set()
        self._open: set[bytes] = set()
        self._left = MOST_REPEATED

    def read(self, body: bytes) -> object:
        """Return the value of a body; see `decode`."""
        box: list[Any] = [None]
        frames: list[_Frame] = []
        try:
            frames.append(_frame(body, (box, 0), 1))
        except Exception as failure:
            self.failed(failure, None)
        while frames:
            frame = frames[-1]
            try:
                if frame.todo:
                    self._look(frame, frames)
                else:
                    self._end(frame)
                    frames.pop()
            # Whatever becomes of bytes that no encoder wrote: the part in which they stand cannot be read.
            except Exception as failure:
                self._give_up(frames, failure)
        return box[0]

    def record(self, type_name: str, fields: dict[Any, Any]) -> object:
        """Return what stands for a typed object."""
        return Record(type_name, fields)

    def failed(self, failure: Exception, digest: bytes | None) -> object:
        """Return what stands for a part that cannot be read.

        Args:
            failure: why.
            digest: of the part; None: it is the body itself.

        Raises:
            ValueError: it is the body itself.
        """
        if digest is None:
            raise ValueError(f"the body is damaged: {failure!s:.200}") from failure
        return Missing(digest)

    def missing(self, digest: bytes) -> object:
        """Return what stands for a part that is not kept."""
        return Missing(digest)

    def _look(self, frame: _Frame, frames: list[_Frame]) -> None:
        """Look at what comes next in a frame."""
        holder, key, level = frame.todo.pop()
        inner = holder[key]
        kind = type(inner)
        if kind is _Later:
            holder[key] = None  # or the bytes of all entries around one another were held at once
            if inner.code == Code.PART:
                self._refer(inner.data, frame, frames, (holder, key), level)
            elif level > MOST_LEVELS:
                raise ValueError(f"entries lie deeper than {MOST_LEVELS} levels")
            else:
                frames.append(_frame(inner.data, (holder, key), level, inner.code, again=frame.again))
        elif kind is list or kind is dict:
            if level > MOST_LEVELS:
                holder[key] = Opaque("cut", kind.__name__)
                return
            if kind is dict and type(inner.get("\0")) is _TypeName:
                frame.typed.append((holder, key))
            names = range(len(inner) - 1, -1, -1) if kind is list else reversed(inner)
            frame.todo += [(inner, name, level + 1) for name in names]  # the last one is looked at first
            if frame.again:
                self._left -= ITEM_BYTES * len(inner)

    def _refer(
        self, digest: bytes, frame: _Frame, frames: list[_Frame], place: tuple[Any, Any], level: int
    ) -> None:
        """Begin to read a part, or put in its place what stands for it."""
        holder, key = place
        body = self.part(digest)
        if body is None:
            holder[key] = self.missing(digest)
            return
        again = digest in self._met
        if digest in self._open or level > MOST_LEVELS or (again and self._left <= 0):
            why = "is a part of itself" if digest in self._open else "goes beyond measure with its parts"
            holder[key] = self.failed(ValueError(f"the body {digest.hex()} {why}"), digest)
            return
        self._met.add(digest)
        if again:
            self._left -= max(len(body), AT_LEAST)
        try:
            inner = _frame(body, place, level, Code.PART, digest, again=again or frame.again)
        except Exception as failure:
            holder[key] = self.failed(failure, digest)
            return
        self._open.add(digest)
        frames.append(inner)

    def _end(self, frame: _Frame) -> None:
        """Put what was read in its place."""
        # What was met last lies deepest: a record is made once those in it are.
        for holder, key in reversed(frame.typed):
            holder[key] = _recorded(holder[key], self.record)
        value = frame.box[0]
        if frame.digest is not None:
            self._open.discard(frame.digest)
        elif frame.code:
            value = self.nested(frame.code, value)
        holder, key = frame.place
        holder[key] = value

    def _give_up(self, frames: list[_Frame], failure: Exception) -> None:
        """Leave the part that is being read."""
        while True:
            frame = frames.pop()
            if frame.digest is not None:
                self._open.discard(frame.digest)
            if frame.digest is not None or not frames:
                holder, key = frame.place
                holder[key] = self.failed(failure, frame.digest)
                return

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
            return items_of(*content)
        return content[1]


def _frame(
    body: bytes,
    place: tuple[Any, Any],
    level: int,
    code: int = 0,
    digest: bytes | None = None,
    *,
    again: bool = False,
) -> _Frame:
    box = [_unpack(body, _entry)]
    kind = type(box[0])
    todo = [(box, 0, level)] if kind is _Later or kind is list or kind is dict else []
    return _Frame(box, todo, [], place, code, digest, again)


def _entry(code: int, data: bytes) -> object:
    """Return what stands for an extension entry, or for the time being."""
    read = _ENTRIES.get(code)
    if read is not None:
        return read(data)
    if code == Code.PART or code in NESTED:
        return _Later(code, data)
    return Opaque("opaque", f"extension {code}")


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
