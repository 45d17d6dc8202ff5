"""From what was recorded of a model's or a retriever's answer back to LangChain's values. Used in replays alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from langchain_core.documents import Document
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessageChunk
from langchain_core.messages.utils import message_chunk_to_message
from langchain_core.outputs import (
    ChatGeneration,
    ChatGenerationChunk,
    ChatResult,
    Generation,
    GenerationChunk,
    LLMResult,
)

from becausal.recorder import NOTHING
from becausal.replay import Recalled, Session, result_of

__all__ = ["chat_result", "documents", "pieces_of", "text_result"]


def chat_result(answer: Recalled) -> ChatResult:
    """Return what `_generate` of a chat model returns."""
    said = answer.value()
    if isinstance(said, dict) and "generations" in said:
        generations = [_whole(item) for item in said["generations"]]
        return ChatResult(generations=generations, llm_output=said.get("llm_output"))
    messages = said if isinstance(said, list) else [said]
    return ChatResult(generations=[ChatGeneration(message=_message(message)) for message in messages])


def text_result(answers: list[tuple[Session, Recalled]]) -> LLMResult:
    """Return what `_generate` of a text model returns to several prompts."""
    groups = [result_of(answer, _texts) for answer in answers]
    output = next((output for _, output in groups if output is not None), None)
    return LLMResult(generations=[texts for texts, _ in groups], llm_output=output)


def pieces_of(recalled: tuple[Session, Recalled]) -> Iterator[Any]:
    """Yield the pieces in which a model's answer came; in one piece where they are not known."""
    _, answer = recalled
    kept = answer.kept("pieces")
    if kept is NOTHING:
        if answer.error() is None:
            yield from result_of(recalled, _in_one_piece)
        return
    items = kept["items"]
    for number, item in enumerate(items, 1):
        if isinstance(item, bytes):
            piece = answer.rebuilt(item)
            if number < len(items) or not _is_frameworks(piece):
                yield piece
        elif kept["id"] is None and not _is_chat(answer):
            yield GenerationChunk(text=item)
        else:
            yield ChatGenerationChunk(message=AIMessageChunk(content=item, id=kept["id"]))


def documents(answer: Recalled) -> Any:
    """Return what a retriever finds."""
    found = answer.value()
    if not isinstance(found, list):
        return found
    return [Document(page_content=item) if isinstance(item, str) else item for item in found]


def _texts(answer: Recalled) -> tuple[list[Generation], Any]:
    said = answer.value()
    if isinstance(said, dict) and "generations" in said:
        return list(said["generations"]), said.get("llm_output")
    texts = said if isinstance(said, list) else [said]
    return [Generation(text=str(text)) for text in texts], None


def _in_one_piece(answer: Recalled) -> list[Any]:
    said = answer.value()
    if isinstance(said, dict) and "generations" in said:
        said = next(getattr(item, "message", None) or item.text for item in said["generations"])
    if isinstance(said, str) and not answer.is_other:
        return [GenerationChunk(text=said)]
    message = _message(said)
    if isinstance(message, BaseMessageChunk):
        return [ChatGenerationChunk(message=message)]
    fields = {name: value for name, value in vars(message).items() if name != "type"}
    return [ChatGenerationChunk(message=AIMessageChunk(**fields))]


def _whole(generation: Any) -> Any:
    message = getattr(generation, "message", None)
    if not isinstance(message, BaseMessageChunk):
        return generation
    return ChatGeneration(
        message=message_chunk_to_message(message), generation_info=generation.generation_info
    )


def _message(said: Any) -> Any:
    if isinstance(said, str):
        return AIMessage(content=said)
    return message_chunk_to_message(said) if isinstance(said, BaseMessageChunk) else said


def _is_frameworks(piece: Any) -> bool:
    """Return whether LangChain itself made a piece, the last: it makes it again (1.x, `BaseChatModel.stream`)."""
    message: Any = getattr(piece, "message", None)
    return bool(
        getattr(message, "chunk_position", None) == "last"
        and not message.content
        and str(message.id).startswith("lc_run-")
        and not (message.tool_call_chunks or message.usage_metadata or message.response_metadata)
    )


def _is_chat(answer: Recalled) -> bool:
    produced = answer.step.produced
    return produced is not None and produced.type_name != "str"
