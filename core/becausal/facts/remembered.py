"""What was worked out, under what it was asked by: the answers that were asked last, as many as there is room for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["Remembered"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """Answers by their questions. What was asked longest ago makes room: a bound that was met keeps being met."""

    def __init__(self, room: int) -> None:
        self._answers: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._room = room

    def get(self, question: K) -> V | None:
        """Return an answer; None where it is not known, or not any more."""
        known = self._answers.get(question)
        if known is None:
            return None
        self._answers.move_to_end(question)
        return known[0]

    def put(self, question: K, answer: V, weight: int) -> None:
        """Remember an answer, which takes so much room."""
        before = self._answers.pop(question, None)
        self._room += 0 if before is None else before[1]
        self._answers[question] = answer, weight
        self._room -= weight
        while self._room < 0 and self._answers:
            self._room += self._answers.popitem(last=False)[1][1]
