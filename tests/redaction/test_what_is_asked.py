"""The promise: what a user asks to be redacted is taken as it was meant, or refused, or warned of."""

from __future__ import annotations

import warnings
from contextlib import closing
from pathlib import Path

import pytest

import becausal
from becausal.errors import BecausalWarning, SettingsError
from becausal.redaction import read_redaction


@pytest.mark.parametrize("switch", ["off", "on", "0", "1", "OFF", "False", ""])
def test_a_text_that_looks_like_a_switch_is_no_pattern(switch: str) -> None:
    with pytest.raises(SettingsError, match="would be a pattern: write redact=False or redact=True"):
        read_redaction(switch)
    asked = read_redaction([switch])  # who means it may say so
    assert asked is not None
    assert asked.patterns == (switch,)


def test_a_pattern_that_may_hold_the_app_up_is_warned_of_by_name(store: str) -> None:
    pytest.importorskip("re2")
    with pytest.warns(BecausalWarning, match=r"pattern '\(a\+\)\+\(\?=b\)c'.*backtracks") as warned:
        becausal.instrument("threads", store=store, redact=[r"(a+)+(?=b)c", r"MRN-\d{6}"])
    becausal.uninstrument()
    assert [warning.filename for warning in warned] == [__file__]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        becausal.instrument("threads", store=store, redact=[r"(a+)+bc", r"MRN-\d{6}"])
    becausal.uninstrument()


def test_a_memorys_key_is_the_name_of_its_value(store: str, tmp_path: Path) -> None:
    becausal.instrument("threads", store=store)
    try:
        with (
            becausal.chain("go"),
            becausal.agent("clerk"),
            closing(becausal.Memory("notes", store=store)) as memory,
        ):
            memory.write("password", "gr33n-Eggs-and-ham")
            memory.write("city", "Ulm-on-the-Danube")
            assert str(memory.read("password")).startswith("[redacted:password:")
            assert memory.read("city") == "Ulm-on-the-Danube"
    finally:
        becausal.uninstrument()

    kept = repr([step.received and step.received.value() for step in becausal.open(store).last().steps])
    assert "Ulm-on-the-Danube" in kept
    assert "gr33n" not in kept
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and b"gr33n-Eggs" in file.read_bytes()]
