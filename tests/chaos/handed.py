"""What an app hands to becausal: a tracer provider and what hangs on it, a propagator, a log handler, checks.

Each does what it should. The faults are put into these functions from outside, as into our own.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.context import Context
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace import TracerProvider as SDKProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import Span, SpanContext, Tracer, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

__all__ = ["Handler", "Propagator", "Provider", "a_check", "a_predicate"]


class Ids(IdGenerator):
    """Gives spans their ids."""

    def __init__(self) -> None:
        self._random = random.Random()

    def generate_span_id(self) -> int:
        """Return 64 bits."""
        return self._random.getrandbits(64) or 1

    def generate_trace_id(self) -> int:
        """Return 128 bits."""
        return self._random.getrandbits(128) or 1


class Exporter(SpanExporter):
    """Keeps nothing."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Take spans."""
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Stop."""


class Processor(SpanProcessor):
    """Sees every span."""

    def on_start(self, span: Any, parent_context: Context | None = None) -> None:
        """See one begin."""

    def on_end(self, span: ReadableSpan) -> None:
        """See one end."""


class Provider(TracerProvider):
    """A provider that is none of the SDK's, with the SDK's inside."""

    def __init__(self) -> None:
        # Ids of its own: the SDK's take numbers from `random`, and graphs are compared that do so too.
        self._inner = SDKProvider(id_generator=Ids())
        self._inner.add_span_processor(Processor())
        self._inner.add_span_processor(SimpleSpanProcessor(Exporter()))

    def get_tracer(self, *args: Any, **kwargs: Any) -> Tracer:
        """Return a tracer."""
        return HandedTracer(self._inner.get_tracer(*args, **kwargs))


class HandedTracer(Tracer):
    """A tracer."""

    def __init__(self, inner: Tracer) -> None:
        self._inner = inner

    def start_span(self, *args: Any, **kwargs: Any) -> Span:
        """Start a span."""
        return HandedSpan(self._inner.start_span(*args, **kwargs))

    def start_as_current_span(self, *args: Any, **kwargs: Any) -> Any:
        """Start a span, and make it current."""
        return self._inner.start_as_current_span(*args, **kwargs)


class HandedSpan(Span):
    """A span."""

    def __init__(self, inner: Span) -> None:
        self._inner = inner

    def end(self, end_time: int | None = None) -> None:
        """End."""
        self._inner.end(end_time)

    def get_span_context(self) -> SpanContext:
        """Return what it is known by."""
        return self._inner.get_span_context()

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Take attributes."""
        self._inner.set_attributes(attributes)

    def set_attribute(self, key: str, value: Any) -> None:
        """Take an attribute."""
        self._inner.set_attribute(key, value)

    def add_event(self, *args: Any, **kwargs: Any) -> None:
        """Take an event."""
        self._inner.add_event(*args, **kwargs)

    def add_link(self, *args: Any, **kwargs: Any) -> None:
        """Take a link."""
        self._inner.add_link(*args, **kwargs)

    def update_name(self, name: str) -> None:
        """Take another name."""
        self._inner.update_name(name)

    def is_recording(self) -> bool:
        """Whether it takes anything."""
        return self._inner.is_recording()

    def set_status(self, *args: Any, **kwargs: Any) -> None:
        """Take a status."""
        self._inner.set_status(*args, **kwargs)

    def record_exception(self, *args: Any, **kwargs: Any) -> None:
        """Take an exception."""
        self._inner.record_exception(*args, **kwargs)


class Propagator(TextMapPropagator):
    """W3C's trace context."""

    def __init__(self) -> None:
        self._inner = TraceContextTextMapPropagator()

    def extract(self, *args: Any, **kwargs: Any) -> Context:
        """Read."""
        return self._inner.extract(*args, **kwargs)

    def inject(self, *args: Any, **kwargs: Any) -> None:
        """Write."""
        self._inner.inject(*args, **kwargs)

    @property
    def fields(self) -> set[str]:
        """What it writes."""
        return self._inner.fields


class Handler(logging.Handler):
    """Takes what becausal logs."""

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record."""


def a_check(answer: object) -> object:
    """Check what a tool answered."""
    return None


def a_predicate(payload: object) -> object:
    """Check what a handoff carries."""
    return None
