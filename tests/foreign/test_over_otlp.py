"""Everybody's dialect over OTLP, through the receiver: the same runs as from files, and the same answers."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped,unused-ignore]
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.testclient import TestClient

from becausal import foreign, semconv
from becausal.foreign import Span
from becausal.foreign.otlp import mlflow_spans, otlp_spans
from becausal.run import Run
from becausal.serve import Assembler, Intake, application
from becausal.store import Store, open_store

FIXTURES = Path(__file__).parent / "fixtures"

OTLP = [
    "agent-framework-genai.jsonl", "autogen-native.json", "autogen-openinference.jsonl", "langgraph-genai.jsonl",
    "langgraph-langfuse.jsonl", "langgraph-mlflow.json", "langgraph-openinference.jsonl", "langgraph-openllmetry.jsonl",
]  # fmt: skip

FORMS = ("application/x-protobuf", "application/json")


def spans_of(name: str) -> list[Span]:
    """Return the spans of a fixture."""
    text = (FIXTURES / name).read_text()
    records = [json.loads(text)] if name.endswith(".json") else list(map(json.loads, text.splitlines()))
    return [
        span
        for record in records
        for span in (otlp_spans(record) if "resourceSpans" in record else mlflow_spans(record))
    ]


def request_of(spans: list[Span]) -> ExportTraceServiceRequest:
    """Return an export request of spans."""
    request = ExportTraceServiceRequest()
    for span in spans:
        scoped = request.resource_spans.add().scope_spans.add()
        scoped.scope.name = span.scope
        made = scoped.spans.add()
        made.trace_id, made.span_id = bytes.fromhex(span.trace_id), bytes.fromhex(span.span_id)
        made.parent_span_id = bytes.fromhex(span.parent_id or "")
        made.name, made.start_time_unix_nano = span.name, span.started_ns
        made.end_time_unix_nano = span.ended_ns or 0
        if span.error is not None:
            made.status.code, made.status.message = 2, span.error  # type: ignore[assignment,unused-ignore]
        _put(made.attributes, span.attributes)
        for trace, identity, about in span.links:
            link = made.links.add()
            link.trace_id, link.span_id = bytes.fromhex(trace), bytes.fromhex(identity)
            _put(link.attributes, about)
    return request


def _put(pairs: Any, said: Mapping[str, object]) -> None:
    for name, value in said.items():
        pair = pairs.add()
        pair.key = name
        pair.value.CopyFrom(_value(value))


def _value(value: object) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case list():
            made = AnyValue()
            made.array_value.values.extend(map(_value, value))
            return made
        case str():
            return AnyValue(string_value=value)
        case _:
            return AnyValue(string_value=json.dumps(value))


def body_of(request: ExportTraceServiceRequest, form: str) -> bytes:
    """Return a request as it is sent in one of OTLP's two forms."""
    if form == FORMS[0]:
        return bytes(request.SerializeToString())
    said = MessageToDict(request)
    for resource, made in zip(said["resourceSpans"], request.resource_spans, strict=True):
        for scoped, made_scoped in zip(resource["scopeSpans"], made.scope_spans, strict=True):
            for span, of in zip(scoped["spans"], made_scoped.spans, strict=True):
                span |= {"traceId": of.trace_id.hex(), "spanId": of.span_id.hex()}
                span["parentSpanId"] = of.parent_span_id.hex()
                for link, of_link in zip(span.get("links", ()), of.links, strict=True):
                    link |= {"traceId": of_link.trace_id.hex(), "spanId": of_link.span_id.hex()}
    return json.dumps(said).encode()


def received(request: ExportTraceServiceRequest, form: str, kept: Store) -> Run:
    """Return the only run that a receiver makes of a request."""
    intake = Intake(Assembler(kept, quiet_s=0.0))
    response = TestClient(application(intake)).post(
        "/v1/traces", content=body_of(request, form), headers={"content-type": form}
    )
    assert (response.status_code, response.content) in ((200, b""), (200, b"{}"))
    assert intake.close(60)
    (info,) = kept.chains()
    return Run(info.chain_id, kept.load(info.chain_id))


def imported(name: str) -> Run:
    """Return the run that a fixture's file gives."""
    kept = open_store("sqlite:///:memory:")
    kept.write(foreign.load(FIXTURES / name), notes_memory=False)
    (info,) = kept.chains()
    return Run(info.chain_id, kept.load(info.chain_id))


def origin(run: Run) -> tuple[str, str]:
    """Return where the quickstart's figure comes from."""
    segment = run.blame("20 million").segments[0]
    assert segment.origin is not None
    return segment.source, segment.origin.name


@pytest.fixture(params=FORMS, ids=("protobuf", "json"))
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("name", OTLP)
def test_what_is_sent_over_otlp_is_the_run_that_its_file_gives(name: str, form: str, kept: Store) -> None:
    run = received(request_of(spans_of(name)), form, kept)

    assert run.steps == imported(name).steps
    assert origin(run) == ("tool", "revenue_database")


def test_langsmith_s_own_exporter_gives_the_run_of_its_file(form: str, kept: Store) -> None:
    exporting = pytest.importorskip("langsmith._internal.otel._otel_exporter")
    operations = pytest.importorskip("langsmith._internal._operations")
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    runs = list(map(json.loads, (FIXTURES / "langgraph-langsmith.jsonl").read_text().splitlines()))
    for run in sorted(runs, key=lambda run: run["dotted_order"]):
        for name in ("id", "trace_id"):
            run[name] = uuid.UUID(run[name])
    posts = [operations.serialize_run_dict("post", run) for run in runs]
    exporting.OTELExporter(provider).export_batch(posts, {})

    found = received(encode_spans(exporter.get_finished_spans()), form, kept)

    told = [(step.kind, step.name, step.agent) for step in found.steps]
    assert told == [
        (step.kind, step.name, step.agent) for step in imported("langgraph-langsmith.jsonl").steps
    ]
    assert origin(found) == ("tool", "revenue_database")
    assert "LangSmith" in str(found.steps[0].attributes[semconv.IMPORT_DIALECTS])
