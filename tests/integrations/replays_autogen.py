"""What tests of replays of AutoGen share: the outside made unusable, chance taken out, and more teams."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from autogen_agentchat.agents import BaseChatAgent, CodeExecutorAgent, UserProxyAgent
from autogen_agentchat.base import Response
from autogen_agentchat.messages import TextMessage
from autogen_agentchat.teams import RoundRobinGroupChat, SelectorGroupChat
from autogen_core.code_executor import CodeBlock, CodeExecutor, CodeResult
from autogen_core.memory import ListMemory, Memory, MemoryContent, MemoryQueryResult, UpdateContextResult
from autogen_core.models import SystemMessage
from autogen_core.tools import FunctionTool, TextResultContent, ToolResult, Workbench
from tests.integrations.fakes_autogen import PureClient, adds, calls, speaker, text_of

from becausal.context import current

__all__ = ["MORE_TEAMS", "OutsideError", "outside", "without_chance", "without_the_outside"]

outside: list[str] = []
"""What was really asked: of tools, servers, executors, memories, people."""


class OutsideError(BaseException):
    """A model or a tool was really asked."""


def refuse(*_: Any, **__: Any) -> Any:
    raise OutsideError


@contextmanager
def without_the_outside() -> Iterator[None]:
    """Make every model that is made meanwhile and every tool's function unusable; nothing else may be asked."""

    def init(client: PureClient, answer: object, thought: str | None = None) -> None:
        client.answer, client.thought = refuse, thought

    with ExitStack() as stack:
        stack.enter_context(patch.object(PureClient, "__init__", init))
        stack.enter_context(patch.object(FunctionTool, "run", refuse))
        before = len(outside)
        yield
        assert outside[before:] == []


@contextmanager
def without_chance() -> Iterator[None]:
    """Have the ids and times of messages, which AutoGen leaves to chance, be the same each time: counted by agent."""
    numbers: Counter[str] = Counter()
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)

    def count() -> tuple[str, int]:
        here = current()
        agent = here.agent or "" if here is not None else ""
        numbers[agent] += 1
        return agent, numbers[agent]

    class Clock:
        @staticmethod
        def now(_: object) -> datetime.datetime:
            return start + datetime.timedelta(seconds=count()[1])

    ids = SimpleNamespace(uuid4=lambda: "{}-{}".format(*count()))
    with (
        patch("autogen_agentchat.messages.uuid", ids),
        patch("autogen_agentchat.messages.datetime", Clock),
        patch("autogen_agentchat.agents._user_proxy_agent.uuid", ids),
        patch("autogen_agentchat.agents._assistant_agent.uuid", ids),
    ):
        yield


# Teams


def lookup(q: str) -> dict[str, Any]:
    """Look a thing up."""
    outside.append(f"lookup {q}")
    return {"z": q, "a": 42}


class Bench(Workbench):
    """A workbench whose tools are elsewhere."""

    async def list_tools(self) -> Any:
        return [
            {"name": "far", "description": "Far away.", "parameters": {"type": "object", "properties": {}}}
        ]

    async def call_tool(self, name: str, *_: Any, **__: Any) -> ToolResult:
        outside.append(name)
        return ToolResult(name=name, result=[TextResultContent(content="from afar")])

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def reset(self) -> None: ...

    async def save_state(self) -> Any:
        return {}

    async def load_state(self, state: Any) -> None: ...


class Database(Memory):
    """A memory whose contents are elsewhere; says them in words of its own."""

    async def query(self, query: Any = "", *_: Any, **__: Any) -> MemoryQueryResult:
        outside.append("query")
        return MemoryQueryResult(
            results=[MemoryContent(content="x is 41", mime_type="text/plain", metadata={"key": "x"})]
        )

    async def update_context(self, model_context: Any) -> UpdateContextResult:
        found = await self.query()
        await model_context.add_message(
            SystemMessage(content="It is known: " + str(found.results[0].content))
        )
        return UpdateContextResult(memories=found)

    async def add(self, content: Any, *_: Any) -> None:
        outside.append("add")

    async def clear(self) -> None: ...
    async def close(self) -> None: ...


class Executor(CodeExecutor):
    """Runs code by telling of it."""

    async def execute_code_blocks(self, code_blocks: list[CodeBlock], *_: Any, **__: Any) -> CodeResult:
        outside.append(code_blocks[0].code)
        return CodeResult(exit_code=0, output="3")

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def restart(self) -> None: ...


def person(prompt: str) -> str:
    outside.append(prompt)
    return f"I say {len(outside) > 0}"


def with_a_workbench() -> RoundRobinGroupChat:
    return RoundRobinGroupChat([speaker("a", calls("far", adds("a")), workbench=Bench())], max_turns=1)


def with_a_memory() -> RoundRobinGroupChat:
    a = speaker("a", lambda messages: " | ".join(map(text_of, messages)), memory=[Database()])
    return RoundRobinGroupChat([a, speaker("b")], max_turns=3)


class Remembering(BaseChatAgent):
    """An agent that writes down what it hears."""

    def __init__(self) -> None:
        super().__init__("remembering", "Remembers.")
        self.memory = Database()

    @property
    def produced_message_types(self) -> Any:
        return (TextMessage,)

    async def on_messages(self, messages: Any, _: Any) -> Response:
        await self.memory.add(MemoryContent(content=messages[-1].content, mime_type="text/plain"))
        found = await self.memory.query("what?")
        return Response(chat_message=TextMessage(content=str(found.results[0].content), source=self.name))

    async def on_reset(self, _: Any) -> None: ...


def with_an_agent_that_remembers() -> RoundRobinGroupChat:
    return RoundRobinGroupChat([Remembering(), speaker("b")], max_turns=2)


def with_a_list_that_is_empty_by_now() -> RoundRobinGroupChat:
    contents = [] if NOW_EMPTY else [MemoryContent(content="y is 7", mime_type="text/plain")]
    memory = ListMemory("list", contents)
    return RoundRobinGroupChat(
        [speaker("a", lambda messages: str(messages[-1].content), memory=[memory])], max_turns=1
    )


NOW_EMPTY: list[bool] = []


def with_code() -> RoundRobinGroupChat:
    coder = speaker("coder", lambda _: "```python\nprint(1 + 2)\n```")
    return RoundRobinGroupChat([coder, CodeExecutorAgent("runs", Executor())], max_turns=2)


def with_a_person() -> RoundRobinGroupChat:
    return RoundRobinGroupChat(
        [speaker("a"), UserProxyAgent("user", input_func=person), speaker("b")], max_turns=3
    )


def with_a_tool_that_returns_a_dict() -> RoundRobinGroupChat:
    a = speaker("a", calls("lookup", adds("a"), q="x"), tools=[lookup], reflect_on_tool_use=True)
    return RoundRobinGroupChat([a], max_turns=1)


def streaming_with_tools() -> SelectorGroupChat:
    a = speaker(
        "a",
        calls("lookup", lambda _: "it is so"),
        tools=[lookup],
        reflect_on_tool_use=True,
        model_client_stream=True,
    )
    b = speaker("b", lambda _: "word after word", model_client_stream=True)
    return SelectorGroupChat(
        [a, b],
        PureClient(lambda _: "b"),
        max_turns=2,
        model_client_streaming=True,
        allow_repeated_speaker=True,
    )


MORE_TEAMS: list[Callable[[], Any]] = [
    with_a_workbench,
    with_a_memory,
    with_an_agent_that_remembers,
    with_a_list_that_is_empty_by_now,
    with_code,
    with_a_person,
    with_a_tool_that_returns_a_dict,
    streaming_with_tools,
]
