"""From AutoGen's values to ours. Pure: each takes a value of AutoGen's and is tested without a runtime.

AutoGen is imported within the functions: what they are given shows that it is loaded.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from becausal import semconv
from becausal.step import Attribute, Choice

if TYPE_CHECKING:
    from autogen_agentchat.messages import BaseChatMessage
    from autogen_core.models import CreateResult

__all__ = [
    "agent_name",
    "chat_messages",
    "choices",
    "head",
    "heads",
    "inside",
    "is_create_result",
    "is_of_a_team",
    "is_response",
    "is_task_result",
    "is_team_agent",
    "is_unhandled",
    "memories",
    "memory_name",
    "model_name",
    "task_messages",
    "usage",
]

EVENTS = "autogen_agentchat.teams._group_chat"
"""Where the messages that teams are run by are defined."""

MOST_LEVELS = 4
"""So deep `inside` looks."""

HEAD = 200
"""Characters of a text that stand for it in a decision."""


def is_response(item: object) -> bool:
    """Return whether an item of an agent's stream is its answer."""
    from autogen_agentchat.base import Response

    return isinstance(item, Response)


def is_task_result(item: object) -> bool:
    """Return whether an item of a team's stream is its result."""
    from autogen_agentchat.base import TaskResult

    return isinstance(item, TaskResult)


def is_create_result(item: object) -> bool:
    """Return whether an item of a model's stream is its result."""
    from autogen_core.models import CreateResult

    return isinstance(item, CreateResult)


def is_of_a_team(message: object) -> bool:
    """Return whether a message belongs to the workings of teams: it carries chat messages or says whose turn it is."""
    return type(message).__module__.startswith(EVENTS)


def is_team_agent(agent: object) -> bool:
    """Return whether a runtime's agent belongs to the workings of teams: a participant's container, a manager."""
    return any(base.__module__.startswith(EVENTS) for base in type(agent).__mro__)


def is_unhandled(agent: object, message: object) -> bool:
    """Return whether an agent has no handler for a message and would only log that.

    `RoutedAgent` routes by the exact type (autogen-core 0.7, `_routed_agent.py`); an agent that overrides
    `on_unhandled_message` handles everything.
    """
    from autogen_core import RoutedAgent

    return (
        isinstance(agent, RoutedAgent)
        and type(message) not in agent._handlers
        and type(agent).on_unhandled_message is RoutedAgent.on_unhandled_message
        and type(agent).on_message_impl is RoutedAgent.on_message_impl
    )


def chat_messages(payload: Any) -> Sequence[BaseChatMessage]:
    """Return the chat messages that a message of a team brings to its participants."""
    from autogen_agentchat.messages import BaseChatMessage

    match type(payload).__name__:
        case "GroupChatStart":
            return payload.messages or ()
        case "GroupChatAgentResponse":
            return (payload.response.chat_message,)
        case "GroupChatTeamResponse":
            return [message for message in payload.result.messages if isinstance(message, BaseChatMessage)]
    return ()


def task_messages(task: object) -> Sequence[BaseChatMessage]:
    """Return the chat messages that a task consists of; none where it is a text."""
    from autogen_agentchat.messages import BaseChatMessage

    items = task if isinstance(task, Sequence) and not isinstance(task, str) else [task]
    return [item for item in items if isinstance(item, BaseChatMessage)]


def agent_name(sender: Any, otherwise: str | None) -> str:
    """Return the type of a runtime's agent; for the world outside, whoever is at work there, or the user."""
    return sender.type if sender is not None else otherwise or "user"


def model_name(client: object) -> str:
    """Return the model that a client was made for, else the client's class."""
    # Where the clients of autogen-ext keep what they were made with; read past the app's own attribute access.
    made_with = getattr(client, "__dict__", {}).get("_create_args")
    name = made_with.get("model") if isinstance(made_with, dict) else None
    return name if isinstance(name, str) else type(client).__name__


def memory_name(memory: object) -> str:
    """Return the name that a memory was given, else its class."""
    name = getattr(memory, "__dict__", {}).get("_name")
    return name if isinstance(name, str) else type(memory).__name__


def memories(result: Any) -> list[Any]:
    """Return the contents that `query` or `update_context` gave."""
    found = getattr(result, "memories", result)
    return list(getattr(found, "results", ()))


def usage(result: CreateResult) -> dict[str, Attribute]:
    """Return the attributes that a model's result gives."""
    return {
        semconv.INPUT_TOKENS: result.usage.prompt_tokens,
        semconv.OUTPUT_TOKENS: result.usage.completion_tokens,
        semconv.FINISH_REASONS: (result.finish_reason,),
        "becausal.model.cached": result.cached,
    }


def choices(result: CreateResult, premises: tuple[str, ...]) -> list[Choice]:
    """Return what a model decided: a choice for each tool call, or the answer."""
    score = _score(result.logprobs)
    method = None if score is None else "logprobs"
    return [
        Choice(conclusion, premises, result.thought, score, method)
        for conclusion in _conclusions(result.content)
    ]


def heads(messages: Iterable[Any]) -> list[str]:
    """Return the beginnings of what messages say, without those that say nothing in words."""
    return [said for said in map(head, messages) if said]


def head(message: Any) -> str:
    """Return the beginning of what a message says, a team's or a model's; empty for calls and pictures."""
    content = getattr(message, "content", None)  # a message of the app's own may have none
    if isinstance(content, list):
        content = " ".join(
            part.content for part in content if isinstance(getattr(part, "content", None), str)
        )
    return _cut(content) if isinstance(content, str) else ""


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
    from autogen_core import FunctionCall, models

    own = messages.TextMessage, messages.StopMessage, messages.ToolCallSummaryMessage, messages.HandoffMessage
    return frozenset(map(id, (*own, FunctionCall, models.FunctionExecutionResult, models.RequestUsage)))


def _conclusions(content: Any) -> list[str]:
    if isinstance(content, str):
        return [f"answer: {_cut(content)}"]
    return [f"call {call.name}({_cut(call.arguments)})" for call in content]


def _score(logprobs: Sequence[Any] | None) -> float | None:
    """Return the geometric mean of the tokens' probabilities."""
    return min(1.0, math.exp(sum(token.logprob for token in logprobs) / len(logprobs))) if logprobs else None


def _cut(text: str) -> str:
    return text if len(text) <= HEAD else text[: HEAD - 1] + "…"
