"""What others recorded is redacted before it is kept; the counts are in the store, and the doctor tells them."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
import zstandard
from tests.redaction.secrets import SECRETS

import becausal
from becausal import foreign
from becausal.cli import main
from becausal.doctor import cost
from becausal.redaction import engine
from becausal.store import open_store
from becausal.store.encoding import shapes

KEY = SECRETS["openai_key"][0]
PASSWORD = "Tr0ub4dor-3"


def span(**attributes: str) -> dict[str, object]:
    return {
        "traceId": "0af7651916cd43dd8448eb211c80319c",
        "spanId": "b7ad6b7169203331",
        "name": f"chat {KEY}",
        "startTimeUnixNano": "1000",
        "endTimeUnixNano": "2000",
        "status": {"code": 2, "message": f"refused {KEY}"},
        "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()],
    }


def spans_file(folder: Path) -> Path:
    said = span(
        **{
            "openinference.span.kind": "LLM",
            "input.value": f"the key is {KEY}",
            "output.value": json.dumps({"password": PASSWORD, "note": f"so it is {PASSWORD}"}),
            "llm.model_name": "m",
            "user.token": KEY,
        }
    )
    path = folder / "spans.json"
    path.write_text(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [said]}]}]}))
    return path


def bytes_of(folder: Path) -> bytes:
    raw = b"".join(path.read_bytes() for path in folder.glob("kept.db*"))
    found, at = [raw], raw.find(b"\x28\xb5\x2f\xfd")
    while at >= 0:
        with contextlib.suppress(zstandard.ZstdError):
            found.append(zstandard.ZstdDecompressor(dict_data=shapes()).decompressobj().decompress(raw[at:]))
        at = raw.find(b"\x28\xb5\x2f\xfd", at + 1)
    return b"\n".join(found)


def test_spans_that_come_from_others_are_kept_without_their_secrets(tmp_path: Path) -> None:
    steps = foreign.load(spans_file(tmp_path))
    store = open_store(f"sqlite:///{tmp_path / 'kept.db'}")
    store.write(steps)
    store.close()

    told = bytes_of(tmp_path)
    assert b"redacted:openai_key" in told
    assert KEY.encode() not in told
    assert PASSWORD.encode() not in told
    assert steps[0].error is not None
    assert KEY not in steps[0].error


def test_a_conversation_that_comes_from_others_is_kept_without_its_secrets(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    path.write_text(
        json.dumps([{"role": "user", "content": f"use {KEY}"}, {"role": "assistant", "content": "done"}])
    )

    (chain, other) = (foreign.load(path)[0].chain_id, KEY)

    assert all(other not in str(step.attributes) + step.name for step in foreign.load(path))
    assert len(chain) == 32


def test_the_import_command_redacts_with_the_key_of_its_store(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'kept.db'}"

    assert main(["import", str(spans_file(tmp_path)), "--store", store]) == 0

    assert KEY.encode() not in bytes_of(tmp_path)
    assert (tmp_path / "redaction.key").exists()


def test_the_doctor_says_how_many_values_of_which_kinds_were_redacted(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    becausal.instrument(store=store)
    try:
        with becausal.chain("go"), becausal.agent("clerk", received=[KEY, KEY]) as step:
            step.returned({"password": PASSWORD})
        becausal.flush()
        assert becausal.open(store).redacted() == {"openai_key": 2, "password": 1}
        assert becausal.open(store).gaps() == {}
    finally:
        becausal.uninstrument()

    main(["doctor", "--store", store])

    said = capsys.readouterr().out
    assert "secrets are redacted before anything is kept" in said
    assert "redacted: 2 of the kind openai_key" in said
    assert "nothing was lost" in said


def test_the_doctor_asks_the_runs_whether_they_were_redacted_and_not_its_own_environment(
    store: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for redact, environment, says in (
        (False, "on", "are not redacted"),
        (None, "off", "are redacted before"),
    ):
        monkeypatch.delenv("BECAUSAL_REDACT", raising=False)
        becausal.instrument(store=store, redact=redact)
        with becausal.chain("go"), becausal.agent("clerk", received="hello"):
            pass
        becausal.uninstrument()
        monkeypatch.setenv("BECAUSAL_REDACT", environment)

        main(["doctor", "--store", store])

        assert f"secrets {says}" in capsys.readouterr().out


def test_the_doctor_asks_the_app_that_it_runs_in_whether_it_redacts(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    becausal.instrument(store=store, redact=False)
    try:
        main(["doctor", "--store", store])
    finally:
        becausal.uninstrument()

    assert "secrets are not redacted" in capsys.readouterr().out


def test_the_doctor_advises_where_nothing_is_redacted(
    store: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BECAUSAL_REDACT", "off")

    main(["doctor", "--store", store])

    assert "secrets are not redacted" in capsys.readouterr().out


def test_the_doctor_tells_where_secrets_are_looked_for_slowly(
    store: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "STEPS", {1 << 10: 2})  # what a step costs is no matter of this test
    main(["doctor", "--store", store])
    assert "google-re2" not in capsys.readouterr().out

    monkeypatch.setattr(engine, "_re2", lambda: None)
    main(["doctor", "--store", store])

    assert "pip install google-re2" in " ".join(capsys.readouterr().out.split())


def test_a_digest_that_is_kept_alone_is_of_what_is_redacted(store: str) -> None:
    from becausal.canonical import digest_text, encode

    becausal.instrument(store=store, capture="digest")
    try:
        with becausal.chain("go"), becausal.agent("clerk", received={"password": "abcd12"}) as step:
            step.returned("done")
        becausal.flush()
        agent = next(step for step in becausal.last_run().steps if step.kind == "agent")
    finally:
        becausal.uninstrument()

    assert agent.received is not None
    assert agent.received.digest != digest_text(encode({"password": "abcd12"}).digest)
    assert agent.received.belief != digest_text(encode({"password": "abcd12"}).belief)
