"""What is large is split off and bears no name there: below a secret's name it is kept without its secret."""

from __future__ import annotations

import collections
import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import START, StateGraph
from pydantic import BaseModel

import becausal
from becausal import canonical
from becausal.canonical import Encoder
from becausal.redaction.redactor import Redactor
from becausal.sealing import Sealer

PAD = "some more words "


@dataclass
class Held:
    inner: object
    region: str = "eu-central-1"


@dataclass
class Login:
    password: object
    note: str = ""


class Model(BaseModel):
    inner: Any


class Bag(dict[Any, Any]):
    pass


class Plain:
    def __init__(self, inner: object) -> None:
        self.inner = inner


def array_of(inner: object) -> Any:
    made = np.empty(2, dtype=object)
    made[0] = inner
    return made


Wrap = Callable[[Any], Any]

AROUND: dict[str, Wrap] = {
    "dict": lambda inner: {"q": inner, "a": 1},
    "large dict": lambda inner: {"q": inner, "pad": PAD * 40},
    "dict of many": lambda inner: {"q": inner, **{f"n{number}": number for number in range(300)}},
    "dict of odd keys": lambda inner: {1: inner},
    "bag": lambda inner: Bag(q=inner),
    "list": lambda inner: [inner],
    "long list": lambda inner: [1, inner, *range(300)],
    "tuple": lambda inner: ("u", inner),
    "large tuple": lambda inner: (PAD * 40, inner),
    "deque": lambda inner: collections.deque([inner]),
    "object": Held,
    "plain object": Plain,
    "model": lambda inner: Model(inner=inner),
    "array": array_of,
    "message's extras": lambda inner: HumanMessage("as asked", additional_kwargs={"x": inner}, id="m1"),
    "messages": lambda inner: [
        *[AIMessage(f"{number} {PAD * 40}", id=f"a{number}") for number in range(3)],
        HumanMessage(PAD * 40, additional_kwargs={"x": inner}, id="m2"),
    ],
    "dicts that speak": lambda inner: {
        "said": [{"role": "user", "content": PAD * 40, "x": inner}, {"role": "ai", "content": "yes"}]
    },
}
"""What a value stands in, whose own name says nothing."""

BELOW: dict[str, Wrap] = {
    **{name: wrap for name, wrap in AROUND.items() if name not in ("message's extras", "messages")},
    "message": lambda inner: HumanMessage(inner if isinstance(inner, str) else [{"of": inner}], id="m3"),
    "set": lambda inner: {inner} if isinstance(inner, str) else [inner],
}

NAMED: dict[str, Wrap] = {
    "a key": lambda inner: {"api_key": inner},
    "a key beside more": lambda inner: {"clientSecret": inner, "pad": PAD * 40},
    "a key of bytes": lambda inner: {b"password": inner},
    "a field": Login,
    "a name beside": lambda inner: {"name": "password", "value": inner},
}

SECRETS = ("qzwvkjx", *("Kq7x" * count for count in (2, 15, 62, 75, 150, 400)))
"""The first one is a word, and so is not found by itself once it was met."""


def nested(inner: Any, wraps: list[str], by: dict[str, Wrap]) -> Any:
    for name in wraps:
        inner = by[name](inner)
    return inner


def all_kept(value: Any, *, times: int = 2) -> Iterator[bytes]:
    """Yield all that is kept of a value, by all who keep one."""
    one = canonical.encode(value, Redactor())
    yield from (one.body, *[body for _, body in one.parts])
    sealer = Sealer(keeps_bodies=True, holds_whole=False, redact=Redactor())
    for _ in range(times):
        sealed = sealer.seal(value)
        kept = sealer.kept(value, sealed=sealed)
        for side in (sealed, kept):
            yield from () if side is None else (body for _, body in side.bodies)


@given(
    st.sampled_from(SECRETS),
    st.lists(st.sampled_from([*BELOW]), max_size=3),
    st.sampled_from([*NAMED]),
    st.lists(st.sampled_from([*AROUND]), max_size=3),
)
@settings(max_examples=400, deadline=None)
def test_a_secret_below_its_name_is_kept_nowhere_whatever_it_stands_in(
    secret: str, below: list[str], named: str, around: list[str]
) -> None:
    value = nested(NAMED[named](nested(secret, below, BELOW)), around, AROUND)

    assert not [body for body in all_kept(value) if secret.encode() in body]


@pytest.mark.parametrize("named", NAMED)
@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("below", ["tuple", "object", "message", "model"])
def test_a_large_value_below_a_secrets_name_is_kept_without_it(below: str, around: str, named: str) -> None:
    secret = "Kq7x" * 150
    value = AROUND[around](NAMED[named](BELOW[below](secret)))

    assert not [body for body in all_kept(value) if secret.encode() in body]


@pytest.mark.parametrize("length", range(4, 40))
def test_a_secret_of_any_length_is_found_in_a_tuple_below_its_name(length: int) -> None:
    """How an entry of bytes begins tells its length, each of a few lengths in a way of its own."""
    secret = ("7Kqx" * 10)[:length]
    value = {"q": {"password": (secret,), "more": [{"cookie": (secret,)}]}}

    assert not [body for body in all_kept(value, times=1) if secret.encode() in body]


@pytest.mark.parametrize("name", ["authorization", b"x-api-key", "password", b"password", "token"])
@pytest.mark.parametrize("kind", [tuple, list])
def test_the_value_in_a_pair_is_found_however_long_it_is(name: str | bytes, kind: type) -> None:
    secret = "7Kqx" * 150
    pair = kind([name, secret if isinstance(name, str) else secret.encode()])

    assert not [body for body in all_kept(pair) if b"7Kqx" * 150 in body]


SEVERAL: dict[str, Wrap] = {
    "a list": lambda held: [held],
    "a tuple": lambda held: (held, "x"),
    "a set": lambda held: {held},
    "lists": lambda held: [["x"], [held]],
    "an array": lambda held: np.array([held]),
}


@pytest.mark.parametrize("name", ["authorization", "set-cookie", "password"])
@pytest.mark.parametrize("several", SEVERAL)
@pytest.mark.parametrize("kind", [tuple, list])
def test_several_values_in_a_pair_are_found_like_one(name: str, several: str, kind: type) -> None:
    secret = "7Kqx-9Zt2"
    value = {"headers": [kind([name, SEVERAL[several](secret)])]}

    assert not [body for body in all_kept(value, times=1) if secret.encode() in body]


def test_several_names_of_fields_in_a_pair_are_left() -> None:
    (kept, *_) = all_kept(["password", ["user", "first name"]], times=1)

    assert b"user" in kept
    assert b"first name" in kept


@pytest.mark.parametrize("depth", [1, 3, 200])
@pytest.mark.parametrize("below", [40, 240, 250])
def test_what_is_withheld_for_its_depth_leaves_no_part_behind(
    depth: int, below: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BECAUSAL_STRICT", raising=False)
    secret = "7Kqx" * 150
    value: Any = (secret,)
    for _ in range(below):
        value = {"a": value}
    value = {"api_key": value}
    for _ in range(depth):
        value = {"a": value}

    assert not [body for body in all_kept(value) if secret.encode() in body]


class Field(enum.Enum):
    KEY = "api_key"


@dataclass
class Setting:
    name: str
    value: object


CONFIGS: dict[str, Wrap] = {
    "a key": lambda held: {"api_key": held},
    "a name beside": lambda held: {"name": "api_key", "value": held},
    "a name of bytes beside": lambda held: {"key": b"api_key", "value": held},
    "names in a list": lambda held: [{"name": "region", "value": "eu"}, {"name": "api_key", "value": held}],
    "an object's name": lambda held: Setting("api_key", held),
    "a key of bytes": lambda held: {b"api_key": held},
    "a member of an enum": lambda held: {Field.KEY: held},
    "a tuple": lambda held: {"api_key": ("u", held)},
}


@pytest.mark.parametrize("config", CONFIGS)
def test_a_conversation_beside_such_a_value_stays_split_and_is_kept_once(config: str) -> None:
    configured = CONFIGS[config]
    said = [HumanMessage(f"{number} {PAD * 40}", id=f"m{number}") for number in range(20)]
    secret = "Kq7x" * 150
    encoder = Encoder(Redactor())

    without = canonical.encode({"messages": said, "config": {}})
    first = encoder.encode({"messages": said, "config": configured(Held(secret))})
    second = encoder.encode({"messages": [*said, said[0]], "config": configured(Held(secret))})

    assert {digest for digest, _ in without.parts} <= {digest for digest, _ in first.parts}
    assert sum(len(body) for _, body in second.parts) + len(second.body) < 4_000
    kept = dict([*first.parts, *second.parts])
    assert canonical.decode(second.body, kept.get)
    assert not [body for body in (first.body, second.body, *kept.values()) if secret.encode() in body]


def test_what_is_kept_of_such_a_value_is_its_shape() -> None:
    value = {"q": 1, "config": {"api_key": Held("Kq7x" * 150), "more": [("u", 2)]}}
    encoded = canonical.encode(value, Redactor())
    kept: Any = canonical.decode(encoded.body, dict(encoded.parts).get)

    assert kept["config"]["more"] == [("u", 2)]
    assert kept["config"]["api_key"]["inner"].startswith("[redacted:api_key:")


class State(TypedDict):
    q: str
    config: Any


@pytest.mark.parametrize(
    "config",
    [
        lambda secret: {"credentials": Held(secret)},
        lambda secret: {"credentials": ("u", secret)},
        lambda secret: [{"password": (secret,)}],
        lambda secret: {"deeper": {"api_key": HumanMessage(secret, id="m1")}},
    ],
    ids=["object", "tuple", "in a list", "message"],
)
def test_a_graphs_input_is_stored_without_what_stands_below_a_secrets_name(
    config: Callable[[str], Any], tmp_path: Path
) -> None:
    secret = "Vb3q" * 150
    graph = StateGraph(State)
    graph.add_node("n", lambda state: {"q": "done"})
    graph.add_edge(START, "n")
    store = str(tmp_path / "s.db")
    becausal.instrument("langgraph", store=store)
    try:
        given_ = {"q": "x", "pad": PAD * 400, "config": config(secret)}
        graph.compile().invoke(given_)  # type: ignore[call-overload]
        assert becausal.flush()
        run = becausal.last_run()
        steps = [side for step in run.steps for side in (step.received, step.produced) if side is not None]
        told = "\n".join(side.text() for side in steps)
        kept = run.export(tmp_path / "run.becausal")
        again = becausal.open(kept).last()
    finally:
        becausal.uninstrument()

    assert "[redacted:" in told
    assert secret not in told
    assert secret not in repr([step.received.value() for step in again.steps if step.received is not None])
