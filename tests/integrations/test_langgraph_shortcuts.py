"""LangGraph: where a question is answered the short way, the answer is that of the long one."""

from __future__ import annotations

import operator
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langgraph.channels import (
    AnyValue,
    BinaryOperatorAggregate,
    EphemeralValue,
    LastValue,
    NamedBarrierValue,
    Topic,
)
from langgraph.channels.base import BaseChannel

from becausal.observation import Sealed
from becausal.sealing import Sealer
from becausal_integrations.langgraph import channels, inplace
from becausal_integrations.langgraph.channels import fired, sends_of, value_of
from becausal_integrations.langgraph.inplace import Entry
from becausal_integrations.langgraph.routes import Routes


class OwnValue(LastValue):  # type: ignore[type-arg]
    """An app's own channel: what it holds is not its `value`."""

    def get(self) -> Any:
        return ["own", self.value]

    def is_available(self) -> bool:
        return True


MISSING = object()
"""An app's module may have one, too."""


def own_class_of_that_name() -> type:
    return type("LastValue", (OwnValue,), {"__module__": __name__})


MADE: dict[str, tuple[Callable[[], Any], list[Any]]] = {
    "last": (lambda: LastValue(str), ["a"]),
    "reduced": (lambda: BinaryOperatorAggregate(list, operator.add), [["a"]]),
    "greatest": (lambda: BinaryOperatorAggregate(Any, max), [3]),
    "ephemeral": (lambda: EphemeralValue(Any), [None]),
    "any": (lambda: AnyValue(str), ["a"]),
    "topic": (lambda: Topic(str), ["a", "b"]),
    "barrier": (lambda: NamedBarrierValue(str, {"a"}), ["a"]),
    "own": (lambda: OwnValue(str), ["a"]),
    "named alike": (lambda: own_class_of_that_name()(str), ["a"]),
}


def asked(channel: BaseChannel[Any, Any, Any]) -> Any:
    return channel.get() if channel.is_available() else None


@pytest.mark.parametrize("kind", MADE)
def test_what_a_channel_holds_is_what_its_methods_say(kind: str) -> None:
    make, writes = MADE[kind]
    channel: BaseChannel[Any, Any, Any] = make()
    for update in ((), writes, ()):
        if update:
            channel.update(update)
        assert value_of(channel) == asked(channel)
        if kind in ("last", "reduced", "greatest", "ephemeral"):
            assert channels._empty(type(channel)) is not channels._ASK
            assert asked(channel) is value_of(channel)
        expected = ("c",) if channel.is_available() else ()
        assert fired(["c", "other"], {"c": channel}, {"c": 2}, {"c": 1}) == expected
        assert fired(["c"], {"c": channel}, {"c": 2}, {}) == expected
        assert fired(["c"], {"c": channel}, {"c": 2}, {"c": 2}) == ()
        assert fired(["c"], {"c": channel}, {}, {}) == ()


def test_what_is_on_its_way_is_what_the_topic_holds() -> None:
    topic = Topic(str)
    assert tuple(sends_of({"__pregel_tasks": topic})) == ()
    topic.update(["a", "b"])
    assert list(sends_of({"__pregel_tasks": topic})) == ["a", "b"]
    assert tuple(sends_of({})) == ()


SCALARS = st.one_of(st.text(max_size=3), st.integers(-2, 2), st.booleans(), st.none(), st.floats(0, 1))
FLAT = st.one_of(
    SCALARS, st.lists(SCALARS, max_size=3), st.dictionaries(st.text(max_size=2), SCALARS, max_size=3)
)
DEEP = st.recursive(
    FLAT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=6,
)
MESSAGES = st.builds(
    AIMessage,
    content=st.text(max_size=4)
    | st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": st.text(max_size=2)})),
    id=st.none() | st.text(max_size=2),
    additional_kwargs=st.dictionaries(st.text(max_size=2), FLAT, max_size=2),
) | st.builds(HumanMessage, content=st.text(max_size=4), name=st.none() | st.text(max_size=2))
STATES = st.dictionaries(
    st.text(max_size=2), st.one_of(FLAT, DEEP, st.lists(MESSAGES, max_size=3)), max_size=4
)
SEALER = Sealer(keeps_bodies=False, holds_whole=False)


def change(value: Any, path: list[int], new: Any) -> None:
    """Change something in place, as deep as the path leads."""
    if isinstance(value, BaseMessage):
        value = value.additional_kwargs if path[0] % 2 else value.__dict__
    inside = list(value.values()) if isinstance(value, dict) else value
    if len(path) > 1 and inside and isinstance(inside[path[0] % len(inside)], dict | list | BaseMessage):
        change(inside[path[0] % len(inside)], path[1:], new)
    elif isinstance(value, list):
        at = path[0] % (len(value) + 1)
        value[at : at + 1] = [new]
    elif value and path[0] % 2:
        value[next(iter(value))] = new
    elif value and path[0] % 3:
        value["renamed"] = value.pop(next(iter(value)))
    else:
        value["added"] = new


@given(STATES, st.lists(st.integers(0, 5), min_size=1, max_size=3), SCALARS, st.booleans(), st.booleans())
def test_a_change_in_place_is_found_wherever_it_is_and_nothing_else_is(
    state: dict[str, Any], path: list[int], new: Any, is_changed: bool, is_big: bool
) -> None:
    if is_big:
        # Of what lies deep in a big value not every change is seen; of what is flat each one is.
        state = {
            key: value for key, value in state.items() if inplace._flat_objects_of({key: value}) is not None
        }
        state["big"] = "tea" * inplace.SMALL
    before = SEALER.seal(state)
    entry = Entry(before, state)
    if is_changed:
        change(state, path, new)
    after = SEALER.seal(state)

    found = entry.now(SimpleNamespace(seal=SEALER.seal), state)  # type: ignore[arg-type]

    assert (found is not None) == (before.payload.belief != after.payload.belief)
    if found is not None:
        assert found.payload.digest == after.payload.digest


@given(STATES, st.lists(st.integers(0, 5), min_size=1, max_size=3), SCALARS, st.booleans(), st.booleans())
def test_what_is_taken_to_be_as_it_was_sealed_has_the_seal_of_then(
    state: dict[str, Any], path: list[int], new: Any, is_changed: bool, is_big: bool
) -> None:
    if is_big:
        state["big"] = "tea" * inplace.SMALL
    before = SEALER.seal(state)
    entry = Entry(before, state)
    if is_changed:
        change(state, path, new)
    after = SEALER.seal(state)

    is_as_sealed = entry.is_as_sealed(SimpleNamespace(redact=None, losses=0), state)  # type: ignore[arg-type]

    if is_as_sealed:
        assert before.payload.digest == after.payload.digest
    elif not is_big:
        assert is_changed or any(isinstance(value, list) for value in state.values())


def test_what_was_sealed_before_a_secret_was_met_is_sealed_again() -> None:
    job = {"number": 1}
    entry = Entry(SEALER.seal(job), job, version=1)

    assert entry.is_as_sealed(SimpleNamespace(redact=SimpleNamespace(version=1), losses=0), job)  # type: ignore[arg-type]
    assert not entry.is_as_sealed(SimpleNamespace(redact=SimpleNamespace(version=2), losses=0), job)  # type: ignore[arg-type]


def test_a_change_deep_inside_of_a_big_value_is_not_taken_for_none() -> None:
    job: dict[str, Any] = {"deep": [{"a": [{"b": 1}]}], "big": "tea" * inplace.SMALL}
    entry = Entry(SEALER.seal(job), job)
    job["deep"][0]["a"][0]["b"] = 2

    assert not entry.is_as_sealed(SimpleNamespace(redact=None, losses=0), job)  # type: ignore[arg-type]


def test_the_places_that_an_edge_chooses_are_sealed_once_for_what_is_known_to_be_secret() -> None:
    redact, sealed = SimpleNamespace(version=1), list[Any]()

    def seal(value: object) -> Sealed:
        sealed.append(value)
        return SEALER.seal(value)

    routes = Routes(SimpleNamespace(redact=redact, seal=seal, losses=0), SimpleNamespace())  # type: ignore[arg-type]

    first = routes._said(("a", "b"))
    assert routes._said(("a", "b")) is first
    assert first.payload == SEALER.seal(["a", "b"]).payload
    redact.version = 2
    routes._said(("a", "b"))
    routes._said(("a",))
    assert sealed == [["a", "b"], ["a", "b"], ["a"]]


@pytest.mark.parametrize(
    ("sent", "came"), [("a", "b"), (1, True), ({"a": 1}, {"a": True}), ({"a": 1}, ["a", 1])]
)
def test_another_value_than_was_sent_is_not_taken_for_it(sent: Any, came: Any) -> None:
    entry = Entry(SEALER.seal(sent), sent)

    assert not entry.is_as_sealed(SimpleNamespace(redact=None, losses=0), came)  # type: ignore[arg-type]


@pytest.mark.parametrize("facts", [{"b": "x"}, {}], ids=str)
def test_a_key_that_is_renamed_in_place_is_a_change(facts: dict[str, Any]) -> None:
    state: dict[str, Any] = {"facts": facts | {"a": 1}, "big": "tea" * inplace.SMALL}
    entry = Entry(SEALER.seal(state), state)
    inside = state["facts"]
    held = dict(inside)
    inside.clear()
    inside.update({("c" if key == "a" else key): value for key, value in held.items()})

    assert entry.now(SimpleNamespace(seal=SEALER.seal), state) is not None  # type: ignore[arg-type]


def test_a_big_text_is_compared_by_where_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise AssertionError("asked for a fingerprint")

    state: dict[str, Any] = {"topic": "tea" * inplace.SMALL, "log": ["a", 1], "facts": {"b": None}}
    monkeypatch.setattr(inplace, "fingerprint", refuse)
    entry = Entry(SEALER.seal(state), state)
    recorder: Any = SimpleNamespace(seal=SEALER.seal)

    assert entry.now(recorder, state) is None
    state["facts"]["b"] = 2
    assert entry.now(recorder, state) is not None


def test_a_part_that_moves_to_another_place_is_a_change() -> None:
    inner: list[Any] = []
    state: dict[str, Any] = {"tree": [[1, inner]]}
    entry = Entry(SEALER.seal(state), state)
    state["tree"][0].remove(inner)
    state["tree"].append(inner)

    assert entry.now(SimpleNamespace(seal=SEALER.seal), state) is not None  # type: ignore[arg-type]


def test_what_moves_from_the_end_of_a_list_to_its_neighbour_in_a_big_state_is_a_change() -> None:
    state: dict[str, Any] = {"done": ["a"], "waiting": ["b", "c"], "facts": {}, "big": "tea" * inplace.SMALL}
    entry = Entry(SEALER.seal(state), state)
    state["done"].append(state["waiting"].pop(0))

    assert entry.now(SimpleNamespace(seal=SEALER.seal), state) is not None  # type: ignore[arg-type]


@pytest.mark.parametrize("many", [[{"a": [n]} for n in range(9)], [{"a": [n]} for n in range(900)]], ids=len)
def test_of_a_small_value_and_of_one_of_many_parts_a_change_of_a_part_is_found(many: list[Any]) -> None:
    state = {"many": many}
    entry = Entry(SEALER.seal(state), state)
    assert entry.now(SimpleNamespace(seal=SEALER.seal), state) is None  # type: ignore[arg-type]
    many[-1] = {"a": ["other"]}

    assert entry.now(SimpleNamespace(seal=SEALER.seal), state) is not None  # type: ignore[arg-type]
