"""The promise: what becausal was told to do is done, and what means nothing is said and stops no app."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import warnings
from pathlib import Path

import pytest

import becausal
from becausal.context import current
from becausal.doctor import diagnose
from becausal.doctor.check import Check
from becausal.doctor.telling import look_at_settings
from becausal.errors import BecausalWarning, SettingsError
from becausal.instrument import active_recorder
from becausal.settings import Settings
from becausal.step import Choice, OpenStep


def test_arguments_come_before_variables_and_variables_before_defaults() -> None:
    environ = {"BECAUSAL_LEVEL": "boundaries", "BECAUSAL_STORE": "/tmp/x.db"}

    assert Settings.read(environ={}) == Settings()
    assert Settings.read(environ=environ).level == "boundaries"
    assert Settings.read(level="full", environ=environ).level == "full"
    assert Settings.read(environ=environ).store == "sqlite:////tmp/x.db"
    assert Settings.read(store=Path("y.db"), environ=environ).store == "sqlite:///y.db"


@pytest.mark.parametrize(("what", "taken"), [("level", "full"), ("capture", "digest")])
def test_a_variable_that_means_nothing_is_warned_of_and_an_argument_is_refused(what: str, taken: str) -> None:
    with pytest.warns(
        BecausalWarning, match=f"BECAUSAL_{what.upper()}='typo' does not exist.*use one of: full, "
    ):
        settings = Settings.read(environ={f"BECAUSAL_{what.upper()}": "typo"})
    assert getattr(settings, what) == taken  # a slip in the privacy switch keeps less, not more
    assert getattr(Settings.read(environ={f"BECAUSAL_{what.upper()}": "FULL"}), what) == "full"

    with pytest.raises(SettingsError, match="does not exist; use one of: full, "):
        Settings.read(environ={}, **{what: "typo"})  # type: ignore[arg-type]


def test_without_content_no_word_of_it_reaches_the_store(tmp_path: Path) -> None:
    secret = "hunter2"
    url = f"sqlite:///{tmp_path / 'digests.db'}"
    becausal.instrument("threads", store=url, capture="digest")
    try:
        with becausal.chain(f"what is {secret}?") as request, becausal.agent("a", received=secret) as turn:
            turn.decide(f"tell {secret}", because=[secret], reason=secret, confidence=0.5)
            recorder = active_recorder()
            step = current()
            assert recorder is not None
            assert isinstance(step, OpenStep)
            recorder.decide(step, Choice(f"call search(q={secret!r})", (secret,), secret))
            with contextlib.suppress(ValueError), becausal.agent("b"):
                raise ValueError(secret)
            turn.returned([secret])
            request.returned(secret)
        becausal.flush()
        run = becausal.last_run()
    finally:
        becausal.uninstrument()

    assert [decision.conclusion for decision in run.decisions] == ["decided", "call search"]
    assert run.decisions[0].confidence is not None
    assert [step.error for step in run.steps if step.error] == ["ValueError"]
    assert run.output is not None
    assert not run.output.is_kept
    for file in tmp_path.iterdir():
        assert secret.encode() not in file.read_bytes()


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("REDACT", "maybe", "neither on nor off, so on is taken"),
        ("WATCH", "perhaps", "neither on nor off, so off is taken"),
        (
            "RETENTION",
            "banana",
            "so there is no bound: .* no age, size or count; write for instance '30d', '5GB', 'last 1000'",
        ),
        ("MAX_RUN_BYTES", "0", "so 1,073,741,824 bytes are the bound: nothing would be kept; write"),
        ("DIALECTS", "phoenix", "phoenix left out; use some of"),
    ],
)
def test_each_variable_that_means_nothing_is_warned_of_once_and_the_doctor_lists_it_without_a_warning(
    variable: str, value: str, said: str, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"BECAUSAL_{variable}", value)
    with pytest.warns(BecausalWarning) as warned:
        becausal.instrument("threads", store=store)
    becausal.uninstrument()
    (warning,) = warned
    assert re.search(f"BECAUSAL_{variable}='{value}'.*{said}", str(warning.message))
    assert warning.filename == __file__

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = diagnose(store, checks=(Check("settings", look_at_settings),))
    (line,) = [line for section in found.sections for line in section.lines if line.grade == "trouble"]
    assert line.says.startswith(f"BECAUSAL_{variable}='{value}'")
    assert line.do


@pytest.mark.parametrize("bound", [0, -1, "0", "0MB"])
@pytest.mark.parametrize("what", ["max_payload_bytes", "max_run_bytes"])
def test_a_bound_that_would_keep_nothing_is_refused(what: str, bound: object) -> None:
    with pytest.raises(SettingsError, match=f"{what}={bound!r}: nothing would be kept.*'none' for no bound"):
        Settings.read(environ={}, **{what: bound})  # type: ignore[arg-type]


def test_every_setting_is_told_to_the_user() -> None:
    told = (Path(__file__).parents[2] / "README.md").read_text()
    variables = [f"BECAUSAL_{field.name.upper()}" for field in dataclasses.fields(Settings)]
    variables.remove("BECAUSAL_STORE_WAS_NAMED")  # follows from the others
    assert [
        name for name in (*variables, "BECAUSAL_REDACT", "BECAUSAL_REDACTION_KEY") if f"`{name}" not in told
    ] == []
