"""How many of something, in words."""

from __future__ import annotations

__all__ = ["counted"]


def counted(count: int, what: str, several: str | None = None) -> str:
    """Return a number with its noun: `1 run`, `2,000 runs`.

    Args:
        count: how many.
        what: the noun for one.
        several: the noun for more or none, where it is not `what` with an s.
    """
    return f"{count:,} {what if count == 1 else several or what + 's'}"
