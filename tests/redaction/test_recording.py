"""No secret reaches a store, a span or a log; the app's own values stay as they are."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import Recording
from tests.redaction.secrets import SECRETS

import becausal
from becausal.instrument import active_recorder
from becausal.redaction import MARKER, beginning
from becausal.redaction.redactor import Redactor
from becausal.settings import is_strict

KEY = SECRETS["openai_key"][0]
PASSWORD = "Tr0ub4dor-3"


@pytest.fixture
def recorded(store: str, tmp_path: Path) -> Iterator[Path]:
    becausal.instrument(store=store)
    yield tmp_path
    becausal.uninstrument()


def stored(folder: Path) -> bytes:
    assert becausal.flush()
    raw = b"".join(path.read_bytes() for path in folder.iterdir())
    run = becausal.last_run()
    told = [side.text() for step in run.steps for side in (step.received, step.produced) if side is not None]
    return raw + "\n".join(told).encode()


def test_the_app_gets_its_own_values_and_the_store_gets_markers(recorded: Path) -> None:
    @becausal.tool
    def login(user: str, password: str) -> dict[str, str]:
        return {"user": user, "session": f"opened with {password}", "api_key": KEY}

    with becausal.chain("log in"):
        result = login("ann", PASSWORD)

    assert result == {"user": "ann", "session": f"opened with {PASSWORD}", "api_key": KEY}
    bytes_kept = stored(recorded)
    assert PASSWORD.encode() not in bytes_kept
    assert KEY.encode() not in bytes_kept
    assert becausal.last_run().steps[-1].produced is not None


def test_a_secret_that_was_met_once_is_found_wherever_it_stands_later(recorded: Path) -> None:
    with becausal.chain("log in"), becausal.agent("clerk", received={"password": PASSWORD}) as step:
        step.returned("done")
    with (
        becausal.chain("later"),
        becausal.agent("other", received=["x", f"they used {PASSWORD} again"]) as step,
    ):
        step.returned(f"/login?user=ann&p={PASSWORD}")

    assert PASSWORD.encode() not in stored(recorded)


def test_the_text_of_an_exception_is_redacted_and_the_exception_is_not(recorded: Path) -> None:
    @becausal.tool
    def fetch() -> None:
        raise ValueError("refused", f"key {KEY} is not known") from KeyError(KEY)

    with becausal.chain("fetch"), pytest.raises(ValueError, match=re.escape(KEY)) as raised:
        fetch()

    assert raised.value.args[1] == f"key {KEY} is not known"
    assert KEY.encode() not in stored(recorded)
    tool = next(step for step in becausal.last_run().steps if step.kind == "tool")
    assert tool.error is not None
    assert MARKER.search(tool.error)


def test_our_own_log_says_no_secret(recorded: Path, caplog: pytest.LogCaptureFixture) -> None:
    ours = logging.getLogger("becausal")
    try:
        raise ValueError(f"cannot read {KEY}")
    except ValueError as failure:
        ours.error("becausal failed on %s", KEY, exc_info=failure)

    assert KEY not in caplog.text
    assert "cannot read [redacted:openai_key:" in caplog.text


def test_nothing_is_redacted_where_that_was_asked_for(store: str, tmp_path: Path) -> None:
    becausal.instrument(store=store, redact=False)
    try:
        with becausal.chain("ask"), becausal.agent("clerk", received=KEY) as step:
            step.returned("done")
        assert KEY.encode() in stored(tmp_path)
    finally:
        becausal.uninstrument()


def test_users_add_patterns_and_functions_of_their_own(store: str, tmp_path: Path) -> None:
    becausal.instrument(
        store=store,
        redact=[r"MRN-\d{6}", re.compile("badge (?P<secret>[0-9]+)"), lambda text: text.replace("Ann", "X")],
    )
    try:
        with becausal.chain("ask"), becausal.agent("clerk", received="MRN-123456 badge 77 Ann") as step:
            step.returned(KEY)
        bytes_kept = stored(tmp_path)
        assert b"MRN-123456" not in bytes_kept
        assert b"Ann" not in bytes_kept
        assert KEY.encode() not in bytes_kept
        kept = becausal.last_run().steps[-1].received
        assert kept is not None
        assert re.fullmatch(r"\[redacted:own:\w{8}\] badge \[redacted:own:\w{8}\] X", str(kept.value()))
    finally:
        becausal.uninstrument()


def fails(text: str) -> str:
    raise RuntimeError(f"cannot look at {text}")


@pytest.mark.parametrize("bad", [fails, lambda text: None, lambda text: text.encode()])
def test_a_function_that_fails_withholds_the_content_and_is_counted(
    bad: object, store: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert is_strict()
    becausal.instrument(store=store, redact=[bad])  # type: ignore[list-item]
    try:
        with becausal.chain("ask the oracle"), becausal.agent("clerk", received="the plan: attack") as step:
            step.returned("the answer: no")
        bytes_kept = stored(tmp_path)
        assert b"attack" not in bytes_kept
        assert b"answer" not in bytes_kept
        recorder = active_recorder()
        assert recorder is not None
        assert recorder.gaps["redaction failed"] > 0
        assert "attack" not in caplog.text
    finally:
        becausal.uninstrument()


def test_the_key_of_the_markers_is_made_once_and_its_owner_s_alone(recorded: Path) -> None:
    for _ in range(2):
        with becausal.chain("ask"), becausal.agent("clerk", received=KEY) as step:
            step.returned("done")
    becausal.flush()

    key = recorded / "redaction.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert len(bytes.fromhex(key.read_text())) == 32


def test_what_is_redacted_with_a_given_key_is_the_same_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BECAUSAL_REDACTION_KEY", "one for all")
    first, second = Redactor().text(KEY), Redactor().text(KEY)
    monkeypatch.setenv("BECAUSAL_REDACTION_KEY", "another")

    assert first == second
    assert Redactor().text(KEY) != first


SECRET = "".join(f"{number:x}Qz" for number in range(7, 300, 13))
"""Made by chance: a copy of it is known by the place where it was met alone."""


@pytest.mark.parametrize("words", range(0, 220, 7))
@pytest.mark.parametrize("ends", [" and so it ended", "", "/" * 300])
def test_no_half_of_a_secret_stands_where_a_text_is_cut(recording: Recording, words: int, ends: str) -> None:
    text = ("so it went on and on " * 20)[:words] + SECRET + ends + " and on" * 60

    with becausal.chain("go"):
        with becausal.agent("clerk", received={"password": SECRET}):
            pass
        becausal.decide("go on", because=[text])

    (choice,) = (choice.choice for choice in becausal.last_run().decisions)
    assert not any(SECRET[at : at + 6] in "".join(choice.premises) for at in range(len(SECRET) - 6))


def test_a_text_is_cut_between_words_and_one_that_has_none_where_it_is_long_enough() -> None:
    assert beginning("a few words") == "a few words"
    assert beginning("so it went " * 40) == ("so it went " * 40)[:197].rstrip() + "…"
    assert beginning("那" * 300) == "那" * 199 + "…"
    assert beginning('{"a":"b"},' * 40, 80) == ('{"a":"b"},' * 40)[:79] + "…"
