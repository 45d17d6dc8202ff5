"""What is known of an app's objects, by identity and by name: for as long as they live, or the latest so many."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

__all__ = ["ByIdentity", "Recent", "weakly"]

T = TypeVar("T")


def weakly(thing: object) -> Callable[[], object]:
    """Return what gives an app's object as long as it lives, and None from then on.

    An object that cannot be referred to weakly (of a class with `__slots__`) is held.
    """
    return weakref.ref(thing) if type(thing).__weakrefoffset__ else _holding(thing)


def _holding(thing: object) -> Callable[[], object]:
    # A function of its own: what a function closes over is an object more, and nearly nothing is held.
    return lambda: thing


class _Ref(weakref.ref[Any], Generic[T]):
    """A weak reference with what is known of its object, and that one's address, which is needed when it is gone."""

    __slots__ = ("key", "known")

    key: int
    known: T


class ByIdentity(Generic[T]):
    """What is known of objects that need not be hashable, for as long as they live."""

    def __init__(self) -> None:
        self._held: dict[int, _Ref[T]] = {}
        held = self._held

        def gone(dead: Any) -> None:
            # By then another object may live at the same address.
            key: int = dead.key
            if held.get(key) is dead:
                del held[key]

        # One for all objects, and no method: what is noted of them must not keep this alive.
        self._gone = gone

    def get(self, thing: object) -> T | None:
        """Return what is known of an object."""
        found = self._held.get(id(thing))
        return found.known if found is not None and found() is thing else None

    def among(self, things: Iterable[object]) -> list[tuple[object, T]]:
        """Return those of some objects that something is known of, with that."""
        held = self._held
        found = [(thing, held.get(id(thing))) for thing in things]
        return [(thing, entry.known) for thing, entry in found if entry is not None and entry() is thing]

    def put(self, thing: object, known: T) -> None:
        """Note something of an object."""
        key = id(thing)
        found = self._held.get(key)
        if found is None or found() is not thing:
            found = _Ref(thing, self._gone)
            found.key = key
            self._held[key] = found
        found.known = known

    def pop(self, thing: object) -> T | None:
        """Return what is known of an object, and forget it."""
        known = self.get(thing)
        if known is not None:
            del self._held[id(thing)]
        return known

    def __len__(self) -> int:
        return len(self._held)


class Recent(OrderedDict[str, T]):
    """A dict of so many entries; what was neither noted nor asked for longest goes first."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def find(self, key: str) -> T | None:
        """Return an entry, which thereby is recent again."""
        found = self.get(key)
        if found is not None:
            self.move_to_end(key)
        return found

    def put(self, key: str, value: T) -> None:
        """Add or replace an entry."""
        self[key] = value
        self.move_to_end(key)
        if len(self) > self._most:
            self.popitem(last=False)
