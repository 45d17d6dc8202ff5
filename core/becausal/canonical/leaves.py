"""The types of Python itself that msgpack lacks, each read in full; and what every reader is told in.

None of this can run the app's code: a type is found here by identity, so never a subclass of it.
"""

from __future__ import annotations

import array as arrays
import collections
import datetime as dt
import decimal
import fractions
import functools
import pathlib
import struct
import types
import uuid
import zoneinfo
from collections.abc import Callable
from typing import Any

import ormsgpack

from becausal.canonical.wire import OPTIONS, Code

__all__ = [
    "BASICSIZE",
    "BODY",
    "DICTOFFSET",
    "EXACT",
    "FIELDS",
    "FLAGS",
    "HEAP",
    "ITEMS",
    "LEAF",
    "LEAVES",
    "MRO",
    "OTHER_NAMES",
    "UNORDERED",
    "WEAKOFFSET",
    "WRAP",
    "Read",
    "Rows",
    "Sight",
    "Unordered",
    "items_of",
    "name_of",
]

LEAF, WRAP, UNORDERED, FIELDS, ITEMS = range(5)
"""Shapes: complete bytes; plain content to be packed; items in the order of their bytes; a typed object's
fields; a dict whose keys are not all plain str."""

Sight = tuple[int, Any, Any, str | None]
"""(shape, code or type name, content, why something was left out)."""

Read = Callable[[Any], Sight]


class Unordered:
    """The items of a subclass of set, in the place of the set itself: to make one would hash them again."""

    __slots__ = ("code", "items")

    def __init__(self, code: Code, items: list[Any]) -> None:
        self.code = code
        self.items = items


class Rows:
    """The pairs of a subclass of dict, in the place of the dict itself."""

    __slots__ = ("pairs",)

    def __init__(self, pairs: list[tuple[Any, Any]]) -> None:
        self.pairs = pairs


MRO = type.__dict__["__mro__"].__get__
BODY = type.__dict__["__dict__"].__get__
QUALNAME = type.__dict__["__qualname__"].__get__
BASICSIZE = type.__dict__["__basicsize__"].__get__
DICTOFFSET = type.__dict__["__dictoffset__"].__get__
WEAKOFFSET = type.__dict__["__weakrefoffset__"].__get__
FLAGS = type.__dict__["__flags__"].__get__
MODULE_BODY = vars(types.ModuleType)["__dict__"].__get__
HEAP = 1 << 9


OTHER_NAMES: dict[int, tuple[type, str]] = {}
"""By a type's identity: the name under which it is sealed for now; see `becausal.canonical.renaming`."""


def name_of(kind: type) -> str:
    """Return `module.Qualname`, without the module for builtins."""
    if OTHER_NAMES and id(kind) in OTHER_NAMES:
        return OTHER_NAMES[id(kind)][1]
    if not FLAGS(kind) & HEAP:
        name = type.__dict__["__name__"].__get__(kind)
        module = type.__dict__["__module__"].__get__(kind)
    else:
        name, module = QUALNAME(kind), BODY(kind).get("__module__")
    if type(module) is not str or module == "builtins":
        return _clean(name)
    return _clean(f"{module}.{name}")


def _clean(text: str) -> str:
    return str.__str__(text).encode("utf-8", "backslashreplace").decode()


def _pack(value: object) -> bytes:
    return ormsgpack.packb(value, None, OPTIONS)


def _int(value: int) -> Sight:
    return LEAF, Code.INT, value.to_bytes((value.bit_length() + 8) // 8, "big", signed=True), None


def _str(value: str) -> Sight:
    return LEAF, Code.STR, value.encode("utf-8", "surrogatepass"), None


_KNOWN_ZONES = frozenset(("datetime", "zoneinfo", "pydantic_core", "pytz", "dateutil"))


def _zone(value: dt.datetime | dt.time) -> tuple[int | None, str | None, str | None]:
    """Return the offset in microseconds, the zone's name, and why it could not be read."""
    zone = value.tzinfo
    if zone is None:
        return None, None, None
    if zone is dt.UTC:
        return 0, None, None
    kind = type(zone)
    name = zone.key if isinstance(zone, zoneinfo.ZoneInfo) and kind is zoneinfo.ZoneInfo else None
    # A zone of the app is code of the app: it is named, not asked.
    if name_of(kind).partition(".")[0] not in _KNOWN_ZONES:
        return None, "?" + name_of(kind), f"time zone of type {name_of(kind)} by name only"
    offset = value.utcoffset()
    ticks = None if offset is None else offset // dt.timedelta(microseconds=1)
    return ticks, name if name is not None or ticks is not None else "?" + name_of(kind), None


def _datetime(v: dt.datetime) -> Sight:
    # Every message may have a time, and nearly all are in UTC or in none: these are told here, without a call.
    tz = v.tzinfo
    offset, zone, why = (0 if tz is dt.UTC else None, None, None) if tz is None or tz is dt.UTC else _zone(v)
    fields = [v.year, v.month, v.day, v.hour, v.minute, v.second, v.microsecond, v.fold, offset, zone]
    return LEAF, Code.DATETIME, ormsgpack.packb(fields, None, OPTIONS), why


def _time(v: dt.time) -> Sight:
    offset, zone, why = _zone(v)
    return LEAF, Code.TIME, _pack([v.hour, v.minute, v.second, v.microsecond, v.fold, offset, zone]), why


def _date(v: dt.date) -> Sight:
    return LEAF, Code.DATE, _pack([v.year, v.month, v.day]), None


def _timedelta(v: dt.timedelta) -> Sight:
    return LEAF, Code.TIMEDELTA, _pack([v.days, v.seconds, v.microseconds]), None


_uuid_number = uuid.UUID.__dict__["int"].__get__


def _uuid(v: uuid.UUID) -> Sight:
    return LEAF, Code.UUID, int.__int__(_uuid_number(v)).to_bytes(16, "big"), None


_halves = [fractions.Fraction.__dict__[name].__get__ for name in ("_numerator", "_denominator")]


def _fraction(v: fractions.Fraction) -> Sight:
    above, below = (int.__int__(half(v)) for half in _halves)
    return LEAF, Code.FRACTION, b"%d/%d" % (above, below), None


def _decimal(v: decimal.Decimal) -> Sight:
    # The context of the thread decides on "e" or "E"; trailing zeros are kept.
    return LEAF, Code.DECIMAL, str(v).upper().encode(), None


def _complex(v: complex) -> Sight:
    return LEAF, Code.COMPLEX, b"".join(_pack(_one_nan(x)) for x in (v.real, v.imag)), None


def _one_nan(number: float) -> float:
    return number if number == number else float("nan")


def _function(value: Any) -> Sight:
    target = value
    for _ in range(8):
        if type(target) is types.MethodType:
            target = target.__func__
        elif type(target) is functools.partial:
            target = target.func
    if type(target) is types.FunctionType:
        module = target.__module__
        name = f"{module}.{target.__qualname__}" if type(module) is str else target.__qualname__
    elif type(target) is types.BuiltinFunctionType:
        name = target.__name__
    elif type(target) is types.ModuleType:
        said = MODULE_BODY(target).get("__name__")
        name = said if type(said) is str else "module"
    else:
        is_class = any(base is type for base in MRO(type(target)))
        name = name_of(target if is_class else type(target))
    return LEAF, Code.FUNCTION, _clean(name).encode(), f"{name_of(type(value))} by name only"


def _named(name: str, content: Callable[[Any], object]) -> Read:
    return lambda v: (WRAP, Code.SUBCLASS, [name, content(v)], None)


EXACT: dict[int, Read] = {
    id(kind): read
    for kind, read in (
        (int, _int),
        (str, _str),
        (tuple, lambda v: (WRAP, Code.TUPLE, [*v], None)),
        (set, lambda v: (UNORDERED, Code.SET, [*v], None)),
        (Unordered, lambda v: (UNORDERED, v.code, v.items, None)),
        (Rows, lambda v: (ITEMS, Code.MAP, v.pairs, None)),
        (frozenset, lambda v: (UNORDERED, Code.FROZENSET, [*v], None)),
        (dict, lambda v: (ITEMS, Code.MAP, [*v.items()], None)),
        (memoryview, lambda v: (LEAF, None, _pack(v.tobytes()), None)),
        (dt.datetime, _datetime),
        (dt.date, _date),
        (dt.time, _time),
        (dt.timedelta, _timedelta),
        (uuid.UUID, _uuid),
        (decimal.Decimal, _decimal),
        (complex, _complex),
        (fractions.Fraction, _fraction),
        (collections.deque, _named("collections.deque", lambda v: [*v.copy()])),
        (range, _named("range", lambda v: [v.start, v.stop, v.step])),
        (slice, _named("slice", lambda v: [v.start, v.stop, v.step])),
        (arrays.array, _named("array.array", lambda v: [v.typecode, v.tolist()])),
        (pathlib.PosixPath, _named("pathlib.PosixPath", str)),
        (pathlib.PurePosixPath, _named("pathlib.PurePosixPath", str)),
        (pathlib.WindowsPath, _named("pathlib.WindowsPath", str)),
        (pathlib.PureWindowsPath, _named("pathlib.PureWindowsPath", str)),
        (type(Ellipsis), lambda v: (LEAF, Code.OPAQUE, b"ellipsis", None)),
        (type(NotImplemented), lambda v: (LEAF, Code.OPAQUE, b"NotImplementedType", None)),
        (types.FunctionType, _function),
        (types.MethodType, _function),
        (types.BuiltinFunctionType, _function),
        (types.MethodWrapperType, _function),
        (types.MethodDescriptorType, _function),
        (types.WrapperDescriptorType, _function),
        (types.ClassMethodDescriptorType, _function),
        (functools.partial, _function),
        (types.ModuleType, _function),
    )
}

LEAVES = frozenset(
    map(
        id,
        (
            int,
            dt.datetime,
            dt.date,
            dt.time,
            dt.timedelta,
            uuid.UUID,
            decimal.Decimal,
            complex,
            fractions.Fraction,
        ),
    )
)
"""Types whose values hold no others."""


# And back: the items of an array.

MOST_DIMENSIONS = 64
"""Of an array: numpy has no more."""


def items_of(kind: str, form: str, shape: list[int], content: Any) -> object:
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
    if len(shape) > MOST_DIMENSIONS:
        raise ValueError(f"an array has no {len(shape)} dimensions")
    for length in reversed(shape[1:]):
        count = len(items) // length if length else 0
        items = [items[i * length : (i + 1) * length] for i in range(count)]
    return items


_NUMBERS = {
    "b1": "?", "i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I", "i8": "q", "u8": "Q",
    "f2": "e", "f4": "f", "f8": "d",
}  # fmt: skip
