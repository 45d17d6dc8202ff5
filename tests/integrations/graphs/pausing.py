"""Runs that stop and go on: interrupts, resumption, durability, limits, time travel's starting points."""

from __future__ import annotations

import operator
from typing import Annotated, Any

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint, task
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt
from tests.integrations.graphs.case import Case, line_of
from tests.integrations.graphs.wiring import ASKED, State, plan, research, write
from typing_extensions import TypedDict

__all__ = ["CASES"]


def ask(state: State) -> dict[str, Any]:
    return {"findings": interrupt({"which": state["question"]}), "log": ["asked"]}


def dynamic() -> Any:
    return line_of(State, plan, ask, write)


def twice_in_one_node() -> Any:
    def ask_twice(_: State) -> dict[str, Any]:
        return {"findings": f"{interrupt('first?')} and {interrupt('second?')}"}

    return line_of(State, ask_twice, write)


def in_a_subgraph() -> Any:
    inner: Any = StateGraph(State)
    inner.add_sequence([plan, ask])
    inner.add_edge(START, "plan")
    graph: Any = StateGraph(State)
    graph.add_node("inner", inner.compile())
    graph.add_node(write)
    graph.add_edge(START, "inner")
    graph.add_edge("inner", "write")
    return graph.compile(checkpointer=InMemorySaver())


def static_before() -> Any:
    return line_of(State, plan, research, write, interrupt_before=["write"])


def static_after() -> Any:
    return line_of(State, plan, research, write, interrupt_after=["plan", "research"])


def beside_one_that_finished() -> Any:
    graph: Any = StateGraph(State)
    graph.add_node(research)
    graph.add_node(ask)
    graph.add_node(write)
    graph.add_edge(START, "research")
    graph.add_edge(START, "ask")
    graph.add_edge(["research", "ask"], "write")
    return graph.compile(checkpointer=InMemorySaver())


class Numbers(TypedDict):
    """A list that grows."""

    numbers: Annotated[list[int], operator.add]


def functional() -> Any:
    @task
    def double(number: int) -> int:
        return 2 * number

    @entrypoint(checkpointer=InMemorySaver())
    def flow(number: int) -> dict[str, Any]:
        doubled = double(number).result()
        return {"doubled": doubled, "said": interrupt(f"is {doubled} right?")}

    return flow


def straight() -> Any:
    return line_of(State, plan, research, write)


def endless() -> Any:
    def again(_: State) -> dict[str, Any]:
        return {"log": ["again"]}

    graph: Any = StateGraph(State)
    graph.add_node(again)
    graph.add_edge(START, "again")
    graph.add_edge("again", "again")
    return graph.compile(checkpointer=InMemorySaver())


THIS: Any = Command(resume="this")

CASES = (
    Case("an interrupt and its answer", dynamic, (ASKED, THIS)),
    Case("an interrupt that nobody answers", dynamic, (ASKED,)),
    Case("an answer with an update", dynamic, (ASKED, Command(resume="this", update={"question": "other?"}))),
    Case("two interrupts in one node", twice_in_one_node, (ASKED, THIS, Command(resume="that"))),
    Case("an interrupt in a subgraph", in_a_subgraph, (ASKED, THIS)),
    Case("a stop before a node", static_before, (ASKED, None)),
    Case("a stop after two nodes", static_after, (ASKED, None, None)),
    Case(
        "an interrupt beside a branch that finished",
        beside_one_that_finished,
        (ASKED, THIS),
        is_parallel=True,
    ),
    Case("an interrupt in an entrypoint", functional, (4, Command(resume="yes")), is_parallel=True),
    Case("saved at each step", straight, (ASKED,), options={"durability": "sync"}),
    Case("saved meanwhile", straight, (ASKED,), options={"durability": "async"}),
    Case("saved at the end", straight, (ASKED,), options={"durability": "exit"}),
    Case("an interrupt saved at the end", dynamic, (ASKED, THIS), options={"durability": "exit"}),
    Case("a recursion limit", endless, (ASKED,), config={"recursion_limit": 4}, raises="GraphRecursionError"),
    Case("another input in the middle of it", dynamic, (ASKED, {"question": "new?"}, THIS)),
    Case("a jump from outside", straight, (ASKED, Command(goto="write"), Command(update={"question": "?"}))),
)
