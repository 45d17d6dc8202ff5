"""What a model's answer decides: its conclusion, the reasoning that is stated, and how sure it says it is.

Pure, and without importing LangChain. Nothing is made up: a figure that the provider or the answer does not state is
no confidence.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeGuard

from becausal.redaction import beginning
from becausal.step import Choice
from becausal_integrations.langchain.describe import mapping, text_of_content

__all__ = ["choice_of"]

REASON = 500
"""Characters of a stated reason; the whole stands in the payload."""

REASONING = ("reasoning", "thinking", "reasoning_content")
"""The types of the content blocks in which providers return a model's reasoning, and its names beside the content."""

TRANSFER = "transfer_to_"
"""How langgraph-supervisor and langgraph-swarm name the tools that hand over to another agent."""

CONFIDENCE = ("confidence",)
"""The field of an answer in JSON that states how sure it is; `score` says it only where the app asked for structure."""

THOUGHT = r"(?s)<think>(.*?)</think>\s*"


def choice_of(
    answer: Any,
    premises: tuple[str, ...],
    *,
    information: Mapping[str, Any] | None = None,
    is_structured: bool = False,
) -> Choice:
    """Return the decision that an answer is: to call tools, to hand over, or to answer.

    Args:
        answer: the model's message, or its text.
        premises: the heads of what was new to the model.
        information: what the provider says beside the answer (`generation_info`).
        is_structured: whether the app asked for structured output, which may come as the arguments of a tool call.
    """
    whole = answer if isinstance(answer, str) else text_of_content(getattr(answer, "content", ""))
    text = re.sub(THOUGHT, "", whole) if "<think>" in whole else whole
    calls = getattr(answer, "tool_calls", ())
    score, method = _confidence(answer, text, information or {}, is_structured)
    return Choice(
        _conclusion(calls, getattr(answer, "invalid_tool_calls", ()), text),
        premises,
        (beginning(text, REASON) if calls and text else None) or _reasoning(answer, whole),
        score,
        method,
    )


# The conclusion


def _conclusion(
    calls: Sequence[Mapping[str, Any]], unreadable: Sequence[Mapping[str, Any]], text: str
) -> str:
    target = _transfer_target(calls)
    if target is not None:
        return f"hand over to {target}"
    if calls:
        return "call " + ", ".join(map(_shown_call, calls))
    if unreadable:
        return "call " + ", ".join(f"{call.get('name')}(unreadable arguments)" for call in unreadable)
    return f"answer: {beginning(text)}"


def _transfer_target(calls: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the agents that are handed over to, where the calls are handoffs and nothing else."""
    agents: list[str] = []
    for call in calls:
        name = str(call.get("name"))
        if not name.startswith(TRANSFER) or name == TRANSFER:
            return None
        agents.append(name.removeprefix(TRANSFER))
    return ", ".join(agents) if agents else None


def _shown_call(call: Mapping[str, Any]) -> str:
    arguments = call.get("args")
    pairs = arguments.items() if isinstance(arguments, Mapping) else ()
    return f"{call.get('name')}({', '.join(f'{key}={_shown(value)}' for key, value in pairs)})"


def _shown(value: object) -> str:
    """Return an argument as Python writes it, without running code of the app's classes."""
    match value:
        case str():
            return repr(beginning(value, 80))
        case None | bool() | int() | float():
            return repr(value)
        case list() | tuple():
            return f"[{', '.join(map(_shown, value[:8]))}{', …' if len(value) > 8 else ''}]"
        case dict():
            return "{" + ", ".join(f"{key!s}: {_shown(item)}" for key, item in list(value.items())[:8]) + "}"
        case _:
            return f"<{type(value).__name__}>"


# The reasoning


def _reasoning(answer: Any, text: str) -> str | None:
    content = getattr(answer, "content", None)
    beside = mapping(answer, "additional_kwargs")
    if not isinstance(content, list) and not beside and "<think>" not in text:
        return None  # most answers give no reasons
    blocks: Iterable[Any] = content if isinstance(content, list) else ()
    told = [thought for block in blocks if (thought := _thought(block))]
    told += [beside[key] for key in REASONING if isinstance(beside.get(key), str)]
    told += [thought.strip() for thought in re.findall(THOUGHT, text)]
    return next((beginning(thought, REASON) for thought in told if thought), None)


def _thought(block: Any) -> str | None:
    """Return the reasoning in a content block: as text, or as the summary that OpenAI's Responses API gives."""
    if not isinstance(block, dict) or block.get("type") not in REASONING:
        return None
    text = next((block[key] for key in REASONING if isinstance(block.get(key), str)), None)
    parts = block.get("summary")
    if text is None and isinstance(parts, list):
        texts = (part.get("text") for part in parts if isinstance(part, dict))
        text = "\n".join(part for part in texts if isinstance(part, str))
    return text or None


# The confidence


def _confidence(
    answer: Any, text: str, information: Mapping[str, Any], is_structured: bool
) -> tuple[float | None, str | None]:
    stated = _stated(answer, text, is_structured)
    if stated is not None:
        return stated, "stated"
    probability = _probability(answer, {**information, **mapping(answer, "response_metadata")})
    return probability, None if probability is None else "logprobs"


def _stated(answer: Any, text: str, is_structured: bool) -> float | None:
    """Return the figure that a structured answer gives for itself; that of an ordinary tool call is an argument."""
    answers: list[Any] = []
    if is_structured:
        answers = [call.get("args") for call in getattr(answer, "tool_calls", ())]
    if not answers and text.startswith("{") and text.rstrip().endswith("}") and len(text) <= 100_000:
        try:
            answers.append(json.loads(text))
        except ValueError:
            return None
    if not answers:
        return None
    names = (*CONFIDENCE, "score") if is_structured else CONFIDENCE
    figures = (fields.get(name) for fields in answers if isinstance(fields, dict) for name in names)
    return next((float(figure) for figure in figures if _is_number(figure) and 0 <= figure <= 1), None)


def _probability(answer: Any, told: Mapping[str, Any]) -> float | None:
    """Return the mean probability of the answer's tokens (their geometric mean), where the provider gives it."""
    average, content = told.get("avg_logprobs"), getattr(answer, "content", None)  # the average: Google's
    if average is None and not told.get("logprobs") and not isinstance(content, list):
        return None
    values: list[float] = [average] if _is_number(average) else list(_logprobs(told.get("logprobs")))
    if not values and isinstance(content, list):  # OpenAI's Responses API: in the blocks
        for block in content:
            values.extend(_logprobs(block.get("logprobs") if isinstance(block, dict) else None))
    return min(1.0, math.exp(sum(values) / len(values))) if values else None


def _logprobs(told: Any) -> Iterator[float]:
    """Yield the tokens' log-probabilities, in each of the shapes that providers give them.

    `{"content": [{"logprob": …}]}` (OpenAI, Fireworks), `[{"logprob": …}]` (Ollama, Responses API),
    `{"token_logprobs": […]}` (completion models, Together).
    """
    if isinstance(told, Mapping):
        told = told.get("content") or told.get("token_logprobs")
    for token in told if isinstance(told, list) else ():
        value = token.get("logprob") if isinstance(token, Mapping) else token
        if _is_number(value):
            yield value


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
