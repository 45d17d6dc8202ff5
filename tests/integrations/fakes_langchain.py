"""Chat models that are pure functions of the messages they are given, and what graphs of the tests are made of.

A model that reads its answer from a script would not pass a fault on: a wrong figure in its input must come out again.
"""

from __future__ import annotations

import json
import operator
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Annotated, Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

Answer = Callable[[Sequence[BaseMessage]], AIMessage]


class PureModel(BaseChatModel):
    """Answers with what a function makes of the messages; generates and streams, sync and async."""

    answer: Answer
    model: str = "pure-1"

    @property
    def _llm_type(self) -> str:
        return "pure"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self.bind(tools=[getattr(tool, "name", str(tool)) for tool in tools])

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self.answer(messages))])

    async def _agenerate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        return self._generate(messages)


class StreamingModel(PureModel):
    """The same, word by word."""

    def _stream(self, messages: list[BaseMessage], *_: Any, **__: Any) -> Iterator[ChatGenerationChunk]:
        message = self.answer(messages)
        calls: list[Any] = [
            {"name": call["name"], "args": json.dumps(call["args"]), "id": call["id"], "index": index}
            for index, call in enumerate(message.tool_calls)
        ]
        words = str(message.content).split(" ")
        for index, word in enumerate(words):
            text = word if index == len(words) - 1 else word + " "
            chunk = AIMessageChunk(content=text, tool_call_chunks=calls if index == 0 else [], id="m-stream")
            if index == len(words) - 1:  # as providers do: what is to be said of the whole comes last
                chunk.usage_metadata = message.usage_metadata
                chunk.response_metadata = message.response_metadata
            yield ChatGenerationChunk(message=chunk)

    async def _astream(
        self, messages: list[BaseMessage], *_: Any, **__: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._stream(messages):
            yield chunk


class StructuredModel(PureModel):
    """The same, and it keeps what it is bound with beside the tools, as providers' models do."""

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self.bind(tools=[getattr(tool, "__name__", str(tool)) for tool in tools], **kwargs)


def tool_call(name: str, call_id: str = "call-1", **arguments: Any) -> dict[str, Any]:
    """Return a tool call as messages carry it."""
    return {"name": name, "args": arguments, "id": call_id, "type": "tool_call"}


def echo(messages: Sequence[BaseMessage]) -> AIMessage:
    """Answer with the last message's text."""
    return AIMessage(
        content=f"you said {messages[-1].content}",
        id=f"m-{len(messages)}",
        response_metadata={"finish_reason": "stop", "model_name": "pure-1-0001"},
        usage_metadata={"input_tokens": 7, "output_tokens": 3, "total_tokens": 10},
    )


def use_tool_once(tool: str, **arguments: Any) -> Answer:
    """Return a model's mind: call a tool, then report what the tool said."""

    def answer(messages: Sequence[BaseMessage]) -> AIMessage:
        last = messages[-1]
        if isinstance(last, ToolMessage):
            return AIMessage(content=f"the tool said {last.content}", id=f"m-{len(messages)}")
        calls = [tool_call(tool, f"call-{len(messages)}", **arguments)]
        return AIMessage(content="I have to look it up.", tool_calls=calls, id=f"m-{len(messages)}")

    return answer


class State(TypedDict):
    """A state with a channel of each common sort."""

    question: str
    findings: str
    draft: str
    log: Annotated[list[str], operator.add]


def chain_of(*nodes: Callable[..., Any], **compiled: Any) -> Any:
    """Return a compiled graph whose nodes follow one another."""
    graph = StateGraph(State)
    former = START
    for node in nodes:
        graph.add_node(node.__name__, node)
        graph.add_edge(former, node.__name__)
        former = node.__name__
    return graph.compile(**compiled)
