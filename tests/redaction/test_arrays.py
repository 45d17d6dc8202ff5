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
    "fields": np.array([("ann", PASSWORD)], dtype=[("user", "U9"), ("password", "U20")]),
    "fields of bytes": np.array([("ann", PASSWORD.encode())], dtype=[("user", "U9"), ("password", "S20")]),
    "a row": np.array([("ann", PASSWORD)], dtype=[("user", "U9"), ("password", "U20")])[0],
    "a record": np.rec.array([("ann", PASSWORD)], dtype=[("user", "U9"), ("password", "U20")])[0],
    "records": np.rec.array([("ann", PASSWORD)], dtype=[("user", "U9"), ("password", "U20")]),
    "fields of fields": np.array(
        [[(1, ("ann", PASSWORD))]], dtype=[("n", "i4"), ("with", [("user", "U9"), ("password", "U20")])]
    ),
    "fields of several": np.array([(1, ["a", PASSWORD])], dtype=[("n", "i4"), ("password", "U20", (2,))]),
    "fields of any kind": np.array([(1, PASSWORD.encode())], dtype=[("n", "i4"), ("password", "V11")]),
    "fields of single bytes": np.frombuffer(KEY.encode(), dtype=[("a", "u1", (len(KEY),))]),
}
"""Each holds a secret."""

ALONE: dict[str, Any] = {
    "str_": np.str_,
    "0-d U": np.array,
    "bytes_": lambda text: np.bytes_(text.encode()),
    "0-d S": lambda text: np.array(text.encode()),
    "void": lambda text: np.void(text.encode()),
    "0-d V": lambda text: np.array(np.void(text.encode())),
    "u1": lambda text: np.frombuffer(text.encode(), dtype="u1"),
}
"""What makes a text that is no list's item."""
for _made, _of in ALONE.items():
    HOLDING |= {f"{_made} by its form": _of(KEY), f"{_made} below a name": {"password": _of(PASSWORD)}}


@pytest.mark.parametrize("held", HOLDING)
def test_no_secret_of_an_array_is_kept(held: str) -> None:
    encoded = canonical.encode(HOLDING[held], Redactor())

    kept = b"".join([encoded.body, *[body for _, body in encoded.parts]])
    assert b"[redacted:" in kept
    for secret in (KEY, PASSWORD):
        assert secret.encode() not in kept.replace(b"\0", b"")


@pytest.mark.parametrize(
    "held",
    [
        *("texts", "rows of texts", "a text", "texts as bytes", "bytes as numbers"),
        *("bytes_ by its form", "0-d U by its form", "0-d S by its form"),
    ],
)
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
        np.bytes_(b"abc"),
        np.array(b"abc"),
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


@pytest.mark.parametrize("padded", [False, True])
def test_numbers_in_fields_are_left_whatever_their_bytes_are(padded: bool) -> None:
    fields = np.dtype([("n", "u2"), ("password", "u4")], align=padded)
    value = np.frombuffer((f"password={PASSWORD} {KEY} " * 16).encode(), dtype=fields)

    encoded = canonical.encode({"rows": value, "note": KEY}, Redactor())

    assert value.tobytes() in b"".join([encoded.body, *[body for _, body in encoded.parts]])


def test_fields_of_an_array_are_read_by_their_names() -> None:
    encoded = canonical.encode(np.array([("ann", 3)], dtype=[("user", "U9"), ("n", "i4")]))

    assert canonical.decode(encoded.body, dict(encoded.parts).get) == [{"user": "ann", "n": 3}]


def test_texts_of_an_array_are_read_as_texts() -> None:
    encoded = canonical.encode(np.array([["a", "b"]]))

    assert canonical.decode(encoded.body, dict(encoded.parts).get) == [["a", "b"]]
