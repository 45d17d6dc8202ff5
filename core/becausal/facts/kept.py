"""What was read already, kept in mind while somebody judges a run: the same text is sent, received and told again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

from becausal.facts.fact import Fact
from becausal.facts.growing import Growing
from becausal.facts.remembered import Remembered
from becausal.facts.sharing import Sides

__all__ = ["OVERHEAD", "Kept", "ReadSoFar", "kept", "remembering"]

MOST_KEPT: Final = 4_000_000
"""Characters up to which in all texts that were read are kept in mind."""

MOST_OF_WORDS: Final = 1_000_000
"""Characters up to which in all lines are kept in mind as their words, each of which takes many times its letters."""

MOST_PLACED: Final = 500_000
"""Facts that are kept in mind with the place that they were found in."""

OVERHEAD: Final = 64
"""As so many characters a text counts beside its own."""


@dataclass(slots=True)
class ReadSoFar:
    """What a list states, and how many values and characters were read for that."""

    facts: list[Fact]
    values: int
    characters: int


class Kept:
    """Texts that were read, and what they state."""

    def __init__(self) -> None:
        self.texts: Remembered[tuple[str, int, str], list[Fact]] = Remembered(MOST_KEPT)
        self.placed: Remembered[tuple[object, ...], list[Fact]] = Remembered(MOST_PLACED)
        """By text, its place in the data and what stands beside it."""
        self.lists: Growing[ReadSoFar] = Growing()
        """By place in the data, what lists state that go on from turn to turn."""
        self.lines: Growing[list[str]] = Growing()
        """By level, the lines of such lists in a text for people."""
        self.grown: Growing[Any] = Growing()
        """What others make of such lists, under names of theirs."""
        self.normal: Remembered[str, str] = Remembered(MOST_KEPT)
        """By text, its normal form, where somebody compares texts in one."""
        self.words: Remembered[str, tuple[frozenset[str], int]] = Remembered(MOST_OF_WORDS)
        """By line, its words, where somebody asks for them, and how many there are."""
        self.sides = Sides()
        """Sides of comparisons, ready to be looked up in."""


_kept: ContextVar[Kept | None] = ContextVar("becausal-facts", default=None)


def kept() -> Kept | None:
    """Return what is kept in mind; None where nothing is to be."""
    return _kept.get()


@contextmanager
def remembering(of: Kept | None = None) -> Iterator[None]:
    """Read each text once, however often it is asked about while this is open.

    Args:
        of: what is kept in mind already, and goes on being kept after this.
    """
    if _kept.get() is not None:
        yield
        return
    token = _kept.set(Kept() if of is None else of)
    try:
        yield
    finally:
        _kept.reset(token)
