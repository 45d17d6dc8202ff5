"""The promise: of two runs becausal tells which steps differ, and where they first part."""

from __future__ import annotations

import pytest
from tests.core.builders import Draft, Record

from becausal.answers.comparison import Comparison, compare
from becausal.run import Run


def team(price: str, *, arrives: str | None = None, is_checked: bool = False) -> Record:
    """A seeker asks a tool and tells a writer, who answers."""
    record = Record()
    with record.step("workflow", "team", received="What does the desk cost?") as root:
        with record.step("agent", "seeker", received="What does the desk cost?") as seeker:
            record.did("tool", "get_offer", {"item": "desk"}, {"unit_price": price})
            seeker.produces(f"The desk costs {price} dollars.")
        sent = record.handoff(seeker, "writer", f"The desk costs {price} dollars.")
        heard = f"The desk costs {arrives or price} dollars."
        with record.step("agent", "writer", received=heard, arrivals=[sent]) as writer:
            if is_checked:
                record.did("tool", "check", {"price": price}, "fine")
            writer.produces(f"It costs {arrives or price} dollars.")
        root.produces(f"It costs {arrives or price} dollars.")
    return record


def seen(before: Record, after: Record) -> Comparison:
    return compare(Run("a" * 32, before.steps()), Run("b" * 32, after.steps()))


def names(compared: Comparison) -> list[str]:
    return [pair.step.name for pair in compared.changed]


def test_a_run_and_its_repetition_are_the_same() -> None:
    compared = seen(team("41.50"), team("41.50"))

    assert compared.is_same
    assert not compared
    assert compared.partings == ()
    assert compared.first is None
    assert compared.is_output_same
    assert len(compared.pairs) == len(team("41.50").steps())


def test_two_runs_part_where_the_same_question_got_another_answer() -> None:
    compared = seen(team("41.50"), team("415.00"))

    assert compared.first is not None
    assert compared.first.pair.step.name == "get_offer"
    assert compared.first.side == "produced"
    assert "answered something else" in compared.first.why
    assert len(compared.partings) == 1
    assert names(compared) == ["team", "seeker", "get_offer", "seeker to writer", "writer"]
    assert [change.after for change in compared.output] == ["It costs 415.00 dollars."]


def test_what_arrives_otherwise_than_it_was_sent_parts_on_the_way() -> None:
    compared = seen(team("41.50"), team("41.50", arrives="14.50"))

    assert compared.first is not None
    assert compared.first.pair.step.kind == "handoff"
    assert [parting.pair.step.kind for parting in compared.partings] == ["handoff"]


def test_a_step_of_one_run_alone_is_told_with_its_place() -> None:
    compared = seen(team("41.50"), team("41.50", is_checked=True))
    reverse = seen(team("41.50", is_checked=True), team("41.50"))

    assert [pair.step.name for pair in compared.appeared] == ["check"]
    assert [pair.step.name for pair in reverse.vanished] == ["check"]
    assert compared.first is not None
    assert compared.first.side is None
    order = [pair.step.name for pair in reverse.pairs]
    assert order.index("check") == order.index("writer") + 1


def test_ids_and_times_are_no_difference() -> None:
    def talk(id: str) -> Record:
        record = Record(started_ns=1_000 if id == "m-1" else 90_000)
        record.did(
            "agent", f"manager_{id}" + "0" * 16, [{"role": "user", "content": "Hello", "id": id}], "Good day"
        )
        return record

    assert seen(talk("m-1"), talk("m-1")).is_same
    record = Record()
    record.did("agent", "a", [{"role": "user", "content": "Hello", "id": "x"}], "Good day")
    other = Record()
    other.did("agent", "a", [{"role": "user", "content": "Hello", "id": "y"}], "Good day")
    assert seen(record, other).is_same


def test_names_that_hold_an_id_stand_in_one_place() -> None:
    def talk(id: str) -> Record:
        record = Record()
        record.did("route", f"Manager_{id}", "who?", "ada")
        return record

    first, second = "1f0d5e0c-8d2b-4b7e-9a5c-0123456789ab", "9c2b7a11-1111-4222-8333-fedcba987654"
    assert seen(talk(first), talk(second)).is_same


def test_branches_that_ran_in_another_order_are_no_difference() -> None:
    def fan(*order: str) -> Record:
        record = Record()
        with record.step("workflow", "map", received="go") as root:
            for part in order:
                record.did("agent", "worker", part, f"{part} is done")
            root.produces("done")
        return record

    assert seen(fan("north", "south", "east"), fan("east", "north", "south")).is_same


def test_one_more_round_is_one_step_more() -> None:
    def rounds(count: int) -> Record:
        record = Record()
        with record.step("workflow", "loop", received="go") as root:
            for number in range(count):
                record.did("agent", "critic", f"draft {number}", f"remark {number}")
            root.produces("done")
        return record

    compared = seen(rounds(2), rounds(3))

    assert [pair.state for pair in compared.pairs] == ["same", "same", "same", "appeared"]


def test_the_same_sent_to_somebody_else_is_one_step_that_went_elsewhere() -> None:
    def routed(to: str) -> Record:
        record = Record()
        with record.step("workflow", "team", received="go") as root:
            asks = record.did("agent", "asks", "go", "your turn")
            sent = record.handoff(asks, to, "your turn")
            with record.step("agent", to, received="your turn", arrivals=[sent]) as turn:
                turn.produces(f"{to} is done")
            root.produces(f"{to} is done")
        return record

    compared = seen(routed("ada"), routed("bo"))

    assert compared.first is not None
    assert compared.first.pair.is_elsewhere
    assert [pair.step.name for pair in compared.vanished] == ["ada"]
    assert [pair.step.name for pair in compared.appeared] == ["bo"]


def test_two_faults_that_know_nothing_of_each_other_are_two_partings() -> None:
    def two(left: str, right: str) -> Record:
        record = Record()
        with record.step("workflow", "team", received="go") as root:
            a: Draft = record.did("agent", "left", "go", left)
            b: Draft = record.did("agent", "right", "go", right)
            ways = [record.handoff(a, "join", left), record.handoff(b, "join", right)]
            with record.step("agent", "join", received=f"{left}, {right}", arrivals=ways) as join:
                join.produces(f"{left} and {right}")
            root.produces(f"{left} and {right}")
        return record

    compared = seen(two("four hundred", "Oslo"), two("five hundred", "Bergen"))

    assert {parting.pair.step.name for parting in compared.partings} == {"left", "right"}


def test_a_step_is_found_by_either_runs_id() -> None:
    before, after = team("41.50"), team("415.00")
    compared = seen(before, after)

    for step in (*before.steps(), *after.steps()):
        assert compared.pair(step.id).step.name == step.name
    with pytest.raises(KeyError):
        compared.pair("nothing")
