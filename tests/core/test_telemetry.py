"""Every step is a span of the app's own provider, small, without content, and in its place among the app's spans."""

from __future__ import annotations

import itertools
import json
import logging
import os
import random
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags

import becausal
from becausal import semconv, telemetry
from becausal.context import Scope, with_step
from becausal.instrument import active_recorder
from becausal.recorder import Observation, Opening, Passing, Recorder
from becausal.step import Cause, OpenStep, StepKind

if TYPE_CHECKING:
    from tests.conftest import Recording


class Spans:
    """What a provider of this test's own exported."""

    def __init__(self, provider: TracerProvider) -> None:
        self.provider = provider
        self.exporter = InMemorySpanExporter()
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    def all(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    def named(self, name: str) -> ReadableSpan:
        (span,) = [span for span in self.all() if span.name == name]
        return span


Start = Callable[..., Spans]


@pytest.fixture
def start(store: str) -> Iterator[Start]:
    """Starts recording to a provider of this test's own."""

    def started(**options: Any) -> Spans:
        spans = Spans(TracerProvider(**options))
        becausal.instrument("threads", store=store, tracer_provider=spans.provider)
        return spans

    yield started
    becausal.uninstrument()


def recorder() -> Recorder:
    active = active_recorder()
    assert active is not None
    return active


def attributes(span: ReadableSpan) -> dict[str, Any]:
    assert span.attributes is not None
    return dict(span.attributes)


def context_of(span: ReadableSpan) -> SpanContext:
    context: SpanContext | None = span.context
    assert context is not None
    return context


def parent_of(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent is not None else None


def step(kind: StepKind, name: str, **more: Any) -> OpenStep:
    begun = recorder().begin(Opening(kind, name, **more))
    assert begun is not None
    return begun


# One span a step


def test_every_step_is_one_span_in_its_place(start: Start, store: str) -> None:
    spans = start()
    with becausal.chain("what is it?") as chain, becausal.agent("planner"):
        becausal.tool(name="search")(lambda query: [query])("x")

    request, agent, tool = (
        spans.named(n) for n in ("request", "invoke_agent planner", "execute_tool search")
    )
    assert len(spans.all()) == 3
    assert (parent_of(tool), parent_of(agent)) == (context_of(agent).span_id, context_of(request).span_id)
    assert {context_of(span).trace_id for span in spans.all()} == {context_of(request).trace_id}
    assert {attributes(span)["becausal.chain.id"] for span in spans.all()} == {chain.chain_id}


def test_a_step_knows_its_span(start: Start, store: str) -> None:
    spans = start()
    with becausal.agent("a"):
        pass
    assert becausal.flush()

    from becausal.store import open_store

    reader = open_store(store, read_only=True)
    (kept,) = reader.load(reader.chains()[0].chain_id)
    span = context_of(spans.all()[0])
    assert (kept.trace_id, kept.span_id) == (f"{span.trace_id:032x}", f"{span.span_id:016x}")
    assert spans.all()[0].start_time == kept.started_ns
    assert spans.all()[0].end_time == kept.ended_ns


@pytest.mark.parametrize(
    ("kind", "span_name", "operation", "key"),
    [
        ("workflow", "invoke_workflow x", "invoke_workflow", "gen_ai.workflow.name"),
        ("agent", "invoke_agent x", "invoke_agent", "gen_ai.agent.name"),
        ("model", "chat x", "chat", "gen_ai.request.model"),
        ("tool", "execute_tool x", "execute_tool", "gen_ai.tool.name"),
        ("memory_read", "search_memory x", "search_memory", "gen_ai.memory.store.id"),
        ("memory_write", "upsert_memory x", "upsert_memory", "gen_ai.memory.store.id"),
        ("plan", "plan x", "plan", "gen_ai.agent.name"),
        ("handoff", "handoff x", None, None),
        ("route", "route x", None, None),
        ("request", "request", None, None),
    ],
)
def test_names_are_those_of_the_conventions(
    kind: StepKind, span_name: str, operation: str | None, key: str | None, start: Start
) -> None:
    spans = start()
    recorder().end(step(kind, "x"))

    span = spans.named(span_name)
    told = attributes(span)
    assert told.get("gen_ai.operation.name") == operation
    assert key is None or told[key] == "x"
    assert told["becausal.step.kind"] == kind
    assert span.kind is (SpanKind.CLIENT if kind == "model" else SpanKind.INTERNAL)
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "becausal"


def test_digests_sizes_and_the_place_in_the_chain_are_told(start: Start) -> None:
    spans = start()
    given, result = {"role": "user", "content": "hi", "id": "1"}, {"figure": 1}
    begun = step("agent", "a", received=given)
    recorder().end(begun, result)

    assert begun.received is not None
    assert begun.produced is not None
    told = attributes(spans.all()[0])
    assert told["becausal.payload.input.digest"] == begun.received.digest
    assert told["becausal.belief.digest"] == begun.received.belief != begun.received.digest
    assert told["becausal.payload.input.size"] == begun.received.size
    assert told["becausal.payload.output.digest"] == begun.produced.digest
    assert told["becausal.payload.output.size"] == begun.produced.size
    assert told["becausal.node.id"] == begun.id
    assert told["becausal.step.seq"] == begun.seq
    assert (told["becausal.step.status"], told["becausal.hop"]) == ("ok", 0)


def test_a_failure_is_told_as_one_and_control_flow_is_not(start: Start) -> None:
    spans = start()
    recorder().end(step("agent", "failed"), error=ValueError("no such city"))
    recorder().end(step("agent", "interrupted"), error=ValueError("ask"), status="interrupted")

    failed, interrupted = spans.all()
    assert (failed.status.status_code, failed.status.description) == (
        StatusCode.ERROR,
        "ValueError: no such city",
    )
    assert attributes(failed)["error.type"] == "ValueError"
    assert interrupted.status.status_code is StatusCode.UNSET
    assert "error.type" not in attributes(interrupted)
    assert attributes(interrupted)["becausal.step.status"] == "interrupted"


# Causes


def test_a_cause_is_told_as_a_link_and_as_an_attribute(start: Start) -> None:
    spans = start()
    first, second = step("tool", "first"), step("tool", "second")
    before = Cause(first.id, "data", "matched", span_context=first.span_context)
    since = Cause(second.id, "memory", "observed", span_context=second.span_context)
    caused = step("agent", "a", causes=[before])
    recorder().cause(caused, since)
    for ending in (first, second, caused):
        recorder().end(ending)

    span = spans.named("invoke_agent a")
    assert [(link.context.span_id, dict(link.attributes or {})) for link in span.links] == [
        (
            cause.span_context.span_id if cause.span_context else 0,
            {"becausal.link.type": cause.kind, "becausal.link.grade": cause.grade},
        )
        for cause in (before, since)
    ]
    assert attributes(span)["becausal.cause.ids"] == (first.id, second.id)
    assert attributes(span)["becausal.cause.types"] == ("data", "memory")


def test_a_handoff_is_linked_to_who_sent_and_to_who_received(start: Start) -> None:
    spans = start()
    sender = step("agent", "a", agent="a")
    handoff = recorder().handoff("a", "b", {"n": 1}, sent_by=sender)
    assert handoff is not None
    recorder().end(sender)
    recorder().end(step("agent", "b", agent="b", received={"n": 1}, arrivals=[handoff], parent=sender))

    a, passed, b = (spans.named(n) for n in ("invoke_agent a", "handoff a to b", "invoke_agent b"))
    assert [link.context.span_id for link in passed.links] == [context_of(a).span_id, context_of(b).span_id]
    assert [link.context.span_id for link in b.links] == [context_of(passed).span_id]
    told = attributes(passed)
    assert (told["becausal.transfer.source.name"], told["gen_ai.transfer.target.name"]) == ("a", "b")
    assert told["becausal.transfer.equal"] is True
    assert told["becausal.payload.input.digest"] == told["becausal.payload.output.digest"]


def test_a_handoff_that_its_receiver_tells_of_is_one_span_linked_to_both_ends(start: Start) -> None:
    spans = start()
    sender = step("agent", "a", agent="a")
    recorder().end(sender)
    told = Passing("a", "b", {"n": 1}, sender)
    recorder().end(step("agent", "b", agent="b", received={"n": 2}, arrivals=[told], parent=sender))

    a, passed, b = (spans.named(n) for n in ("invoke_agent a", "handoff a to b", "invoke_agent b"))
    assert [link.context.span_id for link in passed.links] == [context_of(a).span_id, context_of(b).span_id]
    assert [link.context.span_id for link in b.links] == [context_of(passed).span_id]
    assert passed.parent is not None
    assert passed.parent.span_id == context_of(a).span_id
    said = attributes(passed)
    assert said["becausal.transfer.received_by"] == attributes(b)["becausal.node.id"]
    assert attributes(b)["becausal.cause.ids"] == (said["becausal.node.id"],)
    assert said["becausal.transfer.equal"] is False
    assert said["becausal.step.status"] == "ok"
    assert (said["becausal.hop"], attributes(b)["becausal.hop"]) == (1, 1)
    assert passed.end_time is not None


def test_a_handoff_that_is_told_before_its_receiver_begins_is_over_with_what_came_of_it(start: Start) -> None:
    spans = start()
    sender = step("agent", "a", agent="a")
    handoff = recorder().told(Passing("a", "b", {"n": 1}, sender), {"n": 2})
    recorder().end(sender)

    assert handoff is not None
    assert (handoff.status, handoff.span) == ("ok", None)
    assert handoff.ended_ns is not None
    a, passed = spans.named("invoke_agent a"), spans.named("handoff a to b")
    assert [link.context.span_id for link in passed.links] == [context_of(a).span_id]
    assert passed.parent is not None
    assert passed.parent.span_id == context_of(a).span_id
    assert handoff.span_context is not None
    assert handoff.span_context.span_id == context_of(passed).span_id
    said = attributes(passed)
    assert said["becausal.transfer.equal"] is False
    assert "becausal.transfer.received_by" not in said
    assert said["becausal.payload.input.digest"] != said["becausal.payload.output.digest"]
    assert (said["becausal.step.status"], said["becausal.hop"]) == ("ok", 1)


def test_of_many_handoffs_only_so_many_are_linked_to_who_received_them(start: Start) -> None:
    spans = start()
    senders = [step("agent", f"a{nth}", agent=f"a{nth}") for nth in range(40)]
    told = [Passing(sender.agent, "b", {"n": 1}, sender) for sender in senders]
    recorder().end(step("agent", "b", agent="b", received={"n": 1}, arrivals=told))

    assert len(spans.named("invoke_agent b").links) == telemetry.MAX_LINKS
    assert sum(span.name.startswith("handoff") for span in spans.all()) == len(told)


def test_an_envelope_carries_the_link(start: Start) -> None:
    spans = start()
    with becausal.agent("a"):
        envelope = becausal.handoff("a", "b", 1)
    with becausal.receive("b", json.loads(json.dumps(envelope))):
        pass

    passed, b = spans.named("handoff a to b"), spans.named("invoke_agent b")
    assert [link.context.span_id for link in b.links] == [context_of(passed).span_id]
    assert context_of(b).trace_id == context_of(passed).trace_id


# Sizes


HOSTILE = ["x" * 100_000, "ü½" * 50_000, "\ud800 lone", "\x00" * 9_000, "😀" * 3_000]


def sizes(value: Any) -> int:
    items = value if isinstance(value, tuple) else (value,)
    return sum(len(str(item).encode()) for item in items)  # raises for a lone surrogate


@pytest.mark.parametrize("text", HOSTILE, ids=["ascii", "latin", "surrogate", "zeros", "astral"])
@pytest.mark.parametrize("content", ["NO_CONTENT", "SPAN_ONLY"])
def test_no_attribute_is_larger_than_every_backend_takes(
    text: str, content: str, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", content)
    spans = start()
    for kind in ("request", "agent", "tool", "model"):
        begun = step(
            kind,
            text,
            agent=text,
            received=text,
            chain_id=text,
            attributes={"a": text, "b": (text[:999],) * 99},
        )
        begun.choices = []
        recorder().end(begun, text, error=ValueError(text))
    with becausal.agent(text) as turn:
        turn.decide(text, because=[text], reason=text)
        becausal.handoff(text, text, text)

    assert len(spans.all()) == 6
    for span in spans.all():
        assert len(span.name.encode()) <= 2_048
        assert len((span.status.description or "").encode()) <= 2_000
        assert {key: sizes(value) for key, value in attributes(span).items() if sizes(value) > 2_000} == {}


def test_numbers_that_no_backend_takes_are_told_otherwise(start: Start) -> None:
    spans = start()
    odd: dict[str, Any] = {
        "becausal.big": 1 << 70,
        "becausal.nan": float("nan"),
        "becausal.inf": float("inf"),
        "becausal.yes": True,
        "becausal.n": 1,
        "becausal.f": 0.5,
    }
    recorder().end(step("agent", "a", attributes=dict(odd)))

    told = attributes(spans.all()[0])
    assert {key: told.get(key) for key in odd} == {
        "becausal.big": str(1 << 70),
        "becausal.nan": None,
        "becausal.inf": None,
        "becausal.yes": True,
        "becausal.n": 1,
        "becausal.f": 0.5,
    }


def test_a_framework_s_own_attributes_are_for_the_store(start: Start) -> None:
    spans = start()
    recorder().end(step("agent", "a", attributes={"langgraph.step": 1, "gen_ai.conversation.id": "t"}))

    told = attributes(spans.all()[0])
    assert "langgraph.step" not in told
    assert told["gen_ai.conversation.id"] == "t"


def test_every_span_of_a_conversation_names_it(start: Start) -> None:
    spans = start()
    turn = step("workflow", "w", attributes={"gen_ai.conversation.id": "thread-1"})
    agent = step("agent", "a", parent=turn)
    inner = step("workflow", "inner", parent=agent, attributes={"gen_ai.conversation.id": "thread-2"})
    for ending in (step("tool", "t", parent=inner), inner, step("model", "m", parent=agent), agent, turn):
        recorder().end(ending)
    recorder().end(step("agent", "alone"))

    for key in ("gen_ai.conversation.id", "session.id"):  # LangSmith and Weave group by what each span says
        assert {span.name.split()[-1]: attributes(span).get(key) for span in spans.all()} == {
            "w": "thread-1",
            "a": "thread-1",
            "m": "thread-1",
            "inner": "thread-2",
            "t": "thread-2",
            "alone": None,
        }
    assert "gen_ai.conversation.id" not in agent.attributes  # the store tells it once


def test_what_a_reader_cannot_do_without_is_not_evicted(start: Start) -> None:
    spans = start()
    many: dict[str, Any] = {f"becausal.a.{number}": number for number in range(300)}
    begun = step(
        "agent", "a", attributes=many, received="r", causes=[Cause("00000000000000aa", "data", "matched")]
    )
    recorder().end(begun)

    told = attributes(spans.all()[0])
    assert len(told) == 128
    for key in (
        semconv.CHAIN_ID,
        semconv.NODE_ID,
        semconv.INPUT_DIGEST,
        semconv.CAUSE_IDS,
        semconv.STEP_STATUS,
    ):
        assert key in told


def test_only_so_many_links_are_made(start: Start) -> None:
    spans = start()
    sources = [step("tool", "t") for _ in range(40)]
    causes = [Cause(source.id, "data", "matched", span_context=source.span_context) for source in sources]
    recorder().end(step("agent", "a", causes=causes))

    span = spans.named("invoke_agent a")
    assert len(span.links) == len(attributes(span)["becausal.cause.ids"]) == telemetry.MAX_LINKS


# Content


SECRET = "the secret word"


def tell_secrets() -> None:
    with becausal.chain(SECRET, received=SECRET), becausal.agent("planner", received=[SECRET]) as turn:
        turn.decide(SECRET, because=[SECRET], reason=SECRET)
        becausal.tool(name="search")(lambda query: [query, query])(SECRET)
        recorder().call(
            Observation(lambda given: Opening("model", "gpt", received=given)), lambda _: SECRET, [SECRET]
        )
        becausal.handoff("planner", "writer", SECRET)
        turn.returned(SECRET)


@pytest.mark.parametrize("switch", [None, "", "NO_CONTENT", "EVENT_ONLY", "true"])
def test_no_content_is_on_spans_unless_asked_for(
    switch: str | None, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
    monkeypatch.delenv(name, raising=False) if switch is None else monkeypatch.setenv(name, switch)
    spans = start()
    tell_secrets()

    assert len(spans.all()) == 5
    for span in spans.all():
        assert SECRET not in span.to_json()


@pytest.mark.parametrize("switch", ["SPAN_ONLY", "span_and_event"])
def test_content_is_on_spans_where_opentelemetrys_switch_says_so(
    switch: str, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", switch)
    spans = start()
    tell_secrets()

    tool, model = attributes(spans.named("execute_tool search")), attributes(spans.named("chat gpt"))
    agent = attributes(spans.named("invoke_agent planner"))
    assert json.loads(tool["gen_ai.tool.call.arguments"]) == {"query": SECRET}
    assert json.loads(tool["gen_ai.tool.call.result"]) == [SECRET, SECRET]
    for told in (model, agent):
        for key, role in (("gen_ai.input.messages", "user"), ("gen_ai.output.messages", "assistant")):
            (message,) = json.loads(told[key])
            assert message["role"] == role
            assert SECRET in message["parts"][0]["content"]
    assert agent["becausal.decision.conclusion"] == SECRET


def test_content_that_was_seen_before_is_told_whole(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_ONLY")
    spans = start()
    messages = [{"role": "user", "content": "x" * 300}]
    for name in ("first", "second"):
        recorder().end(step("tool", name, received=messages))

    first, second = (attributes(span)["gen_ai.tool.call.arguments"] for span in spans.all())
    assert first == second
    assert "x" * 300 in second


# Among the app's spans


def test_the_apps_spans_nest_under_ours_and_ours_under_the_apps(start: Start) -> None:
    spans = start()
    tracer = trace.get_tracer("app", tracer_provider=spans.provider)
    with (
        tracer.start_as_current_span("http request"),
        becausal.agent("a"),
        tracer.start_as_current_span("query"),
        becausal.agent("b"),
    ):
        pass

    order = ["http request", "invoke_agent a", "query", "invoke_agent b"]
    for outer, inner in itertools.pairwise(order):
        assert parent_of(spans.named(inner)) == context_of(spans.named(outer)).span_id


def test_a_parent_that_the_framework_names_wins_over_what_happens_to_be_current(start: Start) -> None:
    spans = start()
    boss, other = step("agent", "boss"), step("agent", "other")
    with Scope(with_step(other)):
        recorder().end(step("tool", "t", parent=boss))
    recorder().end(boss)
    recorder().end(other)

    assert parent_of(spans.named("execute_tool t")) == context_of(spans.named("invoke_agent boss")).span_id


def test_a_sampler_that_wants_nothing_keeps_the_context_going(start: Start, recording: Recording) -> None:
    becausal.uninstrument()
    spans = start(sampler=ALWAYS_OFF)
    headers: dict[str, str] = {}
    with becausal.chain("q") as chain, becausal.agent("a") as turn:
        becausal.inject(headers)
        current = trace.get_current_span().get_span_context()

    assert spans.all() == []
    assert current.is_valid
    assert not current.trace_flags.sampled
    assert f"{current.span_id:016x}" in headers["traceparent"]
    assert f"/{turn.id}/" in headers["tracestate"]
    request, agent = recording.last()
    assert (agent.parent_id, agent.chain_id) == (request.id, chain.chain_id)


def test_where_tracing_is_suppressed_no_span_is_made_and_the_step_is_kept(
    start: Start, recording: Recording
) -> None:
    from opentelemetry.instrumentation.utils import suppress_instrumentation

    becausal.uninstrument()
    spans = start()
    with becausal.chain("q"), suppress_instrumentation(), becausal.agent("judge"):
        pass
    assert [span.name for span in spans.all()] == ["request"]
    assert [step.name for step in recording.last()] == ["q", "judge"]


def test_what_was_not_sampled_is_not_sampled_by_way_of_a_named_parent(start: Start) -> None:
    spans = start(sampler=ParentBased(ALWAYS_OFF))
    unsampled = SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(0))
    with trace.use_span(NonRecordingSpan(unsampled)):
        boss = step("agent", "boss")
    recorder().end(step("tool", "t", parent=boss))
    recorder().end(boss)

    assert spans.all() == []


def test_nothing_wrong_is_recorded_or_said_where_there_is_no_provider(
    recording: Recording, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    remote = SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1))
    with (
        caplog.at_level(logging.DEBUG),
        trace.use_span(NonRecordingSpan(remote)),
        becausal.agent("a") as turn,
    ):
        assert turn.step is not None
        assert turn.step.span_context is None
        assert trace.get_current_span().get_span_context() == remote

    (kept,) = recording.last()
    assert (kept.trace_id, kept.span_id, kept.status) == (None, None, "ok")
    assert [
        record for record in caplog.records if record.name.startswith(("becausal", "opentelemetry"))
    ] == []
    assert capfd.readouterr() == ("", "")


def test_a_provider_that_is_set_later_is_used(tmp_path: Any) -> None:
    code = """
        import becausal
        from opentelemetry import trace
        becausal.instrument()
        with becausal.agent("before"):
            pass
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        trace.set_tracer_provider(provider)
        with becausal.agent("after"):
            pass
        print([span.name for span in exporter.get_finished_spans()])
        """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        env={**os.environ, "BECAUSAL_STORE": str(tmp_path / "runs.db")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.stdout, done.stderr) == ("['invoke_agent after']\n", "")


def test_an_app_that_seeds_draws_its_own_numbers_where_the_provider_has_ids_of_its_own(
    start: Start,
) -> None:
    written = (Path(__file__).parents[2] / "docs" / "transparency.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", written, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    random.seed(7)
    without = random.random()
    start(id_generator=names["OwnIds"]())

    random.seed(7)
    with becausal.agent("one"):
        pass

    assert random.random() == without
