"""Stand-ins for an app's checkpointers, stores and caches in a replay: in memory, and read from the record.

The app's own are never touched. A twin knows nothing but what the replay itself puts into it and, of a store, what the
record says was found in it. So an app goes on from a recorded state, and what it writes is gone afterwards.
"""

from __future__ import annotations

import datetime
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from langgraph.cache.memory import InMemoryCache
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.store.base import GetOp, Item, ListNamespacesOp, Op, PutOp, SearchItem, SearchOp
from langgraph.store.memory import InMemoryStore

from becausal import semconv
from becausal.context import current
from becausal.recorder import NOTHING
from becausal.replay import Recalled, Session, in_force, recall, result_of
from becausal.step import OpenStep
from becausal_integrations.langgraph.records import record_name

__all__ = ["TwinStore", "redirected", "twin_of", "twin_saver", "with_twins"]

Original = Callable[..., Any]

TWINS = "langgraph twins"
"""Under which key a session knows which objects are twins."""

NOON = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
"""When a record was written of which that is not known."""


class TwinStore(InMemoryStore):
    """A store that finds what the record says was found, and what the replay has written."""

    __slots__ = ("changed", "name", "written")

    def __init__(self, original: Any) -> None:
        super().__init__()
        self.name = str(getattr(original, "name", None) or type(original).__name__)
        self.written: dict[str, Any] = {}
        """By their names: the records that the replay has written; None for one that it has deleted."""
        self.changed: set[str] = set()
        """Those of them that the recorded run did not write so. What it read of the others is read again: it may have
        been an older version."""

    def batch(self, ops: Iterable[Op]) -> list[Any]:
        """Do what is asked; one that reads is answered from the record."""
        asked, step = list(ops), current()
        for op in asked:
            if isinstance(op, PutOp):
                name = record_name(op.namespace, op.key)
                self.written[name] = op.value
                if not _was_written(name, step):
                    self.changed.add(name)
        done = super().batch(asked)
        is_read = isinstance(step, OpenStep) and step.kind == "memory_read"
        if is_read and len(asked) == 1 and not isinstance(asked[0], PutOp):
            return [self._found(asked[0], done[0])]
        return done

    async def abatch(self, ops: Iterable[Op]) -> list[Any]:
        """Do so asynchronously."""
        return self.batch(ops)

    def _found(self, op: Any, here: Any) -> Any:
        if isinstance(op, GetOp) and not self._is_recorded(record_name(op.namespace, op.key)):
            return here
        answer = recall()
        if answer is None:
            return here
        found = result_of(answer, Recalled.value)
        if isinstance(op, GetOp):
            return (
                None
                if found in (None, NOTHING)
                else Item(value=found, key=op.key, namespace=op.namespace, created_at=NOON, updated_at=NOON)
            )
        if isinstance(op, SearchOp) and isinstance(found, list):
            return [item for hit in found if (item := self._hit(hit)) is not None]
        return found if isinstance(op, ListNamespacesOp) else here

    def _is_recorded(self, name: str) -> bool:
        """Return whether a record is read from the record; one that the replay has written, only if that knows it."""
        step, session = current(), in_force()
        if name not in self.written or session is None or not isinstance(step, OpenStep):
            return name not in self.written
        return name not in self.changed and session.answers.has(step, session.place(step))

    def _hit(self, hit: Mapping[str, Any]) -> SearchItem | None:
        name = hit["key"]
        value = self.written[name] if name in self.changed else hit["value"]
        if value is None:
            return None
        *labels, key = (part.replace("%2F", "/") for part in name.split("/"))
        return SearchItem(tuple(labels), key, value, NOON, NOON, hit.get("score"))


def _was_written(name: str, step: object) -> bool:
    """Return whether the recorded run wrote to a record what a step writes to it."""
    session = in_force()
    if session is None or not isinstance(step, OpenStep):
        return False
    written = None if step.received is None else step.received.belief
    return any(
        known.kind == "memory_write"
        and known.attributes.get(semconv.MEMORY_RECORD) == name
        and (None if known.received is None else known.received.belief) == written
        for known in session.steps
    )


def twin_saver(original: Any) -> InMemorySaver:
    """Return a checkpointer that counts versions as the original does."""
    twin = InMemorySaver(serde=original.serde)
    twin.get_next_version = original.get_next_version  # type: ignore[method-assign]
    return twin


MAKERS: Mapping[str, Callable[[Any], Any]] = {
    "checkpointer": twin_saver,
    "store": TwinStore,
    "cache": lambda _: InMemoryCache(),
}


def twin_of(session: Session, kind: str, original: Any) -> Any:
    """Return what stands for a checkpointer, a store or a cache in a replay; a twin stands for itself."""
    if original is None or id(original) in session.kept_for.get(TWINS, ()):
        return original
    key = kind, id(original)
    known = session.kept_for.get(key)
    if known is None:
        twins: set[int] = session.kept_for.setdefault(TWINS, set())
        twin = MAKERS[kind](original)
        twins.add(id(twin))
        # The original is held with it: another object must not take its id.
        known = session.kept_for.setdefault(key, (original, twin))
    return known[1]


def with_twins(original: Original) -> Original:
    """Hook what makes the loop of a run: in a replay the loop has twins.

    What it saves of a task it saves in the thread that ran it, outside of every context.
    """

    @functools.wraps(original)
    def made(*args: Any, **kwargs: Any) -> Any:
        session = in_force()
        if session is None:
            return original(*args, **kwargs)
        # `True` and `False` say of a nested graph whether it saves at all.
        twins = {
            kind: twin_of(session, kind, kwargs[kind])
            for kind in MAKERS
            if kind in kwargs and not isinstance(kwargs[kind], bool)
        }
        return original(*args, **{**kwargs, **twins})

    return made


def redirected(kind: str, original: Original) -> Original:
    """Hook a method of every checkpointer, store or cache: in a replay its twin does the work."""
    name = original.__name__

    def twin(owner: Any) -> Any:
        session = in_force()
        if session is None or id(owner) in session.kept_for.get(TWINS, ()):
            return None
        return twin_of(session, kind, owner)

    if inspect.isasyncgenfunction(original):

        @functools.wraps(original)
        async def asked_items(owner: Any, *args: Any, **kwargs: Any) -> Any:
            other = twin(owner)
            items = (
                original(owner, *args, **kwargs) if other is None else getattr(other, name)(*args, **kwargs)
            )
            async for item in items:
                yield item

        return asked_items
    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def asked_async(owner: Any, *args: Any, **kwargs: Any) -> Any:
            other = twin(owner)
            if other is None:
                return await original(owner, *args, **kwargs)
            return await getattr(other, name)(*args, **kwargs)

        return asked_async

    @functools.wraps(original)
    def asked(owner: Any, *args: Any, **kwargs: Any) -> Any:
        other = twin(owner)
        return original(owner, *args, **kwargs) if other is None else getattr(other, name)(*args, **kwargs)

    return asked
