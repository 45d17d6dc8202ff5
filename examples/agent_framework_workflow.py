"""A workflow of Microsoft Agent Framework whose answer is wrong, and the question why.

A researcher asks a tool, a writer reports what the researcher said. Run this file, then ask
`becausal blame last "20 million"`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

from agent_framework import (
    Agent,
    BaseChatClient,
    ChatResponse,
    Content,
    FunctionInvocationLayer,
    Message,
    WorkflowBuilder,
    tool,
)

import becausal

becausal.instrument("agent-framework")  # the one line


@tool(approval_mode="never_require")
def revenue_database(company: str, year: int) -> str:
    """Look up a company's revenue in a year."""
    return f"{company}: revenue {year} was 20 million USD (audited)"  # it should be 2 million


class ScriptedClient(FunctionInvocationLayer[Any], BaseChatClient[Any]):
    """Answers by rules from the messages alone: a stand-in for a real model, so that this runs anywhere."""

    def _inner_get_response(  # without streaming
        self, *, messages: Sequence[Message], stream: bool, options: Mapping[str, Any], **_: Any
    ) -> Awaitable[ChatResponse[Any]]:
        async def respond() -> ChatResponse[Any]:
            return ChatResponse(messages=[Message("assistant", [answer(messages, options)])])

        return respond()


def answer(messages: Sequence[Message], options: Mapping[str, Any]) -> Content | str:
    """Return what the model says: a call of the tool that it has, or the figure that it was told."""
    contents = [item for message in messages for item in message.contents]
    figures = re.findall(r"[\d,.]+ million USD", " ".join(str(item.result or item.text) for item in contents))
    if not figures:
        arguments = '{"company": "Acme", "year": 2025}'
        return Content.from_function_call(call_id="call-1", name="revenue_database", arguments=arguments)
    return (
        f"The database gives {figures[0]}." if options.get("tools") else f"Acme had revenue of {figures[0]}."
    )


async def main() -> None:
    client = ScriptedClient()
    researcher = Agent(client, name="researcher", tools=[revenue_database])
    writer = Agent(client, name="writer")
    builder = WorkflowBuilder(start_executor=researcher, output_from=[writer], name="report")
    result = await builder.add_edge(researcher, writer).build().run("What was the revenue of Acme in 2025?")
    print(result.get_outputs()[0].text)


if __name__ == "__main__":
    asyncio.run(main())
