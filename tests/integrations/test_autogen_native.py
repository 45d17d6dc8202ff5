"""The promise: beside AutoGen's own spans there is one span for each event, and every one has its right parent."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core import (
    AgentId,
    MessageContext,
    RoutedAgent,
    SingleThreadedAgentRuntime,
    TopicId,
    TypeSubscription,
    message_handler,
    trace_tool_span,
)
from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntime, GrpcWorkerAgentRuntimeHost
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NoOpTracer
from tests.integrations.fakes_autogen import adds, calls, speaker
from tests.integrations.test_autogen_grpc import free_address

import becausal
from becausal import semconv


class Spans:
    """A provider, and what it was given."""

    def __init__(self) -> None:
        self.exporter, self.provider = InMemorySpanExporter(), TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    def all(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.all() if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        found = self.named(name)
        assert len(found) == 1, [span.name for span in self.all()]
        return found[0]

    def traces(self) -> set[int]:
        """Return the traces, without those of agents that were made."""
        return {span.context.trace_id for span in self.all() if not span.name.startswith("create_agent")}

    def ancestors(self, span: ReadableSpan) -> list[str]:
        by_id = {each.context.span_id: each for each in self.all()}
        found: list[str] = []
        while span.parent is not None and span.parent.span_id in by_id:
            span = by_id[span.parent.span_id]
            found.append(span.name)
        return found


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Spans:
    """The app's own provider, the global one; AutoGen's tracers of earlier tests are not asked."""
    made = Spans()
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", made.provider)
    return made


@pytest.fixture
def hooked(store: str, spans: Spans) -> Iterator[None]:
    becausal.instrument("autogen", store=store)
    yield
    becausal.uninstrument()


def lookup(q: str) -> str:
    """Look a thing up."""
    return f"{q} is 42"


def noting(seen: list[str | None], original: Any) -> Any:
    """Return what notes how each message names the span of its sender."""

    async def noted(envelope: Any) -> None:
        seen.append(envelope.metadata.traceparent)
        await original(envelope)

    return noted


def team(runtime: SingleThreadedAgentRuntime | None = None) -> RoundRobinGroupChat:
    caller = speaker("a", calls("lookup", adds("a"), q="x"), tools=[lookup])
    return RoundRobinGroupChat([caller, speaker("b")], max_turns=2, runtime=runtime)


async def test_a_turn_and_a_tool_call_have_one_span_each(spans: Spans, hooked: None) -> None:
    await team().run(task="go")

    called = spans.one("execute_tool lookup")
    attributes = dict(called.attributes or {})
    assert attributes[semconv.STEP_KIND] == "tool"
    assert attributes[semconv.TOOL_DESCRIPTION] == "Look a thing up."
    assert attributes[semconv.TOOL_CALL_ID] == "call-lookup"
    assert "invoke_agent a" in spans.ancestors(called)
    for name in "ab":
        turn = spans.one(f"invoke_agent {name}")
        assert dict(turn.attributes or {})[semconv.STEP_KIND] == "agent"
        assert any(above.startswith("invoke_workflow") for above in spans.ancestors(turn))


async def test_a_run_of_one_agent_has_one_span_for_its_turn(spans: Spans, hooked: None) -> None:
    await speaker("a").run(task="go")

    assert spans.ancestors(spans.one("invoke_agent a"))


async def test_every_span_of_a_team_stands_in_one_trace_also_on_a_runtime_started_before(
    spans: Spans, hooked: None
) -> None:
    runtime = SingleThreadedAgentRuntime()
    runtime.start()

    with spans.provider.get_tracer("app").start_as_current_span("the app's"):
        await team(runtime).run(task="go")
    await runtime.stop_when_idle()

    assert len(spans.traces()) == 1
    delivered = [span for span in spans.all() if span.name.startswith("autogen process")]
    assert delivered
    assert all("the app's" in spans.ancestors(span) for span in delivered)


async def test_what_autogen_makes_of_a_messages_way_is_linked_to_the_senders_span(
    spans: Spans, hooked: None
) -> None:
    await team().run(task="go")

    ids = {span.context.span_id for span in spans.all()}
    published = [span for span in spans.all() if span.name.startswith("autogen publish")]
    assert published
    assert all(link.context.span_id in ids for span in published for link in span.links)
    assert all(len(span.links) == 1 for span in published)


async def test_a_runtime_that_makes_no_spans_is_not_told_of_the_senders_until_it_does(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, later = Spans(), Spans()
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    becausal.instrument("autogen", store=store, tracer_provider=own.provider)
    runtime, seen = SingleThreadedAgentRuntime(), list[str | None]()
    monkeypatch.setattr(runtime, "_process_publish", noting(seen, runtime._process_publish))
    runtime.start()

    await team(runtime).run(task="go")
    assert seen
    assert set(seen) == {None}

    seen.clear()
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", later.provider)
    await team(runtime).run(task="go")
    await runtime.stop_when_idle()
    becausal.uninstrument()

    assert None not in seen
    assert any(span.links for span in later.all())
    assert later.one("execute_tool lookup")
    assert later.one("invoke_agent b")


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What AutoGen prepares: the names of spans that nobody makes, and each message that it writes out."""
    noted: list[str] = []
    prepare, write = NoOpTracer.start_as_current_span, SingleThreadedAgentRuntime._try_serialize

    def preparing(tracer: NoOpTracer, name: str, *args: Any, **kwargs: Any) -> Any:
        noted.append(name)
        return prepare(tracer, name, *args, **kwargs)

    def writing(runtime: SingleThreadedAgentRuntime, message: Any) -> str:
        noted.append("message")
        return write(runtime, message)

    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(NoOpTracer, "start_as_current_span", preparing)
    monkeypatch.setattr(SingleThreadedAgentRuntime, "_try_serialize", writing)
    return noted


async def test_a_span_that_nobody_makes_is_not_prepared_either(store: str, prepared: list[str]) -> None:
    runtime, talking = SingleThreadedAgentRuntime(), team()
    runtime.start()
    for name in ("first", "second"):
        await Passes.register(runtime, name, lambda: Passes("Passes."))
    becausal.instrument("autogen", store=store, tracer_provider=Spans().provider)
    prepared.clear()
    await runtime.send_message(Note("go"), AgentId("second", "default"))
    # For its events AutoGen writes out what is sent, delivered and answered, whoever makes spans.
    assert prepared == ["message"] * 4
    await talking.run(task="go")
    becausal.uninstrument()

    assert set(prepared) == {"message"}
    prepared.clear()
    await runtime.send_message(Note("go"), AgentId("second", "default"))
    await runtime.stop_when_idle()
    assert [name.split()[1] for name in prepared if name != "message"] == ["create", "send", "process", "ack"]
    assert prepared.count("message") == 6


class Refuses:
    """A tracer that only makes spans, and refuses to be looked into."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def start_as_current_span(self, *_: Any, **__: Any) -> Any:
        return contextlib.nullcontext(trace.INVALID_SPAN)


async def test_a_tracer_that_cannot_be_asked_makes_its_spans_as_ever(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BECAUSAL_STRICT")
    runtime = SingleThreadedAgentRuntime()
    for name in ("first", "second"):
        await Passes.register(runtime, name, lambda: Passes("Passes."))
    monkeypatch.setattr(runtime._tracer_helper, "tracer", Refuses())
    runtime.start()
    becausal.instrument("autogen", store=store, tracer_provider=Spans().provider)
    to = AgentId("second", "default")

    answered = await runtime.send_message(Note("go"), to, sender=AgentId("first", "default"))
    await runtime.stop_when_idle()
    becausal.uninstrument()

    assert answered == Note("go")


@pytest.mark.parametrize("is_watched", [False, True])
async def test_a_sender_that_is_not_made_yet_is_made_by_its_message_as_ever(
    store: str, prepared: list[str], is_watched: bool
) -> None:
    made: list[str] = []

    def make(name: str) -> Passes:
        made.append(name)
        return Passes("Passes.")

    runtime = SingleThreadedAgentRuntime()
    for name in ("first", "second"):
        await Passes.register(runtime, name, functools.partial(make, name))
    runtime.start()
    if is_watched:
        becausal.instrument("autogen", store=store, tracer_provider=Spans().provider)
    to = AgentId("second", "default")
    await runtime.send_message(Note("go"), to, sender=AgentId("first", "default"))
    with pytest.raises(LookupError):
        await runtime.send_message(Note("go"), to, sender=AgentId("unknown", "default"))
    await runtime.stop_when_idle()
    becausal.uninstrument()

    assert sorted(made) == ["first", "second"]


@pytest.mark.parametrize("is_made", [False, True])
async def test_what_describes_a_message_takes_its_arguments_by_place_as_ever(
    store: str, monkeypatch: pytest.MonkeyPatch, is_made: bool
) -> None:
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", Spans().provider if is_made else None)
    runtime = SingleThreadedAgentRuntime()
    await Passes.register(runtime, "first", lambda: Passes("Passes."))
    given = None, AgentId("first", "default"), None, Note("go")
    without = await runtime._create_otel_attributes(*given)
    becausal.instrument("autogen", store=store, tracer_provider=Spans().provider)

    watched = await runtime._create_otel_attributes(*given)
    becausal.uninstrument()

    assert watched == (without if is_made else {})


async def test_what_stands_around_no_span_is_entered_in_every_way_that_python_has(
    store: str, prepared: list[str]
) -> None:
    becausal.instrument("autogen", store=store, tracer_provider=Spans().provider)
    runtime = SingleThreadedAgentRuntime()
    block = functools.partial(
        runtime._tracer_helper.trace_block, "send", AgentId("first", "default"), parent=None
    )

    with block() as one, contextlib.ExitStack() as stack:
        other = stack.enter_context(block())
    with pytest.raises(LookupError, match="the app's own"), block():
        raise LookupError("the app's own")
    becausal.uninstrument()

    assert not prepared
    assert one is other is trace.INVALID_SPAN


async def test_without_becausal_the_same_team_is_many_traces(spans: Spans) -> None:
    runtime = SingleThreadedAgentRuntime()
    runtime.start()

    with spans.provider.get_tracer("app").start_as_current_span("the app's"):
        await team(runtime).run(task="go")
    await runtime.stop_when_idle()

    assert len(spans.traces()) > 5
    assert spans.named("execute_tool lookup")


async def test_a_provider_that_was_given_to_becausal_alone_leaves_autogens_spans_to_the_global_one(
    spans: Spans, store: str
) -> None:
    ours = Spans()
    becausal.instrument("autogen", store=store, tracer_provider=ours.provider)
    await team().run(task="go")
    becausal.uninstrument()

    assert "becausal.step.kind" in dict(ours.one("execute_tool lookup").attributes or {})
    assert "becausal.step.kind" not in dict(spans.one("execute_tool lookup").attributes or {})
    assert spans.one("invoke_agent b")


async def test_a_level_without_tools_leaves_autogens_spans_of_tools(spans: Spans, store: str) -> None:
    becausal.instrument("autogen", store=store, level="boundaries")
    await team().run(task="go")
    becausal.uninstrument()

    native = spans.one("execute_tool lookup")
    assert "becausal.step.kind" not in dict(native.attributes or {})
    assert spans.ancestors(native)[0] == "invoke_agent a"


async def test_a_span_that_the_app_makes_by_autogens_function_is_the_apps(spans: Spans, hooked: None) -> None:
    with becausal.chain("own"), trace_tool_span("mine", tracer=spans.provider.get_tracer("app")):
        pass

    assert spans.one("execute_tool mine")


@dataclass
class Note:
    text: str


class Passes(RoutedAgent):
    @message_handler
    async def on_note(self, message: Note, ctx: MessageContext) -> Note:
        if self.id.type == "first":
            await self.publish_message(Note("on"), TopicId("all", "default"))
        return message


async def talk(runtime: Any) -> None:
    for name in ("first", "second"):
        await Passes.register(runtime, name, lambda: Passes("Passes."))
        await runtime.add_subscription(TypeSubscription("all", name))
    await runtime.send_message(Note("go"), AgentId("first", "default"))


async def test_a_provider_that_was_given_to_a_runtime_has_that_runtimes_spans(
    spans: Spans, hooked: None
) -> None:
    its = Spans()
    runtime = SingleThreadedAgentRuntime(tracer_provider=its.provider)
    runtime.start()
    await talk(runtime)
    await runtime.stop_when_idle()

    assert {span.name.split()[1] for span in its.all()} == {"create", "send", "process", "publish", "ack"}
    assert not [span for span in spans.all() if span.name.startswith("autogen")]
    assert len(its.traces() | spans.traces()) == 1


async def test_the_switch_that_turns_the_runtimes_spans_off_does_so(
    spans: Spans, hooked: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOGEN_DISABLE_RUNTIME_TRACING", "true")
    runtime = SingleThreadedAgentRuntime()
    runtime.start()
    await talk(runtime)
    await runtime.stop_when_idle()

    assert spans.all()
    assert not [span for span in spans.all() if span.name.startswith("autogen")]
    assert len(spans.traces()) == 1


async def test_the_spans_of_two_workers_stand_in_one_trace(spans: Spans, hooked: None) -> None:
    address = free_address()
    host = GrpcWorkerAgentRuntimeHost(address)
    host.start()
    its = Spans()
    worker = GrpcWorkerAgentRuntime(address, tracer_provider=its.provider)
    await worker.start()
    await talk(worker)
    await worker.stop()
    await host.stop()

    assert {span.name.split()[1] for span in its.all()} >= {"create", "send", "process", "ack"}
    assert len(its.traces() | spans.traces()) == 1
