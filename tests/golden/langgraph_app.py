"""The app of `langgraph-1.becausal`: a researcher with a tool whose figure is wrong, an analyst, a writer."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AnyMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from typing_extensions import TypedDict


class Scripted(BaseChatModel):
    """A model that is a pure function of what it is told."""

    answer: Callable[[Sequence[BaseMessage]], AIMessage]
    model: str = "scripted-1"

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self.answer(messages))])


class State(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]
    notes: Annotated[list[str], operator.add]
    report: str


@tool
def revenue_database(company: str, year: int) -> dict[str, Any]:
    """Look up a company's revenue."""
    return {"company": company, "year": year, "revenue": "20 million USD", "audited": True}


def _look_up(messages: Sequence[BaseMessage]) -> AIMessage:
    if isinstance(messages[-1], ToolMessage):
        return AIMessage(content=f"The database says: {messages[-1].content}", id="a-2")
    call = {"name": "revenue_database", "args": {"company": "Acme", "year": 2025}, "id": "call-1"}
    return AIMessage(content="I look it up.", tool_calls=[call], id="a-1")


def _conclude(messages: Sequence[BaseMessage]) -> AIMessage:
    audited = "20 million" in str(messages[-1].content)
    return AIMessage(content="A full audit is due." if audited else "No audit is due.", id="a-3")


def _write(messages: Sequence[BaseMessage]) -> AIMessage:
    return AIMessage(content=f"Acme had revenue of 20 million USD in 2025. {messages[-1].content}", id="a-4")


def research(state: State) -> dict[str, Any]:
    model = Scripted(answer=_look_up)
    said: list[AnyMessage] = [SystemMessage("You research facts.", id="s-1"), *state["messages"]]
    asks = model.invoke(said)
    (call,) = asks.tool_calls
    result = revenue_database.invoke({**call, "type": "tool_call"})
    found = model.invoke([*said, asks, result])
    return {"messages": [asks, ToolMessage(result.content, tool_call_id="call-1", id="t-1"), found]}


def analyse(state: State) -> dict[str, Any]:
    answer = Scripted(answer=_conclude).invoke([HumanMessage(str(state["messages"][-1].content), id="h-2")])
    return {"notes": [str(answer.content)]}


def write(state: State) -> dict[str, Any]:
    answer = Scripted(answer=_write).invoke([HumanMessage(state["notes"][-1], id="h-3")])
    return {"report": str(answer.content)}


def build() -> Any:
    made = StateGraph(State)
    made.add_node("researcher", research)
    made.add_node("analyst", analyse)
    made.add_node("writer", write)
    made.add_edge(START, "researcher")
    made.add_edge("researcher", "analyst")
    made.add_edge("analyst", "writer")
    made.add_edge("writer", END)
    return made.compile(name="research team")


graph = build()

ASKED: dict[str, Any] = {
    "messages": [HumanMessage("What was the revenue of Acme in 2025, and what follows?", id="h-1")],
    "notes": [],
    "report": "",
}
