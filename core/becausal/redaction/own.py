"""What users add to what is secret."""

from __future__ import annotations

import re
from collections.abc import Callable
from re import Pattern
from typing import Any

from becausal.redaction.engine import linear

__all__ = ["Own", "replacing"]

Own = str | Pattern[str] | Callable[[str], str]
"""A pattern, whose matches are secret (its group `secret` alone, if it has one), or a function that takes a text and
returns what may be kept of it."""


def replacing(own: Own, replace: Callable[[str, str], str]) -> Callable[[str], str]:
    """Return a function that takes a text and returns what may be kept of it; it raises what the user's raises.

    Args:
        own: what the user added.
        replace: takes a kind and a secret, and returns what stands for it.

    Raises:
        ValueError: a pattern is none.
    """
    if isinstance(own, str):
        return _of_pattern(_compiled(own), replace)
    if isinstance(own, Pattern):
        return _of_pattern(own, replace)
    function = own

    def asked(text: str) -> str:
        kept = function(text)
        if type(kept) is not str:
            raise TypeError("a redaction function returned no text")
        return kept

    return asked


def _of_pattern(pattern: Any, replace: Callable[[str, str], str]) -> Callable[[str], str]:
    group = "secret" if "secret" in pattern.groupindex else 0

    def marked(text: str) -> str:
        pieces, at = [], 0
        for found in pattern.finditer(text):
            start, end = found.span(group)
            if start >= at and end > start:
                pieces += [text[at:start], replace("own", text[start:end])]
                at = end
        return "".join([*pieces, text[at:]]) if pieces else text

    return marked


def _compiled(pattern: str) -> Any:
    """Return a pattern: RE2's, which takes linear time, where RE2 can read it.

    Raises:
        ValueError: it is none.
    """
    try:
        return linear(pattern) or re.compile(pattern)
    except re.error as flaw:
        raise ValueError(f"{pattern!r} is no pattern: {flaw}") from None
