"""The promise: what is received as it was sent is known without being sealed again, and nothing else for it."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from tests.core.test_canonical_swift import values

from becausal.observation import Opening
from becausal.payload import Payload
from becausal.recorder import Recorder
from becausal.redaction.redactor import Redactor
from becausal.sealing import Sealer
from becausal.step import Cause

LONG = "as was said before. " * 40
PLAIN: list[Any] = [
    {},
    [],
    {"n": 1},
    {"text": LONG},
    {"messages": [{"type": "ai", "content": LONG, "id": f"m{n}"} for n in range(3)]},
    {"step": 0, "rows": [{"id": n, "score": n / 7, "tags": ["a", "b"]} for n in range(99)]},
    {"a": LONG, "b": [LONG, {"role": "user", "content": LONG}], "c": {"d": LONG}, "e": b"\xd8\x01" * 300},
    ["short", LONG, {"content": "x", "role": "user"}],
]


@given(values, values)
@settings(deadline=None)
def test_only_what_seals_to_the_same_is_taken_for_the_same(one: Any, other: Any) -> None:
    for sent in (one, {"it": one}, [one, other]):
        for received in (copy_of(sent), other, {"it": other}, [one, one]):
            sealed = Sealer(keeps_bodies=True, holds_whole=False)
            first = sealed.seal(sent)
            if sealed.is_again(first.payload, first.bodies, received):
                assert Sealer(keeps_bodies=True, holds_whole=False).seal(received) == first


@pytest.mark.parametrize("sent", PLAIN, ids=range(len(PLAIN)))
def test_plain_data_that_comes_as_it_was_sent_is_known(sent: Any) -> None:
    sealer = Sealer(keeps_bodies=True, holds_whole=False)

    payload, bodies = sealer.seal(sent)

    assert sealer.is_again(payload, bodies, copy.deepcopy(sent))
    assert not sealer.is_again(payload, bodies, [sent])
    again = sealer.seal(sent)  # of which parts went with the first one
    assert sealer.is_again(again.payload, again.bodies, sent) == (len(bodies) == 1)


def test_a_value_is_read_again_for_what_has_been_met_as_a_secret_since() -> None:
    redactor = Redactor()
    sealer = Sealer(keeps_bodies=True, holds_whole=False, redact=redactor)
    value = {"note": "the word is hunter2!x9"}
    payload, bodies = sealer.seal(value)
    assert sealer.is_again(payload, bodies, value)

    sealer.seal({"password": "hunter2!x9"})

    assert not sealer.is_again(payload, bodies, value)
    payload, bodies = sealer.seal(value)
    assert b"hunter2!x9" not in bodies[-1][1]
    assert not sealer.is_again(payload, bodies, value)


@pytest.mark.parametrize("sent", PLAIN, ids=range(len(PLAIN)))
def test_a_handoff_says_of_what_came_what_sealing_it_would_say(recording_to: Recorder, sent: Any) -> None:
    planner = recording_to.begin(Opening("agent", "planner"))
    changed = {"and": sent} if isinstance(sent, dict) else [*sent, "more"]
    for received in (copy.deepcopy(sent), changed):
        handoff = recording_to.handoff("planner", "writer", sent, sent_by=planner)
        assert handoff is not None

        recording_to.produce(handoff, received)

        assert handoff.received == Sealer(keeps_bodies=True, holds_whole=False).seal(sent).payload
        assert handoff.produced == Sealer(keeps_bodies=True, holds_whole=False).seal(received).payload
        assert (handoff.received == handoff.produced) == (received == sent)
        recording_to.end(handoff)


@pytest.mark.parametrize(
    "value", [Cause("1", "data", "observed", "why"), Payload("d", "b", 1, "str", (("$", "why"),))]
)
def test_values_that_never_change_stay_so_and_can_be_copied(value: Any) -> None:
    for field in dataclasses.fields(value):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, field.name, None)
    ways: list[Callable[[Any], Any]] = [copy.copy, copy.deepcopy, dataclasses.replace]
    for way in ways:
        assert way(value) == value
        assert type(way(value)) is type(value)
    assert len({value, copy.copy(value)}) == 1


def copy_of(value: Any) -> Any:
    return dict(value) if type(value) is dict else [*value] if type(value) is list else value
