"""An AutoGen team whose answer is wrong, and the question why.

A researcher asks a tool, a writer reports what the researcher said. Run this file, then ask
`becausal blame last "20 million"`.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core import FunctionCall
from autogen_core.models import (
    ChatCompletionClient,
    CreateResult,
    FunctionExecutionResultMessage,
    LLMMessage,
    ModelCapabilities,
    ModelInfo,
    RequestUsage,
)

import becausal

becausal.instrument()  # the one line


def revenue_database(company: str, year: int) -> str:
    """Look up a company's revenue in a year."""
    return f"{company}: revenue {year} was 20 million USD (audited)"  # it should be 2 million


class ScriptedClient(ChatCompletionClient):
    """Answers by rules from the messages alone: a stand-in for a real model, so that this runs anywhere."""

    async def create(self, messages: Sequence[LLMMessage], **_: Any) -> CreateResult:
        said = answer(messages)
        return CreateResult(
            content=said,
            finish_reason="stop" if isinstance(said, str) else "function_calls",
            usage=self.total_usage(),
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
    def capabilities(self) -> ModelCapabilities:
        return self.model_info

    @property
    def model_info(self) -> ModelInfo:
        return ModelInfo(
            vision=False, function_calling=True, json_output=False, family="unknown", structured_output=False
        )


def answer(messages: Sequence[LLMMessage]) -> str | list[FunctionCall]:
    """Return what the model says to these messages."""
    role, last = str(messages[0].content), messages[-1]
    if role.startswith("You research") and not isinstance(last, FunctionExecutionResultMessage):
        arguments = json.dumps({"company": "Acme", "year": 2025})
        return [FunctionCall(id="call-1", name="revenue_database", arguments=arguments)]
    text = last.content[0].content if isinstance(last, FunctionExecutionResultMessage) else str(last.content)
    figure = re.findall(r"[\d,.]+ million USD", text)[0]
    return (
        f"The database gives {figure}."
        if role.startswith("You research")
        else f"Acme had revenue of {figure}."
    )


def research_team() -> RoundRobinGroupChat:
    client = ScriptedClient()
    researcher = AssistantAgent(
        "researcher",
        client,
        tools=[revenue_database],
        system_message="You research facts.",
        reflect_on_tool_use=True,
    )
    writer = AssistantAgent("writer", client, system_message="You write reports.")
    return RoundRobinGroupChat([researcher, writer], max_turns=2)


async def main() -> None:
    result = await research_team().run(task="What was the revenue of Acme in 2025?")
    print(result.messages[-1].to_text())


if __name__ == "__main__":
    asyncio.run(main())
