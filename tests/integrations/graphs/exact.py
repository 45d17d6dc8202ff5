"""A value in a form that two plays can be compared by: nothing left out, types told apart, the order kept."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from pydantic import BaseModel

__all__ = ["exact", "without_order"]

ID = re.compile(
    r"[0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12}|(?:\xd9.)?\d{32}\.[0-9.e-]+|elapsed: [0-9.]+", re.DOTALL
)
"""An id; a version of a channel, which ends in random digits (with its length in MessagePack); a time measured."""


def exact(value: Any) -> Any:
    """Return a value as nested tuples, with the type of each part."""
    kind = type(value).__name__
    if isinstance(value, tuple) and value[:1] == (EXACT,):
        return value  # it was made exact when it was seen
    match value:
        case dict():
            inside: Any = tuple((exact(key), exact(item)) for key, item in value.items())
        case list() | tuple():
            inside = tuple(map(exact, value))
        case set() | frozenset():
            inside = tuple(sorted(map(repr, map(exact, value))))
        case float():
            inside = repr(value)  # so that what is not a number equals itself
        case None | str() | int() | bytes():
            inside = value
        case BaseException():
            notes = getattr(value, "__notes__", [])
            inside = (exact(value.args), tuple(notes), value.__cause__ and exact(value.__cause__))
        case BaseModel():
            inside = exact({**vars(value), **(value.__pydantic_extra__ or {})})
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            inside = exact(
                {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
            )
        case _:
            slots = [name for cls in type(value).__mro__ for name in getattr(cls, "__slots__", ())]
            parts = (
                vars(value)
                if hasattr(value, "__dict__")
                else {name: getattr(value, name, None) for name in slots}
            )
            inside = () if callable(value) else exact(dict(parts))
    return (EXACT, kind, inside)


EXACT = "exact"


def without_order(value: Any) -> Any:
    """Return a value for a play whose branches ran in threads: ids masked, and the parts of each list in one order."""
    return _sorted(exact(value))


def _sorted(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(sorted((_sorted(item) for item in value), key=repr))
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    return ID.sub("(id)", value) if isinstance(value, str) else value
