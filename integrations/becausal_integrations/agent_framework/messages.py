"""The framework's messages in the plain form that every framework's messages share: role, name, content, tool calls.

Left out is what says the same again (`raw_representation`, the provider's own object) and the fields of `Content` that
its type does not use, of which there are forty. Values of the app's own are told as they are.

The framework is imported within the functions: what they are given shows that it is loaded.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from operator import is_
from typing import Any

from becausal.redaction import beginning
from becausal_integrations.identity import ByIdentity

__all__ = [
    "call_ids",
    "head",
    "is_own_data",
    "is_response",
    "is_update",
    "messages_of",
    "new_messages",
    "plain",
    "result_ids",
    "told",
]

OWN = ("agent_framework", "agent_framework_orchestrations")
"""The packages whose dataclasses are told by their fields."""

MOST_ENTRIES = 64
"""A dict of more entries is not searched for messages."""

MOST_LEVELS = 6

_MESSAGE, _RESPONSE, _UPDATE, _CONTENT, _FIELDS = range(5)


def told(value: Any, levels: int = MOST_LEVELS) -> Any:
    """Return a value with the framework's messages in the plain form; what holds none is returned as it is."""
    kind = type(value)
    if not levels:
        return value
    if kind is list or kind is tuple:
        if not value or not _may_hold(type(value[0])):
            return value
        return kind(told(item, levels - 1) for item in value)
    if kind is dict:
        if len(value) > MOST_ENTRIES or not any(_may_hold(type(item)) for item in value.values()):
            return value
        return {key: told(item, levels - 1) for key, item in value.items()}
    match _form(kind):
        case None:
            return value
        case form if form in (_MESSAGE, _UPDATE):
            return _message(value)
        case form if form == _RESPONSE:
            said = [_message(message) for message in value.messages]
            return said[0] if len(said) == 1 else said
        case form if form == _CONTENT:
            return _block(value)
    return {name: told(item, levels - 1) for name, item in vars(value).items()}


def messages_of(value: Any) -> list[Any]:
    """Return the messages in what an agent is given or gives: a message, a list of them, a response."""
    if isinstance(value, list | tuple):
        return [item for item in value if _form(type(item)) == _MESSAGE]
    form = _form(type(value))
    return [value] if form == _MESSAGE else list(value.messages) if form == _RESPONSE else []


def is_response(value: object) -> bool:
    """Return whether a value is a model's or an agent's whole answer."""
    return _form(type(value)) == _RESPONSE


def new_messages(messages: Sequence[Any]) -> list[Any]:
    """Return the messages since a model's last answer."""
    new: list[Any] = []
    for message in reversed(messages):
        if _form(type(message)) != _MESSAGE or plain(message.role) == "assistant":
            break
        new.append(message)
    return new[::-1]


def call_ids(response: Any) -> Iterable[str]:
    """Yield the ids of the tool calls that an answer asks for."""
    return _ids(response.messages, "function_call")


def result_ids(messages: Iterable[Any]) -> Iterable[str]:
    """Yield the ids of the tool calls whose results stand in messages."""
    return _ids(messages, "function_result")


def head(message: Any) -> str:
    """Return the beginning of what a message says; empty for calls and pictures."""
    content = _message(message)["content"]
    return beginning(content) if isinstance(content, str) else ""


def is_update(value: object) -> bool:
    """Return whether a value is a piece of a streamed answer."""
    return _form(type(value)) == _UPDATE


def is_own_data(value: object, name: str) -> bool:
    """Return whether a value is a dataclass of the framework's of this name."""
    return _form(type(value)) == _FIELDS and type(value).__name__ == name


def plain(role: Any) -> str:
    """Return a role, a reason or a state as text; some versions make enums of them."""
    return str(getattr(role, "value", role))


def _form(kind: type) -> int | None:
    kind = next((base for base in kind.__mro__ if str(base.__module__).partition(".")[0] in OWN), object)
    form = _forms().get(kind)
    if form is None and kind is not object and "__dataclass_fields__" in vars(kind):
        return _FIELDS
    return form


def _may_hold(kind: type) -> bool:
    return kind in (list, tuple, dict) or _form(kind) is not None


@functools.cache
def _forms() -> dict[type, int]:
    import agent_framework as own

    return {
        own.Message: _MESSAGE,
        own.ChatResponse: _RESPONSE,
        own.AgentResponse: _RESPONSE,
        own.ChatResponseUpdate: _UPDATE,
        own.AgentResponseUpdate: _UPDATE,
        own.Content: _CONTENT,
    }


# A conversation is told again each turn: a message that is what it was is not put together anew. Known by its first
# content, since the framework copies messages, and copies share what they hold.
_known: ByIdentity[tuple[list[object], dict[str, Any]]] = ByIdentity()

_TOLD = ("type", "text", "call_id", "name", "arguments", "result", "exception")
"""The fields of a content that its message is told by, of the types that most consist of."""

_PLAIN = frozenset((str, type(None)))
_PLAIN_TYPES = frozenset(("text", "function_call", "function_result"))


def _message(message: Any) -> dict[str, Any]:
    inside = _inside(message)
    if inside is None:
        return _put_together(message)
    first = message.contents[0]
    known = _known.get(first)
    if known is None or len(known[0]) != len(inside) or not all(map(is_, known[0], inside)):
        known = inside, _put_together(message)
        _known.put(first, known)
    return known[1]


def _inside(message: Any) -> list[object] | None:
    """Return all that a message of text and tool calls consists of, each immutable; None for any other."""
    inside = [message.role, message.author_name, message.message_id]
    for content in message.contents:
        inside += map(vars(content).get, _TOLD)
    more = message.additional_properties
    is_plain = _PLAIN.issuperset(map(type, inside)) and _PLAIN_TYPES.issuperset(inside[3::7])
    has_notes_alone = not more or all(map(_is_own_note, more))
    return inside if len(inside) > 3 and is_plain and has_notes_alone else None


def _is_own_note(key: str) -> bool:
    """Return whether the framework notes something on a message for itself."""
    return key.startswith("_")


def _put_together(message: Any) -> dict[str, Any]:
    said: dict[str, Any] = {"role": plain(message.role)}
    if message.author_name:
        said["name"] = message.author_name
    contents = list(message.contents)
    calls = [item for item in contents if item.type == "function_call"]
    rest = [item for item in contents if item.type not in ("function_call", "usage")]
    if len(rest) == 1 and rest[0].type == "function_result":
        said |= {"tool_call_id": rest[0].call_id, "content": _result(rest[0])}
    elif all(item.type == "text" for item in rest):
        said["content"] = "".join(item.text or "" for item in rest)
    else:
        said["content"] = [_block(item) for item in rest]
    if calls:
        said["tool_calls"] = [
            {"id": call.call_id, "name": call.name, "arguments": call.arguments or ""} for call in calls
        ]
    if message.message_id:
        said["message_id"] = message.message_id
    properties = message.additional_properties or {}
    more = {key: value for key, value in properties.items() if not _is_own_note(key)}
    return said | {"additional_properties": more} if more else said


def _block(content: Any) -> dict[str, Any]:
    if content.type == "text":
        return {"type": "text", "text": content.text}
    if content.type == "function_result":
        return {"type": "function_result", "call_id": content.call_id, "content": _result(content)}
    return {
        name: told(value)
        for name, value in vars(content).items()
        if name != "raw_representation" and value is not None and value is not False and value != {}
    }


def _result(content: Any) -> Any:
    return content.exception if content.result is None and content.exception else told(content.result)


def _ids(messages: Iterable[Any], kind: str) -> Iterable[str]:
    for message in messages:
        for item in message.contents:
            if item.type == kind and item.call_id:
                yield item.call_id
