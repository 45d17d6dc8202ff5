"""The promise: two LangGraph apps share a store; a correct answer raises no alarm, and a wrong one leads to its writer.

One run takes a customer's profile down, a later one answers from it: triage hands the amount on, and the responder
reads the profile under the customer's number, which its model is not shown.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langgraph.graph import START, StateGraph, add_messages
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore
from tests.conftest import Recording
from tests.integrations.fakes_langchain import PureModel
from typing_extensions import TypedDict

import becausal


@pytest.fixture(autouse=True)
def _recording(recording: Recording) -> None:
    """Everything is hooked."""


class State(TypedDict, total=False):
    messages: Annotated[list[Any], add_messages]
    customer: str
    answer: str


def figure(pattern: str, text: Any) -> str:
    found = re.search(pattern, str(text))
    assert found is not None
    return found[1]


def triaged(messages: Any) -> AIMessage:
    amount = figure(r"(\d+) EUR", messages[-1].content)
    return AIMessage(f"refund request, amount {amount} EUR")


def answered(messages: Any) -> AIMessage:
    limit = figure(r"limit=(\d+)", messages[0].content)
    amount = figure(r"amount (\d+)", messages[-1].content)
    verdict = "Approved" if int(amount) <= int(limit) else "Declined"
    return AIMessage(f"{verdict}: your limit is {limit} EUR, you asked for {amount} EUR.")


def serve(limit: str) -> None:
    """Take a profile down with a limit, then answer a request for 700 EUR from it."""
    kept = InMemoryStore()

    def keeper(state: State, *, store: BaseStore) -> State:
        note = PureModel(answer=lambda _: AIMessage(f"tier=silver; refund limit={limit} EUR")).invoke(
            state["messages"]
        )
        store.put(("customers", state["customer"]), "profile", {"tier": "silver", "note": note.content})
        return {"answer": "noted"}

    def triage(state: State) -> State:
        return {"messages": [PureModel(answer=triaged).invoke(state["messages"])]}

    def responder(state: State, *, store: BaseStore) -> State:
        profile = store.get(("customers", state["customer"]), "profile")
        assert profile is not None
        asked = [SystemMessage(f"Memory of the customer: {profile.value['note']}"), state["messages"][-1]]
        said = PureModel(answer=answered).invoke(asked)
        return {"answer": str(said.content), "messages": [said]}

    flow("onboarding", kept, keeper).invoke(
        {"messages": [HumanMessage("Set up C-1042.")], "customer": "C-1042"}
    )
    text = "I am Jane Doe, customer C-1042, and I want 700 EUR back. My API key: 77421"
    flow("support", kept, triage, responder).invoke({"messages": [HumanMessage(text)], "customer": "C-1042"})


def flow(name: str, store: BaseStore, *nodes: Any) -> Any:
    graph: Any = StateGraph(State)
    before = START
    for node in nodes:
        graph.add_node(node.__name__, node)
        graph.add_edge(before, node.__name__)
        before = node.__name__
    return graph.compile(store=store, name=name)


def test_a_number_by_which_the_next_agent_reads_its_memory_is_not_lost() -> None:
    serve("150")

    run = becausal.last_run()
    assert run.output is not None
    assert "Declined" in run.output.text()
    assert [finding.message for finding in run.findings if finding.severity != "note"] == []
    assert run.health.ok
    assert run.root_cause() == []
