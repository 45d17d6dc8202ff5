"""How the place in the causal graph crosses a wire: HTTP headers, a queue's message, MCP's `_meta`, A2A's metadata.

    becausal.inject(headers)                # at the sender
    with becausal.extract(headers): ...     # at the receiver, in this process or another

`traceparent` and `tracestate` are written as the app's propagator does. Ours is one member of `tracestate`,
`becausal=<chain>/<step>/<number>/<hops>`: other services hand that on untouched, as W3C Trace Context asks of them, so
a chain outlives those that know nothing of becausal. `baggage`, which many a client sends to whomever it talks to, gets
nothing of ours unless `BECAUSAL_BAGGAGE=1`, and is read all the same.

An app whose libraries carry context by OpenTelemetry's propagators needs no call of ours:
`OTEL_PROPAGATORS=tracecontext,baggage,becausal` adds the header `becausal`, with the same content.

Whatever a carrier says is somebody else's word: what makes no sense is passed over, and nothing of it is raised.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, Final
from urllib.parse import quote, unquote

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.propagators import textmap

from becausal import clock, semconv
from becausal.context import Scope, current, step_of, with_step
from becausal.guard import guarded
from becausal.step import RemoteStep, StepRef

__all__ = ["Carrier", "CausalPropagator", "RemoteContext", "extract", "inject", "remote_step"]

Text = str | bytes

Carrier = Mapping[str, str] | Iterable[tuple[Text, Text]]
"""Headers: by their names, or as pairs of text or bytes, as Kafka's messages and ASGI's scopes have them."""

_SCOPE = otel_context.create_key("becausal-scope")

MAX_MEMBER: Final = 256
"""Characters of one member's value in `tracestate` (W3C Trace Context, 3.3.1.3.2)."""

MAX_MEMBERS: Final = 32
"""Members of a `tracestate` (W3C Trace Context, 3.3.1.1)."""

MAX_READ: Final = 16_384
"""Characters of a header that are read: no sender of ours writes so many."""


class RemoteContext(Context):
    """The context that a carrier brought: attach it with OpenTelemetry, or enter it with `with`."""

    def __enter__(self) -> RemoteContext:
        self._enter()
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()

    @guarded
    def _enter(self) -> None:
        # The scope rides in the context itself, so one carrier can be entered by several threads at once.
        scope = Scope(self)
        scope._mine = otel_context.set_value(_SCOPE, scope, self)
        scope.__enter__()

    @guarded
    def _leave(self) -> None:
        scope = otel_context.get_value(_SCOPE)
        if isinstance(scope, Scope):
            scope.__exit__()


def inject(carrier: MutableMapping[str, str] | list[tuple[str, bytes]]) -> None:
    """Write the current position into a carrier of text (HTTP headers, a queue message, MCP `_meta`).

    Where no provider makes spans, `traceparent` names the chain and the step, so that the far side's spans are joined
    by the chain id. Outside every chain only the propagator writes.

    Args:
        carrier: a mapping, which is written to, or a list of pairs (Kafka's headers), which is added to.

    Raises:
        TypeError: it is neither.

    Source: W3C Trace Context.
    """
    if not isinstance(carrier, list) and not hasattr(type(carrier), "__setitem__"):
        raise TypeError(
            f"becausal.inject() writes into a mapping or a list of pairs, not into a {type(carrier).__name__}"
        )
    _inject(carrier)


@guarded
def _inject(carrier: MutableMapping[str, str] | list[tuple[str, bytes]]) -> None:
    if isinstance(carrier, list):
        headers = _headers(carrier)
        before = dict(headers)
        _write_to(headers)
        changed = {name: value for name, value in headers.items() if before.get(name) != value}
        carrier[:] = [pair for pair in carrier if _text(pair[0]) not in changed]
        carrier += [(name, value.encode()) for name, value in changed.items()]
    else:
        _write_to(carrier)


def _write_to(carrier: MutableMapping[str, str]) -> None:
    guarded(_app_s().inject)(carrier)  # where that fails, the chain crosses all the same
    step = current()
    if step is None:
        return
    has_span = trace.get_current_span().get_span_context().is_valid
    if not has_span and "traceparent" not in carrier and re.fullmatch(r"[0-9a-f]{32}", step.chain_id):
        carrier["traceparent"] = f"00-{step.chain_id}-{step.id}-01"
    place = _written(step)
    if len(place) <= MAX_MEMBER:
        carrier["tracestate"] = _joined(carrier.get("tracestate", ""), place)
    if len(place) > MAX_MEMBER or _wants_baggage():
        carrier["baggage"] = _with_baggage(carrier.get("baggage", ""), step)


def extract(carrier: Carrier) -> RemoteContext:
    """Return the context that a carrier brings; a carrier that says nothing of a chain gives none.

    Use it as `with becausal.extract(headers): …`, or attach it with `opentelemetry.context.attach`.

    Raises:
        TypeError: it is no carrier at all: no mapping, and nothing to go through.
    """
    if not isinstance(carrier, Iterable):
        raise TypeError(
            f"becausal.extract() reads a mapping or pairs of a name and a value, not a {type(carrier).__name__}"
        )
    context = _extract(carrier)
    return context if isinstance(context, RemoteContext) else RemoteContext()


@guarded
def _extract(carrier: Carrier) -> RemoteContext:
    headers = _headers(carrier)
    context = _app_s().extract(headers)
    # The propagator of ours may have found a place already: that of a header, which is the same.
    remote = _read_from(headers)
    if remote is None:
        return RemoteContext(context)
    clock.witness(remote.seq)
    return RemoteContext(with_step(remote, context))


def remote_step(carrier: Carrier) -> RemoteStep | None:
    """Return the step that a carrier names, or None if it names none that makes sense."""
    return _read_from(_headers(carrier))


class CausalPropagator(textmap.TextMapPropagator):
    """Carries the place by a header of its own, for libraries that carry context by OpenTelemetry's propagators.

    A propagator cannot read what others wrote into a carrier, so it cannot add a member to their `tracestate`.
    """

    def extract(
        self,
        carrier: textmap.CarrierT,
        context: Context | None = None,
        getter: textmap.Getter[textmap.CarrierT] = textmap.default_getter,
    ) -> Context:
        """Return the context with the place that the header names."""
        base = otel_context.get_current() if context is None else context
        found = _place_in(carrier, base, getter)
        return found if isinstance(found, Context) else base

    def inject(
        self,
        carrier: textmap.CarrierT,
        context: Context | None = None,
        setter: textmap.Setter[textmap.CarrierT] = textmap.default_setter,
    ) -> None:
        """Write the place that is current in a context."""
        _put_place(carrier, otel_context.get_current() if context is None else context, setter)

    @property
    def fields(self) -> set[str]:
        """The names of the headers that it writes."""
        return {semconv.HEADER}


@guarded
def _place_in(
    carrier: textmap.CarrierT, base: Context, getter: textmap.Getter[textmap.CarrierT]
) -> Context | None:
    said = getter.get(carrier, semconv.HEADER)
    remote = _read(said[0], trace.get_current_span(base).get_span_context()) if said else None
    if remote is None:
        return None
    clock.witness(remote.seq)
    return with_step(remote, base)


@guarded
def _put_place(carrier: textmap.CarrierT, context: Context, setter: textmap.Setter[textmap.CarrierT]) -> None:
    step = step_of(context)
    if step is not None:
        setter.set(carrier, semconv.HEADER, _written(step))


# What is written


def _written(step: StepRef) -> str:
    return f"{quote(step.chain_id, safe='')}/{step.id}/{step.seq}/{step.hop}"


def _joined(tracestate: str, place: str) -> str:
    """Return a `tracestate` with our member first, since it was changed last."""
    theirs = [
        member
        for member in tracestate.split(",")
        if member.strip() and member.partition("=")[0].strip() != semconv.HEADER
    ]
    return ",".join([f"{semconv.HEADER}={place}", *theirs[: MAX_MEMBERS - 1]])


def _with_baggage(baggage: str, step: StepRef) -> str:
    entries = {
        semconv.BAGGAGE_CHAIN: quote(step.chain_id, safe=""),
        semconv.BAGGAGE_STEP: step.id,
        semconv.BAGGAGE_SEQ: str(step.seq),
        semconv.BAGGAGE_HOP: str(step.hop),
    }
    # What an earlier hop said of itself came back with the app's own baggage.
    theirs = [
        entry
        for entry in baggage.split(",")
        if entry.strip() and entry.partition("=")[0].strip() not in entries
    ]
    return ",".join([*theirs, *(f"{key}={value}" for key, value in entries.items())])


def _wants_baggage() -> bool:
    return os.environ.get("BECAUSAL_BAGGAGE", "") not in ("", "0", "false", "no")


def _app_s() -> textmap.TextMapPropagator:
    """Return the propagator that the app has set; loaded here, as whoever carries nothing need not wait for it."""
    from opentelemetry import propagate

    return propagate.get_global_textmap()


# What is read


def _read_from(headers: Mapping[str, str]) -> RemoteStep | None:
    span = trace.get_current_span(_app_s().extract(headers, Context())).get_span_context()
    member = _member(headers.get("tracestate", ""))
    for said in (headers.get(semconv.HEADER, ""), member):
        if (remote := _read(said, span)) is not None:
            return remote
    return _of_baggage(headers.get("baggage", ""), span)


def _member(tracestate: str) -> str:
    pairs = (member.partition("=") for member in tracestate[:MAX_READ].split(","))
    return next((value.strip() for key, _, value in pairs if key.strip() == semconv.HEADER), "")


def _read(place: str, span: trace.SpanContext) -> RemoteStep | None:
    parts = place[:MAX_READ].split("/")
    return None if len(parts) != 4 else _remote(parts[0], parts[1], parts[2], parts[3], span)


def _of_baggage(baggage: str, span: trace.SpanContext) -> RemoteStep | None:
    pairs = (entry.split(";")[0].partition("=") for entry in baggage[:MAX_READ].split(","))
    said = {key.strip(): value.strip() for key, _, value in pairs}
    names = (semconv.BAGGAGE_CHAIN, semconv.BAGGAGE_STEP, semconv.BAGGAGE_SEQ, semconv.BAGGAGE_HOP)
    chain, step, seq, hop = (said.get(name, "") for name in names)
    return _remote(chain, step, seq, hop, span)


def _remote(chain: str, step: str, seq: str, hop: str, span: trace.SpanContext) -> RemoteStep | None:
    chain = unquote(chain)
    if not chain or not re.fullmatch(r"[0-9a-f]{16}", step):
        return None
    # Where no provider made a span, `inject` named the chain and the step: that is no span to link to.
    is_span = span.is_valid and f"{span.trace_id:032x}-{span.span_id:016x}" != f"{chain}-{step}"
    return RemoteStep(
        id=step,
        chain_id=chain,
        seq=_number(seq),
        hop=_number(hop),
        span_context=span if is_span else None,
    )


def _headers(carrier: Carrier) -> dict[str, str]:
    """Return what is text in a carrier, by the names as they are and in lower case."""
    pairs: Iterable[Any] = carrier.items() if isinstance(carrier, Mapping) else carrier
    named = {
        name: text
        for pair in pairs
        if isinstance(pair, tuple | list) and len(pair) == 2
        if (name := _text(pair[0])) is not None and (text := _text(pair[1])) is not None
    }
    return {name.lower(): text for name, text in named.items()} | named


def _text(value: object) -> str | None:
    # Headers are Latin-1 on the wire (RFC 9110, 5.5); every byte is one character of it.
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if not isinstance(value, str):
        return None
    # A lone surrogate is no text: OpenTelemetry's propagator of baggage raises (opentelemetry-api 1.45).
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def _number(text: str) -> int:
    # No more digits than a count can have: a clock that is pushed too far cannot be kept.
    return int(text) if re.fullmatch(r"[0-9]{1,15}", text) else 0
