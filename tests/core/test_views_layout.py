"""The promise: what is shown can be read at every width, piped or not: nothing that one asks on with is cut away."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.text import Text
from tests.core.builders import Draft, Record, research_team
from tests.core.test_views import shown

from becausal.cli import main
from becausal.run import Run
from becausal.views import blame as blames
from becausal.views import findings, layout, rootcause, text
from becausal.views.clean import cut
from becausal.views.layout import MANY, Way, ends_of, table_of

HOPS = 300


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    monkeypatch.setenv("BECAUSAL_STORE", url)
    research_team().write(url)
    return url


def chain_of_agents(*, broken: bool = False) -> Run:
    """Return a run in which a figure goes through many hands; the first of them may cut it off."""
    record, said = Record(), "The price is 20 million, by 3 May 2026."
    with record.step("workflow", "team", received="what is the price?") as team:
        last: Draft = record.did("tool", "price_list", "price", said)
        for number in range(HOPS):
            arrivals = [] if number == 0 else [record.handoff(last, f"agent {number}", said)]
            if broken and number == 1:
                said = "The price is 20"
            with record.step(
                "agent", f"agent {number}", received=said, produced=said, arrivals=arrivals
            ) as last:
                pass
        team.produces(said)
    return Run("c" * 32, record.steps())


def lines_at(
    width: int, *arguments: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(width))
    assert main(arguments) == 0
    return capsys.readouterr().out.splitlines()


COMMANDS: Sequence[tuple[str, ...]] = (
    ("runs",),
    *((name, "last") for name in ("show", "why", "blame", "handoffs", "tools", "logs", "findings", "drift")),
    ("blame", "last", "20 million"),
    ("why", "last", "analyst", "--impact"),
    ("memory", "--run", "last"),
    ("diff", "last", "last"),
    ("health", "last"),
    ("orphans",),
)


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal_or_ends_in_blanks(
    arguments: tuple[str, ...],
    width: int,
    store: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = lines_at(width, *arguments, monkeypatch=monkeypatch, capsys=capsys)

    assert lines
    assert [line for line in lines if line != line.rstrip()] == []
    assert max(map(cell_len, lines)) <= width


def test_a_pipe_is_not_written_to_in_blanks_either(store: str) -> None:
    command = [sys.executable, "-m", "becausal", "why", "last", "--store", store]
    piped = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=True).stdout

    assert [line for line in piped.splitlines() if line != line.rstrip()] == []
    assert "\x1b" not in piped


def test_colours_stay_where_the_blanks_at_the_ends_of_lines_go(
    store: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)

    lines = lines_at(80, "tools", "last", monkeypatch=monkeypatch, capsys=capsys)

    assert any("\x1b[" in line for line in lines)
    assert [line for line in lines if Text.from_ansi(line).plain.endswith(" ")] == []


@pytest.mark.parametrize("command", ["runs", "why", "tools"])
def test_on_a_narrow_terminal_a_row_is_told_whole_in_lines_of_its_own(
    command: str, store: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = (command,) if command == "runs" else (command, "last")

    said = " ".join(" ".join(lines_at(60, *arguments, monkeypatch=monkeypatch, capsys=capsys)).split())

    for wanted in {
        "runs": ("team", "steps 13", "agents researcher, analyst, critic, writer"),
        "why": ("agent analyst", "grade declared", "evidence said so"),
        "tools": ("revenue_database", "status ok", "20 million"),
    }[command]:
        assert wanted in said
    assert "…" not in said or command == "why"  # there evidence is cut at any width


def test_a_narrow_terminal_keeps_the_step_that_a_piece_came_from() -> None:
    run = Run("c" * 32, research_team().steps())
    out = shown(blames.text(run.blame(), asked=None), 60)

    for segment in run.blame().segments:
        assert segment.origin is not None
        assert segment.origin.id[:8] in out


def test_a_long_way_is_cut_in_the_middle_with_a_count_and_whole_on_request_and_for_programs() -> None:
    run = chain_of_agents()
    blamed = run.blame("20 million")
    way = blamed.segments[0].path
    assert len(way) > HOPS

    short = shown(blames.text(blamed, asked="20 million"))
    full = shown(blames.text(blamed, asked="20 million", full=True))

    first, last = MANY
    assert f"…  {len(way) - first - last:,} more steps of this way: --full shows them" in short
    numbers = [int(line.split()[0]) for line in short.splitlines() if line.split()[0].isdigit()]
    assert numbers == [*range(1, first + 1), *range(len(way) - last + 1, len(way) + 1)]
    for step in way:
        assert f"{step.id[:8]}" in full
    assert "more steps" not in full
    assert len(blames.json(blamed)["segments"][0]["path"]) == len(way)


def test_ways_in_a_line_are_cut_in_the_middle_too() -> None:
    run = chain_of_agents(broken=True)
    whole = chain_of_agents().blame()
    run.__dict__["findings"] = [replace(finding, path=run.steps) for finding in run.findings]
    suspects = [replace(one, path=run.steps) for one in run.root_cause()]
    for view, full in (
        (blames.text(whole, asked=None), blames.text(whole, asked=None, full=True)),
        (findings.text(run), findings.text(run, full=True)),
        (rootcause.text(suspects), rootcause.text(suspects, full=True)),
    ):
        short = shown(view)
        assert "more (--full) …" in short
        assert f"agent {HOPS // 2}" not in short.replace(f"agent {HOPS // 2} to", "")
        assert f"agent {HOPS // 2}" in " ".join(shown(full).split())
        assert "(--full)" not in shown(full)


def test_a_way_breaks_between_names_and_never_within_one() -> None:
    names = [f"agent number {number}" for number in range(7)]

    rows = shown(Way(names, before="way: "), 40).splitlines()

    assert max(map(len, rows)) <= 40
    assert rows[0].startswith("way: agent number 0")
    assert all(row.startswith("     >  agent number ") for row in rows[1:])
    assert " ".join(" ".join(rows).split()) == "way: " + " > ".join(names)
    assert shown(Way(["a" * 100], before="way: "), 30).strip().endswith("…")


@pytest.mark.parametrize("width", [20, 40, 80])
def test_names_of_signs_that_take_two_columns_are_not_cut_where_they_fit(width: int) -> None:
    name = "研究者の代理人"

    rows = shown(Way([name] * 9), width).splitlines()

    assert max(map(cell_len, rows)) <= width
    assert "".join(rows).count(name) == 9
    wide = shown(Way(["研究者" * 30], before="道: "), width).splitlines()
    assert all(row.endswith("…") for row in wide)
    assert width - 7 <= max(map(cell_len, wide)) <= width


def test_a_way_shows_its_names_however_long_what_comes_before_them_is() -> None:
    rows = shown(Way(["planner", "writer"] * 3, before="x" * 60), 40).splitlines()

    assert rows[0] == "x" * 39 + "…"
    assert " ".join(rows[1:]).count("planner") == " ".join(rows[1:]).count("writer") == 3
    assert max(map(len, rows)) <= 40


def test_a_cut_text_takes_as_many_columns_as_it_may() -> None:
    for said in ("研究者の代理人", "aé研b究c" * 4, "e\u0301" * 40, "👩🔬" * 9, "plain words " * 9):
        for width in range(2, 40):
            assert cell_len(cut(said, width)) <= width
            assert cut(said, width) == said or cut(said, width).endswith("…")
    assert cut("研究者の代理人", 14) == "研究者の代理人"
    assert cut("研究者の代理人", 13) == "研究者の代理…"
    assert cut("研究者の代理人", 12) == "研究者の代…"


def test_what_is_left_out_is_at_least_two() -> None:
    for length in range(40):
        first, left_out, last = ends_of(length, (3, 2), whole=False)
        assert len(first) + left_out + len(last) == length
        assert left_out == 0 or left_out > 1
        assert ends_of(length, (3, 2), whole=True) == (range(length), 0, range(length, length))


def test_a_table_is_told_row_by_row_where_it_would_be_cut() -> None:
    table = table_of("step", "name", "took")
    table.add_row("4f", Text("planner"), "2 ms")
    table.add_row("50", Text("writer"), "")

    assert shown(layout.by_width(table), 79).split("\n")[:2] == ["4f  planner", "  took 2 ms"]
    assert shown(layout.by_width(table), 80).splitlines()[0].split() == ["step", "name", "took"]


def test_of_two_forms_the_one_that_is_shown_is_the_only_one_that_is_made() -> None:
    made: list[str] = []

    def form(name: str) -> Text:
        made.append(name)
        return Text(name)

    both = layout.ByWidth(lambda: form("wide"), lambda: form("narrow"), 80)

    assert (shown(both, 80).strip(), shown(both, 79).strip()) == ("wide", "narrow")
    assert made == ["wide", "narrow"]


def test_the_list_of_runs_says_the_same_at_every_width() -> None:
    assert shown(text.runs([]), 40) == shown(text.runs([]), 200)
