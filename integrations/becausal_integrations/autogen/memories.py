"""Memories: what was asked, what was found, and which write that came from (autogen-core).

A memory of AutoGen's has no keys. A content is known by the key that the app gave it in its metadata (`id` or `key`),
else by what it says. Its versions are counted by us; see `becausal.versions`. What a memory gives is led back to its
write by being the same object, and where it is a copy (of a database) by its content.

Source: autogen-core 0.7.5, `memory/_base_memory.py`, `memory/_list_memory.py`.
"""

from __future__ import annotations

import functools
from typing import Any, Literal

from becausal import semconv
from becausal.adapter import Hooks
from becausal.context import current
from becausal.recorder import NOTHING, Observation, Opening, Recorder
from becausal.redaction.naming import hidden_name
from becausal.step import OpenStep
from becausal.versions import Versions
from becausal_integrations.autogen import describe, replayed
from becausal_integrations.autogen.hooking import observed
from becausal_integrations.autogen.ledger import Ledger, Notes, owns, remote
from becausal_integrations.patch import family

__all__ = ["Memories"]

UNKNOWN = "autogen.unknown_since"
"""Attribute: keys of which the object that was written says something else by now, each with its version."""

IN_PROCESS = "autogen.in_process"
"""Attribute: that object is in this process, so no other process can have changed it."""

MOST_MEMORIES = 64
"""So many of the contents that a memory gave are led back to their writes."""


class Memories:
    """Describes what is done with memories."""

    def __init__(self, recorder: Recorder, ledger: Ledger) -> None:
        self._recorder, self._ledger = recorder, ledger
        self._versions = Versions()

    def hook(self, hooks: Hooks) -> None:
        """Hook every memory, those of the app's own making included."""
        seen = functools.partial(observed, self._recorder)
        family(
            hooks,
            "autogen_core.memory._base_memory:Memory",
            {
                "query": seen(Observation(self._queried, self._found, answers=replayed.query_result)),
                "update_context": seen(
                    Observation(
                        self._updated,
                        self._put,
                        answers=replayed.update_result,
                        redone=replayed.put_into_context,
                    )
                ),
                "add": seen(Observation(self._adding, self._added, answers=replayed.written)),
                "clear": seen(
                    Observation(self._cleared, lambda step, result: NOTHING, answers=replayed.written)
                ),
            },
        )

    def _adding(self, memory: Any, content: object, *_: Any, **__: Any) -> Opening | None:
        opening = self._opening("memory_write", memory, NOTHING)
        if opening is not None and isinstance(opening.attributes, Notes):
            # What is written is fixed here, and is what it was when the write has ended.
            opening.received = sealed = self._ledger.seal(content)
            digest = sealed.payload.digest
            opening.attributes[semconv.MEMORY_RECORD] = self._key(content, digest)
            opening.attributes.content = (content, digest)
        return opening

    def _added(self, step: OpenStep, _: None) -> object:
        notes = step.attributes
        if isinstance(notes, Notes) and isinstance(notes.content, tuple):
            (content, digest), notes.content = notes.content, None
            key = str(notes[semconv.MEMORY_RECORD])
            version = self._versions.wrote(notes.owner, key, digest, remote(step))
            notes[semconv.MEMORY_VERSION] = version.number
            self._ledger.memories.put(content, version)
        return NOTHING

    def _put(self, step: OpenStep, result: Any) -> object:
        notes = step.attributes
        if isinstance(notes, Notes) and isinstance(notes.content, list):
            self._recorder.keep(step, "added", notes.content)
            notes.content = None
        return self._found(step, result)

    def _found(self, step: OpenStep, result: Any) -> object:
        found = describe.memories(result)
        memory = step.attributes.owner if isinstance(step.attributes, Notes) else None
        seen: list[str] = []
        altered: list[str] = []
        for content in found[:MOST_MEMORIES]:
            digest = self._ledger.seal(content).payload.digest
            version = self._ledger.memories.get(content)
            is_same = version is not None
            if version is None and memory is not None:
                version = self._versions.read(memory, self._key(content, digest), digest)
            if version is None:
                seen.append(f"{self._key(content, digest)}@?")
                continue
            # The very object that was written may say something else by now.
            seen.append(str(version) if version.digest == digest else f"{version.key}@?")
            altered += [str(version)] if version.digest != digest else []
            self._recorder.cause(step, version.cause("observed" if is_same else "matched"))
        if seen:
            step.attributes[semconv.MEMORY_SEEN] = tuple(seen)
        if altered:
            step.attributes |= {UNKNOWN: tuple(altered), IN_PROCESS: True}
        return found

    def _key(self, content: object, digest: str) -> str:
        name = describe.memory_key(content)
        if name is None:
            return digest[-16:]
        return hidden_name(name) if self._recorder.withholds_content else name

    def _queried(self, memory: Any, query: object = NOTHING, *_: Any, **__: Any) -> Opening | None:
        return self._opening("memory_read", memory, query)

    def _updated(self, memory: Any, model_context: Any) -> Opening | None:
        opening = self._opening("memory_read", memory, NOTHING)
        if opening is not None and isinstance(opening.attributes, Notes):
            opening.attributes.content = []
        return opening

    def _cleared(self, memory: Any) -> Opening | None:
        return self._opening("memory_write", memory, NOTHING)

    def _opening(
        self, kind: Literal["memory_read", "memory_write"], memory: Any, received: object
    ) -> Opening | None:
        here = current()
        if owns(here, memory):
            return None
        name = describe.memory_name(memory)
        notes = Notes(memory, here, {semconv.MEMORY_STORE: name})
        if any(cls.__name__ == "ListMemory" for cls in type(memory).__mro__):  # gone with the process
            notes[semconv.MEMORY_INSTANCE] = self._versions.name_of(memory)
        return Opening(kind, name, received=received, attributes=notes)
