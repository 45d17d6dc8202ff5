"""Lists that grow: a conversation as each of its turns was sent it, of which only the new end needs to be read.

Lists are told by the objects in them. So this is of use where a message is one object in every list that has it, as
`becausal.graph.values` gives them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from operator import is_
from typing import Any, Generic, TypeVar

__all__ = ["Growing"]

S = TypeVar("S")
T = TypeVar("T")

SHORTEST = 4
"""Items. Shorter lists are read faster than they are compared."""
MOST_ALIKE = 4
MOST_NAMES = 64
"""So many lists of so many names are known at once: those that came last."""


class Growing(Generic[S]):
    """The lists that came last, each with what was made of it; that grows in place, as the list does."""

    def __init__(self) -> None:
        self._known: OrderedDict[Hashable, list[tuple[Sequence[Any], S]]] = OrderedDict()

    def of(
        self,
        name: Hashable,
        items: Sequence[T],
        make: Callable[[], S],
        extend: Callable[[S, Sequence[T], int], None],
    ) -> S:
        """Return what is made of a list: of one that begins with a list that came before, from what that was made.

        Args:
            name: what is made, and of which of a payload's lists.
            items: the list.
            make: makes what an empty list makes.
            extend: takes in items, of which the first one has a place in the list.
        """
        taken = self.take(name, items)
        length, made = (0, make()) if taken is None else taken
        if length < len(items):
            extend(made, items[length:] if length else items, length)
        self.put(name, items, made)
        return made

    def take(self, name: Hashable, items: Sequence[Any]) -> tuple[int, S] | None:
        """Give away the longest list that some items begin with: its length, and what was made of it."""
        alike = self._known.get(name, []) if len(items) >= SHORTEST else []
        likely = [
            place
            for place, (known, _) in enumerate(alike)
            if len(known) <= len(items) and all(map(is_, known, items))
        ]
        if not likely:
            return None
        # Whoever goes on in it changes it, so it is nobody else's any more.
        known, made = alike.pop(max(likely, key=lambda place: len(alike[place][0])))
        return len(known), made

    def put(self, name: Hashable, items: Sequence[Any], made: S) -> None:
        """Remember what was made of a list."""
        if len(items) < SHORTEST:
            return
        alike = self._known.setdefault(name, [])
        self._known.move_to_end(name)
        alike.append((items, made))
        del alike[:-MOST_ALIKE]
        if len(self._known) > MOST_NAMES:
            self._known.popitem(last=False)
