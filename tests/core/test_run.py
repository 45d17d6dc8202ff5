"""The promise: a recorded chain comes back as a run that answers, and one that is not found says what there is."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.core.builders import Record, research_team

import becausal
from becausal import clock
from becausal.errors import RunNotFoundError, StepNotFoundError, StoreError
from becausal.run import Run
from becausal.runs import open as open_runs
from becausal.step import Cause, StepKind


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'runs.db'}"


def test_a_recorded_chain_comes_back_whole(url: str) -> None:
    record = research_team()
    record.write(url)

    with open_runs(url) as runs:
        run = runs.last()

        assert run.chain_id == record.chain_id
        assert run.name == "team"
        assert run.status == "ok"
        assert run.agents == ("researcher", "analyst", "critic", "writer")
        assert [step.id for step in run.steps] == [step.id for step in record.made]
        assert run.output is not None
        assert "We recommend a full audit." in run.output.text()
        assert run.blame("20 million").segments[0].source == "tool"


def test_handoffs_name_both_agents_and_both_steps() -> None:
    run = Run("c" * 32, research_team().steps())

    handoff = run.handoffs[-1]

    assert (handoff.sender, handoff.receiver) == ("analyst", "writer")
    assert handoff.sent_by == next(step for step in run.steps if step.name == "analyst")
    assert handoff.received_by == next(step for step in run.steps if step.name == "writer")
    assert handoff.verdict == "extended"
    assert {change.kind for change in handoff.delta} == {"added"}


def test_a_handoff_without_attributes_finds_its_steps_by_its_edges() -> None:
    record = Record()
    with record.step("workflow", "team"):
        planner = record.did("agent", "planner", "q", "plan")
        handoff = record.handoff(planner, "writer", "plan")
        with record.step("agent", "writer", received="plan", arrivals=[handoff]):
            pass
    handoff.step.attributes.clear()

    (found,) = Run(record.chain_id, record.steps()).handoffs

    assert found.sent_by is not None
    assert found.received_by is not None
    assert (found.sent_by.name, found.received_by.name) == ("planner", "writer")


def test_a_handoff_whose_steps_are_elsewhere_has_none() -> None:
    record = Record()
    with record.step("agent", "planner") as planner:
        handoff = record.handoff(planner, "writer", "plan")
    handoff.step.attributes.clear()
    handoff.step.causes[:] = [Cause("f" * 16, "transfer", "declared")]

    (found,) = Run(record.chain_id, record.steps()).handoffs

    assert (found.sent_by, found.received_by, found.verdict) == (None, None, "lost")


def test_tool_calls_and_decisions_come_in_order() -> None:
    run = Run("c" * 32, research_team().steps())

    assert [(call.name, call.arguments) for call in run.tool_calls] == [
        ("revenue_database", {"company": "Acme"})
    ]
    assert [decision.conclusion for decision in run.decisions] == [
        "call revenue_database(company=Acme)",
        "a full audit is due",
    ]


def test_a_step_is_found_by_the_beginning_of_its_id() -> None:
    run = Run("c" * 32, research_team().steps())

    assert run.step(run.steps[2].id[:6]) == run.steps[2]
    with pytest.raises(StepNotFoundError):
        run.step("no such step")


def test_a_run_is_found_by_the_beginning_of_its_chain_id(url: str) -> None:
    for chain in ("ab" * 16, "ac" * 16):
        research_team(Record(chain)).write(url)

    with open_runs(url) as runs:
        assert runs.get("ab").chain_id == "ab" * 16
        assert runs.get("ac" * 16).chain_id == "ac" * 16
        assert len(runs.list()) == 2
        assert len(runs.list(limit=1)) == 1
        assert runs.gaps() == {}


def test_an_ambiguous_beginning_lists_the_candidates(url: str) -> None:
    for chain in ("ab" * 16, "ac" * 16):
        research_team(Record(chain)).write(url)

    with (
        open_runs(url) as runs,
        pytest.raises(RunNotFoundError, match=r"several.*abab.*\(team\)|several.*acac"),
    ):
        runs.get("a")


@pytest.mark.parametrize("wanted", ["zz", "", "c" * 40])
def test_an_unknown_run_lists_the_newest(url: str, wanted: str) -> None:
    research_team().write(url)

    with (
        open_runs(url) as runs,
        pytest.raises(RunNotFoundError, match=r"the newest are: cccccccc.* \(team\)"),
    ):
        runs.get(wanted)


def test_an_empty_store_says_how_to_record(url: str) -> None:
    from becausal.store import open_store

    open_store(url).close()

    with open_runs(url) as runs:
        with pytest.raises(RunNotFoundError, match=r"becausal\.instrument\(\)"):
            runs.last()
        with pytest.raises(RunNotFoundError, match=r"becausal\.instrument\(\)"):
            runs.get("a")


def test_work_that_lost_its_link_while_a_run_was_under_way_is_not_the_last_run(url: str) -> None:
    run, lost = Record("ab" * 16, started_ns=1_000), Record("ac" * 16, started_ns=1_002)
    with run.step("workflow", "team"):
        for turn in range(9):
            run.did("agent", "planner", f"q{turn}", f"plan {turn}")
    lost.did("tool", "lookup", {"city": "Lisbon"}, "sunny")
    for record in (run, lost):
        record.write(url)

    with open_runs(url) as runs:
        assert runs.list()[0].chain_id == lost.chain_id
        assert runs.last().chain_id == run.chain_id


@pytest.mark.parametrize(("kind", "since"), [("tool", 10**9), ("agent", 1_002), ("workflow", 1_002)])
def test_what_began_by_itself_is_the_last_run(url: str, kind: StepKind, since: int) -> None:
    run, later = Record("ab" * 16, started_ns=1_000), Record("ac" * 16, started_ns=since)
    with run.step("workflow", "team"):
        for turn in range(9):
            run.did("agent", "planner", f"q{turn}", f"plan {turn}")
    later.did(kind, "lookup", {"city": "Lisbon"}, "sunny")
    for record in (run, later):
        record.write(url)

    with open_runs(url) as runs:
        assert runs.last().chain_id == later.chain_id


def test_a_missing_store_is_refused(url: str) -> None:
    with pytest.raises(StoreError, match="does not exist"):
        open_runs(url)


def test_own_code_is_recorded_and_its_last_run_blamed(url: str) -> None:
    becausal.instrument("threads", store=url)
    try:

        @becausal.tool
        def price(item: str) -> str:
            return f"the {item} costs 4,711.50 EUR"

        with (
            becausal.chain("what does the boat cost?"),
            becausal.agent("seller", received="the boat?") as turn,
        ):
            turn.decide("look the price up", because=["the question"], confidence=0.9)
            turn.returned(f"Well, {price('boat')}.")
        run = becausal.last_run()
    finally:
        becausal.uninstrument()

    segment = run.blame("4711.5 EUR").segments[0]
    assert segment.origin is not None
    assert (segment.origin.name, segment.source, segment.grade) == ("price", "tool", "observed")
    assert (segment.text, segment.asked) == ("4,711.50 EUR", "4711.5 EUR")
    assert [step.name for step in segment.path] == ["price", "seller"]
    assert segment.decisions[0].conclusion == "look the price up"


def test_the_last_run_of_a_store_in_memory_can_be_asked() -> None:
    becausal.instrument("threads", store="sqlite:///:memory:")
    try:
        with becausal.agent("planner", received="when?") as turn:
            turn.returned("on Friday")

        run = becausal.last_run()

        assert run.name == "planner"
        assert run.blame("Friday").segments[0].source == "agent"
    finally:
        becausal.uninstrument()


def test_one_may_ask_about_whatever_tells_of_a_step() -> None:
    run = Run("c" * 32, research_team().steps())
    call, decision, handoff = run.tool_calls[0], run.decisions[0], run.handoffs[0]

    assert run.impact(call).of == call.step
    assert run.why(decision).of == decision.step
    assert run.why(handoff).of == handoff.step
    assert run.blame(20_000_000).segments[0].source == "tool"
    with pytest.raises(StepNotFoundError, match="a int is no step: give a step, a handoff"):
        run.why(3)  # type: ignore[arg-type]


def test_the_newest_runs_are_found_behind_any_number_of_replays_each_once(store: str) -> None:
    becausal.instrument("threads", store=store)
    aside = [clock.new_chain_id(begins) for begins in (clock.REPLAYS, clock.OUTSIDE) for _ in range(51)]
    for name in ("one", *aside[:100], "two", *aside[100:]):
        with becausal.chain("q", id=name):
            pass
    becausal.uninstrument()
    with becausal.open(store) as runs:
        assert [info.chain_id for info in runs.list(replays=False)] == ["two", "one"]
        assert [info.chain_id for info in runs.list(limit=1, replays=False)] == ["two"]
        assert runs.last().chain_id == "two"
        assert len(runs.list()) == 104
