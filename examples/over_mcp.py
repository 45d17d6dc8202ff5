"""An agent and an MCP server in a process of its own: the server's work belongs to the agent's chain.

The place goes along in the request's `_meta`, as the protocol has it for trace context (SEP-414). Needs `pip install
'mcp>=1.23'`. Run this file, then ask `becausal show last` and `becausal blame last "Friday"`.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import mcp.types
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

import becausal

becausal.instrument()

SCHEMA = {"type": "object", "properties": {"project": {"type": "string"}}}


# The server


@becausal.tool
def calendar(project: str) -> str:
    """Look a deadline up."""
    return f"{project} is due on Friday"


async def serve() -> None:
    server: Any = Server("dates")

    @server.list_tools()  # type: ignore[untyped-decorator,unused-ignore]
    async def listed() -> list[mcp.types.Tool]:
        return [mcp.types.Tool(name="deadline", description="When it is due.", inputSchema=SCHEMA)]

    @server.call_tool()  # type: ignore[untyped-decorator,unused-ignore]
    async def called(name: str, arguments: dict[str, Any]) -> list[mcp.types.TextContent]:
        meta = server.request_context.meta
        with becausal.extract(meta.model_dump() if meta is not None else {}):
            return [mcp.types.TextContent(type="text", text=calendar(arguments["project"]))]

    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


# The agent


async def ask(question: str) -> str:
    here = StdioServerParameters(command=sys.executable, args=[__file__, "server"])
    async with stdio_client(here) as (reading, writing), ClientSession(reading, writing) as session:
        await session.initialize()
        with becausal.chain(question) as request, becausal.agent("planner", received=question) as turn:
            place: dict[str, Any] = {}
            becausal.inject(place)
            result = await session.call_tool("deadline", {"project": "the relaunch"}, meta=place)
            text = f"Answer: {result.content[0].text}."  # type: ignore[union-attr,unused-ignore]
            turn.returned(text)
            request.returned(text)
    return text


if __name__ == "__main__":
    if sys.argv[1:] == ["server"]:
        asyncio.run(serve())
    else:
        print(asyncio.run(ask("When is the relaunch due?")))
