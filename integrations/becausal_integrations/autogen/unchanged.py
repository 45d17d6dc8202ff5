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
    found: list[object] = []
    return found if _gather(message, found, MOST_LEVELS) else None


def _gather(value: Any, found: list[object], levels: int) -> bool:
    kind = type(value)
    if id(kind) in _LEAVES:
        found.append(value)
        return True
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
        told = all(_gather(item, found, levels - 1) for item in value.copy())
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


def _gather_fields(fields: dict[Any, Any], found: list[object], levels: int) -> bool:
    for key, value in fields.copy().items():
        if type(key) is not str:
            return False
        found.append(key)
        if not _gather(value, found, levels - 1):
            return False
    return True


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
