"""Promises of the facts of data, and of what is missing, added or changed between two sides."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import subprocess
import sys
import uuid
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, ToolMessage

from becausal.canonical import plain
from becausal.facts import added, changed, facts, hedges_lost, missing

ORDER: dict[str, Any] = {
    "order_id": 88213,
    "customer": "Helena Costa",
    "placed": dt.datetime(2026, 11, 12, 9, 5, tzinfo=dt.UTC),
    "price": 79.5,
    "currency": "EUR",
    "weight_kg": 2.5,
    "discountPct": 10,
    "express": True,
    "remark": None,
}


def stated(value: object) -> list[tuple[str, object]]:
    return [(fact.kind, fact.value) for fact in facts(value)]


def gone(before: object, after: object) -> list[str]:
    return [fact.text for fact in missing(facts(before), facts(after), text=str(after))]


def became(before: object, after: object) -> list[tuple[str, str]]:
    return [(old.text, new.text) for old, new in changed(facts(before), facts(after), text=str(after))]


# Data


def test_a_key_says_what_the_value_beside_it_is() -> None:
    assert stated(ORDER) == [
        ("id", "88213"),
        ("name", "helena costa"),
        ("date", (2026, 11, 12)),
        ("time", ("09:05", 0)),
        ("money", (Decimal("79.5"), "EUR")),
        ("quantity", ("mass", Decimal("2.5"))),
        ("percent", Decimal(10)),
    ]
    assert [fact.path for fact in facts(ORDER)][:2] == [("order_id",), ("customer",)]
    assert facts(ORDER)[4].subject == "price"


def test_data_its_json_and_its_json_in_a_fence_state_the_same() -> None:
    order = {**ORDER, "placed": "2026-11-12T09:05:00+00:00"}
    text = json.dumps(order, indent=2)

    assert stated(text) == stated(order)
    assert stated(f"Here is the order:\n\n```json\n{text}\n```\n") == stated(order)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1250, "1,250"),
        (1250.5, "1250.50"),
        (Decimal("1250.50"), "1,250.5"),
        (Fraction(1, 4), "0.25"),
        (dt.date(2026, 5, 3), "3 May 2026"),
        (dt.datetime(2026, 5, 3), "2026-05-03"),
        (dt.datetime(2026, 5, 3, 10, 30), "3 May 2026, 10:30"),
        (dt.time(10, 30), "10:30"),
        (dt.timedelta(hours=2), "120 minutes"),
        (uuid.UUID(int=7), "00000000-0000-0000-0000-000000000007"),
        (None, ""),
        (True, ""),
        (float("nan"), ""),
        (b"12", ""),
        (decimal.Decimal("Infinity"), ""),
    ],
)
def test_a_typed_value_states_what_its_text_does(value: object, text: str) -> None:
    assert stated(value) == stated(text)
    assert stated([value]) == stated([text])


@pytest.mark.parametrize(
    ("fields", "fact"),
    [
        ({"latency_ms": 1500}, ("duration", ("time", Decimal("1.5")))),
        ({"timeoutSeconds": 30}, ("duration", ("time", Decimal(30)))),
        ({"price_usd": 5}, ("money", (Decimal(5), "USD"))),
        ({"amount": "1,250.00", "currency": "usd"}, ("money", (Decimal(1250), "USD"))),
        ({"value": 5, "unit": "kg"}, ("quantity", ("mass", Decimal(5)))),
        ({"requests_per_day": 5}, ("number", Decimal(5))),
        ({"items": 5, "currency": "USD"}, ("number", Decimal(5))),
        ({"ticket": {"id": "AB-1"}}, ("id", "ab-1")),
        ({"invoice_number": 12}, ("id", "12")),
        ({"status": "approved"}, ("term", "approved")),
        ({"2026-05-03": True}, ("date", (2026, 5, 3))),
    ],
)
def test_keys_of_many_forms_are_understood(fields: dict[str, object], fact: tuple[str, object]) -> None:
    assert fact in stated(fields)


def test_what_a_message_carries_beside_its_words_is_no_fact() -> None:
    message = plain([
        AIMessage("It is $5.", id="run-1f2e3d4c", response_metadata={"tokens": 77, "at": "2026-05-03"}),
        ToolMessage("6 kg", tool_call_id="call_77", id="t-99"),
    ])  # fmt: skip

    assert stated(message) == [("money", (Decimal(5), "USD")), ("quantity", ("mass", Decimal(6)))]


# Comparing


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("USD 1,250.00 by 3 May 2026", "By May 3rd, 2026, pay 1250 dollars."),
        (ORDER, "Order #88213 of Helena Costa, 12 November 2026 09:05 UTC: EUR 79.50, 2.5 kg, 10% off"),
        ("3 May", "3 May 2026"),
        ("10:30", "10:30 UTC"),
        ({"price": 1250}, "$1,250"),
        ("You must not contact the customer.", "The customer must never be contacted."),
        ("Acme Corp asked.", "acme corp asked"),
        ('He said "at the door".', "He said at the door"),
        ("5 kg. 5 kg. 5 kg.", "5 kg"),
        ("about 5 kg", "5 kg"),
        ("Under $200", "at most $200"),
    ],
)
def test_what_is_said_in_other_words_is_not_missing(before: object, after: object) -> None:
    assert gone(before, after) == []


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        ("$1,250 and 3 May", "3 May", "$1,250"),
        ("ORD-4711", "ORD-4712", "ORD-4711"),
        ("3 May 2026", "3 May", "3 May 2026"),
        ("5 kg", "5 lb", "5 kg"),
        ("under $200", "$200", "under $200"),
        ("at least 5", "at most 5", "at least 5"),
        ("not $500", "$500", "$500"),
        ("Do not call Ana.", "Call Ana.", "Do not"),
        ("$5", "€5", "$5"),
        ("v1.2.3", "v1.2.4", "v1.2.3"),
        ("Berlin and so in Munich", "Berlin and so in Hamburg", "Munich"),
    ],
)
def test_what_is_no_longer_said_is_missing(before: str, after: str, text: str) -> None:
    assert gone(before, after) == [text]


@pytest.mark.parametrize(
    ("before", "after", "pairs"),
    [
        ("The total is $500.", "The total is 5,000 dollars.", [("$500", "5,000 dollars")]),
        ({"price": 5, "weight": 7}, {"price": 6, "weight": 7}, [("5", "6")]),
        ("The budget is under $200.", "The budget is $200.", [("under $200", "$200")]),
        ("Due date: 3 May 2026", "Due date: 8 May 2026", [("3 May 2026", "8 May 2026")]),
        ("The total is $500.", "We met on 3 May.", []),
        ("They ship to Berlin today", "They ship to Munich today", [("Berlin", "Munich")]),
    ],
)
def test_a_fact_that_became_another_one_is_paired_with_it(
    before: object, after: object, pairs: list[tuple[str, str]]
) -> None:
    assert became(before, after) == pairs


def test_rounding_is_neutral_only_where_it_was_declared() -> None:
    before, after = facts("$1,249.99"), facts("$1,250")

    assert missing(before, after)
    assert not missing(before, after, tolerance=0.001)
    assert missing(before, facts("€1,250"), tolerance=0.001)
    assert added(before, after)
    assert not added(before, after, tolerance=Decimal("0.001"))


def test_a_hedge_that_went_missing_is_told() -> None:
    lost = hedges_lost(facts("Maybe it is 5 kg; it is 7 kg."), facts("It is 5 kg and 7 kg."))

    assert [(old.hedge, new.text) for old, new in lost] == [("maybe", "5 kg")]
    assert not hedges_lost(facts("maybe 5 kg"), facts("perhaps 5 kg"))
    assert not hedges_lost(facts("maybe 5 kg. It is 5 kg."), facts("5 kg"))


values = st.recursive(
    st.one_of(
        st.integers(-99, 99),
        st.sampled_from(["$5", "3 May 2026", "at most 7", "about 2 kg", "approved", "Do not pay."]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(["price", "due", "note"]), inner)
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(values, values)
def test_what_is_missing_one_way_is_added_the_other_way(a: object, b: object) -> None:
    one, other = facts(a), facts(b)

    assert missing(one, one) == ()
    assert added(one, other) == missing(other, one)
    assert not missing(one, (*other, *one))
    assert {old.key for old, _ in changed(one, other)} <= {fact.key for fact in missing(one, other)}


def test_importing_becausal_reads_no_register_of_locales() -> None:
    code = "import sys, becausal; assert not {'babel', 'becausal.facts.language'} & set(sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
