"""What is known of the inside of the OpenTelemetry SDK, and whether it still holds.

Nothing here imports the SDK: where the app has, it is in `sys.modules`. Its inside is nobody's promise, so once for
each SDK a span is made both ways, by its own tracer and by ours, before witnesses: unless all that is asked, told and
handed on is the same, spans go through the API.

Source: opentelemetry-sdk 1.30 to 1.45, `trace/__init__.py`, `trace/sampling.py`, `trace/export/__init__.py`.
"""

from __future__ import annotations

import copy
import re
import sys
import threading
from collections.abc import Sequence
from functools import cache
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
)
from opentelemetry.trace.propagation import set_span_in_context

from becausal.spans import Links, SdkSpans, linked_to, links_to
from becausal.step import Attribute, Cause, OpenStep

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, Tracer
    from opentelemetry.trace import TracerProvider

__all__ = ["Sdk", "sdk_spans"]

LEFT_OUT: Final = frozenset({"_lock", "_attributes", "_events", "_links"})
"""The parts of a span that are made when somebody asks for one of them."""

PASSED_BY: Final = ("__init__", "_readable_span", "set_attribute", "set_attributes", "add_link", "set_status")
"""Methods of a span that the API would have called, and we do not."""

_SDK: Final = re.compile(r"opentelemetry\.sdk\.trace(\.|$)")

NO_METRICS: Final = "NoOpTracerMetrics"


def sdk_spans(provider: TracerProvider, tracer: Any) -> SdkSpans | None:
    """Return what makes a tracer's spans in its place; None where only its API may be used."""
    module = sys.modules.get("opentelemetry.sdk.trace")
    if module is None or type(provider) is not getattr(module, "TracerProvider", None):
        return None
    if type(tracer) is not getattr(module, "Tracer", None):
        return None
    metrics = vars(tracer).get("_tracer_metrics")
    if metrics is not None and type(metrics).__name__ != NO_METRICS:
        return None
    sdk = _sdk(module, sys.modules.get("opentelemetry.sdk.trace.export"))
    return SdkSpans(tracer, sdk) if sdk is not None and _agrees(sdk, tracer) else None


class Sdk:
    """The SDK's classes and functions, as they were when they were first seen."""

    def __init__(self, module: ModuleType, export: ModuleType | None) -> None:
        sampling = module.sampling
        self.tracer: type[Tracer] = module.Tracer
        self.start_span = module.Tracer.start_span
        self.span: type[Any] = module.Span
        self.end = module.Span.end
        self.span_class = _span_class(module)
        self.agrees: bool | None = None
        """Whether it makes of a span what we do; None until it has been tried out."""
        self.parent_based = sampling.ParentBased.should_sample
        self.always = sampling.StaticSampler.should_sample
        self.sampler = sampling.DEFAULT_ON
        unset = module.SpanLimits.UNSET  # given one by one: what is not is read from the environment
        self.no_limits = module.SpanLimits(unset, unset, unset, unset, unset, unset, unset, unset)
        self.sampled, self.dropped = sampling.Decision.RECORD_AND_SAMPLE, sampling.Decision.DROP
        self.tells_random = hasattr(module.IdGenerator, "is_trace_id_random")
        self.tells_ending = hasattr(module.SpanProcessor, "_on_ending")
        self._readable: type[ReadableSpan] = module.ReadableSpan
        self.unset = Status(StatusCode.UNSET)
        self._several = module.SynchronousMultiSpanProcessor
        names = ("BatchSpanProcessor", "SimpleSpanProcessor")
        processors = [module.SpanProcessor, *(getattr(export, name, None) for name in names)]
        self._silent = {
            hook: {does for one in processors if _does_nothing(does := getattr(one, hook, None))}
            for hook in ("on_start", "_on_ending")
        }

    def hears(self, processor: Any, hook: str) -> bool:
        """Return whether a provider's processors may do something at a hook: by default the SDK's own do not."""
        if type(processor) is not self._several or hook in processor.__dict__:
            return True
        silent = self._silent[hook]
        for one in processor._span_processors:
            does = getattr(type(one), hook, None)
            # A wrapper equals what it wraps, but is no function of Python's.
            if type(does) is not FunctionType or does not in silent or hook in one.__dict__:
                return True
        return False

    def catch_up(self, held: dict[str, Any]) -> None:
        """Give a span that was touched the links that came just then: we had seen it bare, and noted them aside."""
        links = held["_links"]
        if links.dropped:
            return
        told = held["_told"]
        late = held["_linked"][len(told) :]
        told += late
        for link in linked_to(late):
            links.append(link)

    def readable_of(self, span: Any, last: dict[str, Attribute]) -> ReadableSpan:
        """Return what processors are handed of a span that has ended; `last` is what it said at its end."""
        held = span.__dict__
        if "_lock" in held:
            self.catch_up(held)
            kept = held["_attributes"]
            for key, value in last.items():
                if key not in kept:  # another thread touched the span, just before this was said
                    kept[key] = value
            ended: ReadableSpan = span._readable_span()
            return ended
        return self.readable(
            held["_name"],
            (held["_context"], held["_parent"], held["_kind"]),
            (held["_start_time"], held["_end_time"]),
            held["_said"],
            Links(held["_linked"]),
            span._status,
            (held["_resource"], held["_instrumentation_info"], held["_instrumentation_scope"]),
        )

    def readable(
        self,
        name: str,
        place: tuple[SpanContext, SpanContext | None, SpanKind],
        times: tuple[int, int],
        said: dict[str, Attribute],
        linked: Sequence[Link],
        status: Status,
        origin: tuple[object, object, object],
    ) -> ReadableSpan:
        """Return a span that has ended.

        Args:
            name: its name.
            place: its own context, its parent's, its kind.
            times: when it started and ended.
            said: its attributes.
            linked: its links.
            status: its status.
            origin: the resource, and what made it: the library's info and scope.
        """
        ended: Any = object.__new__(self._readable)
        # One by one, as its own constructor does: it needs no dict for the garbage collector to visit.
        ended._name = name
        ended._context, ended._parent, ended._kind = place
        ended._start_time, ended._end_time = times
        ended._attributes = said
        ended._events = ()
        ended._links = linked
        ended._status = status
        ended._resource, ended._instrumentation_info, ended._instrumentation_scope = origin
        return ended  # type: ignore[no-any-return]


def _does_nothing(function: object) -> bool:
    return type(function) is FunctionType and not function.__code__.co_names


def _span_class(module: ModuleType) -> type[Span]:
    """Return the class of our spans: the SDK's, its parts made when they are asked for."""
    base: type[Span] = module._Span
    bounded_list = module.BoundedList

    class _Span(base):  # type: ignore[misc, valid-type]
        """A span of the SDK's. It is called as the SDK calls its own, which shows in its `repr`."""

        _status = Status(StatusCode.UNSET)
        _end_time: int | None = None
        _trace_config = None
        _record_exception = True
        _set_status_on_exception = True
        _record_end_metrics = None

        def __getattr__(self, name: str) -> object:
            if name not in LEFT_OUT:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            held: dict[str, Any] = self.__dict__
            limits = held["_limits"]
            attributes = BoundedAttributes(
                limits.max_span_attributes,
                {**held["_said"]},
                immutable=False,
                max_value_len=limits.max_span_attribute_length,
            )
            # Of two threads the first one's hold; the lock comes last, since who finds it relies on the rest.
            held.setdefault("_attributes", attributes)
            held.setdefault("_events", bounded_list(limits.max_events))
            told = held.setdefault("_told", [*held["_linked"]])  # what of it is among the links
            held.setdefault("_links", bounded_list.from_seq(limits.max_links, linked_to(told)))
            held.setdefault("_lock", threading.Lock())
            made: object = held[name]
            return made

    return _Span


# Whether what is known holds


@cache
def _sdk(module: ModuleType, export: ModuleType | None) -> Sdk | None:
    try:
        sdk = Sdk(module, export)
    except AttributeError:  # another SDK than those that are known: no failure, its spans go through the API
        return None
    # Whoever has patched it before it was first seen would be passed by.
    passed_by = (getattr(module._Span, name, None) for name in PASSED_BY)
    asked = (sdk.start_span, sdk.end, sdk.parent_based, sdk.always, *passed_by)
    return sdk if all(map(_is_the_sdks, asked)) else None


def _is_the_sdks(function: object) -> bool:
    """Return whether a function was written in the SDK: a wrapper bears its names, and has globals of its own."""
    return type(function) is FunctionType and _SDK.match(function.__globals__.get("__name__", "")) is not None


def _agrees(sdk: Sdk, tracer: Tracer) -> bool:
    """Return whether the SDK makes of a span what we do; found out once."""
    if sdk.agrees is None:
        try:
            ours, its = (_protocol(sdk, tracer, is_ours=is_ours) for is_ours in (True, False))
            sdk.agrees = ours == its and _has_all(sdk, tracer)
        except Exception:  # whatever it is that has changed: the API holds
            sdk.agrees = False
    return sdk.agrees


class _Witness:
    """Stands in for a tracer's processors and id generator, and notes what is asked of it."""

    def __init__(self) -> None:
        self.asked: list[object] = []

    def __getattr__(self, name: str) -> Any:
        def note(*given: Any, **named: object) -> int:
            self.asked.append((name, [_told(one) for one in given], [*named]))
            return 7

        return note


def _watched(sdk: Sdk, tracer: Tracer, witness: object) -> Tracer:
    """Return a tracer like the app's, with nothing of the app's that would notice."""
    watched: Any = copy.copy(tracer)
    watched.span_processor = watched.id_generator = witness
    watched.sampler, watched._span_limits = sdk.sampler, sdk.no_limits
    if (config := vars(watched).get("_tracer_config")) is not None:
        watched._tracer_config = type(config)(is_enabled=True)
    return watched  # type: ignore[no-any-return]


def _protocol(sdk: Sdk, tracer: Tracer, *, is_ours: bool) -> list[object]:
    """Return all that is asked, told and handed on while spans are made: with a remote, a local and no parent."""
    witness = _Witness()
    watched = _watched(sdk, tracer, witness)
    for is_remote in (True, False, None):
        parent = None if is_remote is None else SpanContext(9, 8, is_remote, TraceFlags(3))
        context = Context() if parent is None else set_span_in_context(NonRecordingSpan(parent), Context())
        causes = [] if parent is None else [Cause("", "data", "observed", span_context=parent)]
        said: dict[str, Attribute] = {"a": "b", "n": 1}
        status = Status(StatusCode.ERROR, "x")
        if is_ours:
            spans = SdkSpans(watched, sdk)
            span = spans.start(_step(), context, ("name", SpanKind.CLIENT, said, causes))
            if span is None or not spans.end(span, {"z": ("y",)}, status, 2):
                return []
        else:
            span = watched.start_span("name", context, SpanKind.CLIENT, said, links_to(causes), 1)
            span.set_attributes({"z": ("y",)})
            span.set_status(status)
            span.end(2)
        witness.asked.append((tuple(span.get_span_context()), span.is_recording()))
    return witness.asked


def _step() -> OpenStep:
    return OpenStep(
        id="",
        chain_id="",
        kind="tool",
        name="",
        agent=None,
        parent_id=None,
        hop=0,
        seq=0,
        started_ns=1,
    )


def _told(one: Any) -> object:
    """Return all that can be read of a span that was handed on, with the names of its parts."""
    if isinstance(one, Span):
        return "a span"
    context, parent, status = one.context, one.parent, one.status
    return (
        sorted(vars(one)),
        (one.name, tuple(context), parent and tuple(parent), one.kind, one.start_time, one.end_time),
        (dict(one.attributes), [(tuple(link.context), dict(link.attributes)) for link in one.links]),
        (list(one.events), status.status_code, status.description, one.resource, one.instrumentation_scope),
    )


def _has_all(sdk: Sdk, tracer: Tracer) -> bool:
    """Return whether our spans have every part that the SDK's have, once somebody asks for one."""
    watched = _watched(sdk, tracer, _Witness())
    ours = SdkSpans(watched, sdk).start(_step(), Context(), ("name", SpanKind.INTERNAL, {}, ()))
    return all(hasattr(ours, part) for part in vars(watched.start_span("name", Context())))
