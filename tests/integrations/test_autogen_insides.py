"""AutoGen: what is recorded of an agent's model calls, tools and memory, and how its own spans stand beside ours."""

from __future__ import annotations

import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core import (
    SingleThreadedAgentRuntime,
)
from autogen_core.memory import ListMemory, MemoryContent
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.conftest import Recording
from tests.integrations.fakes_autogen import PureClient, adds, calls, hears_all, speaker
from tests.integrations.kinds import Kinds

import becausal
from becausal import semconv


def lookup(q: str) -> str:
    """Look a thing up."""
    return f"{q} is 42"


async def test_a_tool_call_leads_from_the_decision_over_the_raw_answer_to_the_next_model_call(
    recording: Recording,
) -> None:
    client = PureClient(calls("lookup", adds("a"), q="x"), thought="I do not know x")
    agent = AssistantAgent("a", client, tools=[lookup], reflect_on_tool_use=True)

    await agent.run(task="what is x")

    run = Kinds(recording.last())
    first, second = run.all("model")
    tool = run.one("tool")
    assert first.choices[0].conclusion == 'call lookup({"q": "x"})'
    assert first.choices[0].reason == "I do not know x"
    assert first.choices[0].premises == ("what is x",)
    assert first.attributes[semconv.FINISH_REASONS] == ("function_calls",)
    assert first.attributes[semconv.INPUT_TOKENS] == 2
    assert (tool.name, tool.agent, tool.attributes[semconv.TOOL_CALL_ID]) == ("lookup", "a", "call-lookup")
    assert tool.received is not None
    assert tool.received.value() == {"q": "x"}
    assert tool.produced is not None
    assert tool.produced.value() == "x is 42"
    assert run.causes(tool, "data") == [first]
    assert run.causes(second, "data") == [first, tool]
    assert second.choices[0].conclusion == "answer: a(x is 42)"


async def test_a_long_chat_has_as_many_causes_as_messages_and_not_their_square(recording: Recording) -> None:
    team = RoundRobinGroupChat([speaker("a", lambda _: "A"), speaker("b", lambda _: "B")], max_turns=40)

    await team.run(task="go")

    run = Kinds(recording.last())
    assert max(len(step.causes) for step in run.steps) <= 3
    assert all(run.causes(model, "data") for model in run.all("model"))


async def test_what_a_memory_gave_is_led_back_to_its_write_and_on_to_the_model(recording: Recording) -> None:
    memory = ListMemory("notes")
    with becausal.chain("talk"):
        await memory.add(MemoryContent(content="x is 41", mime_type="text/plain"))
        await speaker("a", hears_all("a"), memory=[memory]).run(task="go")

    run = Kinds(recording.last())
    written, read = run.one("memory_write"), run.one("memory_read")
    assert (written.name, read.name) == ("notes", "notes")
    assert run.causes(read, "memory") == [written]
    assert "x is 41" in read.produced.text()  # type: ignore[union-attr]
    assert read in run.causes(run.one("model"), "data")


def test_a_synchronous_tools_own_span_nests_under_the_tool_step(store: str) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    def search(q: str) -> str:
        """Search."""
        with provider.get_tracer("app").start_as_current_span("http request"):
            return q

    becausal.instrument("autogen", store=store, tracer_provider=provider)
    agent = speaker("a", calls("search", adds("a"), q="x"), tools=[search])
    asyncio.run(agent.run(task="go"))
    becausal.uninstrument()

    spans = {span.name: span for span in exporter.get_finished_spans()}
    parent = spans["http request"].parent
    assert parent is not None
    assert parent.span_id == spans["execute_tool search"].context.span_id
    assert len({span.context.trace_id for span in spans.values()}) == 1


async def test_autogens_own_spans_stay_and_stand_under_the_teams_step(store: str) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    becausal.instrument("autogen", store=store, tracer_provider=provider)
    runtime = SingleThreadedAgentRuntime(tracer_provider=provider)
    runtime.start()
    team = RoundRobinGroupChat([speaker("a"), speaker("b")], max_turns=2, runtime=runtime)

    with trace.use_span(provider.get_tracer("app").start_span("app"), end_on_exit=True):
        await team.run(task="go")
    await runtime.stop_when_idle()
    becausal.uninstrument()

    spans = {span.context.span_id: span for span in exporter.get_finished_spans()}
    assert len({span.context.trace_id for span in spans.values()}) == 1
    assert any(span.name.startswith("autogen process") for span in spans.values())
    depths = []
    for span in spans.values():
        depth = 0
        while span.parent is not None:
            span, depth = spans[span.parent.span_id], depth + 1
        depths.append(depth)
    assert max(depths) <= 6  # however many turns there are
