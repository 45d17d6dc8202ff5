"""What each of those whose cost is measured does: starts, flushes, tells what a run made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

__all__ = ["BOTH", "Instrumentor", "Spanning", "weight"]

BOTH = ("langgraph", "autogen")

OF_EVERY_SPAN = ("becausal.chain.id", "becausal.node.id")
OF_EVERY_HANDOFF = (
    "becausal.payload.input.digest",
    "becausal.payload.input.size",
    "becausal.payload.output.digest",
    "becausal.payload.output.size",
)
"""Attributes that are there to be joined by and, of a handoff, to be compared by: the least that can be recorded."""


class Counting(SpanExporter):
    """Takes spans, counts them, and throws them away."""

    def __init__(self) -> None:
        self.spans = self.bytes = self.least_bytes = 0
        self.weighs = False
        """Whether the bytes of their attributes are added up: only in runs that are not timed."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Count."""
        self.spans += len(spans)
        if self.weighs:
            for span in spans:
                self.bytes += weight(span.attributes) + sum(weight(event.attributes) for event in span.events)
                self.least_bytes += least(span.attributes or {})
        return SpanExportResult.SUCCESS


def weight(attributes: Mapping[str, Any] | None) -> int:
    """Return the bytes of attributes, names included."""
    total = 0
    for name, value in (attributes or {}).items():
        if isinstance(value, str):
            total += len(name) + len(value.encode("utf-8", "replace"))
        elif isinstance(value, (tuple, list)):
            total += len(name) + sum(len(str(one)) for one in value)
        else:
            total += len(name) + 8
    return total


def least(attributes: Mapping[str, Any]) -> int:
    """Return the bytes of those attributes that no span of becausal's can do without."""
    is_handoff = attributes.get("becausal.step.kind") == "handoff"
    names = OF_EVERY_SPAN + OF_EVERY_HANDOFF * is_handoff
    return weight({name: attributes[name] for name in names if name in attributes})


class Instrumentor:
    """Starts, is passed to runs where that is its way, flushes, and tells what a run made."""

    name: ClassVar[str]
    title: ClassVar[str]
    package: ClassVar[str | None] = None
    """What must be installed, by its name in the index; None where nothing has to."""
    frameworks: ClassVar[tuple[str, ...]] = ("langgraph",)
    config: Mapping[str, Any]
    """Passed to each run of a LangGraph app."""

    def __init__(self, sink: str, folder: str) -> None:
        """Make one that has not started.

        Args:
            sink: address of the sink on loopback.
            folder: for its files.
        """
        self.sink, self.folder = sink, folder
        self.exporter = Counting()
        self.config = {}

    @classmethod
    def environment(cls, sink: str, folder: str) -> dict[str, str]:
        """Return what must stand in the environment before its process starts."""
        return {}

    def start(self) -> None:
        """Begin."""

    def flush(self) -> None:
        """Finish what is under way."""

    def weigh(self, run: Callable[[], None]) -> dict[str, float]:
        """Run once, untimed; return `spans`, `attribute_bytes` and `least_bytes` of that run, where they can be had."""
        self.flush()
        self.exporter.spans = self.exporter.bytes = self.exporter.least_bytes = 0
        self.exporter.weighs = True
        run()
        self.flush()
        self.exporter.weighs = False
        made = {
            "spans": self.exporter.spans,
            "attribute_bytes": self.exporter.bytes,
            "least_bytes": self.exporter.least_bytes,
        }
        return {name: float(count) for name, count in made.items()} if self.exporter.spans else {}


class Spanning(Instrumentor):
    """One that makes OpenTelemetry spans."""

    def __init__(self, sink: str, folder: str) -> None:
        """Make one with a provider."""
        super().__init__(sink, folder)
        self.provider = TracerProvider()
        self.provider.add_span_processor(BatchSpanProcessor(self.exporter))

    def flush(self) -> None:
        """Hand the last spans to the exporter."""
        self.provider.force_flush()
