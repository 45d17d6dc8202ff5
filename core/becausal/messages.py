"""What models and agents heard and said, as the messages of the GenAI conventions.

A span tells them as a JSON string: `[{"role": "user", "parts": [{"type": "text", "content": "…"}]}]`, of what came out
with a `finish_reason`, without which Phoenix 20.26 takes no message of it. LangChain's, AutoGen's and plain messages
are told by their fields; whatever is none is one message of its text.

Source: semantic-conventions-genai, `gen-ai-input-messages.json` and `gen-ai-output-messages.json`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal, TypedDict

from becausal import semconv
from becausal.fitting import fit_text, short
from becausal.payload import is_call, is_message, text_of

__all__ = ["heard", "said", "written"]

Role = Literal["system", "user", "assistant", "tool"]


class Part(TypedDict, total=False):
    """A piece of a message."""

    type: Literal["text", "reasoning", "tool_call", "tool_call_response"]
    content: str
    id: str
    name: str
    arguments: object
    response: str


class Message(TypedDict, total=False):
    """A message of the conventions."""

    role: Role
    parts: list[Part]
    name: str
    finish_reason: str


ROLES: Final[Mapping[str, Role]] = {
    "system": "system",
    "developer": "system",
    "SystemMessage": "system",
    "user": "user",
    "human": "user",
    "UserMessage": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "AIMessageChunk": "assistant",
    "AssistantMessage": "assistant",
    "tool": "tool",
    "function": "tool",
    "FunctionExecutionResultMessage": "tool",
}
"""By what LangChain, AutoGen and OpenAI write in a message's `role` or `type`."""

FINISHES: Final[Mapping[str, str]] = {
    "function_calls": "tool_call",
    "tool_calls": "tool_call",
    "tool_use": "tool_call",
    "function_call": "tool_call",
    "end_turn": "stop",
    "max_tokens": "length",
}
"""What frameworks and providers call the conventions' `stop`, `length`, `content_filter`, `tool_call`, `error`."""

MOST: Final = 24
"""Messages that are told: the first, and the last ones."""

SHORTEST: Final = 48
"""Bytes that are left of a text that is cut, before whole messages are left out."""


def heard(value: object) -> str:
    """Return what went in, as the JSON of messages."""
    values, left_out = _each(value)
    return _fitting([_message(one, "user") for one in values], left_out)


def said(value: object, finish: str | None = None) -> str:
    """Return what came out, as the JSON of messages.

    Args:
        finish: why it ended, where the message does not say so itself.
    """
    values, left_out = _each(value)
    messages = [_message(one, "assistant") for one in values]
    for message, one in zip(messages, values, strict=True):
        reason = (one.get("finish_reason") if isinstance(one, Mapping) else None) or finish
        asks = any(part["type"] == "tool_call" for part in message["parts"])
        unsaid = "tool_call" if asks else "stop"
        message["finish_reason"] = (
            FINISHES.get(str(reason), short(str(reason), SHORTEST)) if reason else unsaid
        )
    return _fitting(messages, left_out)


def written(value: object) -> str:
    """Return a tool's arguments or result: JSON where it is data and short enough, else its text."""
    if isinstance(value, Mapping | list | tuple) and not _is_told_as_message(value):
        told = json.dumps(_plain(value))
        if len(told) <= semconv.MAX_ATTRIBUTE_BYTES:
            return told
    return fit_text(text_of(value))


def _is_told_as_message(value: object) -> bool:
    return isinstance(value, Mapping) and is_message(value)


def _each(value: object) -> tuple[list[object], int]:
    """Return the messages that a value is, and how many more there are; a value that is none, alone."""
    if isinstance(value, list | tuple) and value and all(map(_is_told_as_message, value)):
        if len(value) <= MOST:
            return list(value), 0
        return [value[0], *value[1 - MOST :]], len(value) - MOST
    return [value], 0


def _message(value: object, role: Role) -> Message:
    if not isinstance(value, Mapping) or not is_message(value):
        return {"role": role, "parts": [_text(text_of(value))]}
    names = (value.get("role"), value.get("type"))
    by_source: Role = "user" if value.get("source") == "user" else role
    known = next((ROLES[name] for name in names if isinstance(name, str) and name in ROLES), by_source)
    message: Message = {"role": known, "parts": list(_parts(value, known))}
    who = value.get("source") or value.get("name")
    if isinstance(who, str) and who != known:
        message["name"] = short(who, SHORTEST)
    return message


def _parts(message: Mapping[object, object], role: Role) -> Iterator[Part]:
    if thought := message.get("thought"):
        yield {"type": "reasoning", "content": str(thought)}
    content = message["content"]
    answered = message.get("tool_call_id")
    if role == "tool" and isinstance(answered, str):
        yield {"type": "tool_call_response", "id": short(answered, SHORTEST), "response": text_of(content)}
        return
    for piece in content if isinstance(content, list | tuple) else [content]:
        if piece not in ("", None):
            yield _part(piece)
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list | tuple) else ():
        if isinstance(call, Mapping):
            inner = call.get("function")  # OpenAI's form
            yield _part({**inner, "id": call.get("id")} if isinstance(inner, Mapping) else call)


def _part(piece: object) -> Part:
    if not isinstance(piece, Mapping):
        return _text(text_of(piece))
    if is_call(piece):
        call: Part = {"type": "tool_call", "name": short(str(piece["name"]), SHORTEST)}
        if (id := piece.get("id")) is not None:
            call["id"] = short(str(id), SHORTEST)
        call["arguments"] = _arguments(piece.get("args", piece.get("arguments")))
        return call
    if "call_id" in piece and "content" in piece:
        response = text_of(piece["content"])
        return {
            "type": "tool_call_response",
            "id": short(str(piece["call_id"]), SHORTEST),
            "response": response,
        }
    return _text(text_of(piece))


def _arguments(value: object) -> object:
    """Return a call's arguments as JSON has them; as text where they are long."""
    plain = _plain(value)
    told = json.dumps(plain)
    return plain if len(told) <= semconv.MAX_ATTRIBUTE_BYTES else short(told, semconv.MAX_ATTRIBUTE_BYTES)


def _text(text: str) -> Part:
    return {"type": "text", "content": text}


def _plain(value: object) -> object:
    """Return data as JSON has it; what it has not, as text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | bool) or (isinstance(value, int) and abs(value) < 1 << 63):
        return value
    if isinstance(value, float) and value - value == 0:  # neither NaN nor infinite
        return value
    return text_of(value)


def _fitting(messages: Sequence[Message], left_out: int) -> str:
    """Return messages as JSON that is no longer than an attribute may be, and JSON however much had to go.

    Args:
        left_out: how many messages there were beside these.
    """
    kept, most = list(messages), semconv.MAX_ATTRIBUTE_BYTES
    while True:
        cut = [_cut(message, most) for message in kept]
        if left_out:
            cut[0]["parts"].append(_text(f"… {left_out} messages left out …"))
        told = json.dumps(cut)
        if len(told) <= semconv.MAX_ATTRIBUTE_BYTES:
            return told
        if most > SHORTEST:
            most //= 2
        elif len(kept) > 1:  # the first says what to do, the last ones what is asked now
            del kept[1 if len(kept) > 2 else 0]
            left_out += 1
        else:
            kept[0] = {**kept[0], "parts": kept[0]["parts"][:-1]}


def _cut(message: Message, most: int) -> Message:
    parts: list[Part] = []
    for part in message["parts"]:
        cut: Part = {**part}
        if "content" in cut:
            cut["content"] = short(cut["content"], most)
        if "response" in cut:
            cut["response"] = short(cut["response"], most)
        if "arguments" in cut and len(told := json.dumps(cut["arguments"])) > most:
            cut["arguments"] = short(told, most)
        parts.append(cut)
    return {**message, "parts": parts}
