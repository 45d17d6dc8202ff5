"""LangGraph: conditional edges, attempts, joins and nested graphs are told as what they are."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import operator
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.runnables import Runnable
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, RetryPolicy, Send
from opentelemetry import context as otel_context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.conftest import Recording
from tests.integrations.fakes_langchain import PureModel, State, chain_of, echo, use_tool_once
from tests.integrations.kinds import Kinds
from typing_extensions import TypedDict

import becausal
from becausal.context import current
from becausal.payload import Payload

try:
    from langchain.agents import create_agent
except ImportError:  # langchain 1 needs langgraph 1
    from langgraph.prebuilt import create_react_agent as create_agent  # type: ignore[no-redef]

INPUT: Any = {"question": "how many?", "log": []}

AT_ONCE = RetryPolicy(initial_interval=0, jitter=False, retry_on=ValueError)

HAS_TIMEOUTS = "timeout" in inspect.signature(StateGraph.add_node).parameters


def a_graph(state: Any = State) -> Any:
    return StateGraph(state)


def planner(_: State) -> dict[str, Any]:
    return {"findings": "42", "log": ["planner"]}


def researcher(_: State) -> dict[str, Any]:
    return {"log": ["researcher"]}


def writer(_: State) -> dict[str, Any]:
    return {"draft": "done"}


def value(payload: Payload | None) -> Any:
    assert payload is not None
    return payload.value()


def failing(times: int, then: Any) -> Callable[[State], Any]:
    """A node that fails so many times before it returns."""
    tries: list[int] = []

    def flaky(_: State) -> Any:
        tries.append(1)
        if len(tries) <= times:
            raise ValueError(f"failure {len(tries)}")
        return then

    return flaky


def branching(router: Callable[..., Any], ends: Any = ("writer", "researcher")) -> Any:
    graph = a_graph()
    for node in (planner, researcher, writer):
        graph.add_node(node.__name__, node)
    graph.add_edge(START, "planner")
    graph.add_conditional_edges("planner", router, ends if isinstance(ends, dict) else list(ends))
    return graph.compile()


async def run(app: Any, given: Any = INPUT, *, is_async: bool = False, config: Any = None) -> Any:
    return await app.ainvoke(given, config) if is_async else app.invoke(given, config)


def to_writer(_: State) -> str:
    return "writer"


async def to_writer_later(_: State) -> str:
    return "writer"


# Conditional edges


@pytest.mark.parametrize(
    ("router", "is_async"), [(to_writer, False), (to_writer, True), (to_writer_later, True)]
)
async def test_a_conditional_edge_is_a_step_that_says_on_which_reading_which_branch(
    recording: Recording, router: Any, is_async: bool
) -> None:
    await run(branching(router), is_async=is_async)

    told = Kinds(recording.last())
    route = told.one("route", router.__name__)
    assert (route.parent_id, route.agent) == (told.one("agent", "planner").id, "planner")
    assert value(route.received) == {"question": "how many?", "findings": "42", "log": ["planner"]}
    assert value(route.produced) == ["writer"]
    assert [choice.conclusion for choice in route.choices] == ["route to writer"]
    assert route.choices[0].premises == ("how many?", "42", "planner")
    assert route.attributes["becausal.route.candidates"] == ("writer", "researcher")
    chosen = told.one("agent", "writer")
    assert told.causes(chosen, "route") == [route]
    assert {cause.grade for cause in chosen.causes} == {"observed"}
    assert told.senders(chosen) == [told.one("agent", "planner")]
    assert told.one("agent", "planner").choices == ()


def test_what_a_router_asks_for_stands_in_its_route(recording: Recording) -> None:
    model = PureModel(answer=echo)

    def ask(state: State) -> str:
        return "writer" if "42" in str(model.invoke([HumanMessage(state["findings"])]).content) else END

    branching(ask).invoke(INPUT)

    told = Kinds(recording.last())
    assert told.one("model").parent_id == told.one("route", "ask").id


def test_a_graph_that_was_compiled_before_has_routes_too(store: str) -> None:
    app = branching(to_writer)
    becausal.instrument(store=store)
    app.invoke(INPUT)
    told = Kinds(Recording(store).last())
    becausal.uninstrument()

    assert value(told.one("route").produced) == ["writer"]


def test_each_of_a_node_s_conditional_edges_is_a_route_of_its_own(recording: Recording) -> None:
    def first(_: State) -> str:
        return "researcher"

    def second(_: State) -> str:
        return END

    graph = a_graph()
    for node in (planner, researcher):
        graph.add_node(node.__name__, node)
    graph.add_edge(START, "planner")
    graph.add_conditional_edges("planner", first)
    graph.add_conditional_edges("planner", second)
    graph.compile().invoke(INPUT)

    told = Kinds(recording.last())
    assert [(step.name, value(step.produced)) for step in told.all("route")] == [
        ("first", ["researcher"]),
        ("second", [END]),
    ]
    assert told.causes(told.one("agent", "researcher"), "route") == [told.one("route", "first")]


@pytest.mark.parametrize("leaves", [True, False], ids=["with a context of its own", "as it found it"])
def test_what_runs_after_a_conditional_edge_stands_where_it_stood_before(
    recording: Recording, leaves: bool
) -> None:
    seen: list[Any] = []

    def look() -> None:
        step = current()
        seen.append(
            (getattr(step, "kind", None), getattr(step, "name", None), otel_context.get_value("mine"))
        )

    def node(_: State) -> dict[str, Any]:
        look()
        return {}

    class First(Runnable[State, str]):  # LangChain gives a function a context of its own, but not this one
        name = "first"

        def invoke(self, input: State, config: Any = None, **_: Any) -> str:
            look()
            if leaves:
                otel_context.attach(otel_context.set_value("mine", 1))
            return END

    def second(_: State) -> str:
        look()
        return END

    graph = a_graph()
    graph.add_node("planner", node)
    graph.add_edge(START, "planner")
    graph.add_conditional_edges("planner", First())
    graph.add_conditional_edges("planner", second)
    contextvars.copy_context().run(graph.compile().invoke, INPUT)

    mine = 1 if leaves else None
    assert seen == [("agent", "planner", None), ("route", "first", None), ("route", "second", mine)]
    told = Kinds(recording.last())
    assert told.one("route", "second").parent_id == told.one("agent", "planner").id


def test_a_conditional_entry_that_sends_is_the_cause_of_each_it_sent_to(recording: Recording) -> None:
    def split(_: State) -> list[Send]:
        return [Send("work", {"number": number}) for number in range(3)]

    graph = a_graph()
    graph.add_node("work", researcher)
    graph.add_conditional_edges(START, split, ["work"])
    graph.compile().invoke(INPUT)

    told = Kinds(recording.last())
    assert value(told.one("route").received) == INPUT
    assert [told.causes(step, "route") for step in told.all("agent", "work")] == [[told.one("route")]] * 3


def test_a_prebuilt_agent_s_own_wiring_decides_nothing(recording: Recording) -> None:
    @tool
    def search(query: str) -> str:
        """Search."""
        return query

    agent: Any = create_agent(PureModel(answer=use_tool_once("search", query="it")), [search], name="finder")
    agent.invoke({"messages": [("user", "what is it?")]})

    assert Kinds(recording.last()).all("route") == []


def test_a_jump_by_command_stays_a_decision_of_its_node(recording: Recording) -> None:
    def chief(_: State) -> Command[str]:
        return Command(goto="writer")

    graph = a_graph()
    graph.add_node("chief", chief, destinations=("writer",))
    graph.add_node(writer)
    graph.add_edge(START, "chief")
    graph.compile().invoke(INPUT)

    told = Kinds(recording.last())
    assert told.all("route") == []
    assert [choice.conclusion for choice in told.one("agent", "chief").choices] == ["hand over to writer"]


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_router_that_fails_is_a_failed_route_and_leaves_nothing_behind(
    recording: Recording, is_async: bool
) -> None:
    trouble = KeyError("nowhere")

    def lost(_: State) -> str:
        raise trouble

    with pytest.raises(KeyError) as caught:
        await run(branching(lost), is_async=is_async)

    assert caught.value is trouble
    assert current() is None
    told = Kinds(recording.last())
    assert told.one("route").status == "error"
    assert told.one("route").produced is None
    assert told.one("agent").status == "error"
    assert value(told.one("agent").produced) == {"findings": "42", "log": ["planner"]}


def test_at_the_level_of_boundaries_a_route_is_a_decision_of_its_node(store: str) -> None:
    becausal.instrument(store=store, level="boundaries")
    branching(to_writer).invoke(INPUT)
    told = Kinds(Recording(store).last())
    becausal.uninstrument()

    assert told.all("route") == []
    assert [choice.conclusion for choice in told.one("agent", "planner").choices] == ["route to writer"]


# Attempts


@pytest.mark.parametrize("is_async", [False, True])
async def test_each_attempt_is_kept_and_caused_by_the_one_that_failed(
    recording: Recording, is_async: bool
) -> None:
    @tool
    def look(query: str) -> str:
        """Look."""
        return query

    then = failing(2, {"draft": "at last"})

    def flaky(state: State) -> Any:
        look.invoke({"query": "it"})
        return then(state)

    graph = a_graph()
    graph.add_node(planner)
    graph.add_node("flaky", flaky, retry_policy=AT_ONCE)
    graph.add_node(writer)
    graph.add_edge(START, "planner")
    graph.add_edge("planner", "flaky")
    graph.add_edge("flaky", "writer")
    await run(graph.compile(), is_async=is_async)

    told = Kinds(recording.last())
    first, second, third = told.all("agent", "flaky")
    assert [step.status for step in (first, second, third)] == ["error", "error", "ok"]
    assert [step.error for step in (first, second)] == ["ValueError: failure 1", "ValueError: failure 2"]
    assert [step.attributes["becausal.attempt"] for step in (first, second, third)] == [1, 2, 3]
    assert [told.causes(step, "retry") for step in (first, second, third)] == [[], [first], [second]]
    assert [step.parent_id for step in told.all("tool")] == [first.id, second.id, third.id]
    assert told.senders(told.one("agent", "writer")) == [third]
    assert [step.hop for step in (first, second, third, told.one("agent", "writer"))] == [1, 1, 1, 2]
    assert (first.ended_ns or 0) <= second.started_ns
    assert current() is None


def test_attempts_that_all_fail_are_all_kept_and_the_exception_is_the_app_s(recording: Recording) -> None:
    trouble = ValueError("always")

    def flaky(_: State) -> dict[str, Any]:
        raise trouble

    graph = a_graph()
    graph.add_node("flaky", flaky, retry_policy=AT_ONCE)
    graph.add_edge(START, "flaky")
    with pytest.raises(ValueError, match="always") as caught:
        graph.compile().invoke(INPUT)

    assert caught.value is trouble
    assert current() is None
    attempts = Kinds(recording.last()).all("agent")
    assert [step.attributes["becausal.attempt"] for step in attempts] == [1, 2, 3]
    assert {step.status for step in attempts} == {"error"}


def test_an_exception_that_is_not_tried_again_is_one_attempt(recording: Recording) -> None:
    def bad(_: State) -> dict[str, Any]:
        raise KeyError("no")

    graph = a_graph()
    graph.add_node("bad", bad, retry_policy=AT_ONCE)
    graph.add_edge(START, "bad")
    with pytest.raises(KeyError):
        graph.compile().invoke(INPUT)

    assert "becausal.attempt" not in Kinds(recording.last()).one("agent").attributes


def test_an_attempt_whose_router_failed_keeps_what_it_had_produced(recording: Recording) -> None:
    tries: list[int] = []

    def router(_: State) -> str:
        tries.append(1)
        if len(tries) < 2:
            raise ValueError("router")
        return END

    graph = a_graph()
    graph.add_node("planner", planner, retry_policy=AT_ONCE)
    graph.add_edge(START, "planner")
    graph.add_conditional_edges("planner", router)
    graph.compile().invoke(INPUT)

    told = Kinds(recording.last())
    first, second = told.all("agent", "planner")
    assert value(first.produced) == value(second.produced) == {"findings": "42", "log": ["planner"]}
    assert [(step.parent_id, step.status) for step in told.all("route")] == [
        (first.id, "error"),
        (second.id, "ok"),
    ]


def test_the_app_s_own_spans_nest_under_the_attempt_in_which_they_began(store: str) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("app")
    then = failing(1, {})

    def flaky(state: State) -> Any:
        with tracer.start_as_current_span("own"):
            return then(state)

    graph = a_graph()
    graph.add_node("flaky", flaky, retry_policy=AT_ONCE)
    graph.add_edge(START, "flaky")
    becausal.instrument(store=store, tracer_provider=provider)
    with tracer.start_as_current_span("caller"):
        graph.compile().invoke(INPUT)
        assert current() is None
    becausal.uninstrument()

    spans = exporter.get_finished_spans()
    names = {span.context.span_id: span for span in spans if span.context is not None}
    parents = [names[span.parent.span_id] for span in spans if span.name == "own" and span.parent is not None]
    assert [parent.attributes["becausal.attempt"] for parent in parents if parent.attributes] == [1, 2]


async def test_a_called_task_is_tried_again_as_an_attempt_of_its_own(recording: Recording) -> None:
    then: Any = failing(1, 2)
    retried: Any = task(retry_policy=AT_ONCE)

    @retried  # type: ignore[untyped-decorator]
    def flaky(number: int) -> int:
        return int(then({})) + number

    @task
    def other(number: int) -> int:
        return number * 10

    @entrypoint()
    def flow(number: int) -> int:
        futures = [flaky(number), other(number)]
        return sum(future.result() for future in futures)

    assert await run(flow, 1) == 13

    told = Kinds(recording.last())
    first, second = told.all("agent", "flaky")
    assert told.causes(second, "retry") == [first]
    called = [*told.all("agent", "flaky"), told.one("agent", "other")]
    assert {step.parent_id for step in called} == {told.one("agent", "flow").id}
    assert [value(step.produced) for step in (second, told.one("agent", "other"))] == [3, 10]


# How tasks end


@pytest.mark.skipif(not HAS_TIMEOUTS, reason="node timeouts came with langgraph 1.2")
async def test_a_node_that_took_too_long_has_failed(recording: Recording) -> None:
    async def slow(_: State) -> None:
        await asyncio.Event().wait()

    graph = a_graph()
    graph.add_node("slow", slow, timeout=0.01)
    graph.add_edge(START, "slow")
    with pytest.raises(Exception, match="exceeded"):
        await graph.compile().ainvoke(INPUT)

    step = Kinds(recording.last()).one("agent")
    assert step.status == "error"
    assert str(step.error).startswith("NodeTimeoutError")


async def test_a_node_that_was_stopped_because_another_failed_is_cancelled(recording: Recording) -> None:
    begun = asyncio.Event()

    async def waiting(_: State) -> None:
        begun.set()
        await asyncio.Event().wait()

    async def bad(_: State) -> None:
        await begun.wait()
        raise ValueError("bad")

    graph = a_graph()
    graph.add_node(waiting)
    graph.add_node(bad)
    graph.add_edge(START, "waiting")
    graph.add_edge(START, "bad")
    with pytest.raises(ValueError, match="bad"):
        await graph.compile().ainvoke(INPUT)

    told = Kinds(recording.last())
    assert told.one("agent", "bad").status == "error"
    assert told.one("agent", "waiting").status == "cancelled"


def test_a_deferred_node_is_caused_by_all_it_waited_for(recording: Recording) -> None:
    graph = a_graph()
    for name in ("first", "short", "long", "last"):
        graph.add_node(name, researcher, defer=name == "last")
    for start, end in ((START, "first"), ("first", "short"), ("first", "long"), ("short", "last")):
        graph.add_edge(start, end)
    graph.add_node("longer", researcher)
    graph.add_edge("long", "longer")
    graph.add_edge("longer", "last")
    graph.compile().invoke(INPUT)

    told = Kinds(recording.last())
    assert {step.name for step in told.senders(told.one("agent", "last"))} == {"short", "longer"}


# Graphs within graphs


class Other(TypedDict):
    topic: str
    found: str


def test_a_graph_with_a_schema_of_its_own_stands_under_the_node_that_calls_it(recording: Recording) -> None:
    def find(state: Other) -> dict[str, str]:
        return {"found": f"{state['topic']}!"}

    inner = a_graph(Other)
    inner.add_node(find)
    inner.add_edge(START, "find")
    compiled = inner.compile(name="inner")

    def call(state: State) -> dict[str, Any]:
        return {"findings": compiled.invoke({"topic": state["question"]})["found"]}

    chain_of(call, writer).invoke(INPUT)

    told = Kinds(recording.last())
    assert told.one("workflow", "inner").parent_id == told.one("agent", "call").id
    assert value(told.one("workflow", "inner").received) == {"topic": "how many?"}
    assert told.one("agent", "find").parent_id == told.one("workflow", "inner").id
    assert [step.name for step in told.senders(told.one("agent", "writer"))] == ["call"]


def test_an_agent_that_a_tool_runs_is_handed_the_question_and_hands_back_its_answer(
    recording: Recording,
) -> None:
    inner: Any = create_agent(PureModel(answer=echo), [], name="inner")

    @tool
    def ask(query: str) -> str:
        """Ask."""
        return str(inner.invoke({"messages": [("user", query)]})["messages"][-1].content)

    outer: Any = create_agent(PureModel(answer=use_tool_once("ask", query="what?")), [ask], name="outer")
    outer.invoke({"messages": [("user", "go")]})

    told = Kinds(recording.last())
    asked, answered = told.one("handoff", "outer to inner"), told.one("handoff", "inner to outer")
    turn, call = told.one("workflow", "inner"), told.one("tool", "ask")
    assert told.causes(turn, "transfer") == [asked]
    assert told.causes(asked, "transfer") == [call]
    assert told.causes(answered, "transfer") == [turn]
    assert asked.received == turn.received
    assert answered.received == turn.produced
    assert answered.attributes["becausal.transfer.received_by"] == call.id
    assert {asked.parent_id, answered.parent_id, turn.parent_id} == {call.id}


@pytest.mark.parametrize("is_async", [False, True])
async def test_an_entrypoint_says_what_it_returned_and_not_what_it_saved(
    recording: Recording, is_async: bool
) -> None:
    @task
    def double(number: int) -> int:
        return number * 2

    @entrypoint(checkpointer=InMemorySaver())
    def flow(number: int, *, previous: int | None = None) -> Any:
        total = double(number).result() + (previous or 0)
        return entrypoint.final(value=total, save=100)

    config = {"configurable": {"thread_id": "1"}}
    assert await run(flow, 1, is_async=is_async, config=config) == 2
    assert await run(flow, 1, is_async=is_async, config=config) == 102

    second, first = map(Kinds, recording.runs())
    assert [value(told.one("workflow").produced) for told in (first, second)] == [2, 102]
    (cause,) = second.one("workflow").causes
    assert (cause.source_id, cause.kind) == (first.one("workflow").id, "memory")


# Many


class Counted(TypedDict):
    log: Annotated[list[int], operator.add]
    count: int


def test_a_thousand_sends_are_all_told_and_all_reach_the_reader(recording: Recording) -> None:
    def split(_: Counted) -> list[Send]:
        return [Send("work", {"number": number}) for number in range(1000)]

    def work(sent: dict[str, int]) -> dict[str, Any]:
        return {"log": [sent["number"]]}

    graph = a_graph(Counted)
    graph.add_node("plan", lambda _: {})
    graph.add_node("work", work)
    graph.add_node("reduce", lambda state: {"count": sum(state["log"])})
    graph.add_edge(START, "plan")
    graph.add_conditional_edges("plan", split, ["work"])
    graph.add_edge("work", "reduce")
    result = graph.compile().invoke({"log": [], "count": 0})

    told = Kinds(recording.last())
    assert result["count"] == sum(range(1000))
    works = told.all("agent", "work")
    assert len(works) == 1000
    assert {step.id for step in told.senders(told.one("agent", "reduce"))} == {step.id for step in works}
    assert {told.causes(step, "route")[0].id for step in works} == {told.one("route").id}
    assert {value(step.received)["number"] for step in told.all("handoff", "plan to work")} == set(
        range(1000)
    )


def test_a_loop_of_two_thousand_turns_is_told_whole_with_as_many_causes_at_each_turn(
    recording: Recording,
) -> None:
    graph = a_graph(Counted)
    graph.add_node("turn", lambda state: {"count": state["count"] + 1})
    graph.add_edge(START, "turn")
    graph.add_conditional_edges("turn", lambda state: "turn" if state["count"] < 2000 else END)
    graph.compile().invoke({"log": [], "count": 0}, {"recursion_limit": 3000})

    told = Kinds(recording.last())
    assert len(told.all("agent", "turn")) == len(told.all("route")) == 2000
    assert {len(step.causes) for step in told.all("agent", "turn")[1:]} == {2}
