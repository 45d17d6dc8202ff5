"""Whether a chat message says what it said, told without encoding it again."""

from __future__ import annotations

import functools
from datetime import datetime, timezone
from enum import Enum
from operator import is_
from typing import Any

__all__ = ["Inside", "inside", "is_same"]

MOST_LEVELS = 4
"""So deep `inside` looks."""

MOST_NAMES = 256
"""Sets of names of fields that are held once for all objects that have them."""

Inside = tuple[Any, ...]
"""What a message consists of.

For each thing in it that can be changed in place: the thing (None: the message itself, which nothing here is to keep
alive), its type, its names (of a list: how many items it had), and what it held. One tuple of all of that: the garbage
collector would look at objects of their own.
"""


def inside(message: object) -> Inside | None:
    """Return what a chat message consists of; None where that cannot be told cheaply.

    Told of AutoGen's own classes alone, whose fields are all that they are.
    """
    if id(type(message)) not in _own_classes():
        return None
    found: list[Any] = []
    return tuple(found) if _gather(message, None, found, MOST_LEVELS) else None


def is_same(message: object, parts: Inside) -> bool:
    """Return whether a message still consists of the very objects that it consisted of, and so says what it said.

    What is no part is immutable. No code of the app runs, nor any of Python's that another thread could come between.
    """
    at = 0
    while at < len(parts):
        held, kind, names = parts[at : at + 3]
        at += 3
        if held is None:
            held = message
        if kind is list:
            if len(held) != names or not all(map(is_, held, parts[at : at + names])):
                return False
            at += names
            continue
        if kind is not dict:
            if type(held) is not kind or getattr(held, "__pydantic_extra__", None) is not None:
                return False
            held = held.__dict__
        size = len(names)
        if (
            len(held) != size
            or not all(map(is_, held.values(), parts[at : at + size]))
            or not all(map(is_, held, names))
        ):
            return False
        at += size
    return True


def _gather(thing: Any, known_as: Any, found: list[Any], levels: int) -> bool:
    """Gather a thing that can be changed, and all such things in it; returns whether that can be told."""
    kind = type(thing)
    if kind is list:
        values = tuple(thing)
        found += (known_as, kind, len(values))
    else:
        if kind is not dict and getattr(thing, "__pydantic_extra__", None) is not None:
            return False
        fields = (thing if kind is dict else thing.__dict__).copy()
        if len({*map(id, map(type, fields)), id(str)}) > 1:
            return False
        names, values = tuple(fields), tuple(fields.values())
        if kind is not dict and len(_names) < MOST_NAMES:
            shared = _names.setdefault(names, names)
            if all(map(is_, shared, names)):  # they are compared as objects
                names = shared
        found += (known_as, kind, names)
    found += values
    if _LEAVES.issuperset(map(id, map(type, values))):
        return True
    for value in values:
        inner = type(value)
        if id(inner) in _LEAVES or isinstance(value, Enum):
            continue
        if inner is datetime:
            if value.tzinfo is not None and type(value.tzinfo) is not timezone:
                return False
            continue
        is_plain = inner is list or inner is dict
        if not (is_plain or id(inner) in _own_classes()) or not (levels or (is_plain and not value)):
            return False
        if not _gather(value, value, found, levels - 1):
            return False
    return True


_names: dict[tuple[str, ...], tuple[str, ...]] = {}

# By identity: a class of the app's may have a metaclass that defines `__hash__`.
_LEAVES = frozenset(map(id, (str, int, float, bool, bytes, type(None))))


@functools.cache
def _own_classes() -> frozenset[int]:
    from autogen_agentchat import messages
    from autogen_core import FunctionCall, memory, models

    own = messages.TextMessage, messages.StopMessage, messages.ToolCallSummaryMessage, messages.HandoffMessage
    inner = FunctionCall, models.FunctionExecutionResult, models.RequestUsage, memory.MemoryContent
    return frozenset(map(id, (*own, *inner)))
