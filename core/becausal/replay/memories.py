"""The memories of `becausal.Memory` in a replay: as they stood when the run began, and what the replay writes to them.

Nothing is appended to a memory's own log. What somebody else wrote while the run went on counts if the run read it.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from becausal import semconv
from becausal.errors import StoreError
from becausal.memory_event import MemoryEvent, MemoryRead, NewEvent, value_at
from becausal.step import Step
from becausal.store.memory_log import LAST_SEQ

__all__ = ["MemoryTwin"]


class MemoryTwin:
    """Stands for a store, as far as memories ask it; everything else it refuses."""

    url = "replay"

    def __init__(self, past: Any, chain_id: str, steps: Iterable[Step]) -> None:
        """Make one.

        Args:
            past: the store of the recorded run, or whatever else knows its memories' events and bodies.
            chain_id: of the recorded run.
            steps: all of its steps; none: all of the past is known.
        """
        self._past, self._chain_id = past, chain_id
        steps = tuple(steps)
        self._began = min((step.seq for step in steps), default=LAST_SEQ)
        self._read = {
            (step.attributes.get(semconv.MEMORY_STORE), step.attributes.get(semconv.MEMORY_RECORD), version)
            for step in steps
            if step.kind == "memory_read"
            and isinstance(version := step.attributes.get(semconv.MEMORY_VERSION), int)
        }
        self._written: list[MemoryEvent] = []
        self._bodies: dict[bytes, bytes] = {}
        self._lock = threading.RLock()

    def append(
        self, event: NewEvent, bodies: Mapping[bytes, bytes], *, expected: int | None = None
    ) -> MemoryEvent | None:
        """Append an event for the time of the replay; see `becausal.store.Store`."""
        with self._lock:
            there = self.memory_events(event.memory)
            version = max((known.version for known in there if known.key == event.key), default=0)
            if expected is not None and expected != version:
                return None
            self._bodies.update(bodies)
            said = {field.name: getattr(event, field.name) for field in dataclasses.fields(event)}
            said["seq"] = max([event.seq, *(known.seq + 1 for known in there)])
            if event.payload is not None:
                said["payload"] = dataclasses.replace(event.payload, bodies=self)
            appended = MemoryEvent(**said, version=version + 1, hash="")
            self._written.append(appended)
            return appended

    def memory_events(self, memory_name: str | None = None, key: str | None = None) -> list[MemoryEvent]:
        """Return the events until the run began, and those of the replay."""
        find = getattr(self._past, "memory_events", None)
        past: list[MemoryEvent] = [] if find is None else find(memory_name, key)
        with self._lock:
            mine = [
                event
                for event in self._written
                if memory_name in (None, event.memory) and key in (None, event.key)
            ]
        return [*filter(self._is_known, past), *mine]

    def memory_value(self, memory_name: str, key: str, seq: int | None = None) -> MemoryEvent | None:
        """Return the event that gives a key its value at a causal sequence number; None where it has none."""
        return value_at(self.memory_events(memory_name, key), seq)

    def memory_reads(self, memory_name: str | None = None, key: str | None = None) -> list[MemoryRead]:
        """Return who read what, by the record."""
        find = getattr(self._past, "memory_reads", None)
        return [] if find is None else list(find(memory_name, key))

    def broken_link(self, memory_name: str) -> str | None:
        """Return nothing: this log is none that anybody could have changed."""
        return None

    def body(self, digest: bytes) -> bytes | None:
        """Return a body."""
        found: bytes | None = self._bodies.get(digest)
        return self._past.body(digest) if found is None and self._past is not None else found

    def erase(self, memory_name: str, key: str) -> None:
        """Forget what the replay wrote under a key; the past is left alone."""
        with self._lock:
            self._written = [
                event for event in self._written if (event.memory, event.key) != (memory_name, key)
            ]

    def close(self) -> None:
        """Do nothing: it ends with the replay."""

    def __getattr__(self, name: str) -> NoReturn:
        raise StoreError(f"in a replay a memory's store has no {name}")

    def _is_known(self, event: MemoryEvent) -> bool:
        if event.chain_id == self._chain_id:
            return False  # the run's own: the replay writes it again
        return event.seq < self._began or (event.memory, event.key, event.version) in self._read
