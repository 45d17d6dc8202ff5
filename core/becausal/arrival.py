"""What waits for a package to be imported, and happens just before.

An app pays for the adapters of the frameworks that it uses, and not of all that are installed. Whatever is put in then
finds what it would have found at the start of the program: nothing of the framework is loaded yet.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Sequence
from types import ModuleType

from becausal.guard import guarded

__all__ = ["before_import"]


def before_import(packages: Collection[str], action: Callable[[], None]) -> Callable[[], None]:
    """Do something once, before the first of these top-level packages is imported; at once if one has been.

    Returns:
        What calls it off.
    """
    if any(name in sys.modules for name in packages):
        action()
        return _nothing
    arrival = _Arrival(frozenset(packages), guarded(action))
    sys.meta_path.insert(0, arrival)
    return arrival.call_off


class _Arrival:
    """Stands before all finders, and finds nothing itself: it only hears what is looked for."""

    def __init__(self, packages: frozenset[str], action: Callable[[], None]) -> None:
        self._packages = packages
        self._actions = [action]

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> None:
        """Hear that a module is looked for."""
        if name in self._packages and self._actions:
            try:
                action = self._actions.pop()
            except IndexError:  # another thread was first
                return
            # It stays where it is, deaf: whoever is walking along `sys.meta_path` would miss the one after it.
            action()

    def call_off(self) -> None:
        """Do nothing any more, and go."""
        self._actions.clear()
        if self in sys.meta_path:
            sys.meta_path.remove(self)


def _nothing() -> None:
    pass
