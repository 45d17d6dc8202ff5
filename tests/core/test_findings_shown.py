"""The promise: what is wrong in a run is shown with its evidence, and the exit status says how bad it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.core.builders import Record

from becausal.cli import main


@pytest.fixture
def store(tmp_path: Path) -> str:
    """Return a store with a run whose handoff lost half of its text."""
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    record = Record()
    with record.step("workflow", "team", received="go") as team:
        with record.step("agent", "planner", received="go", produced="Pay $500 by 3 May 2026.") as planner:
            pass
        handoff = record.handoff(planner, "writer", "Pay $500 by 3 May 2026.")
        with record.step("agent", "writer", received="Pay $500", arrivals=[handoff]) as writer:
            writer.produces("We pay $500.")
        team.produces("We pay $500.")
    record.write(url)
    return url


def test_a_finding_is_shown_with_its_words_and_its_way(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["findings", "--store", store]) == 1

    words = capsys.readouterr().out
    assert "handoff.truncated" in words
    assert "by 3 May 2026" in words
    assert "planner → planner to writer → writer" in words


def test_findings_are_told_to_programs(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["findings", "last", "--json", "--store", store]) == 1

    (finding,) = json.loads(capsys.readouterr().out)
    assert (finding["kind"], finding["severity"], finding["key"]) == ("handoff.truncated", "error", "$")
    assert len(finding["path"]) == 3
    assert finding["evidence"]


@pytest.mark.parametrize("command", ["findings", "show"])
def test_the_exit_status_says_whether_it_is_as_bad_as_asked(
    command: str, store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clean = Record("e" * 32)
    with clean.step("workflow", "team", received="go", produced="done"):
        pass
    other = f"sqlite:///{tmp_path / 'clean.db'}"
    clean.write(other)

    assert main([command, "last", "--store", store, "--fail-on", "warning"]) == 1
    assert main([command, "last", "--store", other, "--fail-on", "note"]) == 0
    capsys.readouterr()
