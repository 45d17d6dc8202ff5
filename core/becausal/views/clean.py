"""Text from payloads made fit for a terminal.

Control characters go (`becausal.harmless`), and since rich's own markup could hide a word, every text passes here and
is never given to rich as markup.
"""

from __future__ import annotations

from rich.cells import cell_len, chop_cells
from rich.text import Text

from becausal.harmless import harmless
from becausal.payload import text_of

__all__ = ["cut", "head", "line", "styled"]


def line(text: str) -> str:
    """Return a text as one line: blanks collapsed, control and format characters gone."""
    return harmless(" ".join(text.split()))


def cut(text: str, width: int) -> str:
    """Return the head of a text as one line of at most so many columns of a screen: a sign of CJK takes two."""
    # Cleaning costs; nothing beyond this can be seen.
    short = line(text[: 4 * width + 200])
    if len(text) <= 4 * width + 200 and cell_len(short) <= width:
        return short
    return next(iter(chop_cells(short, width - 1)), "") + "…"


def head(value: object, width: int) -> str:
    """Return the head of a plain value: texts in quotes, the rest as people read it."""
    if isinstance(value, str):
        return f'"{cut(value, width - 2)}"'
    return cut(text_of(value), width)


def styled(text: str, style: str = "") -> Text:
    """Return a text that rich prints as it stands, cut at the edge of the terminal."""
    return Text(harmless(text), style=style, no_wrap=True, overflow="ellipsis")
