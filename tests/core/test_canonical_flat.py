"""Promises of how a conversation is known again: what is only compared is kept by nobody, and either road knows it."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from becausal.canonical import Encoded, Encoder, decode, encode, flat, part_digests
from becausal.canonical.flat import Flat
from becausal.canonical.swift import Swift
from becausal.redaction import Redaction

SECRET = "hunter2!x9Z"


class Colour(enum.Enum):
    LONG = "red" * 99


class Names(list[Any]):
    pass


class Table(dict[Any, Any]):
    pass


@dataclass
class Call:
    name: str
    more: Any = None


@dataclass(slots=True)
class Slotted:
    name: str
    more: Any = None


@dataclass
class Said:
    content: str
    role: str = "user"
    more: Any = None


class Plain:
    def __init__(self, more: Any) -> None:
        self.more = more


leaves = st.sampled_from(
    ["", "x" * 90, "y" * 300, "z" * 600, 1, None, b"b" * 300, Colour.LONG, f"password={SECRET} "]
)
inners = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(Call, st.sampled_from(["f", "g" * 300]), inner),
        st.builds(Slotted, st.just("s"), inner),
        st.builds(Said, st.sampled_from(["a", "a" * 300]), st.just("r"), inner),
        st.builds(Plain, inner),
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.lists(inner, max_size=3).map(Names),
        st.sets(st.sampled_from(["k" * 200, "l" * 200, 1]), max_size=3),
        st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2),
        st.dictionaries(st.sampled_from(["a", 1]), inner, max_size=2).map(Table),
        inner.map(lambda one: (one, [one], one)),
    ),
    max_leaves=8,
)


class Long(Encoder):
    """Takes the long road alone."""

    def encode(self, value: object) -> Encoded:
        return self._thoroughly(value)


@pytest.mark.parametrize("kind", [Encoder, Long])
@pytest.mark.parametrize(
    "make", [Said, lambda content, more: {"role": "user", "content": content, "more": more}]
)
@settings(max_examples=60, deadline=None)
@given(st.lists(inners, min_size=4, max_size=7), st.booleans())
def test_every_part_that_is_handed_out_is_referred_to_and_can_be_read(
    kind: type[Encoder], make: Callable[..., Any], several: list[Any], is_redacted: bool
) -> None:
    redact = Redaction().redactor(None) if is_redacted else None
    encoder, roots, kept = kind(redact), [], {}
    said: list[Any] = []

    for more in several:
        said.append(make(content="c", more=more))
        encoded = encoder.encode({"messages": said})
        assert encoded[:4] == encode({"messages": said}, redact)[:4]
        # What was not known to be secret before is handed out once more: so each is asked for by what it holds.
        kept.update({encoded.digest: encoded.body, **dict(encoded.parts)})
        roots.append(encoded.digest)

    reached: set[bytes] = set()
    while roots:
        digest = roots.pop()
        if digest not in reached:
            reached.add(digest)
            roots += part_digests(kept[digest])
            decode(kept[digest], kept.get)
    assert reached == set(kept)


def test_what_the_long_road_wrote_of_a_conversation_the_short_one_does_not_write_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoder = Encoder(Redaction().redactor(None))
    said = [Said(f"{n} " * 200, more=(Call(f"f{n}", Call("g" * 300)), {n})) for n in range(9)]
    said[2].content += f" password={SECRET} "
    encoder._thoroughly({"messages": said})
    written: list[object] = []
    typed = Swift.typed

    def noted(self: Swift, value: Any, *args: Any, **options: Any) -> Any:
        written.append(value)
        return typed(self, value, *args, **options)

    monkeypatch.setattr(Swift, "typed", noted)
    monkeypatch.setattr(Encoder, "_thoroughly", lambda *_: pytest.fail("the long road was taken"))

    encoded = encoder.encode({"messages": [*said, Said("more")]})

    assert written == [Said("more")]
    assert encoded[:4] == encode({"messages": [*said, Said("more")]}, encoder._redact)[:4]


def test_what_the_short_road_wrote_of_a_conversation_the_long_one_does_not_write_again() -> None:
    encoder = Encoder()
    said = [Said(f"{n} " * 200, more=(Call(f"f{n}", Call("g" * 300)), {n})) for n in range(9)]
    encoder.encode({"messages": said})
    run = encoder._runs[id(said[0])]

    encoder._thoroughly({"messages": said})

    assert encoder._runs[id(said[0])] is run


def nested(levels: int, inner: Any) -> Any:
    for _ in range(levels):
        inner = Call("f", inner)
    return inner


@pytest.mark.parametrize("kind", [Encoder, Long])
@pytest.mark.parametrize("levels", [0, 1, 40, 47, 48, 58, 61, 62, 63, 64])
def test_what_is_cut_off_where_it_stands_deeper_is_cut_off_though_it_is_known_from_above(
    kind: type[Encoder], levels: int
) -> None:
    encoder = kind()
    shared = nested(3, Plain([]))
    said = [Said("a", more=shared), Said("b"), Said("c", more=nested(levels, shared)), Said("d")]

    for value in (said, {"messages": said}, Call("f", said), nested(9, said)):
        for _ in range(3):
            encoded, expected = encoder.encode(value), encode(value)
            assert (*encoded[:4], encoded.lossy) == (*expected[:4], expected.lossy)


def test_what_stands_twice_in_what_stands_twice_is_written_once_to_be_compared() -> None:
    knot: Any = "x"
    for _ in range(14):
        knot = Call("f", (knot, knot))

    assert len(Flat(-99).rows([{"more": knot}])) < 4000


def test_two_objects_are_not_taken_for_one_that_is_there_twice() -> None:
    one, other = Call("f" * 300), Call("g" * 300)
    encoder = Encoder()
    said = [Said("a", more=[one, other, one]), Said("b"), Said("c")]
    first = encoder.encode(said)

    said[0].more[2] = other

    assert encoder.encode(said).digest == encode(said).digest != first.digest


@pytest.mark.parametrize("kind", [Encoder, Long])
def test_what_ends_a_comparison_and_is_no_failure_gets_out(
    kind: type[Encoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = [Said("a", more=(Call("f"),)) for _ in range(4)]

    def interrupted(kind: type) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(flat, "READERS", {})
    monkeypatch.setattr(flat, "reader_of", interrupted)

    with pytest.raises(KeyboardInterrupt):
        kind().encode(said)
