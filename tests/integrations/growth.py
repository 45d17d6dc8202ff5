"""What grows: the length of every container that becausal holds, and a graph whose runs use most of its books."""

from __future__ import annotations

import gc
import sys
from collections import Counter, deque
from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary, WeakSet, WeakValueDictionary

from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, Send, interrupt
from tests.integrations.fakes_langchain import PureModel, use_tool_once

__all__ = ["a_graph", "containers", "run_once"]

OURS = ("becausal", "becausal_integrations")
CONTAINERS = (dict, list, set, frozenset, deque, WeakKeyDictionary, WeakValueDictionary, WeakSet)


def containers() -> Counter[str]:
    """Return the length of every container that becausal's objects and modules hold, by owner and name."""
    found: Counter[str] = Counter()
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in OURS:
            for attribute, value in vars(module).items():
                if issubclass(type(value), CONTAINERS):
                    found[f"{name}.{attribute}"] += len(value)
                elif hasattr(value, "cache_info"):
                    found[f"{name}.{attribute}()"] += value.cache_info().currsize
    is_ours: dict[int, bool] = {}  # by class: of a million objects few have a class that none had before
    for thing in gc.get_objects():
        cls = type(thing)
        if id(cls) not in is_ours:
            is_ours[id(cls)] = str(cls.__module__).partition(".")[0] in OURS
        if is_ours[id(cls)]:
            found[f"objects of {type(thing).__qualname__}"] += 1
            for attribute, value in attributes(thing):
                if issubclass(type(value), CONTAINERS):
                    found[f"{type(thing).__qualname__}.{attribute}"] += len(value)
    return found


def attributes(thing: object) -> Iterator[tuple[str, Any]]:
    """Yield an object's attributes, whether it keeps them in a dict or in slots."""
    yield from getattr(thing, "__dict__", {}).items()
    for cls in type(thing).__mro__:
        for name in cls.__dict__.get("__slots__", ()):
            if name not in ("__weakref__", "__dict__") and hasattr(thing, name):
                yield name, getattr(thing, name)


@tool
def search(query: str) -> str:
    """Search."""
    return f"{query} is 42"


def a_graph() -> Any:
    """Return a graph that uses most of what an adapter keeps books of."""
    model = PureModel(answer=use_tool_once("search", query="it"))

    def think(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    def route(state: Any) -> Any:
        asked = state["messages"][-1].tool_calls
        return "tools" if asked else [Send("work", {"number": number}) for number in range(2)]

    def work(sent: dict[str, int]) -> Command[str]:
        return Command(update={"messages": [HumanMessage(str(sent["number"]))]}, goto="end")

    def end(state: MessagesState) -> dict[str, Any]:
        return (
            {"messages": [HumanMessage(interrupt("enough?"))]}
            if "?" in str(state["messages"][0].content)
            else {}
        )

    graph: Any = StateGraph(MessagesState)
    graph.add_node(think)
    graph.add_node("tools", ToolNode([search]))
    graph.add_node("work", work, destinations=("end",))
    graph.add_node(end)
    graph.add_edge(START, "think")
    graph.add_conditional_edges("think", route, ["tools", "work"])
    graph.add_edge("tools", "think")
    return graph


def run_once(number: int, compiled: Any) -> None:
    """Run the graph; each tenth run is interrupted, and each twentieth goes on."""
    thread: Any = {"configurable": {"thread_id": str(number)}}
    saver = InMemorySaver()
    compiled.checkpointer = saver  # its own: what is kept of a run is then the app's no more
    text = "what?" if number % 10 == 0 else "what"
    compiled.invoke({"messages": [HumanMessage(text)]}, thread)
    if number % 20 == 0:
        compiled.invoke(Command(resume="yes"), thread)
