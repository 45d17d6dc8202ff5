"""Runs are judged as they end, and what is found is told as a span, as events and as metrics."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import becausal
from becausal import contracts, semconv, validators
from becausal.instrument import active_recorder
from becausal.recorder import Opening, Recorder
from becausal.step import Attribute
from becausal.watching import Watch


class Told:
    """What a process with a tracer provider and a meter provider tells."""

    def __init__(self, store: str, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
        self.exporter, self.reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        meters = MeterProvider([self.reader])

        def get_meter(name: str, *_: Any, **__: Any) -> metrics.Meter:
            return meters.get_meter(name)

        monkeypatch.setattr(metrics, "get_meter", get_meter)
        becausal.instrument("threads", store=store, tracer_provider=self.provider, **settings)

    def end(self) -> None:
        becausal.uninstrument()

    def span(self, name: str) -> ReadableSpan:
        (span,) = [span for span in self.exporter.get_finished_spans() if span.name == name]
        return span

    def metric(self, name: str) -> dict[tuple[tuple[str, Any], ...], Any]:
        data = self.reader.get_metrics_data()
        assert data is not None
        return {
            tuple(sorted((point.attributes or {}).items())): getattr(point, "value", None) or point
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        }


@pytest.fixture
def told(store: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    made = Told(store, monkeypatch, watch=True)
    yield made
    made.end()


CUT_OFF = '{"hits": [{"name": "red hat", "stock": 4}, {"na'


def cut_off() -> Any:
    """Run an agent whose tool's JSON breaks off, and which passes it on."""
    with becausal.chain("what is in stock?") as chain:
        with becausal.agent("planner", received="what is in stock?") as step:
            found = becausal.tool(name="search")(lambda query: CUT_OFF)("hats")
            step.returned(found)
        chain.returned(found)
    return chain


def test_what_is_found_is_a_span_that_follows_in_the_same_trace(told: Told) -> None:
    chain = cut_off()
    run = becausal.last_run()
    told.end()
    span, root = told.span("becausal.findings"), told.span("request")
    said = span.attributes or {}
    tool = next(step for step in run.steps if step.kind == "tool")

    assert (said["becausal.anomaly.detected"], said["becausal.anomaly.kind"]) == (True, "tool.cut_off")
    assert said["becausal.anomaly.severity"] in (1, 2)
    assert said["becausal.chain.id"] == chain.chain_id
    assert span.parent is not None
    assert root.context is not None
    assert span.parent.span_id == root.context.span_id
    assert f"{span.parent.trace_id:032x}" == tool.trace_id
    assert f"{span.links[0].context.span_id:016x}" == tool.span_id
    (event,) = [e for e in span.events if (e.attributes or {})["becausal.finding.kind"] == "tool.cut_off"]
    assert (event.attributes or {})["becausal.node.id"] == tool.id
    assert (event.attributes or {})["becausal.finding.tool"] == "search"


def test_the_span_that_follows_is_an_evaluation_in_the_conversation_of_its_run(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told(store, monkeypatch, watch=True, dialects=["openinference", "langfuse", "langsmith", "mlflow"])
    recorder = active_recorder()
    assert recorder is not None
    conversation: dict[str, Attribute] = {semconv.CONVERSATION_ID: "thread-1"}
    root = recorder.begin(Opening("workflow", "w", attributes=conversation))
    assert root is not None
    tool = recorder.begin(Opening("tool", "search", parent=root))
    assert tool is not None
    recorder.end(tool, error=ValueError("no"))
    recorder.end(root, error=ValueError("no"))
    told.end()
    said = dict(told.span("becausal.findings").attributes or {})
    assert (said["openinference.span.kind"], said["mlflow.spanType"]) == ("EVALUATOR", "EVALUATOR")
    assert (said["langfuse.observation.type"], said["langsmith.span.kind"]) == ("evaluator", "chain")
    assert said["langfuse.observation.metadata.becausal_chain_id"] == root.chain_id
    assert (said["session.id"], said["gen_ai.conversation.id"]) == ("thread-1", "thread-1")


def test_no_word_of_the_content_is_told(told: Told) -> None:
    cut_off()
    told.end()
    assert "red hat" not in told.span("becausal.findings").to_json()


def test_a_run_without_findings_makes_no_span_and_is_counted(told: Told) -> None:
    with becausal.chain("q"), becausal.agent("planner") as step:
        step.returned("four")
    told.end()
    assert [span.name for span in told.exporter.get_finished_spans()] == ["invoke_agent planner", "request"]
    assert told.metric("becausal.findings") == {}
    assert sum(told.metric("becausal.runs").values()) == 1


def test_findings_runs_handoffs_and_costs_are_metrics(told: Told) -> None:
    cut_off()
    with becausal.chain("q"):
        with becausal.agent("planner"):
            envelope = becausal.handoff("planner", "writer", {"n": 1})
        with becausal.receive("writer", envelope):
            pass
    for _ in range(100):
        with becausal.agent("busy"):
            pass
    told.end()
    found = {dict(labels)["kind"]: dict(labels) for labels in told.metric("becausal.findings")}
    assert found["tool.cut_off"]["tool"] == "search"
    assert told.metric("becausal.handoffs") == {
        (("equal", True), ("receiver", "writer"), ("sender", "planner")): 1
    }
    assert {dict(labels)["part"] for labels in told.metric("becausal.step.cost")} == {"begin", "end"}
    assert told.metric("becausal.run.duration")
    assert told.metric("becausal.watch.duration")


def test_gaps_are_a_metric(told: Told) -> None:
    recorder = active_recorder()
    assert recorder is not None
    recorder.count_gap("of a test")
    assert told.metric("becausal.gaps")[(("reason", "of a test"),)] == 1


def test_what_an_earlier_end_of_the_run_told_is_not_told_again(told: Told) -> None:
    for _ in range(2):
        with becausal.chain("q", id="one"), becausal.agent("planner"):
            with pytest.raises(ValueError, match="no"):
                becausal.tool(name="search")(_raises)("hats")
            active = active_recorder()
            assert active is not None
        assert becausal.flush()
    told.end()
    spans = [span for span in told.exporter.get_finished_spans() if span.name == "becausal.findings"]
    steps = [(e.attributes or {})["becausal.node.id"] for span in spans for e in span.events]
    assert len(steps) == len(set(steps))


def _raises(query: str) -> str:
    raise ValueError("no")


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Begin without validators and contracts, and end as before."""
    known, declared = dict(validators.registered), list(contracts.declared)
    validators.registered.clear()
    contracts.declared.clear()
    yield
    validators.registered.clear()
    validators.registered.update(known)
    contracts.declared[:] = declared


@pytest.mark.usefixtures("unchecked")
def test_the_root_tells_what_a_check_found_while_it_could_still_be_told(told: Told) -> None:
    becausal.validator("search")(lambda answer: "no hits")
    with becausal.chain("q"), becausal.agent("planner"):
        becausal.tool(name="search")(lambda query: [1])("hats")
        assert becausal.flush()
    told.end()
    said = told.span("request").attributes or {}
    assert (said["becausal.anomaly.detected"], said["becausal.anomaly.kind"]) == (True, "tool.invalid")
    assert list(said)[-1] == "becausal.hop"  # what a reader cannot do without is set last


@pytest.mark.usefixtures("unchecked")
def test_a_broken_contract_is_told_by_the_root_too(told: Told) -> None:
    becausal.contract("planner", "writer", must_carry=["order_id"])
    with becausal.chain("q"):
        with becausal.agent("planner"):
            envelope = becausal.handoff("planner", "writer", {"n": 1})
        with becausal.receive("writer", envelope):
            pass
        assert becausal.flush()
    told.end()
    assert (told.span("request").attributes or {})["becausal.anomaly.kind"] == "contract.broken"


def test_unless_it_is_asked_for_nobody_watches(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told(store, monkeypatch)
    recorder = active_recorder()
    assert recorder is not None
    assert recorder.on_root_end is None
    assert recorder.begin.__func__ is Recorder.begin  # type: ignore[attr-defined]
    cut_off()
    told.end()
    assert "becausal.findings" not in [span.name for span in told.exporter.get_finished_spans()]


def test_the_environment_asks_for_it(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BECAUSAL_WATCH", "1")
    told = Told(store, monkeypatch)
    cut_off()
    told.end()
    assert told.span("becausal.findings")


def test_where_runs_end_faster_than_they_are_judged_the_rest_is_counted(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("becausal.watching.MOST_WAITING", 0)
    cut_off()
    recorder = active_recorder()
    assert recorder is not None
    assert recorder.gaps["run not judged"] == 1


def test_a_failure_of_ours_costs_the_app_nothing_and_the_next_run_is_judged(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BECAUSAL_STRICT", "0")
    real, calls = Watch._new, []

    def fails_once(watch: Watch, run: Any) -> Any:
        calls.append(run)
        if len(calls) == 1:
            raise RuntimeError("ours")
        return real(watch, run)

    monkeypatch.setattr(Watch, "_new", fails_once)
    cut_off()
    cut_off()
    told.end()
    assert told.span("becausal.findings")


def test_a_script_that_ends_at_once_has_told_its_findings(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import becausal
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
        provider = TracerProvider()
        console = ConsoleSpanExporter(formatter=lambda span: span.to_json(None) + "\\n")
        provider.add_span_processor(SimpleSpanProcessor(console))
        trace.set_tracer_provider(provider)
        becausal.instrument("threads", watch=True)
        with becausal.chain("q") as chain, becausal.agent("planner") as step:
            step.returned(becausal.tool(name="search")(lambda q: '{"hits": [{"name": "red hat"}, {"na')("hats"))
        """
    )
    ended = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "BECAUSAL_STRICT": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "becausal.findings" in [json.loads(line)["name"] for line in ended.stdout.splitlines()], (
        ended.stderr
    )
