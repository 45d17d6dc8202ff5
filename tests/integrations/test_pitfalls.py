"""What users of other tracers of LangGraph and LangChain suffer from does not happen here.

One test for each complaint that no other test answers; `tests/README.md` says for each of them which test does.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, Send, interrupt
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from tests.conftest import Recording
from tests.integrations.fakes_langchain import State, StreamingModel, chain_of, tool_call
from tests.integrations.spans import INPUT, Spans, plan, value, write

import becausal
from becausal.step import Step


@pytest.fixture
def spans(store: str) -> Iterator[Spans]:
    made = Spans()
    becausal.instrument(store=store, tracer_provider=made.provider)
    yield made
    becausal.uninstrument()


def nested() -> Any:
    async def look(_: State) -> dict[str, Any]:
        return {"findings": "7"}

    graph: Any = StateGraph(State)
    graph.add_node("inner", chain_of(look, name="inner graph"))
    graph.add_node("write", write)
    graph.add_edge(START, "inner")
    graph.add_edge("inner", "write")
    return graph.compile(name="outer graph")


def silent(caplog: pytest.LogCaptureFixture) -> bool:
    return not [record for record in caplog.records if record.name.startswith("opentelemetry")]


# B1: contexts, parents, orphans


async def test_an_async_graph_with_a_subgraph_is_one_trace_with_one_root(spans: Spans) -> None:
    await nested().ainvoke(INPUT)

    assert len({span.context.trace_id for span in spans.all().values()}) == 1
    assert [name for name, span in spans.all().items() if span.parent is None] == [
        "invoke_workflow outer graph"
    ]
    assert spans.parent("invoke_workflow inner graph") == "invoke_agent inner"
    assert spans.parent("invoke_agent look") == "invoke_workflow inner graph"


async def test_a_stream_whose_pieces_are_read_by_different_tasks_is_whole_and_logs_nothing(
    spans: Spans, recording: Recording, caplog: pytest.LogCaptureFixture
) -> None:
    app = chain_of(plan, write)
    with caplog.at_level(logging.DEBUG, logger="opentelemetry"):
        stream = app.astream(INPUT)
        while await asyncio.create_task(anext(stream, None), context=contextvars.Context()):
            assert not trace.get_current_span().get_span_context().is_valid

    assert silent(caplog)
    assert spans.parent("invoke_agent plan") == "invoke_workflow LangGraph"
    assert {step.status for step in recording.last()} == {"ok"}


async def test_a_stream_opened_in_one_task_and_closed_in_another_is_closed_and_logs_nothing(
    recording: Recording, caplog: pytest.LogCaptureFixture
) -> None:
    async def first(stream: Any) -> Any:
        return await anext(stream)

    with caplog.at_level(logging.DEBUG, logger="opentelemetry"):
        stream = chain_of(plan, write).astream(INPUT)
        await asyncio.create_task(first(stream))
        await asyncio.create_task(stream.aclose())

    assert silent(caplog)
    assert recording.last()[0].status in ("closed", "cancelled")


@pytest.mark.parametrize("how", ["ainvoke", "astream_events"])
async def test_own_spans_nest_in_an_async_node_and_in_what_it_starts(spans: Spans, how: str) -> None:
    async def part(name: str) -> None:
        with spans.tracer.start_as_current_span(name):
            await asyncio.sleep(0)

    async def work(_: State) -> dict[str, Any]:
        assert trace.get_current_span().get_span_context().is_valid
        await asyncio.gather(part("gathered"), asyncio.create_task(part("task")))
        await asyncio.to_thread(asyncio.run, part("thread"))
        return {}

    app = chain_of(work)
    if how == "ainvoke":
        await app.ainvoke(INPUT)
    else:
        assert [event async for event in app.astream_events(INPUT, version="v2")]

    assert {spans.parent(name) for name in ("gathered", "task", "thread")} == {"invoke_agent work"}


@pytest.mark.parametrize("is_async", [False, True])
async def test_tools_that_run_in_parallel_are_all_there_each_under_its_node(
    recording: Recording, is_async: bool
) -> None:
    @tool
    def look(number: int) -> str:
        """Look."""
        return str(number)

    def ask(_: MessagesState) -> dict[str, Any]:
        return {
            "messages": [AIMessage("", tool_calls=[tool_call("look", f"c-{n}", number=n) for n in range(8)])]
        }

    graph: Any = StateGraph(MessagesState)
    graph.add_node(ask)
    graph.add_node("tools", ToolNode([look]))
    graph.add_edge(START, "ask")
    graph.add_edge("ask", "tools")
    app = graph.compile()
    await app.ainvoke({"messages": []}) if is_async else app.invoke({"messages": []})

    steps = recording.last()
    (node,) = (step for step in steps if (step.kind, step.name) == ("agent", "tools"))
    calls = [step for step in steps if step.kind == "tool"]
    assert sorted(value(step.received)["number"] for step in calls) == list(range(8))
    assert {step.parent_id for step in calls} == {node.id}


def test_the_runs_of_a_batch_do_not_nest_in_each_other(spans: Spans) -> None:
    chain_of(plan, write).batch([INPUT] * 4)

    finished = spans.exporter.get_finished_spans()
    roots = [span for span in finished if span.parent is None]
    assert [span.name for span in roots] == ["invoke_workflow LangGraph"] * 4
    assert len({span.context.trace_id for span in roots}) == 4


def test_nothing_is_suppressed_inside_nodes_models_and_tools(spans: Spans) -> None:
    found: list[object] = []

    def look_around(*_: Any) -> Any:
        keys = ("suppress_instrumentation", "suppress_http_instrumentation")
        found.extend(
            otel_context.get_value(key) for key in (*keys, "suppress_language_model_instrumentation")
        )
        return AIMessage("fine")

    def work(_: State) -> dict[str, Any]:
        look_around()
        StreamingModel(answer=look_around).invoke("hi")
        return {}

    chain_of(work).invoke(INPUT)

    assert found == [None] * 6


class ForeignSpan(trace.NonRecordingSpan):
    """A span of a provider that is none of OpenTelemetry's SDK."""


class ForeignProvider(trace.TracerProvider):
    """A provider without `add_span_processor`, as a vendor's."""

    def get_tracer(self, *_: Any, **__: Any) -> trace.Tracer:
        class Tracer(trace.NoOpTracer):
            def start_span(self, *_: Any, **__: Any) -> trace.Span:
                return ForeignSpan(trace.INVALID_SPAN_CONTEXT)

        return Tracer()


@pytest.mark.parametrize(
    "provider", [None, TracerProvider(), TracerProvider(sampler=ALWAYS_OFF), ForeignProvider()]
)
def test_whatever_the_provider_the_run_is_recorded_and_the_app_s_provider_left_alone(
    store: str, provider: Any
) -> None:
    before = trace.get_tracer_provider()
    becausal.instrument(store=store, tracer_provider=provider)
    result = chain_of(plan, write).invoke(INPUT)
    steps = Recording(store).last()
    becausal.uninstrument()

    assert trace.get_tracer_provider() is before
    assert result["draft"] == "it is 42"
    assert Counter(step.kind for step in steps) == {"workflow": 1, "agent": 2, "handoff": 1}


# B2: several agents


def test_no_step_outlives_the_step_that_holds_it(recording: Recording) -> None:
    fan_out().invoke(INPUT)

    by_id = {step.id: step for step in recording.last()}
    for step in by_id.values():
        if step.parent_id is not None:
            parent = by_id[step.parent_id]
            assert parent.ended_ns is not None
            assert step.ended_ns is not None
            assert parent.started_ns <= step.started_ns <= step.ended_ns <= parent.ended_ns


def fan_out() -> Any:
    def split(_: State) -> list[Send]:
        return [Send("work", {"number": number}) for number in range(5)]

    def work(sent: dict[str, int]) -> dict[str, Any]:
        return {"log": [str(sent["number"])]}

    graph: Any = StateGraph(State)
    graph.add_node(plan)
    graph.add_node(work)
    graph.add_node("write", write, defer=True)
    graph.add_edge(START, "plan")
    graph.add_conditional_edges("plan", split, ["work"])
    graph.add_edge("work", "write")
    return graph.compile()


def shape(steps: list[Step]) -> Counter[str]:
    by_id = {step.id: f"{step.kind} {step.name} {step.received and step.received.digest}" for step in steps}
    return Counter(
        f"{by_id[step.id]} under {by_id.get(step.parent_id or '')} by "
        f"{sorted(f'{cause.kind} {by_id[cause.source_id]}' for cause in step.causes)}"
        for step in steps
    )


def test_the_same_run_is_the_same_graph_however_its_branches_race(recording: Recording) -> None:
    app = fan_out()
    for _ in range(6):
        app.invoke(INPUT)

    assert len({frozenset(shape(steps).items()) for steps in recording.runs()}) == 1


def test_an_interrupt_and_a_jump_are_no_errors_on_spans_either(spans: Spans) -> None:
    def ask(_: State) -> dict[str, Any]:
        return {"findings": interrupt("which?")}

    def jump(_: State) -> Command[str]:
        return Command(goto="write", update={"findings": "up"}, graph=Command.PARENT)

    chain_of(ask, checkpointer=InMemorySaver()).invoke(INPUT, {"configurable": {"thread_id": "1"}})
    graph: Any = StateGraph(State)
    graph.add_node("child", chain_of(jump), destinations=("write",))
    graph.add_node(write)
    graph.add_edge(START, "child")
    graph.compile().invoke(INPUT)

    finished = spans.exporter.get_finished_spans()
    assert len(finished) > 6
    assert [span.name for span in finished if span.status.status_code is trace.StatusCode.ERROR] == []
    assert [event.name for span in finished for event in span.events] == []


def test_what_a_transfer_meant_and_what_arrived_stand_side_by_side(recording: Recording) -> None:
    def chief(_: State) -> Command[str]:
        return Command(goto=Send("expert", {"task": ""}), update={"findings": "all that is known"})

    graph: Any = StateGraph(State)
    graph.add_node("chief", chief, destinations=("expert",))
    graph.add_node("expert", lambda given: {"draft": str(given)})
    graph.add_edge(START, "chief")
    graph.compile().invoke(INPUT)

    steps = recording.last()
    (handoff,) = (step for step in steps if step.kind == "handoff")
    (chief_step,) = (step for step in steps if step.name == "chief")
    assert value(chief_step.produced) == {"findings": "all that is known"}
    assert value(handoff.received) == value(handoff.produced) == {"task": ""}
