"""LangGraph apps: a chain of nodes, a tool loop, a fan-out, a conversation that grows."""

from __future__ import annotations

import asyncio
import operator
from typing import Annotated, Any, TypedDict

from benchmarks.workloads.base import Workload, records, text
from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Send

__all__ = ["FanOut", "Growing", "Linear", "LinearAsync", "ToolLoop"]


class Mixed(TypedDict):
    """Messages, and data beside them."""

    messages: Annotated[list[AnyMessage], add_messages]
    data: Annotated[dict[str, Any], operator.or_]


class Jobs(TypedDict):
    """Jobs, and what came of them."""

    jobs: list[dict[str, Any]]
    results: Annotated[list[dict[str, Any]], operator.add]


class Talk(TypedDict):
    """A conversation."""

    messages: Annotated[list[AnyMessage], add_messages]


class Graph(Workload):
    """A compiled graph."""

    framework = "langgraph"
    graph: Any

    def run(self, given: Any) -> None:
        """Invoke it."""
        self.graph.invoke(given, self.config)


class Linear(Graph):
    """Ten nodes in a row; the state is half messages, half a dict of records, and each node adds a little of both."""

    name = "linear"
    operations = 10

    def build(self) -> None:
        """Build the chain."""
        graph = StateGraph(Mixed)
        names = [f"n{number}" for number in range(self.operations)]
        for number, name in enumerate(names):
            graph.add_node(name, self.node(number))
        for before, after in zip([START, *names], [*names, END], strict=True):
            graph.add_edge(before, after)
        self.graph = graph.compile()

    def node(self, number: int) -> Any:
        """Return a node."""

        def node(state: Mixed) -> dict[str, Any]:
            said = f"step {number} saw {len(state['messages'])}"
            return {"messages": [AIMessage(said)], "data": {"step": number}}

        return node

    def prepare(self) -> Mixed:
        """Return a state of the payload's size."""
        self.seed += 1
        half = self.payload // 2
        size = min(half, 1024)
        said = [HumanMessage(text(size, self.seed + i), id=f"h{i}") for i in range(half // size)]
        return {"messages": [*said], "data": records(half, self.seed)}


class LinearAsync(Linear):
    """The same with coroutines."""

    name = "linear-async"

    def build(self) -> None:
        """Build the chain, and the loop that it runs on."""
        super().build()
        self.runner = asyncio.Runner()
        # Contents of its own: those of the chain above are recorded before, and what is known costs less.
        self.seed = 1_000_000

    def node(self, number: int) -> Any:
        """Return a node."""
        plain = super().node(number)

        async def node(state: Mixed) -> dict[str, Any]:
            said: dict[str, Any] = plain(state)
            return said

        return node

    def run(self, given: Any) -> None:
        """Invoke it on the loop."""
        self.runner.run(self.graph.ainvoke(given, self.config))


class FanOut(Graph):
    """A plan, 50 `Send`s of a payload each, and a join."""

    name = "fan-out"
    branches = 50
    operations = branches + 2

    def build(self) -> None:
        """Build the graph."""
        graph = StateGraph(Jobs)
        graph.add_node("plan", plan)
        worker: Any = work  # it is sent a job, and not the state
        graph.add_node("worker", worker)
        graph.add_node("join", join)
        graph.add_edge(START, "plan")
        graph.add_conditional_edges(
            "plan", lambda state: [Send("worker", job) for job in state["jobs"]], ["worker"]
        )
        graph.add_edge("worker", "join")
        graph.add_edge("join", END)
        self.graph = graph.compile()

    def prepare(self) -> Jobs:
        """Return the jobs."""
        self.seed += 100
        jobs = [{"id": i, "text": text(self.payload, self.seed + i)} for i in range(self.branches)]
        return {"jobs": jobs, "results": []}


def plan(state: Jobs) -> dict[str, Any]:
    """Write the jobs down."""
    return {"jobs": [dict(job) for job in state["jobs"]]}


def work(job: dict[str, Any]) -> dict[str, Any]:
    """Do a job."""
    return {"results": [{"id": job["id"], "n": len(job["text"])}]}


def join(state: Jobs) -> dict[str, Any]:
    """Add up."""
    return {"results": [{"total": sum(one["n"] for one in state["results"])}]}


class Scripted(BaseChatModel):
    """Asks for the tool so many times, then says that it is done."""

    calls: int

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Any, **_: Any) -> Any:
        """Know the tools' names."""
        return self.bind(tools=[{"type": "function", "function": {"name": one.name}} for one in tools])

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        done = sum(isinstance(message, ToolMessage) for message in messages)
        said = AIMessage("done", id=f"a{done}")
        if done < self.calls:
            call = {"name": "lookup", "args": {"q": f"query {done}"}, "id": f"c{done}"}
            said = AIMessage("", id=f"a{done}", tool_calls=[call])
        return ChatResult(generations=[ChatGeneration(message=said)])


class ToolLoop(Graph):
    """`create_agent`: 11 turns of a model and 10 calls of a tool, each result of the payload's size."""

    name = "tool-loop"
    calls = 10
    operations = 2 * calls + 1

    def build(self) -> None:
        """Build the agent."""
        body = text(self.payload, 7)

        @tool
        def lookup(q: str) -> str:
            """Look a thing up."""
            return q + body

        self.graph = create_agent(Scripted(calls=self.calls), [lookup])

    def prepare(self) -> dict[str, Any]:
        """Return a question."""
        self.seed += 1
        return {"messages": [{"role": "user", "content": text(self.payload, self.seed)}]}


class Growing(Graph):
    """One node in a loop; each time it adds a message to a conversation that it receives whole."""

    name = "growing"

    @property
    def operations(self) -> int:
        """As many as it has steps."""
        return self.steps

    def build(self) -> None:
        """Build the loop."""
        texts = [text(self.payload, number) for number in range(self.steps + 2)]

        def talk(state: Talk) -> dict[str, Any]:
            self.mark()
            number = len(state["messages"])
            # The run's number makes it new in each run: what a store knows already costs less.
            return {"messages": [AIMessage(f"{texts[number]}{number}.{self.seed}", id=f"g{number}")]}

        def more(state: Talk) -> str:
            return END if len(state["messages"]) > self.steps else "talk"

        graph = StateGraph(Talk)
        graph.add_node("talk", talk)
        graph.add_edge(START, "talk")
        graph.add_conditional_edges("talk", more, ["talk", END])
        self.graph = graph.compile()

    def prepare(self) -> Talk:
        """Return the first message."""
        self.seed += 1
        return {"messages": [HumanMessage("go", id="g0")]}
