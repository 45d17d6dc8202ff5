"""Steps as OpenTelemetry spans of the user's own provider.

Only the API is used. Where no provider is set a tracer makes spans that are nothing, and so do we: the step
keeps no span, and becausal works all the same.

A cause is written twice, as a span link and in `becausal.cause.ids`, since half of the backends drop links or
their attributes. Every attribute of ours stays under `semconv.MAX_ATTRIBUTE_BYTES`. Those that a reader cannot do
without are set last: at its limit the SDK evicts the oldest.

What was said stays off the spans unless OpenTelemetry's own switch asks for it: that is the request's words, what a
decision concluded, and what went in and out.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
from collections.abc import Iterable

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind, Status, StatusCode, TracerProvider

from becausal import semconv
from becausal.dialects import Overlay
from becausal.settings import content_on_spans
from becausal.step import Attribute, Cause, OpenStep, StepKind

__all__ = ["Telemetry"]

MAX_LINKS = 32
"""The SDK keeps 128 links and evicts the oldest; the full list of causes is in an attribute."""

CROWDED = 30
"""From so many attributes on, those that were set at the start are set again: an SDK may evict them from 128 on."""

OPERATIONS: dict[StepKind, str] = {
    "workflow": "invoke_workflow",
    "agent": "invoke_agent",
    "model": "chat",
    "tool": "execute_tool",
    "memory_read": "search_memory",
    "memory_write": "upsert_memory",
    "plan": "plan",
}
"""`gen_ai.operation.name` by kind, where the step's attributes say no other; the other kinds have no operation in the
conventions."""

NAMES: dict[StepKind, str] = {
    "agent": semconv.AGENT_NAME,
    "workflow": semconv.WORKFLOW_NAME,
    "tool": semconv.TOOL_NAME,
    "model": semconv.REQUEST_MODEL,
    "memory_read": semconv.MEMORY_STORE,
    "memory_write": semconv.MEMORY_STORE,
}
"""Which attribute says the step's name, by kind."""

SUPPRESSING = (getattr(otel_context, "_SUPPRESS_INSTRUMENTATION_KEY", ""), "suppress_instrumentation")
"""Keys of a context in which nothing is to be traced (opentelemetry-instrumentation 0.66b2, `utils.py`; exporters and
OpenInference's `suppress_tracing` set them)."""

ON_SPANS = ("gen_ai.", "becausal.")
"""The attributes of a step that its span carries, by how they begin."""

SPAN_KINDS: dict[StepKind, SpanKind] = {"model": SpanKind.CLIENT}


class Telemetry:
    """Opens and closes the span of a step."""

    def __init__(
        self, tracer_provider: TracerProvider | None = None, dialects: Iterable[str] = ("openinference",)
    ) -> None:
        self._tracer = trace.get_tracer(
            "becausal", _version(), tracer_provider=tracer_provider, schema_url=semconv.SCHEMA_URL
        )
        self._provider = tracer_provider
        self._overlay = Overlay(dialects)
        self.wants_content = content_on_spans()
        """Whether spans are to tell what went in and out: then payloads need their bodies until they have ended."""

    @property
    def is_global(self) -> bool:
        """Whether spans go where those of everybody go who named no provider."""
        return self._provider is None or self._provider is trace.get_tracer_provider()

    def open(self, step: OpenStep, parent: Context | None) -> None:
        """Start a step's span under the span that is current in `parent`; None means what is current now.

        None is made where OpenTelemetry's own keys say that nothing is to be traced: the step is kept all the same.
        """
        if _is_suppressed(parent):
            return
        kind, name = step.kind, _fit_text(step.name)
        operation = _operation(step)
        attributes: dict[str, Attribute] = {
            semconv.CHAIN_ID: _fit_text(step.chain_id),
            semconv.NODE_ID: step.id,
            semconv.STEP_KIND: kind,
        }
        if operation is not None:
            attributes[semconv.OPERATION_NAME] = operation
            attributes[NAMES.get(kind, semconv.AGENT_NAME)] = name
        agent = None if step.agent is None else _fit_text(step.agent)
        if agent is not None:
            attributes[semconv.AGENT_NAME] = agent
        attributes.update(self._overlay.opening(kind, agent, _fit_text(step.chain_id)))
        if kind == "request":  # its name is what somebody asked
            title = kind if not self.wants_content else f"{kind} {_short(name, 128)}"
        else:
            title = f"{operation or kind} {name}"
        span = self._tracer.start_span(
            title,
            parent,
            SPAN_KINDS.get(kind, SpanKind.INTERNAL),
            attributes,
            _links(step.causes) if step.causes else None,
            step.started_ns,
        )
        context = span.get_span_context()
        # Without a provider a span is its parent over again, which may be another process's.
        is_own = span.is_recording() or context != trace.get_current_span(parent).get_span_context()
        if is_own and context.is_valid:
            step.span, step.span_context = span, context

    def link(self, step: OpenStep, cause: Cause) -> None:
        """Link a step that has started to a cause that was found since."""
        if step.span is not None and cause.span_context is not None:
            step.span.add_link(cause.span_context, _link_attributes(cause))

    def close(self, step: OpenStep, error: BaseException | None = None) -> None:
        """End a step's span with what the step has become."""
        span = step.span
        if span is None:
            return
        if span.is_recording():
            # What is ours comes last: at its limit the SDK evicts the oldest.
            outcome = _fitting(self._overlay.closing(step))
            if self.wants_content:
                outcome.update(_content(step))
                sides = (step.received, step.produced)
                received, produced = (None if side is None else _fit_text(side.text()) for side in sides)
                outcome.update(self._overlay.content(received, produced))
            outcome.update(_outcome(step))
            if len(getattr(span, "attributes", None) or outcome) + len(outcome) > CROWDED:
                outcome[semconv.NODE_ID], outcome[semconv.CHAIN_ID] = step.id, _fit_text(step.chain_id)
            span.set_attributes(outcome)
            if step.status == "error":
                if error is not None:
                    span.set_attribute(semconv.ERROR_TYPE, _fit_text(type(error).__qualname__))
                span.set_status(Status(StatusCode.ERROR, _fit_text(step.error or "")))
        span.end(step.ended_ns)


def _is_suppressed(context: Context | None) -> bool:
    here = otel_context.get_current() if context is None else context
    return bool(here) and any(here.get(key) for key in SUPPRESSING)


def _operation(step: OpenStep) -> str | None:
    said = step.attributes.get(semconv.OPERATION_NAME)
    return said if isinstance(said, str) else OPERATIONS.get(step.kind)


def _outcome(step: OpenStep) -> dict[str, Attribute]:
    # A framework's own (`langgraph.task_id`) are kept in the store: each attribute costs the app's thread.
    attributes = _fitting({key: value for key, value in step.attributes.items() if key.startswith(ON_SPANS)})
    if step.choices and (score := step.choices[-1].score) is not None:
        attributes[semconv.CONFIDENCE_SCORE] = score
        attributes[semconv.CONFIDENCE_METHOD] = step.choices[-1].method or "declared"
    if step.causes:
        # 32 ids of 16 digits: well under the bound, quotes and commas included.
        attributes[semconv.CAUSE_IDS] = tuple([cause.source_id for cause in step.causes[:MAX_LINKS]])
        attributes[semconv.CAUSE_TYPES] = tuple([cause.kind for cause in step.causes[:MAX_LINKS]])
    if step.produced is not None:
        attributes[semconv.OUTPUT_DIGEST] = step.produced.digest
        attributes[semconv.OUTPUT_SIZE] = step.produced.size
    if step.received is not None:
        attributes[semconv.INPUT_DIGEST] = step.received.digest
        attributes[semconv.INPUT_SIZE] = step.received.size
        attributes[semconv.BELIEF_DIGEST] = step.received.belief
    attributes[semconv.STEP_STATUS] = step.status
    attributes[semconv.STEP_SEQ] = step.seq
    attributes[semconv.HOP] = step.hop
    return attributes


def _content(step: OpenStep) -> dict[str, Attribute]:
    """Return what went in and out, in the form of the conventions, cut where it is long."""
    said: dict[str, Attribute] = {}
    if step.choices:
        said[semconv.DECISION_CONCLUSION] = _short(step.choices[-1].conclusion, 256)
    if step.kind == "tool":
        for key, payload in ((semconv.TOOL_ARGUMENTS, step.received), (semconv.TOOL_RESULT, step.produced)):
            if payload is not None:
                said[key] = _fit_text(payload.text())
    elif step.kind in ("model", "agent"):
        if step.received is not None:
            said[semconv.INPUT_MESSAGES] = _message("user", step.received.text())
        if step.produced is not None:
            said[semconv.OUTPUT_MESSAGES] = _message("assistant", step.produced.text())
    return said


def _message(role: str, text: str) -> str:
    """Return a text as the conventions' JSON of one message, cut so that it stays JSON."""
    most = semconv.MAX_ATTRIBUTE_BYTES
    while True:
        parts = [{"type": "text", "content": _short(text, most)}]
        written = json.dumps([{"role": role, "parts": parts}])
        if len(written) <= semconv.MAX_ATTRIBUTE_BYTES:
            return written
        most -= max(64, (len(written) - semconv.MAX_ATTRIBUTE_BYTES) // 6)


def _links(causes: Iterable[Cause]) -> list[Link]:
    return [
        Link(cause.span_context, _link_attributes(cause))
        for cause in causes
        if cause.span_context is not None
    ][:MAX_LINKS]


def _link_attributes(cause: Cause) -> dict[str, Attribute]:
    return {semconv.LINK_TYPE: cause.kind, semconv.LINK_GRADE: cause.grade}


def _fitting(said: dict[str, Attribute]) -> dict[str, Attribute]:
    return {key: fit for key, value in said.items() if (fit := _fit(value)) is not None}


def _fit(value: Attribute) -> Attribute | None:
    """Return a value as every backend takes it, or None where there is no such thing."""
    if isinstance(value, str):
        return _fit_text(value)
    if isinstance(value, tuple):
        items = [_fit_text(item) for item in value]
        if sum(map(len, items)) > semconv.MAX_ATTRIBUTE_BYTES // 8:
            items = [_short(item, 48) for item in items[:MAX_LINKS]]
        return tuple(items)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    # OTLP has integers of 64 bits; one beyond costs the batch that it is in.
    return value if -(1 << 63) <= value < 1 << 63 else str(value)[:40]


def _fit_text(text: str) -> str:
    # What most texts are: short, and ASCII.
    if len(text) <= semconv.MAX_ATTRIBUTE_BYTES and text.isascii():
        return text
    return _short(text, semconv.MAX_ATTRIBUTE_BYTES)


def _short(text: str, most: int) -> str:
    """Return a text cut to so many bytes of UTF-8, the cut marked; a lone surrogate becomes `?`."""
    data = text[: most + 1].encode("utf-8", "replace")
    if len(data) <= most and len(text) <= most:
        return data.decode()
    return data[: most - 3].decode("utf-8", "ignore") + "…"


def _version() -> str:
    try:
        return importlib.metadata.version("becausal")
    except importlib.metadata.PackageNotFoundError:
        return "0"
