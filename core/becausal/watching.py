"""Runs judged as they end, what is found told as telemetry: `becausal.instrument(watch=True)` or `BECAUSAL_WATCH=1`.

When the root of a run ends, a thread of its own loads the run from the store and looks for findings. The app waits for
nothing; where runs end faster than they can be judged, those beyond a bound are counted as gaps.

A span that has ended cannot be told anything more. So what was found goes on a span that follows: `becausal.findings`,
in the same trace, under the root, linked to each step that a finding is about, with `becausal.anomaly.detected` for a
collector's tail sampler and an event for each finding. Nothing of the content is on it: kinds, agents, tools, step ids.
And it goes into metrics, by OpenTelemetry's own API.

Judging needs all of what reads runs, so it is imported only where it is asked for. Where a provider is set up after
`instrument()`, what is found of a run that ends with the process may come too late for it: call `becausal.flush()` and
`becausal.uninstrument()` before the end.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation
from opentelemetry.trace import Link, TracerProvider

from becausal import semconv
from becausal.clock import is_replay
from becausal.context import Scope, stand_in
from becausal.finding import SEVERITIES, Finding, anomaly
from becausal.guard import guarded
from becausal.recorder import Recorder
from becausal.run import Run
from becausal.step import OpenStep, Step
from becausal.store.numbering import load
from becausal.store.upkeep import upkeep_of

__all__ = ["Watch"]

log: logging.Logger = logging.getLogger("becausal")

MOST_WAITING: Final = 1_000
"""Runs that wait to be judged."""

MOST_KNOWN: Final = 10_000
"""Runs whose findings are remembered, so that each is told once though a run ends several times (interrupts)."""

FLUSH_S: Final = 5.0

EVERY: Final = 64
"""One call of so many is timed, for what a step costs the app."""

MAX_EVENTS: Final = 32
"""Findings that get an event each; all are counted."""


class Watch:
    """Judges each run of a recorder when it has ended."""

    def __init__(
        self,
        recorder: Recorder,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self._recorder = recorder
        self._tracer = trace.get_tracer(
            "becausal", tracer_provider=tracer_provider, schema_url=semconv.SCHEMA_URL
        )
        self._instruments = _Instruments(
            metrics.get_meter("becausal", meter_provider=meter_provider), recorder
        )
        self._waiting: deque[OpenStep] = deque()
        self._known: OrderedDict[str, set[tuple[str, str, str | None]]] = OrderedDict()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        _time(recorder, self._instruments.cost)

    def ended(self, root: OpenStep) -> None:
        """Have the run judged whose root has ended; never blocks."""
        with self._changed:
            if len(self._waiting) >= MOST_WAITING:
                self._recorder.count_gap("run not judged")
                return
            self._waiting.append(root)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="becausal-watch", daemon=True)
                with Scope(Context()):  # in no step: it outlives every run
                    self._thread.start()

    def wait(self, timeout: float) -> bool:
        """Wait until every run that has ended is judged; False when the time was up."""
        with self._changed:
            return self._changed.wait_for(lambda: self._thread is None, timeout)

    def forget(self) -> None:
        """Begin anew, in a child of a fork: what waits is the parent's."""
        self._waiting, self._thread, self._changed = deque(), None, threading.Condition()

    # Inside

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    self._thread = None
                    self._changed.notify_all()
                    return
                root = self._waiting[0]
            self._judge(root)
            with self._changed:
                self._waiting.popleft()

    @guarded
    def _judge(self, root: OpenStep) -> None:
        self._recorder.flush(FLUSH_S)
        store = self._recorder.store
        if store is None:
            return
        began = time.perf_counter()
        run = Run(root.chain_id, load(store, root.chain_id))
        if is_replay(run.chain_id):
            return
        found = list(self._new(run))
        self._instruments.tell(run, found)
        self._instruments.judging.record(time.perf_counter() - began)
        if any(finding.severity != "note" for finding in found):
            upkeep = upkeep_of(store)
            if upkeep is not None:
                upkeep.mark(run.chain_id, "found")  # so that it is kept longest
            self._tell(root, run, found)

    def _new(self, run: Run) -> Iterator[Finding]:
        """Yield the findings of a run that were not told when it ended before."""
        known = self._known.setdefault(run.chain_id, set())
        self._known.move_to_end(run.chain_id)
        while len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        for finding in run.findings:
            name = (finding.kind, finding.step.id, finding.key)
            if name not in known:
                known.add(name)
                yield finding

    def _tell(self, root: OpenStep, run: Run, found: list[Finding]) -> None:
        """Make the span that follows."""
        parent = None if root.span_context is None else trace.set_span_in_context(stand_in(root.span_context))
        worst = max(found, key=_gravity)
        attributes: dict[str, Any] = {
            **self._recorder.of_findings(root),
            semconv.ANOMALY_COUNT: len(found),
            **anomaly(worst.kind, worst.severity),
        }
        links = [link for step in _steps_of(found) if (link := _link(step)) is not None]
        span = self._tracer.start_span(
            "becausal.findings", parent or Context(), attributes=attributes, links=links
        )
        for finding in sorted(found, key=_gravity, reverse=True)[:MAX_EVENTS]:
            span.add_event("becausal.finding", _told(finding))
        span.end()


def _gravity(finding: Finding) -> tuple[int, float]:
    return SEVERITIES.index(finding.severity), finding.confidence


def _steps_of(found: Iterable[Finding]) -> list[Step]:
    return list({finding.step.id: finding.step for finding in found}.values())[:MAX_EVENTS]


def _link(step: Step) -> Link | None:
    if step.trace_id is None or step.span_id is None:
        return None
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED)
    context = trace.SpanContext(
        int(step.trace_id, 16), int(step.span_id, 16), is_remote=True, trace_flags=flags
    )
    return Link(context, {semconv.NODE_ID: step.id})


def _told(finding: Finding) -> dict[str, str | int | float]:
    said = {
        semconv.FINDING_KIND: finding.kind,
        semconv.FINDING_SEVERITY: finding.severity,
        semconv.FINDING_CONFIDENCE: finding.confidence,
        semconv.NODE_ID: finding.step.id,
        semconv.FINDING_AGENT: finding.agent,
        semconv.FINDING_TOOL: finding.tool,
    }
    return {name: value for name, value in said.items() if value is not None}


class _Instruments:
    """The metrics, by OpenTelemetry's API: without a meter provider they are nothing."""

    def __init__(self, meter: metrics.Meter, recorder: Recorder) -> None:
        count, measure = meter.create_counter, meter.create_histogram
        self.findings = count("becausal.findings", "{finding}", "what is wrong in runs, by kind and severity")
        self.runs = count("becausal.runs", "{run}", "runs judged, by verdict")
        self.handoffs = count("becausal.handoffs", "{handoff}", "handoffs, by sender, receiver and equality")
        self.duration = measure("becausal.run.duration", "s", "from a run's first step to its end")
        self.kept = measure(
            "becausal.drift.kept", "1", "share of a request's facts that its last agent still had"
        )
        self.judging = measure(
            "becausal.watch.duration", "s", "what judging a run took, off the app's threads"
        )
        self.cost = measure(
            "becausal.step.cost", "s", "what beginning or ending a step cost the app's thread"
        )

        def gaps(_: CallbackOptions) -> Iterable[Observation]:
            return [Observation(number, {"reason": reason}) for reason, number in recorder.gaps.items()]

        def waiting(_: CallbackOptions) -> Iterable[Observation]:
            return [Observation(recorder.waiting)]

        meter.create_observable_counter(
            "becausal.gaps", [gaps], "{step}", "what could not be recorded, by reason"
        )
        meter.create_observable_gauge(
            "becausal.queue.steps", [waiting], "{step}", "steps on their way to the store"
        )

    def tell(self, run: Run, found: Iterable[Finding]) -> None:
        """Count a run and what was found in it."""
        kinds = Counter((one.kind, one.severity, one.agent or "", one.tool or "") for one in found)
        names = ("kind", "severity", "agent", "tool")
        for labels, number in kinds.items():
            self.findings.add(number, dict(zip(names, labels, strict=True)))
        self.runs.add(1, {"verdict": run.health.verdict})
        for handoff in run.handoffs:
            equal = handoff.step.attributes.get(semconv.TRANSFER_EQUAL)
            self.handoffs.add(
                1,
                {
                    "sender": handoff.sender or "",
                    "receiver": handoff.receiver or "",
                    "equal": equal if isinstance(equal, bool) else False,
                },
            )
        if run.started_ns is not None and run.ended_ns is not None:
            self.duration.record((run.ended_ns - run.started_ns) / 1e9)
        if (kept := _kept(run)) is not None:
            self.kept.record(kept)


def _kept(run: Run) -> float | None:
    """Return the share of the request's facts that its last agent had; None where there are none, or no hop."""
    drift = run.drift()
    return drift.hops[-1].kept if drift.facts and len(drift.hops) > 1 else None


def _time(recorder: Recorder, cost: metrics.Histogram) -> None:
    """Time one in so many calls of what the app's threads do for a step."""
    for name in ("begin", "end"):
        setattr(recorder, name, _timed(getattr(recorder, name), cost, {"part": name}))


def _timed(work: Callable[..., Any], cost: metrics.Histogram, labels: dict[str, str]) -> Callable[..., Any]:
    calls = 0

    @functools.wraps(work)
    def timed(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1  # a race between threads makes it one in about so many
        if calls % EVERY:
            return work(*args, **kwargs)
        began = time.perf_counter()
        try:
            return work(*args, **kwargs)
        finally:
            cost.record(time.perf_counter() - began, labels)

    return timed
