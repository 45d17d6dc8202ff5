"""Which steps a chain has, and who called whom: five numbers a step, so that a chain of a million is no load.

An agent that runs for a week makes one chain of a million steps. Which of them are worth loading is told from this: the
last ones, those of an hour, what is within a step.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from functools import cached_property

__all__ = ["Outline"]

MASK = 0xFFFF_FFFF_FFFF_FFFF

Row = tuple[int, int | None, int, int, int | None]
"""A step's id and its caller's as numbers (of either sign), `seq`, and when it started and ended, in nanoseconds."""


class Outline:
    """The steps of one chain, by their places in `seq` order, from 0."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        """Take in the rows of a chain's steps in the order in which `Store.load` gives them."""
        self.ids, self.parents = array("Q"), array("Q")  # no step has the id 0: it stands for nobody
        self.seqs, self.started_ns, self.ended_ns = array("q"), array("q"), array("q")  # -1: open
        for number, parent, seq, started_ns, ended_ns in rows:
            self.ids.append(number & MASK)
            self.parents.append(0 if parent is None else parent & MASK)
            self.seqs.append(seq)
            self.started_ns.append(started_ns)
            self.ended_ns.append(-1 if ended_ns is None else ended_ns)

    def __len__(self) -> int:
        return len(self.ids)

    def id(self, place: int) -> str:
        """Return the id of the step at a place."""
        return f"{self.ids[place]:016x}"

    def named(self, places: Iterable[int]) -> list[str]:
        """Return the ids of the steps at some places."""
        return [f"{self.ids[place]:016x}" for place in places]

    def place(self, step_id: str) -> int | None:
        """Return the place of a step; None where the chain has no such step."""
        return self._place(int(step_id, 16))

    def starting(self, beginning: str) -> list[int]:
        """Return the places of the steps whose ids begin so, in the order of the ids."""
        least = int(beginning.ljust(16, "0"), 16)
        most = int(beginning.ljust(16, "f"), 16)
        found = []
        for at in range(bisect_left(self._sorted, least), len(self)):
            if self._sorted[at] > most:
                break
            found.append(self._by_id[at])
        return found

    def children(self, place: int) -> Iterator[int]:
        """Yield the places of the steps that a step called, in their order."""
        return (self._by_caller[at] for at in self._called_by(place))

    def count_children(self, place: int) -> int:
        """Return how many steps a step called."""
        return len(self._called_by(place))

    def _called_by(self, place: int) -> range:
        own = self.ids[place]
        return range(bisect_left(self._callers, own), bisect_right(self._callers, own))

    def _place(self, number: int) -> int | None:
        at = bisect_left(self._sorted, number)
        return self._by_id[at] if at < len(self) and self._sorted[at] == number else None

    @cached_property
    def _by_id(self) -> array[int]:
        return array("L", sorted(range(len(self)), key=self.ids.__getitem__))

    @cached_property
    def _sorted(self) -> array[int]:
        return array("Q", map(self.ids.__getitem__, self._by_id))

    @cached_property
    def _by_caller(self) -> array[int]:
        return array("L", sorted(range(len(self)), key=self.parents.__getitem__))

    @cached_property
    def _callers(self) -> array[int]:
        return array("Q", map(self.parents.__getitem__, self._by_caller))
