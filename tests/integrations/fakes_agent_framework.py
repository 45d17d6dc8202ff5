"""A chat client that is a pure function of the messages it is given, and the agents that the tests run.

A client that reads its answers from a script would not pass on a fault: a wrong figure in its input has to come out
again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

from agent_framework import (
    Agent,
    BaseChatClient,
    ChatMiddlewareLayer,
    ChatResponse,
    ChatResponseUpdate,
    Content,
    FunctionInvocationLayer,
    Message,
    ResponseStream,
)
from agent_framework.observability import ChatTelemetryLayer

Said = str | list[Content]
Answer = Callable[[Sequence[Message]], Said]


class PureClient(FunctionInvocationLayer, ChatMiddlewareLayer, ChatTelemetryLayer, BaseChatClient):
    """Answers with what a function makes of the messages."""

    OTEL_PROVIDER_NAME = "pure"

    def __init__(self, answer: Answer, model: str = "pure-1") -> None:
        super().__init__()
        self.answer, self.model = answer, model

    def _inner_get_response(
        self, *, messages: Sequence[Message], stream: bool, options: Mapping[str, Any], **_: Any
    ) -> Awaitable[ChatResponse] | ResponseStream[ChatResponseUpdate, ChatResponse]:
        if stream:
            return self._build_response_stream(self._pieces(messages))
        return self._whole(messages)

    async def _whole(self, messages: Sequence[Message]) -> ChatResponse:
        contents = self._contents(messages)
        return ChatResponse(
            messages=[Message("assistant", contents)],
            response_id="answer",
            model=self.model,
            finish_reason="tool_calls" if contents[0].type == "function_call" else "stop",
            usage_details={"input_token_count": len(messages), "output_token_count": 1},
        )

    async def _pieces(self, messages: Sequence[Message]) -> AsyncIterator[ChatResponseUpdate]:
        for content in self._contents(messages):
            pieces = [content]
            if content.type == "text":
                words = (content.text or "").split(" ")
                pieces = [Content.from_text(word if n == 0 else f" {word}") for n, word in enumerate(words)]
            for piece in pieces:
                yield ChatResponseUpdate(
                    contents=[piece], role="assistant", message_id="m", response_id="answer", model=self.model
                )
        usage = Content.from_usage({"input_token_count": len(messages), "output_token_count": 1})
        yield ChatResponseUpdate(contents=[usage], role="assistant", message_id="m", finish_reason="stop")

    def _contents(self, messages: Sequence[Message]) -> list[Content]:
        said = self.answer(messages)
        return [Content.from_text(said)] if isinstance(said, str) else said


def results(messages: Sequence[Message]) -> list[str]:
    """Return the results of tool calls that a model is told."""
    contents = [item for message in messages for item in message.contents]
    return [str(item.result) for item in contents if item.type == "function_result"]


def adds(name: str) -> Answer:
    """Return a model that puts its name to the last thing said."""
    return lambda messages: f"{name}({messages[-1].text})"


def hears_all(name: str) -> Answer:
    """Return a model that puts its name to everything it was told."""
    return lambda messages: f"{name}[{' + '.join(message.text for message in messages)}]"


def call(tool: str, arguments: str = "{}", call_id: str = "") -> Content:
    """Return a call of a tool as a model asks for it."""
    return Content.from_function_call(call_id=call_id or f"call-{tool}", name=tool, arguments=arguments)


def calls(*asked: Content, then: Answer | None = None) -> Answer:
    """Return a model that calls tools once, and then answers with what they said."""

    def answer(messages: Sequence[Message]) -> Said:
        found = results(messages)
        if not found:
            return list(asked)
        return then(messages) if then is not None else f"I found {' and '.join(found)}"

    return answer


def speaker(name: str, answer: Answer | None = None, **options: Any) -> Agent[Any]:
    """Return an agent whose model is a pure function."""
    return Agent(PureClient(answer or adds(name)), name=name, description=f"The agent {name}.", **options)
