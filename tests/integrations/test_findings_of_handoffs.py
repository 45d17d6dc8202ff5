"""The promise: on the real frameworks, clean handoffs raise nothing and faulty ones are named, with who is to blame.

The faults are put in outside becausal: in the app's own nodes, in a reducer, in an intervention handler.
"""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Annotated, Any

import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core import (
    AgentId,
    DefaultInterventionHandler,
    DropMessage,
    MessageContext,
    RoutedAgent,
    SingleThreadedAgentRuntime,
    TopicId,
    TypeSubscription,
    message_handler,
)
from autogen_ext.models.replay import ReplayChatCompletionClient
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, Send
from tests.conftest import Recording
from tests.integrations.test_autogen_delivery import idle
from typing_extensions import TypedDict

import becausal

OFFER = "Acme offers 500 units at $12.50 each, at most 700 units, delivery by 3 May 2026."


class State(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    found: Annotated[list[str], operator.add]
    count: Annotated[int, operator.add]
    plan: dict[str, Any]
    part: str
    answer: str


class Narrow(TypedDict):
    plan: dict[str, Any]


def write_plan(state: State) -> dict[str, Any]:
    plan = {"budget": 500, "due": "2026-05-03", "items": ["chair", "desk"]}
    return {"messages": [AIMessage(OFFER)], "found": ["a"], "count": 1, "plan": plan}


def graph_of(*nodes: tuple[str, Callable[..., Any]], **more: Any) -> Any:
    """Return a chain of nodes as a graph."""
    graph = StateGraph(more.get("state", State))
    for name, node in nodes:
        graph.add_node(name, node)
    for (before, _), (after, _) in pairwise(nodes):
        graph.add_edge(before, after)
    graph.add_edge(START, nodes[0][0])
    return graph.compile()


def findings_of_handoffs() -> list[tuple[str, str | None]]:
    """Return kind and blamed agent of each finding about a handoff in the last run."""
    return [(f.kind, f.agent) for f in becausal.last_run().findings if f.kind.startswith("handoff.")]


@pytest.fixture(autouse=True)
def _recording(recording: Recording) -> None:
    """Everything is hooked."""


# LangGraph, clean


def test_a_graph_with_messages_reducers_branches_and_narrow_schemas_is_clean() -> None:
    def fan_out(state: State) -> list[Send]:
        return [Send("work", {"part": part}) for part in state["plan"]["items"]]

    def work(state: State) -> dict[str, Any]:
        return {"found": [f"{state['part']} costs $40"], "count": 1}

    def narrow(state: Narrow) -> dict[str, Any]:
        return {"answer": f"within {state['plan']['budget']} dollars"}

    def join(state: State) -> Command[Any]:
        text = f"{len(state['found'])} prices; {state['answer']}"
        return Command(update={"messages": [AIMessage(text)]}, goto="last")

    graph = StateGraph(State)
    graph.add_node("plan", write_plan)
    graph.add_node("work", work)
    graph.add_node("narrow", narrow)
    graph.add_node("join", join)
    graph.add_node("last", lambda state: {"answer": state["messages"][-1].content})
    graph.add_edge(START, "plan")
    graph.add_conditional_edges("plan", fan_out, ["work"])
    graph.add_edge("plan", "narrow")
    graph.add_edge(["work", "narrow"], "join")
    graph.compile().invoke({"messages": [HumanMessage("what does it cost?")], "count": 0})

    assert findings_of_handoffs() == []
    assert len(becausal.last_run().handoffs) >= 6


def test_a_loop_that_writes_its_fields_anew_is_clean() -> None:
    def draft(state: State) -> dict[str, Any]:
        return {"plan": {"version": state.get("count", 0), "price": 100 + state.get("count", 0)}, "count": 1}

    graph = StateGraph(State)
    graph.add_node("draft", draft)
    graph.add_node("judge", lambda state: {"answer": f"version {state['plan']['version']}"})
    graph.add_edge(START, "draft")
    graph.add_edge("draft", "judge")
    graph.add_conditional_edges("judge", lambda state: "draft" if state["count"] < 4 else END, ["draft", END])
    graph.compile().invoke({"count": 0})

    assert findings_of_handoffs() == []


def test_a_node_that_summarises_with_all_facts_is_clean() -> None:
    def shorten(state: State) -> dict[str, Any]:
        return {"answer": "Acme: 500 units (max. 700), 12.50 dollars each, due no later than May 3rd, 2026."}

    graph_of(("plan", write_plan), ("shorten", shorten), ("end", lambda _: {"count": 1})).invoke({"count": 0})

    assert findings_of_handoffs() == []


# LangGraph, faulty


def test_a_field_that_is_not_in_the_state_is_dropped_by_its_node() -> None:
    def careless(_: State) -> dict[str, Any]:
        return {"answer": "yes", "deadline": "2026-05-03"}

    graph_of(("careless", careless), ("next", lambda _: {"count": 1})).invoke({"count": 0})

    assert findings_of_handoffs() == [("handoff.dropped", "careless")]


def keep_the_head(_: str | None, new: str) -> str:
    return new[:40]


def spoil(_: str | None, new: str) -> str:
    return new.replace("12.50", "125.0")


class Cut(TypedDict, total=False):
    offer: Annotated[str, keep_the_head]
    answer: str


class Spoiled(TypedDict, total=False):
    offer: Annotated[str, spoil]
    answer: str


@pytest.mark.parametrize(("state", "kind"), [(Cut, "handoff.truncated"), (Spoiled, "handoff.mutated")])
def test_a_reducer_that_cuts_or_spoils_what_was_written_is_found(state: type[Any], kind: str) -> None:
    nodes = ("buyer", lambda _: {"offer": OFFER}), ("writer", lambda state: {"answer": state["offer"]})
    graph_of(*nodes, state=state).invoke({"answer": ""})

    assert findings_of_handoffs() == [(kind, None)]


# AutoGen


@dataclass
class Note:
    text: str
    price: float
    id: str = ""


class Talker(RoutedAgent):
    """Publishes an offer when it is called."""

    times = 1
    edits = False

    @message_handler
    async def called(self, message: Note, ctx: MessageContext) -> Note:
        if self.edits:
            message.price = 99.5
        if self.id.type == "buyer":
            note = Note(OFFER, 12.5, "n-1")
            for _ in range(self.times):
                await self.publish_message(note, TopicId("offers", "x"))
        return message


class Editor(Talker):
    """Changes in place what it gets."""

    edits = True


class Twice(Talker):
    times = 2


class Cuts(DefaultInterventionHandler):
    async def on_publish(self, message: Any, *, message_context: MessageContext) -> Any:
        return Note(message.text[:40], message.price, message.id)


class Spoils(DefaultInterventionHandler):
    async def on_publish(self, message: Any, *, message_context: MessageContext) -> Any:
        message.text = message.text.replace("500", "900")
        return message


class Drops(DefaultInterventionHandler):
    async def on_publish(self, message: Any, *, message_context: MessageContext) -> Any:
        return DropMessage


class Wraps(DefaultInterventionHandler):
    async def on_publish(self, message: Any, *, message_context: MessageContext) -> Any:
        return Note(f"Offer, for your information:\n> {message.text}\nThank you.", message.price, message.id)


async def play(buyer: type[Talker], *readers: type[Talker], handlers: Sequence[Any] = ()) -> None:
    """Let a buyer publish its offer to the readers, in their order."""
    runtime = SingleThreadedAgentRuntime(intervention_handlers=list(handlers) or None)
    await buyer.register(runtime, "buyer", partial(buyer, "buys"))
    for place, reader in enumerate(readers):
        await reader.register(runtime, f"reader{place}", partial(reader, "reads"))
        await runtime.add_subscription(TypeSubscription("offers", f"reader{place}"))
    runtime.start()
    await runtime.send_message(Note("go", 0.0), AgentId("buyer", "x"))
    await idle(runtime)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (lambda: play(Talker, Talker, Talker), []),
        (lambda: play(Talker, Talker, handlers=[Wraps()]), []),
        (lambda: play(Talker, Editor, Talker), [("handoff.mutated", "reader0")]),
        (lambda: play(Talker, Talker, handlers=[Cuts()]), [("handoff.truncated", None)]),
        (lambda: play(Talker, Talker, handlers=[Spoils()]), [("handoff.mutated", None)]),
        (lambda: play(Talker, Talker, handlers=[Drops()]), [("handoff.lost", None)]),
        (lambda: play(Twice, Talker), [("handoff.duplicated", None)]),
        (lambda: play(Talker), [("handoff.lost", None)]),
    ],
    ids=["clean", "wrapped", "edited in place", "cut", "spoiled", "dropped", "twice", "no subscriber"],
)
def test_what_happens_to_a_broadcast_is_found(
    told: Callable[[], Awaitable[None]], expected: list[tuple[str, str | None]]
) -> None:
    async def run() -> None:
        await told()

    asyncio.run(run())

    assert findings_of_handoffs() == expected


def test_a_team_that_talks_is_clean() -> None:
    def agent(name: str, *answers: str) -> AssistantAgent:
        return AssistantAgent(name, ReplayChatCompletionClient(list(answers)))

    async def run() -> None:
        team = RoundRobinGroupChat(
            [agent("ann", OFFER, "Agreed."), agent("ben", "500 units at $12.50: fine.", "Good.")],
            termination_condition=MaxMessageTermination(5),
        )
        await team.run(task="Buy chairs for at most $7,000.")

    asyncio.run(run())

    assert findings_of_handoffs() == []
