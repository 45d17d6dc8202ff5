"""Attributes fit every backend: what most of them are is let through without a call, and nothing else is."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from becausal import semconv
from becausal.fitting import fit, fitting
from becausal.step import Attribute

texts = st.one_of(
    st.text(max_size=5),
    st.text(st.characters(codec=None, categories=["Cs", "Lu"]), max_size=5),
    st.sampled_from(["\ud800 alone", "ä"]),
    st.sampled_from(["x" * semconv.MAX_ATTRIBUTE_BYTES, "x" * (semconv.MAX_ATTRIBUTE_BYTES + 1), "ä" * 1999]),
)
values: st.SearchStrategy[Attribute] = st.one_of(
    texts,
    st.booleans(),
    st.integers(),
    st.sampled_from([2**63 - 1, 2**63, -(2**63), -(2**63) - 1]),
    st.floats(),
    st.lists(texts, max_size=4).map(tuple),
    st.lists(st.sampled_from(["a", "\ud800"]), min_size=1, max_size=3).map(tuple),
    st.integers(248, 252).map(lambda size: tuple("x" for _ in range(size))),
)


@given(st.dictionaries(st.sampled_from(["gen_ai.a", "becausal.b", "langgraph.c"]), values))
def test_what_is_let_through_without_a_call_is_what_fits(said: dict[str, Attribute]) -> None:
    fits = {key: other for key, value in said.items() if (other := fit(value)) is not None}

    assert fitting(said) == fits
    assert fitting(said, ("gen_ai.", "becausal.")) == {k: v for k, v in fits.items() if k != "langgraph.c"}


@given(values)
def test_what_fits_can_be_sent_and_is_no_longer_than_every_backend_takes(value: Attribute) -> None:
    fits = fit(value)

    if isinstance(fits, tuple | str):
        parts = (fits,) if isinstance(fits, str) else fits
        assert all(len(part.encode("utf-8")) <= semconv.MAX_ATTRIBUTE_BYTES for part in parts)
    elif fits is None:
        assert isinstance(value, float)
        assert not math.isfinite(value)
    else:
        assert -(2**63) <= fits < 2**63 or isinstance(fits, float)
