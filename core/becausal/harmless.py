"""Text that somebody else wrote, made fit to be shown.

What an agent said is untrusted: an escape sequence in it could repaint the terminal, a right-to-left mark could swap
what is read. Every view, document and message takes such characters out here.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["file_name", "harmless"]


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
