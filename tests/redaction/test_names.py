"""What stands under a secret's name is taken out however the name is written and however deep it stands."""

from __future__ import annotations

import dataclasses
import enum
import os
import stat
import threading
from pathlib import Path

import pytest

from becausal import redaction
from becausal.canonical import decode, encode
from becausal.redaction.marker import KEY_FILE, Marking
from becausal.redaction.redactor import Redactor

SECRET = "hunter3!x9"


class Field(str, enum.Enum):  # noqa: UP042 - its `str()` is another
    PASSWORD = "password"


@dataclasses.dataclass
class Login:
    password: object
    n: int = 1


def blob(value: object) -> bytes:
    encoded = encode(value, Redactor())
    return encoded.body + b"".join(body for _, body in encoded.parts)


@pytest.mark.parametrize(
    "value",
    [
        {b"password": SECRET.encode()},
        {b"authorization": SECRET.encode()},
        {Field.PASSWORD: SECRET},
        {"password": (SECRET, "z" * 300)},
        {"passwd": {SECRET + "k" * 300}},
        {"password": [(SECRET, "z" * 300)]},
        Login((SECRET, "z" * 600)),
        {"credentials": {"user": "ann", "value": SECRET}},
        {"secret": {"type": "opaque", "value": SECRET}},
        {"secret": {"of": "db", "all": [SECRET]}},
        {"api_key": {1: SECRET}},
        {"state": {"passwords": [SECRET, "z" * 300]}},
        {"apiKeys": ("ann", SECRET)},
        {"text": f"access_tokens: {SECRET}"},
        {"secrets": {SECRET + "Q7LmZp4RwB"}},
        [{"name": "password", "value": SECRET}],
        {"form": [("password", SECRET)]},
        {"headers": [[b"x-api-key", SECRET.encode()]]},
        {"text": f"[redacted:{SECRET} AKIAIOSFODNN7EXAMPLE", "password": SECRET},
        {"password": f"[redacted:x] {SECRET}"},
        {"password": f"[redacted:password:01234567] {SECRET}"},
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_secret_is_found_under_its_name_however_that_is_written(value: object) -> None:
    kept = blob(value)

    assert SECRET.encode() not in kept
    assert b"AKIAIOSFODNN7EXAMPLE" not in kept
    assert b"[redacted:" in kept


@pytest.mark.parametrize(
    "password", ["your-mother-1234X", "pa****ss99", "<hunter2>", "{hunter2!}", "[redacted:x]!"]
)
def test_what_only_looks_like_a_stand_in_is_a_secret(password: str) -> None:
    assert password.encode() not in blob({"password": password})


@pytest.mark.parametrize(
    "value",
    [
        {"password": "your-api-key"},
        {"password": "YOUR_OPENAI_API_KEY_HERE"},
        {"password": "****"},
        {"password": "${DB_PASSWORD}"},
        {"password": "<password>"},
        {"password": "[redacted:withheld]"},
        {"password": {"type": "string", "description": "what ann typed-in 12"}},
        {"required": ["password", "user_name"]},
        {"password": {"min": 8, "hint": "at least eight letters"}},
    ],
    ids=str,
)
def test_what_is_no_secret_is_kept_under_its_name(value: object) -> None:
    encoded = encode(value, Redactor())

    assert decode(encoded.body, dict(encoded.parts).get) == value


def test_a_key_in_front_of_a_password_in_an_address_is_found() -> None:
    text = Redactor().text("https://ghp_1234567890abcdefghijklmnopqrstuvwxyz:x-oauth-1@github.com")

    assert "ghp_" not in text
    assert "x-oauth-1" not in text


def test_two_keys_with_one_marker_stay_two() -> None:
    encoded = encode({"4111111111111111": "first", "4111-1111-1111-1111": "second"}, Redactor())
    kept = decode(encoded.body, dict(encoded.parts).get)

    assert isinstance(kept, dict)
    assert sorted(kept.values()) == ["first", "second"]
    assert b"4111" not in encoded.body


def test_what_stands_under_a_name_is_written_the_same_whether_or_not_it_stands_elsewhere() -> None:
    login = ("nothing at all",) * 40
    once, again = {"a": login, "auth": login}, {"a": (*login,), "auth": (*login,)}

    assert encode(once, Redactor()).body == encode(again, Redactor()).body


def test_the_key_stays_where_the_app_was_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    here.mkdir()
    elsewhere.mkdir()
    monkeypatch.delenv("BECAUSAL_REDACTION_KEY", raising=False)
    monkeypatch.chdir(here)
    asked = redaction.read_redaction(None)
    assert asked is not None
    redactor = asked.redactor(redaction.folder_of("postgresql://u@h/db"))
    monkeypatch.chdir(elsewhere)

    redactor.text("password=hunter2!x9")

    folder = here / ".becausal"
    assert not list(elsewhere.iterdir())
    assert (folder / KEY_FILE).exists()
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    assert (folder / ".gitignore").read_text() == "*\n"


def test_two_threads_mark_with_one_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BECAUSAL_REDACTION_KEY", raising=False)
    marking, made, found = Marking(None), [], []
    second = threading.Thread(target=lambda: found.append(marking.marker("password", b"hunter2!")))

    def token_bytes(size: int) -> bytes:
        made.append(size)
        if len(made) == 1:
            second.start()  # it asks for the key while the first one is making it
            second.join(0.2)
        return bytes([len(made)]) * size

    monkeypatch.setattr("becausal.redaction.marker.secrets.token_bytes", token_bytes)
    found.append(marking.marker("password", b"hunter2!"))
    second.join()

    assert len(set(found)) == 1
    assert len(made) == 1
