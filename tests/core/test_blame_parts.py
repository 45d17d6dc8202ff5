"""The promise: what a piece is made of is led back by itself, in whatever form it was given; nothing is invented."""

from __future__ import annotations

import json

import pytest
from tests.core.builders import Record, message

from becausal.blame import Blame, Segment, blame
from becausal.graph import Graph
from becausal.graph.wording import figures


def team(*given: tuple[str, object], heard: str, said: object, asked: str = "q") -> Graph:
    """A team in which tools give what one model hears; what it says is the output."""
    record = Record()
    with record.step("workflow", "team", received=asked) as whole:
        for name, value in given:
            record.did("tool", name, {}, value)
        record.did(
            "model", "m", [message("human", heard)], message("ai", said if isinstance(said, str) else "data")
        )
        whole.produces(said)
    return record.graph()


def part(found: Blame, text: str) -> Segment:
    return next(segment for segment in found.segments if segment.text == text)


def came_from(segment: Segment) -> tuple[str | None, str]:
    return None if segment.origin is None else segment.origin.name, segment.source


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("USD 1,250.00", "1250 dollars"),
        ("USD 1,250.00", "$1,250"),
        ("2026-05-03", "3 May 2026"),
        ("May 3, 2026", "2026-05-03"),
        ("20,400,000", "20.4 million"),
        ("12.5%", "12.5 percent"),
        ("PO-48213", "po-48213"),
        ("48,213", "**48213**"),
    ],
)
def test_a_fact_in_another_form_is_led_to_who_gave_it_and_its_forms_are_told(given: str, said: str) -> None:
    graph = team(("db", {"found": given}), heard=f"found: {given}", said=f"In short we note {said} for now.")

    bare = said.strip("*")
    segment = next(one for one in blame(graph).segments if one.part_of is not None and one.text in said)

    assert came_from(segment) == ("db", "tool")
    assert segment.text == bare
    if given.casefold() != bare:
        assert [(change.kind, change.after) for change in segment.changes] == [("reformatted", bare)]


def test_of_two_equal_values_the_one_under_the_same_key_is_meant() -> None:
    graph = team(
        ("first", {"tax_rate": 19}), ("second", {"members": 19}), heard="rate 19, members 19",
        said={"members": 19, "tax_rate": 19},
    )  # fmt: skip

    found = {segment.at: came_from(segment) for segment in blame(graph).segments}

    assert found == {"$.members": ("second", "tool"), "$.tax_rate": ("first", "tool")}


def test_of_many_equal_figures_each_is_led_back_by_its_own_words_whichever_was_asked_about_before() -> None:
    told = {
        "rooms": "Of rooms there are 19 here",
        "floors": "We counted 19 floors",
        "doors": "19 doors it has",
    }
    said = [f"It has 19 {name}." for name in ("doors", "rooms", "floors")]
    record = Record()
    with record.step("workflow", "team", received="q") as whole:
        for name, text in told.items():
            record.did("tool", name, {}, text)
        record.did("model", "m", [message("human", "doors 19, floors 19, rooms 19")], said)
        whole.produces(said)

    found = blame(record.graph()).segments

    figures = {segment.part_of: came_from(segment) for segment in found if segment.text == "19"}
    assert figures == {f"It has 19 {name}.": (name, "tool") for name in told}


def test_data_that_a_model_wrote_as_text_is_cut_into_its_fields() -> None:
    answer = json.dumps({"rate": {"eur": 4711}, "note": "all is well here"})
    graph = team(("db", {"eur": 4711}), heard="eur: 4711", said=f"```json\n{answer}\n```")

    found = {segment.at: came_from(segment) for segment in blame(graph).segments}

    assert found == {"$.rate.eur": ("db", "tool"), "$.note": ("m", "model")}


def test_what_is_quoted_in_a_longer_sentence_is_led_back_by_itself() -> None:
    quoted = "The harbour closes at nine"
    graph = team(("port", f"{quoted}."), heard=f"{quoted}.", said=f"They write: {quoted}, so we hurry.")

    segment = part(blame(graph), quoted)

    assert came_from(segment) == ("port", "tool")
    assert [change.kind for change in segment.changes] == ["quoted"]
    assert segment.part_of == f"They write: {quoted}, so we hurry."


@pytest.mark.parametrize("end", ["", "…", "..."])
def test_a_sentence_that_was_cut_is_its_author_s_and_what_it_was_before_is_told(end: str) -> None:
    whole = "The harbour closes at nine in the evening on every day of the week"
    graph = team(("port", f"{whole}."), heard=f"{whole}.", said=f"The harbour closes at nine in the eve{end}")

    (segment,) = blame(graph).segments

    assert came_from(segment) == ("port", "tool")
    assert [(change.kind, change.before) for change in segment.changes] == [("cut", f"{whole}.")]


def test_a_changed_figure_in_a_sentence_that_a_tool_gave_is_the_model_s() -> None:
    graph = team(
        ("db", "The revenue of Acme in 2025 was 21,340 EUR."), heard="The revenue of Acme in 2025 was 21,340 EUR.",
        said="The revenue of Acme in 2025 was 31,340 EUR.",
    )  # fmt: skip

    (asked,) = blame(graph, "31,340").segments
    found = blame(graph).segments

    assert came_from(asked) == ("m", "model")
    assert came_from(part(blame(graph), "The revenue of Acme in 2025 was")) == ("db", "tool")
    assert not any("31,340" in segment.text for segment in found if segment.source == "tool")


@pytest.mark.parametrize(
    ("given", "said", "how", "operands"),
    [
        ({"net": 17_250, "tax": 3_277}, "20,527", "sum", {"17250", "3277"}),
        ({"gross": 20_527, "tax": 3_277}, "17,250", "difference", {"20527", "3277"}),
        ({"count": 312, "price": 477}, "148,824", "product", {"312", "477"}),
        ({"part": 312, "whole": 4_771}, "6.54%", "share", {"312", "4771"}),
        ({"rows": [{"eur": 1_013}, {"eur": 2_027}, {"eur": 977}]}, "4,017", "sum", {"1013", "2027", "977"}),
        ({"rows": [{"eur": 1_013}, {"eur": 2_027}, {"eur": 977}]}, "1,339", "mean", {"1013", "2027", "977"}),
        ({"exact": 4711.6234}, "4,711.6", "rounded", {"4711.6234"}),
        ({"start": "2026-03-01", "end": "2026-05-03"}, "63 days", "difference", {"2026-03-01", "2026-05-03"}),
        ({"distance": "3312 km"}, "3,312,000 m", "converted", {"3312 km"}),
    ],
)
def test_a_figure_that_was_reckoned_is_told_with_how_and_its_operands_with_their_way(
    given: dict[str, object], said: str, how: str, operands: set[str]
) -> None:
    graph = team(("db", given), heard=json.dumps(given), said=f"It comes to {said} in all.")

    (segment,) = (one for one in blame(graph).segments if one.derived is not None)

    assert segment.derived is not None
    assert came_from(segment) == ("m", "model")
    assert (segment.derived.how, segment.derived.is_sure) == (how, True)
    assert {operand.text for operand in segment.derived.operands} == operands
    assert {came_from(operand) for operand in segment.derived.operands} == {("db", "tool")}
    assert {operand.path[-1].name for operand in segment.derived.operands} == {"m"}


def test_a_count_is_told_where_the_list_is_named() -> None:
    given = {"orders": [{"id": "A-1"}, {"id": "A-2"}, {"id": "A-3"}], "page": 7}
    graph = team(("db", given), heard=json.dumps(given), said="There are 3 orders in all.")

    found = [segment for segment in blame(graph).segments if segment.derived is not None]

    assert [segment.derived and segment.derived.how for segment in found] == ["count"]


def test_a_figure_that_follows_from_nothing_is_the_model_s_and_not_derived() -> None:
    given = {"net": 17_250, "tax": 3_277}
    graph = team(("db", given), heard=json.dumps(given), said="It comes to 88,413 in all.")

    found = blame(graph).segments

    assert {came_from(segment) for segment in found} == {("m", "model")}
    assert all(segment.derived is None for segment in found)


def test_a_figure_of_few_digits_beside_many_figures_is_not_said_to_be_derived() -> None:
    given = {name: 1_013 + 377 * number for number, name in enumerate("abcdefghijkl")}
    graph = team(("db", given), heard=json.dumps(given), said="It grew by 41% in all.")

    assert all(segment.derived is None for segment in blame(graph).segments)


def test_what_an_agent_s_code_reckoned_is_the_agent_s_with_its_operands_in_the_tools_that_it_called() -> None:
    record = Record()
    with record.step("workflow", "team", received="q") as whole:
        with record.step("agent", "coder", received="q") as coder:
            record.did("tool", "db", {}, {"net": 17_250, "tax": 3_277})
            coder.produces({"total": 20_527})
        whole.produces({"total": 20_527})

    (segment,) = blame(record.graph()).segments

    assert came_from(segment) == ("coder", "agent")
    assert segment.derived is not None
    assert {operand.origin and operand.origin.name for operand in segment.derived.operands} == {"db"}


def test_a_word_that_begins_what_is_told_behind_a_colon_is_not_led_back_to_whoever_worded_it_so_too() -> None:
    record = Record()
    with record.step("workflow", "team", received="Count the turns") as team:
        messages: list[dict[str, object]] = []
        for turn in (9, 10, 11):
            with record.step("agent", "counter", received={"messages": list(messages)}) as draft:
                messages.append(message("ai", f"Turn {turn}: Noted."))
                draft.produces({"messages": messages[-1:]})
        team.produces({"messages": messages})

    assert "Noted" not in [segment.text for segment in blame(record.graph()).segments]


def test_a_name_behind_a_colon_is_led_back_to_who_gave_it() -> None:
    graph = team(
        ("db", {"town": "Oslo"}),
        heard="town: Oslo",
        said="It goes where you said, that is to: Oslo today.",
    )

    assert came_from(part(blame(graph), "Oslo")) == ("db", "tool")


def test_data_in_the_middle_of_a_prompt_is_read_as_data() -> None:
    heard = f"Use this:\n{json.dumps({'found': 'on Friday at noon'}, indent=2)}\nand be brief."
    graph = team(("db", {"found": "on Friday at noon"}), heard=heard, said="We meet on Friday at noon.")

    assert came_from(part(blame(graph), "on Friday at noon")) == ("db", "tool")
    assert any(edge.source.name == "db" and edge.target.name == "m" for edge in graph.edges)


def test_what_stands_in_a_secret_s_place_is_no_figure_of_the_model_s() -> None:
    marker = "[redacted:anthropic_key:5187a30a]"
    graph = team(("db", {"key": marker}), heard=f"key: {marker}", said=f"We used {marker} for 20 calls.")

    assert all(segment.text not in ("5187a30a", "5187") for segment in blame(graph).segments)
    assert not figures(f"{marker} and {marker}")
