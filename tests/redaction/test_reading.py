"""What is recorded is read for secrets once: the cost of looking follows what is new, not what is there."""

from __future__ import annotations

import random
import struct
import sys
from pathlib import Path
from types import FrameType
from typing import Any
from uuid import UUID

import ormsgpack
import pytest
from tests.core.builders import open_step

from becausal import semconv
from becausal.canonical import Encoder, encode, wire
from becausal.cleaning import clean
from becausal.redaction.engine import is_linear
from becausal.redaction.redactor import Redactor
from becausal.sealing import Sealer
from becausal.step import Cause, Choice, OpenStep, StepKind


class Counting:
    """Stands for the sieve, and counts the bytes that it is given."""

    def __init__(self, sieve: Any) -> None:
        self.sieve, self.bytes, self.times, self.is_screen = sieve, 0, 0, sieve.is_screen

    def matches(self, content: bytes) -> Any:
        self.bytes += len(content)
        self.times += 1
        return self.sieve.matches(content)

    def search(self, content: bytes, at: int = 0) -> Any:
        self.bytes += len(content) - at
        return self.sieve.search(content, at)


@pytest.fixture
def redactor() -> Redactor:
    made = Redactor()
    made._sieve = made._finder.sieve = Counting(made._sieve)  # type: ignore[assignment]
    made.may_hold = made._sieve.matches
    return made


def read(redactor: Redactor) -> int:
    count, redactor._sieve.bytes = redactor._sieve.bytes, 0  # type: ignore[attr-defined]
    return int(count)


def test_a_value_that_was_read_is_not_read_again(redactor: Redactor) -> None:
    sealer = Sealer(keeps_bodies=True, holds_whole=False, redact=redactor)
    value = {"text": "a plan " * 5000, "rows": [{"n": n, "note": "as before"} for n in range(500)]}

    size = sealer.seal(value).payload.size
    assert size <= read(redactor) <= size + 100
    sealer.seal(value)
    assert read(redactor) == 0
    sealer.seal({**value, "one": "more"})
    assert read(redactor) < 500


def test_what_only_refers_to_others_is_not_read(redactor: Redactor) -> None:
    encoder, messages = Encoder(redactor), [{"role": "user", "content": f"{n}" * 400} for n in range(200)]
    encoder.encode(messages)
    read(redactor)
    encoder.encode(messages[::-1])  # the same parts in a list that was never seen
    assert read(redactor) == 0
    encoder.encode([*messages, "and a text"])
    assert read(redactor) > 200 * 18
    encoder.encode({"password": messages[:2]})
    assert read(redactor) > 800  # what stands under a secret's name does not refer


@pytest.mark.parametrize("first", ["x", 7, None, "", [], True])
def test_a_list_that_begins_with_something_small_does_more_than_refer(first: object) -> None:
    parts = [wire.PART + bytes([number]) * 16 for number in range(20)]
    small = ormsgpack.packb(first)

    for count in (1, 2, 14, 15, 16, 20):
        assert wire.only_refers(wire.array(count) + b"".join(parts[:count]))
        assert not wire.only_refers(wire.array(count + 1) + small + b"".join(parts[:count]))
        assert not wire.only_refers(wire.array(count + 1) + b"".join(parts[:count]) + small)
    assert not any(map(wire.only_refers, (b"", small, b"\x90", b"\xdc", b"\xdc\x00\x00", parts[0])))


def test_a_conversation_that_grows_is_read_by_what_is_new(redactor: Redactor) -> None:
    encoder, messages = Encoder(redactor), []
    counts = []
    for turn in range(60):
        messages.append({"role": "user", "content": f"turn {turn}: " + "as it was said before. " * 40})
        encoder.encode({"messages": messages})
        counts.append(read(redactor))

    assert max(counts[30:]) < counts[0] + 60 * 40  # the references to the others, and one message


def test_what_was_met_as_a_secret_is_looked_for_in_what_was_read_before(redactor: Redactor) -> None:
    sealer = Sealer(keeps_bodies=True, holds_whole=False, redact=redactor)
    value = {"note": "they said Tr0ub4dor-3 " + "and so on " * 100}

    before = sealer.seal(value)
    sealer.seal({"password": "Tr0ub4dor-3"})
    after = sealer.seal(value)

    assert b"Tr0ub4dor-3" in b"".join(body for _, body in before.bodies)  # nothing gave it away then
    assert b"Tr0ub4dor-3" not in b"".join(body for _, body in after.bodies)
    assert before.payload.digest != after.payload.digest


def test_all_that_a_value_is_made_of_is_read_in_one_go(redactor: Redactor) -> None:
    sealer = Sealer(keeps_bodies=True, holds_whole=True, redact=redactor)
    sealed = sealer.seal({f"part{n}": f"{n} is said " * 100 for n in range(20)})

    assert len(sealed.bodies) == 21
    assert redactor._sieve.times == 1  # type: ignore[attr-defined]


def step(**attributes: str) -> OpenStep:
    made = open_step(agent="clerk")
    made.attributes.update(attributes)
    return made


def test_all_that_a_step_says_is_read_in_one_go(redactor: Redactor) -> None:
    for turn in range(50):
        task = str(UUID(int=random.Random(turn).getrandbits(128) | 0xABC << 60 | 0xABC << 100))
        said = step(task_id=task, place=f"clerk:{task}")
        said.causes.append(Cause("2" * 16, "data", "observed", f"channel findings@{turn}"))
        said.chose(Choice("call search(x)", ("was asked",), "because"))
        clean(said, redactor)
        if not turn:
            first = redactor._sieve.times  # type: ignore[attr-defined]
            read(redactor)
    assert redactor._sieve.times == first + 49  # type: ignore[attr-defined]
    assert read(redactor) < 49 * 300


def handoff(sent_by: str, **attributes: str) -> OpenStep:
    made = open_step(kind="handoff", name="clerk to judge", agent="clerk")
    made.attributes.update({semconv.TRANSFER_SENT_BY: sent_by, **attributes})
    made.causes.append(Cause(sent_by, "transfer", "observed", "channel findings@3"))
    return made


def test_what_a_handoff_says_is_not_read_again_for_the_next_one_that_says_it(redactor: Redactor) -> None:
    clean(handoff("0" * 16, note="at first"), redactor)  # the names of its attributes are new
    read(redactor)

    clean(handoff("1" * 16, note="as before"), redactor)
    assert read(redactor)
    clean(handoff("2" * 16, note="as before"), redactor)
    assert not read(redactor)
    clean(handoff("3" * 16, note="otherwise"), redactor)
    assert read(redactor)


def test_what_calls_of_one_tool_say_is_read_once(redactor: Redactor) -> None:
    for _ in range(2):
        clean(open_step(kind="tool", name="lookup"), redactor)
        times = redactor._sieve.times  # type: ignore[attr-defined]
    clean(open_step(kind="tool", name="search"), redactor)

    assert (times, redactor._sieve.times) == (1, 2)  # type: ignore[attr-defined]


def test_what_shows_a_cause_is_read_once_for_all_steps_of_that_cause(redactor: Redactor) -> None:
    def caused(name: str, *numbers: int) -> OpenStep:
        made = open_step(kind="agent", name=name)
        made.causes += [Cause("1" * 16, "transfer", "observed", f"message id {number}") for number in numbers]
        return made

    clean(caused("first", 1, 2), redactor)
    clean(caused("second"), redactor)
    read(redactor)

    clean(caused("second", 2), redactor)
    clean(caused("first", 1), redactor)
    assert not read(redactor)
    clean(caused("first", 1, 3), redactor)
    assert read(redactor)


def test_a_choice_of_whose_turn_is_next_is_read_once_and_one_of_a_model_each_time(redactor: Redactor) -> None:
    def chose(kind: StepKind, conclusion: str, reason: str | None = None) -> bool:
        made = open_step(kind=kind, name="manager")
        made.chose(Choice(conclusion, (), reason))
        clean(made, redactor)
        return bool(read(redactor))

    assert [chose("route", "next speaker: a") for _ in range(2)] == [True, False]
    assert chose("route", "next speaker: a", "as it was asked for")
    assert [chose("model", "answer: a") for _ in range(2)] == [True, True]


def test_what_is_said_at_length_is_not_kept_to_be_compared(redactor: Redactor) -> None:
    clean(handoff("1" * 16, note="one word " * 200), redactor)
    clean(handoff("1" * 16, note="one word " * 200), redactor)

    assert not redactor.said


def test_what_has_become_known_as_a_secret_is_found_where_a_handoff_says_what_another_said() -> None:
    redactor = Redactor()
    for _ in range(2):
        clean(said := handoff("1" * 16, note=f"it is {WORD}"), redactor)
        assert WORD in said.attributes["note"]  # type: ignore[operator]

    redactor.body(encode({"password": WORD}).body)
    clean(said := handoff("1" * 16, note=f"it is {WORD}"), redactor)

    assert WORD not in repr(said.attributes)


def test_a_handoff_that_is_read_just_as_a_secret_becomes_known_hides_it_from_no_later_one() -> None:
    class Looked(Redactor):
        """Reads a handoff at each moment of which another thread may be in the middle."""

        moments = 0

        def __setattr__(self, name: str, value: object) -> None:
            super().__setattr__(name, value)
            if name in ("name", "said", "may_hold", "version") and hasattr(self, "on_failure"):
                self.moments += 1
                clean(handoff("1" * 16, note=f"it is {WORD}"), self)

    redactor = Redactor()
    clean(handoff("1" * 16, note="at first"), redactor)
    redactor.__class__ = Looked
    redactor.body(encode({"password": WORD}).body)
    clean(said := handoff("1" * 16, note=f"it is {WORD}"), redactor)

    assert redactor.moments >= 4  # type: ignore[attr-defined]
    assert WORD not in repr(said.attributes)


def test_a_handoff_that_says_what_cannot_be_hashed_is_read_all_the_same() -> None:
    redactor = Redactor()
    redactor.body(encode({"password": WORD}).body)
    for _ in range(2):
        clean(said := handoff("1" * 16, note=["a", "b"], other=f"it is {WORD}"), redactor)  # type: ignore[arg-type]

        assert WORD not in repr(said.attributes)


def test_what_handoffs_say_is_remembered_of_so_many(
    redactor: Redactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("becausal.cleaning.MOST_SAID", 2)
    for turn in range(9):
        clean(handoff("1" * 16, note=f"word {turn}"), redactor)

    assert len(redactor.said) <= 2


def test_a_step_that_says_nothing_secret_takes_few_calls() -> None:
    redactor = Redactor()
    said = step(task_id="8c5a2d0e", place="clerk:8c5a2d0e", read="messages@4")
    clean(said, redactor)
    calls: list[str] = []

    def called(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            calls.append(frame.f_code.co_name)

    sys.setprofile(called)
    try:
        clean(said, redactor)
    finally:
        sys.setprofile(None)
    assert len(calls) <= 2 + (not is_linear()), calls


WORD = "Tr0ub4dor-3!"


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("by_re2", [True, False])
@pytest.mark.parametrize(
    "place",
    ["name", "agent", "error", "attribute", "tuple", "attribute's name", "evidence", *Choice.__slots__[:3]],
)
def test_wherever_a_step_says_a_secret_it_is_taken_out(place: str, by_re2: bool, known: bool) -> None:
    redactor = Redactor(by_re2=by_re2)
    secret = WORD if known else "sk-ant-" + "api03-a3B4c5D6e7F8g9H0i1J2k3"
    if known:
        redactor.body(encode({"password": WORD}).body)
    said = step(note="as before", odd="\ud800" if place == "tuple" else "even")
    said.causes.append(Cause("1" * 16, "data", "observed", "channel findings@3"))
    for _ in range(2):  # the second time it is remembered that it says nothing secret
        clean(said, redactor)
    text = f"it is {secret} today"
    match place:
        case "name" | "agent" | "error":
            setattr(said, place, text)
        case "attribute":
            said.attributes["note"] = text
        case "tuple":
            said.attributes["note"] = ("one", text)
        case "attribute's name":
            said.attributes[text] = 1
        case "evidence":
            said.causes[0] = Cause("2" * 16, "data", "observed", text)
        case "premises":
            said.chose(Choice("answer", ("one", text)))
        case "conclusion":
            said.chose(Choice(text))
        case _:
            said.chose(Choice("answer", reason=text))
    clean(said, redactor)

    everything = [said.name, said.agent, said.error, said.attributes, said.causes, said.choices]
    assert secret not in repr(everything)
    assert "[redacted:" in repr(everything)


def test_an_id_is_no_id_where_its_name_says_that_it_is_secret_or_it_is_known_as_one(
    redactor: Redactor,
) -> None:
    tasks = [str(UUID(int=(0xABCDEF << 104) + n)) for n in range(3)]
    for task in tasks:
        said = step(task_id=task, session_token=task)
        clean(said, redactor)
        assert "redacted" in str(said.attributes["session_token"])
    again = step(task_id=tasks[0])
    clean(again, redactor)
    assert str(again.attributes["task_id"]).startswith("[redacted:")


@pytest.mark.parametrize(
    "odd", ["41111111-1111-1111-0000-00000000000a", "sk-ant-api03-a3B4c5D6e7F8g9H0i1J2k3"]
)
def test_what_is_no_id_or_has_digits_enough_for_a_card_is_read_where_ids_are_not(
    odd: str, redactor: Redactor
) -> None:
    for n in range(2):
        clean(step(task_id=str(UUID(int=(0xABCDEF << 104) + (0xABC << 60) + n))), redactor)
        times = redactor._sieve.times  # type: ignore[attr-defined]
    clean(step(task_id=odd), redactor)
    assert redactor._sieve.times > times  # type: ignore[attr-defined]


def test_what_stands_in_an_attribute_under_a_users_own_name_is_taken_out() -> None:
    redactor = Redactor(keys=("patient_id",))
    for _ in range(2):
        said = step(patient_id="Jones-77", note="as before")
        clean(said, redactor)
        assert str(said.attributes["patient_id"]).startswith("[redacted:secret:")
        assert said.attributes["note"] == "as before"


def test_what_takes_secrets_out_is_made_when_the_first_is_met() -> None:
    redactor = Redactor()
    Encoder(redactor).encode({"text": "nothing " * 100})
    assert not redactor.finds_in("nothing")
    assert "_all" not in vars(redactor._finder)
    assert redactor.finds_in("password=hunter2x")


def test_letters_of_a_name_within_a_number_are_no_name(tmp_path: Path) -> None:
    class Rewriting(Redactor):
        rewritten = 0

        def _rewritten(self, body: bytes) -> bytes:
            self.rewritten += 1
            return super()._rewritten(body)

    redact = Rewriting(folder=tmp_path)
    (number,) = struct.unpack(">d", b"?\xe6\\cVc\xac\xe9")
    by_chance, named = encode({"score": number}).body, encode({"score": {"cvc": "937", "id": number}}).body

    assert b"cVc\xac" in by_chance
    assert redact.body(by_chance) is by_chance
    assert redact.rewritten == 0
    assert b"937" not in redact.body(named)


@pytest.mark.parametrize("length", [*range(3, 34), 100, 128])
def test_a_name_of_any_length_is_seen_in_front_of_its_value(tmp_path: Path, length: int) -> None:
    key = "_".join(["x" * (length - 4), "pwd"]) if length > 4 else "cvc"
    for body in (encode({key: "hunter2!x9"}).body, encode({key.encode(): "hunter2!x9"}).body):
        assert b"hunter2" not in Redactor(folder=tmp_path).body(body)
