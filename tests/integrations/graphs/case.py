"""What one row of the table of graphs says: how to build the graph, and what it is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from langgraph import func
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph

__all__ = ["Case", "line_of", "tasked"]

tasked: Any = func.task  # with options: its overloads refuse what it takes

Turns = tuple[Any, ...]


@dataclass(frozen=True)
class Case:
    """A graph, built anew for each run, and the turns of one conversation with it.

    Every node is a pure function of its input, every model of its messages, so two plays differ only if something from
    outside has changed one of them.
    """

    name: str
    build: Callable[[], Any]
    turns: Turns
    is_parallel: bool = False  # its branches run in threads, whose order is nobody's promise
    is_stateful: bool = False  # a run sees what another left: two at once are a race
    is_async: bool = False  # it has no sync side
    raises: str = ""  # the exception that some turn ends with, by its class
    config: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)  # of `invoke`, `stream` and the rest
    needs: bool = True  # what it uses is there in this version of LangGraph


def line_of(state: Any, *nodes: Callable[..., Any], **compiled: Any) -> Any:
    """Return a compiled graph with a saver, whose nodes follow one another."""
    graph: Any = StateGraph(state)
    former = START
    for node in nodes:
        graph.add_node(node.__name__, node)
        graph.add_edge(former, node.__name__)
        former = node.__name__
    return graph.compile(checkpointer=InMemorySaver(), **compiled)
