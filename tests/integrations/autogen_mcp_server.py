"""An MCP server for the tests: run as a process of its own, it speaks over its standard input and output."""

from __future__ import annotations

from typing import Any

from mcp.server.fastmcp import FastMCP  # type: ignore[import-not-found, unused-ignore]

server = FastMCP("shop")


@server.tool()  # type: ignore[untyped-decorator, unused-ignore]
def price(item: str) -> dict[str, Any]:
    """Return what an item costs."""
    return {"item": item, "price": 42}


@server.tool()  # type: ignore[untyped-decorator, unused-ignore]
def broken(item: str) -> str:
    """Fail."""
    raise LookupError(f"no such item: {item}")


if __name__ == "__main__":
    server.run()
