"""How control passes: edges, branches, sends, commands, subgraphs, joins."""

from __future__ import annotations

import operator
from typing import Annotated, Any

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send
from tests.integrations.graphs.case import Case, line_of
from tests.integrations.having import accepts
from typing_extensions import TypedDict

__all__ = ["CASES"]


class State(TypedDict, total=False):
    """A question on its way to an answer."""

    question: str
    findings: str
    draft: str
    log: Annotated[list[str], operator.add]


ASKED: Any = {"question": "how many?", "log": []}


def plan(state: State) -> dict[str, Any]:
    return {"findings": f"42 for {state['question']}", "log": ["plan"], "note": "not in the schema"}


def research(_: State) -> dict[str, Any]:
    return {"log": ["research"]}


def write(state: State) -> dict[str, Any]:
    return {"draft": f"it is {state.get('findings')}", "log": ["write"]}


async def aplan(state: State) -> dict[str, Any]:
    return plan(state)


async def awrite(state: State) -> dict[str, Any]:
    return write(state)


def graph_of(*nodes: Any) -> Any:
    graph: Any = StateGraph(State)
    for node in nodes:
        graph.add_node(node.__name__, node)
    return graph


def saved(graph: Any, **compiled: Any) -> Any:
    return graph.compile(checkpointer=InMemorySaver(), **compiled)


def a_line() -> Any:
    return line_of(State, plan, research, write)


def async_nodes() -> Any:
    return line_of(State, aplan, awrite)


def diamond() -> Any:
    def left(_: State) -> dict[str, Any]:
        return {"log": ["left"]}

    def right(_: State) -> dict[str, Any]:
        return {"log": ["right"]}

    graph = graph_of(plan, left, right, write)
    graph.add_edge(START, "plan")
    graph.add_edge("plan", "left")
    graph.add_edge("plan", "right")
    graph.add_edge(["left", "right"], "write")
    return saved(graph)


def join_of_unequal_arms() -> Any:
    graph = graph_of(plan, write)
    for name in ("short", "long", "longer"):
        graph.add_node(name, research)
    graph.add_edge(START, "plan")
    graph.add_edge("plan", "short")
    graph.add_edge("plan", "long")
    graph.add_edge("long", "longer")
    graph.add_edge(["short", "longer"], "write")
    return saved(graph)


def map_reduce() -> Any:
    def split(_: State) -> list[Send]:
        return [Send("work", {"number": number}) for number in range(4)]

    def work(sent: dict[str, int]) -> dict[str, Any]:
        return {"log": [str(sent["number"])]}

    graph = graph_of(plan, work, write)
    graph.add_edge(START, "plan")
    graph.add_conditional_edges("plan", split, ["work"])
    graph.add_edge("work", "write")
    return saved(graph)


def sends_of_one_object() -> Any:
    shared = {"number": 1}

    def split(_: State) -> list[Send]:
        return [Send("work", shared)]

    def work(sent: dict[str, int]) -> dict[str, Any]:
        sent["number"] += 1  # the app changes what it was sent, in place
        return {"log": [str(sent["number"])]}

    graph = graph_of(plan, work)
    graph.add_edge(START, "plan")
    graph.add_conditional_edges("plan", split, ["work"])
    return saved(graph)


def conditional_edges() -> Any:
    def choose(state: State) -> str:
        return "enough" if "42" in state["findings"] else "more"

    graph = graph_of(plan, research, write)
    graph.add_edge(START, "plan")
    graph.add_conditional_edges("plan", choose, {"enough": "write", "more": "research"})
    return saved(graph)


def conditional_entry() -> Any:
    def enter(state: State) -> list[str]:
        return ["plan"] if state["question"] else ["write"]

    graph = graph_of(plan, write)
    graph.add_conditional_edges(START, enter, ["plan", "write"])
    graph.add_edge("plan", "write")
    return saved(graph)


def command_goto() -> Any:
    def chief(_: State) -> Command[str]:
        return Command(goto="write", update={"findings": "7"})

    graph = graph_of(write)
    graph.add_node("chief", chief, destinations=("write",))
    graph.add_edge(START, "chief")
    return saved(graph)


def command_of_sends() -> Any:
    def chief(_: State) -> Command[str]:
        return Command(goto=[Send("work", {"number": number}) for number in range(3)])

    def work(sent: dict[str, int]) -> Command[str]:
        return Command(update={"log": [str(sent["number"])]}, goto="write")

    graph = graph_of(write)
    graph.add_node("chief", chief, destinations=("work",))
    graph.add_node("work", work, destinations=("write",))
    graph.add_edge(START, "chief")
    return saved(graph)


def command_to_parent() -> Any:
    def jump(_: State) -> Command[str]:
        return Command(goto="write", update={"findings": "up"}, graph=Command.PARENT)

    inner = graph_of(jump)
    inner.add_edge(START, "jump")
    graph = graph_of(write)
    graph.add_node("child", inner.compile(), destinations=("write",))
    graph.add_edge(START, "child")
    return saved(graph)


def subgraph_of_the_same_schema() -> Any:
    inner = graph_of(plan, research)
    inner.add_edge(START, "plan")
    inner.add_edge("plan", "research")
    graph = graph_of(write)
    graph.add_node("inner", inner.compile(name="inner"))
    graph.add_edge(START, "inner")
    graph.add_edge("inner", "write")
    return saved(graph)


class Narrow(TypedDict):
    """Another schema than its holder's."""

    topic: str
    answer: str


def subgraph_of_another_schema() -> Any:
    def answer(state: Narrow) -> dict[str, Any]:
        return {"answer": f"about {state['topic']}"}

    inner: Any = StateGraph(Narrow)
    inner.add_node(answer)
    inner.add_edge(START, "answer")
    asked = inner.compile()

    def ask(state: State) -> dict[str, Any]:
        return {"findings": asked.invoke({"topic": state["question"]})["answer"]}

    return line_of(State, ask, write)


def subgraph_that_remembers() -> Any:
    inner = graph_of(research)
    inner.add_edge(START, "research")
    graph = graph_of(write)
    graph.add_node("inner", inner.compile(checkpointer=True))
    graph.add_edge(START, "inner")
    graph.add_edge("inner", "write")
    return saved(graph)


def three_floors() -> Any:
    lowest = graph_of(plan)
    lowest.add_edge(START, "plan")
    middle = graph_of(research)
    middle.add_node("lowest", lowest.compile())
    middle.add_edge(START, "lowest")
    middle.add_edge("lowest", "research")
    graph = graph_of(write)
    graph.add_node("middle", middle.compile())
    graph.add_edge(START, "middle")
    graph.add_edge("middle", "write")
    return saved(graph)


def deferred() -> Any:
    graph = graph_of(plan, research)
    graph.add_node("more", research)
    graph.add_node("write", write, defer=True)
    graph.add_edge(START, "plan")
    graph.add_edge(START, "research")
    graph.add_edge("plan", "more")
    graph.add_edge("more", "write")
    graph.add_edge("research", "write")
    return saved(graph)


def a_loop() -> Any:
    def turn(state: State) -> Command[str]:
        done = len(state["log"]) > 4
        return Command(goto=END if done else "turn", update={"log": [str(len(state["log"]))]})

    graph: Any = StateGraph(State)
    graph.add_node("turn", turn, destinations=("turn", END))
    graph.add_edge(START, "turn")
    return saved(graph)


def a_sequence() -> Any:
    graph: Any = StateGraph(State)
    graph.add_sequence([plan, research, write])
    graph.add_edge(START, "plan")
    return saved(graph)


AT_ONCE = {"durability": "sync"}

CASES = (
    Case("a line", a_line, (ASKED, {"question": "and then?"})),
    Case("async nodes", async_nodes, (ASKED,)),
    Case("a sequence", a_sequence, (ASKED,)),
    # Saved at once: else the saver's thread writes the set of a join while the next superstep adds to it.
    Case("a diamond", diamond, (ASKED,), is_parallel=True, options=AT_ONCE),
    Case("a join of unequal arms", join_of_unequal_arms, (ASKED,), is_parallel=True, options=AT_ONCE),
    Case("map and reduce", map_reduce, (ASKED,), is_parallel=True),
    # Saved at once: else the saver writes the object while the node changes it.
    Case("one object sent and changed", sends_of_one_object, (ASKED,), options=AT_ONCE),
    Case("conditional edges", conditional_edges, (ASKED,)),
    Case("a conditional entry", conditional_entry, (ASKED, {"question": ""})),
    Case("a command that goes on", command_goto, (ASKED,)),
    Case("a command of sends", command_of_sends, (ASKED,), is_parallel=True),
    Case("a command to the parent", command_to_parent, (ASKED,)),
    Case("a subgraph of the same schema", subgraph_of_the_same_schema, (ASKED,)),
    Case("a subgraph of another schema", subgraph_of_another_schema, (ASKED,)),
    Case("a subgraph that remembers", subgraph_that_remembers, (ASKED, ASKED)),
    Case("three floors", three_floors, (ASKED,)),
    Case(
        "a deferred node", deferred, (ASKED,), is_parallel=True, needs=accepts(StateGraph.add_node, "defer")
    ),
    Case("a loop", a_loop, (ASKED,)),
)
