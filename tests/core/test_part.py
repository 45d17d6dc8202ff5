"""The promise: of a chain too long to be loaded, a part answers as the whole does, or says that its way goes on."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.core.builders import Draft, Record

import becausal
from becausal.blame import Blame
from becausal.cli import command, main
from becausal.errors import BecausalError, StepNotFoundError
from becausal.graph import part
from becausal.run import Run
from becausal.runs import Runs
from becausal.step import Step

DAYS, TURNS = 6, 6
LAST = 20
"""Steps of the window that is loaded: less than one day's."""


def a_week() -> Record:
    """Return the record of an agent that works day after day; what it finds on a day is handed on that day."""
    record = Record()
    with record.step("workflow", "week", received="Watch the harbour.") as week:
        for day in range(DAYS):
            arrival: Draft | None = None
            brief = f"Begin the day {day}."
            for turn in range(TURNS):
                number = 10_000 + 997 * (day * TURNS + turn)
                with record.step(
                    "agent", f"clerk {turn % 3}", received=brief, arrivals=[arrival] if arrival else ()
                ) as clerk:
                    record.did("tool", "count", {"berth": number % 7}, f"counted {number} crates")
                    said = f"There are {number} crates at berth {number % 7}."
                    record.did("model", "m", f"counted {number} crates\nWrite it down.", said)
                    brief = f"{brief}\n{said}"
                    clerk.produces(brief)
                arrival = (
                    record.handoff(clerk, f"clerk {(turn + 1) % 3}", brief) if turn + 1 < TURNS else None
                )
            week.step.attributes["day"] = day
        week.produces(brief)
    return record


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    a_week().write(url)
    with becausal.open(url) as opened:
        yield opened


@pytest.fixture
def whole(runs: Runs) -> Run:
    return runs.last()


def asked_about(run: Run) -> list[Step]:
    return [step for step in run.steps if step.kind in ("agent", "model", "handoff")][::11]


def told(blame: Blame) -> list[tuple[object, ...]]:
    return [
        (
            one.at,
            one.text,
            one.origin and one.origin.id,
            one.source,
            [step.id for step in one.path],
            one.grade,
        )
        for one in blame.segments
    ]


def test_what_led_to_a_step_is_the_same_however_little_was_loaded_before_it_is_asked(
    runs: Runs, whole: Run
) -> None:
    little = runs.last(last=LAST)

    for step in asked_about(whole):
        assert {one.id for one in little.why(step.id).steps} == {one.id for one in whole.why(step).steps}
        assert little.why(step.id).goes_on == ()


def test_who_brought_in_what_a_step_says_is_the_same_however_little_was_loaded(
    runs: Runs, whole: Run
) -> None:
    little = runs.last(last=LAST)

    for step in asked_about(whole):
        given = told(little.blame(of=step.id))
        assert any(source == "tool" for _, _, _, source, _, _ in given) or step.kind != "model"
        assert given == told(whole.blame(of=step))


def test_only_what_led_to_a_step_is_loaded_for_a_question_about_it(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part, "MOST_BESIDE", 20)  # a week has as many turns as there are in a day of ours
    little = runs.last(last=LAST)
    steps_of_a_day = TURNS * 4
    third_day = next(
        step for step in runs.last().steps if "the day 2." in str(step.received and step.received.text())
    )

    reached = little._reaching(third_day.id)

    assert len(reached.steps) <= len(little.steps) + steps_of_a_day


def test_where_too_much_led_to_a_step_the_answer_says_that_its_way_goes_on_and_names_no_other_origin(
    runs: Runs, whole: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part, "MOST_REACHED", 3)
    gone_on = 0

    for step in asked_about(whole):
        little = runs.get(whole.chain_id, around=step.id, last=3)
        right = {
            (at, text): (origin, source) for at, text, origin, source, _, _ in told(whole.blame(of=step))
        }
        lineage = little.why(step.id)
        assert {one.id for one in lineage.steps} <= {one.id for one in whole.why(step).steps}
        for one in little.blame(of=step.id).segments:
            gone_on += one.goes_on
            assert one.goes_on or right[one.at, one.text] == (one.origin and one.origin.id, one.source)
            assert (one.source, one.grade) == ("unknown", "inferred") if one.goes_on else one.origin

    assert gone_on > 10


def test_a_window_has_the_last_steps_what_encloses_them_and_what_the_run_put_out(
    runs: Runs, whole: Run
) -> None:
    little = runs.get(whole.chain_id[:8], last=LAST)

    assert little.part is not None
    assert [step.id for step in little.steps][-LAST:] == [step.id for step in whole.steps][-LAST:]
    assert [step.name for step in little.graph.roots] == ["week"]
    assert little.output == whole.output
    assert str(little.part).startswith(
        f"{len(little.steps)} of {len(whole.steps)} steps are loaded, from the step "
    )
    assert little.graph.missing == ()


def test_a_window_lies_around_a_step_or_in_a_stretch_of_time(runs: Runs, whole: Run) -> None:
    middle = whole.steps[100]
    moment = dt.datetime.fromtimestamp(middle.started_ns / 1e9, dt.UTC)

    around = runs.last(around=middle.id, last=8)
    since = runs.last(since=moment)
    until = runs.last(until=moment, last=5)

    assert {step.seq for step in around.steps} >= set(range(middle.seq - 6, middle.seq + 2))
    assert len(around.steps) <= 8 + 2  # and the caller of the first, and the week
    assert min(step.seq for step in since.steps if step.seq > 1) in (
        middle.seq - 1,
        middle.seq,
        middle.seq - 2,
    )
    assert max(step.seq for step in until.steps) == middle.seq
    assert around.output == whole.output


def test_a_run_no_longer_than_what_is_asked_for_is_loaded_whole(runs: Runs, whole: Run) -> None:
    assert runs.last(last=len(whole.steps)).part is None
    assert runs.last(last=len(whole.steps) - 1).part is None  # but for the callers, which are loaded
    assert runs.last(last=len(whole.steps) - 3).part is not None
    assert runs.last(since=dt.datetime.fromtimestamp(0)).part is None


def test_a_part_has_no_finding_that_the_whole_has_not_and_no_verdict_that_it_is_well(
    runs: Runs, whole: Run
) -> None:
    little = runs.last(last=LAST)

    assert {(f.kind, f.step.id) for f in little.findings} <= {(f.kind, f.step.id) for f in whole.findings}
    assert little.health.verdict == "unknown"
    assert f"of {len(whole.steps)} steps are loaded" in little.health.reasons[0]


def test_what_takes_a_whole_run_refuses_a_part_and_says_what_to_do(runs: Runs, tmp_path: Path) -> None:
    little = runs.last(last=LAST)

    for ask in (little.drift, little.replay, lambda: little.export(tmp_path / "a.becausal")):
        with pytest.raises(BecausalError, match=r"load all, runs\.get"):
            ask()


def test_a_step_that_is_not_loaded_is_told_from_one_that_there_is_not(runs: Runs, whole: Run) -> None:
    little = runs.last(last=LAST)

    with pytest.raises(StepNotFoundError, match=r"is in this run, and not among .* around="):
        little.step(whole.steps[3].id)
    with pytest.raises(StepNotFoundError, match="has no step"):
        little.step("ffffffffffffffff")
    with pytest.raises(StepNotFoundError, match="begins with"):
        runs.last(around="ffffffffffffffff")


def test_the_command_line_loads_the_end_of_a_long_run_and_says_so(
    runs: Runs, whole: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "MOST_WHOLE", 100)
    monkeypatch.setattr(part, "MOST_REACHED", 3)
    store = ("--store", runs.store.url)
    model = next(step for step in reversed(whole.steps) if step.kind == "agent")

    assert main(("show", "last", "--last", "5", *store)) == 0
    shown = capsys.readouterr()
    assert main(("why", "last", model.id, "--around", model.id, "--last", "2", *store)) == 0
    why = capsys.readouterr().out
    assert (
        main(("blame", "last", "--of", model.id, "--around", model.id, "--last", "2", "--json", *store)) == 0
    )
    blame = json.loads(capsys.readouterr().out)
    assert main(("handoffs", "last", "--whole", *store)) == 0
    assert capsys.readouterr().err == ""

    assert f"7 of {len(whole.steps)} steps are loaded" in shown.err
    assert "--last, --around, --since and --until load others, --whole loads all" in shown.err
    assert shown.out.count("clerk") < 20
    assert "the way goes on before" in why
    assert any(segment["goes_on"] for segment in blame["segments"])


def test_a_short_run_is_loaded_whole_by_the_command_line(
    runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(("show", "last", "--store", runs.store.url)) == 0
    assert capsys.readouterr().err == ""


def test_the_output_of_requests_without_one_is_what_ended_last_in_them_wherever_the_window_lies(
    tmp_path: Path,
) -> None:
    record = Record()
    for day in range(3):
        with record.step("request", f"day {day}", received="go"):
            for turn in range(20):
                record.did("agent", "clerk", "go", f"done {day}.{turn}")
    record.write(f"sqlite:///{tmp_path / 'runs.db'}")

    with becausal.open(f"sqlite:///{tmp_path / 'runs.db'}") as opened:
        whole = opened.last()
        early = opened.last(around=whole.steps[10].id, last=6)
        assert early.output is not None
        assert early.output.text() == "done 2.19"
        assert early.output == whole.output


def test_a_part_without_findings_passes_no_gate_and_says_what_takes_the_whole_run(
    runs: Runs, whole: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "MOST_WHOLE", 100)
    assert not runs.last(last=LAST).findings
    store = ("--last", str(LAST), "--store", runs.store.url)

    for asked in (("findings", "last"), ("findings", "last", "--json"), ("show", "last")):
        assert main((*asked, "--fail-on", "warning", *store)) == 1
        said = capsys.readouterr().err
        assert "only a part of the run was judged" in said
        assert "A gate judges all of it: write --whole in place of --last" in said
    assert main(("findings", "last", *store)) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "Nothing is wrong, as far as this record shows" not in said
    assert f"of {len(whole.steps)} steps are loaded" in said
    assert "(--whole) to see handoff.lost" in said
    assert "path.loop" in said
    assert main(("findings", "last", "--whole", "--fail-on", "error", "--store", runs.store.url)) == 0


def test_a_report_of_a_part_says_that_it_is_one(
    runs: Runs, whole: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    for form in ("markdown", "html"):
        arguments = ("report", "last", "--format", form, "--last", str(LAST), "--store", runs.store.url)
        assert main(arguments) == 0
        assert f"of {len(whole.steps)} steps are loaded" in capsys.readouterr().out


def test_a_part_counts_no_handoff_as_intact_of_which_it_was_not_judged_whether_somebody_received_it(
    tmp_path: Path,
) -> None:
    record = Record()
    with record.step("workflow", "relay", received="go"):
        for turn in range(20):
            with record.step("agent", "seeker", received="go") as seeker:
                seeker.produces(f"crate {turn}")
            record.handoff(seeker, "writer", f"crate {turn}")
    record.write(f"sqlite:///{tmp_path / 'runs.db'}")

    with becausal.open(f"sqlite:///{tmp_path / 'runs.db'}") as opened:
        health = opened.last(last=LAST).health

    assert health.transitions >= 5
    assert (health.intact, health.unjudged) == (0, health.transitions)


@pytest.mark.parametrize("times", [("--since", "2100-01-01T00:00"), ("--until", "1969-12-30T12:00")])
def test_a_time_at_which_no_step_started_is_wrong_use_and_told_with_the_run_s_times(
    times: tuple[str, str], runs: Runs, whole: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(("findings", "last", *times, "--store", runs.store.url)) == 2

    shown = capsys.readouterr()
    first = dt.datetime.fromtimestamp(whole.steps[0].started_ns // 10**9).astimezone()
    assert shown.out == ""
    assert f"no step started then: this run's steps started from {first.isoformat()} to " in shown.err


def test_a_time_may_be_told_as_so_long_ago(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    record = Record(started_ns=int((dt.datetime.now() - dt.timedelta(hours=3)).timestamp() * 10**9))
    with record.step("workflow", "night") as night:
        record.did("tool", "early", "x", "y")
        record.now += 2 * 3600 * 10**9 + 1800 * 10**9
        record.did("tool", "late", "x", "y")
        night.produces("y")
    record.write(url)

    assert main(("show", "last", "--since", "1h", "--store", url)) == 0
    shown = capsys.readouterr()
    assert ("late" in shown.out, "early" in shown.out) == (True, False)
    assert main(("show", "last", "--since", "5m", "--store", url)) == 2
    assert "no step started then" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("show", "last", "--last", "x"), "'x' is no whole number"),
        (
            ("show", "last", "--since", "soon"),
            "'soon' is no time: write it as 2026-11-22T14:00, or as an age",
        ),
        (("diff", "last", "last", "--last", "5"), "it is of the whole run, and takes no --last"),
        (("drift", "last", "--since=1h"), "it is of the whole run, and takes no --since"),
        (("drift", "last", "--nothing"), "unrecognized arguments: --nothing"),
    ],
)
def test_what_a_command_does_not_take_is_refused_with_its_own_usage(
    arguments: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)

    said = capsys.readouterr().err
    assert left.value.code == 2
    assert said.startswith(f"usage: becausal {arguments[0]} ")
    assert told in " ".join(said.split())
    assert "_count" not in said
