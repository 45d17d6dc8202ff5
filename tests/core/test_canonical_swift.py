"""Promises of the short road of the canonical form: what it writes is what the long one writes, and it runs no code."""

from __future__ import annotations

import datetime as dt
import enum
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from autogen_agentchat.messages import TextMessage, ToolCallRequestEvent
from autogen_core import FunctionCall
from autogen_core.models import AssistantMessage, CreateResult, RequestUsage, UserMessage
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from ormsgpack import packb
from pydantic import BaseModel
from tests.core.test_canonical import EDITS, team

from becausal import canonical
from becausal.canonical import Encoded, Encoder, brief, encode, part_digests
from becausal.canonical.printed import fingerprint
from becausal.canonical.readers import reader_of
from becausal.redaction import Redaction

ran: list[object] = []
"""Whose code was run."""


class Odd:
    """What an app may hand around: whatever is asked of it fails."""

    def __init__(self, **fields: object) -> None:
        self.__dict__.update(fields)

    def _fails(self, *_: object) -> Any:
        ran.append(self)
        raise RuntimeError("code of the app was run")

    __eq__ = __hash__ = __len__ = __bool__ = __iter__ = __getattr__ = __repr__ = __contains__ = _fails


class OddText(str):
    armed = False

    def __eq__(self, other: object) -> bool:
        if OddText.armed:
            ran.append(self)
        return str.__eq__(self, other)

    def __hash__(self) -> int:
        if OddText.armed:
            ran.append(self)
        return str.__hash__(self)


class Bag(dict[Any, Any]):
    def __len__(self) -> int:
        raise RuntimeError("code of the app was run")


class Count(int):
    pass


class Colour(enum.Enum):
    RED = 1


class Model(BaseModel):
    name: str = "m"
    rows: list[Any] = []
    more: Any = None


class LooksLikeOne(BaseModel):
    """A message by its fields alone."""

    content: Any
    role: str = "user"
    id: str = "1"
    usage: Any = None


@dataclass
class Usage:
    prompt: int
    note: str = ""


WHEN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
USED = RequestUsage(1, 2)
names = st.sampled_from(
    ["content", "role", "type", "id", "usage", "messages", "data", "token", "password", "é", "\0", "a", "b"]
)
texts = st.one_of(
    st.sampled_from(["", "hi", "é" * 40, "\ud800", "x" * 127, "é" * 128, "x" * 300, "x" * 600]),
    st.text(st.characters(exclude_categories=()), max_size=5),
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([2**63, 2**64, -(2**63) - 1, 2**70, math.nan, -math.nan, math.inf, 0.0, -0.0, 1.5]),
    texts,
    st.sampled_from([b"b", b"b" * 600, WHEN, Colour.RED, Count(3), OddText("content"), (1, 2), {1, 2}]),
)


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.builds(
            lambda text, n: HumanMessage(text * n, id=str(n)), st.sampled_from("xé"), st.integers(0, 400)
        ),
        st.builds(lambda more: AIMessage("a", additional_kwargs={"more": more}, usage_metadata=None), inner),
        st.builds(lambda more: AIMessage([{"type": "text", "text": "t", "id": "9"}], surprise=more), inner),
        st.just(ToolMessage("done" * 90, tool_call_id="1")),
        st.builds(
            lambda t: TextMessage(content=t, source="s", created_at=WHEN, models_usage=USED), st.just("t")
        ),
        st.builds(lambda n: UserMessage(content="u" * n, source="s"), st.integers(0, 300)),
        st.just(CreateResult(content="c", finish_reason="stop", usage=USED, cached=False)),
        st.just(FunctionCall(id="1", name="f", arguments="{}")),
        st.just(ToolCallRequestEvent(content=[FunctionCall("1", "{}", "f")], source="s", created_at=WHEN)),
        st.builds(lambda more: Model.model_construct(name="m", rows=[more], more=more), inner),
        st.builds(
            lambda c, u: LooksLikeOne.model_construct(content=c, role="a", id="2", usage=u), inner, inner
        ),
        st.builds(Usage, st.integers(0, 3), st.sampled_from(["", "n" * 200, "n" * 600])),
        st.builds(lambda more: Odd(a=more), inner),
        st.builds(lambda more: Odd(content=more, role="x", id=1), inner),
    )


def shared(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return what stands more than once in a value."""
    return st.one_of(
        st.builds(lambda one, n: [one] * n, inner, st.integers(0, 7)),
        st.builds(lambda one: {"messages": [one, one], "data": {"messages": [one]}, "a": one}, inner),
    )


values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(names, inner, max_size=5),
        st.dictionaries(st.one_of(names, st.integers(0, 2)), inner, max_size=3),
        st.fixed_dictionaries({"role": st.just("user"), "content": inner, "id": texts}),
        objects(inner),
        shared(inner),
        st.builds(Bag, st.dictionaries(names, inner, max_size=2)),
    ),
    max_leaves=14,
)


def told(encoded: Encoded) -> tuple[Any, ...]:
    return (*encoded[:4], dict(encoded.parts), len(encoded.parts), *encoded[5:])


@settings(max_examples=600, deadline=None)
@given(values)
def test_the_short_road_writes_what_the_long_one_writes(value: object) -> None:
    encoder = Encoder()

    first, again = encoder.encode(value), encoder.encode(value)

    assert told(first) == told(encode(value))
    assert again[:4] == first[:4]
    assert again.parts == ()


@settings(max_examples=200, deadline=None)
@given(st.lists(values, min_size=1, max_size=8))
def test_what_it_remembers_of_other_values_and_of_a_longer_list_changes_nothing(several: list[Any]) -> None:
    encoder = Encoder()

    for end in range(1, len(several) + 1):
        for value in (several[end - 1], several[:end], {"messages": several[:end]}):
            assert encoder.encode(value)[:4] == encode(value)[:4]


@settings(max_examples=200, deadline=None)
@given(values)
def test_a_part_comes_before_what_refers_to_it(value: object) -> None:
    encoded = Encoder().encode(value)

    seen: set[bytes] = set()
    for digest, body in encoded.parts:
        assert set(part_digests(body)) <= seen
        seen.add(digest)
    assert set(part_digests(encoded.body)) <= seen


SECRET = "hunter2!x9Z"
LEAKS: list[object] = [
    {"password": SECRET},
    {"note": f"password={SECRET} " + "x" * 600},
    f"it is {SECRET}",
    {"messages": [HumanMessage(f"{SECRET} " * 40, id="1")] * 4, "password": "x" * 600},
    {"data": {"messages": [{"role": "a", "content": f"Authorization: Bearer {SECRET}"}]}},
]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(values, st.sampled_from(LEAKS)), min_size=1, max_size=5))
def test_where_there_are_secrets_both_roads_keep_the_same(
    tmp_path_factory: pytest.TempPathFactory, several: list[Any]
) -> None:
    folder = tmp_path_factory.getbasetemp()  # one key, so one marker for a secret
    both, long = Encoder(Redaction().redactor(folder)), Long(Redaction().redactor(folder))
    handed: tuple[set[Any], set[Any]] = set(), set()

    for end in range(1, len(several) + 1):
        for value in (several[end - 1], several[:end], {"messages": several[:end], "last": several[end - 1]}):
            one, other = both.encode(value), long.encode(value)
            handed[0].update(one.parts)
            handed[1].update(other.parts)
            assert (*one[:4], *one[5:]) == (*other[:4], *other[5:])
    assert handed[0] == handed[1]


class Long(Encoder):
    """Takes the long road alone."""

    def encode(self, value: object) -> Encoded:
        return self._thoroughly(value)


CONVERSATION = [HumanMessage("x" * n, id=str(n)) for n in range(0, 600, 90)]
COMMON: list[object] = [
    {
        "messages": CONVERSATION,
        "data": {"step": 1, "rows": [{"id": n, "ok": True, "p": 0.5} for n in range(9)]},
    },
    {"messages": CONVERSATION[:1], "data": {"step": 1}},
    {"messages": [{"role": "user", "content": "hi"}] * 4},
    {"job": 1, "text": "x" * 1000, "tags": ["a", "b"], "none": None},
    [{"name": "f", "args": {"q": "x"}, "id": "c", "type": "tool_call"}],
    ["a", "b"],
    "a text",
    CONVERSATION,
    CONVERSATION[0],
    [TextMessage(content="hi", source="a"), TextMessage(content="x" * 300, source="b")],
    CreateResult(content="c", finish_reason="stop", usage=RequestUsage(1, 2), cached=False),
    {"said": ("user", "hi"), "seen": {1, "a"}, "colour": Colour.RED, "name": OddText("x"), "at": WHEN},
    ("route", {"messages": CONVERSATION}),
]


@pytest.mark.parametrize("value", COMMON, ids=map(str, range(len(COMMON))))
def test_a_common_value_takes_the_short_road(value: object, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = encode(value)

    def lost(*_: object) -> Any:
        raise AssertionError("the long road was taken")

    monkeypatch.setattr(canonical, "_encode", lost)

    assert told(Encoder(Redaction().redactor(None)).encode(value)) == told(expected)


def test_what_a_message_means_is_the_same_where_it_is_no_part_though_it_is_known_as_one() -> None:
    message = {"role": "user", "content": "x" * 280, "id": 1}
    for make in (Encoder, Long):
        encoder = make()
        encoder.encode([message])

        assert encoder.encode({"a": message}).belief == encode({"a": message}).belief


def test_a_part_that_stands_once_counts_once_beside_what_is_small() -> None:
    event = ToolCallRequestEvent(content=[FunctionCall("1", "{}", "f")], source="s", created_at=WHEN)
    value = {"a": ToolMessage("done" * 90, tool_call_id="1"), "b": event, "c": event}

    for encoded in (encode(value), Encoder().encode(value)):
        assert encoded.size == len(encoded.body) + sum(len(body) for _, body in encoded.parts)


CYCLES: list[Callable[[Any], Any]] = [
    lambda it: it.append(it),
    lambda it: it.append({"a": it}),
    lambda it: it.append(Odd(a=it)),
    lambda it: it.append(AIMessage("x", additional_kwargs={"me": it})),
    lambda it: it.append(Model.model_construct(more=it)),
]


@pytest.mark.parametrize("tie", CYCLES)
def test_a_cycle_is_left_to_the_long_road(tie: Callable[[Any], Any]) -> None:
    items: list[Any] = [1]
    tie(items)

    for value in (
        items,
        {"a": items},
        [HumanMessage("x")] * 3 + items,
        AIMessage("x", additional_kwargs={"a": items}),
    ):
        assert told(Encoder().encode(value)) == told(encode(value))


def test_no_code_of_the_apps_classes_runs() -> None:
    fields = {OddText("content"): 1, OddText("role"): "x", "a": Odd(content=Odd())}
    encoder = Encoder()
    ran.clear()
    OddText.armed = True
    try:
        for value in (
            fields,
            {"a": fields},
            {"a": [fields]},
            {"a": {"b": fields}},
            [fields] * 3,
            [Odd(a=1)] * 4,
            {"a": [Odd(role=Odd(), content=Bag(a=1))] * 3, "b": [fields]},
            LooksLikeOne.model_construct(content=Odd(), usage=fields),
        ):
            for _ in range(2):
                encoder.encode(value)
                fingerprint(value)
    finally:
        OddText.armed = False
    assert ran == []


def test_objects_that_are_too_deep_in_one_another_are_cut_off_on_either_road() -> None:
    value: Any = 1
    for _ in range(5):
        value = Odd(a=value)

    for encoded in (encode(value), Encoder().encode(value), Encoder().encode({"a": [value]})):
        assert "deeper than" in encoded.lossy[0][1]


def test_whether_an_object_is_a_message_is_told_from_its_own_fields() -> None:
    encoder = Encoder()

    for value in (Odd(a="x", b=1, id=1), Odd(content="x", role="a", id=2), Odd(a="x", b=1, id=3)):
        for wrapped in ([value], [value] * 4, value):
            assert encoder.encode(wrapped).belief == encode(wrapped).belief


BOOK = "a long text, " * 6000
OTHER = "".join(["a long text, "] * 6000) + "."


def test_a_long_text_is_read_once_for_as_long_as_it_is_the_same_object(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoder = Encoder()
    values: list[Any] = [
        {"text": BOOK, "step": 1},
        {"messages": [HumanMessage(BOOK, id="1")], "step": 1},
        {"messages": [UserMessage(content=BOOK, source="a"), "x"]},
    ]
    expected = [encoder.encode(value)[:4] for value in values]

    def small(value: Any, *more: Any) -> bytes:
        packed: bytes = packb(value, *more)
        assert len(packed) < len(BOOK)
        return packed

    monkeypatch.setattr(brief, "packb", small)

    for value, first in zip(values, expected, strict=True):
        again = encoder.encode(value)
        assert (again[:4], again.parts) == (first, ())


def test_a_long_text_is_not_taken_for_another_nor_for_what_stood_beside_it() -> None:
    encoder = Encoder()
    values: list[Any] = [
        *({"text": text} for text in (BOOK, OTHER, BOOK)),
        {"a": BOOK, "b": OTHER, "c": BOOK},
        *({"inner": {"text": BOOK, "messages": [{"role": "a", "content": BOOK}]}} for _ in range(2)),
        *([HumanMessage(text, id=id)] for text in (BOOK, OTHER) for id in "121"),
        *([AIMessage(BOOK, additional_kwargs={"n": n})] for n in (1, True, 1.0, math.nan, 1)),
        *([LooksLikeOne(content=BOOK, usage=HumanMessage("x" * 300, id=id))] for id in "121"),
        *([LooksLikeOne(content=OddText(BOOK))] for _ in range(2)),
        *(HumanMessage(BOOK, id=id) for id in "121"),
    ]

    for value in values:
        assert encoder.encode(value)[:4] == encode(value)[:4]


def test_a_long_text_is_read_again_for_a_secret_that_was_met_since_and_handed_out_again_once_forgotten() -> (
    None
):
    encoder = Encoder(Redaction().redactor(None))
    values: list[Any] = [{"text": BOOK + SECRET}, [HumanMessage(BOOK + SECRET)]]
    first = [encoder.encode(value) for value in values]
    encoder.forget([first[0].parts[0][0]])
    assert [len(encoder.encode(value).parts) for value in values] == [1, 0]

    encoder.encode({"note": f"password={SECRET}"})

    for value in values:
        again = encoder.encode(value)
        assert len(again.parts) == 1
        assert SECRET.encode() not in again.parts[0][1]


def test_a_long_text_that_comes_to_where_another_was_is_not_taken_for_it() -> None:
    encoder = Encoder()

    for number in range(9):
        value = {"text": BOOK + str(number)}
        assert encoder.encode(value).digest == encode(value).digest
        del value  # the next one may be given its place


def test_the_long_texts_that_are_held_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = Encoder()
    for number in range(200):
        encoder.encode({"text": BOOK + str(number)})
        assert len(encoder._texts) <= brief.MOST_TEXTS
    monkeypatch.setattr(brief, "MOST_HELD", 4 * len(BOOK))
    for number in range(9):
        encoder.encode({"text": BOOK + str(number)})
    assert len(encoder._texts) <= 5
    encoder.forget()
    encoder.encode({"text": BOOK * 5})
    assert not encoder._texts


class Keys:
    """Finds nothing secret but a name."""

    version = 0

    def body(self, body: bytes, digest: bytes | None = None) -> bytes:
        return body

    def holds_newer(self, content: bytes, since: int) -> bool:
        return False

    def keeps(self, bodies: Sequence[tuple[bytes, bytes]]) -> bool:
        return True

    def text(self, text: str) -> str:
        return text

    def is_secret_key(self, key: str) -> bool:
        return key == "more"


@pytest.mark.parametrize("make", [dict, Model.model_construct])
def test_what_stands_under_a_secrets_name_stays_where_the_name_is_seen(make: Callable[..., Any]) -> None:
    value = make(more=["x" * 900], rows=["y" * 900])

    both, long = Encoder(Keys()).encode(value), Long(Keys()).encode(value)

    assert both == long
    assert b"x" * 900 in both.body
    assert b"y" * 900 not in both.body


def test_a_conversation_is_read_again_for_a_secret_that_was_met_since() -> None:
    def handed(kind: type[Encoder]) -> set[bytes]:
        encoder = kind(Redaction().redactor(None))
        said = [HumanMessage(f"{n} {SECRET} " + "x" * 300, id=str(n)) for n in range(5)]
        for value in ({"messages": said}, {"messages": said}, {"note": f"password={SECRET}"}):
            encoder.encode(value)
        again = encoder.encode({"messages": [*said, HumanMessage("more")]})
        return {body for _, body in (*again.parts, (again.digest, again.body))}

    for kind in (Encoder, Long):
        assert len(handed(kind)) == 6
        assert not any(SECRET.encode() in body for body in handed(kind))


INNER: list[Callable[[list[Any]], object]] = [
    lambda calls: setattr(calls[0], "arguments", "[]"),
    lambda calls: setattr(calls[0], "more", None),
    lambda calls: calls.__setitem__(0, calls[0].__dict__),
    lambda calls: calls.__setitem__(0, [reader_of(FunctionCall).mark, calls[0].__dict__, None]),
    lambda calls: calls.__setitem__(0, Named("1", "{}", "f")),
    lambda calls: calls.append(FunctionCall("2", "{}", "f")),
]


@dataclass
class Named:
    id: str
    arguments: str
    name: str


@pytest.mark.parametrize("number", range(len(INNER)))
def test_a_change_of_an_object_in_a_message_of_a_known_conversation_is_seen(number: int) -> None:
    encoder = Encoder()
    said: list[Any] = [AssistantMessage(content=f"{n} " * 90, source="s") for n in range(4)]
    said.insert(2, AssistantMessage(content=[FunctionCall("1", "{}", "f")], source="s"))
    before = encoder.encode(said).digest
    assert encoder.encode(said).digest == before

    INNER[number](said[2].content)

    assert encoder.encode(said).digest == encode(said).digest != before


@pytest.mark.parametrize("number", [n for n, (make, _) in enumerate(EDITS) if make is not team])
@pytest.mark.parametrize("wrap", [list, lambda said: {"messages": said, "n": 1}])
def test_a_fingerprint_tells_any_change_in_place_and_nothing_else(
    number: int, wrap: Callable[[Any], Any]
) -> None:
    make, edit = EDITS[number]
    said = make()
    encode(said)
    before, again = fingerprint(wrap(said)), fingerprint(wrap(list(said)))

    edit(said)

    assert before == again != fingerprint(wrap(said))
    assert before is not None
