"""From LangChain's values to ours: names, attributes and decisions. Pure, and without importing LangChain."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from becausal import semconv
from becausal.recorder import NOTHING
from becausal.step import Attribute, Choice, Status

__all__ = [
    "answer",
    "answer_attributes",
    "choice_of",
    "head",
    "model_name",
    "outcome",
    "premises_of",
    "request_attributes",
    "text_of_content",
    "tool_call_ids",
]

HEAD = 200
"""Characters of a premise or a conclusion; the whole stands in the payload."""

TOOL_CALL_IDS = "becausal.tool_call.ids"

REASONING = ("reasoning", "thinking", "reasoning_content")
"""The types of the content blocks in which providers return a model's reasoning."""


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
    named = next((name for name in candidates if isinstance(name, str) and name), None)
    return named or str(
        serialized.get("name") or ([*serialized.get("id", ()), "model"][:-1] or ["model"])[-1]
    )


def request_attributes(name: str, metadata: Mapping[str, Any]) -> dict[str, Attribute]:
    """Return what a model step says before the answer is there."""
    attributes: dict[str, Attribute] = {semconv.REQUEST_MODEL: name}
    if isinstance(provider := metadata.get("ls_provider"), str):
        attributes[semconv.PROVIDER_NAME] = provider
    return attributes


def premises_of(messages: object) -> tuple[str, ...]:
    """Return the heads of what was new to the model: the messages since its last answer, or the prompt."""
    if isinstance(messages, str):
        return (head(messages),)
    new: list[str] = []
    for message in reversed(messages if isinstance(messages, Sequence) else ()):
        if getattr(message, "type", None) == "ai":
            break
        new.append(head(text_of_content(getattr(message, "content", ""))))
    return tuple(text for text in reversed(new) if text)


def answer(response: Any) -> Any:
    """Return what a model answered: its message, its text, or the list of them; `NOTHING` for none."""
    generations = [item for group in getattr(response, "generations", ())[:1] for item in group]
    answers = [getattr(generation, "message", None) or generation.text for generation in generations]
    return NOTHING if not answers else answers[0] if len(answers) == 1 else answers


def answer_attributes(message: Any) -> dict[str, Attribute]:
    """Return what an answer says of itself: tokens, why it ended, which tool calls it asks for."""
    told = _mapping(message, "response_metadata")
    usage = _mapping(message, "usage_metadata")
    ended = told.get("finish_reason") or told.get("stop_reason") or told.get("done_reason")
    said = {
        semconv.INPUT_TOKENS: usage.get("input_tokens"),
        semconv.OUTPUT_TOKENS: usage.get("output_tokens"),
        semconv.RESPONSE_MODEL: told.get("model_name") or told.get("model"),
        semconv.RESPONSE_ID: getattr(message, "id", None),
        semconv.FINISH_REASONS: (str(ended),) if ended else None,
        TOOL_CALL_IDS: tool_call_ids(message) or None,
    }
    return {key: value for key, value in said.items() if value is not None}


def tool_call_ids(message: Any) -> tuple[str, ...]:
    """Return the ids of the tool calls that a message asks for."""
    return tuple(call["id"] for call in getattr(message, "tool_calls", ()) if call.get("id"))


def choice_of(message: Any, premises: tuple[str, ...]) -> Choice:
    """Return the decision that an answer is: to call tools, or to answer."""
    text = message if isinstance(message, str) else text_of_content(getattr(message, "content", ""))
    calls = getattr(message, "tool_calls", ())
    score = _probability(message)
    return Choice(
        "call " + ", ".join(map(_shown_call, calls)) if calls else f"answer: {head(text)}",
        premises,
        (head(text) if calls and text else None) or _reasoning(message),
        score,
        None if score is None else "logprobs",
    )


def text_of_content(content: object) -> str:
    """Return a message's text: its content, or the text blocks of it."""
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else ()
    texts = (block.get("text") if isinstance(block, dict) else block for block in blocks)
    return "\n".join(text for text in texts if isinstance(text, str))


def head(text: str, most: int = HEAD) -> str:
    """Return the beginning of a text; a cut is marked."""
    return text if len(text) <= most else text[: most - 1] + "…"


def _mapping(message: Any, name: str) -> Mapping[str, Any]:
    value = getattr(message, name, None)
    return value if isinstance(value, Mapping) else {}


def _reasoning(message: Any) -> str | None:
    content = getattr(message, "content", None)
    blocks: Iterable[Any] = content if isinstance(content, list) else ()
    for block in blocks:
        if isinstance(block, dict) and block.get("type") in REASONING:
            text = next((block[key] for key in REASONING if isinstance(block.get(key), str)), None)
            if text:
                return head(text)
    beside = _mapping(message, "additional_kwargs").get("reasoning_content")
    return head(beside) if isinstance(beside, str) and beside else None


def _probability(message: Any) -> float | None:
    """Return the mean probability of the answer's tokens (their geometric mean), where the provider gives it."""
    logprobs = _mapping(message, "response_metadata").get("logprobs")
    tokens = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    values = [token["logprob"] for token in tokens or () if isinstance(token.get("logprob"), int | float)]
    return min(1.0, math.exp(sum(values) / len(values))) if values else None


def _shown_call(call: Mapping[str, Any]) -> str:
    arguments = call.get("args")
    pairs = arguments.items() if isinstance(arguments, Mapping) else ()
    return f"{call.get('name')}({', '.join(f'{key}={_shown(value)}' for key, value in pairs)})"


def _shown(value: object) -> str:
    """Return an argument as Python writes it, without running code of the app's classes."""
    match value:
        case str():
            return repr(head(value, 80))
        case None | bool() | int() | float():
            return repr(value)
        case list() | tuple():
            return f"[{', '.join(map(_shown, value[:8]))}{', …' if len(value) > 8 else ''}]"
        case dict():
            return "{" + ", ".join(f"{key!s}: {_shown(item)}" for key, item in list(value.items())[:8]) + "}"
        case _:
            return f"<{type(value).__name__}>"
