"""Steps as OpenTelemetry spans of the user's own provider.

Only the API is used. Where no provider is set a tracer makes spans that are nothing, and so do we: the step
keeps no span, and becausal works all the same.

A cause is written twice, as a span link and in `becausal.cause.ids`, since half of the backends drop links or
their attributes. Every attribute of ours stays under `semconv.MAX_ATTRIBUTE_BYTES`. Those that a reader cannot do
without are set last: at its limit the SDK evicts the oldest.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind, Status, StatusCode, TracerProvider

from becausal import semconv
from becausal.settings import content_on_spans
from becausal.step import Attribute, Cause, OpenStep, StepKind

__all__ = ["Telemetry"]

MAX_LINKS = 32
"""The SDK keeps 128 links and evicts the oldest; the full list of causes is in an attribute."""

OPERATIONS: dict[StepKind, str] = {
    "workflow": "invoke_workflow",
    "agent": "invoke_agent",
    "model": "chat",
    "tool": "execute_tool",
    "memory_read": "search_memory",
    "memory_write": "upsert_memory",
    "plan": "plan",
}
"""`gen_ai.operation.name` by kind; the other kinds have no operation in the conventions."""

NAMES: dict[StepKind, str] = {
    "agent": semconv.AGENT_NAME,
    "workflow": semconv.WORKFLOW_NAME,
    "tool": semconv.TOOL_NAME,
    "model": semconv.REQUEST_MODEL,
    "memory_read": semconv.MEMORY_STORE,
    "memory_write": semconv.MEMORY_STORE,
}
"""Which attribute says the step's name, by kind."""

SPAN_KINDS: dict[StepKind, SpanKind] = {"model": SpanKind.CLIENT}


class Telemetry:
    """Opens and closes the span of a step."""

    def __init__(self, tracer_provider: TracerProvider | None = None) -> None:
        self._tracer = trace.get_tracer(
            "becausal", _version(), tracer_provider=tracer_provider, schema_url=semconv.SCHEMA_URL
        )
        self._with_content = content_on_spans()

    def open(self, step: OpenStep, parent: Context | None) -> None:
        """Start a step's span under the span that is current in `parent`; None means what is current now."""
        operation = OPERATIONS.get(step.kind)
        attributes: dict[str, Attribute] = {
            semconv.CHAIN_ID: step.chain_id,
            semconv.NODE_ID: step.id,
            semconv.STEP_KIND: step.kind,
        }
        if operation is not None:
            attributes[semconv.OPERATION_NAME] = operation
            attributes[NAMES.get(step.kind, semconv.AGENT_NAME)] = step.name
        if step.agent is not None:
            attributes[semconv.AGENT_NAME] = step.agent
        span = self._tracer.start_span(
            f"{operation or step.kind} {step.name}",
            parent,
            SPAN_KINDS.get(step.kind, SpanKind.INTERNAL),
            attributes,
            _links(step.causes),
            step.started_ns,
        )
        context = span.get_span_context()
        if context.is_valid:
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
            if self._with_content:
                span.set_attributes(_content(step))
            span.set_attributes(_outcome(step))
            if step.status == "error":
                if error is not None:
                    span.set_attribute(semconv.ERROR_TYPE, type(error).__qualname__)
                span.set_status(Status(StatusCode.ERROR, _short(step.error or "")))
        span.end(step.ended_ns)


def _outcome(step: OpenStep) -> dict[str, Attribute]:
    attributes = {key: _fit(value) for key, value in step.attributes.items()}
    if step.choices:
        attributes[semconv.DECISION_CONCLUSION] = _short(step.choices[-1].conclusion, 256)
        if (score := step.choices[-1].score) is not None:
            attributes[semconv.CONFIDENCE_SCORE] = score
            attributes[semconv.CONFIDENCE_METHOD] = step.choices[-1].method or "declared"
    if step.causes:
        # 32 ids of 16 digits: well under the bound, quotes and commas included.
        attributes[semconv.CAUSE_IDS] = tuple(cause.source_id for cause in step.causes[:MAX_LINKS])
        attributes[semconv.CAUSE_TYPES] = tuple(cause.kind for cause in step.causes[:MAX_LINKS])
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
    attributes[semconv.NODE_ID] = step.id
    attributes[semconv.CHAIN_ID] = step.chain_id
    return attributes


CONTENT: dict[StepKind, tuple[str, str]] = {
    "tool": (semconv.TOOL_ARGUMENTS, semconv.TOOL_RESULT),
    "model": (semconv.INPUT_MESSAGES, semconv.OUTPUT_MESSAGES),
    "agent": (semconv.INPUT_MESSAGES, semconv.OUTPUT_MESSAGES),
}
"""Where the conventions put what went in and what came out."""


def _content(step: OpenStep) -> dict[str, Attribute]:
    """Return what went in and out as text, where OpenTelemetry's own switch asks for it."""
    payloads = zip(CONTENT.get(step.kind, ()), (step.received, step.produced), strict=False)
    return {key: _short(payload.text()) for key, payload in payloads if payload is not None}


def _links(causes: Iterable[Cause]) -> list[Link]:
    return [
        Link(cause.span_context, _link_attributes(cause)) for cause in causes if cause.span_context is not None
    ][:MAX_LINKS]


def _link_attributes(cause: Cause) -> dict[str, Attribute]:
    return {
        semconv.LINK_TYPE: cause.kind,
        semconv.LINK_GRADE: cause.grade,
        semconv.NODE_ID: cause.source_id,
    }


def _fit(value: Attribute) -> Attribute:
    if isinstance(value, str):
        return _short(value)
    if isinstance(value, tuple) and sum(map(len, value)) > semconv.MAX_ATTRIBUTE_BYTES // 4:
        return tuple(_short(item, 60) for item in value[:MAX_LINKS])
    return value


def _short(text: str, most: int = semconv.MAX_ATTRIBUTE_BYTES) -> str:
    """Return a text cut to so many bytes of UTF-8, the cut marked."""
    if len(text) * 4 <= most:  # no text of n characters has more than 4n bytes
        return text
    data = text.encode("utf-8", "replace")
    return text if len(data) <= most else data[: most - 3].decode("utf-8", "ignore") + "…"


def _version() -> str:
    try:
        return importlib.metadata.version("becausal")
    except importlib.metadata.PackageNotFoundError:
        return "0"
