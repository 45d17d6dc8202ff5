"""Spans say what they are in the words of other tools too, and only as much of it as was asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, get_args

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import becausal
from becausal import semconv
from becausal.dialects import DIALECTS
from becausal.errors import BecausalWarning, SettingsError
from becausal.instrument import active_recorder
from becausal.recorder import Opening
from becausal.settings import Settings
from becausal.step import StepKind

Told = Callable[..., dict[str, Any]]

OPENINFERENCE_KINDS = (
    *("TOOL", "CHAIN", "LLM", "RETRIEVER", "EMBEDDING", "AGENT"),
    *("RERANKER", "UNKNOWN", "GUARDRAIL", "EVALUATOR", "PROMPT"),
)
"""`OpenInferenceSpanKindValues`, openinference-semantic-conventions 0.1.42."""


@pytest.fixture
def told(store: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    """Returns a span's attributes: of a step of this kind, in these dialects."""

    def tell(kind: StepKind, *, content: bool = False, said: Any = None, **settings: Any) -> dict[str, Any]:
        if content:
            monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_ONLY")
        exporter, provider = InMemorySpanExporter(), TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        becausal.instrument("threads", store=store, tracer_provider=provider, **settings)
        recorder = active_recorder()
        assert recorder is not None
        opening = Opening(kind, "x", agent="planner", received={"q": "hats"}, attributes=dict(said or {}))
        step = recorder.begin(opening)
        assert step is not None
        recorder.end(step, "found")
        becausal.uninstrument()
        (span,) = exporter.get_finished_spans()
        assert span.attributes is not None
        return dict(span.attributes)

    yield tell
    becausal.uninstrument()


@pytest.mark.parametrize(
    ("kind", "kind_told"),
    [
        ("agent", "AGENT"),
        ("model", "LLM"),
        ("tool", "TOOL"),
        ("memory_read", "RETRIEVER"),
        ("workflow", "CHAIN"),
        ("handoff", "CHAIN"),
    ],
)
def test_openinference_is_spoken_by_default(kind: StepKind, kind_told: str, told: Told) -> None:
    said = told(kind, said={semconv.CONVERSATION_ID: "thread-1"})
    assert said["openinference.span.kind"] == kind_told
    assert (said["session.id"], said["agent.name"]) == ("thread-1", "planner")
    assert not any(key.startswith(("langfuse.", "langsmith.", "mlflow.")) for key in said)


def test_the_kinds_that_are_told_are_kinds_that_openinference_has() -> None:
    spoken = DIALECTS["openinference"]
    assert {spoken.other, *spoken.kinds.values()} <= set(OPENINFERENCE_KINDS)


def test_no_content_is_told_unless_opentelemetrys_switch_asks_for_it(told: Told) -> None:
    everything = tuple(DIALECTS)
    assert "hats" not in str(told("tool", dialects=everything))


@pytest.mark.parametrize(
    ("dialect", "received", "produced"),
    [
        ("openinference", "input.value", "output.value"),
        ("langfuse", "langfuse.observation.input", "langfuse.observation.output"),
        ("langsmith", "input.value", "output.value"),
        ("mlflow", "mlflow.spanInputs", "mlflow.spanOutputs"),
    ],
)
@pytest.mark.parametrize("kind", ["workflow", "agent", "tool", "memory_read", "handoff"])
def test_with_the_switch_every_kind_tells_what_went_in_and_out(
    kind: StepKind, dialect: str, received: str, produced: str, told: Told
) -> None:
    said = told(kind, content=True, dialects=[dialect])
    assert "hats" in said[received]
    assert said[produced] == "found"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_dialect_has_a_word_for_every_kind_and_for_the_conversation(dialect: str, told: Told) -> None:
    spoken = DIALECTS[dialect]
    for kind in get_args(StepKind):
        said = told(kind, dialects=[dialect], said={semconv.CONVERSATION_ID: "thread-1"})
        assert said[spoken.kind]
        assert said[spoken.session] == "thread-1"


def test_a_conversation_is_a_thread_of_langsmith_s_and_not_a_project(told: Told) -> None:
    said = told("agent", dialects=["langsmith"], said={semconv.CONVERSATION_ID: "thread-1"})
    assert said["langsmith.metadata.thread_id"] == "thread-1"
    assert "langsmith.trace.session_id" not in said


def test_no_attribute_is_the_beginning_of_another(told: Told) -> None:
    said = {
        key
        for kind in get_args(StepKind)
        for key in told(
            kind, content=True, dialects=tuple(DIALECTS), said={semconv.CONVERSATION_ID: "thread-1"}
        )
    }
    # Phoenix nests by dots, and makes a literal key of one that is both a leaf and a prefix.
    assert not [key for key in said if any(other.startswith(f"{key}.") for other in said)]


def test_genai_alone_turns_the_others_off(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BECAUSAL_DIALECTS", "genai")
    said = told("tool")
    assert {key.partition(".")[0] for key in said} == {"gen_ai", "becausal"}


def test_the_environment_names_dialects_and_an_argument_goes_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    environ = {"BECAUSAL_DIALECTS": " Langfuse , openinference,langfuse"}
    assert Settings.read(environ=environ).dialects == ("langfuse", "openinference")
    assert Settings.read(environ=environ, dialects=["mlflow"]).dialects == ("mlflow",)
    assert Settings.read(environ={}).dialects == ("openinference",)


def test_a_dialect_that_does_not_exist_is_an_error_in_an_argument_and_a_warning_in_the_environment() -> None:
    with pytest.raises(SettingsError, match="use some of: genai, openinference, langfuse"):
        Settings.read(dialects=["phoenix"], environ={})
    with pytest.warns(BecausalWarning, match="phoenix left out"):
        read = Settings.read(environ={"BECAUSAL_DIALECTS": "phoenix,mlflow"})
    assert read.dialects == ("mlflow",)
