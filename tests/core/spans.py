"""Spans that becausal exports, as a receiver's tests need them."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import becausal


def recorded(store: str) -> Sequence[ReadableSpan]:
    """Return the spans of a run of ours: two agents, a tool, and a handoff."""
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    becausal.instrument("threads", store=store, tracer_provider=provider)
    try:
        with becausal.chain("q", id="chain-1"):
            with becausal.agent("planner") as step:
                step.returned(becausal.tool(name="search")(lambda q: [q])("hats"))
                envelope = becausal.handoff("planner", "writer", {"found": ["hats"]})
            with becausal.receive("writer", envelope):
                pass
    finally:
        becausal.uninstrument()
    return exporter.get_finished_spans()
