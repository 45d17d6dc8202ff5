"""The promise: one verdict on a run, which never says more than its record shows."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from tests.core.builders import Record

from becausal.answers.health import VERDICTS
from becausal.run import Run
from becausal.views.health import text

ANSWER = "The desk costs 41.50 dollars, delivery is on 3 May 2027."


def run_of(record: Record) -> Run:
    return Run("a" * 32, record.steps())


def relay(*, arrives: str | None = None, answers: str | None = None) -> Record:
    record = Record()
    with record.step("workflow", "team", received=ANSWER) as root:
        with record.step("agent", "seeker", received=ANSWER) as seeker:
            seeker.produces(ANSWER)
        sent = record.handoff(seeker, "writer", ANSWER)
        heard = arrives or ANSWER
        with record.step("agent", "writer", received=heard, arrivals=[sent]) as writer:
            writer.produces(answers or heard)
        root.produces(answers or heard)
    return record


def test_a_run_with_nothing_wrong_is_coherent() -> None:
    health = run_of(relay()).health

    assert health.verdict == "coherent"
    assert health.ok
    assert health
    assert health.level == 0
    assert health.coherence == 1.0
    assert "1 handoff" in health.reasons[0]


def test_what_is_wrong_in_the_output_contaminates_the_run_and_the_reason_names_whose_it_is() -> None:
    health = run_of(relay(arrives=ANSWER.replace("41.50", "14.50"))).health

    assert health.verdict == "contaminated"
    assert not health.ok
    assert health.level == len(VERDICTS) - 1
    assert health.reasons[0].startswith("handoff.mutated (the way seeker to writer)")
    assert health.coherence == 0.0


def test_what_was_put_right_before_the_output_is_contained_and_fine() -> None:
    health = run_of(relay(arrives=ANSWER.replace("41.50", "14.50"), answers=ANSWER)).health

    assert health.verdict == "contained"
    assert health.ok
    assert health.suspects == ()
    assert [one.step.kind for one in health.contained] == ["handoff"]


def test_content_that_was_not_kept_is_unknown_and_not_fine() -> None:
    record = relay()
    steps = record.steps()
    record.bodies.clear()
    health = Run("a" * 32, steps).health

    assert health.verdict == "unknown"
    assert not health.ok
    assert "not kept" in health.reasons[0]
    # What was sent and what arrived have one digest: that much is known.
    assert health.unjudged == 0


def test_steps_that_are_lost_make_it_unknown() -> None:
    record = relay()
    steps = [step for step in record.steps() if step.name != "seeker"]

    assert Run("a" * 32, steps).health.verdict == "unknown"


def test_a_run_that_is_still_at_work_is_incomplete() -> None:
    record = relay()
    for step in record.made:
        if step.kind == "workflow":
            step.status, step.ended_ns = "open", None

    health = run_of(record).health

    assert health.verdict == "incomplete"
    assert "still at work" in health.reasons[0]


def test_what_pytest_shows_of_an_asserted_run_says_what_is_wrong() -> None:
    health = run_of(relay(arrives=ANSWER.replace("41.50", "14.50"))).health

    assert repr(health).startswith("<Health contaminated: handoff.mutated (the way seeker to writer)")
    assert len(repr(health)) < 240  # pytest cuts a longer one in the middle
    with pytest.raises(AssertionError) as caught:
        assert health, f"{health!r}"
    assert "contaminated" in str(caught.value)


def test_an_empty_run_is_incomplete() -> None:
    assert Run("a" * 32, []).health.verdict == "incomplete"


def test_a_contaminated_run_whose_transitions_are_all_intact_says_that_it_came_in_elsewhere() -> None:
    run = run_of(relay(answers=ANSWER.replace("41.50", "14.50")))
    assert (run.health.verdict, run.health.intact) == ("contaminated", run.health.transitions)

    shown = Console(file=io.StringIO(), width=200)
    shown.print(text(run.health))
    assert "transitions intact: what is wrong came in within a step" in shown.file.getvalue()  # type: ignore[attr-defined]
