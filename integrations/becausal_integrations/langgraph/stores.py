"""LangGraph's stores: each operation is a step that reads or writes memory, with versions that are counted here.

Hooked places, and why these
----------------------------
`BaseStore.get`, `put`, `search`, `delete`, `list_namespaces`, `batch` and twins, of it and of every subclass
    The public doors, in the context of whoever asks. One operation passes several of them (`put` calls `batch`; a
    store may work through another one): the outermost is the step, what runs inside it is none.

`abatch` of a store that is an `AsyncBatchedBaseStore`
    Such a store runs what several tasks asked for as one batch, in a task of its own. Who asked has a step already, so
    that batch is none, nor is what it asks of the store behind.

A batch of several operations is a step for each. A version is counted when its write has ended. A content that was read
is led back to its write by its digest: to the latest version, to an earlier one (a stale read), or to none, told as
`key@?`: another process wrote it, somebody changed it in place (`InMemoryStore` hands out the very dict that it keeps),
or it is gone without a deletion.

Not seen: a store's private methods.

Checked against langgraph-checkpoint 3.0.1 to 4.3.2 (source: `store/base/__init__.py`, `store/base/batch.py`,
`store/memory/__init__.py`).
"""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context
from opentelemetry.context import Context

from becausal import semconv
from becausal.adapter import Hooks
from becausal.context import current, with_step
from becausal.recorder import NOTHING, Recorder
from becausal.redaction.naming import hidden_name
from becausal.standin import FunctionStandIn
from becausal.step import OpenStep, RemoteStep, StepKind
from becausal.versions import Version, Versions
from becausal_integrations.langgraph.records import (
    Call,
    Operation,
    digest_of,
    hits,
    operations_of,
)
from becausal_integrations.patch import Notice, family, noticing

if TYPE_CHECKING:
    from langgraph.store.base import BaseStore

__all__ = ["Stores", "install"]

STORE = "langgraph.store.base:BaseStore"

DOORS = ("get", "put", "search", "delete", "list_namespaces", "batch")

UNKNOWN = "langgraph.unknown_since"
"""Attribute: keys that were read with a content that nobody wrote, each with the last version that was written."""

IN_PROCESS = "langgraph.in_process"
"""Attribute: the store is in this process alone, so no other process can have written it."""

MAX_CAUSES = 64
"""So many of the records that a search found are led back to their writes."""

MEMORY: tuple[StepKind, ...] = ("memory_read", "memory_write")

_BACKGROUND = otel_context.create_key("becausal-langgraph-store")


def install(recorder: Recorder, hooks: Hooks) -> None:
    """Hook every store there is and will be; none at `level="boundaries"`, which leaves memory out."""
    if recorder.level == "boundaries":
        return
    stores = Stores(recorder)
    doors = (door for name in DOORS for door in (name, f"a{name}"))
    family(hooks, STORE, {door: functools.partial(_hook, recorder, stores, door) for door in doors})


class Stores:
    """Says what the methods of a store mean."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._versions = Versions()
        self._writing: list[Operation] = []  # under way
        # Reentrant: the garbage collector may run code of the app, and so ours, while this thread holds it.
        self._lock = threading.RLock()

    def door(self, name: str) -> Notice:
        """Return what is done about a method of a store: one of `DOORS`, or its twin."""
        return Notice(functools.partial(self._asked, name), self._answered, within=_within)

    def _asked(self, door: str, store: BaseStore, *args: Any, **kwargs: Any) -> Call | None:
        """Begin a step for each operation; None for what runs inside of one."""
        here = current()
        if (isinstance(here, OpenStep) and here.kind in MEMORY) or otel_context.get_value(_BACKGROUND):
            return None
        task = getattr(store, "_task", None) if door == "abatch" else None  # there a loop runs for sure
        if task is not None and asyncio.current_task() is task:
            return Call((), is_batch=True)
        operations = operations_of(store, door.removeprefix("a"), args, kwargs, self._recorder.seal)
        for operation in operations:
            if _is_in_process(store):
                operation.opening.attributes[semconv.MEMORY_INSTANCE] = self._versions.name_of(store)
            if self._recorder.withholds_content and operation.key:
                operation.key = hidden_name(operation.key)
                operation.opening.attributes[semconv.MEMORY_RECORD] = operation.key
            operation.step = self._recorder.begin(operation.opening)
        with self._lock:
            self._writing += [operation for operation in operations if operation.writes]
        return Call(operations, door.endswith("batch"))

    def _answered(self, call: Call | None, result: Any, error: BaseException | None) -> None:
        """Tell what was found, count what was written, and end the steps."""
        if call is None:
            return
        results = result if call.is_batch and error is None else [result]
        told: dict[int, Any] = {}
        try:
            if error is None:
                # What was read first: a batch reads what stood before it.
                for index, (operation, found) in enumerate(zip(call.operations, results, strict=False)):
                    told[index] = self._found(operation, found)
                for operation in call.operations:
                    self._count(operation)
        finally:  # they end, whatever became of their description
            with self._lock:
                done = set(map(id, call.operations))
                self._writing = [operation for operation in self._writing if id(operation) not in done]
            for index, operation in enumerate(call.operations):
                if operation.step is not None:
                    self._recorder.end(operation.step, told.get(index, NOTHING), error=error)

    # -- what was found

    def _found(self, operation: Operation, found: Any) -> Any:
        step = operation.step
        if step is None or operation.writes:
            return NOTHING
        if operation.finds == "namespaces":
            return found
        if operation.finds == "records":
            return self._found_records(step, operation.store, found)
        return self._found_record(step, operation.store, operation.key, found)

    def _found_record(self, step: OpenStep, store: BaseStore, key: str, item: Any) -> Any:
        value = getattr(item, "value", None)
        sealed = None if value is None else self._recorder.seal(value)
        version = self._version(store, key, None if sealed is None else digest_of(value, sealed))
        if version is not None:
            step.attributes[semconv.MEMORY_VERSION] = version.number
            self._recorder.cause(step, version.cause())
            latest = self._versions.latest(store, key, before=step.seq)
            if latest is not None and latest.number > version.number:
                step.attributes[semconv.MEMORY_LATEST] = latest.number
                _name_writers(step, [latest])
        elif value is not None or self._versions.latest(store, key) is not None:
            _name_writers(step, self._unknown(step, store, [key]))
            step.attributes[semconv.MEMORY_SEEN] = (f"{key}@?",)
        return sealed

    def _found_records(self, step: OpenStep, store: BaseStore, found: Sequence[Any]) -> Any:
        seen: list[str] = []
        unknown: list[str] = []
        beyond: list[Version] = []
        for name, value in hits(found):
            key = hidden_name(name) if self._recorder.withholds_content else name
            version = self._version(store, key, digest_of(value))
            seen.append(f"{key}@?" if version is None else str(version))
            if version is None:
                unknown.append(key)
            elif len(seen) <= MAX_CAUSES:
                self._recorder.cause(step, version.cause())
            else:
                beyond.append(version)
        step.attributes[semconv.MEMORY_SEEN] = tuple(seen)
        _name_writers(step, beyond + self._unknown(step, store, unknown))
        return [
            {"key": key, "value": value, "score": getattr(item, "score", None)}
            for (key, value), item in zip(hits(found), found, strict=True)
        ]

    def _unknown(self, step: OpenStep, store: BaseStore, keys: Sequence[str]) -> list[Version]:
        """Note which keys stood at which versions, none of which was read, and whether others can write them."""
        latest = [self._versions.latest(store, key, before=step.seq) for key in keys]
        since = [version for version in latest if version is not None]
        if since:
            step.attributes[UNKNOWN] = tuple(map(str, since))
            if _is_in_process(store):
                step.attributes[IN_PROCESS] = True
        return since

    # -- versions

    def _version(self, store: BaseStore, key: str, digest: str | None) -> Version | None:
        version = self._versions.read(store, key, digest)
        if version is not None:
            return version
        # Read by one thread before the write of another has returned: it has taken effect.
        with self._lock:
            writing = [
                op for op in self._writing if op.store is store and (op.key, op.digest) == (key, digest)
            ]
        return self._count(writing[-1]) if writing else None

    def _count(self, operation: Operation) -> Version | None:
        step = operation.step
        with self._lock:
            if operation.writes and operation.counted is None and step is not None:
                # Not the step itself: versions outlive what was going on when they were written.
                writer = RemoteStep(step.id, step.chain_id, step.seq, step.hop, step.agent, step.span_context)
                operation.counted = self._versions.wrote(
                    operation.store, operation.key, operation.digest, writer
                )
                step.attributes[semconv.MEMORY_VERSION] = operation.counted.number
            return operation.counted


def _is_in_process(store: BaseStore) -> bool:
    """Return whether what a store holds is in this process alone, and gone with it."""
    return any(kind.__name__ == "InMemoryStore" for kind in type(store).__mro__)


def _name_writers(step: OpenStep, versions: Sequence[Version]) -> None:
    """Note which steps wrote the versions that a step tells of, and that are no causes of it."""
    if versions:
        step.attributes[semconv.MEMORY_WRITERS] = tuple(f"{one}={one.step.id}" for one in versions)


def _within(call: Call | None) -> Context | None:
    """Return the context in which a store does its work: whatever it asks of itself or of another is part of it."""
    if call is None:
        return None
    step = call.operations[-1].step if call.operations else None
    return otel_context.set_value(_BACKGROUND, True) if step is None else with_step(step)


def _hook(recorder: Recorder, stores: Stores, door: str, original: Callable[..., Any]) -> Callable[..., Any]:
    hook = noticing(recorder, original, stores.door(door))
    return FunctionStandIn(hook, _with_ops_at_hand) if door.endswith("batch") else hook


def _with_ops_at_hand(hook: Any, store: BaseStore, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a hooked `batch`; operations that can be gone through only once are gone through here."""
    given = [list(ops) if isinstance(ops, Iterator) else ops for ops in args]
    named = {name: list(ops) if isinstance(ops, Iterator) else ops for name, ops in kwargs.items()}
    return hook(*given, **named)
