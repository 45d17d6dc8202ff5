"""What this version of the frameworks has: the conditions by which a test is skipped, each of which says its reason."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from langgraph import types
from langgraph.graph import StateGraph
from langgraph_sdk import client

__all__ = [
    "HAS_AGENTS",
    "HAS_ERROR_HANDLERS",
    "HAS_OVERWRITE",
    "HAS_THREAD_STREAMS",
    "HAS_TIMEOUTS",
    "accepts",
    "create_agent",
    "needs",
    "needs_agents",
    "needs_error_handlers",
    "needs_timeouts",
]


def accepts(function: Callable[..., Any], *parameters: str) -> bool:
    """Return whether this version's function has these parameters."""
    return set(parameters) <= set(inspect.signature(function).parameters)


def needs(is_there: bool, what: str) -> pytest.MarkDecorator:
    """Return what skips a test where something is not there."""
    return pytest.mark.skipif(not is_there, reason=f"the versions installed here have no {what}")


HAS_AGENTS = importlib.util.find_spec("langchain") is not None
HAS_ERROR_HANDLERS = accepts(StateGraph.add_node, "error_handler")
HAS_TIMEOUTS = accepts(StateGraph.add_node, "timeout")
HAS_THREAD_STREAMS = hasattr(client.ThreadsClient, "stream")
HAS_OVERWRITE = hasattr(types, "Overwrite")

needs_agents = needs(HAS_AGENTS, "create_agent (langchain 1.0)")
needs_error_handlers = needs(HAS_ERROR_HANDLERS, "error handlers of nodes (langgraph 1.2)")
needs_timeouts = needs(HAS_TIMEOUTS, "timeouts of nodes (langgraph 1.2)")

create_agent: Any = None
"""As langchain has it; None before langchain 1.0, where `needs_agents` skips."""
if HAS_AGENTS:
    from langchain import agents

    create_agent = agents.create_agent
