"""A value with the order of its dicts, for those who must make it again.

The canonical form sorts the keys of a dict: their order is no part of what a value means. Whoever turns a dict into
text (a framework that shows a tool's answer to a model) makes it part all the same. What is written here reads like a
canonical body, in one piece; only its keys stand as they stood.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ormsgpack import Ext, Fragment

from becausal.canonical.calling import packed
from becausal.canonical.leaves import FIELDS, ITEMS, LEAF, UNORDERED
from becausal.canonical.readers import reader_of
from becausal.canonical.wire import OPTIONS, UNSORTED, Code, array, digest_of

__all__ = ["in_order"]


def in_order(value: object, *, always: bool = False) -> tuple[bytes, bytes] | None:
    """Return a value's (digest, body) with its dicts in their order.

    None where the canonical form says the same, since every dict's keys are sorted, unless it is asked for `always`;
    and for what cannot be written in one piece: a plain object, a dict of keys that are not all str. Never raises.
    """
    try:
        if not always and packed(value, _values, UNSORTED) == packed(value, _values_sorted, OPTIONS):
            return None
        body = packed(value, _in_order, UNSORTED)
    except Exception:
        return None
    return digest_of(body), body


def _in_order(value: object) -> Any:
    return _written(value, _in_order, UNSORTED)


def _values(value: object) -> Any:
    return _held(value, _values, UNSORTED)


def _values_sorted(value: object) -> Any:
    return _held(value, _values_sorted, OPTIONS)


def _held(value: object, hook: Callable[[object], Any], options: int) -> Any:
    """Stand in for an object by what it holds: enough to tell whether the keys of every dict in it are in order."""
    reader = reader_of(type(value))
    if reader.fields is not None and reader.cost == 1 and (fields := reader.state(value)) is not None:
        return [*fields.values()]
    return _written(value, hook, options)


def _written(value: object, hook: Callable[[object], Any], options: int) -> Any:
    reader = reader_of(type(value))
    if reader.cost > 1:
        raise TypeError  # a plain object, which may hold the whole app: the canonical form knows where to stop
    shape, code, content, _ = reader.read(value)
    if shape == LEAF:
        return Fragment(content) if code is None else Ext(code, content)
    if shape == FIELDS:
        # The order of an object's fields is its class's, which nobody has to be told.
        return {"\0": Ext(Code.TYPE, code.encode()), **{name: content[name] for name in sorted(content)}}
    if shape == UNORDERED:
        items = sorted(packed(item, hook, options) for item in content)
        return Ext(code, array(len(items)) + b"".join(items))
    if shape == ITEMS:
        content = [[*pair] for pair in content]
    return Ext(code, packed(content, hook, options))
