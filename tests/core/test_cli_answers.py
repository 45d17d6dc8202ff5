"""The promise: a verdict, a difference and a report come from the command line, for people, programs and gates."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from tests.core.builders import Record
from tests.core.test_comparison import team

import becausal
from becausal.cli import main

GOOD, BAD = "a" * 32, "b" * 32


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    monkeypatch.setenv("BECAUSAL_STORE", url)
    for chain_id, arrives in ((GOOD, None), (BAD, "14.50")):
        record = team("41.50", arrives=arrives)
        as_chain(record, chain_id).write(url)
    return url


def as_chain(record: Record, chain_id: str) -> Record:
    """Give a record's steps ids of their own."""
    for step in record.made:
        step.chain_id = chain_id
        step.id = chain_id[0] + step.id[1:]
        step.parent_id = chain_id[0] + step.parent_id[1:] if step.parent_id else None
        step.attributes = {
            name: chain_id[0] + value[1:]
            if name.endswith(("sent_by", "received_by")) and isinstance(value, str)
            else value
            for name, value in step.attributes.items()
        }
        step.causes = [
            type(c)(chain_id[0] + c.source_id[1:], c.kind, c.grade, c.evidence) for c in step.causes
        ]
    return record


def said(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    assert main(arguments) == status
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def test_the_exit_status_of_health_is_a_gate(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "health", GOOD).startswith("coherent")
    told = said(capsys, "health", BAD, status=1)
    data = json.loads(said(capsys, "health", BAD, "--json", status=1))

    assert told.startswith("contaminated")
    assert "the way seeker to writer" in told
    assert (data["verdict"], data["ok"], data["level"]) == ("contaminated", False, 5)
    assert data["suspects"][0]["who"] == "the way seeker to writer"


def test_diff_tells_where_two_runs_first_part(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = said(capsys, "diff", GOOD, BAD)
    data = json.loads(said(capsys, "diff", GOOD, BAD, "--json"))

    assert "they first part here: handoff seeker to writer brought something else" in told
    assert "findings that came" in told
    assert "It costs 14.50 dollars." in told
    assert not data["is_same"]
    assert len(data["partings"]) == 1
    assert "are the same, step by step" in said(capsys, "diff", GOOD, GOOD)


def test_a_report_is_printed_whole_or_written_to_a_file(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    told = said(capsys, "report", BAD)
    page = tmp_path / "report.html"
    said(capsys, "report", BAD, "--format", "html", "-o", str(page))
    data = json.loads(said(capsys, "report", BAD, "--json"))

    assert "## Cause 1: handoff.mutated, the way seeker to writer" in told.split("\n")
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert data["causes"][0]["who"] == "the way seeker to writer"
    assert main(["report", BAD, "-o", str(tmp_path / "nowhere" / "x.md")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_why_tells_suspects_and_what_no_way_goes_around_and_the_impact_of_a_step(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = said(capsys, "why", BAD)
    data = json.loads(said(capsys, "why", BAD, "--json"))
    tool = next(step["id"] for step in data["steps"] if step["name"] == "get_offer")
    impact = said(capsys, "why", BAD, tool, "--impact")

    assert "no way goes around" in told
    assert "who may have caused what is wrong" in told
    assert data["suspects"][0]["who"] == "the way seeker to writer"
    assert data["dominators"]
    assert impact.startswith("what came of tool get_offer")
    assert "handoff seeker to writer" in impact
    assert main(["why", BAD, "--impact"]) == 2


def test_what_was_not_kept_is_said_where_a_run_without_contents_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{tmp_path / 'digests.db'}"
    becausal.instrument("threads", "logging", store=url, capture="digest")
    with becausal.chain("booking", received="Book it for 1,450 guests, no later than 3 May 2027.") as run:
        with becausal.agent("planner", received="Book it for 1,450 guests.") as planner:
            logging.getLogger("app").warning("1,450 guests")
            becausal.tool(lambda guests: "a room")(guests=1450)
            planner.returned("done")
        run.returned("done")
    becausal.uninstrument()

    said = {}
    for command in ("drift", "tools", "logs"):
        main((command, "last", "--store", url))
        said[command] = capsys.readouterr().out

    assert "content of the request was not kept, so nothing was judged" in " ".join(said["drift"].split())
    assert "%" not in said["drift"]
    assert said["tools"].count("(not kept)") == 2
    assert "(nothing)" not in said["tools"]
    assert "(not kept, or empty)" in said["logs"]
    main(("drift", "last", "--store", url, "--json"))
    data = json.loads(capsys.readouterr().out)
    assert (data["hops"], data["facts"]) == ([], [])
    assert "was not kept" in data["unjudged"]
