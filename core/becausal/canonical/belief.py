"""The belief projection: what a value means, without what differs from one sending to the next.

Only what looks like a message, a model's result or a tool call loses anything; the app's own data keeps
every field, `id` and `timestamp` included.

    a typed object is message-like   if it has `content` and one of `type`, `role`, `source`, `call_id`,
                                     `tool_call_id`, `finish_reason`; or `name` and `arguments` and `id`;
                                     or `generations`; or `message` and `generation_info`
    a dict is message-like           if it has `content` and `role` or `type`

A message-like thing loses the fields in `BOOKKEEPING`. In its `content`, `tool_calls` and
`invalid_tool_calls`, and in `additional_kwargs["tool_calls"]`, the dicts of a list lose them as well; what is
inside those dicts (arguments, inputs) is kept whole. Of `llm_output` and `generation_info` the bookkeeping
goes, the rest stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["BOOKKEEPING", "is_message", "meaning", "speaks"]

BOOKKEEPING = frozenset(
    (
        "id",
        "run_id",
        "response_id",
        "request_id",
        "message_id",
        "call_id",
        "tool_call_id",
        "tool_use_id",
        "created_at",
        "timestamp",
        "usage_metadata",
        "response_metadata",
        "models_usage",
        "usage",
        "token_usage",
        "duration",
        "latency",
    )
)

_SIGNS = frozenset(("type", "role", "source", "call_id", "tool_call_id", "finish_reason"))
_LISTS = ("content", "tool_calls", "invalid_tool_calls")
_REPORTS = ("llm_output", "generation_info")
_MORE = "additional_kwargs"

_ways: dict[tuple[str, ...], tuple[list[str], list[str]]] = {}
"""By the names of a message's fields, in their order: which are dropped, and which are looked into."""
_MOST_WAYS = 1024
_MOST_NAMES = 64


def is_message(fields: Mapping[str, Any]) -> bool:
    """Say whether a dict looks like a message."""
    return "content" in fields and ("role" in fields or "type" in fields)


def speaks(fields: Mapping[str, Any]) -> bool:
    """Say whether a typed object's fields are those of a message, a result or a tool call."""
    if "content" in fields:
        return not _SIGNS.isdisjoint(fields)
    if "arguments" in fields:
        return "name" in fields and "id" in fields
    return "generations" in fields or ("generation_info" in fields and "message" in fields)


def meaning(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a message-like thing without bookkeeping. Nothing given is changed."""
    names = (*fields,)
    dropped, searched = _ways.get(names) or _way(names)
    kept = {**fields}
    for name in dropped:
        del kept[name]
    for name in searched:
        value = kept[name]
        kind = type(value)
        if (kind is list or kind is dict) and value:  # of another one this may run code of the app's
            kept[name] = _searched(name, value)
    return kept


def _way(names: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Return which fields are dropped, and which are looked into; remember both for the next one of these names."""
    way = (
        [name for name in names if name in BOOKKEEPING],
        [name for name in (*_LISTS, *_REPORTS, _MORE) if name in names],
    )
    if len(names) <= _MOST_NAMES:
        if len(_ways) >= _MOST_WAYS:
            _ways.clear()
        _ways[names] = way
    return way


def _searched(name: str, value: Any) -> Any:
    if name in _LISTS:
        return _items(value) if type(value) is list else value
    if type(value) is not dict:
        return value
    if name in _REPORTS:
        return _without(value)
    calls = value.get("tool_calls")
    return {**value, "tool_calls": _items(calls)} if type(calls) is list else value


def _items(value: list[Any]) -> list[Any]:
    return [_without(item) if type(item) is dict else item for item in value]


def _without(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in BOOKKEEPING}
