"""Promises of the canonical form: total, typed, harmless, the same bytes on every road, and never another digest."""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import enum
import functools
import math
import socket
import struct
import sys
import threading
import types
import uuid
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pytest
from autogen_agentchat.messages import TextMessage, ToolCallRequestEvent
from autogen_core import FunctionCall
from autogen_core.models import RequestUsage
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from ormsgpack import Ext, packb
from pydantic import BaseModel, ConfigDict
from tests.at_once import at_once

from becausal import canonical
from becausal.canonical import (
    Cycle,
    Encoded,
    Encoder,
    Missing,
    Opaque,
    Record,
    brief,
    decode,
    digest_text,
    encode,
    ordered,
    parse_digest,
    part_digests,
    printed,
    swift,
    top,
    walk,
)
from becausal.canonical.calling import unpacked
from becausal.canonical.ordered import in_order
from becausal.canonical.printed import fingerprint
from becausal.canonical.readers import reader_of
from becausal.canonical.top import TopWalk
from becausal.canonical.wire import Code, digest_of, odd_nan
from becausal.delta import same
from becausal.redaction import Redaction


def digest(value: object) -> bytes:
    return encode(value).digest


def belief(value: object) -> bytes:
    return encode(value).belief


def back(value: object) -> object:
    encoded = encode(value)
    return decode(encoded.body, dict(encoded.parts).get)


def slowly(value: object) -> tuple[bytes, bytes, int]:
    walk = TopWalk({}, None, fast=False)
    body, lean = walk.root(value)
    return body, lean, len(body) + walk.below


def quickly(value: object) -> tuple[bytes, bytes, int]:
    walk = TopWalk({}, None)
    body, lean = walk.root(value)
    return body, lean, len(body) + walk.below


class Colour(enum.Enum):
    RED = 1


class Word(str):
    pass


class Bag(dict[Any, Any]):
    pass


class Point(NamedTuple):
    x: int
    y: int


@dataclass
class Order:
    number: int
    lines: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Slotted:
    number: int


class Extra(BaseModel):
    model_config = ConfigDict(extra="allow")
    name: str
    _private: int = 0


class Plain:
    def __init__(self, **fields: object) -> None:
        self.__dict__.update(fields)


# Never another digest


KNOWN = {
    "none": None,
    "numbers": [0, 1, -1, 1.5, True, 2**70],
    "texts": ["a", "é", "\ud800", b"b"],
    "time": dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC),
    "typed": (types.SimpleNamespace(a=1), decimal.Decimal("1.00"), ValueError("no"), int),
    "odd": {1: "one", (2, 3): {4}},
    "long": "x" * 600,
    "messages": [{"role": "user", "content": "y" * 300, "id": 1}],
}


def test_a_known_digest_may_never_change() -> None:
    assert digest_text(digest(KNOWN)) == "bc1-xxh3:5fa61ba026dc4f958637d2c4b535c6a0"
    assert digest_text(belief(KNOWN)) == "bc1-xxh3:cdc115d1b216a3316bc6f00cc6310c95"


def test_a_digest_is_told_as_text_and_read_back() -> None:
    text = digest_text(digest("a"))

    assert text.startswith("bc1-xxh3:")
    assert parse_digest(text) == digest("a")
    for wrong in ("xxh3:00", text[:-1], "bc2" + text[3:], "bc1-xxh3:" + "z" * 32):
        with pytest.raises(ValueError, match=r"digest|hex"):
            parse_digest(wrong)


# Typed


@pytest.mark.parametrize(
    "values",
    [
        (
            1,
            "1",
            1.0,
            True,
            b"1",
            (1,),
            [1],
            {1},
            frozenset([1]),
            None,
            {"1": 1},
            {1: 1},
            1 + 0j,
            Fraction(1),
        ),
        (0.0, -0.0, 0, False, None, "", b"", (), [], {}, set(), frozenset(), decimal.Decimal(0)),
        (math.nan, math.inf, -math.inf, None, "nan", decimal.Decimal("NaN")),
        (decimal.Decimal("1.0"), decimal.Decimal("1.00"), 1.0, "1.0"),
        (2**64, -(2**64), 2**63, 2.0**64, str(2**64)),
        ("\ud800", "\\ud800", "?", "\ud801"),
        (
            dt.datetime(2026, 7, 1, 12),
            dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC),
            dt.datetime(2026, 7, 1, 14, tzinfo=dt.timezone(dt.timedelta(hours=2))),
            dt.datetime(2026, 7, 1, 14, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")),
            dt.datetime(2026, 7, 1, 12, fold=1),
            dt.date(2026, 7, 1),
            "2026-07-01T12:00:00",
        ),
        (Colour.RED, 1, "RED"),
        (Word("a"), "a"),
        (Bag(a=1), {"a": 1}, Plain(a=1)),
        (Point(1, 2), (1, 2), [1, 2], {"x": 1, "y": 2}),
        (Order(1), Slotted(1), {"number": 1, "lines": []}, Plain(number=1, lines=[])),
        ({"\0": 1}, {"\0": None}, {"\0": "Plain"}, Plain(), Plain(**{"\0": 1})),
        (np.float64(1), 1.0, np.float32(1), np.array(1.0), np.array([1.0]), np.array([[1.0]]), np.array([1])),
        (np.array([1, "a"], dtype=object), np.array([1, "b"], dtype=object), [1, "a"]),
        (uuid.UUID(int=1), str(uuid.UUID(int=1)), 1),
        (ValueError("a"), ValueError("b"), TypeError("a"), "a"),
        (int, str, "int", Order),
        (range(3), [0, 1, 2], range(0, 3, 2), slice(3)),
        (collections.deque([1]), [1]),
        ({"a": 1, "b": 2}, {"a": 2, "b": 1}, {"a": 1, "b": 2, "c": None}),
    ],
)
def test_values_of_different_types_or_contents_have_different_digests(values: tuple[object, ...]) -> None:
    digests = [digest(value) for value in values]

    assert len(set(digests)) == len(values)


def test_the_order_of_keys_and_of_a_set_is_irrelevant() -> None:
    names = [f"name-{n}" for n in range(50)]

    assert digest(dict.fromkeys(names, 1)) == digest(dict.fromkeys(reversed(names), 1))
    assert digest(set(names)) == digest({*names[::-1]})
    assert digest({1: "a", None: "b"}) == digest({None: "b", 1: "a"})


def test_all_nans_are_one() -> None:
    odd = [struct.unpack("<d", struct.pack("<Q", bits))[0] for bits in (0xFFF8 << 48, 0x7FF0 << 48 | 1)]

    assert len({digest([1.5, number]) for number in [math.nan, math.inf - math.inf, *odd]}) == 1


def test_bytes_bytearray_and_memoryview_of_one_content_are_one() -> None:
    content = bytearray(b"abc")

    assert digest(content) == digest(memoryview(content)) == digest(b"abc")
    assert digest(memoryview(b"a-b-c")[::2]) == digest(b"abc")


leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.integers(-2, 2),
    st.floats(),
    st.text(st.characters(exclude_categories=()), max_size=6),
    st.binary(max_size=6),
    st.decimals(),
    st.datetimes(timezones=st.one_of(st.none(), st.just(dt.UTC), st.just(zoneinfo.ZoneInfo("Asia/Tokyo")))),
    st.dates(),
    st.timedeltas(),
    st.uuids(),
    st.complex_numbers(),
    st.fractions(),
)
keys = st.one_of(
    st.text(max_size=4),
    st.integers(-2, 2),
    st.booleans(),
    st.none(),
    st.tuples(st.integers(0, 2), st.text(max_size=1)),
)
plain = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=4), inner, max_size=4),
        st.dictionaries(keys, inner, max_size=3),
        st.sets(keys, max_size=3),
        st.frozensets(keys, max_size=3),
        st.fixed_dictionaries({"role": st.just("user"), "content": inner, "id": st.text(max_size=3)}),
    ),
    max_leaves=12,
)
values = st.one_of(
    plain,
    st.builds(lambda inner, times: [inner] * times, plain, st.integers(8, 60)),
    st.dictionaries(st.text(max_size=4), st.lists(plain, max_size=4), max_size=4),
    st.builds(
        lambda text, n: {"messages": [{"role": "a", "content": text * n}]},
        st.text(max_size=9),
        st.integers(0, 99),
    ),
)
typed = st.one_of(
    values,
    st.builds(Order, st.integers(), st.lists(st.text(max_size=3), max_size=3)),
    st.builds(lambda inner: Plain(a=inner, b=[Order(1), Slotted(2)]), values),
    st.builds(lambda inner: {"state": Plain(a=inner), "m": [HumanMessage("x" * 300), inner]}, values),
    st.builds(lambda inner: [AIMessage("hi", additional_kwargs={"a": 1}), Point(1, 2), Bag(a=inner)], plain),
    st.builds(lambda inner: Extra.model_validate({"name": "n", "more": 1, "x": repr(inner)}), plain),
)


@settings(max_examples=300, deadline=None)
@given(plain)
def test_plain_data_comes_back_as_it_was(value: object) -> None:
    assert same(back(value), value)


@settings(max_examples=300, deadline=None)
@given(values, values)
def test_equal_values_have_equal_digests_and_others_do_not(a: object, b: object) -> None:
    assert (digest(a) == digest(b)) is same(a, b)


@settings(max_examples=300, deadline=None)
@given(typed)
def test_the_slow_path_writes_what_the_fast_path_writes(value: object) -> None:
    assert slowly(value) == quickly(value)


@settings(max_examples=200, deadline=None)
@given(st.lists(typed, max_size=4))
def test_what_an_encoder_remembers_changes_no_digest(several: list[object]) -> None:
    encoder = Encoder()

    for value in [*several, *several, several]:
        known, fresh = encoder.encode(value), encode(value)
        assert (known.digest, known.belief, known.size, known.body) == (
            fresh.digest,
            fresh.belief,
            fresh.size,
            fresh.body,
        )


@pytest.mark.parametrize("count", [1, 3, 9, 300])
@pytest.mark.parametrize(
    "item",
    [
        {"text": "x" * 600},
        {"role": "user", "content": "x" * 600},
        {"n": 1},
        ("x" * 600,),
        ["x" * 600],
        "x" * 600,
    ],
    ids=lambda item: f"{type(item).__name__} of {next(iter(item)):.7}",
)
def test_a_list_has_one_digest_whoever_encodes_it(item: object, count: int) -> None:
    encoder, value = Encoder(), [item] * count

    assert [encoder.encode(value).digest for _ in range(2)] == [encode(value).digest] * 2


def number(bits: int) -> float:
    unpacked: float = struct.unpack(">d", bits.to_bytes(8, "big"))[0]
    return unpacked


ODD_NANS = [number(bits) for bits in (0x7FF8000000000001, 0xFFF8000000000000, 0xFFFFFFFFFFFFFFFF)]
# Numbers, bytes and texts within which an odd NaN seems to begin.
SEEMING = [
    number(0x3FCB7FF800000000 | 1),
    number(0x3FFFCBFFF8000000),
    b"\xcb\xff\xf8" + bytes(6),
    0x3BCB7FF8000000,
    "\u02ff\xff",
]
FINE = [math.nan, math.inf, -math.inf, 0.5, 7, "text", b"", None]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from([*FINE, *SEEMING]) | st.sampled_from(ODD_NANS), max_size=8),
    st.sampled_from([list, lambda items: {"a": {"b": items}}, lambda items: Ext(Code.TUPLE, packb(items))]),
)
def test_an_odd_nan_is_found_where_one_stands_and_nowhere_else(
    items: list[object], wrap: Callable[[list[object]], object]
) -> None:
    has_one = any(item is odd for item in items for odd in ODD_NANS)

    assert odd_nan(packb(wrap(items))) is has_one


@settings(max_examples=150, deadline=None)
@given(typed)
def test_size_counts_the_body_and_every_part_below_it(value: object) -> None:
    encoded = encode(value)
    parts = dict(encoded.parts)

    def size(body: bytes) -> int:
        return len(body) + sum(size(parts[d]) * references(body, d) for d in part_digests(body))

    def references(body: bytes, part: bytes) -> int:
        return body.count(b"\xd8\x01" + part)

    assert encoded.size == size(encoded.body)


# Parts


def test_parts_come_before_what_refers_to_them_and_hold_what_their_digest_says() -> None:
    inner = Plain(text="a" * 300)
    encoded = encode({"outer": Plain(inner=inner, other="b" * 300), "list": [inner]})

    seen: set[bytes] = set()
    for part, body in encoded.parts:
        assert digest_of(body) == part
        assert set(part_digests(body)) <= seen
        seen.add(part)
    assert set(part_digests(encoded.body)) <= seen


def test_every_message_of_a_conversation_is_one_part_wherever_it_stands() -> None:
    messages: list[Any] = [HumanMessage("a" * 300), AIMessage("b" * 300)]
    dicts = [{"role": "user", "content": "c" * 300}, {"role": "assistant", "content": "d" * 300}]

    for conversation in (messages, dicts):
        rows = [
            conversation,
            {"messages": conversation},
            {"update": {"messages": conversation}},
            (1, conversation),
        ]
        alone = [{d for d, _ in encode(row).parts} for row in rows[: 4 if conversation is messages else 3]]
        assert len(set.intersection(*alone)) == 2
    assert {digest(message) for message in messages} <= {d for d, _ in encode(messages).parts}
    assert {digest(message) for message in dicts} <= {d for d, _ in encode(dicts).parts}


def test_a_big_field_is_one_part_and_a_small_one_stays() -> None:
    encoded = encode({"big": "x" * 600, "small": "y" * 100})

    assert [body for _, body in encoded.parts] == [encode("x" * 600).body]
    assert back({"big": "x" * 600, "small": "y" * 100}) == {"big": "x" * 600, "small": "y" * 100}


def test_a_growing_conversation_hands_out_each_message_once() -> None:
    encoder, messages = Encoder(), list[BaseMessage]()
    handed: collections.Counter[bytes] = collections.Counter()

    for n in range(60):
        messages.append(HumanMessage(f"{n}" + "x" * 300))
        encoded = encoder.encode({"messages": messages})
        handed.update(part for part, _ in encoded.parts)
        assert encoded.digest == digest({"messages": messages})

    assert [handed[digest(message)] for message in messages] == [1] * 60


def test_after_forgetting_all_parts_are_handed_out_again() -> None:
    encoder = Encoder()
    first = encoder.encode([Plain(a="x" * 300)])
    second = encoder.encode([Plain(a="x" * 300)])
    encoder.forget()
    third = encoder.encode([Plain(a="x" * 300)])

    assert (len(first.parts), len(second.parts), len(third.parts)) == (1, 0, 1)


def test_of_some_parts_that_are_forgotten_those_alone_are_handed_out_again() -> None:
    encoder = Encoder()
    messages = [{"role": "user", "content": f"{number} " + "x" * 300} for number in range(40)]
    parts = encoder.encode({"messages": messages}).parts
    encoder.encode({"messages": messages})

    encoder.forget([parts[3][0], parts[17][0], b"never handed out"])

    assert encoder.encode({"messages": messages}).parts == (parts[3], parts[17])
    assert encoder.encode({"messages": messages}).parts == ()


def test_a_part_within_a_known_part_that_is_forgotten_is_handed_out_again() -> None:
    encoder = Encoder()
    value = [Plain(a=Plain(b="x" * 300), c="y" * 300)]
    inner, outer = encoder.encode(value).parts

    encoder.forget([inner[0]])

    assert encoder.encode(value).parts == (inner,)
    assert outer != inner


def test_a_redacted_part_that_is_forgotten_is_handed_out_again() -> None:
    redact = Redaction().redactor(None)
    encoder = Encoder(redact)
    secret = "x" * 600 + " password=hunter2!x9 " + "AKIAIOSFODNN7EXAMPLE"
    encoder.encode({"big": "known before, for what is met first may tell of secrets" * 20, "it": secret})
    parts = encoder.encode({"it": secret, "again": secret}).parts
    assert parts == ()
    handed = encoder.encode({"it": secret}).body[-16:]

    encoder.forget([handed])

    again = encoder.encode({"it": secret}).parts
    assert [digest for digest, _ in again] == [handed]
    assert digest(secret) != handed


def test_what_is_remembered_is_bounded() -> None:
    encoder = Encoder()
    encoder.MOST_PARTS = 10

    for n in range(100):
        encoder.encode([Plain(a=f"{n}" * 300)])
        assert len(encoder._known) <= 11


def test_threads_may_share_an_encoder() -> None:
    encoder = Encoder()
    messages = [HumanMessage(f"{n}" * 200) for n in range(40)]
    expected = [digest(messages[:n]) for n in range(41)]

    def work() -> None:
        for n in range(41):
            assert encoder.encode(messages[:n]).digest == expected[n]

    at_once([work] * 6)


# Changes in place


def conversation() -> list[BaseMessage]:
    filler = [HumanMessage(f"message {n}") for n in range(12)]
    return [
        HumanMessage("hi", id="1"),
        AIMessage(
            "a",
            additional_kwargs={"k": [1, 2]},
            tool_calls=[{"name": "f", "args": {"q": {"deep": 1}}, "id": "c"}],
        ),
        HumanMessage([{"type": "text", "text": "x"}]),
        *filler,
    ]


def team() -> list[Any]:
    when = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    text = TextMessage(content="x", source="a", id="1", models_usage=RequestUsage(1, 2), created_at=when)
    call = FunctionCall(id="c", name="f", arguments="{}")
    asked = ToolCallRequestEvent(content=[call], source="a", id="2", created_at=when)
    return [
        text,
        asked,
        *(TextMessage(content=f"{n}", source="b", id="3", created_at=when) for n in range(12)),
    ]


def plain_state() -> list[Any]:
    return [{"role": "user", "content": [{"type": "text", "text": f"{n}"}], "n": 1} for n in range(12)]


EDITS: list[tuple[Callable[[], list[Any]], Callable[[Any], object]]] = [
    (conversation, lambda m: setattr(m[0], "content", "changed")),
    (conversation, lambda m: m[0].additional_kwargs.__setitem__("z", 1)),
    (conversation, lambda m: m[1].additional_kwargs["k"].append(3)),
    (conversation, lambda m: m[1].tool_calls[0]["args"]["q"].__setitem__("deep", 2)),
    (conversation, lambda m: m[1].tool_calls[0]["args"]["q"].__setitem__("deep", True)),
    (conversation, lambda m: m[1].tool_calls[0]["args"]["q"].__setitem__("deep", 1.0)),
    (conversation, lambda m: m[2].content[0].__setitem__("text", "y")),
    (conversation, lambda m: setattr(m[0], "surprise", 1)),
    (conversation, lambda m: m[0].__dict__.__setitem__("new", None)),
    (conversation, lambda m: setattr(m[0], "__class__", AIMessage)),
    (conversation, lambda m: m.insert(0, HumanMessage("first"))),
    (conversation, lambda m: m.pop()),
    (conversation, lambda m: m.reverse()),
    (team, lambda m: setattr(m[0].models_usage, "prompt_tokens", 99)),
    (team, lambda m: setattr(m[1].content[0], "arguments", '{"a": 1}')),
    (team, lambda m: m[0].metadata.__setitem__("k", "w")),
    (plain_state, lambda m: m[3]["content"][0].__setitem__("text", "z")),
    (plain_state, lambda m: m[3].__setitem__("n", True)),
    (plain_state, lambda m: m[0].__setitem__("n", 1.0)),
]


@pytest.mark.parametrize("number", range(len(EDITS)))
@pytest.mark.parametrize("wrap", [list, lambda m: {"messages": m}, lambda m: Plain(state={"messages": m})])
def test_a_change_in_place_is_seen(number: int, wrap: Callable[[Any], Any]) -> None:
    make, edit = EDITS[number]
    encoder, messages = Encoder(), make()
    before = encoder.encode(wrap(messages))
    assert not before.lossy
    encoder.encode(wrap(messages))

    edit(messages)
    after = encoder.encode(wrap(messages))

    assert after.digest != before.digest
    assert (after.digest, after.belief, after.body) == (
        encode(wrap(messages)).digest,
        encode(wrap(messages)).belief,
        encode(wrap(messages)).body,
    )


# Belief


def test_ids_times_and_counters_are_no_part_of_what_a_message_means() -> None:
    pairs: list[tuple[Any, Any]] = [
        (HumanMessage("hi", id="1"), HumanMessage("hi", id="2")),
        (
            AIMessage(
                "hi" * 200, response_metadata={"a": 1}, tool_calls=[{"name": "f", "args": {}, "id": "1"}]
            ),
            AIMessage(
                "hi" * 200, response_metadata={"a": 2}, tool_calls=[{"name": "f", "args": {}, "id": "2"}]
            ),
        ),
        (ToolMessage("r", tool_call_id="1"), ToolMessage("r", tool_call_id="2")),
        (TextMessage(content="x", source="a"), TextMessage(content="x", source="a")),
        ({"role": "user", "content": "x", "id": 1}, {"role": "user", "content": "x", "id": 2}),
        (FunctionCall(id="1", name="f", arguments="{}"), FunctionCall(id="2", name="f", arguments="{}")),
    ]
    for a, b in pairs:
        for wrap in (
            lambda m: m,
            lambda m: [m],
            lambda m: {"messages": [m] * 10},
            lambda m: Plain(state={"m": [m]}),
        ):
            assert digest(wrap(a)) != digest(wrap(b))
            assert belief(wrap(a)) == belief(wrap(b)), (a, b)


def test_what_a_message_says_is_part_of_what_it_means() -> None:
    base = AIMessage("hi", name="x", tool_calls=[{"name": "f", "args": {"id": 1}, "id": "1"}])
    others = [
        AIMessage("ho", name="x", tool_calls=[{"name": "f", "args": {"id": 1}, "id": "1"}]),
        AIMessage("hi", name="y", tool_calls=[{"name": "f", "args": {"id": 1}, "id": "1"}]),
        AIMessage("hi", name="x", tool_calls=[{"name": "g", "args": {"id": 1}, "id": "1"}]),
        AIMessage("hi", name="x", tool_calls=[{"name": "f", "args": {"id": 2}, "id": "1"}]),
    ]

    assert all(belief([base]) != belief([other]) for other in others)


def test_business_data_keeps_its_ids() -> None:
    orders = [{"order_id": 1, "id": 7, "timestamp": 1}, {"order_id": 1, "id": 8, "timestamp": 1}]

    assert belief(orders[0]) != belief(orders[1])
    assert all(encode(order).belief == encode(order).digest for order in orders)
    assert belief(Plain(id=1, created_at=1)) != belief(Plain(id=2, created_at=1))


# Total and harmless


def test_a_lock_a_function_and_a_socket_are_told_by_name_and_where() -> None:
    with socket.socket() as connection:
        value = {"a": [threading.Lock()], "f": len, "m": Plain(deep={"s": connection}), "odd key": print}
        encoded = encode(value)
        record = back(value)

    assert [path for path, _ in encoded.lossy] == ["$.a[0]", "$.f", "$.m.deep.s", "$['odd key']"]
    assert encoded.lossy[0][1] == "opaque type _thread.lock"
    assert "by name only" in encoded.lossy[1][1]
    assert isinstance(record, dict)
    assert record["a"] == [Opaque("opaque", "_thread.lock")]


def test_functions_partials_modules_and_generators_are_told_by_name() -> None:
    async def coroutine() -> None: ...

    started = coroutine()
    for value in (
        back,
        functools.partial(back, 1),
        Encoder().encode,
        math,
        (n for n in range(3)),
        started,
        types.SimpleNamespace(f=back),
        "".join,
        str.join,
        functools.cache(back),
    ):
        assert encode(value).lossy, value
    started.close()


def test_a_cycle_is_a_reference_upwards_and_loses_nothing() -> None:
    items: list[Any] = [1]
    items.append(items)
    fields: dict[str, Any] = {"a": {"b": []}}
    fields["a"]["b"].append(fields)
    thing = Plain()
    thing.me = thing  # type: ignore[attr-defined]
    pair: tuple[dict[str, Any]] = ({},)
    pair[0]["up"] = pair
    message = AIMessage("x")
    message.additional_kwargs["me"] = message

    assert back(items) == [1, Cycle(1)]
    assert back(fields) == {"a": {"b": [Cycle(3)]}}
    assert back(thing) == {"me": Cycle(1)}
    assert back(pair) == ({"up": Cycle(2)},)
    assert back([thing]) == [{"me": Cycle(1)}]
    assert isinstance(back(message), Record)
    for value in (items, fields, thing, pair, message):
        assert not encode(value).lossy
        assert encode(value).digest == encode(value).digest
        assert slowly(value) == quickly(value)


def test_what_stands_in_two_places_is_written_for_each() -> None:
    whole, half = Plain(), Plain()
    whole.half, half.whole = half, whole  # type: ignore[attr-defined]
    tall: Any = 1
    for _ in range(40):
        tall = (tall,)

    def under(levels: int, value: object) -> object:
        return value if levels == 0 else (under(levels - 1, value),)

    assert back([whole, half]) == [{"half": {"whole": Cycle(2)}}, {"whole": {"half": Cycle(2)}}]
    assert digest([tall, under(30, tall)]) == digest([back(tall), under(30, tall)])
    assert encode([tall, under(30, tall)]).lossy


def test_what_is_cut_is_said_to_be_each_time() -> None:
    tall: Any = 1
    for _ in range(16):
        tall = (tall,)
    value = Plain(a=Plain(a=Plain(a=[Order(n, [tall]) for n in range(9)])))
    encoder = Encoder()

    assert len(encoder.encode(value).lossy) == len(encoder.encode(value).lossy) == 9


@pytest.mark.parametrize(
    "wrap", [lambda v: [v], lambda v: {"a": v}, lambda v: (v,), lambda v: Plain(a=v), Order]
)
def test_values_that_are_too_deep_are_cut_and_said_to_be(wrap: Callable[[Any], Any]) -> None:
    value: Any = 1
    for _ in range(5000):
        value = wrap(value)

    encoded = encode(value)

    assert encoded.lossy
    assert "deeper than" in encoded.lossy[0][1]
    assert encoded.digest == encode(value).digest
    while isinstance(value, (list, dict)):  # freed by hand: the interpreter would recurse
        value = value[0] if isinstance(value, list) else value["a"]


def test_the_callers_own_depth_changes_nothing() -> None:
    value: Any = 1
    for _ in range(60):
        value = (value,)
    value = {1: value}

    def down(levels: int) -> Encoded:
        return encode(value) if levels == 0 else down(levels - 1)

    depths = sys.getrecursionlimit() - 200
    assert {down(n).digest for n in (0, depths // 2, depths, depths + 60)} == {digest(value)}


def bomb(*_: object, **__: object) -> Any:
    raise RuntimeError("code of the app was run")


SPARED = {"__class__", "__new__", "__init__", "__dict__", "__init_subclass__", "__subclasshook__"}
DUNDERS = (
    {name for kind in (object, dict, list, str, int, float, set, tuple, type) for name in vars(kind)}
    | {"__getattr__", "__iter__", "__len__", "__bool__", "__index__", "__call__", "__await__", "__array__"}
    | {"__fspath__", "__bytes__", "__float__", "__complex__", "__length_hint__", "__missing__", "__copy__"}
) - SPARED


def hostile(*bases: type, **more: object) -> Any:
    body: dict[str, Any] = {
        name: bomb
        for name in DUNDERS
        if name.startswith("__") and name not in ("__doc__", "__slots__", "__module__")
    }
    body |= {"model_dump": bomb, "items": bomb, "keys": bomb, "copy": bomb, "value": property(bomb)}
    body |= {"__module__": "app", "_fields": property(bomb), **more}
    for name in (
        "__weakref__",
        "__basicsize__",
        "__mro__",
        "__name__",
        "__qualname__",
        "__bases__",
        "__base__",
    ):
        body.pop(name, None)
    return type("Hostile", bases, body)


def hostile_values() -> list[object]:
    bases = (object, dict, list, str, int, float, set, frozenset, tuple, bytes, bytearray, Exception)
    found: list[Any] = [base.__new__(hostile(base)) for base in bases]
    made: Any = object.__new__
    holding, shadowed, lying = (
        made(hostile(object, **more))
        for more in ({}, {"__dict__": property(bomb)}, {"__class__": property(bomb)})
    )
    vars_of(holding)["a"] = 1
    filled: Any = dict.__new__(hostile(dict))
    dict.__setitem__(filled, "a", 1)
    return [*found, holding, shadowed, lying, filled]


def vars_of(value: object) -> dict[str, Any]:
    getter = next(vars(kind)["__dict__"] for kind in type.mro(type(value)) if "__dict__" in vars(kind))
    found: dict[str, Any] = getter.__get__(value)
    return found


def test_no_code_of_the_app_is_run_and_nothing_is_raised() -> None:
    for value in hostile_values():
        for wrapped in (
            value,
            [value],
            {"a": value},
            (value,),
            Plain(a=value),
            [{"role": "a", "content": value}] * 9,
        ):
            encoded = encode(wrapped)

            assert not any("unreadable" in why for _, why in encoded.lossy), type(value).__mro__
            assert encoded.digest == Encoder().encode(wrapped).digest


def test_an_inner_state_that_cannot_be_reached_is_told() -> None:
    kind = type("Shadowed", (), {"__dict__": property(bomb)})
    error = type("Local", (threading.local,), {})

    assert "Shadowed" in encode(kind()).lossy[0][1]
    assert "inner state" in encode(error()).lossy[0][1]


def test_hostile_metaclasses_are_not_asked_either() -> None:
    dunders = dict.fromkeys(("__hash__", "__eq__", "__getattribute__", "__instancecheck__", "__repr__"), bomb)
    meta = type("Meta", (type,), {**dunders, "__mro__": property(bomb), "__module__": property(bomb)})
    kind = type.__call__(meta, "Kind", (), {"__module__": "app"})
    value: Any = object.__new__(kind)

    for wrapped in (value, [value] * 9, {"a": [value]}, kind, {"k": kind}, [kind]):
        assert not any("unreadable" in why for _, why in encode(wrapped).lossy)
    assert encode(value).type_name == "app.Kind"


def test_keys_of_the_apps_own_types_are_not_asked_either() -> None:
    class Key:
        armed = False

        def __hash__(self) -> int:
            return bomb() if Key.armed else 1

        def __eq__(self, other: object) -> bool:
            return bomb() if Key.armed else self is other

    value = {Key(): 1, Key(): 2, "a": {Key()}}
    bag = Bag(value)
    Key.armed = True
    try:
        assert not encode([value, bag, {"x": value}]).lossy
    finally:
        Key.armed = False


def test_a_broken_object_has_a_digest_too() -> None:
    kinds: tuple[Any, ...] = (uuid.UUID, Fraction, AIMessage, Extra, Slotted)
    bare: list[object] = [object.__new__(kind) for kind in kinds]
    bare.append(BaseException.__new__(KeyError))

    for value in bare:
        assert len(encode([value]).digest) == 16


def test_private_attributes_of_a_model_are_left_out_and_extra_fields_are_not() -> None:
    a, b, c = Extra(name="a"), Extra(name="a"), Extra.model_validate({"name": "a", "more": 1})
    b._private = 5

    assert digest(a) == digest(b)
    assert digest(a) != digest(c)
    assert back(c) == {"name": "a", "more": 1}


def test_a_zone_of_the_app_is_named_and_not_asked() -> None:
    class Zone(dt.tzinfo):
        def utcoffset(self, _: dt.datetime | None) -> dt.timedelta:
            return bomb()  # type: ignore[no-any-return]

        dst = tzname = bomb

    value = [dt.datetime(2026, 1, 1, tzinfo=Zone())]

    assert encode(value).lossy[0][0] == "$[0]"
    assert back(value) == [dt.datetime(2026, 1, 1)]


def test_a_dict_that_another_thread_changes_is_survived() -> None:
    shared: dict[Any, Any] = {n: n for n in range(100)}
    stop = threading.Event()

    def change() -> None:
        n = 0
        while not stop.is_set():
            shared[n % 500] = n
            shared.pop((n * 7) % 500, None)
            n += 1

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(300):
            assert len(encode({"shared": shared, "set": Plain(x=shared)}).digest) == 16
    finally:
        stop.set()
        thread.join()


# Reading back


def test_typed_objects_come_back_as_records_and_the_rest_as_what_stands_for_it() -> None:
    value: dict[str, object] = {
        "order": Order(1, ["a"]),
        "colour": Colour.RED,
        "word": Word("w"),
        "array": np.array([[1, 2], [3, 4]]),
        "objects": np.array([1, "a"], dtype=object),
        "scalar": np.float64(1.5),
        "class": Order,
        "message": HumanMessage("x" * 300),
    }
    found: Any = back(value)

    assert found["order"] == {"number": 1, "lines": ["a"]}
    assert found["order"].type_name.endswith("Order")
    assert found["message"].type_name == "langchain_core.messages.human.HumanMessage"
    assert (found["colour"], type(found["word"]), found["array"]) == (1, str, [[1, 2], [3, 4]])
    assert (found["objects"], found["scalar"], found["class"].kind) == ([1, "a"], 1.5, "class")


def test_a_part_that_is_not_there_is_missing() -> None:
    encoded = encode([Plain(a="x" * 300)])

    assert decode(encoded.body, lambda _: None) == [Missing(encoded.parts[0][0])]
    assert decode(encoded.body, lambda _: b"\xc1") == [Missing(encoded.parts[0][0])]


def test_the_type_of_the_value_is_named() -> None:
    names = [
        encode(value).type_name for value in ({1: 2}, HumanMessage("x"), 1, None, dt.datetime(2026, 1, 1))
    ]

    assert names == [
        "dict",
        "langchain_core.messages.human.HumanMessage",
        "int",
        "NoneType",
        "datetime.datetime",
    ]


def test_a_conversation_of_any_length_is_written_as_one_that_nothing_is_known_of() -> None:
    encoder, said = Encoder(), [HumanMessage(f"{n} " + "x" * (n % 9 * 60), id=str(n)) for n in range(250)]

    for n in range(250, 270):
        said.append(HumanMessage(f"{n} said", id=str(n)))
        assert encoder.encode(list(said)).digest == encode(list(said)).digest
    said[3].content = "edited"

    assert encoder.encode(list(said)).digest == encode(list(said)).digest


# Interrupts


class Stops:
    """While it is read, a Ctrl-C arrives."""


@pytest.mark.parametrize(
    "read",
    [
        encode,
        fingerprint,
        in_order,
        lambda value: encode({"messages": [HumanMessage("a")] * 9, "value": value}),
        lambda value: Encoder().encode([value] * 9),
    ],
)
def test_an_interrupt_while_the_packer_calls_us_is_the_callers(
    read: Callable[[object], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt = KeyboardInterrupt("now")

    def stop(kind: type) -> Any:
        if kind is Stops:
            raise interrupt
        return reader_of(kind)

    for module in (canonical, walk, ordered, printed, brief, swift, top):
        monkeypatch.setattr(module, "reader_of", stop)
    with pytest.raises(KeyboardInterrupt) as raised:
        read([1, {"inside": Stops()}])
    assert raised.value is interrupt


def test_an_interrupt_while_a_body_is_read_is_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt = KeyboardInterrupt("now")

    def stop(*_: object) -> None:
        raise interrupt

    body = packb([Ext(Code.TUPLE, packb([1]))])
    with pytest.raises(KeyboardInterrupt) as raised:
        unpacked(body, stop)
    assert raised.value is interrupt


# Failures of our own


@pytest.mark.parametrize("first", [[], [RecursionError()]], ids=["as it is read", "on a fresh stack"])
def test_a_failure_of_ours_leaves_a_value_unreadable_and_is_let_out_if_strict(
    first: list[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[Exception] = []

    def broken(*_: object) -> None:
        raise failures.pop(0)

    monkeypatch.setattr(canonical, "_walked", broken)
    failures[:] = [*first, ValueError("ours")]
    with pytest.raises(ValueError, match="ours"):
        encode({"a": 1})

    monkeypatch.setenv("BECAUSAL_STRICT", "0")
    failures[:] = [*first, ValueError("ours")]
    assert encode({"a": 1}).lossy == (("$", "unreadable dict"),)
