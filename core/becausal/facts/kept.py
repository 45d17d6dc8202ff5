"""What was read already, kept in mind while somebody judges a run: the same text is sent, received and told again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

from becausal.facts.fact import Fact

__all__ = ["MOST_SIDES", "SHORTEST_KEPT", "Kept", "kept", "remembering"]

SHORTEST_KEPT: Final = 64
MOST_KEPT: Final = 4_000_000
"""Characters from which on, and up to which in all, a text that was read is kept in mind."""

MOST_PLACED: Final = 500_000
"""Facts that are kept in mind with the place that they were found in."""

MOST_SIDES: Final = 200
"""Sides of a comparison that are kept ready to be looked up in."""


@dataclass(slots=True)
class Kept:
    """Texts that were read, and what they state."""

    texts: dict[tuple[str, int, str], list[Fact]] = field(default_factory=dict)
    room: int = MOST_KEPT
    placed: dict[tuple[object, ...], list[Fact]] = field(default_factory=dict)
    """By text, its place in the data and what stands beside it."""
    room_placed: int = MOST_PLACED
    normal: dict[str, str] = field(default_factory=dict)
    """By text, its normal form, where somebody compares texts in one."""
    room_normal: int = MOST_KEPT
    sides: dict[tuple[int, str], tuple[tuple[Fact, ...], Any]] = field(default_factory=dict)
    """By the identity of facts and the text that they come from: those, and what looks them up."""


_kept: ContextVar[Kept | None] = ContextVar("becausal-facts", default=None)


def kept() -> Kept | None:
    """Return what is kept in mind; None where nothing is to be."""
    return _kept.get()


@contextmanager
def remembering() -> Iterator[None]:
    """Read each text once, however often it is asked about while this is open."""
    if _kept.get() is not None:
        yield
        return
    token = _kept.set(Kept())
    try:
        yield
    finally:
        _kept.reset(token)
