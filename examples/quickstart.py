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


THRESHOLD = 10
"""Millions of revenue from which on a company is audited."""


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
    """Return what the model says to these messages, whatever they say."""
    role, last = str(messages[0].content), messages[-1]
    said = str(last.content)
    found = re.search(r"(\d+(?:\.\d+)?) (million|thousand) USD", said)
    if role.startswith("You research"):
        asked = re.search(r"of (\w+) in (\d+)", said)
        if isinstance(last, ToolMessage):
            return AIMessage(f"The database gives {found[0] if found else 'no figure'}.")
        if asked is None:
            return AIMessage("Which company, and which year?")
        call = {
            "name": "revenue_database",
            "args": {"company": asked[1], "year": int(asked[2])},
            "id": "call-1",
        }
        return AIMessage("The audited figure is in the revenue database.", tool_calls=[call])
    if found is None:
        return AIMessage("Without a figure there is nothing to say.")
    if role.startswith("You analyse"):
        is_past = found[2] == "million" and float(found[1]) >= THRESHOLD
        which = "past the threshold for a full audit" if is_past else "too small to be audited"
        return AIMessage(f"With {found[0]} of revenue the company is {which}.")
    advice = "We recommend a full audit." if "full audit" in said else "No audit is due."
    return AIMessage(f"Acme had revenue of {found[0]} in 2025. {advice}")


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
