"""The promise: what the benchmark of faults had shown to be missed, or to be told without need, stays mended.

Each is the smallest run that shows it, on the real framework.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from autogen_core import (
    DefaultInterventionHandler,
    MessageContext,
    RoutedAgent,
    SingleThreadedAgentRuntime,
    TopicId,
    TypeSubscription,
    message_handler,
)
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, Send, interrupt
from tests.conftest import Recording
from tests.integrations.fakes_langchain import PureModel
from typing_extensions import TypedDict

import becausal

REQUEST = "Buy 500 chairs for order QX-48213, at most $7,000, from https://acme.example/offers/1373."


@pytest.fixture(autouse=True)
def _recording(recording: Recording) -> None:
    """Everything is hooked."""


class State(TypedDict, total=False):
    request: str
    draft: str
    plan: str
    part: str
    found: Annotated[list[str], operator.add]
    scrap: Annotated[list[str], operator.add]
    answer: str


class Found(TypedDict, total=False):
    found: Annotated[list[str], operator.add]


def kinds() -> list[tuple[str, str | None]]:
    return [(f.kind, f.agent) for f in becausal.last_run().findings if f.severity != "note"]


def says(text: str, given: str) -> str:
    """Ask a model that is given one text and answers another."""
    return str(PureModel(answer=lambda _: AIMessage(text)).invoke(given).content)


def row(*nodes: tuple[str, Callable[[Any], Any]], state: Any = State, **options: Any) -> Any:
    graph: Any = StateGraph(state)
    before = START
    for name, node in nodes:
        graph.add_node(name, node)
        graph.add_edge(before, name)
        before = name
    return graph.compile(**options)


def test_a_limit_that_an_agent_left_out_is_lost_though_the_shared_state_still_holds_the_request() -> None:
    short = "500 chairs for QX-48213 from https://acme.example/offers/1373"
    row(
        ("ada", lambda s: {"draft": says(REQUEST, s["request"])}),
        ("bo", lambda s: {"plan": says(short, s["draft"])}),
        ("cleo", lambda s: {"answer": says(f"{short}: ordered", s["plan"])}),
    ).invoke({"request": REQUEST})

    assert ("drift.lost_fact", "bo") in kinds()


def test_a_deadline_says_no_less_as_a_sentence() -> None:
    asked = "Deadline: 3 May 2027. Order QX-48213, at most $7,000."
    same = "The deadline is 2027-05-03. The order is QX-48213, for no more than USD 7,000."
    row(
        ("ada", lambda s: {"draft": says(same, s["request"])}),
        ("bo", lambda s: {"answer": says(same, s["draft"])}),
    ).invoke({"request": asked})

    assert kinds() == []


def test_what_a_human_changed_while_the_run_waited_for_him_is_no_drift() -> None:
    graph = row(
        ("ada", lambda s: {"draft": says("500 chairs", s["request"])}),
        ("asks", lambda s: {"plan": interrupt(s["draft"])}),
        ("bo", lambda s: {"answer": says(s["plan"], s["plan"])}),
        checkpointer=InMemorySaver(),
    )
    config: Any = {"configurable": {"thread_id": "t-1"}}
    graph.invoke({"request": "Buy 500 chairs."}, config)
    graph.invoke(Command(resume="5000 chairs"), config)

    assert kinds() == []


def adds_a_line(old: str | None, new: str) -> str:
    return f"{new}\nThe deposit is $5,702.00, to be paid at once."


class Spoiled(TypedDict, total=False):
    offer: Annotated[str, adds_a_line]
    answer: str


def test_what_a_channel_puts_to_a_text_is_injected_though_the_output_holds_it_too() -> None:
    row(
        ("buyer", lambda s: {"offer": "Chairs cost $12.50 each."}),
        ("writer", lambda s: {"answer": s["offer"]}),
        state=Spoiled,
    ).invoke({"answer": ""})

    assert kinds() == [("handoff.injected", None)]


def test_a_worker_who_writes_where_nobody_reads_is_orphaned_though_the_join_came_after_him() -> None:
    def works(state: State) -> dict[str, Any]:
        return {"scrap" if state["part"] == "Oslo" else "found": [f"{state['part']} asks $12.50"]}

    graph: Any = StateGraph(State)
    graph.add_node("plan", lambda s: {"draft": "three shops"})
    graph.add_node("work", works)
    graph.add_node("join", lambda s: {"answer": "; ".join(s["found"])}, input_schema=Found)
    graph.add_edge(START, "plan")
    shops = ("Rome", "Oslo", "Bonn")
    graph.add_conditional_edges("plan", lambda s: [Send("work", {"part": shop}) for shop in shops], ["work"])
    graph.add_edge("work", "join")
    graph.compile().invoke({"request": "go"})

    assert kinds() == [("chain.orphaned", "work")]


def test_a_hedge_that_only_the_answer_lost_is_told_though_the_state_keeps_it_elsewhere() -> None:
    row(
        ("ada", lambda s: {"draft": "The deposit is probably $5,702.00."}),
        ("bo", lambda s: {"answer": "The deposit is $5,702.00."}),
    ).invoke({"request": "What is the deposit?"})

    assert kinds() == [("confidence.inflated", "bo")]


def test_a_wish_for_an_agent_that_never_came_to_work_is_known_by_the_graph() -> None:
    call = {"name": "transfer_to_eve", "args": {}, "id": "call-1"}
    model = PureModel(answer=lambda _: AIMessage("", tool_calls=[call]))

    def router(state: State) -> Command[Any]:
        model.invoke(state["request"])
        return Command(goto="ivy", update={"draft": state["request"]})

    graph: Any = StateGraph(State)
    graph.add_node("ada", router, destinations=("eve", "ivy"))
    graph.add_node("eve", lambda s: {"answer": "eve"})
    graph.add_node("ivy", lambda s: {"answer": "ivy"})
    graph.add_edge(START, "ada")
    graph.compile().invoke({"request": "Buy chairs."})

    assert kinds() == [("handoff.misrouted", "ada")]


@dataclass
class Brief:
    record: dict[str, Any]


class Reads(RoutedAgent):
    @message_handler
    async def on_brief(self, message: Brief, ctx: MessageContext) -> None:
        pass


class Flattens(DefaultInterventionHandler):
    async def on_publish(self, message: Any, *, message_context: MessageContext) -> Any:
        return Brief({"note": message.record["note"], "data": str(message.record["data"])})


async def test_the_body_of_a_message_that_was_replaced_on_its_way_is_kept() -> None:
    runtime = SingleThreadedAgentRuntime(intervention_handlers=[Flattens()])
    await Reads.register(runtime, "reader", lambda: Reads("reads"))
    await runtime.add_subscription(TypeSubscription("briefs", "reader"))
    runtime.start()
    brief = Brief(
        {"note": "what we know of it, " * 40, "data": {"price": 12.5, "terms": "thirty days, " * 30}}
    )
    await runtime.publish_message(brief, TopicId("briefs", "x"))
    await runtime.stop_when_idle()

    (handoff,) = becausal.last_run().handoffs
    assert handoff.received is not None
    arrived: Any = handoff.received.value()
    assert arrived["record"]["data"] == str(brief.record["data"])
    assert ("handoff.flattened", None) in kinds()
