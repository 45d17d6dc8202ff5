"""The app of `autogen-1.becausal`: two assistants take turns; the first has a tool."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core import FunctionCall
from autogen_core.models import (
    ChatCompletionClient,
    CreateResult,
    FunctionExecutionResultMessage,
    LLMMessage,
    ModelFamily,
    ModelInfo,
    RequestUsage,
)

Said = str | list[FunctionCall]


class Scripted(ChatCompletionClient):
    """A client that is a pure function of what it is told."""

    def __init__(self, answer: Callable[[Sequence[LLMMessage]], Said]) -> None:
        self.answer = answer

    async def create(self, messages: Sequence[LLMMessage], **_: Any) -> CreateResult:
        said = self.answer(messages)
        return CreateResult(
            content=said,
            finish_reason="stop" if isinstance(said, str) else "function_calls",
            usage=RequestUsage(prompt_tokens=len(messages), completion_tokens=1),
            cached=False,
        )

    async def create_stream(
        self, messages: Sequence[LLMMessage], **_: Any
    ) -> AsyncGenerator[str | CreateResult, None]:
        yield await self.create(messages)

    async def close(self) -> None:
        pass

    def actual_usage(self) -> RequestUsage:
        return RequestUsage(prompt_tokens=0, completion_tokens=0)

    def total_usage(self) -> RequestUsage:
        return RequestUsage(prompt_tokens=0, completion_tokens=0)

    def count_tokens(self, messages: Sequence[LLMMessage], **_: Any) -> int:
        return len(messages)

    def remaining_tokens(self, messages: Sequence[LLMMessage], **_: Any) -> int:
        return 1000

    @property
    def capabilities(self) -> Any:
        return self.model_info

    @property
    def model_info(self) -> ModelInfo:
        return ModelInfo(
            vision=False,
            function_calling=True,
            json_output=False,
            family=ModelFamily.UNKNOWN,
            structured_output=False,
            multiple_system_messages=True,
        )


async def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"In {city} it is 31 degrees, and clear."


def _ask(messages: Sequence[LLMMessage]) -> Said:
    if any(isinstance(message, FunctionExecutionResultMessage) for message in messages):
        return "It is 31 degrees in Lisbon."
    return [FunctionCall(id="call-1", name="weather", arguments='{"city": "Lisbon"}')]


def _pack(messages: Sequence[LLMMessage]) -> Said:
    return f"Pack light: {messages[-1].content}"


def build() -> RoundRobinGroupChat:
    scout = AssistantAgent(
        "scout", Scripted(_ask), tools=[weather], reflect_on_tool_use=True, system_message="You scout."
    )
    packer = AssistantAgent("packer", Scripted(_pack), system_message=None)
    # The task, the call, its result, the scout's answer, the packer's.
    return RoundRobinGroupChat([scout, packer], termination_condition=MaxMessageTermination(5))


ASKED = "What shall I pack for Lisbon?"
