"""AutoGen: a tool's result through its four stages, the calls that reach no tool, workbenches and MCP servers."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
import threading
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any

import pytest
from autogen_agentchat.tools import AgentTool
from autogen_core import CancellationToken, FunctionCall
from autogen_core.tools import (
    BaseStreamTool,
    FunctionTool,
    StaticWorkbench,
    TextResultContent,
    ToolResult,
    Workbench,
)
from pydantic import BaseModel
from tests.conftest import Recording
from tests.integrations.fakes_autogen import adds, calls, hears_all, speaker
from tests.integrations.kinds import Kinds

import becausal
from becausal import semconv
from becausal.context import current

HAS_MCP = importlib.util.find_spec("mcp") is not None


class Order(BaseModel):
    """An order."""

    id: int
    lines: list[str]


def as_dict(q: str) -> dict[str, int]:
    """Answer with a dict."""
    return {q: 42}


def as_model(q: str) -> Order:
    """Answer with a model."""
    return Order(id=7, lines=[q])


def as_text(q: str) -> str:
    """Answer with text."""
    return f"{q} is 42"


def as_number(q: str) -> int:
    """Answer with a number."""
    return 42


def breaks(q: str) -> str:
    """Break."""
    raise KeyError("db password")


def caller(tool: Any, name: str | None = None, **options: Any) -> Any:
    name = name or tool.__name__
    return speaker("a", calls(name, hears_all("a"), q="x"), tools=[tool], **options)


# The four stages


@pytest.mark.parametrize(
    ("tool", "raw", "conversion", "shown"),
    [
        (as_text, "x is 42", None, "x is 42"),
        (as_number, 42, None, "42"),
        (as_dict, {"x": 42}, "dict to text", "{'x': 42}"),
        (as_model, {"id": 7, "lines": ["x"]}, "Order to json", '{"id": 7, "lines": ["x"]}'),
    ],
    ids=["text", "number", "dict", "model"],
)
async def test_the_raw_value_of_a_tool_is_kept_and_what_became_of_it_is_said(
    recording: Recording, tool: Any, raw: object, conversion: str | None, shown: str
) -> None:
    result = await caller(tool, reflect_on_tool_use=True).run(task="go")

    run = Kinds(recording.last())
    step = run.one("tool")
    assert step.produced is not None
    assert step.produced.value() == raw
    assert step.attributes.get(semconv.TOOL_CONVERTED) == conversion
    second = run.all("model")[1]
    assert second.received is not None
    assert second.received.value()[-1]["content"][0]["content"] == shown  # type: ignore[index]
    assert step in run.causes(second, "data")
    assert shown in result.messages[-1].to_text()


async def test_the_summary_of_a_tools_result_is_what_the_turn_produced(recording: Recording) -> None:
    agent = caller(as_dict, tool_call_summary_format="It said: {result}")

    await agent.run(task="go")

    run = Kinds(recording.last())
    produced = run.one("agent").produced
    assert produced is not None
    answer: Any = produced.value()
    assert answer["content"] == "It said: {'x': 42}"
    assert answer["results"][0]["content"] == "{'x': 42}"
    assert run.one("tool").produced.value() == {"x": 42}  # type: ignore[union-attr]


async def test_a_tool_that_fails_keeps_its_exception_though_the_model_is_told_a_text(
    recording: Recording,
) -> None:
    await caller(breaks, reflect_on_tool_use=True).run(task="go")

    run = Kinds(recording.last())
    step, second = run.one("tool"), run.all("model")[1]
    assert (step.status, step.error) == ("error", "KeyError: db password")
    assert step in run.causes(second, "data")
    told: Any = second.received.value()[-1]["content"][0]  # type: ignore[union-attr, index]
    assert (told["content"], told["is_error"]) == ("'db password'", True)


# Calls that reach no tool


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (FunctionCall(id="1", name="nosuch", arguments="{}"), "not found"),
        (FunctionCall(id="1", name="as_text", arguments="{not json"), "Error: "),
    ],
    ids=["unknown tool", "no json"],
)
async def test_a_call_that_reaches_no_tool_is_a_failed_tool_call_and_what_the_model_was_told(
    recording: Recording, call: FunctionCall, error: str
) -> None:
    ask = calls("as_text", hears_all("a"), q="x")
    agent = speaker(
        "a",
        lambda messages: ask(messages) if isinstance(ask(messages), str) else [call],
        tools=[as_text],
        reflect_on_tool_use=True,
    )

    await agent.run(task="go")

    run = Kinds(recording.last())
    first, second = run.all("model")
    step = run.one("tool", call.name)
    assert (step.status, step.parent_id, step.agent) == ("error", run.one("agent").id, "a")
    assert step.attributes[semconv.TOOL_IS_ERROR] is True
    assert step.received is not None
    assert step.received.value() == call.arguments
    assert error in step.produced.text()  # type: ignore[union-attr]
    assert run.causes(step, "data") == [first]
    assert step in run.causes(second, "data")


async def test_arguments_that_do_not_fit_are_a_failed_call_of_the_tool(recording: Recording) -> None:
    agent = speaker("a", calls("as_text", hears_all("a"), wrong=1), tools=[as_text], reflect_on_tool_use=True)

    await agent.run(task="go")

    step = Kinds(recording.last()).one("tool")
    assert step.status == "error"
    assert step.received is not None
    assert step.received.value() == {"wrong": 1}
    assert (step.error or "").startswith("ValidationError")


# Ways to call


async def test_tools_that_are_called_at_once_are_steps_side_by_side(recording: Recording) -> None:
    both = calls("as_text", hears_all("a"), q="x")
    other = calls("as_dict", hears_all("a"), q="y")

    def ask(messages: Any) -> Any:
        first, second = both(messages), other(messages)
        return first if isinstance(first, str) else [*first, *second]

    await speaker("a", ask, tools=[as_text, as_dict], reflect_on_tool_use=True).run(task="go")

    run = Kinds(recording.last())
    first, second = run.all("model")
    for name in ("as_text", "as_dict"):
        assert run.one("tool", name).parent_id == run.one("agent").id
        assert run.causes(run.one("tool", name), "data") == [first]
    assert {step.name for step in run.causes(second, "data") if step.kind == "tool"} == {"as_text", "as_dict"}


async def test_each_iteration_of_a_tool_loop_is_caused_by_the_one_before(recording: Recording) -> None:
    def ask(messages: Any) -> Any:
        done = sum(type(message).__name__ == "FunctionExecutionResultMessage" for message in messages)
        call = FunctionCall(id="same", name="as_text", arguments=json.dumps({"q": f"n{done}"}))
        return [call] if done < 3 else "done"

    await speaker("a", ask, tools=[as_text], max_tool_iterations=5).run(task="go")

    run = Kinds(recording.last())
    models, tools = run.all("model"), run.all("tool")
    assert [run.causes(tool, "data") for tool in tools] == [[model] for model in models[:3]]
    assert [[step for step in run.causes(model, "data") if step.kind == "tool"] for model in models[1:]] == [
        [tool] for tool in tools
    ]


async def test_a_synchronous_tool_runs_in_its_steps_context_on_a_thread_of_its_own(
    recording: Recording,
) -> None:
    seen: list[Any] = []

    def here(q: str) -> str:
        """Say where it runs."""
        seen.append((current(), threading.current_thread()))
        return q

    await caller(here).run(task="go")

    step, thread = seen[0]
    assert step.id == Kinds(recording.last()).one("tool").id
    assert thread is not threading.main_thread()


class Args(BaseModel):
    """What a stream is asked."""

    q: str


class Counting(BaseStreamTool[Args, Args, Args]):
    """Counts up, and ends with a result."""

    def __init__(self) -> None:
        super().__init__(Args, Args, "counting", "Counts.")

    async def run(self, args: Args, cancellation_token: CancellationToken) -> Args:
        return Args(q=f"{args.q}3")

    async def run_stream(
        self, args: Args, cancellation_token: CancellationToken
    ) -> AsyncGenerator[Args, None]:
        for number in range(4):
            yield Args(q=f"{args.q}{number}")


@pytest.mark.filterwarnings("ignore:Unexpected event type")
async def test_the_last_item_of_a_streaming_tool_is_its_result(recording: Recording) -> None:
    await caller(Counting(), "counting", reflect_on_tool_use=True).run(task="go")

    step = Kinds(recording.last()).one("tool")
    assert step.produced is not None
    assert step.produced.value() == {"q": "x3"}
    assert step.status == "ok"


async def test_what_an_agent_used_as_a_tool_leaves_out_of_its_answer_is_in_the_raw_result(
    recording: Recording,
) -> None:
    tool = AgentTool(speaker("writer"))
    main = speaker("main", calls("writer", adds("main"), task="T1"), tools=[tool], reflect_on_tool_use=True)

    await main.run(task="go")

    run = Kinds(recording.last())
    step = run.one("tool", "writer")
    raw: Any = step.produced.value()  # type: ignore[union-attr]
    assert [message["source"] for message in raw["messages"]] == ["user", "writer"]
    assert step.attributes[semconv.TOOL_CONVERTED] == "TaskResult to text"
    last = next(step for step in reversed(run.all("model")) if step.agent == "main")
    assert last.received.value()[-1]["content"][0]["content"] == "writer: writer(T1)"  # type: ignore[union-attr, index]


async def test_a_handoff_tool_is_a_tool_call(recording: Recording) -> None:
    await speaker("a", calls("transfer_to_b", adds("a")), handoffs=["b"]).run(task="go")

    run = Kinds(recording.last())
    assert run.one("tool", "transfer_to_b").status == "ok"
    assert run.one("agent").choices[-1].conclusion == "hand over to b"


# Workbenches


class Remote(Workbench):
    """A workbench of an app's own, whose tools are elsewhere."""

    component_config_schema = None

    async def list_tools(self) -> list[Any]:
        return [{"name": "far", "description": "Far away.", "parameters": {}}]

    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        cancellation_token: CancellationToken | None = None,
        call_id: str | None = None,
    ) -> ToolResult:
        said = f"{name} {dict(arguments or {})}"
        return ToolResult(name=name, result=[TextResultContent(content=said)], is_error="bad" in said)

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def reset(self) -> None: ...

    async def save_state(self) -> Mapping[str, Any]:
        return {}

    async def load_state(self, state: Mapping[str, Any]) -> None: ...


@pytest.mark.parametrize("q", ["good", "bad"])
async def test_a_call_of_a_workbench_of_the_apps_own_is_a_tool_call(recording: Recording, q: str) -> None:
    agent = speaker("a", calls("far", hears_all("a"), q=q), workbench=Remote(), reflect_on_tool_use=True)

    await agent.run(task="go")

    run = Kinds(recording.last())
    step = run.one("tool", "far")
    assert step.received is not None
    assert step.received.value() == {"q": q}
    assert f"'q': '{q}'" in step.produced.text()  # type: ignore[union-attr]
    assert step.attributes.get(semconv.TOOL_IS_ERROR) is (True if q == "bad" else None)
    first, second = run.all("model")
    assert run.causes(step, "data") == [first]
    assert step in run.causes(second, "data")


async def test_a_static_workbench_tells_each_call_once_and_an_unknown_name_as_an_error(
    recording: Recording,
) -> None:
    workbench = StaticWorkbench([FunctionTool(as_dict, "As dict.")])
    with becausal.chain("own"):
        await workbench.call_tool("as_dict", {"q": "x"}, call_id="1")
        await workbench.call_tool("nosuch", {})

    known, unknown = Kinds(recording.last()).all("tool")
    assert (known.name, known.attributes[semconv.TOOL_CONVERTED]) == ("as_dict", "dict to text")
    assert (unknown.name, unknown.attributes[semconv.TOOL_IS_ERROR]) == ("nosuch", True)


@pytest.mark.skipif(not HAS_MCP, reason="the extra autogen-ext[mcp] is not installed")
async def test_an_mcp_servers_answer_is_kept_as_it_came_and_what_autogen_leaves_out_is_said(
    recording: Recording,
) -> None:
    from autogen_ext.tools.mcp import McpWorkbench, StdioServerParams

    server = str(Path(__file__).parent / "autogen_mcp_server.py")
    async with McpWorkbench(StdioServerParams(command=sys.executable, args=[server])) as workbench:
        agent = speaker(
            "a", calls("price", hears_all("a"), item="x"), workbench=workbench, reflect_on_tool_use=True
        )
        with becausal.chain("mcp"):
            await agent.run(task="go")
            await workbench.call_tool("broken", {"item": "x"})

    run = Kinds(recording.last())
    priced, broken = run.one("tool", "price"), run.one("tool", "broken")
    raw: Any = priced.produced.value()  # type: ignore[union-attr]
    assert raw["structuredContent"] == {"item": "x", "price": 42}
    assert priced.attributes[semconv.TOOL_CONVERTED] == "CallToolResult without structuredContent"
    assert priced.received is not None
    assert priced.received.value() == {"item": "x"}
    assert priced in run.causes(run.all("model")[1], "data")
    assert broken.attributes[semconv.TOOL_IS_ERROR] is True
    assert "no such item" in broken.produced.text()  # type: ignore[union-attr]


async def test_a_tool_that_is_cancelled_is_told_as_cancelled(recording: Recording) -> None:
    async def wait(q: str) -> str:
        """Wait for ever."""
        await asyncio.Event().wait()
        return q

    with becausal.chain("own"):
        calling = asyncio.ensure_future(
            FunctionTool(wait, "Waits.").run_json({"q": "x"}, CancellationToken())
        )
        await asyncio.sleep(0)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling

    assert Kinds(recording.last()).one("tool").status == "cancelled"
