"""The promise: the doctor names what stands between an app and a whole record, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tempfile
import time
import types
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from rich.console import Console
from tests.core.builders import Record, research_team

import becausal
from becausal import guard
from becausal.adapter import AdapterReport, Hook
from becausal.cli import main
from becausal.doctor import (
    CHECKS,
    Check,
    Diagnosis,
    Line,
    Patient,
    advice,
    cost,
    diagnose,
    foreign_instrumentors,
    trouble,
    well,
)
from becausal.doctor.check import examined
from becausal.doctor.cost import look_at_cost
from becausal.doctor.keeping import DAY_NS, growth, look_at_disk, look_at_growth
from becausal.doctor.packages import EXTRAS
from becausal.doctor.timing import look_at_clock
from becausal.instrument import active_recorder
from becausal.recorder import Recorder
from becausal.store import open_store
from becausal.views import checkup


def shown(found: Diagnosis) -> str:
    out = io.StringIO()
    Console(file=out, width=200).print(checkup.text(found))
    return " ".join(out.getvalue().split())  # however its lines break


def found_with(*adapters: AdapterReport, **facts: Any) -> Diagnosis:
    patient = Patient("sqlite:///x.db", store_trouble="x.db does not exist", adapters=adapters, **facts)
    return Diagnosis(patient, examined(patient, CHECKS))


def test_it_counts_what_is_in_the_store_and_what_was_lost(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    research_team().write(url)
    store = open_store(url)
    store.add_gaps({"queue full": 7})
    store.close()

    found = diagnose(url)

    assert found.patient.info is not None
    assert found.patient.info.chains == 1
    assert "not recorded: 7 (queue full)" in shown(found)
    assert json.loads(json.dumps(checkup.json(found)))["gaps"] == {"queue full": 7}


def test_a_missing_store_is_told_and_not_made(tmp_path: Path) -> None:
    path = tmp_path / "none.db"

    found = diagnose(path)

    assert found.patient.info is None
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

    adapters = {report.name: report for report in diagnose(tmp_path / "none.db").patient.adapters}

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
    by_callback = found_with(by_callback=True)

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

    assert [other.is_at_work for other in idle.patient.foreign if other.name == name] == [False]
    assert [other.is_at_work for other in found.patient.foreign if other.name == name] == [True]
    assert f"{name} 0.1 is at work in this process beside becausal" in shown(found)
    assert f"{name} 0.1: each call becomes two spans" in shown(idle)
    assert '"is_at_work": true' in json.dumps(checkup.json(found))


def test_it_says_what_is_installed_beside_and_how_spans_would_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BECAUSAL_DIALECTS", "langfuse")
    monkeypatch.setenv("BECAUSAL_WATCH", "1")
    monkeypatch.setenv("OTEL_PROPAGATORS", "tracecontext,becausal")
    monkeypatch.setitem(EXTRAS, "serve", ("uvicorn", "no_such_module.at_all"))

    found = diagnose(tmp_path / "none.db")

    told = checkup.json(found)
    assert (told["dialects"], told["watch"], told["propagates"]) == (["langfuse"], True, True)
    assert (told["extras"]["otel"], told["extras"]["serve"]) == (True, False)
    assert "spans speak genai, langfuse" in shown(found)
    assert "each run is judged as it ends" in shown(found)
    assert "serve: not installed (pip install 'becausal[serve]')" in shown(found)


def test_what_is_to_be_done_about_the_store_is_told_whole_on_a_narrow_terminal(tmp_path: Path) -> None:
    found = diagnose(tmp_path / "none.db")
    out = io.StringIO()
    Console(file=out, width=60).print(checkup.text(found))
    assert found.patient.store_trouble is not None
    assert " ".join(found.patient.store_trouble.split())[-30:] in " ".join(out.getvalue().split())


def ill(patient: Patient) -> Iterator[Line]:
    yield well("all is fine here", count=3)
    yield advice("this could be better", "better it")
    yield trouble("this \x1b[2J is lost", "find it " * 12)


def breaking(patient: Patient) -> Iterator[Line]:
    yield well("said before it broke")
    raise RuntimeError("broken")


def test_a_check_is_a_function_and_a_row_and_its_lines_are_shown_whole_at_any_width(tmp_path: Path) -> None:
    found = diagnose(
        tmp_path / "none.db", checks=(Check("one", ill), Check("two", breaking), Check("one", ill))
    )

    assert found.grade == "trouble"
    assert [(section.title, len(section.lines)) for section in found.sections] == [("one", 6), ("two", 2)]
    assert "could not look: RuntimeError: broken" in found.sections[1].lines[1].says
    for width in (40, 60, 80, 160):
        out = io.StringIO()
        Console(file=out, width=width).print(checkup.text(found))
        assert "find it " * 11 + "find it" in " ".join(out.getvalue().split())
        assert all(len(line) <= width for line in out.getvalue().splitlines())
        assert "\x1b" not in out.getvalue()


def test_every_line_that_is_not_well_says_what_to_do(tmp_path: Path) -> None:
    report = AdapterReport("langgraph", "langgraph", "9.0", "<2", False, (Hook("langgraph.x:Y.z", "gone"),))
    foreign = foreign_instrumentors({"mlflow": "3.0"}, {}, ("mlflow",))
    found = found_with(report, foreign=foreign, by_callback=True, gaps={"queue full": 1, "never heard of": 2})

    lines = [line for section in found.sections for line in section.lines]
    assert {line.grade for line in lines} == {"well", "advice", "trouble"}
    assert all(bool(line.do) == (line.grade != "well") for line in lines)


def test_its_exit_status_is_that_of_trouble(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "failures", Counter())  # those that other tests have made
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    research_team().write(url)
    assert main(["doctor", "--store", url]) == 0
    store = open_store(url)
    store.add_gaps({"queue full": 7})
    store.close()
    capsys.readouterr()

    assert main(["doctor", "--store", url, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["grade"] == "trouble"
    lost = [line for section in told["sections"] if section["title"] == "losses" for line in section["lines"]]
    assert lost[0]["figures"] == {"reason": "queue full", "count": 7}
    assert "faster disk" in lost[0]["do"]


def test_it_measures_what_a_step_costs_here_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(cost, "STEPS", {1 << 10: 20, 32 << 10: 4})
    monkeypatch.setattr(cost, "SLOW_US", 10**9)
    with becausal_at_work(tmp_path / "runs.db") as recorder, becausal.chain("a request") as chain:
        found = Diagnosis(
            patient := Patient("sqlite:///x.db"), examined(patient, (Check("cost", look_at_cost),))
        )
        assert recorder.waiting == 0

    lines = found.sections[0].lines
    assert [line.figures.get("bytes_in") for line in lines] == [1 << 10, 32 << 10, None]
    assert all(float(line.figures["app_us"] or 0) > 0 for line in lines[:2])
    assert float(lines[1].figures["disk_bytes"] or 0) > 1024
    assert "µs a KB of new content" in shown(found)
    assert [path.name for path in tmp_path.iterdir() if "doctor" in path.name] == []
    with becausal.open(tmp_path / "runs.db") as runs:
        assert [step.name for step in runs.get(chain.chain_id or "").steps] == ["a request"]


def test_where_steps_take_long_few_of_them_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "STEPS", {1 << 10: 10**9})
    monkeypatch.setattr(cost, "LONGEST_S", 0.01)

    (only,) = cost.measured(Patient("sqlite:///x.db"))

    assert only.app_us > 0


@contextlib.contextmanager
def becausal_at_work(store: Path) -> Iterator[Recorder]:
    becausal.instrument("threads", store=store)
    try:
        recorder = active_recorder()
        assert recorder is not None
        yield recorder
    finally:
        becausal.uninstrument()


def test_a_clock_that_went_backward_is_told(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    record = research_team()
    record.write(url)
    checks = (Check("clock", look_at_clock),)
    assert "the clock went forward in the newest 13 steps" in shown(diagnose(url, checks=checks))
    late = Record("d" * 32, started_ns=10**12)
    with late.step("workflow", "team", received="x") as team:
        late.now -= 10**10
        late.did("tool", "search", "x", "y")
        late.now += 10**10
        team.produces("z")
    late.write(url)

    found = diagnose(url, checks=checks)

    assert found.grade == "trouble"
    assert "the clock went backward: 1 of the newest 15 steps" in shown(found)
    assert "slewed" in shown(found)


def test_a_store_of_less_than_a_day_is_too_young_to_say_how_it_grows_or_how_long_the_disk_lasts(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    research_team(Record("a" * 32, started_ns=time.time_ns() - 17 * 60 * 10**9)).write(url)
    store = open_store(url, read_only=True)
    patient = Patient(url, store=store, info=store.describe())

    found = shown(
        Diagnosis(patient, examined(patient, (Check("store", look_at_growth), Check("disk", look_at_disk))))
    )
    store.close()

    assert "too young to say how it grows" in found
    assert "free on its disk" in found
    assert "lasts" not in found


def test_growth_is_reckoned_from_the_last_week_s_runs_and_how_long_the_disk_lasts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    now = time.time_ns()
    research_team(Record("a" * 32, started_ns=now - 4 * DAY_NS)).write(url)
    research_team(Record("b" * 32, started_ns=now - 3600 * 10**9)).write(url)
    research_team(Record("e" * 32, started_ns=now - 400 * DAY_NS)).write(url)
    store = open_store(url, read_only=True)
    patient = Patient(url, store=store, info=store.describe())

    steps, size = growth(patient) or (0.0, 0.0)
    assert steps == pytest.approx(2 * 13 / 4, rel=0.01)
    assert size == pytest.approx(steps * store.describe().bytes_on_disk / 39, rel=0.01)
    disk = Diagnosis(patient, examined(patient, (Check("store", look_at_disk),)))
    assert "which lasts" in shown(disk)
    monkeypatch.setattr("shutil.disk_usage", lambda path: types.SimpleNamespace(free=10**6))
    full = Diagnosis(patient, examined(patient, (Check("store", look_at_disk),)))
    assert full.grade == "trouble"
    assert "make room" in shown(full)
    store.close()


def test_all_of_it_can_be_read_on_a_narrow_terminal_and_a_wide_one() -> None:
    report = AdapterReport("langgraph", "langgraph", "9.0", "<2", False, (Hook("langgraph.x:Y.z", "gone"),))
    found = found_with(report, gaps={"queue full": 1}, by_callback=True, versions={"python": "3.11.7"})
    for width in (60, 80, 160):
        out = io.StringIO()
        Console(file=out, width=width).print(checkup.text(found))
        told = out.getvalue()
        assert all(len(line) <= width for line in told.splitlines())
        for section in found.sections:
            for line in section.lines:
                assert line.says in " ".join(told.split())
                assert line.do in " ".join(told.split())
