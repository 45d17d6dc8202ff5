"""Versions of the keys of memories, by the names that people give them: `memory/key@3`, `key@3`, `key`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from becausal.errors import MemoryKeyError
from becausal.memory_event import MemoryEvent
from becausal.memory_view import Held, MemoryView
from becausal.store import Store

__all__ = ["Version", "event_of", "held_as", "names_key", "not_held", "version_of"]

NO_MEMORY: Final = (
    "this store has no memory (the cassette of one run brings none along: "
    "becausal export all carries the memories)"
)

MOST_NAMED: Final = 8
"""So many keys or versions are named where somebody asks for one that is not there."""


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """One version of a key of a memory."""

    memory: str
    key: str
    version: int

    def __str__(self) -> str:
        return f"{self.memory}/{self.key}@{self.version}"


def version_of(store: Store, name: str) -> Version | None:
    """Return the version that `memory/key@3` or `key@3` names, without a number the last; None if nobody wrote it.

    Raises:
        MemoryKeyError: several memories have this key.
    """
    for asked, number in ((name.rpartition("@")[0], name.rpartition("@")[2]), (name, "")):
        if not asked or (number and not number.isdigit()):
            continue
        found = {Version(e.memory, e.key, e.version) for e in _events(store, asked)}
        if number:
            found = {one for one in found if one.version == int(number)}
        names = {(one.memory, one.key) for one in found}
        if len(names) > 1:
            several = ", ".join(sorted(f"{memory}/{key}" for memory, key in names))
            raise MemoryKeyError(f"several memories have {asked!r}: {several}; name the one that you mean")
        if found:
            return max(found)
    return None


def event_of(store: Store, version: Version) -> MemoryEvent:
    """Return the event that wrote a version.

    Raises:
        MemoryKeyError: nobody did.
    """
    events = store.memory_events(version.memory, version.key)
    event = next((event for event in events if event.version == version.version), None)
    if event is None:
        raise MemoryKeyError(f"nobody wrote {version}")
    return event


def names_key(name: str) -> bool:
    """Return whether a text names a key of a memory, and no step."""
    return "/" in name or "@" in name


def held_as(memory: MemoryView, name: str) -> Held | None:
    """Return the version that a run wrote under a name, the last of them without a number; None where it wrote none."""
    return next((asked[-1] for asked, _ in _histories(memory, name) if asked), None)


def not_held(memory: MemoryView, store: Store, name: str) -> str:
    """Return what to say of a name under which neither a run nor anybody else wrote."""
    for _, versions in _histories(memory, name):
        key, number = name.rpartition("@")[0], name.rpartition("@")[2]
        there = ", ".join(str(held.version) for held in versions if held.version is not None)
        return f"{key} has no version {number} in this run; it has: {there}"
    return _not_written(store, name)


# Inside


def _histories(memory: MemoryView, name: str) -> Iterator[tuple[list[Held], tuple[Held, ...]]]:
    """Yield what a run wrote that a name may mean, with the whole history of that key."""
    for key, number in ((name.rpartition("@")[0], name.rpartition("@")[2]), (name, "")):
        try:
            versions = memory.history(key)
        except MemoryKeyError:
            continue
        yield [held for held in versions if not number or str(held.version) == number], versions


def _not_written(store: Store, name: str) -> str:
    """Return what to say of `memory/key@3` where nobody wrote it: which versions there are, or which keys."""
    key, _, number = name.rpartition("@")
    versions = sorted({event.version for event in _events(store, key)}) if key else []
    if versions:
        return f"{key} has no version {number}; it has: {_few(versions)}"
    keys = sorted({f"{event.memory}/{event.key}" for event in store.memory_events()})
    there = f"there are: {_few(keys)}" if keys else NO_MEMORY
    return f"no memory has a key {key or name}, and the run has no such step; {there}"


def _few(names: Sequence[object]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(map(str, names[-MOST_NAMED:])) + more


def _events(store: Store, name: str) -> list[MemoryEvent]:
    """Return the events of a key, by its name alone or with its memory's before it."""
    found = store.memory_events(None, name)
    parts = name.split("/")
    for at in range(1, len(parts)):
        found += store.memory_events("/".join(parts[:at]), "/".join(parts[at:]))
    return found
