"""Graphs of agents: an agent as a node or a tool of another, tools that hand over, and what stays in a subgraph."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Annotated, Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.tools import InjectedToolCallId, tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import InjectedState, ToolNode
from langgraph.types import Command, Send
from tests.conftest import Recording
from tests.integrations.fakes_langchain import PureModel, tool_call
from tests.integrations.having import create_agent, needs_agents
from tests.integrations.kinds import Kinds
from typing_extensions import TypedDict

import becausal
from becausal.payload import Payload


def value(payload: Payload | None) -> Any:
    assert payload is not None
    return payload.value()


@tool
def search(query: str) -> str:
    """Search."""
    return f"the rate for {query} is 4.2%"


@tool
def transfer_to_writer(
    state: Annotated[dict[str, Any], InjectedState], call_id: Annotated[str, InjectedToolCallId]
) -> Any:
    """Hand over."""
    told = ToolMessage("handed over", tool_call_id=call_id)
    return Command(goto="writer", graph=Command.PARENT, update={"messages": [*state["messages"], told]})


def search_then_hand_over(messages: Sequence[BaseMessage]) -> AIMessage:
    if isinstance(messages[-1], ToolMessage):
        return AIMessage("it is found", id="m-2", tool_calls=[tool_call("transfer_to_writer", "t-2")])
    return AIMessage("", id="m-1", tool_calls=[tool_call("search", "t-1", query="loans")])


def report(messages: Sequence[BaseMessage]) -> AIMessage:
    found = next(message for message in messages if isinstance(message, ToolMessage))
    return AIMessage(f"REPORT: {found.content}", id="m-3")


def team() -> Any:
    graph: Any = StateGraph(MessagesState)
    lead = create_agent(PureModel(answer=search_then_hand_over), [search, transfer_to_writer], name="lead")
    graph.add_node("lead", lead, destinations=("writer",))
    graph.add_node("writer", create_agent(PureModel(answer=report), [], name="writer"))
    graph.add_edge(START, "lead")
    return graph.compile(name="team")


@needs_agents
def test_what_a_tool_is_given_of_the_state_is_a_read_and_not_of_its_making(recording: Recording) -> None:
    team().invoke({"messages": [("user", "what is the rate?")]})

    run = Kinds(recording.last())
    read = run.one("memory_read", "state")
    assert run.by_id[str(read.parent_id)].name == "transfer_to_writer"
    assert [message["content"] for message in value(read.produced)["messages"]] == [
        "what is the rate?",
        "",
        "the rate for loans is 4.2%",
        "it is found",
    ]
    (writer,) = run.causes(read, "memory")
    assert (writer.kind, writer.name, writer.agent) == ("agent", "model", "lead")
    blamed = becausal.last_run().blame("the rate for loans is 4.2%")
    origin = blamed.segments[0].origin
    assert origin is not None
    assert (origin.kind, origin.name) == ("tool", "search")


def test_a_tool_that_takes_no_state_reads_none(recording: Recording) -> None:
    graph: Any = StateGraph(MessagesState)
    graph.add_node("tools", ToolNode([search]))
    graph.add_edge(START, "tools")
    asked = AIMessage("", tool_calls=[tool_call("search", "t-1", query="loans")])
    graph.compile().invoke({"messages": [asked]})

    assert not Kinds(recording.last()).all("memory_read")


def test_of_one_channel_that_a_tool_is_given_its_writer_is_the_cause(recording: Recording) -> None:
    class State(MessagesState):
        topic: str

    @tool
    def about(topic: Annotated[str, InjectedState("topic")]) -> str:
        """Tell."""
        return f"about {topic}"

    def ask(state: State) -> dict[str, Any]:
        return {"messages": [AIMessage("", id="m-1", tool_calls=[tool_call("about", "t-1")])]}

    def choose(state: State) -> dict[str, Any]:
        return {"topic": "loans"}

    graph: Any = StateGraph(State)
    graph.add_sequence([choose, ask, ("tools", ToolNode([about]))])
    graph.add_edge(START, "choose")
    graph.compile().invoke({"messages": [("user", "tell")]})

    run = Kinds(recording.last())
    read = run.one("memory_read", "state")
    assert value(read.produced) == {"topic": "loans"}
    assert [cause.name for cause in run.causes(read, "memory")] == ["choose"]


@needs_agents
def test_a_handover_by_a_tool_is_one_decision_and_the_model_s(recording: Recording) -> None:
    team().invoke({"messages": [("user", "what is the rate?")]})

    handovers = [decision for decision in becausal.last_run().decisions if "hand over" in decision.conclusion]
    assert [(decision.step.kind, decision.conclusion) for decision in handovers] == [
        ("model", "hand over to writer")
    ]


@needs_agents
def test_what_a_tool_decides_that_its_name_does_not_say_is_told(recording: Recording) -> None:
    @tool
    def escalate(call_id: Annotated[str, InjectedToolCallId]) -> Any:
        """Escalate."""
        told = ToolMessage("escalated", tool_call_id=call_id)
        return Command(goto="writer", graph=Command.PARENT, update={"messages": [told]})

    asks = PureModel(answer=lambda _: AIMessage("", id="m-1", tool_calls=[tool_call("escalate", "t-1")]))
    graph: Any = StateGraph(MessagesState)
    graph.add_node("lead", create_agent(asks, [escalate], name="lead"), destinations=("writer",))
    graph.add_node("writer", lambda _: {"messages": [AIMessage("done", id="m-2")]})
    graph.add_edge(START, "lead")
    graph.compile().invoke({"messages": [("user", "help")]})

    conclusions = [decision.conclusion for decision in becausal.last_run().decisions]
    assert conclusions == ["call escalate()", "hand over to writer"]


def test_a_node_in_a_subgraph_that_jumps_out_decides_once_and_its_graph_produced_what_it_carries(
    recording: Recording,
) -> None:
    class State(TypedDict, total=False):
        note: str

    def jump(state: State) -> Command[Any]:
        return Command(goto="after", graph=Command.PARENT, update={"note": "jumped"})

    inner: Any = StateGraph(State)
    inner.add_node(jump)
    inner.add_edge(START, "jump")
    graph: Any = StateGraph(State)
    graph.add_node("inner", inner.compile(name="inner graph"), destinations=("after",))
    graph.add_node("after", lambda state: {"note": state["note"] + "!"})
    graph.add_edge(START, "inner")

    assert graph.compile().invoke({"note": ""}) == {"note": "jumped!"}

    run = Kinds(recording.last())
    assert value(run.one("workflow", "inner graph").produced) == {"note": "jumped"}
    assert [decision.step.name for decision in becausal.last_run().decisions] == ["jump"]
    assert run.one("agent", "inner").attributes["langgraph.goto"] == ("after",)


@needs_agents
def test_an_agent_that_gives_the_conversation_back_longer_has_changed_nothing_of_it(
    recording: Recording,
) -> None:
    team().invoke({"messages": [("user", "what is the rate?")]})

    assert not Kinds(recording.last()).all("memory_write")


def test_an_agent_that_words_an_earlier_message_anew_is_seen_to(recording: Recording) -> None:
    def ask(state: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage("four", id="m-1")]}

    def correct(state: MessagesState) -> dict[str, Any]:
        return {"messages": [state["messages"][0], AIMessage("five", id="m-1")]}

    graph: Any = StateGraph(MessagesState)
    graph.add_sequence([ask, correct])
    graph.add_edge(START, "ask")
    graph.compile().invoke({"messages": [("user", "how many?")]})

    assert Kinds(recording.last()).one("memory_write", "messages")


class Inner(TypedDict, total=False):
    item: str
    log: Annotated[list[str], operator.add]


class Outer(TypedDict, total=False):
    items: list[str]
    log: Annotated[list[str], operator.add]


def fan_out(inner: Any) -> Any:
    graph: Any = StateGraph(Outer)
    graph.add_node("plan", lambda _: {"items": ["x", "y"]})
    graph.add_node("worker", inner)
    graph.add_node("total", lambda state: {"log": [str(len(state["log"]))]})
    graph.add_edge(START, "plan")
    graph.add_conditional_edges(
        "plan", lambda state: [Send("worker", {"item": item}) for item in state["items"]], ["worker"]
    )
    graph.add_edge("worker", "total")
    return graph.compile()


def inner_graph(**schemas: Any) -> Any:
    graph: Any = StateGraph(Inner, **schemas)
    graph.add_node("work", lambda state: {"log": [f"did {state['item']}"]})
    graph.add_edge(START, "work")
    return graph.compile()


def test_a_subgraph_s_own_state_stays_in_it_and_that_is_no_fault(recording: Recording) -> None:
    assert fan_out(inner_graph()).invoke({"log": []})["log"] == ["did x", "did y", "2"]

    run = Kinds(recording.last())
    for step in run.all("agent", "worker"):
        assert step.attributes["langgraph.private_keys"] == ("item",)
        assert "langgraph.dropped_keys" not in step.attributes
        assert set(value(step.produced)) == {"log"}
    assert not becausal.last_run().findings


def test_what_a_subgraph_names_as_its_output_and_its_parent_does_not_know_is_dropped(
    recording: Recording,
) -> None:
    class Result(TypedDict, total=False):
        item: str
        log: Annotated[list[str], operator.add]

    fan_out(inner_graph(output_schema=Result)).invoke({"log": []})

    for step in Kinds(recording.last()).all("agent", "worker"):
        assert step.attributes["langgraph.dropped_keys"] == ("item",)
