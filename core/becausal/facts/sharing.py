"""Sides of comparisons, each laid out once; of what a long conversation's turns were told each fact once for all turns.

Of two sides that begin alike, what both begin with becomes a row that they share, and so do those after them: each
goes on in it for as long as it says the same, and has the rest (the last message, the fields behind a list of
messages) for itself. A fact is laid out twice at most, however many turns heard it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from becausal.facts.fact import Fact
from becausal.facts.remembered import Remembered
from becausal.facts.running import RunningTexts, alike
from becausal.facts.stated import Row, Stated

__all__ = ["MOST_LAID_OUT", "Sides"]

MOST_LAID_OUT: Final = 500_000
"""Facts of sides that are kept ready, beside what they share; a text counts as one for each 32 characters."""

MOST_HEADS: Final = 32
MOST_OF_A_HEAD: Final = 8
"""So many conversations that begin with so many different facts are known at once."""
FEWEST: Final = 32
"""A side of fewer facts is laid out by itself."""

_Head = tuple[str, tuple[object, ...], str]


@dataclass(slots=True, eq=False)
class _Beginning:
    """What sides begin with."""

    last: tuple[Fact, ...]
    """The side that came last of those that begin so."""
    row: Row


class Sides:
    """Sides by the identity of their facts and by their texts; the ones that were asked last."""

    def __init__(self) -> None:
        self._made: Remembered[tuple[int, str], tuple[tuple[Fact, ...], Stated]] = Remembered(MOST_LAID_OUT)
        self._texts = RunningTexts()
        self._beginnings: OrderedDict[_Head, list[_Beginning]] = OrderedDict()

    def of(self, facts: tuple[Fact, ...], text: str) -> Stated:
        """Return what looks a side's facts up."""
        name = (id(facts), text)
        known = self._made.get(name)
        if known is not None:
            return known[1]
        shared = self._shared(facts) if len(facts) >= FEWEST else None
        own = facts if shared is None else facts[shared[1] :]
        made = Stated(own, text, shared, self._texts.said)
        # With the facts themselves: another tuple must not come to have their identity.
        self._made.put(name, (facts, made), 1 + len(own) + len(text) // 32)
        return made

    def _shared(self, facts: tuple[Fact, ...]) -> tuple[Row, int] | None:
        """Return the row in which a side goes on, and how far; None where no side before it began as it does."""
        head = facts[0].kind, facts[0].path, facts[0].text
        known = self._beginnings.setdefault(head, [])
        self._beginnings.move_to_end(head)
        if len(self._beginnings) > MOST_HEADS:
            self._beginnings.popitem(last=False)
        alike, length = _likest(known, facts)
        laid_out = 0 if alike is None else len(alike.row.facts)
        if alike is None or 2 * length < len(facts) or length < min(laid_out, len(facts)):
            # Another conversation, which may go on too.
            known.append(_Beginning(facts, Row()))
            del known[:-MOST_OF_A_HEAD]
        else:
            known.remove(alike)
            known.append(alike)
            if length >= laid_out:
                alike.row.extend(facts[laid_out:length])
                alike.last = facts
        return None if alike is None or 2 * length < len(facts) else (alike.row, length)


def _likest(beginnings: Sequence[_Beginning], facts: tuple[Fact, ...]) -> tuple[_Beginning | None, int]:
    """Return the beginning that has the most in common with a side, the latest of several, and how much."""
    best, most = None, -1
    for beginning in beginnings:
        length = alike(beginning.last, facts)
        if length >= most:
            best, most = beginning, length
    return best, most
