"""A span that is made directly is the span that the OpenTelemetry SDK would have made through its API.

What an app may set or do is drawn by chance, and the same steps go both ways: to the SDK's provider, whose spans are
made directly, and to a subclass of it that changes nothing, whose spans come from the API.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import json
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk import trace as sdk_trace
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanLimits, SpanProcessor, TracerProvider, sampling
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)
from opentelemetry.trace.propagation import set_span_in_context
from tests.core.builders import open_step

from becausal import semconv, spans_sdk
from becausal.context import with_step
from becausal.payload import Payload
from becausal.step import Cause, Choice, OpenStep, StepKind
from becausal.telemetry import Telemetry

METRICS = vars(TracerProvider(shutdown_on_exit=False).get_tracer("app")).get("_tracer_metrics")
IS_DIRECT = METRICS is None or type(METRICS).__name__ == "NoOpTracerMetrics"
"""Whether spans of the SDK that is installed are made directly: 1.41 counts each of them, whatever is set."""

CAUSE = SpanContext(0xCA, 0xCE, False, TraceFlags(1))


class Same(TracerProvider):
    """The SDK's provider by another name: whatever is not exactly the SDK's is used through the API alone."""


class Counting(IdGenerator):
    """Gives the same ids in every run."""

    def __init__(self, *, is_random: bool = True) -> None:
        self.last, self._is_random = 0, is_random

    def generate_span_id(self) -> int:
        self.last += 1
        return self.last

    def generate_trace_id(self) -> int:
        self.last += 1
        return self.last << 70

    def is_trace_id_random(self) -> bool:
        return self._is_random


# What an app sets


class Choosy(sampling.Sampler):
    """An app's own sampler: what it is asked counts, and it says things of its own on the spans."""

    def __init__(self) -> None:
        self.asked: list[object] = []

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: trace.SpanKind | None = None,
        attributes: Any = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> sampling.SamplingResult:
        linked = [(tuple(link.context), dict(link.attributes or {})) for link in links or ()]
        self.asked.append((trace_id, name, kind, dict(attributes), linked, trace_state))
        said = {**attributes, "sampled.by": ["choosy"], "x" * 40: {1: 2}}
        return sampling.SamplingResult(
            sampling.Decision.RECORD_AND_SAMPLE, said, TraceState([("app", "choosy")])
        )

    def get_description(self) -> str:
        return "Choosy"


def _patched_sampler() -> sampling.Sampler:
    sampler: Any = sampling.StaticSampler(sampling.Decision.RECORD_AND_SAMPLE)
    sampler.should_sample = sampling.ALWAYS_OFF.should_sample
    return sampler  # type: ignore[no-any-return]


SAMPLERS: dict[str, Callable[[], sampling.Sampler]] = {
    "default": lambda: sampling.DEFAULT_ON,
    "on": lambda: sampling.ALWAYS_ON,
    "off": lambda: sampling.ALWAYS_OFF,
    "default off": lambda: sampling.DEFAULT_OFF,
    "half": lambda: sampling.TraceIdRatioBased(0.5),
    "half of the roots": lambda: sampling.ParentBasedTraceIdRatio(0.5),
    "record only": lambda: sampling.StaticSampler(sampling.Decision.RECORD_ONLY),
    "by the parent": lambda: sampling.ParentBased(
        sampling.ALWAYS_OFF,
        remote_parent_sampled=sampling.ALWAYS_OFF,
        remote_parent_not_sampled=sampling.ALWAYS_ON,
        local_parent_not_sampled=sampling.StaticSampler(sampling.Decision.RECORD_ONLY),
        local_parent_sampled=Choosy(),
    ),
    "choosy": Choosy,
    "patched": _patched_sampler,
}

LIMITS: dict[str, Callable[[], SpanLimits]] = {
    "default": SpanLimits,
    "none": lambda: SpanLimits(**dict.fromkeys(("max_attributes", "max_links", "max_events"), -1)),
    "few attributes": lambda: SpanLimits(max_span_attributes=12),
    "hardly any": lambda: SpanLimits(max_attributes=5, max_links=1, max_events=1),
    "nothing": lambda: SpanLimits(max_attributes=0, max_links=0, max_events=0),
    "long values": lambda: SpanLimits(max_attribute_length=4096),
    "short values": lambda: SpanLimits(max_attribute_length=9),
    "short values on spans": lambda: SpanLimits(max_span_attribute_length=5),
    "bare links": lambda: SpanLimits(max_link_attributes=1),
    "two links": lambda: SpanLimits(max_links=2),
}

PARENTS: dict[str, SpanContext | None] = {
    "none": None,
    "invalid": trace.INVALID_SPAN_CONTEXT,
    "local": SpanContext(77, 7, False, TraceFlags(1)),
    "local random": SpanContext(77, 7, False, TraceFlags(3), TraceState([("a", "b")])),
    "local unsampled": SpanContext(77, 7, False, TraceFlags(2)),
    "remote": SpanContext(77, 7, True, TraceFlags(1), TraceState([("a", "b")])),
    "remote unsampled": SpanContext(77, 7, True, TraceFlags(0)),
}


@dataclass
class Noting(SpanProcessor):
    """An app's own processor: notes what it is told, and says something of its own at the start."""

    says: bool = True
    noted: list[object] = field(default_factory=list)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        above = trace.get_current_span(parent_context).get_span_context()
        self.noted.append(("start", tuple(above), told(span) if self.says else span.name))
        if self.says:
            span.set_attribute("app.said", ["at", "start"])

    def _on_ending(self, span: Span) -> None:
        self.noted.append(("ending", told(span) if self.says else span.end_time))

    def on_end(self, span: ReadableSpan) -> None:
        self.noted.append(("end", told(span)))


class Ending(SpanProcessor):
    """An app's own processor that hears of nothing but what is about to end."""

    def __init__(self) -> None:
        self.noted: list[object] = []

    def _on_ending(self, span: Span) -> None:
        self.noted.append(told(span))


def _hooked(exporter: InMemorySpanExporter) -> SpanProcessor:
    """Return the SDK's own processor with a hook set on it, as some vendors' packages do."""
    processor: Any = SimpleSpanProcessor(exporter)
    processor.on_start = lambda span, parent_context=None: span.set_attribute("hooked", True)
    return processor  # type: ignore[no-any-return]


# What an app does with the span that is current


def _early(span: trace.Span) -> None:
    span.end(5_000)


ACTS: dict[str, Callable[[trace.Span], object]] = {
    "sets": lambda span: span.set_attribute("app.n", 3),
    "sets ours": lambda span: span.set_attribute(semconv.STEP_KIND, "mine"),
    "sets many": lambda span: span.set_attributes({"l": [1, 2], "": 1, "t": "long text here", "o": {"a": 1}}),
    "event": lambda span: span.add_event("e", {"k": ["v", "w"]}, timestamp=11),
    "another event": lambda span: span.add_event("f", None, timestamp=12),
    "exception": lambda span: span.record_exception(ValueError("no"), {"at": "home"}, timestamp=13),
    "ok": lambda span: span.set_status(StatusCode.OK),
    "error": lambda span: span.set_status(Status(StatusCode.ERROR, "mine")),
    "renames": lambda span: span.update_name("another name"),
    "links": lambda span: span.add_link(SpanContext(5, 6, True), {"why": "so", "how": "thus"}),
    "reads": lambda span: dict(getattr(span, "attributes", {})),
    "ends": _early,
}

texts = st.sampled_from(["", "short", "x" * 3000, "ä" * 1500, "\ud800 alone", "a\x00b"])
values = st.one_of(
    texts,
    st.booleans(),
    st.sampled_from([0, -1, 2**63, -(2**63), 2**70, 1.5, float("nan"), float("inf")]),
    st.lists(texts, max_size=3).map(tuple),
    st.just(tuple(f"item {nth}" for nth in range(60))),
)
names = st.sampled_from(
    [
        "gen_ai.x",
        "becausal.y",
        "langgraph.z",
        semconv.CONVERSATION_ID,
        semconv.OPERATION_NAME,
        semconv.AGENT_NAME,
    ]
)
causes = st.builds(
    Cause,
    st.sampled_from(["0" * 16, "f" * 16]),
    st.sampled_from(["data", "transfer"]),
    st.sampled_from(["observed", "declared"]),
    span_context=st.sampled_from([None, CAUSE]),
)
payloads = st.none() | st.just(Payload("bc1-xxh3:" + "0" * 32, "bc1-xxh3:" + "1" * 32, 42, "dict"))
KINDS: tuple[StepKind, ...] = ("request", "agent", "model", "tool", "handoff", "memory_read", "route")


@dataclass(frozen=True)
class Told:
    """What an adapter tells of one step, and what the app does in it."""

    kind: StepKind
    attributes: dict[str, Any]
    causes: list[Cause]
    found_since: list[Cause]
    received: Payload | None
    produced: Payload | None
    conversation: str | None
    choice: Choice | None
    error: str | None
    acts: list[str]
    is_whole: bool


steps = st.builds(
    Told,
    st.sampled_from(KINDS),
    st.dictionaries(names, values, max_size=4),
    st.lists(causes, max_size=3) | st.just([Cause("0" * 16, "data", "observed", span_context=CAUSE)] * 40),
    st.lists(causes, max_size=2),
    payloads,
    payloads,
    st.sampled_from([None, "talk", "t" * 3000]),
    st.none() | st.just(Choice("route to b", score=0.5)),
    st.sampled_from([None, "ValueError: no", "e" * 3000]),
    st.just([]) | st.lists(st.sampled_from(sorted(ACTS)), max_size=3),
    st.booleans(),
)


AGENT = Told("agent", {}, [], [], None, None, None, None, None, [], False)


@dataclass(frozen=True)
class App:
    """An app: what it has set, and the steps that it takes, each within the one before."""

    sampler: str
    limits: str
    parent: str
    processors: frozenset[str]
    dialects: tuple[str, ...]
    content: bool
    steps: list[Told]


apps = st.builds(
    App,
    st.sampled_from(sorted(SAMPLERS)) | st.just("default"),
    st.sampled_from(sorted(LIMITS)),
    st.sampled_from(sorted(PARENTS)),
    st.just(frozenset()) | st.frozensets(st.sampled_from(["noting", "deaf", "hooked", "ending"]), max_size=2),
    st.sampled_from([("openinference",), (), ("langfuse", "langsmith", "mlflow")]),
    st.booleans(),
    st.lists(steps, min_size=1, max_size=3),
)


def step_of(told_of: Told, nth: int) -> OpenStep:
    step = open_step(
        nth,
        chain_id="c" * 32,
        kind=told_of.kind,
        name="name",
        agent=None if nth % 2 else "agent",
        hop=nth,
        started_ns=1_000 + nth,
    )
    step.attributes.update(told_of.attributes)
    step.causes.extend(told_of.causes)
    step.conversation, step.received, step.produced = (
        told_of.conversation,
        told_of.received,
        told_of.produced,
    )
    if told_of.choice is not None:
        step.chose(told_of.choice)
    return step


def taken(telemetry: Telemetry, told_of: Sequence[Told], parent: Context, nth: int = 1) -> list[object]:
    """Take steps, each within the one before; return what an app could see of their spans."""
    if not told_of:
        return []
    first, *others = told_of
    step = step_of(first, nth)
    if first.is_whole:
        step.status, step.ended_ns = "ok", 9_000
        telemetry.whole(step, parent, Cause("e" * 16, "transfer", "declared", span_context=CAUSE))
        return [step.span_context, *taken(telemetry, others, parent, nth + 1)]
    telemetry.open(step, parent)
    inside = with_step(step, parent)
    span = trace.get_current_span(inside)
    for act in first.acts:
        ACTS[act](span)
    seen = taken(telemetry, others, inside, nth + 1)
    for cause in first.found_since:
        step.causes.append(cause)
        telemetry.link(step, cause)
    step.status, step.error, step.ended_ns = "error" if first.error else "ok", first.error, 9_000 + nth
    telemetry.close(step, ValueError() if first.error else None)
    return [step.span_context, span.is_recording(), told(span), *seen]


def told(span: Any) -> object:
    """Return all that can be read of a span."""
    if not isinstance(span, ReadableSpan):
        return tuple(span.get_span_context())
    status, context, parent = span.status, span.context, span.parent
    return {
        "ids": (tuple(context), parent and tuple(parent)),
        "json": {**json.loads(span.to_json()), "attributes": dict(span.attributes or {})},
        "attributes": dict(span.attributes or {}),
        "events": [
            (event.name, event.timestamp, dict(event.attributes or {}), event.dropped_attributes)
            for event in span.events
        ],
        "links": [
            (tuple(link.context), dict(link.attributes or {}), link.dropped_attributes) for link in span.links
        ],
        "status": (status.status_code, status.description),
        "times": (span.start_time, span.end_time),
        "kind": (span.kind, span.name),
        "dropped": (span.dropped_attributes, span.dropped_events, span.dropped_links),
        "repr": repr(span) if isinstance(span, Span) else "",
        "from": (span.resource.attributes, span.instrumentation_scope, type(span).__name__),
    }


def run(app: App, provider_class: type[TracerProvider]) -> tuple[list[object], Telemetry]:
    """Return all that an app, its processors, its sampler and its exporter could see."""
    sampler = SAMPLERS[app.sampler]()
    provider = provider_class(
        sampler=sampler,
        span_limits=LIMITS[app.limits](),
        id_generator=Counting(),
        shutdown_on_exit=False,
    )
    exporter = InMemorySpanExporter()
    processors: dict[str, SpanProcessor] = {"noting": Noting(), "deaf": Noting(says=False)}
    processors["ending"] = Ending()
    for name in sorted(app.processors):
        provider.add_span_processor(processors.get(name) or _hooked(exporter))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    telemetry = Telemetry(provider, app.dialects)
    telemetry.wants_content = app.content
    above = PARENTS[app.parent]
    parent = Context() if above is None else set_span_in_context(NonRecordingSpan(above), Context())
    seen = taken(telemetry, app.steps, parent)
    exported = [told(span) for span in exporter.get_finished_spans()]
    noted = [one.noted for one in processors.values() if isinstance(one, Noting | Ending)]
    return [seen, exported, noted, getattr(sampler, "asked", None)], telemetry


@settings(max_examples=300, deadline=None)
@given(apps)
def test_whatever_an_app_sets_and_does_both_ways_give_the_same_spans(app: App) -> None:
    direct, ours = run(app, TracerProvider)
    through_api, theirs = run(app, Same)

    assert direct == through_api
    assert (ours._spans is not None) is IS_DIRECT
    assert theirs._spans is None


HANDOFF = dataclasses.replace(AGENT, kind="handoff", is_whole=True)


@pytest.mark.parametrize(
    "processors", [(), ("noting",), ("deaf",), ("hooked",), ("ending",), ("hooked", "noting")]
)
@pytest.mark.parametrize("limits", sorted(LIMITS))
def test_a_span_that_is_over_when_it_is_made_is_the_same_span(
    limits: str, processors: tuple[str, ...]
) -> None:
    app = App("default", limits, "local", frozenset(processors), ("openinference",), False, [AGENT, HANDOFF])

    direct, _ = run(app, TracerProvider)
    through_api, _ = run(app, Same)

    assert direct == through_api


# When the SDK is as it should be


def opened(provider: TracerProvider, **attributes: Any) -> tuple[Telemetry, OpenStep]:
    telemetry, step = Telemetry(provider), step_of(AGENT, 1)
    step.attributes.update(attributes)
    telemetry.open(step, Context())
    step.status, step.ended_ns = "ok", 9_000
    return telemetry, step


def exporting(provider: TracerProvider) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return exporter


def is_bare(step: OpenStep) -> bool:
    """Whether a step's span was made directly, and nobody has touched it."""
    return step.span is not None and "_said" in vars(step.span) and "_lock" not in vars(step.span)


direct_alone = pytest.mark.skipif(
    not IS_DIRECT, reason="this SDK counts every span: it is used through the API"
)


@direct_alone
def test_a_span_that_nobody_touches_stays_bare_and_one_that_is_touched_is_wholly_the_sdks() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    exporting(provider)
    _, step = opened(provider)
    assert is_bare(step)
    span: Any = step.span
    assert isinstance(step.span, Span)

    span.set_attribute("app", 1)

    real: Any = Same(shutdown_on_exit=False).get_tracer("app").start_span("app")
    assert set(vars(real)) - set(dir(span)) == set()
    assert {"_lock", "_attributes", "_events", "_links"} <= set(vars(span))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        span.nothing  # noqa: B018


@direct_alone
def test_of_two_threads_that_touch_a_span_at_once_both_get_the_same_parts() -> None:
    _, step = opened(TracerProvider(shutdown_on_exit=False))
    span: Any = step.span
    names = ("_lock", "_attributes", "_events", "_links")
    first = [getattr(span, name) for name in names]

    # The second had found them missing as well, and makes them too.
    second = [type(span).__getattr__(span, name) for name in names]

    assert all(one is other for one, other in zip(first, second, strict=True))


@direct_alone
def test_what_a_span_says_at_its_end_is_not_lost_to_a_thread_that_touches_it_right_then() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    exporter = exporting(provider)
    telemetry, step = opened(provider)
    span: Any = step.span

    class Touched(dict[str, Any]):
        def update(self, *said: Any) -> None:  # type: ignore[override]
            span.set_attribute("the app's", 1)
            super().update(*said)

    vars(span)["_said"] = Touched(vars(span)["_said"])
    telemetry.close(step)

    (ended,) = exporter.get_finished_spans()
    assert ended.attributes is not None
    assert ended.attributes["the app's"] == 1
    assert ended.attributes[semconv.STEP_SEQ] == step.seq


@direct_alone
@pytest.mark.parametrize("when", ["as the link comes", "as the span ends"])
def test_a_link_is_not_lost_to_a_thread_that_touches_its_span_right_then(when: str) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    exporter = exporting(provider)
    telemetry, step = opened(provider)
    span: Any = step.span

    class Touched(list[Cause]):
        def __iadd__(self, links: Any) -> Any:  # type: ignore[misc]
            former = list(self)
            if when == "as the link comes":
                span.set_attribute("the app's", 1)
            self[:] = [*former, *links]
            return self

    class Said(dict[str, Any]):
        def update(self, *said: Any) -> None:  # type: ignore[override]
            vars(span)["_linked"], linked = [], vars(span)["_linked"]
            span.set_attribute("the app's", 1)
            vars(span)["_linked"] = linked
            super().update(*said)

    vars(span)["_linked"] = Touched()
    telemetry.link(step, Cause("first", "data", "observed", span_context=CAUSE))
    if when == "as the span ends":  # and so it had been, as the link came
        vars(span)["_said"] = Said(vars(span)["_said"])
    telemetry.link(step, Cause("second", "data", "observed", span_context=CAUSE))
    telemetry.close(step)

    (ended,) = exporter.get_finished_spans()
    assert [link.context for link in ended.links] == [CAUSE, CAUSE]
    assert ended.attributes is not None
    assert ended.attributes["the app's"] == 1


@direct_alone
def test_the_links_of_a_span_that_has_ended_are_a_sequence_that_no_longer_changes() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    exporter = exporting(provider)
    telemetry, step = opened(provider)
    causes = [Cause(f"{n}", "data", "observed", span_context=CAUSE) for n in range(3)]
    for cause in (*causes, Cause("without a span", "data", "observed")):
        telemetry.link(step, cause)
    links: list[Any] = vars(step.span)["_linked"]
    telemetry.close(step)

    (ended,) = exporter.get_finished_spans()
    links.append(Cause("late", "data", "observed", span_context=CAUSE))
    assert [link.context for link in ended.links] == [CAUSE] * len(ended.links) == [CAUSE] * 3
    assert ended.links[-1] is ended.links[2]
    assert ended.links[2] in ended.links[1:]
    assert isinstance(ended.links, Sequence)
    assert len(json.loads(ended.to_json())["links"]) == 3


@direct_alone
@pytest.mark.parametrize(
    ("limit", "value", "links"),
    [
        ("max_links", 0, 0),
        ("max_links", 1, 1),
        ("max_span_attribute_length", 5, 1),
        ("max_link_attributes", 1, 1),
    ],
)
@pytest.mark.parametrize("is_of_the_apps", [False, True])
def test_a_limit_that_is_set_while_spans_are_made_holds_from_then_on(
    limit: str, value: int, links: int, is_of_the_apps: bool
) -> None:
    class Limits(SpanLimits):
        """The app's: whatever is asked of it, it looks elsewhere."""

        def __getattribute__(self, name: str) -> Any:
            return changed.get(name, super().__getattribute__(name))

    changed: dict[str, int] = {}
    limits = Limits() if is_of_the_apps else SpanLimits()
    telemetry, step = opened(TracerProvider(shutdown_on_exit=False, span_limits=limits))
    assert is_bare(step)
    if is_of_the_apps:
        changed[limit] = value
    else:
        setattr(limits, limit, value)
    later = step_of(AGENT, 2)
    telemetry.open(later, Context())
    assert is_bare(later) == (limit == "max_links" or limit == "max_link_attributes")

    telemetry.link(later, Cause("1", "data", "observed", span_context=CAUSE))

    assert is_bare(later) == (limit == "max_links" and value > 0)
    assert len(later.span.links) == links  # type: ignore[union-attr]


@direct_alone
def test_links_that_the_sdk_has_evicted_do_not_come_back() -> None:
    provider = TracerProvider(shutdown_on_exit=False, span_limits=SpanLimits(max_links=2))
    exporter = exporting(provider)
    telemetry, step = opened(provider)
    telemetry.link(step, Cause("first", "data", "observed", span_context=CAUSE))
    others = [SpanContext(1, number, False, TraceFlags(1)) for number in (1, 2)]
    for other in others:
        step.span.add_link(other)  # type: ignore[union-attr]
    telemetry.close(step)

    (ended,) = exporter.get_finished_spans()
    assert [link.context for link in ended.links] == others
    assert ended.dropped_links == 1


def ended_by(provider_class: type[TracerProvider]) -> ReadableSpan:
    provider = provider_class(id_generator=Counting(), shutdown_on_exit=False)
    exporter = exporting(provider)
    telemetry, step = opened(provider)
    telemetry.close(step)
    (span,) = exporter.get_finished_spans()
    return span


def test_what_is_handed_to_processors_can_be_copied_where_the_sdks_own_can() -> None:
    try:
        copy.deepcopy(ended_by(Same))
    except TypeError:
        pytest.skip("spans of this SDK hold locks")
    span = ended_by(TracerProvider)

    assert told(copy.deepcopy(span)) == told(span)
    assert type(span) is ReadableSpan


@pytest.mark.parametrize("place", ["on_start", "_on_ending", "on_end"])
def test_a_processor_that_fails_is_met_as_the_sdk_meets_it(place: str) -> None:
    if not hasattr(SpanProcessor, place):
        pytest.skip("this SDK has no such hook")

    def fails(*_: object, **__: object) -> None:
        raise LookupError(place)

    met: list[object] = []
    for provider_class in (TracerProvider, Same):
        provider = provider_class(id_generator=Counting(), shutdown_on_exit=False)
        exporter = exporting(provider)
        processor: Any = SpanProcessor()
        setattr(processor, place, fails)
        provider.add_span_processor(processor)
        telemetry, step = Telemetry(provider), step_of(AGENT, 1)
        try:
            telemetry.open(step, Context())
            step.ended_ns = 9_000
            telemetry.close(step)
            met.append([])
        except LookupError as error:
            met.append([str(error), step.span_context, [told(one) for one in exporter.get_finished_spans()]])

    assert met[0] == met[1] != []


def test_a_processor_that_comes_while_a_span_is_open_is_told_of_its_end() -> None:
    seen = []
    for provider_class in (TracerProvider, Same):
        provider = provider_class(id_generator=Counting(), shutdown_on_exit=False)
        telemetry, step = opened(provider)
        late = Noting(says=False)
        provider.add_span_processor(late)
        telemetry.close(step)
        seen.append(late.noted)

    assert seen[0] == seen[1]
    assert [event[0] for event in seen[0]] == ["ending", "end"][-len(seen[0]) :]  # type: ignore[index]


@direct_alone
@pytest.mark.parametrize("where", [sdk_trace.Tracer, sdk_trace.Span])
def test_who_has_patched_the_sdk_is_not_passed_by(where: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    first, bare = opened(provider)
    name = "start_span" if where is sdk_trace.Tracer else "end"
    original, calls = getattr(where, name), []

    def patched(*args: Any, **kwargs: Any) -> Any:
        calls.append(name)
        return original(*args, **kwargs)

    assert is_bare(bare)
    monkeypatch.setattr(where, name, patched)
    telemetry, step = opened(provider)
    telemetry.close(step)
    first.close(bare)

    assert calls == (["start_span"] if name == "start_span" else ["end", "end"])


@direct_alone
@pytest.mark.parametrize(
    ("where", "name"),
    [
        (sdk_trace.Tracer, "start_span"),
        (sdk_trace.Span, "end"),
        (sdk_trace.Span, "__init__"),
        (sdk_trace.Span, "_readable_span"),
        (sdk_trace.Span, "set_attribute"),
        (sdk_trace.Span, "set_attributes"),
        (sdk_trace.Span, "add_link"),
        (sdk_trace.Span, "set_status"),
        (sampling.ParentBased, "should_sample"),
        (sampling.StaticSampler, "should_sample"),
    ],
    ids=lambda one: getattr(one, "__name__", one),
)
def test_who_had_patched_the_sdk_before_it_was_first_seen_is_not_passed_by(
    where: type, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    former = getattr(where, name)

    @functools.wraps(former)
    def patched(*args: Any, **kwargs: Any) -> Any:
        return former(*args, **kwargs)

    assert spans_sdk._sdk.__wrapped__(sdk_trace, None) is not None

    monkeypatch.setattr(where, name, patched)

    assert spans_sdk._sdk.__wrapped__(sdk_trace, None) is None


def test_a_tracer_whose_start_span_is_replaced_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    telemetry, bare = opened(provider)
    assert is_bare(bare)
    calls = []

    def start_span(name: str, *_: object) -> trace.Span:
        calls.append(name)
        return trace.INVALID_SPAN

    monkeypatch.setattr(telemetry._tracer, "start_span", start_span)
    step = step_of(AGENT, 2)
    telemetry.open(step, Context())

    assert calls == ["invoke_agent name"]
    assert step.span is None


def test_a_tracer_that_is_switched_off_makes_no_span_from_then_on() -> None:
    provider: Any = TracerProvider(shutdown_on_exit=False)
    if not hasattr(provider, "_set_tracer_configurator"):
        pytest.skip("this SDK cannot switch tracers off")
    telemetry, first = opened(provider)
    assert first.span is not None

    provider._set_tracer_configurator(tracer_configurator=sdk_trace._disable_tracer_configurator)
    step = step_of(AGENT, 2)
    telemetry.open(step, Context())

    assert (step.span, step.span_context) == (None, None)


def test_an_sdk_that_counts_its_spans_is_used_through_the_api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED", "true")
    provider: Any = TracerProvider(shutdown_on_exit=False)
    if not hasattr(provider.get_tracer("app"), "_tracer_metrics"):
        pytest.skip("this SDK counts nothing")

    _, step = opened(provider)

    assert step.span is not None
    assert not is_bare(step)


def test_an_sdk_that_hands_on_another_sort_of_span_is_used_through_the_api(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = sdk_trace.Span._readable_span

    def with_more(self: Any) -> Any:
        readable: Any = original(self)
        readable._new_in_this_version = 1
        return readable

    monkeypatch.setattr(sdk_trace.Span, "_readable_span", with_more)
    provider: Any = TracerProvider(shutdown_on_exit=False)
    module, export = sys.modules["opentelemetry.sdk.trace"], sys.modules["opentelemetry.sdk.trace.export"]

    assert not spans_sdk._agrees(spans_sdk.Sdk(module, export), provider.get_tracer("app"))
    monkeypatch.undo()
    assert spans_sdk._agrees(spans_sdk.Sdk(module, export), provider.get_tracer("app"))


def test_a_provider_that_is_set_after_us_gets_its_spans() -> None:
    told_by_app = subprocess.run(
        [sys.executable, "-c", LATE], capture_output=True, text=True, timeout=60, check=True
    )

    assert json.loads(told_by_app.stdout) == [
        *(None, False),
        *("invoke_agent name", ["invoke_agent name"], IS_DIRECT),
    ]


LATE = textwrap.dedent(
    """
    import json, sys
    from opentelemetry import trace
    from opentelemetry.context import Context
    from becausal.step import OpenStep
    from becausal.telemetry import Telemetry

    def taken():
        step = OpenStep(id="1" * 16, chain_id="c", kind="agent", name="name", agent=None, parent_id=None,
                        hop=0, seq=0, started_ns=1)
        telemetry.open(step, Context())
        step.status, step.ended_ns, name = "ok", 2, getattr(step.span, "name", None)
        telemetry.close(step)
        return name

    telemetry = Telemetry()
    told = [taken(), "opentelemetry.sdk" in sys.modules]

    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    trace.set_tracer_provider(TracerProvider())
    trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(exporter))
    told.append(taken())
    told.append([span.name for span in exporter.get_finished_spans()])
    told.append(telemetry._spans is not None)
    print(json.dumps(told))
    """
)
