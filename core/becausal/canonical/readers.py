"""How to see into any object without running a line of its code.

A type decides once how its values are read; the reader is kept for the type. Readers go through the
interpreter's own descriptors (`dict.items`, the genuine `__dict__` slot found in the MRO, member slots),
never through attribute access on the value, so no property, `__getattr__`, `__iter__`, `__eq__`,
`__hash__`, `__repr__` or metaclass of the app is called. Frameworks are known by the marks that they leave
in a class body, not by import.

A reader returns a `Sight`: its shape, the code or type name, the content, and why something was left out.
"""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import enum
import re
import types
from collections.abc import Callable
from typing import Any

from ormsgpack import Ext

from becausal.canonical.leaves import (
    BASICSIZE,
    BODY,
    DICTOFFSET,
    EXACT,
    FIELDS,
    FLAGS,
    HEAP,
    LEAF,
    LEAVES,
    MRO,
    WEAKOFFSET,
    WRAP,
    Read,
    Rows,
    Sight,
    Unordered,
    name_of,
)
from becausal.canonical.wire import Code

__all__ = ["DEEP_FOR_PLAIN_OBJECTS", "READERS", "Reader", "reader_of"]

DEEP_FOR_PLAIN_OBJECTS = 16
"""A level of a plain object counts as so many: a client in a payload would drag in the whole app."""


class Reader:
    """How the values of one type are read."""

    __slots__ = ("cost", "extra", "fields", "is_leaf", "mark", "name", "read", "shape", "slots", "type")

    def __init__(self, kind: type, read: Read, cost: int = 1) -> None:
        self.type = kind  # held, so that the id under which the reader is kept stays taken
        self.read = read
        self.cost = cost
        self.name = name_of(kind)
        self.mark = Ext(Code.TYPE, self.name.encode())
        """What says the type among its fields."""
        self.is_leaf = id(kind) in LEAVES
        self.shape: tuple[tuple[str, ...], bool] = (), False
        """The keys of an instance's fields as last seen, all plain, and whether they are those of a message."""
        self.slots: tuple[object, object] = (None, None)
        # Set if an instance is its `__dict__` and, with a model, its extra fields: nothing else to be read.
        self.fields: Callable[[Any], dict[str, Any]] | None = None
        self.extra: Callable[[Any], Any] | None = None

    def state(self, value: Any) -> dict[str, Any] | None:
        """Return a copy of all fields of an instance of such a type; None where they are not a plain dict."""
        assert self.fields is not None
        fields = self.fields(value)
        if type(fields) is not dict:
            return None
        if self.extra is not None:
            try:
                more = self.extra(value)
            except AttributeError:  # made by `__new__` alone
                more = None
            if type(more) is dict and more:
                return {**fields, **more}
        return fields.copy()


READERS: dict[int, Reader] = {}
"""By the identity of a type. Whoever asks for each value looks here first, and else asks `reader_of`."""
_MOST_READERS = 4096


def reader_of(kind: type) -> Reader:
    """Return the reader of a type; kept by the type's identity, since a metaclass may define `__hash__`."""
    return READERS.get(id(kind)) or _new_reader(kind)


def _new_reader(kind: type) -> Reader:
    try:
        reader = _choose(kind)
    except Exception:
        reader = Reader(kind, _opaque(kind))
    if len(READERS) >= _MOST_READERS:
        READERS.clear()
    READERS[id(kind)] = reader
    return reader


def _choose(kind: type) -> Reader:
    exact = EXACT.get(id(kind))
    if exact is not None:
        return Reader(kind, exact)
    mro = MRO(kind)
    ids = {id(base) for base in mro}  # `type in mro` would ask a metaclass's `__eq__`
    if id(type) in ids:
        return Reader(kind, lambda v: (LEAF, Code.CLASS, name_of(v).encode(), None))
    if id(enum.Enum) in ids:
        return Reader(kind, _enum_reader(kind))
    for base in mro:
        if not FLAGS(base) & HEAP and name_of(base) in ("numpy.ndarray", "numpy.generic"):
            return Reader(kind, _numpy_reader(kind, base))
    if id(tuple) in ids and _is_namedtuple(mro):
        return Reader(kind, _namedtuple_reader(kind, mro))
    if _is_ours(kind):
        return Reader(kind, _text_reader(kind) if id(BaseException) in ids else _opaque(kind))
    return _object_reader(kind, mro, ids)


# Everything else, by what its class is made of.


def _opaque(kind: type) -> Read:
    name = name_of(kind)
    return lambda v: (LEAF, Code.OPAQUE, name.encode(), f"opaque type {name}")


def _is_ours(kind: type) -> bool:
    """Say whether a type is one of becausal's, whose insides are no content of the app's."""
    module = BODY(kind).get("__module__")
    return type(module) is str and module.partition(".")[0] in ("becausal", "becausal_integrations")


def _text_reader(kind: type) -> Read:
    """An exception of becausal's: what it says. What it holds is a replay, a run, a store."""
    name, args = name_of(kind), BaseException.__dict__["args"].__get__
    return lambda v: (FIELDS, name, {"args": tuple(a for a in args(v) if type(a) is str)}, None)


def _enum_reader(kind: type) -> Read:
    name, fields = name_of(kind), _dict_getter(MRO(kind))

    def read(value: Any) -> Sight:
        state = _state(fields(value)) if fields else {}
        return WRAP, Code.ENUM, [name, state.get("_name_"), state.get("_value_")], None

    return read


def _numpy_reader(kind: type, base: type) -> Read:
    """Arrays and scalars, through numpy's own descriptors: a subclass has no say.

    Texts are items, as numpy's own four bytes for a sign no text and no secret would be found; where they are fields,
    each stands under its name.
    """
    body = BODY(base)
    shape, dtype = body["shape"].__get__, body["dtype"].__get__
    raw, items, name = body["tobytes"], body["tolist"], name_of(kind)

    def read(value: Any) -> Sight:
        form = dtype(value)
        text = form.str if form.names is None else str(form.descr)
        if form.hasobject or form.kind in "US" or (form.names is not None and _TEXT_FIELD.search(text)):
            content = _by_field(items(value), form)
        else:
            content = raw(value)
        return WRAP, Code.ARRAY, [name, text, [*shape(value)], content], None

    return read


_TEXT_FIELD = re.compile(r"(?<!\(''), '[<>=|]?[USV][0-9]")
"""Of a numpy type with a field that is, or may be, a text; what has no name lies between fields."""


def _by_field(item: Any, form: Any) -> Any:
    """Return an array's items with each record among them as a dict."""
    if form.names is None:
        return item
    if type(item) is list:
        return [_by_field(one, form) for one in item]
    return {name: _by_field(one, form.fields[name][0]) for name, one in zip(form.names, item, strict=True)}


def _is_namedtuple(mro: tuple[type, ...]) -> bool:
    names = next((BODY(base)["_fields"] for base in mro if "_fields" in BODY(base)), None)
    return type(names) is tuple and all(type(name) is str for name in names)


def _namedtuple_reader(kind: type, mro: tuple[type, ...]) -> Read:
    names = next(BODY(base)["_fields"] for base in mro if "_fields" in BODY(base))
    name = name_of(kind)

    def read(value: Any) -> Sight:
        items = [*tuple.__iter__(value)]
        if len(items) != len(names):
            return WRAP, Code.SUBCLASS, [name, items], None
        return FIELDS, name, dict(zip(names, items, strict=True)), None

    return read


# str, bytes, int and float first: they are what most subclasses of builtins extend.
_CONTENT: tuple[tuple[type, Callable[[Any], object]], ...] = (
    (str, str.__str__),
    (bytes, lambda v: bytes.__getitem__(v, slice(None))),
    (int, int.__int__),
    (float, float.__float__),
    (dict, lambda v: _plain_dict(v)),
    (list, list.copy),
    (tuple, lambda v: [*tuple.__iter__(v)]),
    (set, lambda v: Unordered(Code.SET, [*set.__iter__(v)])),
    (frozenset, lambda v: Unordered(Code.FROZENSET, [*frozenset.__iter__(v)])),
    (bytearray, lambda v: bytes(bytearray.__getitem__(v, slice(None)))),
    (collections.deque, lambda v: [*collections.deque.__iter__(v)]),
    (complex, lambda v: complex(complex.real.__get__(v), complex.imag.__get__(v))),
    (dt.datetime, lambda v: _plain_datetime(v)),
    (dt.date, lambda v: dt.date(*(dt.date.__dict__[n].__get__(v) for n in ("year", "month", "day")))),
    (dt.timedelta, lambda v: dt.timedelta.__pos__(v)),
    (decimal.Decimal, lambda v: _plain_decimal(v)),
)


def _plain_dict(value: Any) -> object:
    """Return a dict's pairs as a dict, unless that would hash or compare keys of the app's types."""
    pairs = [*dict.items(value)]
    return dict(pairs) if all(type(key) is str for key, _ in pairs) else Rows(pairs)


def _state(found: Any) -> dict[str, Any]:
    """Return a copy of an instance's dict, which the app may have replaced by one of a class of its own."""
    if type(found) is dict:
        return found.copy()
    return {key: value for key, value in dict.items(found) if type(key) is str}


def _plain_datetime(value: Any) -> dt.datetime:
    read = [dt.datetime.__dict__[n].__get__(value) for n in ("hour", "minute", "second", "microsecond")]
    day = [dt.date.__dict__[n].__get__(value) for n in ("year", "month", "day")]
    zone, fold = (dt.datetime.__dict__[n].__get__(value) for n in ("tzinfo", "fold"))
    return dt.datetime(*day, *read, tzinfo=zone, fold=fold)  # type: ignore[misc]


def _plain_decimal(value: Any) -> decimal.Decimal:
    sign, digits, exponent = decimal.Decimal.as_tuple(value)
    return decimal.Decimal((sign, digits, exponent))  # type: ignore[arg-type]


def _object_reader(kind: type, mro: tuple[type, ...], ids: set[int]) -> Reader:
    fields, slots = _dict_getter(mro), _slots(mro)
    for base, content in _CONTENT:
        if id(base) in ids:
            return Reader(kind, _subclass_reader(kind, content, fields))
    name = name_of(kind)
    marks = {mark for base in mro for mark in _MARKS if mark in BODY(base)}
    if "__pydantic_fields__" in marks or "model_fields" in marks:
        extra = next((s for n, s in slots if n == "__pydantic_extra__"), None)
        return _model_reader(kind, fields, extra)
    slots = [(n, s) for n, s in slots if not (n.startswith("__") and n.endswith("__"))]
    is_error = id(BaseException) in ids
    hidden = (
        None if is_error or not _has_hidden_state(kind, fields, len(slots)) else f"inner state of type {name}"
    )
    if fields is None and not slots and hidden:
        return Reader(kind, _opaque(kind))

    def read(value: Any) -> Sight:
        state = {} if fields is None else _state(fields(value))
        for slot, get in slots:
            try:
                state[slot] = get(value)
            except AttributeError:
                continue  # declared, never set
        if is_error:
            state["args"] = BaseException.__dict__["args"].__get__(value)
        return FIELDS, name, state, hidden

    reader = Reader(kind, read, 1 if marks or is_error else DEEP_FOR_PLAIN_OBJECTS)
    if fields is not None and not slots and not hidden and not is_error:
        reader.fields = fields
        reader.slots = fields.__self__, None  # type: ignore[attr-defined]
    return reader


_MARKS = ("__pydantic_fields__", "model_fields", "__dataclass_fields__", "__attrs_attrs__")


def _model_reader(kind: type, fields: Any, extra: Any) -> Reader:
    """Pydantic: the fields and the extra ones. Private attributes are the model's own business."""
    name = name_of(kind)

    def read(value: Any) -> Sight:
        state = _state(fields(value))
        if extra is not None:
            try:
                more = extra(value)
            except AttributeError:
                more = None  # made by `__new__` alone
            if type(more) is dict and more:
                state.update(more)
        return FIELDS, name, state, None

    reader = Reader(kind, read)
    if fields is not None:
        reader.fields, reader.extra = fields, extra
        reader.slots = fields.__self__, None if extra is None else extra.__self__
    return reader


def _subclass_reader(kind: type, content: Callable[[Any], object], fields: Any) -> Read:
    name = name_of(kind)

    def read(value: Any) -> Sight:
        state = None if fields is None else _state(fields(value))
        inner = [name, content(value)]
        return WRAP, Code.SUBCLASS, [*inner, state] if state else inner, None

    return read


def _dict_getter(mro: tuple[type, ...]) -> Callable[[Any], dict[str, Any]] | None:
    """Return what reads an instance's dict, if the interpreter itself made it."""
    for base in mro:
        found = BODY(base).get("__dict__")
        # C types declare it as a member.
        if type(found) in (types.GetSetDescriptorType, types.MemberDescriptorType):
            return found.__get__  # type: ignore[no-any-return]
    return None


def _slots(mro: tuple[type, ...]) -> list[tuple[str, Callable[[Any], Any]]]:
    return [
        (name, member.__get__)
        for base in reversed(mro)
        if FLAGS(base) & HEAP
        for name, member in BODY(base).items()
        if type(member) is types.MemberDescriptorType
    ]


def _has_hidden_state(kind: type, fields: object, slots: int) -> bool:
    """Say whether the instance has more memory than its dict, slots and weak references explain."""
    if fields is None and DICTOFFSET(kind):
        return True
    known = BASICSIZE(object) + 8 * slots + 8 * (DICTOFFSET(kind) > 0) + 8 * (WEAKOFFSET(kind) > 0)
    return bool(BASICSIZE(kind) > known)
