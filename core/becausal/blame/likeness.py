"""Where a text says most of the same: of several places that hold it, the one with the same words beside it.

Two rooms cost 19 each, and an answer says what one of them costs. By the 19 alone nobody can tell which is meant; by
the words that stand beside it in the answer and in what was given, one can.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from becausal.graph import Graph
from becausal.graph.index import Found
from becausal.payload import Payload
from becausal.step import Step

__all__ = ["Likeness"]


class Likeness:
    """How much payloads say of what stands beside one text where it was asked about."""

    def __init__(self, graph: Graph, found: Found) -> None:
        self._graph, self._found = graph, found
        self._beside: dict[str, frozenset[str]] = {}
        self.hints: frozenset[str] = frozenset()
        """The words beside the text where it was asked about; with none, nothing is told apart."""
        self.was_asked = False
        """Whether it mattered, since this was last set to False, which words those are."""

    def of(self, payload: Payload | None) -> int:
        """Return how many of the hints stand beside the text in a payload."""
        self.was_asked = True
        if payload is None:
            return 0
        if payload.digest not in self._beside:
            self._beside[payload.digest] = self._graph.index.beside(self._found, payload)
        return len(self.hints & self._beside[payload.digest])

    def likest(self, makers: Iterator[Step]) -> Step | None:
        """Return the step that produced the most of them, the first of equals; None if there are no steps."""
        first = next(makers, None)
        if first is None or not self.hints:
            return first
        second = next(makers, None)
        if second is None:
            return first  # there was nothing to choose
        return max(chain((first, second), makers), key=lambda maker: self.of(maker.produced))
