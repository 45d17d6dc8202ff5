"""An app with a provider of its own, and the two nodes that most tests of spans need."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.integrations.fakes_langchain import State

__all__ = ["INPUT", "Spans", "plan", "value", "write"]

INPUT: Any = {"question": "how many?", "log": []}


class Spans:
    """An app whose spans go to memory."""

    def __init__(self) -> None:
        self.exporter, self.provider = InMemorySpanExporter(), TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("app")

    def all(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self.exporter.get_finished_spans()}

    def parent(self, name: str) -> str | None:
        spans = self.all()
        above = spans[name].parent
        return next(
            (other for other, s in spans.items() if above and s.context.span_id == above.span_id), None
        )


def plan(_: State) -> dict[str, Any]:
    return {"findings": "42", "log": ["plan"]}


def write(state: State) -> dict[str, Any]:
    return {"draft": f"it is {state['findings']}"}


def value(payload: Any) -> Any:
    assert payload is not None
    return payload.value()
