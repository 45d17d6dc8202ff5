"""The promise: what a user asks to be redacted is taken as it was meant, or refused, or warned of."""

from __future__ import annotations

import warnings

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
