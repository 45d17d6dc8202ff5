"""What becausal exports is at the other end of the wire the run that it recorded, as far as a span goes."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import json
import subprocess
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import becausal
from becausal import semconv
from becausal.foreign import Span, of_spans
from becausal.run import Run
from becausal.serve.wire import PROTOBUF, read
from becausal.step import OpenStep, Step
from becausal.store import open_store

CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"

FIELDS = (
    "id", "kind", "name", "agent", "parent_id", "chain_id", "trace_id", "span_id", "seq", "hop", "started_ns",
    "ended_ns", "status", "error",
)  # fmt: skip


def play_quickstart() -> None:
    human = importlib.import_module("langchain_core.messages").HumanMessage(
        "What was the revenue of Acme in 2025?"
    )
    importlib.import_module("examples.quickstart").research_team().invoke({"messages": [human]})


def play_autogen() -> None:
    asyncio.run(importlib.import_module("examples.autogen_team").main())


@becausal.tool(name="search")
def search(query: str) -> list[str]:
    if query == "nothing":
        raise LookupError("no such thing")
    return [f"{query}: 20 million"]


def play_by_hand() -> None:
    with becausal.chain("What was the revenue?", id="by hand"):
        with becausal.agent("planner") as step:
            with pytest.raises(LookupError):
                search("nothing")
            step.returned(search("revenue"))
            envelope = becausal.handoff("planner", "writer", {"found": "20 million"})
        with becausal.receive("writer", envelope):
            pass


PLAYS = {"quickstart": play_quickstart, "autogen": play_autogen, "by hand": play_by_hand}


def played(name: str, store: str) -> Sequence[ReadableSpan]:
    """Return the spans of a run that is recorded to a store as well."""
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    becausal.instrument(store=store, tracer_provider=provider)
    try:
        PLAYS[name]()
    finally:
        becausal.uninstrument()
    return exporter.get_finished_spans()


def over_the_wire(spans: Sequence[ReadableSpan]) -> list[Span]:
    """Return spans as a receiver reads them."""
    return read(encode_spans(spans).SerializeToString(), PROTOBUF).spans


def run_of(steps: Sequence[OpenStep]) -> Run:
    """Return the only run of some steps, through a store."""
    kept = open_store("sqlite:///:memory:")
    kept.write(steps, notes_memory=False)
    (info,) = kept.chains()
    return Run(info.chain_id, kept.load(info.chain_id))


def recorded(store: str) -> Run:
    with becausal.open(store) as runs:
        (info,) = runs.list()
        kept = open_store(store, read_only=True)
        return Run(info.chain_id, kept.load(info.chain_id))


def told(step: Step) -> Mapping[str, object]:
    """Return what a span says of a step."""
    attributes = {
        key: value
        for key, value in step.attributes.items()
        # The last is on every model's span, on its step where the framework says it.
        if key.startswith(("becausal.", "gen_ai.")) and not key.startswith("becausal.import.")
        if key != semconv.REQUEST_MODEL
    }
    sides = [side and (side.digest, side.size) for side in (step.received, step.produced)]
    causes = [(cause.source_id, cause.kind, cause.grade) for cause in step.causes]
    fields = {name: getattr(step, name) for name in FIELDS}
    return {**fields, "attributes": attributes, "sides": sides, "causes": causes}


@pytest.fixture
def content(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CONTENT, "SPAN_ONLY")


@pytest.mark.parametrize("name", PLAYS)
def test_a_step_is_what_its_span_says_and_nothing_is_numbered_anew(name: str, store: str) -> None:
    spans = played(name, store)
    before, after = recorded(store), run_of(of_spans(over_the_wire(spans)))

    named = {step.id: "request" if step.kind == "request" else step.name for step in before.steps}
    # A request's name is what somebody asked: content, which is on no span.
    assert [told(step) for step in after.steps] == [
        {**told(step), "name": named[step.id]} for step in before.steps
    ]


@pytest.mark.parametrize("name", PLAYS)
def test_a_handoff_that_came_as_it_was_sent_is_known_as_such_without_a_word_of_content(
    name: str, store: str
) -> None:
    spans = played(name, store)
    before, after = recorded(store), run_of(of_spans(over_the_wire(spans)))

    assert [(one.step.name, one.verdict == "identical") for one in after.handoffs] == [
        (one.step.name, one.verdict == "identical") for one in before.handoffs
    ]
    assert all(one.sent is not None and not one.sent.is_kept for one in after.handoffs)
    notes = after.steps[0].attributes[semconv.IMPORT_NOTES]
    assert isinstance(notes, tuple)
    assert f"no content recorded at all, in so many steps: {len(after.steps)}" in notes


@pytest.mark.parametrize("name", ["quickstart", "autogen"])
def test_with_content_on_the_spans_blame_finds_the_tool(name: str, store: str, content: None) -> None:
    after = run_of(of_spans(over_the_wire(played(name, store))))

    segment = after.blame("20 million").segments[0]

    assert segment.origin is not None
    assert (segment.source, segment.origin.name) == ("tool", "revenue_database")


def test_contents_that_begin_alike_and_are_cut_stay_two(store: str, content: None) -> None:
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    becausal.instrument("threads", store=store, tracer_provider=provider)
    with becausal.chain("q"):
        for end in ("one", "two", "one"):
            search("x" * 5000 + end)
    becausal.uninstrument()

    run = run_of(of_spans(over_the_wire(exporter.get_finished_spans())))

    first, second, third = (call.step.produced for call in run.tool_calls)
    assert first == third != second
    assert first is not None
    assert first.lossy == (("$", "cut on its span"),)
    assert "cut on its span; the whole is bc1-xxh3:" in first.text()


def test_what_another_instrumentor_says_of_the_same_process_is_left_out_and_of_another_is_not(
    store: str,
) -> None:
    spans = over_the_wire(played("by hand", store))
    agent = next(span for span in spans if span.attributes.get(semconv.STEP_KIND) == "agent")
    double = Span(
        agent.trace_id, "ab" * 8, "LLM", agent.span_id, agent.started_ns, agent.ended_ns, None,
        {"openinference.span.kind": "LLM", "input.value": "hello"}, source=agent.source,
    )  # fmt: skip
    far = dataclasses.replace(double, span_id="cd" * 8, source="another process")

    alone = run_of(of_spans(spans))
    beside = run_of(of_spans([*spans, double]))
    further = run_of(of_spans([*spans, far]))

    assert [step.id for step in beside.steps] == [step.id for step in alone.steps]
    (more,) = [step for step in further.steps if step.id not in {step.id for step in alone.steps}]
    assert (more.kind, more.agent) == ("model", agent.attributes[semconv.AGENT_NAME])
    assert more.parent_id == agent.attributes[semconv.NODE_ID]


def test_a_user_s_own_span_between_two_steps_does_not_part_them(store: str) -> None:
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    becausal.instrument("threads", store=store, tracer_provider=provider)
    tracer = provider.get_tracer("app")
    with becausal.chain("q"), becausal.agent("planner"), tracer.start_as_current_span("mine"):
        search("hats")
    becausal.uninstrument()

    run = run_of(of_spans(over_the_wire(exporter.get_finished_spans())))

    assert [(step.kind, step.agent) for step in run.steps] == [
        ("request", None),
        ("agent", "planner"),
        ("tool", "planner"),
    ]
    assert run.steps[2].parent_id == run.steps[1].id


def test_several_chains_of_one_trace_stay_several_although_one_is_linked_to_another(store: str) -> None:
    spans = over_the_wire(played("by hand", store))
    linked = [
        dataclasses.replace(
            span,
            span_id=f"{number:016x}",
            parent_id=None,
            attributes={**span.attributes, semconv.CHAIN_ID: "other", semconv.NODE_ID: f"{number:016x}"},
            links=((span.trace_id, span.span_id, {}),),
        )
        for number, span in enumerate(spans, 1)
    ]

    steps = of_spans([*spans, *linked])

    assert {step.chain_id for step in steps} == {"by hand", "other"}
    assert [step.seq for step in steps if step.chain_id == "other"] == [
        step.seq for step in steps if step.chain_id == "by hand"
    ]


SENDER = """
import json, sys, becausal
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

provider, exporter = TracerProvider(), InMemorySpanExporter()
provider.add_span_processor(SimpleSpanProcessor(exporter))
becausal.instrument("threads", store=sys.argv[1], tracer_provider=provider)
if sys.argv[2] == "send":
    with becausal.chain("q", id="both"), becausal.agent("planner"):
        json.dump(becausal.handoff("planner", "writer", {"found": ["hats"]}), open(sys.argv[3], "w"))
else:
    with becausal.receive("writer", json.load(open(sys.argv[3]))):
        with becausal.agent("editor"):
            pass
becausal.uninstrument()
open(sys.argv[4], "wb").write(encode_spans(exporter.get_finished_spans()).SerializeToString())
"""


def test_a_chain_of_two_processes_is_one_run_with_both_ends_of_its_handoff(
    store: str, tmp_path: Path
) -> None:
    bodies = []
    for role in ("send", "receive"):
        command = [sys.executable, "-c", textwrap.dedent(SENDER), store, role]
        subprocess.run([*command, str(tmp_path / "envelope"), str(tmp_path / role)], check=True)
        bodies.append((tmp_path / role).read_bytes())
    before = recorded(store)

    spans = [span for body in reversed(bodies) for span in read(body, PROTOBUF).spans]
    after = run_of(of_spans(spans))

    assert [{**told(step), "name": ""} for step in after.steps] == [
        {**told(step), "name": ""} for step in before.steps
    ]
    (handoff,) = after.handoffs
    assert (handoff.verdict, handoff.sender, handoff.receiver) == ("identical", "planner", "writer")


ODD: dict[str, Any] = {
    semconv.STEP_SEQ: -5,
    semconv.HOP: "many",
    semconv.STEP_STATUS: "splendid",
    semconv.CAUSE_IDS: ["zz", 7, "0" * 16],
    semconv.CAUSE_TYPES: ["transfer", "transfer", "magic"],
    semconv.INPUT_DIGEST: "bc1-xxh3:no",
    semconv.INPUT_SIZE: 1 << 80,
    semconv.CONFIDENCE_SCORE: 1 << 2000,
    semconv.CONFIDENCE_METHOD: float("nan"),
    semconv.ATTEMPT: float("inf"),
}


@pytest.mark.parametrize("name", ODD)
def test_what_makes_no_sense_on_a_span_of_ours_costs_that_and_not_the_run(name: str, store: str) -> None:
    spans = over_the_wire(played("by hand", store))
    changed = [dataclasses.replace(span, attributes={**span.attributes, name: ODD[name]}) for span in spans]

    kept = open_store("sqlite:///:memory:")
    for _ in range(2):  # the second time what is there is completed
        kept.write(of_spans(changed), notes_memory=False)
    run = run_of(of_spans(changed))

    assert {step.id for step in run.steps} == {step.id for step in recorded(store).steps}
    assert json.dumps([step.name for step in run.steps])
