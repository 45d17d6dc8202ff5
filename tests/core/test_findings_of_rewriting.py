"""The promise: what a turn leaves out of a record that it passes on is told, and what it makes of one is not."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.builders import Record

from becausal import semconv
from becausal.finding import Finding
from becausal.findings.rewriting import of_rewriting
from becausal.findings.scene import Scene
from becausal.run import Run

BRIEF: dict[str, Any] = {
    "order_id": "A-1001",
    "amount_usd": 1250,
    "customer": {"name": "Ada Byron", "email": "ada@example.org", "tier": "gold"},
    "must": "refund within 14 days, and never without a receipt of the shop",
}


def turned(given: object, made: object, *, later: object = "go on", tool: object = None) -> list[Finding]:
    """Have one turn make something of what it was given, and a later one hear something else."""
    record = Record()
    with record.step("workflow", "team", received="q") as team:
        with record.step("agent", "clerk", received=given, produced=made):
            if tool is not None:
                record.did("tool", "pay", tool, "done")
        with record.step("agent", "writer", received=later, produced="done"):
            pass
        team.produces("done")
    run = Run(record.chain_id, record.steps())
    return list(of_rewriting(Scene(run.graph, run.handoffs)))


def told(*found: Finding) -> list[tuple[str, str, str | None, str | None]]:
    return [(f.kind, f.severity, f.key, f.agent) for f in found]


def without(*path: str) -> dict[str, Any]:
    brief = copy.deepcopy(BRIEF)
    inner = brief
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return brief


def test_a_field_that_is_left_out_is_told_at_any_depth_with_its_words() -> None:
    (found,) = turned(BRIEF, without("amount_usd"))
    assert told(found) == [("handoff.dropped", "warning", "$.amount_usd", "clerk")]
    assert found.evidence == ("before: 1250",)
    assert "1250" in found.message

    deep = turned({"brief": BRIEF, "round": 1}, {"brief": without("customer", "email"), "round": 2})
    assert told(*deep) == [("handoff.dropped", "warning", "$.brief.customer.email", "clerk")]


def test_a_record_in_the_json_of_a_message_is_a_record() -> None:
    given = [{"type": "human", "content": json.dumps(BRIEF)}]
    made = {"type": "ai", "content": json.dumps(without("amount_usd"))}

    assert told(*turned(given, made)) == [("handoff.dropped", "warning", "$.content.amount_usd", "clerk")]


def test_a_text_that_breaks_off_and_a_record_that_became_a_text_are_told() -> None:
    cut = turned(BRIEF, {**BRIEF, "must": BRIEF["must"][:40]})
    assert told(*cut) == [("handoff.truncated", "warning", "$.must", "clerk")]
    flat = turned(BRIEF, {**BRIEF, "customer": "Ada Byron"})
    assert told(*flat) == [("handoff.flattened", "warning", "$.customer", "clerk")]


CLEAN: list[tuple[str, object, object, dict[str, Any]]] = [
    ("nothing was changed", BRIEF, BRIEF, {}),
    ("a field was put to it", BRIEF, {**BRIEF, "checked": True}, {}),
    ("another value", BRIEF, {**BRIEF, "amount_usd": 1300}, {}),
    ("the order of the keys", BRIEF, dict(reversed(BRIEF.items())), {}),
    ("something else was made of it", BRIEF, {"answer": "refund", "of": "A-1001", "usd": 1250}, {}),
    ("two fields were taken out", BRIEF, {"order_id": "A-1001", "amount_usd": 1250}, {}),
    ("said otherwise", BRIEF, {"brief": without("amount_usd"), "note": "it is about USD 1,250"}, {}),
    ("put to use", BRIEF, without("amount_usd"), {"tool": {"usd": 1250}}),
    ("found elsewhere later", BRIEF, without("amount_usd"), {"later": "refund $1,250 to Ada Byron"}),
    ("state of work", {**BRIEF, "pending": "ask A-7"}, BRIEF, {}),
    ("it was empty", {**BRIEF, "extra": ""}, BRIEF, {}),
    ("the record of another row", [BRIEF, {**BRIEF, "order_id": "A-2"}], [{**BRIEF, "order_id": "A-2"}], {}),
    ("a summary", BRIEF, "Refund $1,250 for A-1001 to Ada Byron within 14 days.", {}),
]


@pytest.mark.parametrize(("given", "made", "more"), [row[1:] for row in CLEAN], ids=[row[0] for row in CLEAN])
def test_what_a_turn_makes_of_a_record_is_no_loss(given: object, made: object, more: dict[str, Any]) -> None:
    assert [f for f in turned(given, made, **more) if f.severity != "note"] == []


def test_mere_words_and_a_shorter_list_are_worth_a_note() -> None:
    worded = {**BRIEF, "mood": "rather friendly and calm"}
    assert told(*turned(worded, BRIEF)) == [("handoff.dropped", "note", "$.mood", "clerk")]
    rows = {"order_id": "A-1", "shop": "Acme", "prices": ["bolts $10", "nuts $20", "nails $30"]}
    fewer = turned(rows, {**rows, "prices": ["bolts $10"]})
    assert told(*fewer) == [("handoff.truncated", "note", "$.prices", "clerk")]


def test_what_a_contract_allows_is_worth_a_note() -> None:
    record = Record()
    made = without("amount_usd")
    with record.step("workflow", "team", received="q", produced="done"):
        with record.step("agent", "clerk", received=BRIEF, produced=made) as clerk:
            pass
        allows: dict[str, Any] = {semconv.CONTRACT_ALLOWS: ("drop:amount_usd",)}
        handoff = record.handoff(clerk, "writer", made, attributes=allows)
        with record.step("agent", "writer", received=made, produced="done", arrivals=[handoff]):
            pass
    run = Run(record.chain_id, record.steps())

    assert [f.severity for f in of_rewriting(Scene(run.graph, run.handoffs))] == ["note"]


def test_fields_of_a_state_that_a_node_does_not_write_are_left_to_the_others() -> None:
    record = Record()
    state = {"brief": BRIEF, "plan": "look at A-1001 first, then at the shop", "count": 3}
    with record.step("workflow", "graph", received="q", produced="done"):
        with record.step("agent", "clerk", received=state, produced={"count": 4}) as clerk:
            clerk.step.attributes[semconv.STATE_WRITTEN] = ("count@2",)
        with record.step("agent", "eraser", received=state, produced={"brief": None, "plan": ""}) as eraser:
            eraser.step.attributes[semconv.STATE_WRITTEN] = ("brief@3", "plan@3")
    run = Run(record.chain_id, record.steps())

    assert list(of_rewriting(Scene(run.graph, run.handoffs))) == []


RECORDS = st.dictionaries(
    st.sampled_from([f"field_{letter}" for letter in "abcdefgh"]),
    st.integers(1_000, 10**9) | st.from_regex(r"[A-Z]{2}-[1-9][0-9]{4}", fullmatch=True),
    min_size=4,
    max_size=8,
)


@given(RECORDS, st.data())
def test_every_field_that_is_left_out_of_a_record_is_named_and_nothing_else(
    inner: dict[str, Any], data: st.DataObject
) -> None:
    if len(set(map(str, inner.values()))) < len(inner):
        return  # what it says would still be said
    gone = data.draw(st.sampled_from(sorted(inner)))
    made = {key: value for key, value in inner.items() if key != gone}

    assert turned({"x": {"y": inner}}, {"x": {"y": dict(inner)}}) == []
    found = turned({"x": {"y": inner}, "z": 1}, {"x": {"y": made}, "z": 2})
    assert [(f.kind, f.key) for f in found] == [("handoff.dropped", f"$.x.y.{gone}")]


def test_a_run_of_many_turns_is_judged_in_work_that_grows_with_it() -> None:
    import sys

    def calls(turns: int) -> int:
        record = Record()
        with record.step("workflow", "team", received="q", produced="done"):
            for number in range(turns):
                given = {**BRIEF, "amount_usd": 5_000 + number}
                record.did("agent", "clerk", given, {k: v for k, v in given.items() if k != "amount_usd"})
        run = Run(record.chain_id, record.steps())
        scene = Scene(run.graph, run.handoffs)
        count = 0

        def counting(*_: object) -> None:
            nonlocal count
            count += 1

        sys.setprofile(counting)
        try:
            list(of_rewriting(scene))
        finally:
            sys.setprofile(None)
        return count

    assert calls(400) < 3 * calls(200)
