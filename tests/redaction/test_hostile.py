"""No text takes longer than its length, and none makes the redactor raise; what users add cannot either."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.redaction.secrets import HARMLESS, IN_CONTEXT, SECRETS

from becausal.canonical import decode, encode
from becausal.redaction.kinds import KINDS
from becausal.redaction.redactor import Redactor

UNITS = [
    "4", "4-", "1 ", "4111111111111112 ", "password=", '"password":"', "password :", "password is ", "token=",
    "token: abcd, ", "sk-", "eyJaaaaaaaaa.", "a://b:", "://", "@", "-----BEGIN PRIVATE KEY-----", "-", "bearer ",
    "basic aaaaaaaa ", "basic " + "A" * 40 + " ", "\\", '"', "[redacted:", "[redacted:password:0", "xoxb-1", "a", "A",
    "9f", "sig=", "%2F%2F", "key ", "https://", "AKIA",
]  # fmt: skip
"""What hostile texts are made of, over and over."""


def cpu(redactor: Redactor, text: str) -> float:
    best = float("inf")
    for _ in range(3):
        before = time.process_time_ns()
        redactor.text(text)
        best = min(best, (time.process_time_ns() - before) / 1e6)
    return best


@pytest.mark.parametrize("unit", UNITS)
def test_four_times_the_text_takes_four_times_the_time(unit: str) -> None:
    redactor = Redactor()
    short, long = ((unit * (size // len(unit) + 1))[:size] for size in (10_000, 40_000))

    redactor.text(short)  # the automaton is built as it is used
    once, fourfold = cpu(redactor, short), cpu(redactor, long)

    assert fourfold < max(9 * once, 2.0)  # quadratic: sixteen times


TEXTS = st.text(max_size=60) | st.sampled_from(
    [*HARMLESS, *UNITS, *(one for some in SECRETS.values() for one in some)]
    + [text.format(secret) for some in IN_CONTEXT.values() for text, secret in some]
)
VALUES = st.recursive(
    TEXTS | st.integers() | st.binary(max_size=40) | st.none() | st.floats() | st.booleans(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["password", "token", "a", "api_key"]) | st.text(max_size=8), inner, max_size=4
        )
        | st.tuples(inner, inner)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(VALUES)
def test_any_value_is_redacted_once_and_for_all(value: object) -> None:
    redactor = Redactor()

    def kept(given: object) -> object:
        encoded = encode(given, redactor)
        return decode(encoded.body, dict(encoded.parts).get)

    once = kept(value)
    twice = kept(once)

    assert encode(twice).digest == encode(once).digest


@settings(max_examples=100, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=5).map(" ".join))
def test_both_engines_find_the_same(text: str) -> None:
    by_re2, by_re = Redactor(), Redactor(by_re2=False)
    by_re._finder._marking._key = by_re2._finder._marking.key

    assert by_re2.text(text) == by_re.text(text)


def test_a_value_without_secrets_is_encoded_as_if_nobody_looked() -> None:
    value = {
        "text": HARMLESS,
        "n": [1, 2.5, None, True, b"x", ("t", {1, 2})],
        "deep": {"a": {"b": ["c"] * 300}},
    }

    assert encode(value, Redactor()) == encode(value)


def test_every_pattern_is_read_by_both_engines() -> None:
    for kind in KINDS:
        Redactor(kinds=[kind])
        Redactor(kinds=[kind], by_re2=False)
