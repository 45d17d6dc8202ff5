"""Promises of the delta: complete, told in words that mean something, never raising, near-linear."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import math
import time
import uuid
import zoneinfo
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from becausal.canonical import Cycle, Missing, Opaque, Record, decode, encode, plain
from becausal.delta import Change, Delta, apply, delta, same


def told(before: object, after: object) -> list[tuple[str, str]]:
    """Return kind and path of each change, having checked the law."""
    found = delta(before, after)
    assert same(apply(found, before), after)
    return [(change.kind, change.path) for change in found]


def decoded(value: object) -> Any:
    encoded = encode(value)
    return decode(encoded.body, dict(encoded.parts).get)


# The law

leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.floats(),
    st.text("ab….", max_size=5),
    st.binary(max_size=3),
    st.decimals(),
    st.dates(),
    st.datetimes(timezones=st.sampled_from([None, dt.UTC, zoneinfo.ZoneInfo("Asia/Tokyo")])),
    st.sampled_from(
        [Opaque("class", "int"), Missing(b"1" * 16), Cycle(2), uuid.UUID(int=1), 2**70, Fraction(1, 2)]
    ),
)
pairs = st.tuples(st.integers(0, 1), st.floats())
keys = st.one_of(st.text("ab1", max_size=2), st.integers(-1, 1), st.booleans(), st.none(), st.floats(), pairs)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(keys, inner, max_size=4),
        st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
        st.builds(
            Record, st.sampled_from(["app.A", "app.B"]), st.dictionaries(st.sampled_from("abc"), inner)
        ),
        st.sets(keys, max_size=3),
        st.frozensets(st.integers(0, 2), max_size=3),
        st.lists(st.fixed_dictionaries({"id": st.sampled_from("xyz"), "content": inner}), max_size=4),
    ),
    max_leaves=14,
)


@st.composite
def edited(draw: st.DrawFn) -> tuple[Any, Any]:
    """Draw a value and what a few small edits make of it."""
    items = draw(st.lists(values, max_size=6))
    other = list(items)
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(other)))
        match draw(st.integers(0, 3)):
            case 0:
                other.insert(place, draw(values))
            case 1 if other:
                other.pop(place % len(other))
            case 2 if other:
                other[place % len(other)] = draw(values)
            case _ if len(other) > 1:
                other.append(other.pop(place % len(other)))
            case _:
                pass
    wrap = draw(st.sampled_from([lambda v: v, lambda v: {"messages": v}, tuple]))
    return wrap(items), wrap(other)


@settings(max_examples=600, deadline=None)
@given(st.one_of(st.tuples(values, values), edited()))
def test_a_delta_applied_to_the_first_value_gives_the_second(pair: tuple[Any, Any]) -> None:
    before, after = pair
    copy = decoded(before) if same(decoded(before), before) else before

    found = delta(before, after)

    assert same(apply(found, before), after)
    assert bool(found) is not same(before, after)
    assert same(before, copy)


@settings(max_examples=200, deadline=None)
@given(values)
def test_a_value_does_not_differ_from_itself_nor_from_a_copy(value: Any) -> None:
    assert not delta(value, value)
    if same(decoded(value), value):
        assert not delta(value, decoded(value))


@settings(max_examples=200, deadline=None)
@given(values, values)
def test_sameness_is_symmetric_and_agrees_with_the_digest(a: Any, b: Any) -> None:
    assert same(a, b) is same(b, a)
    if same(a, b):
        assert encode(a).digest == encode(b).digest


def test_sameness_minds_types() -> None:
    apart: list[Any] = [1, 1.0, True, "1", b"1", decimal.Decimal(1), decimal.Decimal("1.0"), [1], (1,), {1}]
    apart += [
        frozenset([1]),
        {1: 1},
        {True: 1},
        {"1": 1},
        0.0,
        -0.0,
        Record("a", {"x": 1}),
        Record("b", {"x": 1}),
    ]
    apart += [
        {"x": 1},
        {1.0},
        dt.datetime(2026, 1, 1),
        dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        dt.date(2026, 1, 1),
    ]

    for i, a in enumerate(apart):
        assert [same(a, b) for b in apart] == [i == j for j in range(len(apart))]
    assert same(math.nan, float("nan"))
    assert same({"a": [math.nan]}, {"a": [float("nan")]})


# The words


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, [("dropped", "$.b")]),
        ({"a": 1}, {"a": 1, "odd key": 2}, [("added", '$["odd key"]')]),
        ({"a": {"b": [1, {"c": 2}]}}, {"a": {"b": [1, {"c": 3}]}}, [("changed", "$.a.b[1].c")]),
        ({"a": "long text"}, {"a": "long"}, [("cut", "$.a")]),
        ("long text", "text", [("cut", "$")]),
        ("long text", "ng te", [("cut", "$")]),
        ("long text", "long…", [("cut", "$")]),
        ("long text", "long...", [("cut", "$")]),
        ("long text", "short text", [("changed", "$")]),
        ([1, 2, 3], [1, 2], [("cut", "$")]),
        ([1, 2, 3], [2, 3], [("cut", "$")]),
        ([1, 2, 3], [1, 3], [("dropped", "$[1]")]),
        ([1, 2, 3], [3, 1, 2], [("reordered", "$")]),
        ([1, 2, 3], [0, 1, 2, 3], [("added", "$[0]")]),
        ((1, 2), [1, 2], [("retyped", "$")]),
        ([1, 2], (1, 2, 3), [("retyped", "$"), ("added", "$[2]")]),
        ({1, 2}, [1, 2], [("retyped", "$")]),
        (1, "1", [("retyped", "$")]),
        (1, 1.0, [("retyped", "$")]),
        (True, "true", [("retyped", "$")]),
        (decimal.Decimal("1.5"), 1.5, [("retyped", "$")]),
        (decimal.Decimal("1.50"), "1.50", [("retyped", "$")]),
        (b"text", "text", [("retyped", "$")]),
        (dt.datetime(2026, 1, 1, tzinfo=dt.UTC), "2026-01-01T00:00:00+00:00", [("retyped", "$")]),
        (dt.datetime(2026, 1, 1, tzinfo=dt.UTC), "2026-01-01T00:00:00Z", [("retyped", "$")]),
        ({1: "a"}, {"1": "a"}, [("retyped", "$[1]")]),
        ({1: "a"}, {"1": "b"}, [("retyped", "$[1]"), ("changed", "$[1]")]),
        ({"a": {"b": [1, None]}}, {"a": json.dumps({"b": [1, None]})}, [("retyped", "$.a")]),
        ({"a": '{"b": 1}'}, {"a": {"b": 1}}, [("retyped", "$.a")]),
        (Record("app.A", {"x": 1}), {"x": 1}, [("retyped", "$")]),
        (Record("app.A", {"x": 1, "y": 2}), {"x": 1}, [("retyped", "$"), ("dropped", "$.y")]),
        (1, 2, [("changed", "$")]),
        (1, None, [("changed", "$")]),
    ],
)
def test_each_kind_of_change_has_its_word(
    before: object, after: object, expected: list[tuple[str, str]]
) -> None:
    assert told(before, after) == expected


def test_a_cut_says_how_much_is_missing() -> None:
    assert delta("0123456789", "0123…").changes[0].missing == 6
    assert delta(list(range(10)), list(range(7))).changes[0].missing == 3


def test_messages_are_lined_up_by_content_and_then_by_id() -> None:
    before = [{"id": name, "content": f"says {name}"} for name in "abcdef"]
    edited = [dict(message) for message in before]
    edited[3]["content"] = "says something else"

    assert told(before, [{"id": "new", "content": "x"}, *before]) == [("added", "$[0]")]
    assert told(before, [*before[:2], *edited[3:]]) == [("dropped", "$[2]"), ("changed", "$[3].content")]


def test_a_field_lost_from_a_real_message_is_found() -> None:
    sent = decoded(
        {"messages": [HumanMessage("hi", id="1"), AIMessage("yes, 12 pieces", id="2", name="ann")]}
    )
    received = decoded({"messages": [HumanMessage("hi", id="1"), AIMessage("yes, 12 pieces", id="2")]})

    assert told(sent, received) == [("changed", "$.messages[1].name")]


def test_counts_tell_how_many_changes_of_each_kind_there_are() -> None:
    found = delta({"a": 1, "b": 1, "c": "x"}, {"c": 2, "d": 1})

    assert found.counts() == {"dropped": 2, "changed": 1, "added": 1}
    assert list(found) == list(found.changes)
    assert not Delta()
    assert isinstance(found.changes[0], Change)


# Limits


def test_very_deep_values_are_compared_too() -> None:
    def nested(leaf: object) -> object:
        value = leaf
        for n in range(5000):
            value = [value] if n % 2 else {"a": value}
        return value

    before, after = nested(1), nested(2)
    found = delta(before, after)

    assert [change.kind for change in found] == ["changed"]
    assert same(apply(found, before), after)
    for value in (before, after):
        while isinstance(value, (list, dict)):  # freed by hand: the interpreter would recurse
            value = value[0] if isinstance(value, list) else value["a"]


def test_a_thousand_items_take_no_time_to_speak_of() -> None:
    before = [{"id": str(n), "content": f"message {n}", "meta": {"n": n}} for n in range(1000)]
    shuffled = [*before[1::2], *before[::2]]
    changed = [{**item, "content": "other"} for item in before]
    without_ids = [{"content": f"{n}"} for n in range(1000)]
    others = [{"content": f"other {n}"} for n in range(1000)]

    start = time.process_time()
    for a, b in [(before, shuffled), (before, changed), (before, before[500:]), (without_ids, others)]:
        assert told(a, b)

    assert time.process_time() - start < 2


def test_a_message_that_was_given_an_id_on_its_way_is_the_message_that_was_sent() -> None:
    sent = plain([ToolMessage("20 million", tool_call_id="1")])
    received = plain([HumanMessage("How much?", id="h"), ToolMessage("20 million", tool_call_id="1", id="t")])

    changes = [(change.kind, change.path) for change in delta(sent, received)]

    assert changes == [("changed", "$[0].id"), ("added", "$[0]")]
