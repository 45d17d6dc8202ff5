"""Spans of the OpenTelemetry SDK, made without its detours.

The SDK cleans every attribute, locks every span and builds its lists, whether they will hold anything or not. What
we say of a step is clean already, and nearly always nobody else says anything on its span. So where a provider is
the SDK's own, spans are made here: of a class beneath the SDK's, with the parts left out that nobody has asked for.
The moment somebody touches one (the app's code, a processor, another instrumentor), it becomes what the SDK would
have made at the start, and the SDK's own methods do the rest.

Nothing that an app can set is remembered: sampler, limits, resource, processors and tracer configuration are read for
each span. Whatever is not as expected (limits below what we say, a sampler of the app's own, a patched `start_span`)
goes through the API. What is known of the SDK is in `spans_sdk.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, overload

from opentelemetry import trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    TraceFlags,
    propagation,
)

from becausal import semconv
from becausal.step import Attribute, Cause, EdgeKind, Grade, OpenStep

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanLimits, Tracer
    from opentelemetry.sdk.trace.sampling import Decision

    from becausal.spans_sdk import Sdk

__all__ = ["MAX_LINKS", "Links", "SdkSpans", "Told", "link_attributes", "linked_to", "links_to"]

MAX_LINKS = 32
"""The SDK keeps 128 links and evicts the oldest; the full list of causes is in an attribute."""

SPAN_KEY: Final[str] = getattr(propagation, "_SPAN_KEY", "")
"""Under which a context holds the span that is current; where that is not known, the API is asked."""

SAID_OF_LINKS = 2
"""Attributes of a link of ours."""

RANDOM: Final = 0x02
"""The flag of a trace id that is random (W3C Trace Context, level 2)."""

MOST_ID: Final = (1 << 64) - 1
"""The largest id of a span."""

FLAGS: Final = tuple(map(TraceFlags, range(4)))
SAMPLED: Final = 0x01


Told = tuple[str, SpanKind, dict[str, Attribute], Sequence[Cause]]
"""What a span says at its start: its name, its kind, its attributes, clean and from now on its own, and its causes."""


class SdkSpans:
    """Makes and ends the spans of one of the SDK's tracers."""

    def __init__(self, tracer: Tracer, sdk: Sdk) -> None:
        self._tracer = tracer
        self._sdk = sdk
        self._room: tuple[dict[str, Any] | None, int] = None, 0
        """The limits that a span had last, all of them, and how many links fit them."""

    def start(self, step: OpenStep, context: Context | None, told: Told) -> Span | None:
        """Start a step's span as `Tracer.start_span` of the SDK does, asking the same; None where it has to.

        Args:
            step: gets the span.
            context: the span that is current in it is the parent.
            told: what it says at its start.
        """
        name, kind, said, causes = told
        tracer, sdk = self._tracer, self._sdk
        placed = None if context is None else self._placed(context, len(causes))
        if placed is None:
            return None
        parent, own, is_dropped = placed
        if is_dropped:
            step.span, step.span_context = NonRecordingSpan(own), own
            return step.span
        span: Span = object.__new__(sdk.span_class)
        processor: Any = tracer.span_processor
        span.__dict__ = {
            "_name": name,
            "_context": own,
            "_parent": parent,
            "_kind": kind,
            "_start_time": step.started_ns,
            "_said": said,
            "_linked": [*_first(causes)],
            "_sampler": tracer.sampler,
            "_resource": tracer.resource,
            "_span_processor": processor,
            "_limits": tracer._span_limits,
            "_instrumentation_info": tracer.instrumentation_info,
            "_instrumentation_scope": tracer._instrumentation_scope,
        }
        if sdk.hears(processor, "on_start"):
            processor.on_start(span, parent_context=context)
        step.span, step.span_context = span, own
        return span

    def whole(self, step: OpenStep, context: Context, told: Told) -> bool:
        """Make the span of a step that is over, which nobody sees before it has ended; the arguments are `start`'s.

        False where somebody would see it start, or the SDK has to be asked: then it starts, and ends.
        """
        name, kind, said, causes = told
        tracer, sdk = self._tracer, self._sdk
        processor: Any = tracer.span_processor
        if sdk.hears(processor, "on_start") or (sdk.tells_ending and sdk.hears(processor, "_on_ending")):
            return False
        most, ended_ns = tracer._span_limits.max_span_attributes, step.ended_ns
        if ended_ns is None or (most is not None and len(said) > most):
            return False
        placed = self._placed(context, len(causes))
        if placed is None:
            return False
        parent, own, is_dropped = placed
        step.span_context = own
        if is_dropped:
            return True
        origin = tracer.resource, tracer.instrumentation_info, tracer._instrumentation_scope
        place, times, linked = (own, parent, kind), (step.started_ns, ended_ns), Links(_first(causes))
        processor.on_end(sdk.readable(name, place, times, said, linked, sdk.unset, origin))
        return True

    def _placed(self, context: Context, links: int) -> tuple[SpanContext | None, SpanContext, bool] | None:
        """Return a new span's parent, its own ids and flags, and whether it is dropped; None where the SDK has to be
        asked.

        Args:
            context: the span that is current in it is the parent.
            links: how many it is to have at its start.
        """
        decided = self._decided(context, links)
        if decided is None:
            return None
        parent, decision = decided
        sdk, ids = self._sdk, self._tracer.id_generator
        if parent is None:
            trace_id = ids.generate_trace_id()
            random = RANDOM if sdk.tells_random and ids.is_trace_id_random() else 0
            flags = FLAGS[random | SAMPLED if decision is sdk.sampled else random]
            own = SpanContext(trace_id, ids.generate_span_id(), False, flags, None)
        else:
            trace_id, _, _, flags, state, _ = parent
            random = flags & RANDOM if sdk.tells_random else 0
            flags = FLAGS[random | SAMPLED if decision is sdk.sampled else random]
            span_id = ids.generate_span_id()
            # As its own constructor leaves it, which would look at what is the parent's once more.
            own = tuple.__new__(SpanContext, (trace_id, span_id, False, flags, state, 0 < span_id <= MOST_ID))
        # Not valid: what comes of such a generator is the SDK's to say.
        return (parent, own, decision is sdk.dropped) if own[-1] else None

    def link(self, span: Span, cause: Cause) -> bool:
        """Link a span that nobody has touched to a cause; False where the span's own method has to."""
        if type(span) is not self._sdk.span_class:
            return False
        held = span.__dict__
        if "_lock" in held or "_end_time" in held:
            return False
        linked: list[Cause] = held["_linked"]
        if len(linked) >= self._most_links(held["_limits"]):
            return False
        linked += (cause,)
        return True

    def end(
        self, span: Span, said: dict[str, Attribute], status: Status | None, ended_ns: int | None
    ) -> bool:
        """End a span that nobody has touched; False where the span's own methods have to.

        Args:
            span: the span.
            said: what it says at its end, clean.
            status: None leaves it as it is.
            ended_ns: when it ended.
        """
        sdk = self._sdk
        if type(span) is not sdk.span_class or ended_ns is None:
            return False
        held = span.__dict__
        if "_lock" in held:
            if "_end_time" not in held:
                sdk.catch_up(held)
            return False
        attributes: dict[str, Attribute] = held["_said"]
        most = held["_limits"].max_span_attributes
        if (most is not None and len(attributes) + len(said) > most) or sdk.span.end is not sdk.end:
            return False
        attributes.update(said)
        if status is not None:
            held["_status"] = status
        held["_end_time"] = ended_ns
        processor = held["_span_processor"]
        if sdk.tells_ending and sdk.hears(processor, "_on_ending"):
            processor._on_ending(span)
        processor.on_end(sdk.readable_of(span, said))
        return True

    def _most_links(self, limits: SpanLimits) -> int:
        """Return how many links fit a span's limits, which are the app's to set; how much it says shows at the end."""
        seen, most = self._room
        if limits.__dict__ != seen:
            most = _room_in(limits)
            # Of a class of the app's they need not be what it holds.
            is_plain = type(limits) is type(self._sdk.no_limits)
            self._room = {**limits.__dict__} if is_plain else None, most
        return most

    def _decided(self, context: Context, links: int) -> tuple[SpanContext | None, Decision] | None:
        """Return a new span's parent and what becomes of it; None where the SDK has to be asked.

        Args:
            context: the span that is current in it is the parent.
            links: how many it is to have at its start.
        """
        tracer, sdk = self._tracer, self._sdk
        its = tracer.__dict__
        config = its.get("_tracer_config")
        is_patched = sdk.tracer.start_span is not sdk.start_span or "start_span" in its
        if is_patched or sdk.span.end is not sdk.end or (config is not None and not config.is_enabled):
            return None
        if links > self._most_links(tracer._span_limits):
            return None
        current: Any = context.get(SPAN_KEY)
        if type(current) in (sdk.span_class, NonRecordingSpan):
            parent: Any = current._context
        else:
            parent = trace.get_current_span(context).get_span_context()
        if type(parent) is not SpanContext:
            return None
        _, _, is_remote, flags, _, is_valid = parent
        sampler: Any = tracer.sampler
        # By the function of its class: a sampler that looks closer, and one of the app's own, are the SDK's to ask.
        asks = getattr(type(sampler), "should_sample", None)
        if asks is sdk.parent_based and "should_sample" not in sampler.__dict__:
            if not is_valid:
                sampler = sampler._root
            elif flags & SAMPLED:
                sampler = sampler._remote_parent_sampled if is_remote else sampler._local_parent_sampled
            else:
                sampler = (
                    sampler._remote_parent_not_sampled if is_remote else sampler._local_parent_not_sampled
                )
            asks = getattr(type(sampler), "should_sample", None)
        if asks is not sdk.always or "should_sample" in sampler.__dict__:
            return None
        return parent if is_valid else None, sampler._decision


def _room_in(limits: SpanLimits) -> int:
    """Return how many links of ours fit a span's limits; -1 where already what it says may not."""
    longest, longest_of_span = limits.max_attribute_length, limits.max_span_attribute_length
    if any(most is not None and most < semconv.MAX_ATTRIBUTE_BYTES for most in (longest, longest_of_span)):
        return -1
    if limits.max_link_attributes is not None and limits.max_link_attributes < SAID_OF_LINKS:
        return 0
    return sys.maxsize if limits.max_links is None else limits.max_links


def _first(causes: Sequence[Cause]) -> Sequence[Cause]:
    """Return the causes that a span is linked to at its start."""
    if len(causes) <= MAX_LINKS:
        return causes
    return [cause for cause in causes if cause.span_context is not None][:MAX_LINKS]


def linked_to(causes: Iterable[Cause]) -> list[Link]:
    """Return links as the SDK leaves them, without the calls of their constructor."""
    links: list[Link] = []
    for cause in causes:
        if cause.span_context is not None:
            link: Link = object.__new__(Link)
            # One by one: it needs no dict for the garbage collector to visit.
            link._context = cause.span_context
            link._attributes = _kept(cause.kind, cause.grade)
            links.append(link)
    return links


class Links(Sequence[Link]):
    """The links of a span that has ended, made when somebody asks for one: exporters do, in threads of their own."""

    __slots__ = ("_causes", "_made")

    def __init__(self, causes: Sequence[Cause]) -> None:
        self._causes = tuple(causes)
        self._made: list[Link] | None = None

    def _all(self) -> list[Link]:
        if self._made is None:
            self._made = linked_to(self._causes)
        return self._made

    def __len__(self) -> int:
        return len(self._all())

    def __iter__(self) -> Iterator[Link]:
        return iter(self._all())

    @overload
    def __getitem__(self, at: int) -> Link: ...
    @overload
    def __getitem__(self, at: slice) -> list[Link]: ...
    def __getitem__(self, at: int | slice) -> Link | list[Link]:
        return self._all()[at]


def links_to(causes: Sequence[Cause]) -> list[Link]:
    """Return links for the API."""
    links = [
        Link(cause.span_context, link_attributes(cause.kind, cause.grade))
        for cause in causes
        if cause.span_context is not None
    ]
    return links[:MAX_LINKS]


@lru_cache(1024)
def link_attributes(kind: EdgeKind, grade: Grade) -> dict[str, Attribute]:
    """Return what a link says of a cause."""
    return {semconv.LINK_TYPE: kind, semconv.LINK_GRADE: grade}


@lru_cache(1024)
def _kept(kind: EdgeKind, grade: Grade) -> BoundedAttributes:
    """Return what a link says, as the SDK keeps it: it never changes, so links share it."""
    return BoundedAttributes(attributes=link_attributes(kind, grade))
