"""Whether a value is what it was a moment ago, in a fraction of the time that its canonical form takes."""

from __future__ import annotations

from typing import Any

from ormsgpack import packb

from becausal.canonical.calling import let_out
from becausal.canonical.looks import COMMON
from becausal.canonical.readers import READERS, reader_of
from becausal.canonical.wire import UNSORTED, digest_of

__all__ = ["fingerprint"]

SHORT = 4096
"""Bytes that stand for themselves: to keep them for a moment takes less than to digest them."""


def fingerprint(value: object) -> bytes | None:
    """Return what differs, almost surely, once anything in a value has been changed in place.

    It says nothing else: two values that mean the same may differ in it, and it holds in this process alone. None for
    a value that cannot be read so quickly. Never raises.
    """
    stopped: list[BaseException] = []

    def hook(value: object) -> Any:
        try:
            kind = type(value)
            reader = READERS.get(id(kind)) or reader_of(kind)
            if reader.fields is None:
                raise TypeError
            return [reader.mark, reader.fields(value), None if reader.extra is None else reader.extra(value)]
        except Exception:
            raise
        except BaseException as stop:
            stopped.append(stop)
            raise

    try:
        packed = packb(_in_columns(value) if type(value) is dict else value, hook, UNSORTED)
        return packed if len(packed) <= SHORT else digest_of(packed)
    except Exception:
        let_out(stopped)
        return None


def _in_columns(fields: dict[Any, Any]) -> dict[Any, Any]:
    """Return a dict with its lists of objects taken apart: the packer would call us for each of them."""
    shown = fields
    for key, items in fields.items():
        if type(items) is list and items and type(key) is str:
            first = type(items[0])
            if id(first) not in COMMON and (columns := _columns(items, first)) is not None:
                if shown is fields:
                    shown = fields.copy()
                shown[key] = columns
    return shown


def _columns(items: list[Any], first: type) -> list[Any] | None:
    """Return the types, the fields and the extra fields of objects; None where they are not read alike."""
    reader = READERS.get(id(first)) or reader_of(first)
    if reader.fields is None:
        return None
    kinds = [*map(id, map(type, items))]
    for kind in {*kinds} - {id(first)}:
        other = READERS.get(kind)
        if other is None or other.slots != reader.slots:
            return None
    return [
        kinds,
        [*map(reader.fields, items)],
        None if reader.extra is None else [*map(reader.extra, items)],
    ]
