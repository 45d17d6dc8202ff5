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

from becausal.canonical.printed import fingerprint
from becausal.recorder import Recorder, Sealed

__all__ = ["Entry", "version_of"]

_CONTENT = operator.attrgetter("content")

SCALARS = frozenset({str, bytes, int, float, bool, type(None)})

TEXT = frozenset({str})

DICT = frozenset({dict})

_END: Final = object()
"""Ends what one list or dict consists of."""

SMALL = 4096
"""Bytes of a canonical form that is cheap enough to be made again; so is any of scalars and lists of scalars."""


class Entry:
    """A value as it was sealed: what a task received, or a `Send` carries."""

    __slots__ = ("_is_copy", "_is_exact", "_looks", "_seen", "sealed", "version")

    def __init__(self, sealed: Sealed, value: Any, *, is_copy: bool = False, version: int = 0) -> None:
        """Look at a value, right after it was sealed.

        Args:
            sealed: its seal.
            value: the value.
            is_copy: a node reads a copy of its own, in which only what others hold too can be changed for them.
            version: what `version_of` told before it was sealed.
        """
        self.sealed, self.version, self._is_copy = sealed, version, is_copy
        self._is_exact = True
        self._looks: Callable[[Any], Any] | None = None
        self._seen: Any = None
        values = value.values() if type(value) is dict else (value,)
        if SCALARS.issuperset(map(type, values)):
            if not is_copy:  # else nothing in it can be changed so that others see it
                self._looks, self._seen = _scalars_of, _scalars_of(value)
            return
        if sealed.payload.size > SMALL:
            self._looks, self._seen = _flat_objects_of, _flat_objects_of(value)
            if self._seen is not None:
                return
            if not all(map(_is_flat, _items_of(value))):
                self._looks, self._seen, self._is_exact = _objects_of, _objects_of(value), False
                return
        self._looks, self._seen = fingerprint, fingerprint(value)

    def is_still(self, value: Any) -> bool:
        """Return whether the same object is what it was, as far as it is looked at."""
        if self._looks is None:
            return True
        seen, now = self._seen, self._looks(value)
        if type(seen) is list and type(now) is list:
            return len(seen) == len(now) and all(map(operator.is_, seen, now))
        return seen is not None and seen == now

    def is_as_sealed(self, recorder: Recorder, value: Any) -> bool:
        """Return whether sealing what is received now would tell the same as when it was sent; False if in doubt."""
        # Not where a secret was met meanwhile, which may stand in it, nor where parts were lost that it may stand on.
        return self._is_exact and self.version == version_of(recorder) and self.is_still(value)

    def now(self, recorder: Recorder, value: Any) -> Sealed | None:
        """Return what the same object is now, where it says something else; None where it does not."""
        if self.is_still(value):
            return None
        sealed = recorder.seal(value)
        # By what it says: ids that a framework puts into messages are no change of the app's.
        return None if sealed.payload.belief == self.sealed.payload.belief else sealed


def version_of(recorder: Recorder) -> int:
    """Return a number that grows whenever the same value may be sealed otherwise, or its parts be needed again."""
    redact = recorder.redact
    return recorder.losses if redact is None else redact.version + recorder.losses


def _scalars_of(value: Any) -> list[Any]:
    """Return the keys and values of a dict of scalars, or a scalar itself; where they are the same, so is it."""
    return [*value, *value.values()] if type(value) is dict else [value]


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
