"""The promise: what is stored once is decoded once, what is given out is what was stored, and of a list that goes on
only what is new in it is read.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from tests.core.builders import Record, message

from becausal.canonical.decoded import Missing
from becausal.facts import facts, kinds, remembering
from becausal.facts.growing import Growing
from becausal.facts.remembered import Remembered
from becausal.findings.scene import Scene
from becausal.graph import Graph
from becausal.graph.values import Values, _Sharing
from becausal.payload import Payload, text_of

WORDS = ("ledger", "quota", "cargo", "{}", "[1]", "$5", "route")
DETAILS: tuple[object, ...] = (None, {}, {"deep": [[["x" * 600]], {"y": (1, 2.0, True)}]}, ["a" * 300] * 3)


def payload_of(record: Record, value: object) -> Payload:
    with record.step("agent", "writer", received=value) as draft:
        pass
    assert draft.step.received is not None
    return draft.step.received


def conversation(dice: random.Random, turns: int) -> list[dict[str, Any]]:
    """Return what turns are sent: all that was said; now and then it begins anew, or is cut at the front."""
    said: list[object] = []
    sent: list[dict[str, Any]] = []
    for turn in range(turns):
        words = " ".join(dice.choices(WORDS, k=dice.randrange(2, 90)))
        said.append(message("ai", words) | {"details": dice.choice(DETAILS)})
        said = {0: said[2:], 1: said[: len(said) // 2]}.get(dice.randrange(12), said)
        sent.append({"messages": list(said), "round": turn})
    return sent


@pytest.mark.parametrize("seed", range(6))
def test_what_is_shared_is_what_was_stored_with_its_types_its_text_and_its_facts(seed: int) -> None:
    dice, record, values = random.Random(seed), Record(), Values()
    payloads = [payload_of(record, value) for value in conversation(dice, 24)]
    lines: Growing[list[str]] = Growing()

    with remembering():
        for payload in [*payloads, *dice.sample(payloads, 12)]:
            alone, shared = payload.value(), values.of(payload)
            assert repr(shared) == repr(alone)
            assert text_of(shared, lines) == text_of(alone)
            stated = facts(shared)
            assert [(f.key, f.path, f.span, f.text) for f in stated] == [
                (f.key, f.path, f.span, f.text) for f in _alone(alone)
            ]


def _alone(value: object) -> tuple[Any, ...]:
    from contextvars import Context

    return Context().run(facts, value)


def test_each_message_of_a_conversation_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    record, values = Record(), Values()
    said = [message("ai", f"turn {turn} " + "word " * 80) for turn in range(30)]
    payloads = [payload_of(record, {"messages": said[: turn + 1]}) for turn in range(30)]
    read: Counter[bytes] = Counter()
    whole = _Sharing.whole

    def counting(self: _Sharing, body: bytes) -> Any:
        read[body] += 1
        return whole(self, body)

    monkeypatch.setattr(_Sharing, "whole", counting)
    decoded = [values.of(payload)["messages"] for payload in payloads * 2]

    assert max(read.values()) == 1
    assert all(one is other for one, other in zip(decoded[-1][:20], decoded[19], strict=True))


def test_what_is_missing_is_missing_only_where_it_is() -> None:
    record, values = Record(), Values()
    said = [message("ai", f"turn {turn} " + "word " * 80) for turn in range(8)]
    payloads = [payload_of(record, {"messages": said[: turn + 1]}) for turn in range(8)]
    lost = payload_of(record, said[6]).digest
    del record.bodies[bytes.fromhex(lost.rpartition(":")[2])]

    decoded = [values.of(payload)["messages"] for payload in payloads]

    assert decoded == [payload.value()["messages"] for payload in payloads]  # type: ignore[index]
    assert [any(isinstance(one, Missing) for one in row) for row in decoded] == [False] * 6 + [True] * 2


def test_a_list_that_goes_on_is_read_for_what_is_new_in_it() -> None:
    items = [object() for _ in range(40)]
    grown: Growing[list[object]] = Growing()
    read = 0

    def extend(made: list[object], new: Any, start: int) -> None:
        nonlocal read
        read += len(new)
        assert start == len(made)
        made.extend(new)

    for length in range(4, 40):
        assert grown.of("said", items[:length], list, extend) == items[:length]
    assert read == 39

    # One that has another beginning, or less in it, is another list.
    for other in ([object(), *items], items[:7], items[:39]):
        assert grown.of("said", other, list, extend) == other
    assert read == 39 + 41 + 7


def test_what_is_known_of_lists_that_go_on_is_bounded() -> None:
    grown: Growing[list[object]] = Growing()
    for name in range(1_000):
        for _ in range(9):
            grown.put(name % 500, [object() for _ in range(5)], [])

    assert sum(map(len, grown._known.values())) <= 64 * 4


def test_what_was_forgotten_of_a_payload_is_told_again_from_the_messages_that_are_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record = Record()
    said = [message("ai", f"turn {turn} is for {turn}00 kg") for turn in range(30)]
    payloads = [payload_of(record, {"messages": said[: turn + 1]}) for turn in range(30)]
    scene = Scene(Graph(record.steps()), ())
    monkeypatch.setattr(scene.graph, "stated", Remembered(0))
    first = [scene.stated(payload) for payload in payloads]
    read = 0
    read_text = kinds.read_text

    def counting(*args: Any, **more: Any) -> Any:
        nonlocal read
        read += 1
        return read_text(*args, **more)

    monkeypatch.setattr(kinds, "read_text", counting)
    again = [scene.stated(payload) for payload in payloads]

    assert again == first
    assert read == 0


def test_an_answer_that_is_given_again_takes_its_room_once() -> None:
    remembered: Remembered[str, int] = Remembered(20)
    remembered.put("other", 1, 10)
    for answer in range(5):
        remembered.put("same", answer, 10)

    assert (remembered.get("other"), remembered.get("same")) == (1, 4)
