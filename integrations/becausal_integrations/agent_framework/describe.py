"""From Agent Framework's values to ours. Each takes a value of the framework's and is tested without a run.

A message is told in the plain form that every framework's messages share: role, name, content, tool calls. Left out is
what says the same again (`raw_representation`, the provider's own object) and the fields of `Content` that its type
does not use, of which there are forty. Values of the app's own are told as they are.

The framework is imported within the functions: what they are given shows that it is loaded.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from operator import is_
from typing import Any

from becausal import semconv
from becausal.step import Attribute, Choice
from becausal_integrations.agent_framework.ledger import ByIdentity

__all__ = [
    "agent_name",
    "agent_of",
    "answer_attributes",
    "call_ids",
    "choices",
    "head",
    "is_agent",
    "is_response",
    "is_stream",
    "is_workflow_message",
    "messages_of",
    "model_name",
    "new_messages",
    "outputs",
    "produced_by",
    "result_ids",
    "result_of_tool",
    "told",
    "waits",
    "workflow_name",
]

OWN = "agent_framework"
"""How the modules of the framework and of its packages are called."""

HEAD = 200
"""Characters of a text that stand for it in a decision."""

MOST_ENTRIES = 64
"""A dict of more entries is not searched for messages."""

MOST_LEVELS = 6

_MADE_UP = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
"""How the name of a workflow ends that the app did not name."""

_MESSAGE, _RESPONSE, _UPDATE, _CONTENT, _FIELDS = range(5)


# Messages, and what holds them


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


def _form(kind: type) -> int | None:
    if not kind.__module__.startswith(OWN):
        kind = next((base for base in kind.__mro__ if base.__module__.startswith(OWN)), object)
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
    said: dict[str, Any] = {"role": _plain(message.role)}
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


def _plain(role: Any) -> str:
    return str(getattr(role, "value", role))


# Agents and workflows


def agent_name(agent: Any) -> str:
    """Return the name that the app gave an agent, else its class: an id is made anew in each process."""
    name = getattr(agent, "name", None)
    return name if isinstance(name, str) and name else type(agent).__name__


def agent_of(executor: Any) -> Any:
    """Return the agent whose turns an executor's are; None for an executor of the app's own."""
    from agent_framework import AgentExecutor

    return executor._agent if issubclass(type(executor), AgentExecutor) else None


def is_agent(owner: object) -> bool:
    """Return whether a step is an agent's work, and not an executor's of the app's own."""
    from agent_framework import Executor

    return not issubclass(type(owner), Executor)


def is_workflow_message(message: object) -> bool:
    """Return whether something is a message between executors, and not just what it holds."""
    from agent_framework import WorkflowMessage

    return type(message) is WorkflowMessage


def workflow_name(workflow: Any) -> str:
    """Return the name that the app gave a workflow, else its class: the builder's own names are made anew each time."""
    name = getattr(workflow, "name", None)
    if isinstance(name, str) and name and not _MADE_UP.search(name):
        return name
    return type(workflow).__name__


def is_stream(result: object) -> bool:
    """Return whether a call gave a stream."""
    from agent_framework import ResponseStream

    return issubclass(type(result), ResponseStream)


def outputs(result: Any) -> Any:
    """Return what a run of a workflow gave: its outputs, the only one by itself. A streamed text is put together."""
    given: list[Any] = []
    for output in result.get_outputs():
        said = told(output)
        if _form(type(output)) == _UPDATE and given and _goes_on(given[-1], said):
            given[-1] = {**given[-1], "content": given[-1]["content"] + said["content"]}
        else:
            given.append(said)
    return given[0] if len(given) == 1 else given


def _goes_on(before: Any, piece: Any) -> bool:
    """Return whether a piece of a streamed message is one more of the same."""
    return isinstance(before, dict) and all(
        before.get(key) == piece.get(key) and isinstance(piece.get("content"), str)
        for key in ("role", "name", "message_id")
    )


def produced_by(made: Sequence[Any]) -> Any:
    """Return what an executor made, of all that it sent and gave out: an agent's answer, the one thing, or a list."""
    answers = [value.agent_response for value in made if _is_named(value, "AgentExecutorResponse")]
    if answers:
        return told(answers[-1])
    return told(made[0] if len(made) == 1 else list(made))


def waits(result: Any) -> bool:
    """Return whether a run of a workflow stopped to wait for an answer from outside."""
    return str(_plain(result.get_final_state())) == "IDLE_WITH_PENDING_REQUESTS"


def _is_named(value: object, name: str) -> bool:
    return _form(type(value)) == _FIELDS and type(value).__name__ == name


# Models and tools


def model_name(client: Any, options: Mapping[str, Any] | None) -> str:
    """Return the model that is asked, else the client's class."""
    asked = options if isinstance(options, Mapping) else {}
    # Read past the app's own attribute access.
    made_with = getattr(client, "__dict__", {})
    named = (asked.get("model"), asked.get("model_id"), made_with.get("model"), made_with.get("model_id"))
    return next((name for name in named if isinstance(name, str) and name), type(client).__name__)


def is_response(value: object) -> bool:
    """Return whether a value is a model's or an agent's whole answer."""
    return _form(type(value)) == _RESPONSE


def answer_attributes(response: Any) -> dict[str, Attribute]:
    """Return what a model's answer says of itself: tokens, why it ended."""
    usage = response.usage_details or {}
    ended = response.finish_reason
    said = {
        semconv.INPUT_TOKENS: usage.get("input_token_count"),
        semconv.OUTPUT_TOKENS: usage.get("output_token_count"),
        semconv.FINISH_REASONS: (_plain(ended),) if ended else None,
        semconv.RESPONSE_ID: response.response_id,
        semconv.RESPONSE_MODEL: getattr(response, "model", None),
    }
    return {key: value for key, value in said.items() if isinstance(value, str | int | tuple)}


def choices(response: Any, premises: tuple[str, ...]) -> list[Choice]:
    """Return what a model decided: a choice for each tool call, or the answer."""
    contents = [item for message in response.messages for item in message.contents]
    text = "".join(item.text or "" for item in contents if item.type == "text")
    thought = "".join(item.text or "" for item in contents if item.type == "text_reasoning")
    calls = [item for item in contents if item.type == "function_call"]
    reason = thought or (text if calls else "")
    concluded = [f"call {call.name}({_cut(str(call.arguments or ''))})" for call in calls]
    return [
        Choice(conclusion, premises, _cut(reason) or None)
        for conclusion in concluded or [f"answer: {_cut(text)}"]
    ]


def new_messages(messages: Sequence[Any]) -> list[Any]:
    """Return the messages since a model's last answer."""
    new: list[Any] = []
    for message in reversed(messages):
        if _form(type(message)) != _MESSAGE or _plain(message.role) == "assistant":
            break
        new.append(message)
    return new[::-1]


def call_ids(response: Any) -> Iterable[str]:
    """Yield the ids of the tool calls that an answer asks for."""
    return _ids(response.messages, "function_call")


def result_ids(messages: Iterable[Any]) -> Iterable[str]:
    """Yield the ids of the tool calls whose results stand in messages."""
    return _ids(messages, "function_result")


def _ids(messages: Iterable[Any], kind: str) -> Iterable[str]:
    for message in messages:
        for item in message.contents:
            if item.type == kind and item.call_id:
                yield item.call_id


def result_of_tool(result: Any) -> Any:
    """Return a tool's result as the model will be told it: the text, where it is one."""
    if isinstance(result, list) and len(result) == 1 and getattr(result[0], "type", None) == "text":
        return result[0].text
    return told(result)


def head(message: Any) -> str:
    """Return the beginning of what a message says; empty for calls and pictures."""
    content = _message(message)["content"]
    return _cut(content) if isinstance(content, str) else ""


def _cut(text: str) -> str:
    return text if len(text) <= HEAD else text[: HEAD - 1] + "…"
