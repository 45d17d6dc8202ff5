"""The promise: a list of messages that are sealed already is what sealing the list itself would give."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from becausal.canonical import Encoder, digest_text, encode, plain
from becausal.redaction.redactor import Redactor
from becausal.sealing import Sealer

KEY = "AKIAIOSFODNN7EXAMPLQ"


@dataclass
class Call:
    id: str
    name: str
    arguments: str


@dataclass
class Message:
    content: str
    source: str = "a"
    id: str = "1"
    type: str = "text"
    calls: list[Call] = field(default_factory=list)


def messages() -> st.SearchStrategy[list[Message]]:
    calls = st.builds(Call, st.text(max_size=3), st.just("n"), st.sampled_from(["{}", "y" * 300]))
    content = st.sampled_from(["x" * 300, "z" * 900, "\ud800" + "x" * 300, "é" * 200])
    made = st.builds(Message, content, id=st.text(max_size=3), calls=st.lists(calls, max_size=2))
    return st.lists(made, min_size=1, max_size=20)


@given(messages())
def test_a_list_of_sealed_messages_has_the_digests_that_the_list_has(said: list[Message]) -> None:
    sealer = Sealer(keeps_bodies=True, holds_whole=False)

    listed = sealer.seal_list([sealer.seal_message(message) for message in said])

    whole = encode(said)
    assert listed is not None
    payload = listed.payload
    assert (payload.digest, payload.belief) == (digest_text(whole.digest), digest_text(whole.belief))
    assert (payload.size, payload.type_name, payload.lossy) == (whole.size, whole.type_name, whole.lossy)
    assert [body for _, body in listed.bodies] == [whole.body]


def test_a_list_with_a_message_that_is_no_part_is_left_to_be_read() -> None:
    sealer = Sealer(keeps_bodies=True, holds_whole=False)
    large, small = sealer.seal_message(Message("x" * 300)), sealer.seal_message(Message("x"))

    assert sealer.seal_list([large, small]) is None
    assert sealer.seal_list([large]) is not None


def test_a_list_with_a_message_that_was_lost_on_its_way_is_left_to_be_read() -> None:
    sealer = Sealer(keeps_bodies=True, holds_whole=False)
    sealed = sealer.seal_message(Message("x" * 300))

    sealer.encoder.forget([digest for digest, _ in sealed.bodies])

    assert sealer.seal_list([sealed]) is None


def test_a_message_that_was_sealed_alone_is_handed_out_with_itself_and_with_no_list() -> None:
    encoder, message = Encoder(), Message("x" * 300)
    encoder.is_part(encoder.encode(message), 0)

    assert encoder.encode([message]).parts == ()


@pytest.mark.parametrize("text", [f"the key is {KEY}", f"{KEY} {'x' * 300}"])
def test_a_list_with_a_redacted_message_is_left_to_be_read(text: str) -> None:
    sealer = Sealer(keeps_bodies=True, holds_whole=False, redact=Redactor())

    assert sealer.seal_list([sealer.seal_message(Message(text * 2))]) is None


def test_a_list_is_left_to_be_read_once_more_is_known_to_be_secret() -> None:
    redact = Redactor()
    sealer = Sealer(keeps_bodies=True, holds_whole=False, redact=redact)
    sealed = sealer.seal_message(Message("x" * 300))
    assert sealer.seal_list([sealed]) is not None

    before = redact.version
    redact.under("password", "correct-horse-7battery")
    assert redact.version > before

    assert sealer.seal_list([sealed]) is None


def test_with_content_on_spans_a_list_of_sealed_messages_is_readable_before_it_is_in_a_store() -> None:
    sealer = Sealer(keeps_bodies=True, holds_whole=True)
    said = [Message("x" * 300, calls=[Call("1", "n", "y" * 300)]), Message("z" * 300)]

    listed = sealer.seal_list([sealer.seal_message(message) for message in said])

    assert listed is not None
    assert listed.payload.value() == plain(said)
    assert sealer.seal(said).payload.value() == plain(said)
