"""The promise: a figure is led to the step that put it in another one's place, before anybody reckons how it came."""

from __future__ import annotations

import pytest
from tests.core.builders import Draft, Record
from tests.core.test_blame_parts import came_from, team

from becausal.blame import Segment, blame
from becausal.graph import Graph
from becausal.run import Run

NOTES = "The plant made 1,250 units in March, employs 775 people, shipped 60 orders and earned 48000 EUR."


def row_of(*said: str, asked: str = "How did the plant do?") -> Record:
    """Agents in a row, each of which receives what the one before it said; the last one's word is the output."""
    record = Record()
    with record.step("workflow", "team", received=asked) as whole:
        heard = asked
        before: Draft | None = None
        for number, text in enumerate(said):
            name = f"agent {number}"
            arrivals = [] if before is None else [record.handoff(before, name, heard)]
            with record.step("agent", name, received=heard, arrivals=arrivals) as before:
                before.produces(text)
            heard = text
        whole.produces(heard)
    return record


def changes(segment: Segment) -> list[tuple[str, str, str, str]]:
    return [(change.kind, change.step.name, change.before, change.after) for change in segment.changes]


def asked_for(graph: Graph, text: str) -> Segment:
    return blame(graph, text).segments[0]


@pytest.mark.parametrize(
    ("said", "how"),
    [
        ("12,500", None),
        ("12,521", "mean"),
        ("12,521.3", "mean"),
        ("12,520.3", None),
        ("about 12,500", "mean"),
        ("about 13,500", None),
    ],
)
def test_a_figure_is_reckoned_only_where_that_gives_it_as_it_is_written(said: str, how: str | None) -> None:
    given = {"a": 1_250, "b": 775, "c": 60, "d": 48_000}
    graph = team(("db", given), heard="a 1250, b 775, c 60, d 48000", said=f"It comes to {said} in all.")

    found = [one.derived.how for one in blame(graph).segments if one.derived is not None]

    assert found == ([] if how is None else [how])


def test_a_miscopied_figure_is_led_to_who_miscopied_it_and_to_what_it_was() -> None:
    graph = row_of(
        NOTES, NOTES.replace("1,250", "12,500"), f"{NOTES} See?".replace("1,250", "12,500")
    ).graph()

    segment = asked_for(graph, "12,500")

    assert came_from(segment) == ("agent 1", "agent")
    assert changes(segment) == [("changed", "agent 1", "1,250", "12,500")]
    assert segment.derived is None


def test_what_a_finding_knows_of_a_changed_figure_blame_tells_of_it_too() -> None:
    asked = "Book rooms for 120 people below 800 EUR before 3 May 2026."
    changed = asked.replace("800", "950")
    record = row_of(asked, changed, f"So: {changed}", asked=asked)
    run = Run(record.chain_id, record.steps())

    (finding,) = (one for one in run.findings if one.kind == "drift.changed_fact")
    segment = run.blame("950 EUR").segments[0]

    assert segment.origin == finding.step
    assert [change.kind for change in segment.changes] == ["changed"]
    assert segment.changes[0].before in finding.right[0]


def test_within_a_sentence_of_the_output_a_changed_figure_is_told_by_itself() -> None:
    graph = row_of(NOTES, NOTES.replace("1,250", "12,500")).graph()

    found = {one.text: changes(one) for one in blame(graph).segments}

    assert found["12,500"] == [("changed", "agent 1", "1,250", "12,500")]


def test_a_figure_that_changed_between_sent_and_received_is_told_with_what_was_sent() -> None:
    record = Record()
    with record.step("workflow", "team", received="q") as whole:
        sender = record.did("agent", "researcher", "q", NOTES)
        handoff = record.handoff(sender, "writer", NOTES)
        arrived = NOTES.replace("1,250", "12,500")
        with record.step("agent", "writer", received=arrived, arrivals=[handoff]) as writer:
            writer.produces(arrived)
        whole.produces(arrived)

    segment = asked_for(record.graph(), "12,500")

    assert segment.in_transit
    assert [(before, after) for _, _, before, after in changes(segment)] == [("1,250", "12,500")]


def test_a_figure_that_was_reckoned_from_the_one_in_whose_place_it_stands_is_no_change() -> None:
    graph = row_of("The price is 840 EUR, with a discount of 15%.", "The price is 714 EUR.").graph()

    segment = asked_for(graph, "714 EUR")

    assert changes(segment) == []
    assert segment.derived is not None
    assert {operand.text for operand in segment.derived.operands} == {"840 EUR", "15%"}


def test_a_figure_that_changed_again_and_again_is_led_to_the_first_change() -> None:
    said = [
        f"Order {number} oak desks, at most 90,000 USD, by 3 May 2027." for number in (400, 413, 426, 439)
    ]
    record = row_of(*said, asked=said[0])
    run = Run(record.chain_id, record.steps())

    segment = run.blame("439").segments[0]

    assert [(change.before, change.after) for change in segment.changes] == [
        ("400", "413"), ("413", "426"), ("426", "439"),
    ]  # fmt: skip
    assert [one.step for one in run.findings if one.kind == "drift.changed_fact"] == [segment.changes[0].step]
