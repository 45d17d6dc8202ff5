"""Whether a value has been changed in place since it was sealed.

Encoding a value twice for each node would be felt, so a small one is compared by a quicker fingerprint first, and a big
one by identity: its own items, and what is in these. A change deeper inside of a big value is not seen. No code of the
app's classes runs.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final

from becausal.canonical import fingerprint
from becausal.recorder import Recorder, Sealed

__all__ = ["Entry"]

_CONTENT = operator.attrgetter("content")

SCALARS = frozenset({str, bytes, int, float, bool, type(None)})

TEXT = frozenset({str})

DICT = frozenset({dict})

_END: Final = object()
"""Ends what one list or dict consists of."""

SMALL = 4096
"""Bytes of a canonical form that is cheap enough to be made again; so is any of scalars and lists of scalars."""


class Entry:
    """What a task received, as it was when the task began."""

    __slots__ = ("_looks", "_objects", "_print", "sealed")

    def __init__(self, sealed: Sealed, value: Any) -> None:
        self.sealed = sealed
        self._print: object = None
        self._objects: list[Any] | None = None
        self._looks: Callable[[Any], list[Any] | None] = _flat_objects_of
        if sealed.payload.size <= SMALL:
            self._print = fingerprint(value)
            return
        self._objects = _flat_objects_of(value)
        if self._objects is None:
            if all(map(_is_flat, _items_of(value))):
                self._print = fingerprint(value)
            else:
                self._looks = _objects_of
                self._objects = _objects_of(value)

    def now(self, recorder: Recorder, value: Any, *, is_copy: bool) -> Sealed | None:
        """Return what the same object is now, where it says something else; None where it does not.

        A node reads a copy of its own, in which only what others hold too can be changed for them.
        """
        if is_copy and SCALARS.issuperset(map(type, value.values() if type(value) is dict else (value,))):
            return None  # nothing in it can be changed so that others see it
        if self._objects is not None:
            now = self._looks(value)
            if now is not None and _same(self._objects, now):
                return None
        if self._print is not None and self._print == fingerprint(value):
            return None
        sealed = recorder.seal(value)
        # By what it says: ids that a framework puts into messages are no change of the app's.
        return None if sealed.payload.belief == self.sealed.payload.belief else sealed


def _flat_objects_of(value: Any) -> list[Any] | None:
    """Return all the objects that a state of scalars, and of lists and dicts of scalars, is made of; None for another.

    Scalars never change, so where these are the same objects, nothing has changed: a comparison that misses nothing,
    and of a big text looks at no more than where it stands.
    """
    if type(value) is not dict or not TEXT.issuperset(map(type, value)):
        return None
    objects: list[Any] = [*value, *value.values()]
    for field in value.values():
        kind = type(field)
        if kind is list:
            items = field
        elif kind is dict and TEXT.issuperset(map(type, field)):
            objects += field
            items = field.values()
        elif kind in SCALARS:
            continue
        else:
            return None
        if not SCALARS.issuperset(map(type, items)):
            return None
        objects += items
        objects.append(_END)  # else what moves to the next list would stand where it stood
    return objects


def _objects_of(value: Any) -> list[Any]:
    """Return the objects that a value is made of, two levels deep; of a message its content."""
    objects: list[Any] = []
    for field in _items_of(value):
        objects.append(field)
        if type(field) is list:
            objects += field
            if field and type(field[0]) not in SCALARS:
                objects += _contents_of(field)
        elif type(field) not in SCALARS:
            objects += _items_of(field)
    return objects


def _is_flat(field: Any) -> bool:
    return type(field) in SCALARS or (type(field) is list and (not field or type(field[0]) in SCALARS))


def _items_of(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, list | tuple | set):
        return list(value)
    fields = getattr(value, "__dict__", None)
    return list(fields.values()) if type(fields) is dict else [value]


def _contents_of(items: list[Any]) -> Iterable[Any]:
    kinds = set(map(type, items))
    if all(map(_is_message, kinds)):
        return map(_CONTENT, items)  # a conversation is long
    if kinds == DICT:
        return map(dict.get, items, itertools.repeat("content"))
    contents: list[Any] = []
    for item in items:
        fields = item if type(item) is dict else getattr(item, "__dict__", None)
        contents.append(fields.get("content") if type(fields) is dict else None)
    return contents


@lru_cache(256)
def _is_message(cls: type) -> bool:
    bases = ((base.__module__, base.__name__) for base in cls.__mro__)
    return ("langchain_core.messages.base", "BaseMessage") in bases


def _same(objects: list[Any], others: list[Any]) -> bool:
    return len(objects) == len(others) and all(map(operator.is_, objects, others))
