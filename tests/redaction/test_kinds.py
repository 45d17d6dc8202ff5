"""What is secret is found, whatever stands around it; what only looks like it stays."""

from __future__ import annotations

import json

import pytest
from tests.redaction.secrets import HARMLESS, IN_CONTEXT, PEM, SECRETS

from becausal.canonical import decode, encode
from becausal.redaction.cards import is_card
from becausal.redaction.kinds import IBAN, KINDS
from becausal.redaction.marker import MARKER
from becausal.redaction.redactor import Redactor

BARE = [(kind, secret) for kind, secrets in SECRETS.items() for secret in secrets]
SAID = [(kind, text, secret) for kind, texts in IN_CONTEXT.items() for text, secret in texts]
ENGINES = [True, False]


def redacted(value: object, redactor: Redactor) -> object:
    encoded = encode(value, redactor)
    return decode(encoded.body, dict(encoded.parts).get)


@pytest.mark.parametrize("by_re2", ENGINES, ids=["re2", "re"])
@pytest.mark.parametrize(("kind", "secret"), BARE)
def test_a_secret_is_found_in_the_middle_of_a_text(kind: str, secret: str, by_re2: bool) -> None:
    kept = Redactor(by_re2=by_re2).text(f"before {secret} after")

    found = MARKER.search(kept)
    assert found is not None, kept
    assert found[1] == kind
    assert kept == f"before {found[0]} after" or kind == "private_key"


@pytest.mark.parametrize("by_re2", ENGINES, ids=["re2", "re"])
@pytest.mark.parametrize(("kind", "text", "secret"), SAID)
def test_what_stands_around_a_secret_gives_it_away_and_stays(
    kind: str, text: str, secret: str, by_re2: bool
) -> None:
    kept = Redactor(by_re2=by_re2).text(text.format(secret))

    found = MARKER.search(kept)
    assert found is not None, kept
    assert found[1] == kind
    assert kept == text.format(found[0])


@pytest.mark.parametrize("by_re2", ENGINES, ids=["re2", "re"])
@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_like_a_secret_stays(text: str, by_re2: bool) -> None:
    redactor = Redactor(by_re2=by_re2)

    assert redactor.text(text) == text
    assert redacted({"a": [text, {"b": text}]}, redactor) == {"a": [text, {"b": text}]}


@pytest.mark.parametrize(("kind", "secret"), BARE)
def test_a_secret_is_found_wherever_it_stands_in_a_value(kind: str, secret: str) -> None:
    """Texts of every length: what stands before a text in an encoded body may look like a letter."""
    for length in (0, 1, 15, 16, 40, 60, 200, 600):
        value = {
            "k": [secret + " " + "a" * length],
            "t": ("x", {"u": secret}),
            secret: 1,
            "b": secret.encode(),
            "n": {secret},
        }
        encoded = encode(value, Redactor())
        every = b"".join([encoded.body, *(body for _, body in encoded.parts)])
        assert secret.encode() not in every
        assert b"[redacted:" + kind.encode() in every


def test_one_secret_has_one_marker_whatever_gave_it_away() -> None:
    redactor = Redactor()
    key = SECRETS["openai_key"][0]

    texts = [f"use {key}", f"api_key={key}", json.dumps({"api_key": key}), f"Authorization: Bearer {key}"]
    markers = {MARKER.search(redactor.text(text))[0] for text in texts}  # type: ignore[index]
    value = redacted({"api_key": key, "authorization": f"Bearer {key}"}, redactor)

    assert len(markers) == 1
    marker = markers.pop()
    assert value == {"api_key": marker, "authorization": f"Bearer {marker}"}


def test_a_private_key_is_one_secret_whether_its_lines_are_written_out_or_not() -> None:
    redactor = Redactor()

    assert redactor.text(PEM) == redactor.text(PEM.replace("\n", "\\n"))


def test_what_is_redacted_stays_as_it_is_when_it_is_redacted_again() -> None:
    redactor = Redactor()
    value = {
        "password": "Tr0ub4dor-3",
        "note": "password=Tr0ub4dor-3, api_key: k-83hd72hs, Bearer mF_9.B5f-4.1JqM",
        "headers": [("authorization", "Bearer abcdef99-1")],
    }

    once = redacted(value, redactor)

    assert redacted(once, redactor) == once
    assert redacted(once, Redactor()) == once
    assert redactor.text(str(once)) == str(once)


def test_a_card_is_found_as_a_number_too() -> None:
    assert is_card("4111111111111111")
    value = redacted(
        {"card": int("4111" + "1" * 12), "order": 4111111111111112, "ns": 1732282800000000000}, Redactor()
    )

    assert isinstance(value, dict)
    assert MARKER.fullmatch(value.pop("card"))
    assert value == {"order": 4111111111111112, "ns": 1732282800000000000}


@pytest.mark.parametrize(
    "card", ["4111111111111111", "5555-5555-5555-4444", "3782 822463 10005", "30569309025904"]
)
def test_a_card_is_found_whatever_digits_stand_beside_it_in_the_bytes(card: str) -> None:
    """A text's length and the number behind it may be written as digits by chance."""
    redactor = Redactor()
    for length in range(len(card), 64):
        for number in (48, 57, 12):
            words = "x" * (length - len(card) - 1)
            for text in (f"{words} {card}", f"{card} {words}"):
                body = encode({"a": text, "b": number}).body
                assert card.encode() not in redactor.body(body)


def test_an_id_with_many_digits_is_no_card_and_costs_no_second_look() -> None:
    redactor, looked = Redactor(), list[bytes]()
    redactor._rewritten = lambda body: looked.append(body) or body  # type: ignore[method-assign,func-returns-value]
    body = encode({"id": "7c02-9053-2908-5258-69053290852586"}).body
    assert redactor.body(body) is body
    assert not looked


def test_digits_in_front_of_a_secret_that_begins_with_digits_hide_nothing() -> None:
    token = next(one for one in SECRETS["vendor_key"] if ":AA" in one)
    redactor = Redactor()

    assert token not in redactor.text(f"1234567890123 {token}")
    assert token.encode() not in encode([f"1234567890123 {token}"], redactor).body


def test_a_long_value_under_a_secret_s_name_is_redacted_whole() -> None:
    value = {"client_secret": "so many words " * 60, "notes": "so many others " * 60}
    encoded = encode(value, Redactor())

    assert b"many words" not in b"".join([encoded.body, *(body for _, body in encoded.parts)])
    assert b"many others" in b"".join(body for _, body in encoded.parts)


def test_an_account_is_redacted_only_where_that_was_asked_for() -> None:
    account = "DE89 3704 0044 0532 0130 00"

    assert Redactor().text(account) == account
    assert MARKER.fullmatch(Redactor(kinds=(*KINDS, IBAN)).text(account))
    assert Redactor(kinds=(*KINDS, IBAN)).text("DE89 3704 0044 0532 0130 01") == "DE89 3704 0044 0532 0130 01"


def test_every_kind_has_an_example_and_a_source() -> None:
    shown = {*SECRETS, *IN_CONTEXT, "quoted", "assigned", "told", "url_password"}

    assert {kind.name for kind in KINDS} <= shown
    assert all(kind.source for kind in KINDS)


OPAQUE = "".join(f"{number:x}qZ" for number in range(7, 4000, 13))
"""Made by chance, and of no vendor's form."""


@pytest.mark.parametrize("length", [200, 257, 300, 513, 900])
@pytest.mark.parametrize("form", ["", "sk-ant-api03-"])
@pytest.mark.parametrize(
    "text",
    [
        '{"city": "Bonn", "api_key": "%s"}',
        "api_key=%s, and more",
        "your password is %s for now",
        "password: %s",
    ],
)
def test_a_long_secret_behind_its_name_is_one_secret_to_its_end(text: str, form: str, length: int) -> None:
    secret = (form + OPAQUE)[:length]
    redactor = Redactor()

    kept = redactor.text(text % secret)

    assert MARKER.sub("%s", kept) == text
    assert not any(secret[at : at + 12] in kept for at in range(length - 12))
    # One secret has one marker, wherever it stands.
    assert redactor.text(f"bare {secret}") == f"bare {MARKER.search(kept)[0]}"  # type: ignore[index]


@pytest.mark.parametrize("words", [0, 3, 20, 90, 400])
@pytest.mark.parametrize("behind", ['"token": "%s"', "{'secrets': '%s'}"])
def test_a_secret_within_words_that_stand_behind_a_secret_s_name_is_redacted(behind: str, words: int) -> None:
    (key, *_), prose = SECRETS["anthropic_key"], "so it goes " * words
    text = behind % f"{prose}my key is {key}, and the password: hunter2-it-is {prose}"

    kept = Redactor().text(text)

    assert key not in kept
    assert "hunter2" not in kept
    assert kept.count("so it goes") == 2 * words
