"""LangGraph: every run of a graph is told with its causes, and nothing of the app changes."""

from __future__ import annotations

import asyncio
import gc
import importlib
import importlib.metadata
import logging
import re
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langgraph.cache.memory import InMemoryCache
from langgraph.channels import LastValue
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphRecursionError
from langgraph.func import entrypoint, task
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, create_react_agent
from langgraph.pregel import NodeBuilder, Pregel, _loop
from langgraph.types import CachePolicy, Command, RetryPolicy, Send, interrupt
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from packaging.specifiers import SpecifierSet
from tests.conftest import Recording
from tests.integrations.fakes_langchain import (
    PureModel,
    State,
    StreamingModel,
    chain_of,
    use_tool_once,
)
from tests.integrations.having import (
    HAS_ERROR_HANDLERS,
    HAS_THREAD_STREAMS,
    create_agent,
    needs_agents,
    needs_error_handlers,
)

import becausal
from becausal.adapter import Hooks
from becausal.context import current
from becausal.instrument import hooks_report
from becausal.recorder import Recorder
from becausal.step import Step
from becausal.telemetry import Telemetry
from becausal_integrations.langgraph import LangGraphAdapter
from becausal_integrations.langgraph.register import Register

INPUT: Any = {"question": "how many?", "log": []}


def a_graph(state: Any = State) -> Any:
    return StateGraph(state)


def planner(_: State) -> dict[str, Any]:
    return {"findings": "42", "log": ["planner"], "note": "not in the schema"}


def researcher(_: State) -> dict[str, Any]:
    return {"log": ["researcher"]}


def writer(state: State) -> dict[str, Any]:
    return {"draft": f"it is {state['findings']}"}


def named(steps: list[Step], name: str, kind: str = "agent") -> list[Step]:
    return [step for step in steps if step.kind == kind and step.name == name]


def only(steps: list[Step], name: str, kind: str = "agent") -> Step:
    (step,) = named(steps, name, kind)
    return step


def handoffs(steps: list[Step]) -> list[str]:
    return [step.name for step in steps if step.kind == "handoff"]


def value(payload: Any) -> Any:
    assert payload is not None
    return payload.value()


def sources(steps: list[Step], step: Step, kind: str) -> set[str]:
    """The names of the steps that caused a step by an edge of a kind."""
    by_id = {other.id: other for other in steps}
    return {by_id[cause.source_id].name for cause in step.causes if cause.kind == kind}


def fan_out_of(width: int) -> Any:
    def split(_: State) -> list[Send]:
        return [Send("work", {"number": number}) for number in range(width)]

    def work(sent: dict[str, int]) -> dict[str, Any]:
        return {"log": [str(sent["number"])]}

    graph = a_graph()
    for node in (planner, work, writer):
        graph.add_node(node.__name__, node)
    graph.add_edge(START, "planner")
    graph.add_conditional_edges("planner", split, ["work"])
    graph.add_edge("work", "writer")
    return graph.compile()


def diamond() -> Any:
    def left(_: State) -> dict[str, Any]:
        return {"log": ["left"]}

    def right(_: State) -> dict[str, Any]:
        return {"log": ["right"]}

    graph = a_graph()
    for node in (planner, left, right, writer):
        graph.add_node(node.__name__, node)
    graph.add_edge(START, "planner")
    graph.add_edge("planner", "left")
    graph.add_edge("planner", "right")
    graph.add_edge(["left", "right"], "writer")
    return graph.compile()


# What is told of a run


async def run_to_end(app: Any, how: str) -> None:
    if how == "invoke":
        app.invoke(INPUT)
    elif how == "ainvoke":
        await app.ainvoke(INPUT)
    elif how == "stream":
        list(app.stream(INPUT))
    else:
        assert [chunk async for chunk in app.astream(INPUT)]


@pytest.mark.parametrize("how", ["invoke", "ainvoke", "stream", "astream"])
async def test_each_way_to_run_a_graph_tells_the_same_steps(recording: Recording, how: str) -> None:
    await run_to_end(chain_of(planner, researcher, writer, name="team"), how)

    steps = recording.last()
    assert [(step.kind, step.name) for step in steps] == [
        ("workflow", "team"),
        ("agent", "planner"),
        ("handoff", "planner to researcher"),
        ("agent", "researcher"),
        ("handoff", "researcher to writer"),
        ("agent", "writer"),
    ]
    assert {step.status for step in steps} == {"ok"}
    assert all(step.parent_id == steps[0].id for step in steps[1:])


def test_a_workflow_has_what_the_user_gave_and_what_the_user_got(recording: Recording) -> None:
    result = chain_of(planner, researcher, writer).invoke(INPUT)

    workflow = recording.last()[0]
    assert value(workflow.received) == INPUT
    assert value(workflow.produced) == result


def test_a_node_has_its_input_and_its_own_update_with_keys_that_the_schema_lacks(
    recording: Recording,
) -> None:
    chain_of(planner, writer).invoke(INPUT)

    step = only(recording.last(), "planner")
    assert value(step.received) == INPUT
    assert value(step.produced) == {"findings": "42", "log": ["planner"], "note": "not in the schema"}
    assert step.agent == "planner"
    assert step.attributes["langgraph.node"] == "planner"
    assert step.attributes["langgraph.step"] == 1


def test_a_handoff_links_sender_and_receiver_with_what_was_sent_and_received(recording: Recording) -> None:
    chain_of(planner, writer).invoke(INPUT)

    steps = recording.last()
    handoff = only(steps, "planner to writer", "handoff")
    sender, receiver = only(steps, "planner"), only(steps, "writer")
    assert [(cause.source_id, cause.kind, cause.grade) for cause in handoff.causes] == [
        (sender.id, "transfer", "observed")
    ]
    assert "branch:to:writer@" in handoff.causes[0].evidence
    assert handoff.id in {cause.source_id for cause in receiver.causes}
    assert handoff.received == sender.produced
    assert handoff.produced == receiver.received
    assert (sender.hop, handoff.hop, receiver.hop) == (0, 1, 1)


def test_a_value_that_waited_in_a_channel_is_a_cause_of_its_reader(recording: Recording) -> None:
    chain_of(planner, researcher, writer).invoke(INPUT)

    steps = recording.last()
    (cause,) = (cause for cause in only(steps, "writer").causes if cause.kind == "data")
    assert cause.source_id == only(steps, "planner").id
    assert cause.grade == "observed"
    assert cause.evidence.startswith("channel findings@")


def test_a_join_is_caused_by_everyone_it_waited_for(recording: Recording) -> None:
    diamond().invoke(INPUT)

    steps = recording.last()
    assert handoffs(steps).count("planner to left") == 1
    assert sources(steps, only(steps, "writer"), "transfer") == {"left to writer", "right to writer"}


def test_a_join_remembers_those_who_came_in_an_earlier_superstep(recording: Recording) -> None:
    graph = a_graph()
    for name in ("short", "long", "longer", "last"):
        graph.add_node(name, researcher)
    graph.add_edge(START, "short")
    graph.add_edge(START, "long")
    graph.add_edge("long", "longer")
    graph.add_edge(["short", "longer"], "last")
    graph.compile().invoke(INPUT)

    steps = recording.last()
    assert sources(steps, only(steps, "last"), "transfer") == {"short to last", "longer to last"}


def test_a_channel_that_has_triggered_once_is_not_taken_for_a_cause_again(recording: Recording) -> None:
    once = NodeBuilder().subscribe_only("start").do(lambda _: 1).write_to("a")
    again = NodeBuilder().subscribe_to("a", "b").do(lambda _: 2).write_to("b")
    app: Any = Pregel(
        nodes={"once": once, "again": again},
        channels={name: LastValue(int) for name in ("start", "a", "b")},
        input_channels="start",
        output_channels="b",
    )
    with pytest.raises(GraphRecursionError):
        app.invoke(0, {"recursion_limit": 3})

    assert handoffs(recording.last()) == ["once to again", "again to again", "again to again"]


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_fan_out_of_fifty_sends_stays_one_chain(recording: Recording, is_async: bool) -> None:
    app = fan_out_of(50)
    await app.ainvoke(INPUT) if is_async else app.invoke(INPUT)

    steps = recording.last()
    assert len(named(steps, "work")) == 50
    assert handoffs(steps).count("planner to work") == 50
    assert handoffs(steps).count("work to writer") == 50
    assert len({step.chain_id for step in steps}) == 1
    sent = {value(step.received)["number"] for step in steps if step.name == "planner to work"}
    assert sent == set(range(50))


def test_what_a_send_carried_is_fixed_when_it_was_sent(recording: Recording) -> None:
    shared = {"number": 1}

    def split(_: State) -> list[Send]:
        return [Send("work", shared)]

    def work(sent: dict[str, Any]) -> dict[str, Any]:
        sent["number"] = 2
        return {"log": []}

    graph = a_graph()
    graph.add_node(planner)
    graph.add_node(work)
    graph.add_edge(START, "planner")
    graph.add_conditional_edges("planner", split, ["work"])
    graph.compile().invoke(INPUT)

    assert value(only(recording.last(), "planner to work", "handoff").received) == {"number": 1}


def test_a_command_is_a_decision_to_hand_over(recording: Recording) -> None:
    def chief(_: State) -> Command[str]:
        return Command(goto="writer", update={"findings": "7"})

    graph = a_graph()
    graph.add_node("chief", chief, destinations=("writer",))
    graph.add_node(writer)
    graph.add_edge(START, "chief")
    graph.compile().invoke(INPUT)

    steps = recording.last()
    step = only(steps, "chief")
    assert value(step.produced) == {"findings": "7"}
    assert [choice.conclusion for choice in step.choices] == ["hand over to writer"]
    assert step.choices[0].premises == ("how many?",)
    assert handoffs(steps) == ["chief to writer"]


def test_a_conditional_edge_is_a_decision_of_its_node(recording: Recording) -> None:
    def to_writer(_: State) -> str:
        return "enough"

    graph = a_graph()
    for node in (planner, researcher, writer):
        graph.add_node(node.__name__, node)
    graph.add_edge(START, "planner")
    graph.add_conditional_edges("planner", to_writer, {"enough": "writer", "more": "researcher"})
    graph.compile().invoke(INPUT)

    steps = recording.last()
    (route,) = (step for step in steps if step.kind == "route")
    assert route.parent_id == only(steps, "planner").id
    assert route.agent == "planner"
    assert [choice.conclusion for choice in route.choices] == ["route to writer"]
    assert handoffs(steps) == ["planner to writer"]


def test_a_conditional_entry_is_a_decision_of_the_graph_and_works_in_its_chain(recording: Recording) -> None:
    @tool
    def look(place: str) -> str:
        """Look."""
        return place

    def enter(_: State) -> str:
        return str(look.invoke({"place": "writer"}))

    graph = a_graph()
    graph.add_node("writer", researcher)
    graph.add_conditional_edges(START, enter, ["writer"])
    graph.compile().invoke(INPUT)

    steps = recording.last()
    route = only(steps, "enter", "route")
    assert route.parent_id == steps[0].id
    assert [choice.conclusion for choice in route.choices] == ["route to writer"]
    assert only(steps, "look", "tool").parent_id == steps[0].id


def test_a_subgraph_stands_under_the_node_that_holds_it(recording: Recording) -> None:
    inner = chain_of(planner, researcher, name="inner")
    graph = a_graph()
    graph.add_node("research", inner)
    graph.add_node(writer)
    graph.add_edge(START, "research")
    graph.add_edge("research", "writer")
    graph.compile(name="outer").invoke(INPUT)

    steps = recording.last()
    assert only(steps, "inner", "workflow").parent_id == only(steps, "research").id
    assert only(steps, "planner").parent_id == only(steps, "inner", "workflow").id
    assert handoffs(steps) == ["planner to researcher", "research to writer"]


def test_a_jump_to_the_parent_graph_is_no_error(recording: Recording) -> None:
    def jump(_: State) -> Command[str]:
        return Command(goto="writer", update={"findings": "up"}, graph=Command.PARENT)

    graph = a_graph()
    graph.add_node("child", chain_of(jump), destinations=("writer",))
    graph.add_node(writer)
    graph.add_edge(START, "child")
    graph.compile().invoke(INPUT)

    steps = recording.last()
    assert only(steps, "jump").status == "ok"
    assert only(steps, "child").status == "ok"
    assert handoffs(steps) == ["child to writer"]


def test_a_called_task_stands_under_its_caller(recording: Recording) -> None:
    @task
    def inner(number: int) -> int:
        return number + 1

    @task
    def outer(number: int) -> int:
        return int(inner(number).result()) * 10

    @entrypoint()
    def flow(number: int) -> int:
        return int(outer(number).result())

    flow.invoke(1)

    steps = recording.last()
    assert only(steps, "inner").parent_id == only(steps, "outer").id
    assert only(steps, "outer").parent_id == only(steps, "flow").id
    assert value(only(steps, "outer").produced) == 20


def test_an_interrupt_is_no_error_and_its_resumption_goes_on_with_the_chain(recording: Recording) -> None:
    def ask(_: State) -> dict[str, Any]:
        return {"findings": interrupt("which?")}

    app = chain_of(planner, ask, writer, checkpointer=InMemorySaver())
    thread = {"configurable": {"thread_id": "1"}}
    app.invoke(INPUT, thread)
    app.invoke(Command(resume="this"), thread)

    steps = recording.last()
    first, second = named(steps, "ask")
    assert first.status == "interrupted"
    assert second.status == "ok"
    assert [cause.source_id for cause in second.causes if cause.kind == "resume"] == [first.id]
    workflows = named(steps, "LangGraph", "workflow")
    assert [step.status for step in workflows] == ["interrupted", "ok"]
    assert workflows[1].attributes["gen_ai.conversation.id"] == "1"
    assert handoffs(steps) == ["planner to ask", "ask to writer"]
    assert "planner" in sources(steps, only(steps, "writer"), "data")


def test_a_static_interrupt_hands_over_once_the_run_is_resumed(recording: Recording) -> None:
    app = chain_of(planner, writer, checkpointer=InMemorySaver(), interrupt_before=["writer"])
    thread = {"configurable": {"thread_id": "1"}}
    app.invoke(INPUT, thread)
    app.invoke(None, thread)

    steps = recording.last()
    assert [step.status for step in named(steps, "LangGraph", "workflow")] == ["interrupted", "ok"]
    assert handoffs(steps) == ["planner to writer"]


def test_a_recursion_limit_is_an_error_of_the_workflow(recording: Recording) -> None:
    graph = a_graph()
    graph.add_node(researcher)
    graph.add_edge(START, "researcher")
    graph.add_edge("researcher", "researcher")
    with pytest.raises(GraphRecursionError):
        graph.compile().invoke(INPUT, {"recursion_limit": 3})

    workflow = recording.last()[0]
    assert workflow.status == "error"
    assert str(workflow.error).startswith("GraphRecursionError")


def test_a_hit_in_the_cache_is_told_as_one(recording: Recording) -> None:
    graph = a_graph()
    graph.add_node("planner", planner, cache_policy=CachePolicy())
    graph.add_node(writer)
    graph.add_edge(START, "planner")
    graph.add_edge("planner", "writer")
    app = graph.compile(cache=InMemoryCache())
    app.invoke(INPUT)
    app.invoke(INPUT)

    cached, run = (only(steps, "planner") for steps in recording.runs())
    assert "becausal.cached" not in run.attributes
    assert cached.attributes["becausal.cached"] is True
    assert value(cached.produced) == {"findings": "42", "log": ["planner"]}
    assert handoffs(recording.runs()[0]) == ["planner to writer"]


def test_every_attempt_is_kept_and_numbered(recording: Recording) -> None:
    tries = []

    def flaky(_: State) -> dict[str, Any]:
        tries.append(1)
        if len(tries) < 3:
            raise ValueError("not yet")
        return {"draft": "done"}

    graph = a_graph()
    policy = RetryPolicy(initial_interval=0, jitter=False, retry_on=ValueError)
    graph.add_node("flaky", flaky, retry_policy=policy)
    graph.add_edge(START, "flaky")
    graph.compile().invoke(INPUT)

    attempts = named(recording.last(), "flaky")
    assert [step.attributes["becausal.attempt"] for step in attempts] == [1, 2, 3]
    assert [step.status for step in attempts] == ["error", "error", "ok"]


@needs_error_handlers
def test_an_error_handler_is_caused_by_the_node_that_failed(recording: Recording) -> None:
    def bad(_: State) -> dict[str, Any]:
        raise RuntimeError("bad")

    def mend(_: State) -> dict[str, Any]:
        return {"draft": "mended"}

    graph = a_graph()
    graph.add_node("bad", bad, error_handler=mend)
    graph.add_edge(START, "bad")
    graph.compile().invoke(INPUT)

    steps = recording.last()
    (handler,) = (step for step in steps if step.kind == "agent" and step.name != "bad")
    assert only(steps, "bad").status == "error"
    assert sources(steps, handler, "route") == {"bad"}


def test_a_batch_is_a_chain_for_each_input(recording: Recording) -> None:
    chain_of(planner, writer).batch([INPUT, INPUT, INPUT])

    assert [len(steps) for steps in recording.runs()] == [4, 4, 4]


def test_a_loop_costs_the_same_at_every_turn(recording: Recording) -> None:
    def turn(state: State) -> Command[str]:
        return Command(goto="turn" if len(state["log"]) < 40 else "__end__", update={"log": ["x"]})

    graph = a_graph()
    graph.add_node("turn", turn, destinations=("turn",))
    graph.add_edge(START, "turn")
    graph.compile().invoke(INPUT, {"recursion_limit": 100})

    turns = named(recording.last(), "turn")
    assert len(turns) == 41
    assert max(len(step.causes) for step in turns) == 1


# Agents of LangChain


@tool
def search(query: str) -> list[dict[str, str]]:
    """Search."""
    return [{"fact": f"{query} is 42"}]


@needs_agents
def test_the_inside_of_a_prebuilt_agent_is_the_agent_s_work(recording: Recording) -> None:
    model = PureModel(answer=use_tool_once("search", query="it"))
    agent: Any = create_agent(model, [search], name="finder")
    agent.invoke({"messages": [("user", "what is it?")]})

    steps = recording.last()
    assert {step.agent for step in steps} == {"finder"}
    assert handoffs(steps) == []
    (asked, answered), call = named(steps, "pure-1", "model"), only(steps, "search", "tool")
    assert sources(steps, call, "data") == {"pure-1"}
    assert [cause.source_id for cause in call.causes] == [asked.id]
    assert only(steps, "tools").id == call.parent_id
    assert sources(steps, named(steps, "model")[1], "transfer") == {"tools"}
    assert [choice.conclusion for choice in answered.choices] == [
        'answer: the tool said [{"fact": "it is 42"}]'
    ]


@pytest.mark.parametrize("make", [pytest.param(create_agent, marks=needs_agents), create_react_agent])
@pytest.mark.filterwarnings("ignore:create_react_agent has been moved")
def test_a_prebuilt_agent_without_a_name_is_called_like_its_node(
    recording: Recording, make: Callable[..., Any]
) -> None:
    agent = make(PureModel(answer=use_tool_once("search", query="it")), [search])
    graph = a_graph(agent.builder.state_schema)
    graph.add_node("scout", agent)
    graph.add_node("closer", lambda _: {"messages": []})
    graph.add_edge(START, "scout")
    graph.add_edge("scout", "closer")
    graph.compile().invoke({"messages": [("user", "what is it?")]})

    steps = recording.last()
    assert only(steps, "search", "tool").agent == "scout"
    assert handoffs(steps) == ["scout to closer"]


def test_a_tool_node_s_caught_error_is_the_tool_s_error(recording: Recording) -> None:
    @tool
    def fail(query: str) -> str:
        """Fail."""
        raise ValueError(query)

    def ask(_: Any) -> dict[str, Any]:
        answer = use_tool_once("fail", query="no")
        return {"messages": [answer([HumanMessage("no?")])]}

    graph = a_graph(MessagesState)
    graph.add_node(ask)
    graph.add_node("tools", ToolNode([fail], handle_tool_errors=True))
    graph.add_edge(START, "ask")
    graph.add_edge("ask", "tools")
    result = graph.compile().invoke({"messages": []})

    assert result["messages"][-1].status == "error"
    call = only(recording.last(), "fail", "tool")
    assert call.status == "error"
    assert call.error == "ValueError: no"
    assert call.agent == "tools"


# Where code runs


def test_a_thread_pool_inside_a_tool_keeps_the_chain(recording: Recording) -> None:
    @tool
    def many(query: str) -> list[Any]:
        """Ask many."""
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(lambda number: search.invoke({"query": f"{query}{number}"}), range(8)))

    def node(_: State) -> dict[str, Any]:
        many.invoke({"query": "q"})
        return {}

    chain_of(node).invoke(INPUT)

    steps = recording.last()
    assert {step.parent_id for step in named(steps, "search", "tool")} == {only(steps, "many", "tool").id}


async def test_a_task_made_inside_a_node_keeps_the_chain(recording: Recording) -> None:
    async def node(_: State) -> dict[str, Any]:
        await asyncio.create_task(search.ainvoke({"query": "q"}))
        return {}

    await chain_of(node).ainvoke(INPUT)

    steps = recording.last()
    assert only(steps, "search", "tool").parent_id == only(steps, "node").id


def test_the_app_s_own_spans_nest_under_ours(store: str) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("app")

    @tool
    def traced(query: str) -> str:
        """Trace."""
        with tracer.start_as_current_span("in tool"):
            return query

    def node(_: State) -> dict[str, Any]:
        with tracer.start_as_current_span("in node"):
            traced.invoke({"query": "q"})
        return {}

    becausal.instrument(store=store, tracer_provider=provider)
    with tracer.start_as_current_span("caller"):
        chain_of(node).invoke(INPUT)
    becausal.uninstrument()

    spans = {span.name: span for span in exporter.get_finished_spans()}
    parents = {
        name: next(
            (other for other, s in spans.items() if span.parent and s.context.span_id == span.parent.span_id),
            None,
        )
        for name, span in spans.items()
    }
    assert parents == {
        "caller": None,
        "invoke_workflow LangGraph": "caller",
        "invoke_agent node": "invoke_workflow LangGraph",
        "in node": "invoke_agent node",
        "execute_tool traced": "in node",
        "in tool": "execute_tool traced",
    }


def test_boundaries_alone_are_recorded_at_that_level(store: str) -> None:
    becausal.instrument(store=store, level="boundaries")
    graph = a_graph()
    graph.add_node("scout", lambda _: {"findings": str(search.invoke({"query": "q"}))})
    graph.add_node(writer)
    graph.add_edge(START, "scout")
    graph.add_edge("scout", "writer")
    graph.compile().invoke(INPUT)

    steps = Recording(store).last()
    becausal.uninstrument()
    assert [step.kind for step in steps] == ["workflow", "agent", "handoff", "agent"]


# The app never notices


def test_an_exception_reaches_the_caller_as_the_same_object(recording: Recording) -> None:
    trouble = RuntimeError("trouble")

    def bad(_: State) -> dict[str, Any]:
        raise trouble

    with pytest.raises(RuntimeError) as caught:
        chain_of(planner, bad).invoke(INPUT)

    assert caught.value is trouble
    steps = recording.last()
    assert only(steps, "bad").status == "error"
    assert only(steps, "bad").error == "RuntimeError: trouble"
    assert steps[0].status == "error"


def plain(value: Any) -> Any:
    """A value as text, without what differs from run to run: ids of runs and checkpoints, and times."""
    volatile = {
        "id",
        "ts",
        "run_id",
        "checkpoint_id",
        "checkpoint_ns",
        "langgraph_checkpoint_ns",
        "thread_id",
    }
    volatile |= {"checkpoint_map", "ls_run_id", "parent_ids", "checkpoint", "timestamp"}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if key not in volatile}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "content"):
        return (type(value).__name__, value.content, plain(getattr(value, "tool_calls", [])))
    text = repr(value) if not hasattr(value, "__dict__") else type(value).__name__
    return re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "(id)", text)


MODES = ["values", "updates", "messages", "tasks", "checkpoints", "debug", "custom"]


async def observed(app_of: Callable[[], Any], given: Any) -> list[Any]:
    """Everything that an app's reader can see: chunks of all modes, events, the saved checkpoints."""
    thread = {"configurable": {"thread_id": "1"}}
    sync_app, async_app, event_app = app_of(), app_of(), app_of()
    seen = [plain(chunk) for chunk in sync_app.stream(given, thread, stream_mode=MODES, subgraphs=True)]
    seen += [
        plain(chunk) async for chunk in async_app.astream(given, thread, stream_mode=MODES, subgraphs=True)
    ]
    events = [plain(event) async for event in event_app.astream_events(given, thread, version="v2")]
    saved = [[state.values, state.next, state.metadata] for state in sync_app.get_state_history(thread)]
    return [seen, events, plain(saved)]


def prebuilt() -> Any:
    model = StreamingModel(answer=use_tool_once("search", query="it"))
    return create_agent(model, [search], name="finder", checkpointer=InMemorySaver())


def handing_over() -> Any:
    def chief(_: State) -> Command[str]:
        return Command(goto="inner", update={"findings": "7"})

    graph = a_graph()
    graph.add_node("chief", chief, destinations=("inner",))
    graph.add_node("inner", chain_of(planner, writer))
    graph.add_edge(START, "chief")
    return graph.compile(checkpointer=InMemorySaver())


@pytest.mark.parametrize(
    ("app_of", "given"),
    [
        (lambda: chain_of(planner, researcher, writer, checkpointer=InMemorySaver()), INPUT),
        (handing_over, INPUT),
        pytest.param(prebuilt, {"messages": [("user", "what is it?")]}, marks=needs_agents),
    ],
    ids=["chain", "command", "agent"],
)
async def test_streams_events_and_checkpoints_are_the_same_with_and_without(
    store: str, app_of: Callable[[], Any], given: Any
) -> None:
    without = await observed(app_of, given)
    becausal.instrument(store=store)
    with_becausal = await observed(app_of, given)
    becausal.uninstrument()

    assert with_becausal == without


def test_taking_the_hooks_out_restores_every_place(store: str) -> None:
    # Families of classes (`BaseStore.{get,…}`) have a test of their own.
    hooks = (hook for hook in installed_hooks(store) if hook.state == "hooked")
    places = [hook.place for hook in hooks if "{" not in hook.place]
    before = {place: standing(place) for place in places}
    becausal.instrument(store=store)
    during = {place: standing(place) for place in places}
    becausal.uninstrument()

    assert len(places) > 40
    assert all(during[place] is not before[place] for place in places)
    assert all(standing(place) is before[place] for place in places)


def installed_hooks(store: str) -> list[Any]:
    becausal.instrument("langgraph", store=store)
    hooks = [hook for report in hooks_report() for hook in report.hooks if report.name.startswith("lang")]
    for hook in hooks:  # a place is hooked once its module is there
        importlib.import_module(hook.place.partition(":")[0])
    hooks = [type(hook)(hook.place, hook.state) for hook in hooks]
    becausal.uninstrument()
    return hooks


def standing(place: str) -> Any:
    module, _, path = place.partition(":")
    *owners, name = path.split(".")
    owner: Any = importlib.import_module(module)
    for step in owners:
        owner = getattr(owner, step)
    return vars(owner)[name]


def test_every_place_is_there_in_the_installed_version(store: str) -> None:
    missing = [hook.place for hook in installed_hooks(store) if hook.state != "hooked"]

    assert [place for place in missing if HAS_ERROR_HANDLERS or "schedule_error_handler" not in place] == [
        place for place in missing if "ThreadsClient.stream" in place and not HAS_THREAD_STREAMS
    ]


@pytest.mark.parametrize("name", ["langgraph", "langchain"])
def test_the_installed_version_is_inside_the_supported_range(name: str) -> None:
    (report,) = (report for report in hooks_report() if report.name == name)

    assert report.watches is not None
    assert SpecifierSet(report.supports).contains(importlib.metadata.version(report.watches))


async def test_streams_left_midway_leave_no_trace_in_opentelemetry_s_log(
    recording: Recording, caplog: pytest.LogCaptureFixture
) -> None:
    app = chain_of(planner, researcher, writer)
    with caplog.at_level(logging.DEBUG, logger="opentelemetry"):
        stream = app.stream(INPUT)
        next(stream)
        del stream
        closed = app.stream(INPUT)
        next(closed)
        closed.close()
        left = app.astream(INPUT)
        await anext(left)
        del left
        gc.collect()
        await asyncio.sleep(0)
        astream = app.astream(INPUT)
        await anext(astream)
        await asyncio.create_task(astream.aclose())

    assert [record for record in caplog.records if record.name.startswith("opentelemetry")] == []
    workflows = [steps[0] for steps in recording.runs()]
    assert {step.status for step in workflows} <= {"closed", "abandoned", "cancelled"}
    assert len(workflows) == 4


def test_a_stream_s_reader_is_in_no_step(recording: Recording) -> None:
    for _ in chain_of(planner, writer).stream(INPUT):
        assert current() is None


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_loop_is_freed_when_its_run_is_over(recording: Recording, is_async: bool) -> None:
    loops: list[weakref.ref[Any]] = []
    original = _loop.PregelLoop.__init__

    def noting(self: Any, *args: Any, **kwargs: Any) -> None:
        loops.append(weakref.ref(self))
        original(self, *args, **kwargs)

    _loop.PregelLoop.__init__ = noting  # type: ignore[method-assign]
    try:
        app = fan_out_of(3)
        await app.ainvoke(INPUT) if is_async else app.invoke(INPUT)
    finally:
        _loop.PregelLoop.__init__ = original  # type: ignore[method-assign]
    gc.collect()

    assert len(loops) == 1
    assert [loop() for loop in loops] == [None]


def test_nothing_is_kept_of_the_tasks_of_finished_runs() -> None:
    gc.collect()
    # An earlier test's may not be freed yet; held, so that none takes its address.
    earlier = [thing for thing in gc.get_objects() if type(thing) is Register]
    recorder, hooks = Recorder(Telemetry(), None), Hooks()
    LangGraphAdapter().install(recorder, hooks)
    (register,) = (
        thing
        for thing in gc.get_objects()
        if type(thing) is Register and not any(thing is other for other in earlier)
    )
    fan_out_of(10).invoke(INPUT)
    with pytest.raises(GraphRecursionError):
        chain_of(planner, researcher, writer).invoke(INPUT, {"recursion_limit": 1})
    with pytest.raises(KeyError):
        chain_of(researcher, writer).invoke(INPUT)  # nobody has found anything
    halted = chain_of(planner, writer, checkpointer=InMemorySaver(), interrupt_before=["writer"])
    halted.invoke(INPUT, {"configurable": {"thread_id": "1"}})
    halted_after = chain_of(planner, writer, checkpointer=InMemorySaver(), interrupt_after=["planner"])
    halted_after.invoke(INPUT, {"configurable": {"thread_id": "1"}})
    stream = chain_of(planner, writer).stream(INPUT)
    next(stream)
    stream.close()
    gc.collect()

    hooks.undo()
    assert len(register.graphs) == 0
    assert register.steps == {}
    assert register._tasks == {}
    assert recorder._open == {}
