"""The promise: the doctor names what stands between an app and a whole record, and leaves nothing behind."""

from __future__ import annotations

import io
import json
import sys
import types
from pathlib import Path
from typing import ClassVar

import pytest
from rich.console import Console
from tests.core.builders import research_team

import becausal
from becausal import doctor
from becausal.adapter import AdapterReport, Hook
from becausal.doctor import Diagnosis, diagnose, foreign_instrumentors
from becausal.instrument import active_recorder
from becausal.store import open_store
from becausal.views import checkup


def shown(found: Diagnosis) -> str:
    out = io.StringIO()
    Console(file=out, width=200).print(checkup.text(found))
    return out.getvalue()


def found_with(*adapters: AdapterReport) -> Diagnosis:
    return Diagnosis(adapters, (), None, "sqlite:///x.db", None, "x.db does not exist", {})


def test_it_counts_what_is_in_the_store_and_what_was_lost(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    research_team().write(url)
    store = open_store(url)
    store.add_gaps({"queue full": 7})
    store.close()

    found = diagnose(url)

    assert found.store is not None
    assert found.store.chains == 1
    assert "not recorded: 7 (queue full)" in shown(found)
    assert json.loads(json.dumps(checkup.json(found)))["gaps"] == {"queue full": 7}


def test_a_missing_store_is_told_and_not_made(tmp_path: Path) -> None:
    path = tmp_path / "none.db"

    found = diagnose(path)

    assert found.store is None
    assert "does not exist" in shown(found)
    assert not path.exists()


def test_it_leaves_no_hook_behind(tmp_path: Path) -> None:
    diagnose(tmp_path / "none.db")

    assert active_recorder() is None


def test_hooks_of_a_running_app_are_reported_and_left_in(tmp_path: Path) -> None:
    becausal.instrument("threads", store=tmp_path / "runs.db")
    try:
        recorder = active_recorder()

        diagnose(tmp_path / "runs.db")

        assert active_recorder() is recorder
    finally:
        becausal.uninstrument()


def test_an_installed_framework_has_its_version_its_range_and_its_hooks(tmp_path: Path) -> None:
    pytest.importorskip("langgraph")

    adapters = {report.name: report for report in diagnose(tmp_path / "none.db").adapters}

    assert adapters["langgraph"].version
    assert adapters["langgraph"].is_supported
    assert any(hook.state == "hooked" for hook in adapters["langgraph"].hooks)
    assert not [hook.place for hook in adapters["langgraph"].hooks if hook.state == "gone"]


def test_a_version_outside_the_range_and_a_gone_place_are_named() -> None:
    report = AdapterReport("langgraph", "langgraph", "9.0", "<2", False, (Hook("langgraph.x:Y.z", "gone"),))

    out = shown(found_with(report))

    assert "outside <2" in out
    assert "gone: langgraph.x:Y.z" in out


def test_a_framework_that_is_not_installed_is_no_trouble() -> None:
    assert "not installed" in shown(found_with(AdapterReport("autogen", "autogen-core", None, "<1", False)))


def test_without_the_sdk_it_says_that_runs_are_recorded_all_the_same() -> None:
    assert "recorded all the same" in shown(found_with())


def test_other_instrumentors_are_named_with_the_way_to_leave_one_out() -> None:
    langchain = "openinference-instrumentation-langchain"

    found = foreign_instrumentors({langchain: "0.1", "mlflow": "3.0"}, {langchain: "langchain"})

    assert [other.name for other in found] == ["mlflow", langchain]
    assert "mlflow.langchain.autolog()" in found[0].advice
    assert "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=langchain" in found[1].advice


def test_it_says_what_recording_by_callbacks_misses() -> None:
    by_callback = Diagnosis((), (), None, "sqlite:///x.db", None, "x.db does not exist", {}, by_callback=True)

    assert "becausal.callback() is in use" in shown(by_callback)
    assert "what truly triggered a node" in shown(by_callback)
    assert len(checkup.json(by_callback)["missed_by_callback"]) > 5
    assert "becausal.callback() is not in use" in shown(found_with())
    assert checkup.json(found_with())["missed_by_callback"] == []


def test_two_that_go_by_the_same_name_are_both_told_how_to_be_left_out() -> None:
    names = "openinference-instrumentation-langchain", "opentelemetry-instrumentation-langchain"

    found = foreign_instrumentors(dict.fromkeys(names, "1"), dict.fromkeys(names, "langchain"), names[:1])

    assert all("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=langchain" in other.advice for other in found)
    assert [other.is_at_work for other in found] == [True, False]


def test_one_that_is_at_work_in_this_process_is_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Instrumentor:
        """As OpenTelemetry's base class makes them: one object, which knows whether it instruments."""

        _instance: ClassVar[object] = types.SimpleNamespace(is_instrumented_by_opentelemetry=True)

    name = "openinference-instrumentation-langchain"
    folder = tmp_path / "openinference_instrumentation_langchain-0.1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n")
    (folder / "entry_points.txt").write_text(
        "[opentelemetry_instrumentor]\nlangchain = stand_in:Instrumentor\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    idle = diagnose(tmp_path / "none.db")
    monkeypatch.setitem(sys.modules, "stand_in", types.SimpleNamespace(Instrumentor=Instrumentor))

    found = diagnose(tmp_path / "none.db")

    assert [other.is_at_work for other in idle.foreign if other.name == name] == [False]
    assert [other.is_at_work for other in found.foreign if other.name == name] == [True]
    assert f"{name} 0.1 is at work in this process beside becausal" in shown(found)
    assert f"{name} 0.1: each call becomes two spans" in shown(idle)
    assert '"is_at_work": true' in json.dumps(checkup.json(found))


def test_it_says_what_is_installed_beside_and_how_spans_would_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BECAUSAL_DIALECTS", "langfuse")
    monkeypatch.setenv("BECAUSAL_WATCH", "1")
    monkeypatch.setenv("OTEL_PROPAGATORS", "tracecontext,becausal")
    monkeypatch.setitem(doctor.EXTRAS, "serve", ("uvicorn", "no_such_module.at_all"))

    found = diagnose(tmp_path / "none.db")

    told = checkup.json(found)
    assert (told["dialects"], told["watch"], told["propagates"]) == (["langfuse"], True, True)
    assert (told["extras"]["otel"], told["extras"]["serve"]) == (True, False)
    assert "spans speak genai, langfuse; each run is judged as it ends" in shown(found)
    assert "serve: pip install 'becausal[serve]'" in shown(found)


def test_what_is_to_be_done_about_the_store_is_told_whole_on_a_narrow_terminal(tmp_path: Path) -> None:
    found = diagnose(tmp_path / "none.db")
    out = io.StringIO()
    Console(file=out, width=60).print(checkup.text(found))
    assert found.store_trouble is not None
    assert " ".join(found.store_trouble.split())[-30:] in " ".join(out.getvalue().split())
