"""The promise: a run is named in the same way in every command, and every command exits by the same rule."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.core.builders import Record, research_team
from tests.core.commands import commands

import becausal
from becausal.cli import main

NEWEST = "c" * 32
ASKS_A_RUN = ("show", "why", "blame", "handoffs", "tools", "logs", "findings", "health", "report", "drift")
TAKES_ONE = (*ASKS_A_RUN, "orphans", "export", "test", "replay", "counterfactual")
JUDGES = ("runs", "show", "findings", "doctor", "health", "contaminated", "export", "import", "replay")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    monkeypatch.setenv("BECAUSAL_STORE", url)
    with_a_memory = research_team(Record(NEWEST, started_ns=10**18))
    with_a_memory.write(url)
    research_team(Record("d" * 32)).write(url)
    return url


@pytest.fixture
def broken(tmp_path: Path) -> str:
    """A store whose run has a finding of the severity error."""
    record, url = Record("e" * 32), f"sqlite:///{tmp_path / 'broken.db'}"
    with record.step("workflow", "team", received="go") as team:
        planner = record.did("agent", "planner", "go", "Pay $500 by 3 May 2026.")
        handoff = record.handoff(planner, "writer", "Pay $500 by 3 May 2026.")
        with record.step("agent", "writer", received="Pay $500", arrivals=[handoff]) as writer:
            writer.produces("We pay $500.")
        team.produces("We pay $500.")
    record.write(url)
    return url


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(arguments)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.mark.parametrize("command", ASKS_A_RUN)
def test_a_run_that_is_not_named_is_the_newest(
    command: str, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    named = said(capsys, command, NEWEST)

    assert said(capsys, command) == named
    assert said(capsys, command, "last") == named
    assert said(capsys, command, "cc") == named
    assert named[1].strip()


def test_every_command_that_takes_a_run_says_so_in_the_same_words() -> None:
    for name, command in commands().items():
        helps = [one.help for one in command._actions if one.dest == "run" and not one.option_strings]
        assert bool(helps) is (name in TAKES_ONE or name == "diff"), name
        for help in helps:
            assert help is not None
            assert help.startswith("a chain id, the beginning of one, `last`, or a cassette's path"), name


def test_a_cassette_is_a_run_wherever_one_is_asked_for(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(becausal.open(store).get(NEWEST).export(tmp_path / "one.becausal"))
    asked = (
        ("show", path),
        ("memory", "--run", path),
        ("contaminated", "revenue_database", "--run", path),
        ("diff", path, path),
    )

    for arguments in asked:
        status, out, err = said(capsys, *arguments, "--store", str(tmp_path / "nowhere.db"))
        assert (status, err) == (1 if arguments[0] == "contaminated" else 0, "")
        assert out.strip()


@pytest.mark.parametrize("name", ["last", NEWEST[:5]])
def test_a_run_where_something_else_is_asked_for_is_told_with_what_to_write(
    name: str, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, instead in (
        (("memory", name), f"becausal memory --run {name}"),
        (("contaminated", name), f"becausal contaminated STEP --run {name}"),
    ):
        status, out, err = said(capsys, *arguments)
        assert (status, out) == (2, "")
        assert f"{name!r} is a run" in err
        assert instead in err


def test_a_key_that_no_log_has_is_not_said_to_be_unknown_to_one_run_alone(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = said(capsys, "memory", "prize")

    assert (status, out) == (2, "")
    asked = f"no memory's log has 'prize'; the newest run, {NEWEST[:16]}, was asked too: "
    assert err.startswith(f"becausal: {asked}no memory of this run has 'prize'; it has: ")
    assert said(capsys, "memory", "prize", "--run", "last")[2].startswith("becausal: no memory of this run")


@pytest.mark.parametrize(("command", "what"), [("blame", '"TEXT"'), ("why", "STEP")])
def test_what_is_asked_about_without_a_run_is_told_to_come_after_it(
    command: str, what: str, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = said(capsys, command, "20 million")

    assert status == 2
    assert f"the run comes first: becausal {command} last {what}" in err
    assert "comes first" not in said(capsys, command, "zz", "writer")[2]


def test_showing_a_run_is_fine_whatever_is_wrong_in_it_unless_a_gate_is_asked_for(
    broken: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ASKS_A_RUN:
        assert main([command, "last", "--store", broken]) == (command in ("findings", "health")), command
    assert main(["show", "last", "--store", broken, "--fail-on", "error"]) == 1


def test_every_command_s_help_says_what_its_exit_status_means() -> None:
    for name, command in commands().items():
        told = " ".join(command.format_help().split())
        rule = re.search(r"Exit status: 0 fine, (1 .+, )?2 wrong use\.$", told)
        assert rule is not None, name
        assert (rule[1] is not None) is (name in JUDGES), name


def test_a_pipe_that_is_closed_changes_no_exit_status(broken: str) -> None:
    command = [sys.executable, "-m", "becausal", "findings", "last", "--store", broken]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as asked:
        assert asked.stdout is not None
        assert asked.stderr is not None
        asked.stdout.close()
        complaint = asked.stderr.read()

    assert (asked.returncode, complaint) == (1, b"")


def test_a_part_of_a_cassette_is_shown_where_one_is_asked_for(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(becausal.open(store).get(NEWEST).export(tmp_path / "one.becausal"))

    status, out, err = said(capsys, "tools", path, "--last", "2", "--json")

    assert (status, json.loads(out)) == (0, [])
    assert "steps are loaded" in err


def test_a_list_that_leaves_runs_out_says_how_many_and_how_to_see_them(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(4):
        research_team(Record(f"{number}" * 32)).write(store)
    replay = Record("5" * 32)
    replay.did("agent", "a", 1, 2)
    replay.made[0].chain_id = f"replay{'5' * 26}"
    replay.write(store)

    assert "and 2 older runs: --limit 6 lists all" in said(capsys, "runs", "--limit", "4")[1]
    assert "and 3 older runs: --limit 7 lists all" in said(capsys, "runs", "--limit", "4", "--all")[1]
    assert "older run" not in said(capsys, "runs", "--limit", "6")[1]
    assert len(json.loads(said(capsys, "runs", "--limit", "4", "--json")[1])) == 4


def test_what_is_asked_of_nothing_says_what_to_type(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, told = said(capsys, "contaminated")

    assert status == 2
    assert "becausal contaminated MEMORY/KEY@3" in told
    assert "becausal contaminated STEP" in told
    assert said(capsys, "contracts") == said(capsys, "contracts", "suggest")
