"""From LangChain's values to ours: names, attributes and answers. Pure, and without importing LangChain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from becausal import semconv
from becausal.recorder import NOTHING
from becausal.redaction import beginning
from becausal.step import Attribute, Status

__all__ = [
    "answer",
    "answer_attributes",
    "answer_of",
    "generations_of",
    "mapping",
    "model_name",
    "outcome",
    "partial_answer",
    "premises_of",
    "request_attributes",
    "text_of_content",
    "tool_call_ids",
]


def outcome(error: BaseException) -> Status | None:
    """Return the status for an exception that is control flow, not failure: interrupts, jumps, a closed stream."""
    if isinstance(error, GeneratorExit):
        return "closed"
    # By name: LangGraph's interrupts pass through tools and models, and langchain-core knows nothing of it.
    names = {cls.__name__ for cls in type(error).__mro__}
    if "ParentCommand" in names:
        return "ok"  # how a `Command` for the parent graph gets there; nothing waits for anybody
    return "interrupted" if "GraphBubbleUp" in names else None


def model_name(metadata: Mapping[str, Any], params: Mapping[str, Any], serialized: Mapping[str, Any]) -> str:
    """Return the model's name as the provider spells it, else the name of the class that calls it."""
    candidates = (metadata.get("ls_model_name"), params.get("model"), params.get("model_name"))
    for name in candidates:
        if name and isinstance(name, str):
            return name
    return str(serialized.get("name") or ([*serialized.get("id", ()), "model"][:-1] or ["model"])[-1])


def request_attributes(name: str, metadata: Mapping[str, Any]) -> dict[str, Attribute]:
    """Return what a model step says before the answer is there."""
    attributes: dict[str, Attribute] = {semconv.REQUEST_MODEL: name}
    if isinstance(provider := metadata.get("ls_provider"), str):
        attributes[semconv.PROVIDER_NAME] = provider
    return attributes


def premises_of(messages: object) -> tuple[str, ...]:
    """Return the heads of what was new to the model: the messages since its last answer, or the prompt."""
    if isinstance(messages, str):
        return (beginning(messages),)
    new: list[str] = []
    for message in reversed(messages if isinstance(messages, Sequence) else ()):
        if getattr(message, "type", None) == "ai":
            break
        if text := beginning(text_of_content(getattr(message, "content", ""))):
            new.append(text)
    return tuple(reversed(new))


def generations_of(response: Any) -> list[Any]:
    """Return the candidates of a call's answer, each with a message or a text."""
    groups = getattr(response, "generations", ())
    return list(groups[0]) if groups else []


def answer_of(generation: Any) -> Any:
    """Return what a candidate says: a chat model's message, a text model's text."""
    return getattr(generation, "message", None) or generation.text


def answer(response: Any) -> Any:
    """Return what a model answered: its message, its text, or the list of them; `NOTHING` for none."""
    answers = list(map(answer_of, generations_of(response)))
    return NOTHING if not answers else answers[0] if len(answers) == 1 else answers


def partial_answer(response: Any) -> Any:
    """Return what had come of a stream that was left or broke off; `NOTHING` for nothing."""
    came = [item for item in generations_of(response)[:1] if type(item).__name__.endswith("Chunk")]
    return answer_of(came[0]) if came else NOTHING


def answer_attributes(generation: Any, llm_output: Mapping[str, Any] | None = None) -> dict[str, Attribute]:
    """Return what an answer says of itself: tokens, why it ended, which tool calls it asks for.

    Args:
        generation: one candidate, with its message or text.
        llm_output: what the provider says of the whole call; a chat model's is in its message already.
    """
    message = getattr(generation, "message", None)
    told = {
        **(llm_output or {}),
        **mapping(generation, "generation_info"),
        **mapping(message, "response_metadata"),
    }
    usage = mapping(message, "usage_metadata") or _usage(told)
    ended = told.get("finish_reason") or told.get("stop_reason") or told.get("done_reason")
    said = {
        semconv.INPUT_TOKENS: _counted(usage, "input_tokens", "prompt_tokens"),
        semconv.OUTPUT_TOKENS: _counted(usage, "output_tokens", "completion_tokens"),
        semconv.RESPONSE_MODEL: told.get("model_name") or told.get("model"),
        semconv.RESPONSE_ID: getattr(message, "id", None),
        semconv.FINISH_REASONS: (str(ended),) if ended else None,
        semconv.TOOL_CALL_IDS: tool_call_ids(message) or None,
    }
    return {key: value for key, value in said.items() if value is not None}


def _usage(told: Mapping[str, Any]) -> Mapping[str, Any]:
    for name in ("token_usage", "usage"):
        if (count := told.get(name)) is not None and isinstance(count, Mapping):
            return count
    return {}


def tool_call_ids(message: Any) -> tuple[str, ...]:
    """Return the ids of the tool calls that a message asks for."""
    calls = getattr(message, "tool_calls", ())
    return tuple([call["id"] for call in calls if call.get("id")]) if calls else ()


def text_of_content(content: object) -> str:
    """Return a message's text: its content, or the text blocks of it."""
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else ()
    texts = (block.get("text") if isinstance(block, dict) else block for block in blocks)
    return "\n".join(text for text in texts if isinstance(text, str))


def mapping(message: Any, name: str) -> Mapping[str, Any]:
    """Return what a message keeps under a name, where that is a mapping; else an empty one."""
    value = getattr(message, name, None)
    if type(value) is dict or value is None:  # asked of every answer several times, and an ABC takes its time
        return value or {}
    return value if isinstance(value, Mapping) else {}


def _counted(told: Mapping[str, Any], *names: str) -> int | None:
    for name in names:
        if isinstance(count := told.get(name), int):
            return count
    return None
