"""A LangGraph research team whose report is wrong, and the question why.

A researcher looks a figure up with a tool, an analyst works with it, a writer reports it. The tool answers with a wrong
figure; every step is green, and the report repeats it. Run this file, then ask:

    becausal show last
    becausal blame last "20 million"
    becausal why last

Nothing here needs a network or a key: the model is a pure function of the messages that it gets.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, TypedDict

from langchain_core.language_models import BaseChatModel
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
from langgraph.prebuilt import ToolNode

import becausal

becausal.instrument()  # the one line


class State(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    finding: str
    analysis: str
    report: str


@tool
def revenue_database(company: str, year: int) -> str:
    """Look up a company's revenue in a year."""
    # What it should say is 2 million. Nobody will notice.
    return f"{company}: revenue {year} was 20 million USD (audited)"


class ScriptedModel(BaseChatModel):
    """Answers by rules from the messages alone: a stand-in for a real model, so that this runs anywhere."""

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=answer(messages))])


def answer(messages: list[BaseMessage]) -> AIMessage:
    """Return what the model says to these messages."""
    role, last = str(messages[0].content), messages[-1]
    if role.startswith("You research") and not isinstance(last, ToolMessage):
        company, year = re.findall(r"of (\w+) in (\d+)", str(last.content))[0]
        call = {"name": "revenue_database", "args": {"company": company, "year": int(year)}, "id": "call-1"}
        return AIMessage("The audited figure is in the revenue database.", tool_calls=[call])
    figure = re.findall(r"[\d,.]+ (?:million|thousand) USD", str(last.content))[0]
    if role.startswith("You research"):
        return AIMessage(f"The database gives {figure}.")
    if role.startswith("You analyse"):
        return AIMessage(f"With {figure} of revenue the company is past the threshold for a full audit.")
    return AIMessage(f"Acme had revenue of {figure} in 2025. We recommend a full audit.")


model = ScriptedModel()


def researcher(state: State) -> State:
    reply = model.invoke([SystemMessage("You research facts."), *state["messages"]])
    return {"messages": [reply], "finding": str(reply.content)}


def analyst(state: State) -> State:
    reply = model.invoke([SystemMessage("You analyse findings."), HumanMessage(state["finding"])])
    return {"analysis": str(reply.content)}


def writer(state: State) -> State:
    reply = model.invoke([SystemMessage("You write reports."), HumanMessage(state["analysis"])])
    return {"report": str(reply.content)}


def needs_tool(state: State) -> str:
    last = state["messages"][-1]
    return "tools" if isinstance(last, AIMessage) and last.tool_calls else "analyst"


def research_team() -> Any:
    graph = StateGraph(State)
    graph.add_node("researcher", researcher)
    graph.add_node("tools", ToolNode([revenue_database]))
    graph.add_node("analyst", analyst)
    graph.add_node("writer", writer)
    graph.add_edge(START, "researcher")
    graph.add_conditional_edges("researcher", needs_tool, ["tools", "analyst"])
    graph.add_edge("tools", "researcher")
    graph.add_edge("analyst", "writer")
    graph.add_edge("writer", END)
    return graph.compile(name="research team")


if __name__ == "__main__":
    question = HumanMessage("What was the revenue of Acme in 2025, and what follows from it?")
    print(research_team().invoke({"messages": [question]})["report"])
