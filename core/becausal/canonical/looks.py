"""What a value looks like: a message, a list of messages, a typed object of known fields.

Told from types and keys alone, and so that no code of the app's runs.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from itertools import repeat
from operator import is_
from typing import Any

from ormsgpack import Ext, Fragment, packb

from becausal.canonical.belief import is_message, speaks
from becausal.canonical.wire import SPLIT_FROM

__all__ = [
    "COMMON",
    "MOST_SEARCHED",
    "NAMES",
    "SCALARS",
    "SHORTEST_RUN",
    "holds_messages",
    "is_message_list",
    "is_secret",
    "is_text",
    "is_typed_list",
    "may_split",
    "plain_keys",
    "shape_of",
]

MOST_SEARCHED = 64
"""A dict of more entries is not searched for message lists in it."""

NAMES = ("name", "key", "field", "header")
"""Keys under which a name stands beside its `value`."""

SHORTEST_RUN = 3
"""Two messages are written faster than they are compared with what is known."""

# By identity: a type's own `__hash__` and `__eq__` are its metaclass's, and so may be the app's.
COMMON = frozenset(map(id, (str, int, float, bool, bytes, type(None), dict, list, tuple)))
SCALARS = frozenset(map(id, (str, int, float, bool, bytes, bytearray, type(None), Ext, Fragment)))
_MOST_SHAPES = 4096

_shapes: dict[str, tuple[tuple[str, ...], bool]] = {}
"""By type name: the keys last seen, all plain, and whether they are those of a message."""


def shape_of(name: str, fields: dict[str, Any]) -> tuple[tuple[str, ...], bool] | None:
    """Return the keys of a typed object and whether they are a message's; None where one of them is not plain."""
    shape = _shapes.get(name)
    if shape is not None and len(shape[0]) == len(fields) and all(map(is_, shape[0], fields)):
        return shape
    if not plain_keys(fields):
        return None
    if len(_shapes) >= _MOST_SHAPES:
        _shapes.clear()
    shape = _shapes[name] = tuple(fields), speaks(fields)
    return shape


def may_split(value: Any) -> bool:
    """Say whether a value may be big enough to be split off, or hold something that is."""
    kind = type(value)
    if kind is str or kind is bytes:
        return len(value) >= SPLIT_FROM // 4  # a character takes four bytes at most
    return (kind is dict or kind is list) and len(value) > 0


def is_message_list(value: list[Any]) -> bool:
    """Say whether a list's first item is a dict that looks like a message."""
    return bool(value) and type(value[0]) is dict and plain_keys(value[0]) and is_message(value[0])


def is_typed_list(value: list[Any]) -> bool:
    """Say whether a list may be a conversation of typed messages, long enough to be remembered."""
    return len(value) >= SHORTEST_RUN and id(type(value[0])) not in COMMON


def holds_messages(value: dict[Any, Any]) -> bool:
    """Say whether a dict of plain keys, one level down, has a message or a message list among its values."""
    if len(value) > MOST_SEARCHED:
        return False
    for inner in value.values():
        if type(inner) is list and is_message_list(inner):
            return True
        if type(inner) is dict and plain_keys(inner) and is_message(inner):
            return True
    return False


def is_text(value: str) -> bool:
    """Say whether a text can be written as UTF-8."""
    try:
        packb(value)
    except TypeError:
        return False
    return True


def plain_keys(fields: dict[Any, Any]) -> bool:
    """Say whether all keys are exactly str and can be written as UTF-8."""
    if not all(map(is_, map(type, fields), repeat(str))):
        return False
    return all(map(str.isascii, fields)) or all(map(is_text, fields))


def is_secret(key: Any, beside: Mapping[str, Any] | None, is_secret_key: Callable[[str], bool]) -> bool:
    """Return whether what stands under a key is secret by its name, or by the one beside it: `{"name": …, "value": …}`.

    Args:
        key: a key of any kind.
        beside: the dict that it is of, where its keys are plain.
        is_secret_key: judges a name.
    """
    names = [_said_by(key)]
    if names[0] == "value" and beside is not None:
        names += [_said_by(beside[name]) for name in NAMES if name in beside]
    return any(name is not None and is_secret_key(name) for name in names)


def _said_by(key: Any) -> str | None:
    """Return what a key says: a text, bytes, an instance of a subclass of these, a member of an enum."""
    kind = type(key)
    if kind is str:
        return key  # type: ignore[no-any-return]
    if issubclass(kind, enum.Enum):
        value = object.__getattribute__(key, "_value_")
        return _said_by(value) if type(value) in (str, bytes) else None
    if issubclass(kind, str):
        return str.__str__(key)
    return bytes.decode(key, "latin-1") if issubclass(kind, bytes) else None
