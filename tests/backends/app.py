"""An example of ours under becausal, its spans sent to a backend as an app's would be.

    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://127.0.0.1:6006/v1/traces python -m tests.backends.app langgraph

OpenTelemetry's own variables say where the spans go. Prints as JSON lines the spans that were sent, for a comparison
with what the backend has of them.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Callable
from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import becausal

THREAD = "conversation-7"
"""The thread that the LangGraph example runs in, which is a backend's session."""

QUESTION = "What was the revenue of Acme in 2025, and what follows from it?"


def langgraph() -> None:
    from examples.quickstart import research_team
    from langchain_core.messages import HumanMessage

    config: Any = {"configurable": {"thread_id": THREAD}}
    research_team().invoke({"messages": [HumanMessage(QUESTION)]}, config)


def autogen() -> None:
    from examples.autogen_team import research_team

    asyncio.run(research_team().run(task="What was the revenue of Acme in 2025?"))


def own() -> None:
    memory = becausal.Memory("ledger")
    with becausal.chain(QUESTION) as chain:
        with becausal.agent("bookkeeper", received=QUESTION) as turn:
            memory.write("Acme/2025", "20 million USD")
            turn.decide("ask the ledger", because=[QUESTION], confidence=0.7)
            turn.returned(memory.read("Acme/2025"))
        envelope = becausal.handoff("bookkeeper", "writer", "20 million USD")
        with becausal.receive("writer", envelope) as figure:
            becausal.returned(f"Acme had {figure}.")
        chain.returned(f"Acme had {figure}.")


APPS: dict[str, Callable[[], None]] = {"langgraph": langgraph, "autogen": autogen, "own": own}


def told(span: ReadableSpan) -> dict[str, Any]:
    assert span.context is not None
    return {
        "name": span.name,
        "trace": f"{span.context.trace_id:032x}",
        "id": f"{span.context.span_id:016x}",
        "parent": None if span.parent is None else f"{span.parent.span_id:016x}",
        "attributes": dict(span.attributes or {}),
        "links": [
            {"id": f"{link.context.span_id:016x}", "attributes": dict(link.attributes or {})}
            for link in span.links
        ],
        "events": [{"name": event.name, "attributes": dict(event.attributes or {})} for event in span.events],
    }


def main(name: str) -> None:
    sent, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(sent))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    with tempfile.TemporaryDirectory() as folder:
        becausal.instrument(store=f"{folder}/runs.db", watch=True)
        # The tool of both examples gives a wrong figure; their owner has a check that knows.
        becausal.validator("revenue_database")(lambda answer: "20 million" not in str(answer))
        APPS[name]()
        becausal.uninstrument()  # the findings are told
        provider.shutdown()  # and sent
    for span in sent.get_finished_spans():
        sys.stdout.write(json.dumps(told(span)) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
