"""From AutoGen's values to ours. Pure: each takes a value of AutoGen's and is tested without a runtime.

AutoGen is imported within the functions: what they are given shows that it is loaded.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import math
import sys
import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from becausal import semconv
from becausal.redaction import HEAD, beginning
from becausal.step import Attribute, Choice

if TYPE_CHECKING:
    from autogen_agentchat.messages import BaseChatMessage
    from autogen_core.models import CreateResult

__all__ = [
    "agent_name",
    "asks_a_person",
    "chat_messages",
    "choices",
    "conversion",
    "field",
    "gives_a_turn",
    "has_tool",
    "head",
    "heads",
    "is_create_result",
    "is_of_a_team",
    "is_of_tools",
    "is_response",
    "is_task_result",
    "is_team_agent",
    "is_unhandled",
    "manager_kind",
    "manager_name",
    "memories",
    "memory_key",
    "memory_name",
    "mentioned",
    "model_name",
    "passes_on",
    "progress",
    "runs_agents",
    "server_conversion",
    "server_name",
    "task_messages",
    "usage",
    "wording",
]

EVENTS = "autogen_agentchat.teams._group_chat"
"""Where the messages that teams are run by are defined."""

MOST_PARSED = 65_536
"""Characters of a text that is tried as JSON."""

_MANAGERS = {
    "SelectorGroupChatManager": "selector",
    "SwarmGroupChatManager": "swarm",
    "GraphFlowManager": "graph",
    "RoundRobinGroupChatManager": "order",
}


def is_response(item: object) -> bool:
    """Return whether an item of an agent's stream is its answer."""
    return isinstance(item, _base().Response)


def is_task_result(item: object) -> bool:
    """Return whether an item of a team's stream is its result."""
    return isinstance(item, _base().TaskResult)


def is_create_result(item: object) -> bool:
    """Return whether an item of a model's stream is its result."""
    return isinstance(item, _models().CreateResult)


def is_of_a_team(message: object) -> bool:
    """Return whether a message belongs to the workings of teams: it carries chat messages or says whose turn it is."""
    return type(message).__module__.startswith(EVENTS)


def gives_a_turn(message: object) -> bool:
    """Return whether a message of a team says to its receiver that it is its turn."""
    return type(message).__name__ == "GroupChatRequestPublish"


def is_team_agent(agent: object) -> bool:
    """Return whether a runtime's agent belongs to the workings of teams: a participant's container, a manager."""
    return any(base.__module__.startswith(EVENTS) for base in type(agent).__mro__)


def passes_on(agent: type, message: type) -> bool:
    """Return whether agents of AutoGen's own that run teams are given what runs them: they only pass it on."""
    return agent.__module__.startswith(EVENTS) and message.__module__.startswith(EVENTS)


def is_unhandled(agent: object, message: object) -> bool:
    """Return whether an agent has no handler for a message and would only log that.

    `RoutedAgent` routes by the exact type (autogen-core 0.7, `_routed_agent.py`); an agent that overrides
    `on_unhandled_message` handles everything.
    """
    routed = _core().RoutedAgent
    return (
        isinstance(agent, routed)
        and type(message) not in agent._handlers
        and type(agent).on_unhandled_message is routed.on_unhandled_message
        and type(agent).on_message_impl is routed.on_message_impl
    )


def chat_messages(payload: Any) -> Sequence[BaseChatMessage] | None:
    """Return the chat messages that a message of a team brings to its participants; None of any other message."""
    kind = type(payload)
    if not kind.__module__.startswith(EVENTS):
        return None
    match kind.__name__:
        case "GroupChatAgentResponse":
            return (payload.response.chat_message,)
        case "GroupChatStart":
            return payload.messages or ()
        case "GroupChatTeamResponse":
            return task_messages(payload.result.messages)
    return ()


def field(message: object, name: str) -> Any:
    """Return a field of a message; None where it has none of this name.

    Read past pydantic's own attribute access, which spends more on a name that is not there than on all that are.
    """
    return getattr(message, "__dict__", {}).get(name)


def task_messages(task: object) -> Sequence[BaseChatMessage]:
    """Return the chat messages that a task consists of; none where it is a text."""
    if task is None:
        return ()
    chat_message = _messages().BaseChatMessage
    items = task if isinstance(task, Sequence) and not isinstance(task, str) else [task]
    return [item for item in items if isinstance(item, chat_message)]


def agent_name(sender: Any, otherwise: str | None) -> str:
    """Return the type of a runtime's agent; for the world outside, whoever is at work there, or the user."""
    return sender.type if sender is not None else otherwise or "user"


def asks_a_person(agent: object) -> bool:
    """Return whether what an agent says is what a person typed."""
    return issubclass(type(agent), _agents().UserProxyAgent)


def runs_agents(tool: object) -> bool:
    """Return whether a tool does nothing but run an agent or a team of AutoGen's."""
    runner = getattr(sys.modules.get("autogen_agentchat.tools._task_runner_tool"), "TaskRunnerTool", None)
    if runner is None or not isinstance(tool, runner):
        return False
    return type(tool).__module__.startswith("autogen_agentchat.")


def model_name(client: object) -> str:
    """Return the model that a client was made for, else the client's class."""
    # Where the clients of autogen-ext keep what they were made with; read past the app's own attribute access.
    made_with = getattr(client, "__dict__", {}).get("_create_args")
    name = made_with.get("model") if isinstance(made_with, dict) else None
    return name if isinstance(name, str) else type(client).__name__


def is_of_tools(message: object) -> bool:
    """Return whether a message only tells of tool calls: Magentic-One shows its model none of these."""
    from autogen_agentchat.messages import ToolCallExecutionEvent, ToolCallRequestEvent

    return isinstance(message, ToolCallRequestEvent | ToolCallExecutionEvent)


def manager_kind(manager: object) -> str | None:
    """Return by what a group chat manager chooses; None of the app's own kinds."""
    for base in type(manager).__mro__:
        kind = _MANAGERS.get(base.__name__)
        if kind is not None:
            return kind
    return None


def mentioned(manager: object, text: str) -> list[str]:
    """Return the participants that a selector's model named, by AutoGen's own reading of its answer."""
    from autogen_agentchat.teams._group_chat._selector_group_chat import SelectorGroupChatManager

    if not isinstance(manager, SelectorGroupChatManager):
        return []
    return list(SelectorGroupChatManager._mentioned_agents(manager, text, manager._participant_names))


def progress(text: str) -> dict[str, Any] | None:
    """Return the progress ledger that a text of Magentic-One's model holds; None where it holds none."""
    from autogen_core.utils import extract_json_from_str

    with contextlib.suppress(ValueError):
        found = extract_json_from_str(text)
        if found and all(
            isinstance(found[0].get(key), dict) for key in ("is_request_satisfied", "next_speaker")
        ):
            return dict(found[0])
    return None


def manager_name(team: object) -> str | None:
    """Return the name of a team's group chat manager; None of what is no such team."""
    name = getattr(team, "__dict__", {}).get("_group_chat_manager_name")
    return name if isinstance(name, str) else None


def memory_key(content: Any) -> str | None:
    """Return the key that the app gave a memory's content; None where it gave none."""
    metadata = getattr(content, "metadata", None)
    given = [metadata.get(name) for name in ("key", "id")] if isinstance(metadata, dict) else []
    return next((key for key in given if isinstance(key, str) and key), None)


def memory_name(memory: object) -> str:
    """Return the name that a memory was given, else its class."""
    name = getattr(memory, "__dict__", {}).get("_name")
    return name if isinstance(name, str) else type(memory).__name__


def memories(result: Any) -> list[Any]:
    """Return the contents that `query` or `update_context` gave."""
    found = getattr(result, "memories", result)
    return list(getattr(found, "results", ()))


def has_tool(workbench: Any, name: str) -> bool:
    """Return whether a workbench has a tool of this name that tells its calls itself."""
    from autogen_core.tools import StaticWorkbench

    if not isinstance(workbench, StaticWorkbench):
        return False
    own = workbench._override_name_to_original.get(name, name)
    return any(tool.name == own for tool in workbench._tools)


def conversion(value: object, text: object) -> str | None:
    """Return how a tool's raw value became the text that was passed on; None where nothing is lost by that."""
    if not isinstance(text, str) or type(value) in (int, float, bool):
        return None
    if isinstance(value, str):
        return "str to other text" if value != text else None
    return f"{type(value).__qualname__} to {'json' if _is_json(text) else 'text'}"


def server_name(workbench: Any) -> str:
    """Return under which name it is kept which tools a workbench's MCP server has: by what the server is run with."""
    params = workbench.server_params
    told = [getattr(params, name, None) for name in ("command", "args", "url")]
    return f"tools.{zlib.crc32(repr(told).encode()):08x}"


def server_conversion(answer: Any) -> str | None:
    """Return what of an MCP server's answer AutoGen leaves out or makes text of (`McpWorkbench.call_tool`)."""
    if getattr(answer, "structuredContent", None) is not None:
        return f"{type(answer).__qualname__} without structuredContent"
    kinds = [type(content).__qualname__ for content in getattr(answer, "content", ())]
    return "EmbeddedResource to json" if "EmbeddedResource" in kinds else None


def wording(message: Any) -> str | None:
    """Return what a message of a model's context says, in short: equal for two that say the same."""
    content = getattr(message, "content", None)
    if isinstance(content, list):
        content = "\n".join(map(_part, content))
    return f"{hash((type(message).__name__, content)):x}" if isinstance(content, str) else None


def usage(result: CreateResult) -> dict[str, Attribute]:
    """Return the attributes that a model's result gives."""
    return {
        semconv.INPUT_TOKENS: result.usage.prompt_tokens,
        semconv.OUTPUT_TOKENS: result.usage.completion_tokens,
        semconv.FINISH_REASONS: (result.finish_reason,),
        semconv.CACHED: result.cached,
    }


def choices(result: CreateResult, premises: tuple[str, ...]) -> list[Choice]:
    """Return what a model decided: a choice for each tool call, or the answer."""
    score = _score(result.logprobs)
    method = None if score is None else "logprobs"
    return [
        Choice(conclusion, premises, result.thought, score, method)
        for conclusion in _conclusions(result.content)
    ]


def heads(messages: Iterable[Any], shown: Callable[[str], str] | None = None) -> list[str]:
    """Return the beginnings of what messages say, without those that say nothing in words.

    Args:
        messages: a team's or a model's.
        shown: takes secrets out of a text that is cut, so that where it is cut does not depend on them.
    """
    return [*filter(None, (head(message, shown) for message in messages))]


def head(message: Any, shown: Callable[[str], str] | None = None) -> str:
    """Return the beginning of what a message says, a team's or a model's; empty for calls and pictures."""
    content = getattr(message, "content", None)  # a message of the app's own may have none
    if isinstance(content, list):
        content = " ".join(
            [part.content for part in content if isinstance(getattr(part, "content", None), str)]
        )
    if not isinstance(content, str):
        return ""
    return beginning(content if shown is None or len(content) <= HEAD else shown(content))


# Of AutoGen's modules each is imported once: their classes are asked for with each message and each item of a stream.


@functools.cache
def _base() -> Any:
    return importlib.import_module("autogen_agentchat.base")


@functools.cache
def _core() -> Any:
    return importlib.import_module("autogen_core")


@functools.cache
def _models() -> Any:
    return importlib.import_module("autogen_core.models")


@functools.cache
def _messages() -> Any:
    return importlib.import_module("autogen_agentchat.messages")


@functools.cache
def _agents() -> Any:
    return importlib.import_module("autogen_agentchat.agents")


def _part(part: Any) -> str:
    match part:
        case str():
            return part
        case _ if type(part).__name__ == "Image":
            return "<image>"  # as AutoGen writes it for a model that sees no pictures
    fields = getattr(part, "__dict__", {})
    return " ".join([str(fields.get(name, "")) for name in ("id", "call_id", "name", "arguments", "content")])


def _is_json(text: str) -> bool:
    if text[:1] not in ("{", "[") or len(text) > MOST_PARSED:
        return False
    with contextlib.suppress(ValueError):
        json.loads(text)
        return True
    return False


def _conclusions(content: Any) -> list[str]:
    if isinstance(content, str):
        return [f"answer: {beginning(content)}"]
    return [f"call {call.name}({beginning(call.arguments)})" for call in content]


def _score(logprobs: Sequence[Any] | None) -> float | None:
    """Return the geometric mean of the tokens' probabilities."""
    return min(1.0, math.exp(sum(token.logprob for token in logprobs) / len(logprobs))) if logprobs else None
