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
    kept = dict(fields)
    for name in BOOKKEEPING.intersection(kept):
        del kept[name]
    for name in _LISTS:
        value = kept.get(name)
        if type(value) is list and value:
            kept[name] = _items(value)
    for name in _REPORTS:
        value = kept.get(name)
        if type(value) is dict and value:
            kept[name] = _without(value)
    more = kept.get("additional_kwargs")
    if type(more) is dict and more and type(more.get("tool_calls")) is list:
        kept["additional_kwargs"] = {**more, "tool_calls": _items(more["tool_calls"])}
    return kept


def _items(value: list[Any]) -> list[Any]:
    return [_without(item) if type(item) is dict else item for item in value]


def _without(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in BOOKKEEPING}
