"""Tools of an MCP server, by langchain-mcp-adapters: steps like every other tool's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from tests.conftest import Recording
from tests.integrations.fakes_langchain import PureModel, tool_call
from tests.integrations.kinds import Kinds

adapters: Any = pytest.importorskip(
    "langchain_mcp_adapters.tools", reason="needs langchain-mcp-adapters and mcp"
)
agents: Any = pytest.importorskip("langchain.agents", reason="create_agent is in langchain")
fastmcp: Any = pytest.importorskip("mcp.server.fastmcp")
memory: Any = pytest.importorskip("mcp.shared.memory")


def server() -> Any:
    """Return an MCP server that adds, and fails."""

    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    def fail(why: str) -> str:
        """Fail."""
        raise ValueError(why)

    made = fastmcp.FastMCP("sums", log_level="ERROR")
    made.add_tool(add)
    made.add_tool(fail)
    return made


def mind(messages: Sequence[BaseMessage]) -> AIMessage:
    if isinstance(messages[-1], ToolMessage):
        return AIMessage("done")
    return AIMessage("", tool_calls=[tool_call("add", "c1", a=1, b=2), tool_call("fail", "c2", why="no")])


async def test_each_call_of_an_mcp_tool_is_one_step_with_its_raw_answer(recording: Recording) -> None:
    async with memory.create_connected_server_and_client_session(server()._mcp_server) as session:
        tools = await adapters.load_mcp_tools(session)
        agent = agents.create_agent(PureModel(answer=mind), tools, name="adder")
        result = await agent.ainvoke({"messages": [HumanMessage("one and two?")]})

    assert [message.status for message in result["messages"] if isinstance(message, ToolMessage)] == [
        "success",
        "error",
    ]
    run = Kinds(recording.last())
    added, failed = run.one("tool", "add"), run.one("tool", "fail")
    decided = run.all("model")[0]
    assert added.received is not None
    assert added.produced is not None
    assert added.received.value() == {"a": 1, "b": 2}
    answer: Any = added.produced.value()
    assert answer[0][0]["text"] == "3"
    assert added.attributes["gen_ai.tool.call.id"] == "c1"
    assert (failed.status, failed.error) == ("error", "Error executing tool fail: no")
    assert run.causes(added, "data") == run.causes(failed, "data") == [decided]
    assert {added.agent, failed.agent} == {"adder"}
