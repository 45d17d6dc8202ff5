"""An app that sets up OpenTelemetry in one of several ways, runs a graph and an own agent, and prints its spans.

    python -m tests.integrations.providing WAY STORE

Under `opentelemetry-instrument` the way is `automatic`: the app itself says nothing of becausal or of OpenTelemetry.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any

from langgraph.graph import END, START, StateGraph
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider, sampling
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import ProxyTracerProvider
from typing_extensions import TypedDict

import becausal

WAYS = (
    "none",
    "before",
    "after",
    "argument",
    "foreign",
    "two",
    "off",
    "unsampled",
    "parent-based",
    "disabled",
    "automatic",
)


class Told(TypedDict):
    text: str


class Kept(SpanExporter):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.spans += spans
        return SpanExportResult.SUCCESS


class Foreign(trace.TracerProvider):
    """A provider like ddtrace's: the API's one method and nothing of the SDK's."""

    def __init__(self, inner: TracerProvider) -> None:
        self._inner = inner

    def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
        return self._inner.get_tracer(*args, **kwargs)


def app() -> Any:
    def search(state: Told) -> Told:
        return {"text": state["text"] + ": found"}

    async def write(state: Told) -> Told:
        with becausal.agent("checker"):
            return {"text": state["text"] + ", written"}

    built = StateGraph(Told)
    built.add_node("search", search)
    built.add_node("write", write)
    built.add_edge(START, "search")
    built.add_edge("search", "write")
    built.add_edge("write", END)
    return built.compile()


def provider(*kept: Kept, sampler: sampling.Sampler | None = None) -> TracerProvider:
    made = TracerProvider(sampler=sampler)
    for exporter in kept:
        made.add_span_processor(SimpleSpanProcessor(exporter))
    return made


def main(way: str, store: str) -> None:
    kept, second = Kept(), Kept()
    if way == "before":
        trace.set_tracer_provider(provider(kept))
    elif way == "foreign":
        trace.set_tracer_provider(Foreign(provider(kept)))
    elif way == "two":
        trace.set_tracer_provider(provider(second))
    elif way == "off":
        trace.set_tracer_provider(provider(kept, sampler=sampling.ALWAYS_OFF))
    elif way in ("unsampled", "parent-based"):
        trace.set_tracer_provider(provider(kept, sampler=sampling.ParentBased(sampling.ALWAYS_ON)))
    if way == "automatic":
        trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(kept))  # type: ignore[attr-defined]
    elif way in ("argument", "two"):
        becausal.instrument(store=store, tracer_provider=provider(kept))
    else:
        becausal.instrument(store=store)
    if way in ("after", "disabled"):
        assert isinstance(trace.get_tracer_provider(), ProxyTracerProvider)
        trace.set_tracer_provider(provider(kept))

    around = trace.get_tracer("app").start_as_current_span("the app's own")
    if way == "unsampled":
        flags = trace.TraceFlags(trace.TraceFlags.DEFAULT)
        remote = trace.SpanContext(0xA1, 0xB2, is_remote=True, trace_flags=flags)
        around = trace.use_span(trace.NonRecordingSpan(remote))
    with around:
        result = asyncio.run(app().ainvoke({"text": "hats"}))
    run = becausal.last_run()
    spans = [
        {
            "name": span.name,
            "trace": span.context.trace_id,
            "id": span.context.span_id,
            "parent": None if span.parent is None else span.parent.span_id,
            "chain": (span.attributes or {}).get("becausal.chain.id"),
            "step": (span.attributes or {}).get("becausal.node.id"),
        }
        for span in kept.spans
        if span.context is not None
    ]
    told = {
        "result": result,
        "steps": [[step.id, step.kind, step.name, step.trace_id] for step in run.steps],
        "chain": run.chain_id,
        "spans": spans,
        "elsewhere": len(second.spans),
    }
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
