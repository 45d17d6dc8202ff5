"""A shared memory in which nothing is overwritten: `becausal.Memory`.

    memory = becausal.Memory("research")
    memory.write("market size", {"usd": 20_000_000})
    memory.read("market size")
    memory.retract("market size", reason="the source was a forecast")

Every write is an event in the store's log, with who wrote it, in which chain, after which events; every read says which
version it saw. So a memory can be read as it stood, a wrong belief led to whoever wrote it, and its readers named.

The values are the app's own data: they are kept whatever `capture` says, and the memory works before
`becausal.instrument()` as well; then its events have no chain and no agent. Values come back as plain Python data
(objects as dicts of their fields). Only secrets are not kept, here as elsewhere (`becausal.redaction`): a log that
forgets nothing is no place for them, and what is read is the marker in their place.

Safe for several threads and processes: an event is appended in one transaction. Two writers of one key are told apart
by `expected`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

from becausal import clock, semconv
from becausal.context import current
from becausal.delta import Delta, delta
from becausal.errors import MemoryConflictError, MemoryKeyError, MemoryValueError
from becausal.instrument import active_recorder, active_store, store_url_in_use
from becausal.memory_event import MemoryEvent, MemoryRead, NewEvent, Operation, value_at
from becausal.memory_step import kept_under, kept_whole, recorded, standing_for
from becausal.observation import NOTHING
from becausal.redaction import shown
from becausal.redaction.naming import hidden_names
from becausal.settings import store_url
from becausal.step import Attribute
from becausal.store import Store, open_store
from becausal.store.memory_log import value_of

__all__ = ["Memory", "MemorySnapshot"]

T = TypeVar("T")


class Memory:
    """A named memory, shared by everybody who opens it by the same name in the same store."""

    def __init__(self, name: str, *, store: str | os.PathLike[str] | None = None) -> None:
        """Open a memory; it begins with its first write.

        Args:
            name: what its events are found by, in `becausal memory` too.
            store: a URL or a path; None for the store that this process records to, else `BECAUSAL_STORE`, else
                `sqlite:///.becausal/becausal.db`.

        Raises:
            MemoryValueError: the name is no text.
            StoreError: the store cannot be used.
        """
        if not isinstance(name, str):
            raise MemoryValueError(f"a memory's name is a text, not {name!r}")
        self.name = name
        self._url = None if store is None else store_url(os.fspath(store))
        self._own: Store | None = None
        if self._url is not None or active_store() is None:
            self._own = open_store(self._url or store_url_in_use())

    # -- writing

    def write(
        self, key: str, value: object, *, expected: int | None = None, reason: str | None = None
    ) -> MemoryEvent:
        """Give a key a value; returns the event, whose `version` a later writer may expect.

        Args:
            expected: the version that the key must stand at, 0 for a key that nobody has written; None: whatever it
                stands at.
            reason: why, kept with the event.

        Raises:
            MemoryConflictError: the key stands at another version.
            MemoryValueError: the value cannot be kept whole (a lock, an open file).
            StoreError: the store cannot be written.
        """
        return self._change(key, "write", value, expected, reason)

    def supersede(self, key: str, value: object, *, reason: str, expected: int | None = None) -> MemoryEvent:
        """Give a key a value in place of one that was wrong. Whoever reads the former version after this is told of.

        Raises:
            MemoryKeyError: the key has no value.
            MemoryConflictError, MemoryValueError, StoreError: as for `write`.
        """
        return self._change(key, "supersede", value, expected, reason, of=self._event(key).version)

    def retract(self, key: str, *, version: int | None = None, reason: str | None = None) -> MemoryEvent:
        """Withdraw a value: the last one, or an earlier version. It stays in the history.

        Raises:
            MemoryKeyError: the key has no value, or no such version.
            StoreError: the store cannot be written.
        """
        if version is None:
            version = self._event(key).version
        elif all(event.version != version or not event.has_value for event in self.history(key)):
            raise MemoryKeyError(f"{self.name}/{key} has no version {version}; see history({key!r})")
        return self._change(key, "retract", NOTHING, None, reason, of=version)

    def delete(self, key: str, *, reason: str | None = None) -> MemoryEvent:
        """Remove a key: it has no value from now on, and its history stays.

        Raises:
            MemoryKeyError: the key has no value.
            StoreError: the store cannot be written.
        """
        self._event(key)
        return self._change(key, "delete", NOTHING, None, reason)

    def erase(self, key: str) -> None:
        """Forget every content that a key ever had, for good, wherever in the store it was kept.

        Its events stay (who wrote when, not what), and the log verifies as before.

        Raises:
            StoreError: the store cannot be written.
        """
        recorder = active_recorder()
        if recorder is not None:
            recorder.flush(5.0)  # what is on its way to the store is to be forgotten too
            recorder.encoder.forget()
        self._store.erase(self.name, shown(key))

    # -- reading

    def read(self, key: str) -> Any:
        """Return a key's value as plain Python data.

        Raises:
            MemoryKeyError: it has none; the message says whether it was retracted, deleted or erased, and by whom.
            StoreError: the store cannot be read.
        """
        event = self._read(key, None)
        if event is None:
            raise MemoryKeyError(self._why_not(key))
        return self._value(event)

    def get(self, key: str, default: Any = None) -> Any:
        """Return a key's value as plain Python data, or the default where it has none."""
        event = self._read(key, None)
        return default if event is None else self._value(event)

    def at(self, seq: int) -> MemorySnapshot:
        """Return the memory as it stood at a causal sequence number: a step's `seq`, or an event's."""
        return MemorySnapshot(self, seq)

    def keys(self) -> tuple[str, ...]:
        """Return the keys that have a value, in the order in which they were first written."""
        return tuple(key for key, events in self._by_key().items() if value_at(events) is not None)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._value_of(key) is not None

    # -- looking back

    def history(self, key: str) -> tuple[MemoryEvent, ...]:
        """Return every event of a key, in the order of the log; empty for a key that nobody has written."""
        return tuple(self._store.memory_events(self.name, shown(key)))

    def blame(self, key: str) -> MemoryEvent:
        """Return the event that gave a key its value: who wrote it, in which chain, in which step.

        `becausal.open().get(event.chain_id).why(event.step_id)` tells on what evidence.

        Raises:
            MemoryKeyError: the key has no value.
        """
        return self._event(key)

    def diff(self, key: str, before: int, after: int) -> Delta:
        """Return what differs between two versions of a key.

        Raises:
            MemoryKeyError: there is no such version, or it has no value.
        """
        versions = {event.version: event for event in self.history(key) if event.has_value}
        for version in (before, after):
            if version not in versions:
                raise MemoryKeyError(f"{self.name}/{key} has no value of version {version}")
        return delta(self._value(versions[before]), self._value(versions[after]))

    def readers(self, key: str, version: int | None = None) -> tuple[MemoryRead, ...]:
        """Return who read a key, or one version of it, in causal order. Reads outside every chain are not kept."""
        recorder = active_recorder()
        if recorder is not None:
            recorder.flush(5.0)
        key = shown(key)
        hidden = (
            replace(read, key=key)
            for told in hidden_names(key)  # by runs that kept no content
            for read in self._store.memory_reads(self.name, told)
        )
        reads = sorted((*self._store.memory_reads(self.name, key), *hidden), key=lambda read: read.seq)
        return tuple(read for read in reads if version is None or read.version == version)

    def verify(self) -> str | None:
        """Return which event is not what was appended, in words; None: the log is whole and unchanged."""
        return self._store.broken_link(self.name)

    # -- the same for async code; the work is done on a thread

    async def awrite(
        self, key: str, value: object, *, expected: int | None = None, reason: str | None = None
    ) -> MemoryEvent:
        """Do what `write` does."""
        return await asyncio.to_thread(self.write, key, value, expected=expected, reason=reason)

    async def asupersede(
        self, key: str, value: object, *, reason: str, expected: int | None = None
    ) -> MemoryEvent:
        """Do what `supersede` does."""
        return await asyncio.to_thread(self.supersede, key, value, reason=reason, expected=expected)

    async def aretract(
        self, key: str, *, version: int | None = None, reason: str | None = None
    ) -> MemoryEvent:
        """Do what `retract` does."""
        return await asyncio.to_thread(self.retract, key, version=version, reason=reason)

    async def adelete(self, key: str, *, reason: str | None = None) -> MemoryEvent:
        """Do what `delete` does."""
        return await asyncio.to_thread(self.delete, key, reason=reason)

    async def aread(self, key: str) -> Any:
        """Do what `read` does."""
        return await asyncio.to_thread(self.read, key)

    async def aget(self, key: str, default: Any = None) -> Any:
        """Do what `get` does."""
        return await asyncio.to_thread(self.get, key, default)

    def close(self) -> None:
        """Let go of a store that this memory opened for itself. Closing twice is harmless."""
        if self._own is not None:
            self._own.close()

    def __repr__(self) -> str:
        return f"<Memory {self.name!r} in {self._store.url}>"

    # -- inside

    @property
    def _store(self) -> Store:
        return standing_for(self._lasting)

    def _lasting(self) -> Store:
        if self._own is not None:
            return self._own
        store = active_store()
        if store is None:  # uninstrumented since
            store = self._own = open_store(store_url_in_use())
        return store

    def _by_key(self) -> dict[str, list[MemoryEvent]]:
        found: dict[str, list[MemoryEvent]] = {}
        for event in self._store.memory_events(self.name):
            found.setdefault(event.key, []).append(event)
        return found

    def _value_of(self, key: str, seq: int | None = None) -> MemoryEvent | None:
        return value_of(self._store, self.name, shown(key), seq)

    def _event(self, key: str) -> MemoryEvent:
        event = self._value_of(key)
        if event is None:
            raise MemoryKeyError(self._why_not(key))
        return event

    def _why_not(self, key: str) -> str:
        history = self.history(key)
        if not history:
            return (
                f"{self.name}/{key} has never been written; it has: {', '.join(self.keys()) or 'nothing yet'}"
            )
        last = history[-1]
        why = f" ({last.reason})" if last.reason else ""
        done = {"retract": "was retracted", "delete": "was deleted"}.get(last.operation, "has no value")
        return f"{self.name}/{key} {done} by {last.agent or 'nobody named'}{why}; history({key!r}) has what it was"

    def _value(self, event: MemoryEvent) -> Any:
        if event.payload is None or not event.payload.is_kept:
            raise MemoryKeyError(f"the content of {event} was erased")
        return event.payload.value()

    def _change(
        self,
        key: str,
        operation: Operation,
        value: object,
        expected: int | None,
        reason: str | None,
        of: int | None = None,
    ) -> MemoryEvent:
        if not isinstance(key, str) or not key:
            raise MemoryValueError(f"a memory's key is a text that is not empty, not {key!r}")
        value = kept_under(key, value)
        key, reason = shown(key), None if reason is None else shown(reason)
        payload, bodies = (None, {}) if value is NOTHING else kept_whole(self.name, key, value)

        def append() -> MemoryEvent:
            writer = current()  # the step that records this, where one does
            event = NewEvent(
                self.name,
                key,
                operation,
                clock.tick() if writer is None else writer.seq,
                clock.now_ns(),
                payload,
                of=of,
                chain_id=None if writer is None else writer.chain_id,
                step_id=None if writer is None else writer.id,
                agent=None if writer is None else writer.agent,
                reason=reason,
            )
            appended = self._store.append(event, bodies, expected=expected)
            if appended is None:
                raise MemoryConflictError(self._conflict(key, expected))
            clock.witness(appended.seq)
            return appended

        said: dict[str, Attribute] = {semconv.MEMORY_OPERATION: operation}
        return recorded(append, "memory_write", self.name, key, value, said)

    def _conflict(self, key: str, expected: int | None) -> str:
        history = self.history(key)
        if not history:
            return f"{self.name}/{key} has never been written, and not at version {expected}"
        last = history[-1]
        return (
            f"{self.name}/{key} stands at version {last.version}, written by {last.agent or 'nobody named'}, "
            f"and not at {expected}: read it again and decide anew, then write with expected={last.version}"
        )

    def _read(self, key: str, seq: int | None) -> MemoryEvent | None:
        # A reader that asks for a moment of the past knows that it is one.
        asked: dict[str, Attribute] = {} if seq is None else {semconv.MEMORY_AS_OF: seq}
        return recorded(
            lambda: self._value_of(key, seq),
            "memory_read",
            self.name,
            key,
            NOTHING,
            asked,
            edited=lambda change, event: self._edited(key, change, event),
        )

    def _edited(self, key: str, change: Callable[[Any], Any], event: MemoryEvent | None) -> MemoryEvent:
        """Return the event that a replay reads, with what an edit makes of its value."""
        payload, _ = kept_whole(self.name, key, change(NOTHING if event is None else self._value(event)))
        if event is not None:
            return replace(event, payload=payload)
        return MemoryEvent(
            self.name, key, 0, "write", None, 0, 0, None, None, None, payload, "an edit of a replay", ""
        )


class MemorySnapshot:
    """A memory as it stood at a causal sequence number."""

    def __init__(self, memory: Memory, seq: int) -> None:
        self._memory, self.seq = memory, seq

    def read(self, key: str) -> Any:
        """Return the value that a key had.

        Raises:
            MemoryKeyError: it had none then.
        """
        event = self._memory._read(key, self.seq)
        if event is None:
            raise MemoryKeyError(f"{self._memory.name}/{key} had no value at {self.seq}")
        return self._memory._value(event)

    def keys(self) -> tuple[str, ...]:
        """Return the keys that had a value, in the order in which they were first written."""
        found = self._memory._by_key()
        return tuple(key for key, events in found.items() if value_at(events, self.seq) is not None)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __repr__(self) -> str:
        return f"<{self._memory!r} at {self.seq}>"
