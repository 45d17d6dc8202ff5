"""What a replay needs of a model's answer beside the message: in which pieces it came, and what the provider added.

Pieces are kept as they are told, since their reader may change them: of most of them that is their text alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from becausal.canonical.ordered import in_order

__all__ = ["MAX_PIECES", "Pieces", "answer_parts"]

MAX_PIECES = 20_000
"""Pieces of a stream that are kept; a longer one is answered in one piece."""

_PLAIN = ("tool_call_chunks", "additional_kwargs", "response_metadata", "usage_metadata", "chunk_position")
"""What a piece may carry beside its text (langchain-core 1.7.2, `messages/ai.py`, `AIMessageChunk`)."""


class Pieces:
    """The pieces of one stream, in their order."""

    __slots__ = ("_count", "_id", "_items")

    def __init__(self) -> None:
        self._items: list[str | bytes] = []
        self._id: str | None = None
        self._count = 0

    def add(self, chunk: Any) -> None:
        """Note a piece: a `ChatGenerationChunk` or a `GenerationChunk`."""
        self._count += 1
        if self._count > MAX_PIECES:
            return
        message = getattr(chunk, "message", None)
        if self._count == 1:
            self._id = getattr(message, "id", None)
        if chunk.generation_info is None and self._is_plain(message):
            self._items.append(chunk.text if message is None else message.content)
            return
        written = in_order(chunk, always=True)
        if written is not None:
            self._items.append(written[1])
        else:
            self._count = MAX_PIECES + 1  # of a piece that cannot be kept the rest is of no use

    def value(self) -> Mapping[str, object] | None:
        """Return what is to be kept; None where the pieces are not known, or there are none."""
        if not self._items or self._count > MAX_PIECES:
            return None
        return {"id": self._id, "items": self._items}

    def _is_plain(self, message: Any) -> bool:
        if message is None:
            return True
        fields = message.__dict__
        return (
            type(fields.get("content")) is str
            and fields.get("id") == self._id
            and type(message).__name__ == "AIMessageChunk"
            and not any(map(fields.get, _PLAIN))
        )


def answer_parts(response: Any) -> Mapping[str, object]:
    """Return what an `LLMResult` holds: the candidates of the first prompt, and what is said of the whole call."""
    generations = getattr(response, "generations", None) or [[]]
    return {"generations": list(generations[0]), "llm_output": getattr(response, "llm_output", None)}
