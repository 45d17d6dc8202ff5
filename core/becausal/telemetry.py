"""Steps as OpenTelemetry spans of the user's own provider.

Only the API is used, but for the provider of OpenTelemetry's own SDK, whose spans are made directly (`spans.py`): of
both ways come the same spans. Where no provider is set there are none: the step keeps no span, and becausal works
all the same.

A cause is written twice, as a span link and in `becausal.cause.ids`, since half of the backends drop links or
their attributes. Every attribute of ours stays under `semconv.MAX_ATTRIBUTE_BYTES`. Those that a reader cannot do
without are set last: at its limit the SDK evicts the oldest.

What was said stays off the spans unless OpenTelemetry's own switch asks for it: that is the request's words, what a
decision concluded, and what went in and out.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from operator import attrgetter

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    NoOpTracer,
    ProxyTracer,
    Span,
    SpanKind,
    Status,
    StatusCode,
    TracerProvider,
)

from becausal import semconv
from becausal.dialects import Overlay
from becausal.fitting import LONGEST, fit_text, fitting, short
from becausal.installed import own_version
from becausal.settings import content_on_spans
from becausal.spans import MAX_LINKS, SdkSpans, Told, link_attributes, links_to
from becausal.step import Attribute, Cause, OpenStep, StepKind

__all__ = ["MAX_LINKS", "Telemetry"]

CROWDED = 30
"""From so many attributes on, those that were set at the start are set again: an SDK may evict them from 128 on."""

MOST_NAMES = 1024
"""Names of steps of which it is remembered what spans say for them."""

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

SOURCE_ID, EDGE_KIND = attrgetter("source_id"), attrgetter("kind")


class Telemetry:
    """Opens and closes the span of a step."""

    def __init__(
        self, tracer_provider: TracerProvider | None = None, dialects: Iterable[str] = ("openinference",)
    ) -> None:
        self._tracer = trace.get_tracer(
            "becausal",
            own_version() or "0",
            tracer_provider=tracer_provider,
            schema_url=semconv.SCHEMA_URL,
        )
        self._provider = tracer_provider
        # Who makes spans is found out with the first step: a provider may be set after us.
        self._spans: SdkSpans | None = None
        self._is_settled = False
        self._overlay = Overlay(dialects)
        # An app's names are few and come again with every run.
        self._named = lru_cache(MOST_NAMES)(self._name)
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
        if not self._is_settled and not self._settle():
            return
        here = otel_context.get_current() if parent is None else parent
        if here.get(SUPPRESSING[0]) or here.get(SUPPRESSING[1]):
            return
        title, said = self._opening(step)
        told = title, SPAN_KINDS.get(step.kind, SpanKind.INTERNAL), said, step.causes
        if self._spans is None or self._spans.start(step, parent, told) is None:
            self._start(step, parent, told)

    def whole(self, step: OpenStep, parent: Context, effect: Cause | None = None) -> None:
        """Make the span of a step that is over already, linked to an effect of it as well where one is known."""
        if not self._is_settled and not self._settle():
            return
        if parent.get(SUPPRESSING[0]) or parent.get(SUPPRESSING[1]):
            return
        title, said = self._opening(step)
        said.update(self._closing(step))
        causes = step.causes if effect is None else [*step.causes, effect]
        told = title, SPAN_KINDS.get(step.kind, SpanKind.INTERNAL), said, causes
        span = None
        if self._spans is not None:
            if self._spans.whole(step, parent, told):
                return
            span = self._spans.start(step, parent, told)
        if span is None:
            span = self._start(step, parent, told)
        step.span = None
        if self._spans is None or not self._spans.end(span, {}, None, step.ended_ns):
            span.end(step.ended_ns)

    def _start(self, step: OpenStep, parent: Context | None, told: Told) -> Span:
        """Start a span through the API; the step gets it if it is its own."""
        title, kind, said, causes = told
        links = links_to(causes) if causes else None
        span = self._tracer.start_span(title, parent, kind, said, links, step.started_ns)
        context = span.get_span_context()
        # Without a provider a span is its parent over again, which may be another process's.
        is_own = span.is_recording() or context != trace.get_current_span(parent).get_span_context()
        if is_own and context.is_valid:
            step.span, step.span_context = span, context
        return span

    def _settle(self) -> bool:
        """Find out who makes spans, and return whether anybody does: until a provider is set, nobody."""
        tracer = self._tracer
        if type(tracer) is ProxyTracer:
            tracer = getattr(tracer, "_tracer", tracer)
        if type(tracer) is NoOpTracer:
            return False
        # Here: who sets no provider never needs it.
        from becausal.spans_sdk import sdk_spans

        self._spans = sdk_spans(self._provider or trace.get_tracer_provider(), tracer)
        self._is_settled = True
        return True

    def _opening(self, step: OpenStep) -> tuple[str, dict[str, Attribute]]:
        """Return a span's name, and what it says from the start."""
        operation = step.attributes.get(semconv.OPERATION_NAME)
        title, named = self._named(
            step.kind,
            step.name,
            step.agent,
            operation if isinstance(operation, str) else OPERATIONS.get(step.kind),
        )
        chain_id = step.chain_id
        if len(chain_id) > LONGEST or not chain_id.isascii():
            chain_id = fit_text(chain_id)
        attributes: dict[str, Attribute] = {semconv.CHAIN_ID: chain_id, semconv.NODE_ID: step.id, **named}
        for key in self._overlay.chains:
            attributes[key] = chain_id
        return title, attributes

    def _closing(self, step: OpenStep) -> dict[str, Attribute]:
        """Return what a span says of what its step has become; what is ours comes last."""
        # A framework's own (`langgraph.task_id`) are kept in the store: each attribute costs the app's thread.
        outcome = fitting(step.attributes, ON_SPANS)
        if self.wants_content or step.conversation is not None or semconv.CONVERSATION_ID in outcome:
            outcome = {**self._besides(step), **outcome}
        if step.conversation is not None and semconv.CONVERSATION_ID not in outcome:
            outcome.update(fitting({semconv.CONVERSATION_ID: step.conversation}))
        if step.choices and (score := step.choices[-1].score) is not None:
            outcome[semconv.CONFIDENCE_SCORE] = score
            outcome[semconv.CONFIDENCE_METHOD] = step.choices[-1].method or "declared"
        if step.causes:
            # 32 ids of 16 digits: well under the bound, quotes and commas included.
            causes = step.causes if len(step.causes) <= MAX_LINKS else step.causes[:MAX_LINKS]
            outcome[semconv.CAUSE_IDS] = tuple(map(SOURCE_ID, causes))
            outcome[semconv.CAUSE_TYPES] = tuple(map(EDGE_KIND, causes))
        received, produced = step.received, step.produced
        if produced is not None:
            outcome[semconv.OUTPUT_DIGEST] = produced.digest
            outcome[semconv.OUTPUT_SIZE] = produced.size
        if received is not None:
            outcome[semconv.INPUT_DIGEST] = received.digest
            outcome[semconv.INPUT_SIZE] = received.size
            outcome[semconv.BELIEF_DIGEST] = received.belief
        outcome[semconv.STEP_STATUS] = step.status
        outcome[semconv.STEP_SEQ] = step.seq
        outcome[semconv.HOP] = step.hop
        return outcome

    def _besides(self, step: OpenStep) -> dict[str, Attribute]:
        """Return what some dialects say as well, and what went in and out where it may stand on spans."""
        said = fitting(self._overlay.closing(step))
        if self.wants_content:
            said.update(_content(step))
            sides = (step.received, step.produced)
            heard, answered = (None if side is None else fit_text(side.text()) for side in sides)
            said.update(self._overlay.content(heard, answered))
        return said

    def _name(
        self, kind: StepKind, name: str, agent: str | None, operation: str | None
    ) -> tuple[str, dict[str, Attribute]]:
        """Return a span's name, and the attributes that follow from what a step is called."""
        name, agent = fit_text(name), None if agent is None else fit_text(agent)
        attributes: dict[str, Attribute] = {semconv.STEP_KIND: kind}
        if operation is not None:
            attributes[semconv.OPERATION_NAME] = operation
            attributes[NAMES.get(kind, semconv.AGENT_NAME)] = name
        if agent is not None:
            attributes[semconv.AGENT_NAME] = agent
        attributes.update(self._overlay.opening(kind, agent))
        if kind == "request":  # its name is what somebody asked
            return kind if not self.wants_content else f"{kind} {short(name, 128)}", attributes
        return f"{operation or kind} {name}", attributes

    def of_findings(self, root: OpenStep) -> dict[str, Attribute]:
        """Return what the span says of itself that tells a run's findings: which chain, which conversation."""
        said = fitting(self._overlay.findings(root))
        if (conversation := root.attributes.get(semconv.CONVERSATION_ID)) is not None:
            said.update(fitting({semconv.CONVERSATION_ID: conversation}))
        said[semconv.NODE_ID], said[semconv.CHAIN_ID] = root.id, fit_text(root.chain_id)
        return said

    def link(self, step: OpenStep, cause: Cause) -> None:
        """Link a step that has started to a cause that was found since."""
        span = step.span
        if span is None or cause.span_context is None:
            return
        if self._spans is None or not self._spans.link(span, cause):
            span.add_link(cause.span_context, link_attributes(cause.kind, cause.grade))

    def close(self, step: OpenStep, error: BaseException | None = None) -> None:
        """End a step's span with what the step has become."""
        span = step.span
        if span is None:
            return
        if type(span) is not NonRecordingSpan:
            outcome, status = self._closing(step), None
            if step.status == "error":
                status = Status(StatusCode.ERROR, fit_text(step.error or ""))
                if error is not None:
                    outcome[semconv.ERROR_TYPE] = fit_text(type(error).__qualname__)
            if self._spans is not None and self._spans.end(span, outcome, status, step.ended_ns):
                return
            _say(span, step, outcome, status)
        span.end(step.ended_ns)


def _say(span: Span, step: OpenStep, outcome: dict[str, Attribute], status: Status | None) -> None:
    """Say on a span what its step has become, by its own methods."""
    if not span.is_recording():
        return
    if len(getattr(span, "attributes", None) or outcome) + len(outcome) > CROWDED:
        # Last: at its limit the SDK evicts the oldest.
        outcome[semconv.NODE_ID], outcome[semconv.CHAIN_ID] = step.id, fit_text(step.chain_id)
    span.set_attributes(outcome)
    if status is not None:
        span.set_status(status)


def _content(step: OpenStep) -> dict[str, Attribute]:
    """Return what went in and out, in the form of the conventions, cut where it is long."""
    from becausal import messages  # here: content is on spans where it was asked for, which is rare

    told: dict[str, Attribute] = {}
    if step.choices:
        told[semconv.DECISION_CONCLUSION] = short(step.choices[-1].conclusion, 256)
    received, produced = step.received, step.produced
    if step.kind == "tool":
        for key, payload in ((semconv.TOOL_ARGUMENTS, received), (semconv.TOOL_RESULT, produced)):
            if payload is not None and payload.is_kept:
                told[key] = messages.written(payload.value())
    elif step.kind in ("model", "agent"):
        if received is not None and received.is_kept:
            told[semconv.INPUT_MESSAGES] = messages.heard(received.value())
        if produced is not None and produced.is_kept:
            reasons = step.attributes.get(semconv.FINISH_REASONS)
            finish = reasons[0] if isinstance(reasons, tuple) and reasons else None
            told[semconv.OUTPUT_MESSAGES] = messages.said(produced.value(), finish)
    return told
