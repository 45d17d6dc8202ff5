"""The promise: every command answers for people and for programs, and wrong use is told without a traceback."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from tests.core.builders import Record, research_team

import becausal
from becausal import clock
from becausal.cli import GROUPS, _groups_for, _parser, main

COMMANDS = ["runs", "show", "why", "blame", "handoffs", "tools", "findings", "memory", "doctor"]
ON_A_RUN = [command for command in COMMANDS if command not in ("runs", "findings", "memory", "doctor")]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    monkeypatch.setenv("BECAUSAL_STORE", url)
    research_team().write(url)
    return url


def out_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([command, "--help"])

    assert left.value.code == 0
    assert all(option in capsys.readouterr().out for option in ("--store",))


@pytest.mark.parametrize("command", ON_A_RUN)
def test_every_command_answers_in_words_and_in_json(
    command: str, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = out_of(capsys, command, "last")
    data = json.loads(out_of(capsys, command, "last", "--json"))

    assert words.strip()
    assert "\x1b" not in words
    assert data


@pytest.mark.parametrize("begins", ["replay", "memory"])
def test_what_is_no_run_of_the_app_s_is_listed_when_asked_for(
    begins: str, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    becausal.instrument("threads", store=store)
    with becausal.chain("again", id=clock.new_chain_id(begins)):
        pass
    becausal.uninstrument()

    shown = json.loads(out_of(capsys, "runs", "--limit", "1", "--json"))
    everything = json.loads(out_of(capsys, "runs", "--all", "--json"))

    assert [info["chain_id"].startswith(begins) for info in shown] == [False]
    assert sorted(info["chain_id"].startswith(begins) for info in everything) == [False, True]


def test_a_phrase_without_quotes_is_asked_about_as_one(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert out_of(capsys, "blame", "last", "20", "million") == out_of(capsys, "blame", "last", "20 million")


@pytest.mark.parametrize(
    "asked",
    [
        ["blame", "last", "20 million", "--json"],
        ["why", "last", "writer", "--json", "--full"],
        ["diff", "last", "last", "--json"],
    ],
)
def test_an_option_may_stand_between_the_other_arguments(
    asked: list[str], store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command, *typed = asked
    plain = [one for one in typed if not one.startswith("--")]
    options = [one for one in typed if one.startswith("--")]
    told = out_of(capsys, *asked)

    assert out_of(capsys, command, *options, *plain) == told
    assert out_of(capsys, command, *plain[:1], *options, *plain[1:]) == told


def test_a_text_that_begins_like_an_option_is_asked_about_behind_two_dashes(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert json.loads(out_of(capsys, "blame", "last", "--json", "--", "-5%"))["segments"][0]["text"] == "-5%"


def test_what_a_command_lacks_is_told_with_all_that_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["diff", "--json", "last"])

    told = capsys.readouterr().err
    assert "RUN RUN" in told
    assert "required: RUN" in told


def test_runs_lists_what_there_is(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    research_team(Record("d" * 32, started_ns=10**18)).write(store)

    words = out_of(capsys, "runs")

    assert words.index("dddd") < words.index("cccc")
    assert [run["name"] for run in json.loads(out_of(capsys, "runs", "--json", "--limit", "1"))] == ["team"]


def test_a_figure_is_led_back_to_its_tool(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = out_of(capsys, "blame", "last", "20 million")
    data = json.loads(out_of(capsys, "blame", "cccc", "20 million", "--json"))

    assert "tool revenue_database" in words
    assert data["segments"][0]["origin"]["name"] == "revenue_database"
    assert data["segments"][0]["source"] == "tool"


def test_a_step_may_be_asked_about(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    steps = json.loads(out_of(capsys, "show", "last", "--json"))["steps"]
    writer = next(step for step in steps if step["name"] == "writer")

    why = json.loads(out_of(capsys, "why", "last", writer["id"][:6], "--json"))
    blame = json.loads(out_of(capsys, "blame", "last", "20 million", "--of", writer["id"], "--json"))

    assert why["of"] == blame["of"] == writer["id"]


def test_a_store_may_be_named(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("BECAUSAL_STORE")

    assert "team" in out_of(capsys, "runs", "--store", store)
    assert "team" in out_of(capsys, "runs", "--store", str(tmp_path / "runs.db"))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["show", "zz"], "no run's chain id begins with 'zz'"),
        (["why", "last", "zz"], "this run has no step 'zz'"),
        (["runs", "--store", "sqlite:////nowhere/at/all.db"], "does not exist"),
        (["runs", "--store", "mongodb://x"], "there is no store for mongodb"),
    ],
)
def test_wrong_use_is_told_on_stderr_and_exits_with_2(
    arguments: list[str], told: str, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2

    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("becausal: ")
    assert told in captured.err
    assert "Traceback" not in captured.err


def test_a_newer_store_is_refused_by_its_number(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with sqlite3.connect(tmp_path / "runs.db") as connection:
        connection.execute("UPDATE meta SET value = '999' WHERE key = 'format'")
    connection.close()

    assert main(["runs"]) == 2
    assert "format 999" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [[], ["no-such-command"], ["diff", "last"], ["show", "last", "--fail-on", "x"]]
)
def test_arguments_that_make_no_sense_exit_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)

    assert left.value.code == 2


def test_a_run_without_findings_is_fine_at_every_severity(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for severity in ("note", "warning", "error"):
        assert out_of(capsys, "show", "last", "--fail-on", severity)


@pytest.mark.parametrize(("arguments", "colored"), [([], True), (["--no-color"], False)])
def test_colour_is_for_terminals_that_want_it(
    arguments: list[str],
    colored: bool,
    store: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")

    assert ("\x1b[" in out_of(capsys, "show", "last", *arguments)) is colored

    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in out_of(capsys, "show", "last", *arguments)


def test_the_module_runs_as_the_command_and_a_closed_pipe_is_no_error(store: str) -> None:
    command = [sys.executable, "-m", "becausal"]

    version = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    with subprocess.Popen(
        [*command, "show", "last"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as shown:
        assert shown.stdout is not None
        assert shown.stderr is not None
        shown.stdout.close()
        complaint = shown.stderr.read()

    assert version.stdout.strip()
    assert complaint == ""


def test_the_handoffs_that_changed_are_shown_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = Record()
    with record.step("workflow", "team", received="q", produced="done"):
        with record.step("agent", "planner", produced="one\ntwo\nthree") as planner:
            pass
        kept, changed = (
            record.handoff(planner, "reader", "same"),
            record.handoff(planner, "writer", "one\ntwo\nthree"),
        )
        with record.step("agent", "reader", received="same", arrivals=[kept]):
            pass
        with record.step("agent", "writer", received="one\n2", arrivals=[changed]):
            pass
    url = f"sqlite:///{tmp_path}/diff.db"
    record.write(url)

    words = out_of(capsys, "handoffs", "last", "--diff", "--store", url)
    assert "planner ⇒ writer" in words
    assert "planner ⇒ reader" not in words
    assert "three" in words
    assert len(json.loads(out_of(capsys, "handoffs", "last", "--diff", "--json", "--store", url))) == 1
    assert len(json.loads(out_of(capsys, "handoffs", "last", "--json", "--store", url))) == 2


def test_the_tool_calls_that_failed_are_shown_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = Record()
    with record.step("agent", "finder"):
        record.did("tool", "price", {"id": 1}, {"price": 7})
        record.did("tool", "stock", {"id": 1}, "HTTP 502 Bad Gateway")
    url = f"sqlite:///{tmp_path}/tools.db"
    record.write(url)

    words = out_of(capsys, "tools", "last", "--failed", "--store", url)
    assert "stock" in words
    assert "price" not in words
    assert "price" in out_of(capsys, "tools", "last", "--store", url)


@pytest.mark.parametrize("said", ["0", "-1", "none"])
@pytest.mark.parametrize(
    "asked",
    [
        ("runs", "--limit"),
        ("show", "last", "--last"),
        ("contracts", "suggest", "--runs"),
        ("counterfactual", "last", "--app", "shop:app", "--repeats"),
        ("counterfactual", "last", "--app", "shop:app", "--most-replays"),
        ("replay", "last", "--app", "shop:app", "--timeout"),
        ("import", "team.becausal", "--max-bytes"),
    ],
    ids=" ".join,
)
def test_a_number_that_asks_for_nothing_is_refused_with_what_to_write(
    asked: tuple[str, ...], said: str, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main([*asked, said])

    assert left.value.code == 2
    told = capsys.readouterr().err
    assert f"argument {asked[-1]}: " in told
    assert "write " in told


@pytest.mark.parametrize(("group", "commands"), GROUPS.items())
def test_each_command_is_added_by_the_group_that_is_loaded_for_it(
    group: str, commands: tuple[str, ...]
) -> None:
    (added,) = (action for action in _parser([group])._actions if isinstance(action.choices, dict))

    assert tuple(added.choices or ()) == commands


def test_a_command_loads_its_own_group_alone_and_help_all_of_them() -> None:
    assert _groups_for(["runs", "--json"]) == ["looking"]
    assert list(_groups_for(["--help"])) == list(_groups_for(["nonsense"])) == list(GROUPS)
    code = (
        "import sys; from becausal.cli import main; main(['runs', '--store', 'none.db']); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "becausal.cli.looking" in loaded
    assert [name for name in loaded if name in FOR_OTHERS or name.startswith("becausal_integrations")] == []


FOR_OTHERS = (
    "becausal.doctor",
    "becausal.foreign",
    "becausal.serve",
    "becausal.cli.judging",
    "becausal.cli.tending",
)
"""What listing runs needs nothing of."""
