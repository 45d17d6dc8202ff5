"""Text that somebody else wrote, made fit to be shown.

What an agent said is untrusted: an escape sequence in it could repaint the terminal, a right-to-left mark could swap
what is read. Every view, document and message takes such characters out here.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable
from typing import TypeVar

__all__ = ["file_name", "harmless", "legible"]

S = TypeVar("S")


def harmless(text: str, *, keeping: str = "") -> str:
    """Return a text without control and format characters, surrogates, and what Unicode has not assigned.

    Args:
        text: by whomever.
        keeping: characters of that sort to leave in, such as line feeds.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(char for char in text if char in keeping or unicodedata.category(char)[0] != "C")


def file_name(text: str) -> str:
    """Return a text as the name of a file that stays in its folder, on every system."""
    return re.sub(r"[^A-Za-z0-9-]", "_", text) or "_"


def legible(told: Callable[[S], str]) -> Callable[[S], str]:
    """Return a `__str__` or `__repr__` that may be printed: names that an app gave stand in it."""

    @functools.wraps(told)
    def legibly(self: S) -> str:
        return harmless(told(self), keeping="\n")

    return legibly
