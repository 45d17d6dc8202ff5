"""Which version of a memory's key somebody read or wrote, counted by us.

A memory's own marks do not serve: the time stamps of LangGraph's `InMemoryStore` are alike for two writes in one tick,
AutoGen's memories have none. So versions are counted here, for each key from 1, in the order in which the writes
ended; the store's log numbers them over all processes, see `becausal.store.numbering`. A content that was read is known
again by its digest: as the latest version, as an earlier one (then somebody was served what is outdated), or as none of
ours (another process wrote it, or it was there before).
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from typing import NamedTuple

from becausal import clock
from becausal.step import Cause, Grade, StepRef

__all__ = ["Version", "Versions"]

MAX_KEYS = 10_000
"""Keys of one memory that are remembered; the one written longest ago is forgotten beyond so many."""

MAX_KEPT = 16
"""Versions of one key that are remembered."""


class Version(NamedTuple):
    """One version of one key."""

    key: str
    number: int
    """From 1, in the order in which the writes ended."""
    digest: str | None
    """Of the content; None: the key was deleted."""
    step: StepRef
    """Which step wrote it."""
    at: int = 0
    """What the logical clock showed when the write had ended."""

    def __str__(self) -> str:
        return f"{self.key}@{self.number}"

    def cause(self, grade: Grade = "observed") -> Cause:
        """Return the cause that this version is for a step which read it."""
        return Cause(self.step.id, "memory", grade, f"memory {self}", self.step.span_context)


class _Kept(NamedTuple):
    """What is remembered of one memory."""

    memory: weakref.ref[object]
    name: str
    keys: OrderedDict[str, list[Version]]


class Versions:
    """The versions of every memory of this process. Holds no memory alive, and may be used by several threads.

    A memory is known by its identity: two that say they are equal are two all the same.
    """

    def __init__(self) -> None:
        self._memories: dict[int, _Kept] = {}
        # Reentrant: the garbage collector may run code of the app, and so ours, while this thread holds it.
        self._lock = threading.RLock()

    def name_of(self, memory: object) -> str:
        """Return what tells a memory from all others of its name, here and in other processes, while it lives.

        Raises:
            TypeError: the memory cannot be referred to weakly.
        """
        with self._lock:
            return self._known(memory).name

    def wrote(self, memory: object, key: str, digest: str | None, step: StepRef) -> Version:
        """Count a write that has ended; `digest` is None for a deletion.

        Raises:
            TypeError: the memory cannot be referred to weakly.
        """
        with self._lock:
            keys = self._keys_of(memory)
            kept = keys.setdefault(key, [])
            keys.move_to_end(key)
            version = Version(key, kept[-1].number + 1 if kept else 1, digest, step, clock.tick())
            kept.append(version)
            del kept[:-MAX_KEPT]
            if len(keys) > MAX_KEYS:
                keys.popitem(last=False)
            return version

    def read(self, memory: object, key: str, digest: str | None) -> Version | None:
        """Return the version that a content is, the latest of them; None: it is none that was written here."""
        with self._lock:
            kept = self._kept(memory, key)
            return next((version for version in reversed(kept) if version.digest == digest), None)

    def latest(self, memory: object, key: str, before: int | None = None) -> Version | None:
        """Return the version that a key stands at; None: nobody wrote it here.

        Args:
            before: a moment of the logical clock, such as a step's `seq`: only what had been written by then counts.
        """
        with self._lock:
            kept = reversed(self._kept(memory, key))
            return next((version for version in kept if before is None or version.at <= before), None)

    def _keys_of(self, memory: object) -> OrderedDict[str, list[Version]]:
        return self._known(memory).keys

    def _known(self, memory: object) -> _Kept:
        known = self._memories.get(id(memory))
        if known is None or known.memory() is not memory:
            number, memories = id(memory), self._memories

            def forget(gone: weakref.ref[object]) -> None:
                # The number may have passed to another memory already.
                if (kept := memories.get(number)) is not None and kept.memory is gone:
                    memories.pop(number, None)

            known = memories[number] = _Kept(
                weakref.ref(memory, forget), clock.new_step_id()[:8], OrderedDict()
            )
        return known

    def _kept(self, memory: object, key: str) -> list[Version]:
        known = self._memories.get(id(memory))
        return [] if known is None or known.memory() is not memory else known.keys.get(key, [])
