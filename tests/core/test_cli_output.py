"""The promise: what a command says reaches whoever asked, whatever it is written to; where it cannot, that is said."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.core.builders import Record, research_team
from tests.core.commands import ELSEWHERE, LOOKING, commands

import becausal.cli
import becausal.cli.looking
from becausal.cli import main
from becausal.cli.printing import SIGNS


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    monkeypatch.setenv("BECAUSAL_STORE", url)
    research_team().write(url)
    return url


def asked(store: str, *arguments: str, encoding: str = "utf-8") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "becausal", *arguments, "--store", store],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
    )


class Terminal(io.TextIOWrapper):
    """Output of an encoding, which keeps what was written to it."""

    def __init__(self, encoding: str) -> None:
        self.kept = io.BytesIO()
        super().__init__(self.kept, encoding=encoding)

    def fileno(self) -> int:
        raise io.UnsupportedOperation("fileno")

    def read_back(self) -> str:
        self.flush()
        return self.kept.getvalue().decode(self.encoding)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
@pytest.mark.parametrize("arguments", LOOKING, ids=" ".join)
def test_every_command_can_be_read_on_a_terminal_of_any_encoding(
    arguments: tuple[str, ...], encoding: str, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = Record("e" * 32, started_ns=10**18)
    with record.step("workflow", "Müller → 東京 \ud800", received="der Preis: 20 € …"):
        record.did("agent", "wörter", "ein Wort", "der Preis: 20 € …")
    record.write(store)
    out = Terminal(encoding)
    monkeypatch.setattr(sys, "stdout", out)

    status = main(("show", "eeee") if arguments == ("show", "last") else arguments)

    # They are asked of the newest run, which has no such step.
    assert (status == 2) is (arguments[0] == "contaminated" or "--impact" in arguments)
    assert out.read_back().strip() or status == 2


def test_a_sign_that_a_terminal_lacks_has_one_that_is_as_wide() -> None:
    assert all(len(sign) == len(instead) == 1 and instead.isascii() for sign, instead in SIGNS.items())
    kinds_of_change = "−+✂≠⇅~"  # noqa: RUF001
    assert len({SIGNS.get(sign, sign) for sign in kinds_of_change}) == len(kinds_of_change)


def test_what_every_command_of_the_parser_prints_is_looked_at() -> None:
    assert {typed[0] for typed in LOOKING} | ELSEWHERE.keys() == commands().keys()


def test_the_signs_of_the_views_are_told_in_others_and_nothing_else_is_lost(store: str) -> None:
    poor = asked(store, "handoffs", "last", encoding="ascii")
    whole = asked(store, "handoffs", "last")

    assert (poor.returncode, poor.stderr) == (whole.returncode, whole.stderr) == (0, b"")
    said = poor.stdout.decode("ascii")
    assert "researcher > analyst" in said
    assert "researcher ⇒ analyst" in whole.stdout.decode("utf-8")
    assert poor.stdout.count(b"?") == whole.stdout.count(b"?")


@pytest.mark.parametrize("arguments", LOOKING, ids=" ".join)
def test_the_json_of_every_command_is_json_in_any_encoding(
    arguments: tuple[str, ...], store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Terminal("ascii")
    monkeypatch.setattr(sys, "stdout", out)

    assert main((*arguments, "--json")) in (0, 1)

    json.loads(out.read_back())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device here is always full")
@pytest.mark.parametrize(
    "arguments",
    [("show", "last"), ("runs", "--json"), ("report",), ("export", "all", "-o", "-")],
    ids=" ".join,
)
def test_an_output_that_is_full_is_told_in_a_line(arguments: tuple[str, ...], store: str) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "becausal", *arguments, "--store", store],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert done.returncode == 2
    # An archive is written while it is made, so of that nothing can be said.
    done_all_the_same = "" if arguments[0] == "export" else "; the command was carried out all the same"
    assert (
        done.stderr == f"becausal: the output cannot be written: No space left on device{done_all_the_same}\n"
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device here is always full")
def test_what_is_done_and_cannot_be_told_is_not_said_to_be_undone(store: str) -> None:
    assert b"million" in asked(store, "tools", "last").stdout
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "becausal", "erase", "--run", "last", "--yes", "--store", store],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert done.returncode == 2
    assert "the output cannot be written" in done.stderr
    assert "the command was carried out all the same" in done.stderr
    assert b"million" not in asked(store, "tools", "last").stdout
    told = " ".join((becausal.cli.__doc__ or "").split())
    assert "It is 2 as well where what was done cannot be written to the output" in told


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (BrokenPipeError(32, "the server hung up"), "this cannot be done: the server hung up"),
        (FileNotFoundError(2, "No such file", "some/file"), "cannot use some/file: No such file"),
    ],
    ids=["a server", "a file"],
)
def test_what_fails_before_anything_is_written_is_no_fault_of_the_output(
    failure: OSError,
    told: str,
    store: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def failing(_: argparse.Namespace) -> None:
        raise failure

    monkeypatch.setattr(becausal.cli.looking, "run_of", failing)

    with contextlib.redirect_stdout(io.StringIO()):
        assert main(["show", "last"]) == 2
    assert capfd.readouterr().err == f"becausal: {told}\n"

    # The output of whoever called this goes on.
    assert main(["show", "last"]) == 2
    os.write(1, b"still here")
    assert capfd.readouterr().out == "still here"


class Refusing(io.StringIO):
    """Output in memory that takes nothing."""

    def __init__(self, failure: OSError) -> None:
        super().__init__()
        self.failure = failure

    def write(self, _: str) -> int:
        raise self.failure


@pytest.mark.parametrize("arguments", [("runs",), ("runs", "--json"), ("report",)], ids=" ".join)
def test_an_output_that_is_no_file_may_refuse_too(
    arguments: tuple[str, ...], store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for failure, status in ((BrokenPipeError(32, "Broken pipe"), 0), (OSError(28, "No space left"), 2)):
        with contextlib.redirect_stdout(Refusing(failure)):
            assert main(arguments) == status
        assert ("the output cannot be written: No space left" in capsys.readouterr().err) is bool(status)


@pytest.mark.parametrize("arguments", [("runs",), ("report",), ("export", "all", "-o", "-")], ids=" ".join)
def test_who_reads_no_further_sees_no_complaint(arguments: tuple[str, ...], store: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "becausal", *arguments, "--store", store],
            stdout=writing,
            stderr=subprocess.PIPE,
            check=False,
        )
    finally:
        os.close(writing)

    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("arguments", "status"), [(("runs",), 0), (("runs", "--json"), 0), (("show", "zz"), 2)]
)
def test_outputs_that_are_closed_before_it_begins_change_no_exit_status(
    arguments: tuple[str, ...], status: int, store: str
) -> None:
    program = f"""
import sys
sys.stdout = sys.stderr = None
from becausal.cli import main
raise SystemExit(main([*{arguments!r}, "--store", {store!r}]))
"""

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == status


def test_a_command_that_is_interrupted_leaves_without_a_traceback(
    store: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: argparse.Namespace) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(becausal.cli.looking, "run_of", interrupted)

    assert main(["show", "last"]) == 130
    assert capsys.readouterr().err == "becausal: interrupted\n"


def test_what_is_no_file_and_what_is_no_number_are_told_with_what_to_write(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs", "--store", str(tmp_path)]) == 2
    assert "Name a file that this user may read (--store, BECAUSAL_STORE)" in capsys.readouterr().err
    for arguments in (["memory", "size", "--at", "x"], ["memory", "size", "--at", "-1"]):
        with pytest.raises(SystemExit) as left:
            main(arguments)
        assert left.value.code == 2
        assert "write" in capsys.readouterr().err


def test_logs_of_an_agent_that_is_not_there_are_told_with_those_that_are(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["logs", "last", "--agent", "nobody"]) == 2
    assert "no agent of this run is called 'nobody'; its agents are: researcher, " in capsys.readouterr().err
    assert main(["logs", "last", "--agent", "writer"]) == 0
    assert capsys.readouterr().out == "Nothing was logged inside a step of writer.\n"
