"""Values as every backend takes them: no attribute longer than `semconv.MAX_ATTRIBUTE_BYTES`, no number out of range.

Grafana Tempo cuts strings at 2,048 bytes, Phoenix drops a span for one value of bytes, OTLP has integers of 64 bits.
"""

from __future__ import annotations

import math

from becausal import semconv
from becausal.step import Attribute

__all__ = ["LONGEST", "MOST_ITEMS", "fit", "fit_text", "fitting", "short"]

LONGEST = semconv.MAX_ATTRIBUTE_BYTES

FEW = LONGEST // 8
"""Bytes of an array's texts below which it stays as it is."""

MOST_DIGITS = 1 << 63
"""OTLP has integers of 64 bits; one beyond costs the batch that it is in."""

MOST_ITEMS = 32
"""Items of an array that is long."""


def fitting(said: dict[str, Attribute], prefixes: tuple[str, ...] = ("",)) -> dict[str, Attribute]:
    """Return attributes as every backend takes them, without those that none does.

    Args:
        said: the attributes.
        prefixes: how the names of those begin that are to be returned.
    """
    fits: dict[str, Attribute] = {}
    for key, value in said.items():
        if not key.startswith(prefixes):
            continue
        # What most are needs no call: each attribute costs the app's thread.
        sort = type(value)
        if (
            (sort is str and len(value) <= LONGEST and value.isascii())  # type: ignore[arg-type, union-attr]
            or sort is bool
            or (sort is int and -MOST_DIGITS <= value < MOST_DIGITS)  # type: ignore[operator]
            or (sort is tuple and len(text := "".join(value)) <= FEW and text.isascii())  # type: ignore[arg-type]
        ):
            fits[key] = value
        elif (other := fit(value)) is not None:
            fits[key] = other
    return fits


def fit(value: Attribute) -> Attribute | None:
    """Return a value as every backend takes it, or None where there is no such thing."""
    if isinstance(value, str):
        return fit_text(value)
    if isinstance(value, tuple):
        items = [fit_text(item) for item in value]
        if sum(map(len, items)) > FEW:
            items = [short(item, 48) for item in items[:MOST_ITEMS]]
        return tuple(items)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if -MOST_DIGITS <= value < MOST_DIGITS else str(value)[:40]


def fit_text(text: str) -> str:
    """Return a text that is as long as it may be."""
    # What most texts are: short, and ASCII.
    if len(text) <= LONGEST and text.isascii():
        return text
    return short(text, LONGEST)


def short(text: str, most: int) -> str:
    """Return a text cut to so many bytes of UTF-8, the cut marked; a lone surrogate becomes `?`."""
    data = text[: most + 1].encode("utf-8", "replace")
    if len(data) <= most and len(text) <= most:
        return data.decode()
    return data[: most - 3].decode("utf-8", "ignore") + "…"
