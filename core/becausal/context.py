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
from urllib.parse import quote, unquote

from opentelemetry import context as otel_context
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext

from becausal import clock, semconv
from becausal.step import OpenStep, RemoteStep, StepRef

__all__ = ["RemoteContext", "Scope", "current", "extract", "inject", "span_parent", "succeed", "with_step"]

_KEY = otel_context.create_key("becausal-step")
_SCOPE = otel_context.create_key("becausal-scope")
_HEIR = otel_context.create_key("becausal-heir")


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
        now = otel_context.get_current()
        if now is self._mine or _is_heir(now, self._mine):
            otel_context.attach(self._former)


class _Heir:
    """Marks the context that took another's place; by id, since a context must not hold itself."""

    __slots__ = ("context_id", "of")

    def __init__(self, of: Context) -> None:
        self.of = of
        self.context_id = 0


def succeed(step: StepRef) -> None:
    """Make a step current in the place of the one that is, until the scope in which that one stands ends.

    For work that turns into another step halfway, in a frame that is not ours: a retry, within the loop that retries.
    """
    here = otel_context.get_current()
    former = otel_context.get_value(_HEIR, here)
    is_heir = isinstance(former, _Heir) and former.context_id == id(here)
    heir = _Heir(former.of if isinstance(former, _Heir) and is_heir else here)
    context = with_step(step, otel_context.set_value(_HEIR, heir, here))
    heir.context_id = id(context)
    otel_context.attach(context)


def _is_heir(context: Context, of: Context) -> bool:
    heir = otel_context.get_value(_HEIR, context)
    return isinstance(heir, _Heir) and heir.of is of and heir.context_id == id(context)


class RemoteContext(Context):
    """The context that a carrier brought: attach it with OpenTelemetry, or enter it with `with`."""

    def __enter__(self) -> RemoteContext:
        # The scope rides in the context itself, so one carrier can be entered by several threads at once.
        scope = Scope(self)
        scope._mine = otel_context.set_value(_SCOPE, scope, self)
        scope.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        scope = otel_context.get_value(_SCOPE)
        if isinstance(scope, Scope):
            scope.__exit__()


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
    has_span = trace.get_current_span().get_span_context().is_valid
    if not has_span and "traceparent" not in carrier and re.fullmatch(r"[0-9a-f]{32}", step.chain_id):
        carrier["traceparent"] = f"00-{step.chain_id}-{step.id}-01"
    entries = {
        semconv.BAGGAGE_CHAIN: quote(step.chain_id, safe=""),
        semconv.BAGGAGE_STEP: step.id,
        semconv.BAGGAGE_SEQ: str(step.seq),
        semconv.BAGGAGE_HOP: str(step.hop),
    }
    # What an earlier hop said of itself came back with the app's own baggage.
    theirs = [
        entry
        for entry in carrier.get("baggage", "").split(",")
        if entry.strip() and entry.partition("=")[0].strip() not in entries
    ]
    carrier["baggage"] = ",".join([*theirs, *(f"{key}={value}" for key, value in entries.items())])


def extract(carrier: Mapping[str, str]) -> RemoteContext:
    """Return the context that a carrier brings; a carrier that says nothing of a chain gives none.

    Use it as `with becausal.extract(headers): …`, or attach it with `opentelemetry.context.attach`.
    """
    context = propagate.extract(_headers(carrier))
    remote = remote_step(carrier)
    if remote is None:
        return RemoteContext(context)
    clock.witness(remote.seq)
    return RemoteContext(otel_context.set_value(_KEY, remote, context))


def remote_step(carrier: Mapping[str, object]) -> RemoteStep | None:
    """Return the step that a carrier names, or None if it names none that makes sense."""
    headers = _headers(carrier)
    pairs = (entry.split(";")[0].partition("=") for entry in headers.get("baggage", "").split(","))
    said = {key.strip(): unquote(value.strip()) for key, _, value in pairs}
    chain, step = said.get(semconv.BAGGAGE_CHAIN), said.get(semconv.BAGGAGE_STEP, "")
    if not chain or not re.fullmatch(r"[0-9a-f]{16}", step):
        return None
    span = trace.get_current_span(propagate.extract(headers)).get_span_context()
    # Where no provider made a span, `inject` named the chain and the step: that is no span to link to.
    is_span = span.is_valid and f"{span.trace_id:032x}-{span.span_id:016x}" != f"{chain}-{step}"
    return RemoteStep(
        id=step,
        chain_id=chain,
        seq=_number(said.get(semconv.BAGGAGE_SEQ)),
        hop=_number(said.get(semconv.BAGGAGE_HOP)),
        span_context=span if is_span else None,
    )


def span_parent(explicit: StepRef | None, here: StepRef | None, base: Context) -> Context:
    """Return the context whose span is to be the parent of a step's span.

    A parent that the framework's bookkeeping names wins over what happens to be current, unless that is a span of
    the same step's making (the user's own span inside it): then that one is the more specific.
    """
    if explicit is None or explicit.span_context is None:
        return base
    if here is not None and here.id == explicit.id:
        return base
    return trace.set_span_in_context(stand_in(explicit.span_context), base)


def stand_in(span_context: SpanContext) -> NonRecordingSpan:
    """Return a span that stands for one that is not at hand, to be a parent."""
    return NonRecordingSpan(span_context)


def _headers(carrier: Mapping[str, object]) -> dict[str, str]:
    """Return what is text in a carrier, by the names as they are and in lower case."""
    named = {name: text for name, text in carrier.items() if isinstance(name, str) and isinstance(text, str)}
    return {name.lower(): text for name, text in named.items()} | named


def _number(text: str | None) -> int:
    # No more digits than a count can have: a clock that is pushed too far cannot be kept.
    return int(text) if text and re.fullmatch(r"[0-9]{1,15}", text) else 0
