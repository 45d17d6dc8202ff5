"""However an app has set up OpenTelemetry: one connected trace of every step, or none, and always the run."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from tests.integrations.providing import WAYS

CHECKOUT = Path(__file__).resolve().parents[2]

WITH_SPANS = ("before", "after", "argument", "foreign", "two", "parent-based", "automatic")
WITHOUT = tuple(way for way in WAYS if way not in WITH_SPANS)


@functools.cache
def told(way: str, **more: str) -> Any:
    """Return what a process prints that sets OpenTelemetry up in this way."""
    with tempfile.TemporaryDirectory() as folder:
        store = f"sqlite:///{folder}/runs.db"
        command = [sys.executable, "-m", "tests.integrations.providing", way, store]
        environment = {**os.environ, "OTEL_TRACES_EXPORTER": "none", "BECAUSAL_STORE": store, **more}
        if way == "automatic":
            beside = Path(sys.executable).parent
            tool = shutil.which("opentelemetry-instrument", path=f"{beside}:{os.environ['PATH']}")
            assert tool is not None
            command = [tool, *command]
        if way == "disabled":
            environment["OTEL_SDK_DISABLED"] = "true"
        ended = subprocess.run(
            command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False, timeout=120
        )
        assert ended.returncode == 0, ended.stderr
        assert "Traceback" not in ended.stderr
        return json.loads(ended.stdout)


@pytest.mark.parametrize("way", WAYS)
def test_the_app_gets_its_result_and_the_store_its_run(way: str) -> None:
    said = told(way)
    assert said["result"] == {"text": "hats: found, written"}
    names = {(kind, name) for _, kind, name, _ in said["steps"]}
    assert {("agent", "search"), ("agent", "write"), ("agent", "checker")} <= names
    assert "handoff" in {kind for _, kind, _, _ in said["steps"]}


@pytest.mark.parametrize("way", WITH_SPANS)
def test_every_step_is_a_span_of_one_connected_trace(way: str) -> None:
    said = told(way)
    spans = {span["id"]: span for span in said["spans"]}
    ours = [span for span in said["spans"] if span["step"] is not None]
    assert {span["step"] for span in ours} == {step[0] for step in said["steps"]}
    assert {span["chain"] for span in ours} == {said["chain"]}
    assert len({span["trace"] for span in ours}) == 1
    roots = [span for span in spans.values() if span["parent"] not in spans]
    # With a provider of its own becausal stands below a span that goes elsewhere.
    assert [span["name"] for span in roots] == (
        ["invoke_workflow LangGraph"] if way in ("argument", "two") else ["the app's own"]
    )
    assert {step[3] for step in said["steps"]} == {f"{ours[0]['trace']:032x}"}


@pytest.mark.parametrize("way", WITHOUT)
def test_where_nobody_wants_spans_none_are_made(way: str) -> None:
    assert told(way)["spans"] == []


def test_a_second_provider_gets_the_apps_spans_and_none_of_ours() -> None:
    assert told("two")["elsewhere"] == 1


def test_a_framework_is_left_out_of_auto_instrumentation_by_its_name() -> None:
    said = told("automatic", OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="becausal-langgraph,becausal-langchain")
    assert {(kind, name) for _, kind, name, _ in said["steps"]} == {("agent", "checker")}


def test_an_instrumentor_leaves_alone_what_its_adapter_was_not_checked_with(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from becausal.instrument import active_recorder
    from becausal_integrations.instrumentors import LangGraphInstrumentor
    from becausal_integrations.langgraph import LangGraphAdapter

    monkeypatch.setattr(LangGraphAdapter, "supports", ">=9")
    instrumentor = LangGraphInstrumentor()
    instrumentor.instrument(skip_dep_check=True)
    try:
        assert active_recorder() is None
    finally:
        instrumentor.uninstrument()


def test_the_last_instrumentor_that_goes_takes_every_hook_out(
    monkeypatch: pytest.MonkeyPatch, store: str
) -> None:
    from becausal.instrument import active_recorder, is_hooked
    from becausal_integrations.instrumentors import AutoGenInstrumentor, LangGraphInstrumentor

    monkeypatch.setenv("BECAUSAL_STORE", store)
    LangGraphInstrumentor().instrument()
    AutoGenInstrumentor().instrument()
    LangGraphInstrumentor().uninstrument()
    assert is_hooked("autogen")
    AutoGenInstrumentor().uninstrument()
    assert active_recorder() is None


def test_a_store_that_cannot_be_used_ends_no_auto_instrumentation(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from becausal_integrations.instrumentors import LangGraphInstrumentor

    (tmp_path / "broken.db").write_bytes(b"no database at all, and long enough to be read as one" * 100)
    monkeypatch.setenv("BECAUSAL_STORE", f"sqlite:///{tmp_path / 'broken.db'}")
    LangGraphInstrumentor().instrument()  # -W error: a warning would be raised here
    assert "becausal does not record langgraph: " in caplog.text
    LangGraphInstrumentor().uninstrument()
