"""The promise: what came from nowhere, got lost on the way or went in circles is told; the rest is left alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.builders import Draft, Record

from becausal import semconv
from becausal.finding import Finding
from becausal.findings.drift import of_drift
from becausal.findings.grounding import follows_from, of_grounding
from becausal.findings.scene import Scene
from becausal.findings.structure import of_structure
from becausal.run import Run

Judge = Callable[[Scene], Iterable[Finding]]


def judged(record: Record, judge: Judge) -> list[tuple[str, str, str | None]]:
    run = Run(record.chain_id, record.steps())
    return [(f.kind, f.severity, f.agent) for f in judge(Scene(run.graph, run.handoffs))]


# From nowhere


def answering(given: str, answer: str) -> list[tuple[str, str, str | None]]:
    record = Record()
    with record.step("workflow", "team", received="q", produced=answer), record.step("agent", "writer"):
        record.did("model", "m", [{"type": "human", "content": given}], {"type": "ai", "content": answer})
    return judged(record, of_grounding)


PRICES = '[{"item": "desk", "usd": 431.2}, {"item": "chair", "usd": 118.37}, {"item": "lamp", "usd": 57.05}]'
TICKETS = json.dumps([{"id": f"T-{n}", "level": "urgent" if n < 15 else "low"} for n in range(120)])

GROUNDED = [
    ("Order A-17 costs $1,250.00, due 3 May 2026.", "A-17 is USD 1250, due on 2026-05-03."),
    ("Bolts cost $12.50, nuts $7.50.", "Together they cost $20."),
    ("Revenue was $4,186,200 last year.", "Revenue was about $4.2 million."),
    ("The price is $250 with 20% off.", "You pay $200."),
    ("Of 400 parts, 30 failed.", "That is 7.5% of them."),
    ("The parcel weighs 2500 g.", "The parcel weighs 2.5 kg."),
    ("Say hello.", "Hello! There are 3 ways to say it."),
    ("Rows: 120, 130, 150", "The sum is 400, the mean 133.3."),
    ("Of the 3 shops 1 sold it.", "That is 33% of them."),
    ("It is 100 km to Rome.", "It is 62.14 miles to Rome."),
    ("You arrive on 3 May 2026 and stay 13 nights.", "You leave on 16 May 2026."),
    ("The invoice of 31 January 2026 is to be paid in 1 month.", "Please pay on 28 February 2026."),
    (PRICES, "The total is $606.62; the desk is 71.08% of it, the chair 19.51%."),
    (TICKETS, "Of 120 tickets 12.5% are urgent, and 105 can wait."),
]


@pytest.mark.parametrize(("given_text", "answer"), GROUNDED, ids=[row[1] for row in GROUNDED])
def test_what_follows_from_what_was_given_is_grounded(given_text: str, answer: str) -> None:
    assert answering(given_text, answer) == []


NOWHERE = [
    ("It is 100 km to Rome.", "It is 71.93 miles to Rome."),
    ("You arrive on 3 May 2026 and stay 13 nights.", "You leave on 29 May 2026."),
    (PRICES, "The total is $731.62."),
    (TICKETS, "There are 347 tickets."),
    ("Order A-17 costs $1,250.00.", "Order A-17 costs $1,360."),
    ("Order A-17 costs $1,250.00.", "Order B-99 costs $1,250."),
    ("The meeting is on 3 May 2026.", "The meeting is on 7 August 2026."),
    ("Contact ann@example.com about A-17.", "Contact bob@example.com about A-17."),
]


@pytest.mark.parametrize(("given_text", "answer"), NOWHERE, ids=[row[1] for row in NOWHERE])
def test_what_a_model_has_from_nowhere_is_told(given_text: str, answer: str) -> None:
    assert answering(given_text, answer) == [("model.ungrounded", "error", "writer")]


def test_a_model_that_was_given_nothing_to_go_by_may_know() -> None:
    assert answering("What did it cost?", "It cost $1,360.") == [("model.ungrounded", "note", "writer")]


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=20), st.data())
def test_every_sum_and_difference_of_two_and_every_figure_itself_follows(
    numbers: list[int], data: st.DataObject
) -> None:
    given_numbers = [Decimal(number) for number in numbers]
    one, other = data.draw(st.sampled_from(given_numbers)), data.draw(st.sampled_from(given_numbers))

    assert follows_from(one, given_numbers)
    assert follows_from(sum(given_numbers, Decimal(0)), given_numbers)
    if one != other:
        assert follows_from(one + other, given_numbers)
        assert follows_from(abs(one - other), given_numbers)


# Drift


def passing_on(*texts: str) -> list[tuple[str, str, str | None]]:
    """The first text is the request; each agent hears the text before its own."""
    record = Record()
    with record.step("workflow", "team", received=texts[0]) as team:
        handoffs: list[Draft] = []
        for number, (heard, said) in enumerate(pairwise(texts), 1):
            with record.step(
                "agent", f"agent {number}", received=heard, produced=said, arrivals=handoffs
            ) as turn:
                pass
            handoffs = [record.handoff(turn, f"agent {number + 1}", said)]
        team.produces(texts[-1])
        for handoff in handoffs:
            record.made.remove(handoff.step)
    return judged(record, of_drift)


REQUEST = "Plan a trip to Rome for order R-7, under $900, no later than 3 May 2026. Do not fly."


def test_a_summary_that_keeps_what_was_asked_is_fine() -> None:
    assert (
        passing_on(REQUEST, "R-7: Rome, at most USD 900, by 2026-05-03, and do not fly.", "A train on 2 May.")
        == []
    )


def test_a_limit_that_a_summary_leaves_out_is_lost_there() -> None:
    short = "R-7: Rome, no later than 3 May 2026, do not fly."

    assert passing_on(REQUEST, REQUEST, short, "A train for $1,200.") == [
        ("drift.lost_fact", "error", "agent 2")
    ]


def test_a_limit_that_became_another_one_is_changed_there() -> None:
    other = REQUEST.replace("$900", "$9,000")

    assert passing_on(REQUEST, other, "A train for $1,200.") == [("drift.changed_fact", "error", "agent 1")]


def test_an_agent_that_answers_and_does_not_repeat_the_request_is_fine() -> None:
    assert passing_on(REQUEST, "The night train costs $420.", "Take the night train.") == []


SLIPS = ["$1,205", "$12,500", "$125", "$1,251", "1250 euros"]


@pytest.mark.parametrize("slip", SLIPS)
def test_a_figure_that_was_miscopied_is_changed_there(slip: str) -> None:
    texts = (
        "Book it.",
        "The hotel costs $1,250 in all.",
        f"The hotel costs {slip} in all.",
        f"Booked for {slip}.",
    )

    assert passing_on(*texts) == [("drift.changed_fact", "error", "agent 2")]


def test_an_identifier_that_was_miscopied_is_changed_there() -> None:
    texts = (
        "Refund it.",
        "Refund the order RX-1047 today.",
        "Refund the order RX-1074 today.",
        "Done: RX-1074.",
    )

    assert passing_on(*texts) == [("drift.changed_fact", "error", "agent 2")]


def test_a_figure_that_work_has_turned_into_another_one_is_fine() -> None:
    texts = (
        "Book it.",
        "The hotel costs $1,250 in all.",
        "The hotel costs $1,487.50 with tax in all.",
        "Booked.",
    )

    assert passing_on(*texts) == []


# Shape


def rounds(*answers: str, name: str = "critic") -> Record:
    record = Record()
    with record.step("workflow", "team", received="q", produced="done"):
        for answer in answers:
            with record.step("agent", name, received="draft", produced=answer):
                pass
    return record


def test_the_same_done_with_the_same_again_and_again_is_a_loop() -> None:
    assert judged(rounds("no", "no", "no"), of_structure) == [("path.loop", "warning", "critic")]


def test_rounds_that_get_on_and_things_done_again_on_purpose_are_none() -> None:
    assert judged(rounds("no", "better", "yes"), of_structure) == []
    assert judged(rounds("no", "no"), of_structure) == []
    assert judged(rounds("ok", "ok", "ok", name="heartbeat"), of_structure) == []


def test_one_who_listens_to_heartbeats_goes_round_in_no_circle() -> None:
    assert judged(rounds(*[""] * 6, name="user"), of_structure) == []


def test_one_of_several_workers_whose_result_nobody_took_up_is_told() -> None:
    record = Record()
    with record.step("workflow", "team", received="q", produced="Rome 10, Oslo 20"):
        workers = []
        for city, degrees in (("Rome", 10), ("Oslo", 20), ("Bonn", 30)):
            with record.step(
                "agent", "worker", received=city, produced=f"{city} {degrees} degrees"
            ) as worker:
                workers.append(worker)
        handoffs = [record.handoff(worker, "join", "x") for worker in workers[:2]]
        with record.step("agent", "join", received="x", produced="Rome 10, Oslo 20", arrivals=handoffs):
            pass

    assert judged(record, of_structure) == [("chain.orphaned", "warning", "worker")]


def test_what_a_model_was_not_shown_and_the_output_lacks_is_told() -> None:
    record = Record()
    with record.step("workflow", "team", received="q") as team, record.step("agent", "writer") as writer:
        told = record.did("tool", "policy", {}, "Refunds above $500 need approval.")
        model = record.did("model", "m", "refund order 7", "Refunded.")
        model.step.attributes[semconv.CONTEXT_EVICTED] = (f"{told.id} tool call c1",)
        writer.produces("Refunded.")
        team.produces("Refunded.")

    assert judged(record, of_structure) == [("context.evicted", "warning", "writer")]
