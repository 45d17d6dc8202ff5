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
    kind = type(message)
    if id(kind) not in _own_classes() or getattr(message, "__pydantic_extra__", None) is not None:
        return None
    found: list[object] = [kind]
    return found if _gather_fields(message.__dict__, found, MOST_LEVELS) else None


def _gather(value: Any, found: list[object], levels: int) -> bool:
    """Gather what a value that is no leaf consists of."""
    kind = type(value)
    if isinstance(value, Enum):
        found.append(value)
        return True
    if kind is datetime:
        found.append(value)
        return value.tzinfo is None or type(value.tzinfo) is timezone
    if not levels:
        return False
    found.append(kind)
    if kind is list:
        told = _gather_items(value.copy(), found, levels)
    elif kind is dict:
        told = _gather_fields(value, found, levels)
    else:
        told = (
            id(kind) in _own_classes()
            and getattr(value, "__pydantic_extra__", None) is None
            and _gather_fields(value.__dict__, found, levels)
        )
    found.append(_END)
    return told


def _gather_items(items: list[Any], found: list[object], levels: int) -> bool:
    for item in items:
        # Leaves here, without a call for each: messages are made of hardly anything else.
        if id(type(item)) in _LEAVES:
            found.append(item)
        elif not _gather(item, found, levels - 1):
            return False
    return True


def _gather_fields(fields: dict[Any, Any], found: list[object], levels: int) -> bool:
    if not fields:
        return True
    fields = fields.copy()
    if len({*map(id, map(type, fields)), id(str)}) > 1:
        return False
    found += fields
    return _gather_items([*fields.values()], found, levels)


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
