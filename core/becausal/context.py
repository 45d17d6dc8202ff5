"""Where in the causal graph the code that runs now stands, and how that crosses a wire.

The current step rides in OpenTelemetry's own context, under one key. So whatever carries that context (asyncio
tasks, instrumented executors, web frameworks) carries ours, and one attach serves both.

No token is ever detached. A step's scope attaches its context and, at its end, puts the former one back only if
its own is still current: so a scope that ends elsewhere than it began (a generator closed by another task)
neither logs an error nor overwrites a context that is not its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from types import TracebackType
from urllib.parse import unquote

from opentelemetry import context as otel_context
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from becausal import clock, semconv
from becausal.step import OpenStep, RemoteStep, StepRef

__all__ = ["RemoteContext", "Scope", "current", "extract", "inject", "with_step"]

_KEY = otel_context.create_key("becausal-step")


def current() -> StepRef | None:
    """Return the step whose work runs now, or None outside every chain."""
    return otel_context.get_value(_KEY)  # type: ignore[return-value]


def step_of(context: Context) -> StepRef | None:
    """Return the step that a context carries."""
    return otel_context.get_value(_KEY, context)  # type: ignore[return-value]


def with_step(step: StepRef, base: Context | None = None) -> Context:
    """Return a context in which a step is current, and its span with it where it has one."""
    context = otel_context.set_value(_KEY, step, base)
    span = step.span if isinstance(step, OpenStep) else None
    if span is not None and step.span_context is not None:
        return trace.set_span_in_context(span, context)
    return context


class Scope:
    """Makes a context current for the length of a `with` block, in whichever thread or task that runs."""

    __slots__ = ("_former", "_mine")

    def __init__(self, context: Context) -> None:
        self._mine = context

    def __enter__(self) -> None:
        self._former = otel_context.get_current()
        otel_context.attach(self._mine)

    def __exit__(self, *_: object) -> None:
        if otel_context.get_current() is self._mine:
            otel_context.attach(self._former)


class RemoteContext(Context):
    """The context that a carrier brought: attach it with OpenTelemetry, or enter it with `with`."""

    _scope: Scope

    def __enter__(self) -> RemoteContext:
        self._scope = Scope(self)
        self._scope.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._scope.__exit__()


def inject(carrier: MutableMapping[str, str]) -> None:
    """Write the current position into a carrier of text (HTTP headers, a queue message, MCP `_meta`).

    Writes `traceparent` and `tracestate` as the app's propagator does, and adds the chain and the step to
    `baggage`. Where no provider makes spans, `traceparent` names the chain and the step, so that the far side's
    spans are joined by the chain id. Outside every chain only the propagator writes.

    Source: W3C Trace Context and W3C Baggage.
    """
    propagate.inject(carrier)
    step = current()
    if step is None:
        return
    if "traceparent" not in carrier and re.fullmatch(r"[0-9a-f]{32}", step.chain_id):
        carrier["traceparent"] = f"00-{step.chain_id}-{step.id}-01"
    entries = {
        semconv.BAGGAGE_CHAIN: step.chain_id,
        semconv.BAGGAGE_STEP: step.id,
        semconv.BAGGAGE_SEQ: str(step.seq),
        semconv.BAGGAGE_HOP: str(step.hop),
    }
    ours = ",".join(f"{key}={value}" for key, value in entries.items())
    theirs = carrier.get("baggage")
    carrier["baggage"] = f"{theirs},{ours}" if theirs else ours


def extract(carrier: Mapping[str, str]) -> RemoteContext:
    """Return the context that a carrier brings; a carrier that says nothing of a chain gives none.

    Use it as `with becausal.extract(headers): …`, or attach it with `opentelemetry.context.attach`.
    """
    context = propagate.extract(carrier)
    remote = remote_step(carrier)
    if remote is None:
        return RemoteContext(context)
    clock.witness(remote.seq)
    return RemoteContext(otel_context.set_value(_KEY, remote, context))


def remote_step(carrier: Mapping[str, str]) -> RemoteStep | None:
    """Return the step that a carrier names, or None if it names none that makes sense."""
    headers = {key.lower(): value for key, value in carrier.items() if isinstance(value, str)}
    pairs = (entry.split(";")[0].partition("=") for entry in headers.get("baggage", "").split(","))
    said = {key.strip(): unquote(value.strip()) for key, _, value in pairs}
    chain, step = said.get(semconv.BAGGAGE_CHAIN), said.get(semconv.BAGGAGE_STEP, "")
    if not chain or not re.fullmatch(r"[0-9a-f]{16}", step):
        return None
    span = trace.get_current_span(propagate.extract(carrier)).get_span_context()
    return RemoteStep(
        id=step,
        chain_id=chain,
        seq=_number(said.get(semconv.BAGGAGE_SEQ)),
        hop=_number(said.get(semconv.BAGGAGE_HOP)),
        span_context=span if span.is_valid else None,
    )


def remote_span(span_context: SpanContext) -> NonRecordingSpan:
    """Return a span that stands for one of another process, to be a parent."""
    return NonRecordingSpan(
        SpanContext(
            span_context.trace_id, span_context.span_id, is_remote=True, trace_flags=TraceFlags(1)
        )
    )


def _number(text: str | None) -> int:
    return int(text) if text and text.isdigit() else 0
