"""Arrays of numpy: texts in them are looked through like any other, and numbers keep their form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from becausal import canonical
from becausal.redaction.redactor import Redactor
from becausal.replay.rebuild import Classes, rebuild

KEY = "sk-proj-" + "Ab3dEf6hIj9LmNoPqRs2" * 3
PASSWORD = "hunter2-x-9"

HOLDING: dict[str, Any] = {
    "texts": np.array([KEY, "x"]),
    "rows of texts": np.array([["a", KEY], ["b", "c"]]),
    "texts of the other order": np.array([KEY]).astype(">U80"),
    "a text": np.str_(KEY),
    "texts as bytes": np.array([KEY.encode(), b"x"]),
    "a field of text": np.array([(1, KEY)], dtype=[("a", "i4"), ("b", "U80")]),
    "a field of bytes": np.array([(1, KEY.encode())], dtype=[("a", "i4"), ("b", "S80")]),
    "bytes as numbers": np.frombuffer(KEY.encode(), dtype="u1"),
    "bytes of any kind": np.void(KEY.encode()),
    "below a name": {"password": np.array([PASSWORD])},
    "bytes below a name": {"password": np.frombuffer(PASSWORD.encode(), dtype="u1")},
    "a pair": np.array(["password", PASSWORD]),
}


@pytest.mark.parametrize("held", HOLDING)
def test_no_secret_of_an_array_is_kept(held: str) -> None:
    encoded = canonical.encode(HOLDING[held], Redactor())

    kept = b"".join([encoded.body, *[body for _, body in encoded.parts]])
    assert b"[redacted:" in kept
    for secret in (KEY, PASSWORD):
        assert secret.encode() not in kept.replace(b"\0", b"")


@pytest.mark.parametrize("held", ["texts", "rows of texts", "a text", "texts as bytes", "bytes as numbers"])
def test_an_array_without_its_secret_is_an_array_of_its_kind(held: str) -> None:
    value = HOLDING[held]
    encoded = canonical.encode(value, Redactor())

    again: Any = rebuild(encoded.body, dict(encoded.parts).get, Classes())

    assert type(again) is type(value)
    assert again.dtype.kind == value.dtype.kind
    if held != "bytes as numbers":
        assert again.shape == value.shape
    whole = again.tobytes() if again.dtype.kind != "U" else repr(again.tolist()).encode()
    assert b"[redacted:openai_key:" in whole


@pytest.mark.parametrize(
    "value",
    [
        np.array(["a", "bcd", ""]),
        np.array([["a", "\u00e9"], ["b", "c"]]),
        np.array(["a"]).astype(">U9"),
        np.array([b"a\0b", b"c"]),
        np.array([], dtype="U3"),
        np.str_("abc"),
        np.arange(6, dtype="u1"),
    ],
    ids=str,
)
def test_an_array_of_texts_is_made_again_as_it_was(value: Any) -> None:
    encoded = canonical.encode(value, Redactor())

    again: Any = rebuild(encoded.body, dict(encoded.parts).get, Classes())

    assert type(again) is type(value)
    assert again.dtype == value.dtype
    assert again.shape == value.shape
    assert np.all(again == value)


@pytest.mark.parametrize("form", ["f8", "i8", "u4", "f2", "M8[s]", "c16"])
def test_numbers_are_no_text_whatever_their_bytes_are(form: str) -> None:
    content = (f"password={PASSWORD} {KEY} " * 16).encode()
    value = {"password": np.frombuffer(content, dtype=form), "note": f"password={PASSWORD}"}

    encoded = canonical.encode(value, Redactor())

    kept: Any = canonical.decode(encoded.body, dict(encoded.parts).get)
    assert kept["note"].startswith("password=[redacted:")
    assert content in b"".join([encoded.body, *[body for _, body in encoded.parts]])


def test_texts_of_an_array_are_read_as_texts() -> None:
    encoded = canonical.encode(np.array([["a", "b"]]))

    assert canonical.decode(encoded.body, dict(encoded.parts).get) == [["a", "b"]]
