"""The smallest sets of pieces whose change changes an outcome, found by trying as few sets as can be.

Delta debugging: `ddmin` halves a set that changes the outcome for as long as a part of it, or what is left without a
part, still does; what remains cannot spare a single piece. A trial may say nothing (the app failed without the piece):
it counts neither way. Each set is tried once.

One such set says that the outcome changes without it. There may be others, to be looked for among the pieces that no
set has yet. So two sets of one piece each mean that the outcome needed both; one set of two pieces means that each
of them was enough.

Source: Zeller & Hildebrandt 2002, "Simplifying and Isolating Failure-Inducing Input", IEEE TSE 28(2), figure 5;
Halpern 2016, "Actual Causality", for causes of which one alone would do.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Generic, Literal, TypeVar

__all__ = ["Search", "Verdict"]

Verdict = Literal["changed", "same", "unclear"]
"""What a trial showed. `unclear`: it is no evidence."""

T = TypeVar("T", bound=Hashable)


class _SpentError(Exception):
    pass


class Search(Generic[T]):
    """Finds minimal sets among pieces. What belongs together should stand side by side: then it halves well."""

    def __init__(self, trial: Callable[[Sequence[T]], Verdict], most: int) -> None:
        """Make one.

        Args:
            trial: changes some pieces and says what became of the outcome.
            most: so many sets are tried.
        """
        self._trial = trial
        self._most = most
        self.known: dict[frozenset[T], Verdict] = {}
        """What was tried."""
        self.is_spent = False
        """Whether the search ended because it had tried as many sets as it may."""

    def verdict(self, pieces: Sequence[T]) -> Verdict:
        """Return what a set of pieces does."""
        key = frozenset(pieces)
        if not key:
            return "same"
        if key not in self.known:
            if len(self.known) >= self._most:
                raise _SpentError
            self.known[key] = self._trial(pieces)
        return self.known[key]

    def is_clear(self, pieces: Sequence[T]) -> bool:
        """Return whether something can be learnt without all of these pieces at once."""
        try:
            return self.verdict(pieces) != "unclear"
        except _SpentError:
            self.is_spent = True
            return True

    def clear(self, pieces: Sequence[T]) -> list[T]:
        """Return those pieces without which, one by one, something can be learnt."""
        return [piece for piece in pieces if self.is_clear([piece])]

    def first(self, pieces: Sequence[T], *, thorough: bool = True) -> list[T] | None:
        """Return a minimal set among pieces that changes the outcome; None where none is found.

        Args:
            pieces: where to look.
            thorough: where all of them change nothing, look through parts of them too, and not only through each
                alone: some may change it, if others undo that.
        """
        try:
            start = self._some(list(pieces), thorough=thorough) if pieces else None
            return None if start is None else self.minimal(start)
        except _SpentError:
            self.is_spent = True
            return None

    def minimal(self, pieces: Sequence[T]) -> list[T]:
        """Return a part of a set that changes the outcome, of which nothing can be spared."""
        least, count = list(pieces), 2
        while len(least) >= 2:
            chunks = list(_chunks(least, count))
            smaller = next((chunk for chunk in chunks if self.verdict(chunk) == "changed"), None)
            if smaller is not None:
                least, count = smaller, 2
                continue
            rest = (_without(least, chunk) for chunk in chunks) if count > 2 else ()
            smaller = next((some for some in rest if self.verdict(some) == "changed"), None)
            if smaller is not None:
                least, count = smaller, max(count - 1, 2)
            elif count >= len(least):
                break
            else:
                count = min(2 * count, len(least))
        return least

    def _some(self, pieces: list[T], *, thorough: bool) -> list[T] | None:
        """Return a set that changes the outcome: all of them or, where that is no evidence, some."""
        said = self.verdict(pieces)
        if said == "changed":
            return pieces
        if said == "same" and not thorough:
            # What comes later may hide what came before: without both, nothing is seen of either.
            return next(([piece] for piece in pieces if self.verdict([piece]) == "changed"), None)
        count = 2
        while count < 2 * len(pieces):
            chunks = list(_chunks(pieces, min(count, len(pieces))))
            for some in (*chunks, *(_without(pieces, chunk) for chunk in chunks if count > 2)):
                if self.verdict(some) == "changed":
                    return some
            count *= 2
        return None


def _chunks(pieces: Sequence[T], count: int) -> Iterator[list[T]]:
    """Yield pieces in so many parts of nearly one size."""
    start = 0
    for number in range(count):
        end = start + (len(pieces) - start) // (count - number)
        yield list(pieces[start:end])
        start = end


def _without(pieces: Sequence[T], some: Sequence[T]) -> list[T]:
    gone = set(some)
    return [piece for piece in pieces if piece not in gone]
