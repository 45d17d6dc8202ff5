"""What the framework's values are called and say: agents, workflows, models, tools.

The framework is imported within the functions: what they are given shows that it is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from becausal import semconv
from becausal.redaction import beginning
from becausal.step import Attribute, Choice
from becausal_integrations.agent_framework.messages import is_own_data, is_update, plain, told

__all__ = [
    "NAME",
    "agent_name",
    "agent_of",
    "answer_attributes",
    "choices",
    "is_agent",
    "is_stream",
    "is_workflow_message",
    "model_name",
    "outputs",
    "produced_by",
    "result_of_tool",
    "waits",
    "workflow_name",
]

NAME = "Microsoft Agent Framework"

_MADE_UP = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
"""How the name of a workflow ends that the app did not name."""


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
        if is_update(output) and given and _goes_on(given[-1], said):
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
    answers = [value.agent_response for value in made if is_own_data(value, "AgentExecutorResponse")]
    if answers:
        return told(answers[-1])
    return told(made[0] if len(made) == 1 else list(made))


def waits(result: Any) -> bool:
    """Return whether a run of a workflow stopped to wait for an answer from outside."""
    return str(plain(result.get_final_state())) == "IDLE_WITH_PENDING_REQUESTS"


# Models and tools


def model_name(client: Any, options: Mapping[str, Any] | None) -> str:
    """Return the model that is asked, else the client's class."""
    asked = options if isinstance(options, Mapping) else {}
    # Read past the app's own attribute access.
    made_with = getattr(client, "__dict__", {})
    named = (asked.get("model"), asked.get("model_id"), made_with.get("model"), made_with.get("model_id"))
    return next((name for name in named if isinstance(name, str) and name), type(client).__name__)


def answer_attributes(response: Any) -> dict[str, Attribute]:
    """Return what a model's answer says of itself: tokens, why it ended."""
    usage = response.usage_details or {}
    ended = response.finish_reason
    said = {
        semconv.INPUT_TOKENS: usage.get("input_token_count"),
        semconv.OUTPUT_TOKENS: usage.get("output_token_count"),
        semconv.FINISH_REASONS: (plain(ended),) if ended else None,
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
    concluded = [f"call {call.name}({beginning(str(call.arguments or ''))})" for call in calls]
    return [
        Choice(conclusion, premises, beginning(reason) or None)
        for conclusion in concluded or [f"answer: {beginning(text)}"]
    ]


def result_of_tool(result: Any) -> Any:
    """Return a tool's result as the model will be told it: the text, where it is one."""
    if isinstance(result, list) and len(result) == 1 and getattr(result[0], "type", None) == "text":
        return result[0].text
    return told(result)
