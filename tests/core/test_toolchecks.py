"""The promise: what is wrong with a tool's answer is named, and a proper answer is left alone."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.builders import Draft, Record

from becausal.toolchecks import CHECKS, Breach, check

ORDERS = {"orders": [{"id": f"A-{number}", "total": 12.5 * number} for number in range(1, 6)]}
REPORT = (
    "The market for industrial sensors grew by 7 percent in 2025. Most of the growth came from Asia. "
    "Analysts expect another 5 percent in 2026, with a risk of lower demand in the second half."
)
SHELL = "a.txt\nb.txt\nerror.log\n"


def answering(answer: object, name: str = "search", arguments: object = None) -> list[Breach]:
    """Return what is wrong with one call."""
    record = Record()
    with record.step("agent", "finder"):
        record.did("tool", name, arguments if arguments is not None else {"id": "7"}, answer)
    return check(record.graph())


def kinds(breaches: list[Breach]) -> list[str]:
    return [breach.kind for breach in breaches]


def calls(*made: tuple[str, object, object]) -> list[Breach]:
    """Return what is wrong with several calls: name, arguments, answer."""
    record = Record()
    with record.step("agent", "finder"):
        for name, arguments, answer in made:
            record.did("tool", name, arguments, answer)
    return check(record.graph())


# A proper answer

PROPER: dict[str, object] = {
    "prose": REPORT,
    "prose without a last full stop": "Revenue was 20 million. Growth 5 percent",
    "a word": "yes",
    "a number": 20,
    "zero": 0,
    "false": False,
    "records": ORDERS,
    "json text": json.dumps(ORDERS),
    "a list": [1, 2, 3],
    "a listing with an error in it": SHELL,
    "a text about errors": "Error handling in Python is done with try and except. It is simple.",
    "no errors": "errors: 0\nwarnings: 2",
    "an error beside results": {"results": [1, 2], "error": None},
    "some failed": {"results": [{"id": 1}], "errors": ["row 7 could not be read"]},
    "a status": {"status": "ok", "value": 7},
    "an order's status": {"order_id": "A-7", "status": "failed delivery", "carrier": "X"},
    "a page of html": "<!doctype html><html><head><title>Sensors</title></head><body>fine</body></html>",
    "markdown": "# Report\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n",
    "code": "```python\nprint('…')\n```",
    "in brackets": "[see the appendix for the figures",
    "a quoted ellipsis": "He said: wait ... and then left the room. Nobody knew why.",
    "the last page": {"page": 3, "pages": 3, "items": [1]},
    "all there is": {"total": 2, "items": [1, 2]},
    "no more": {"items": [1, 2], "has_more": False, "next": None},
    "fresh": {"value": 1, "expires_at": "2999-01-01T00:00:00Z"},
    "young": {"value": 1, "age": 5, "ttl": 60},
    "a table": "name,price\nbolt,1.20\nnut,0.40\n",
    "a poem": "Roses are red,\nviolets are blue,",
    "bytes": b"\x00\x01",
    "a 404 in a sentence": "Page 404 of the manual describes the valve.",
    "records alike": [{"id": 1, "price": 2}, {"id": 2, "price": 3}, {"id": 3, "price": 4, "note": "new"}],
}


@pytest.mark.parametrize("answer", PROPER.values(), ids=PROPER)
def test_a_proper_answer_is_left_alone(answer: object) -> None:
    assert kinds(answering(answer)) == []


# Errors

ERRORS: dict[str, object] = {
    "a message": "Error: connection to the database was lost",
    "an exception": "ValueError: could not convert string to float: 'n/a'",
    "a traceback": "Traceback (most recent call last):\n  File \"x.py\", line 1\nKeyError: 'a'",
    "http": "HTTP 502 Bad Gateway",
    "a status line": "503 Service Unavailable",
    "a proxy's page": "<html>\n<head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>",
    "a field": {"error": "rate limit exceeded", "retry_after": 30},
    "json text": '{"error": {"code": 500, "message": "internal"}}',
    "not successful": {"success": False, "data": None},
    "a status field": {"status": "error", "message": "no such table"},
    "a code": {"status_code": 500, "message": "oops"},
    "a limit": "Rate limit exceeded, try again in 20 s",
    "toolnode": "Error executing tool price: ValueError('x')\n Please fix your mistakes.",
    "denied": "Access denied for user 'app'",
}


@pytest.mark.parametrize("answer", ERRORS.values(), ids=ERRORS)
def test_an_error_that_came_as_an_answer_is_one(answer: object) -> None:
    (breach,) = answering(answer)

    assert breach.kind == "tool.error_as_data"
    assert breach.evidence[0]


def test_a_tool_that_raised_has_failed_and_one_whose_error_was_passed_on_told_it_as_data() -> None:
    record = Record()
    for produced in (None, "Error: no such order"):
        with record.step("tool", "get_order", received={"id": 1}) as tool:
            if produced is not None:
                tool.produces(produced)
        tool.step.status, tool.step.error = "error", "KeyError: 1"

    found = check(record.graph())
    assert kinds(found) == ["tool.failed", "tool.error_as_data"]
    assert found[0].evidence == ("KeyError: 1",)


def test_what_a_later_call_brought_is_mended() -> None:
    failed = ("price", {"id": "A-1"}, "HTTP 502 Bad Gateway")
    again, other = ("price", {"id": "A-1"}, {"price": 7}), ("price", {"id": "A-2"}, {"price": 7})

    assert [breach.is_mended for breach in calls(failed, again)] == [True]
    assert [breach.is_mended for breach in calls(failed, other)] == [False]
    assert [breach.is_mended for breach in calls(again, failed)] == [False]


# Cut off

CUT: dict[str, object] = {
    "json in a string": json.dumps(ORDERS)[:50],
    "json after a comma": json.dumps(ORDERS)[: json.dumps(ORDERS).rindex(",") + 1],
    "json after a key": '{"orders": [{"id": "A-1", "total"',
    "json in a number": '[{"id": 1, "total": 12',
    "said so": REPORT + " [truncated]",
    "said so with a count": REPORT + " ... (1,204 more characters)",
    "a flag": {"text": REPORT, "truncated": True},
    "a limit of tokens": {"text": "The", "finish_reason": "length"},
    "half a sentence": REPORT[: REPORT.index("lower demand")],
    "a block of code": "Here it is:\n```python\nfor x in y:\n    pri",
    "a size": ("lorem ipsum dolor sit amet " * 100)[:1000],
}


@pytest.mark.parametrize("answer", CUT.values(), ids=CUT)
def test_an_answer_that_breaks_off_is_cut_off(answer: object) -> None:
    assert kinds(answering(answer)) == ["tool.cut_off"]


def test_an_answer_that_is_the_beginning_of_another_answer_to_the_same_call_is_cut_off() -> None:
    whole, cut = ("page", {"n": 1}, REPORT), ("page", {"n": 1}, REPORT[:60])

    assert [(b.kind, b.is_mended) for b in calls(cut, whole)] == [("tool.cut_off", True)]
    assert kinds(calls(("page", {"n": 2}, REPORT[:60]), whole)) == []


@given(st.data())
def test_json_that_is_cut_anywhere_inside_is_never_taken_for_whole(data: st.DataObject) -> None:
    values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=8,
    )
    whole = json.dumps({"answer": data.draw(values), "n": data.draw(st.integers(10, 99))})
    where = data.draw(st.integers(len('{"answer"'), len(whole) - 1))

    assert "tool.cut_off" in kinds(answering(whole[:where]))
    assert "tool.cut_off" not in kinds(answering(whole))


# Nothing

EMPTY: dict[str, object] = {
    "none": None,
    "an empty text": "",
    "blanks": " \n",
    "no items": [],
    "no fields": {},
    "no results": {"query": "x", "results": [], "total": 0},
    "said so": "No results found for your query.",
}


@pytest.mark.parametrize("answer", EMPTY.values(), ids=EMPTY)
def test_nothing_is_no_answer_to_a_question(answer: object) -> None:
    assert kinds(answering(answer)) == ["tool.empty"]


def test_a_tool_that_does_something_may_have_nothing_to_say() -> None:
    assert kinds(answering(None, name="send_email")) == []
    assert kinds(answering(None, name="remember")) == []
    assert kinds(answering("", name="deletePage")) == []


def test_a_tool_that_answers_otherwise_is_missed_when_it_does_not() -> None:
    found = calls(("remember", {"k": 1}, None), ("remember", {"k": 2}, "kept"))

    assert [(breach.kind, breach.call.arguments) for breach in found] == [("tool.empty", {"k": 1})]


# Pages

PAGES: dict[str, object] = {
    "a flag": {"items": [1, 2], "has_more": True},
    "a cursor": {"items": [1, 2], "next_cursor": "abc"},
    "a total": {"items": [1, 2], "total": 57},
    "pages": {"items": [1, 2], "page": 1, "pages": 3},
    "in an envelope": {"data": [1, 2], "meta": {"total": 57}},
    "json text": '{"items": [1, 2], "total": 57}',
    "in words": "Showing 1-10 of 57 results\n- bolt\n- nut",
}


@pytest.mark.parametrize("answer", PAGES.values(), ids=PAGES)
def test_one_page_of_several_is_partial(answer: object) -> None:
    assert kinds(answering(answer)) == ["tool.partial"]


def test_a_page_as_long_as_was_asked_for_is_whole() -> None:
    answer = {"items": [1, 2], "total": 57}

    assert kinds(answering(answer, arguments={"q": "x", "limit": 2})) == []
    assert kinds(answering(answer, arguments={"q": "x", "limit": 10})) == ["tool.partial"]


def test_pages_that_were_all_fetched_are_mended() -> None:
    first = ("list_orders", {"page": 1}, {"items": [1, 2], "total": 3, "page": 1, "pages": 2})
    second = ("list_orders", {"page": 2}, {"items": [3], "total": 3, "page": 2, "pages": 2})

    assert [(b.call.arguments, b.is_mended) for b in calls(first, second) if b.kind == "tool.partial"][
        :1
    ] == [({"page": 1}, True)]
    assert all(breach.is_mended for breach in calls(first, second))


# Staleness


def test_an_answer_past_its_own_end_is_stale() -> None:
    assert kinds(answering({"value": 1, "expires_at": "1969-01-01T00:00:00Z"})) == ["tool.stale"]
    assert kinds(answering({"value": 1, "age": 120, "ttl": 60})) == ["tool.stale"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"price": 2, "version": 2}, {"price": 1, "version": 1}),
        ({"price": 2, "updated_at": "2026-05-03"}, {"price": 1, "updated_at": "2026-05-01"}),
        ({"price": 2, "version": "v2"}, {"price": 1, "version": "v1"}),
    ],
    ids=["version", "date", "v"],
)
def test_an_older_answer_after_a_newer_one_is_stale(before: object, after: object) -> None:
    call = ("price", {"id": "A-1"})

    assert kinds(calls((*call, before), (*call, after))) == ["tool.stale"]
    assert kinds(calls((*call, after), (*call, before))) == []
    assert kinds(calls((*call, before), ("price", {"id": "A-2"}, after))) == []


def test_an_answer_that_came_back_after_another_was_kept_by_somebody() -> None:
    old, new = ("price", {"id": 1}, {"price": 10}), ("price", {"id": 1}, {"price": 12})

    assert kinds(calls(old, new, old)) == ["tool.stale"]
    assert kinds(calls(old, old, new, new)) == []
    assert kinds(calls(old, new, old, new)) == ["tool.stale"]


# Relevance


def test_an_answer_about_another_identifier_is_irrelevant() -> None:
    (breach,) = answering({"order_id": "B-99", "total": 12}, name="get_order", arguments={"order_id": "A-17"})

    assert breach.kind == "tool.irrelevant"
    assert "A-17" in breach.message
    assert "B-99" in breach.message
    assert answering({"order_id": "a-17"}, name="get_order", arguments={"order_id": "A-17"}) == []


def test_an_answer_about_another_subject_of_several_words_is_irrelevant() -> None:
    def of(its: str) -> list[str]:
        return kinds(answering({"item": its, "price": 12}, name="get_offer", arguments={"item": "oak desk"}))

    assert of("garden gnome") == ["tool.irrelevant"]
    assert of("Oak Desk, large") == []
    assert of("Schreibtisch") == []  # one word may be a translation


def test_an_answer_without_one_word_of_the_query_is_irrelevant() -> None:
    recipe = "Peel the potatoes, boil them gently in salted water, then mash with butter, milk and a little nutmeg."
    query = {"query": "market size of industrial sensors"}

    assert kinds(answering(recipe, arguments=query)) == ["tool.irrelevant"]
    assert kinds(answering(REPORT, arguments=query)) == []
    assert kinds(answering(recipe, name="translate", arguments=query)) == []


# Shape


def test_an_answer_of_another_shape_than_the_others_is_a_breach_of_schema() -> None:
    made = [("price", {"id": n}, {"id": n, "price": 10 + n}) for n in range(3)]
    drifted = ("price", {"id": 9}, {"id": 9, "unit_price": 0})
    retyped = ("price", {"id": 9}, {"id": 9, "price": "on request"})

    (breach,) = calls(*made, drifted)
    assert (breach.kind, breach.evidence) == ("tool.schema", ("missing: price", "new: unit_price"))
    assert kinds(calls(*made, retyped)) == ["tool.schema"]
    assert kinds(calls(*made, ("price", {"id": 9}, {"id": 9, "price": 7, "note": "sale"}))) == []


def test_one_item_whose_field_has_another_name_is_a_breach_of_schema() -> None:
    rows = [{"id": 1, "price": 2}, {"id": 2, "price": 3}, {"id": 3, "unit_price": 4}]

    assert kinds(answering(rows)) == ["tool.schema"]


# The call


def decided(arguments: object, executed: object, *, as_text: bool = False) -> list[Breach]:
    record = Record()
    call = {"id": "c1", "name": "order", "args" if not as_text else "arguments": arguments}
    with record.step("agent", "buyer"):
        model = record.did("model", "m", "prompt", {"content": "", "tool_calls": [call]})
        tool: Draft = record.did("tool", "order", executed, "ordered", call="c1")
        tool.caused_by(model, "data", "observed")
        evidence = tool.step.causes[0]
        tool.step.causes = [type(evidence)(model.id, "data", "observed", "tool call id c1")]
    return check(record.graph())


def test_other_arguments_than_were_decided_are_told_with_both() -> None:
    (breach,) = decided({"item": "bolt", "count": 10}, {"item": "bolt", "count": 100})

    assert breach.kind == "tool.not_as_decided"
    assert breach.evidence == ("decided: count=10", "executed: count=100")
    assert kinds(decided({"item": "bolt", "count": 10}, {"item": "bolt"})) == ["tool.not_as_decided"]
    assert kinds(decided('{"item": "bolt"}', {"item": "nut"}, as_text=True)) == ["tool.not_as_decided"]


def test_what_a_schema_makes_of_arguments_is_as_decided() -> None:
    assert decided({"count": "10", "tags": ["a"]}, {"count": 10, "tags": ("a",), "unit": "pc"}) == []
    assert decided('{"count": 10}', {"count": 10.0}, as_text=True) == []
    assert decided({"item": "bolt"}, "bolt") == []


def test_an_effect_that_was_had_twice_is_told() -> None:
    pay = ("send_payment", {"to": "X", "amount": 10}, {"paid": True})

    (breach,) = calls(pay, pay)
    assert breach.kind == "tool.repeated"
    assert kinds(calls(pay, ("send_payment", {"to": "Y", "amount": 10}, {"paid": True}))) == []
    assert kinds(calls(("get_price", {"id": 1}, 7), ("get_price", {"id": 1}, 7))) == []
    once = ("send_payment", {"to": "X", "idempotency_key": "k"}, {"paid": True})
    assert kinds(calls(once, once)) == []


# All of them


def test_a_kind_that_is_left_out_is_not_checked() -> None:
    record = Record()
    record.did("tool", "search", {"q": 1}, "")

    assert kinds(check(record.graph())) == ["tool.empty"]
    assert check(record.graph(), leave_out=CHECKS) == []


def test_a_content_that_was_not_kept_is_not_judged() -> None:
    record = Record()
    record.did("tool", "search", {"q": 1}, "")
    record.bodies.clear()

    assert check(record.graph()) == []


@given(st.text(), st.sampled_from(["search", "send_mail", "x"]))
def test_no_text_upsets_a_check(text: str, name: str) -> None:
    for answer in (text, {"content": text}, [text], {text: text}):
        assert all(breach.evidence for breach in answering(answer, name=name, arguments={"query": text}))


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        '{"a":' * 50_000,
        "error" * 100_000,
        " " * 1_000_000,
        '"' * 300_000,
        "a, " * 300_000,
        "<" * 300_000,
    ],
    ids=["brackets", "nested", "errors", "blanks", "quotes", "commas", "tags"],
)
def test_a_text_made_to_upset_a_check_is_judged_in_bounded_work(text: str) -> None:
    answering(text)  # a pattern or a search that is not linear would run for hours


def test_a_run_of_many_calls_is_checked_without_comparing_all_with_all() -> None:
    generator = random.Random(7)
    made = [("price", {"id": n}, {"id": n, "price": generator.randrange(100)}) for n in range(2_000)]

    assert calls(*made) == []
