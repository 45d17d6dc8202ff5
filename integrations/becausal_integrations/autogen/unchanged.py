"""Whether a chat message says what it said, told without encoding it again."""

from __future__ import annotations

import functools
from datetime import datetime, timezone
from enum import Enum
from typing import Any

__all__ = ["inside"]

MOST_LEVELS = 4
"""So deep `inside` looks."""


def inside(message: object) -> list[object] | None:
    """Return all that a chat message consists of; None where that cannot be told cheaply.

    As long as each of these is the very object that it was, the message says what it said: all of them are immutable,
    types and ends included. Told of AutoGen's own classes alone, whose fields are all that they are.
    """
    if id(type(message)) not in _own_classes():
        return None
    found: list[object] = []
    return found if _gather([message], found, MOST_LEVELS + 1) else None


def _gather(values: list[Any], found: list[object], levels: int) -> bool:
    """Gather what values consist of: one call for each container, since messages are made of leaves for the most."""
    for value in values:
        kind = type(value)
        if id(kind) in _LEAVES or isinstance(value, Enum):
            found.append(value)
        elif kind is datetime:
            if value.tzinfo is not None and type(value.tzinfo) is not timezone:
                return False
            found.append(value)
        else:
            found.append(kind)
            if kind is list:
                inner = value.copy()
            elif kind is dict:
                inner = _named(value, found) if value else []
            elif id(kind) in _own_classes() and getattr(value, "__pydantic_extra__", None) is None:
                inner = _named(value.__dict__, found)
            else:
                return False
            if inner is None or (inner and not (levels and _gather(inner, found, levels - 1))):
                return False
            found.append(_END)
    return True


def _named(fields: dict[Any, Any], found: list[object]) -> list[Any] | None:
    """Return the values of fields, and gather their names; None where one of these is no text."""
    fields = fields.copy()
    if len({*map(id, map(type, fields)), id(str)}) > 1:
        return None
    found += fields
    return [*fields.values()]


# By identity: a class of the app's may have a metaclass that defines `__hash__`.
_LEAVES = frozenset(map(id, (str, int, float, bool, bytes, type(None))))

_END = object()
"""Ends what one container consists of."""


@functools.cache
def _own_classes() -> frozenset[int]:
    from autogen_agentchat import messages
    from autogen_core import FunctionCall, memory, models

    own = messages.TextMessage, messages.StopMessage, messages.ToolCallSummaryMessage, messages.HandoffMessage
    inner = FunctionCall, models.FunctionExecutionResult, models.RequestUsage, memory.MemoryContent
    return frozenset(map(id, (*own, *inner)))
