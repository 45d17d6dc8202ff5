"""From what was recorded of an answer back to AutoGen's values. Called in replays alone.

Source: autogen-core 0.7.5, `models/_types.py`, `tools/_workbench.py`, `memory/_base_memory.py`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from becausal.context import current
from becausal.observation import NOTHING, Answer
from becausal_integrations.autogen.ledger import notes_of

__all__ = [
    "MOST_ITEMS",
    "model_items",
    "model_result",
    "put_into_context",
    "query_result",
    "tool_items",
    "tool_result",
    "update_result",
    "workbench_result",
    "written",
]

MOST_ITEMS = 1_000
"""Items of a tool's stream that are kept; of a longer one a replay gives the result alone."""


# Models


def model_result(answer: Answer) -> Any:
    """Return what `create` returns; an edit or a stand-in may give a text, or the calls of tools."""
    from autogen_core.models import CreateResult, RequestUsage

    said = answer.value()
    if isinstance(said, CreateResult):
        return said
    is_text = isinstance(said, str)
    return CreateResult(
        content=said if is_text or isinstance(said, list) else str(said),
        finish_reason="function_calls" if isinstance(said, list) else "stop",
        usage=RequestUsage(prompt_tokens=0, completion_tokens=0),
        cached=False,
    )


def model_items(answer: Answer) -> Iterator[Any]:
    """Yield what `create_stream` yields: the pieces in which the answer came, then the answer."""
    pieces = answer.kept("pieces")
    if pieces is not NOTHING:
        yield from pieces
    elif answer.step.status == "error":  # it broke off: what it had said is all there is
        said = answer.value()
        yield from said if isinstance(said, list) else ()
        return
    result = model_result(answer)
    if answer.is_other and isinstance(result.content, str):
        yield result.content
    yield result


# Tools


def tool_result(answer: Answer) -> Any:
    """Return what a tool returned, or a code executor."""
    value = answer.value()
    return None if value is NOTHING else value


def tool_items(answer: Answer) -> Iterator[Any]:
    """Yield what a tool's stream gave: its items, of which the last is the result."""
    count = 0
    while answer.kept(f"item.{count + 1}") is not NOTHING and count < MOST_ITEMS:
        yield answer.kept(f"item.{count}")
        count += 1
    yield tool_result(answer)


def workbench_result(answer: Answer) -> Any:
    """Return what a workbench hands out; of an edited answer of an MCP server's its texts."""
    from autogen_core.tools import TextResultContent, ToolResult

    value, told, notes = answer.value(), answer.produced(), notes_of(current())
    if notes is not None and not isinstance(told, ToolResult | str):
        notes.content = told  # what the server answered, for the step to tell
    if isinstance(value, ToolResult):
        return value
    parts = getattr(value, "content", value)
    texts = [getattr(part, "text", part) for part in parts] if isinstance(parts, list) else [parts]
    return ToolResult(
        name=answer.step.name,
        result=[TextResultContent(content=str(text)) for text in texts],
        is_error=bool(getattr(value, "isError", False)),
    )


# Memories


def query_result(answer: Answer) -> Any:
    """Return what `query` returns."""
    from autogen_core.memory import MemoryQueryResult

    return MemoryQueryResult(results=_contents(answer))


def update_result(answer: Answer) -> Any:
    """Return what `update_context` returns."""
    from autogen_core.memory import UpdateContextResult

    return UpdateContextResult(memories=query_result(answer))


def written(_: Answer) -> None:
    """Return what `add` and `clear` return: nothing is written in a replay, and what was read then is known."""


async def put_into_context(answer: Answer, memory: Any, model_context: Any) -> None:
    """Add to a model's context what the memory had added; where the answer is another, in the words of AutoGen's own.

    Source: `ListMemory.update_context`, whose words those of autogen-ext are.
    """
    from autogen_core.memory import ListMemory

    added = answer.kept("added")
    if added is not NOTHING:
        for message in added:
            await model_context.add_message(message)
    elif contents := _contents(answer):
        words = inspect.unwrap(ListMemory.update_context)
        await words(ListMemory(memory_contents=contents), model_context)


def _contents(answer: Answer) -> list[Any]:
    from autogen_core.memory import MemoryContent, MemoryMimeType

    found = answer.value()
    items = [] if found is NOTHING or found is None else found if isinstance(found, list) else [found]
    return [
        item
        if isinstance(item, MemoryContent)
        else MemoryContent(content=item, mime_type=MemoryMimeType.TEXT)
        for item in items
    ]
