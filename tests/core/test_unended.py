"""The promise: a run of which nobody knows how it ended is never told as one that ended well, in no view."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.core.builders import Record
from tests.core.test_views import shown

import becausal
from becausal.cassette.store import CassetteStore
from becausal.cli import main
from becausal.run import Run
from becausal.views import findings, text


def half() -> Record:
    """Return what is written of a run whose process dies in its third turn: the turns that ended."""
    record = Record()
    with record.step("workflow", "team", received="the order") as team:
        for name in ("planner", "writer"):
            record.did("agent", name, "the order", f"what the {name} says")
    record.made.remove(team.step)
    return record


def test_a_run_whose_root_is_lost_is_unfinished_though_all_of_its_steps_ended_well() -> None:
    run = Run("c" * 32, half().steps())

    assert [step.status for step in run.steps] == ["ok", "ok"]
    assert (run.status, run.ended_ns) == ("unfinished", None)
    assert run.health.verdict == "incomplete"
    assert "no end here" in run.health.reasons[0]
    assert "no end here" in run.report()
    assert "no end here" in run.report("html")


def test_a_run_that_was_taken_up_again_after_its_process_died_is_as_its_second_root_says() -> None:
    record = half()
    with record.step("workflow", "team", received="the order"):
        pass

    run = Run("c" * 32, record.steps())

    assert run.status == "ok"
    assert run.ended_ns is not None


def test_the_commands_say_so_in_words_and_in_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BECAUSAL_STORE", f"sqlite:///{tmp_path / 'runs.db'}")
    half().write(f"sqlite:///{tmp_path / 'runs.db'}")

    said: dict[str, str] = {}
    for name, arguments in {
        "findings": ["findings"],
        "runs": ["runs"],
        "show": ["show", "last"],
        "runs --json": ["runs", "--json"],
        "show --json": ["show", "last", "--json"],
    }.items():
        assert main(arguments) == 0
        said[name] = capsys.readouterr().out

    assert "This run has no end here" in " ".join(said["findings"].split())
    assert "unfinished" in said["runs"].splitlines()[1]
    assert said["show"].splitlines()[0].endswith("unfinished")
    assert "This run has no end here" in said["show"]
    [listed] = json.loads(said["runs --json"])
    assert (listed["ended_ns"], listed["root_is_lost"]) == (None, True)
    told = json.loads(said["show --json"])
    assert (told["status"], told["ended_ns"]) == ("unfinished", None)


def test_a_cassette_lists_it_as_a_store_does(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    half().write(url)
    path = becausal.open(url).last().export(tmp_path / "half.becausal")

    [listed] = CassetteStore(path).chains()

    assert [listed] == becausal.open(url).list()
    assert listed.root_is_lost


def test_what_is_open_is_said_once_and_may_have_died() -> None:
    record = Record()
    with record.step("workflow", "team", received="the order") as team:
        record.did("agent", "planner", "the order", "a plan")
    team.step.status, team.step.ended_ns = "open", None

    run = Run("c" * 32, record.steps())
    line = next(row for row in shown(text.run(run)).splitlines() if "workflow team" in row)

    assert line.split().count("open") == 1
    assert "Workflow team has not ended" in shown(findings.text(run))
    assert run.health.reasons == ("workflow team has not ended: it is still at work, or its process died.",)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no process is killed so here")
def test_a_process_that_is_killed_leaves_a_run_that_is_told_as_unfinished(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    app = f"""
import os, signal, time
import becausal

becausal.instrument("threads", store={url!r})
with becausal.chain("refund"):
    with becausal.agent("planner", received="the order"):
        pass
    deadline = time.monotonic() + 30
    while not os.path.exists({str(tmp_path / "runs.db")!r}) or not becausal.open({url!r}).list():
        assert time.monotonic() < deadline
    os.kill(os.getpid(), signal.SIGKILL)
"""
    died = subprocess.run([sys.executable, "-c", app], cwd=tmp_path, check=False)

    assert died.returncode == -signal.SIGKILL
    run = becausal.open(url).last()
    assert [step.name for step in run.steps] == ["planner"]
    assert run.status == "unfinished"


def test_what_came_in_from_another_process_and_ended_here_is_said_to_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    headers: dict[str, str] = {}
    becausal.instrument("threads", store=f"sqlite:///{tmp_path / 'caller.db'}")
    with becausal.chain("what does it cost?"):
        becausal.inject(headers)
    becausal.uninstrument()
    monkeypatch.setenv("BECAUSAL_STORE", f"sqlite:///{tmp_path / 'service.db'}")
    becausal.instrument("threads")
    with becausal.extract(headers), becausal.agent("pricing", received="lamp") as turn:
        with becausal.agent("looker", received="lamp"):
            pass
        turn.returned("12 EUR")
    becausal.uninstrument()

    said = {}
    for command in ("runs", "show", "findings", "health"):
        main([command])
        said[command] = " ".join(capsys.readouterr().out.split())

    assert "ended here" in said["runs"]
    assert "0 handoffs, ended here" in said["show"]
    assert all("came in from another process" in said[command] for command in ("show", "findings", "health"))
    assert not any("unfinished" in text for text in said.values())
    run = becausal.open().last()
    assert (run.status, run.ended_ns, run.health.ok) == (
        "unfinished",
        None,
        False,
    )  # of the whole nothing is known
    entered = next(step for step in run.steps if step.name == "pricing")
    assert not Run(
        "c" * 32, [step for step in run.steps if step is not entered]
    ).graph.came_in  # died in that turn
