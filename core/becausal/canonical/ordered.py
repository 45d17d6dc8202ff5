"""A value with the order of its dicts, for those who must make it again.

The canonical form sorts the keys of a dict: their order is no part of what a value means. Whoever turns a dict into
text (a framework that shows a tool's answer to a model) makes it part all the same. What is written here reads like a
canonical body; only its keys stand as they stood. Where the canonical form of an object or of a value of the top dict
is the same and known as a part, it refers to that: a conversation is not kept once for each order.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat
from operator import is_
from typing import Any

from ormsgpack import Ext, Fragment, packb

from becausal.canonical.calling import let_out
from becausal.canonical.leaves import FIELDS, ITEMS, LEAF, UNORDERED
from becausal.canonical.looks import SCALARS
from becausal.canonical.readers import READERS, Reader, reader_of
from becausal.canonical.wire import (
    INLINE_BELOW,
    KEYS,
    OPTIONS,
    SPLIT_FROM,
    UNSORTED,
    array,
    digest_of,
    mapping,
    packed_key,
)

__all__ = ["in_order"]

Hook = Callable[[object], Any]
Stand = Callable[[Reader, dict[str, Any], Hook], Any]
"""Returns what stands for an object, of its reader, its fields, and the hook for what is in them."""

Refer = Callable[[bytes], bytes | None]
"""Returns what refers to the part that has these bytes; None where there is none."""

MOST_LOOKED_INTO = 8
"""Dicts and lists in one another whose keys are looked at before the whole is written."""


def in_order(
    value: object, *, always: bool = False, refer: Refer | None = None
) -> tuple[bytes, bytes] | None:
    """Return a value's (digest, body) with its dicts in their order.

    None where the canonical form says the same, since every dict's keys are sorted, unless it is asked for `always`;
    and for what cannot be written so: a plain object, a dict of keys that are not all str. Never raises.

    Args:
        value: anything.
        always: also where the canonical form says the same.
        refer: knows the parts that need not be written once more; None: all of it is written.
    """
    if not always and id(type(value)) in SCALARS:
        return None
    try:
        if (
            not always
            and not _begins_unsorted(value)
            and _packed(value, UNSORTED, _held) == _packed(value, OPTIONS, _held)
        ):
            return None
        body = _packed(value, UNSORTED, _named) if refer is None else _referring(value, refer)
    except Exception:
        return None
    return digest_of(body), body


def _referring(value: object, refer: Refer) -> bytes:
    """Write a value in its order, with what refers to a part in the place of each that is known."""

    def stand(reader: Reader, fields: dict[str, Any], hook: Hook) -> Any:
        body = packb(_named(reader, fields, hook), hook, UNSORTED)
        return Fragment(body if len(body) < INLINE_BELOW else refer(body) or body)

    fields: Any = value
    if type(value) is not dict or not all(map(is_, map(type, fields := value.copy()), repeat(str))):
        return _packed(value, UNSORTED, stand)
    written = [mapping(len(fields))]
    for name, item in fields.items():
        body = _packed(item, UNSORTED, stand)
        if len(body) >= SPLIT_FROM:
            body = refer(body) or body
        written += (KEYS.get(name) or packed_key(name), body)
    return b"".join(written)


def _begins_unsorted(value: object) -> bool:
    """Return whether a dict near the beginning of plain data is seen not to have its keys in order.

    Of a large value that is told in no time, where to write it out in both orders takes longer than to keep it.
    """
    inner: Any = value
    for _ in range(MOST_LOOKED_INTO):
        kind = type(inner)
        if kind is dict and inner:
            names = [*inner]
            if not all(map(is_, map(type, names), repeat(str))):
                return False
            if names != sorted(names):
                return True
            inner = max(inner.values(), key=_length)
        elif kind is list and inner:
            inner = inner[0]
        else:
            return False
    return False


def _length(value: object) -> int:
    return len(value) if type(value) is dict or type(value) is list else 0


def _packed(value: object, options: int, stand: Stand) -> bytes:
    """Write a value in one piece.

    Args:
        value: anything.
        options: of the packer.
        stand: what stands for an object of fields; they are ours to change. It is called for every message.
    """
    stopped: list[BaseException] = []

    def hook(value: object) -> Any:
        try:
            kind = type(value)
            reader = READERS.get(id(kind)) or reader_of(kind)
            if reader.fields is None or reader.cost > 1 or (fields := reader.state(value)) is None:
                return _written(value, reader, hook, options)
            return stand(reader, fields, hook)
        except Exception:
            raise
        except BaseException as stop:
            stopped.append(stop)
            raise

    try:
        return packb(value, hook, options)
    except Exception:
        let_out(stopped)
        raise


def _held(_: Reader, fields: dict[str, Any], __: Hook) -> Any:
    """Stand in for an object by what it holds: enough to tell whether the keys of every dict in it are in order."""
    return [*fields.values()]


def _named(reader: Reader, fields: dict[str, Any], _: Hook) -> Any:
    """Stand in for an object by its fields: their order is its class's, which nobody has to be told."""
    named: dict[str, Any] = {"\0": reader.mark}
    for name in sorted(fields):
        named[name] = fields[name]
    return named


def _written(value: object, reader: Reader, hook: Hook, options: int) -> Any:
    if reader.cost > 1:
        raise TypeError  # a plain object, which may hold the whole app: the canonical form knows where to stop
    shape, code, content, _ = reader.read(value)
    if shape == LEAF:
        return Fragment(content) if code is None else Ext(code, content)
    if shape == FIELDS:
        return _named(reader, content, hook)
    if shape == UNORDERED:
        items = sorted(packb(item, hook, options) for item in content)
        return Ext(code, array(len(items)) + b"".join(items))
    if shape == ITEMS:
        content = [[*pair] for pair in content]
    return Ext(code, packb(content, hook, options))
