"""Who wrote what a run read from a memory: often another run, which the store's log of the memories alone knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from becausal import semconv
from becausal.answers.version import Version
from becausal.blame import Blame, Segment
from becausal.memory_event import MemoryEvent
from becausal.step import Step
from becausal.store import Store
from becausal.store.links import passing_damage

__all__ = ["Writers", "Written", "writers_of"]

MOST_KEYS: Final = 20
"""So many of the keys that a search found are looked up."""


@dataclass(frozen=True, slots=True)
class Written:
    """A version of a memory's key, and who wrote it."""

    version: Version
    agent: str | None
    chain_id: str | None
    """None: it was written outside of every run."""
    step_id: str | None


Writers = Mapping[tuple[str, str], tuple[Written, ...]]
"""By the id of a step that read a memory and a text that it brought in: who wrote that; empty where no log says it."""


def writers_of(store: Store | None, blamed: Blame) -> Writers:
    """Return who wrote what the segments of a blame, and the figures that they were reckoned from, read from memories.

    A search finds many records; of those the ones that say the text are told, or all where none does in these words.
    """
    found: dict[tuple[str, str], tuple[Written, ...]] = {}
    events: dict[str, tuple[MemoryEvent, ...]] = {}
    for segment in _segments(blamed.segments):
        step = segment.origin
        if step is None or step.kind != "memory_read":
            continue
        if step.id not in events:
            events[step.id] = () if store is None else tuple(_events(store, step))
        having = [event for event in events[step.id] if _says(event, segment.text)] or events[step.id]
        found[step.id, segment.text] = tuple(
            Written(Version(one.memory, one.key, one.version), one.agent, one.chain_id, one.step_id)
            for one in having
        )
    return found


def _segments(segments: list[Segment]) -> Iterator[Segment]:
    for segment in segments:
        yield segment
        if segment.derived is not None:
            yield from _segments(segment.derived.operands)


def _events(store: Store, step: Step) -> Iterator[MemoryEvent]:
    """Yield what wrote the versions that a step read, as the log of its reading names them."""
    memory, key = step.attributes.get(semconv.MEMORY_STORE), step.attributes.get(semconv.MEMORY_RECORD)
    seen = step.attributes.get(semconv.MEMORY_SEEN)
    keys = [key] if isinstance(key, str) else []
    keys += [one.rpartition("@")[0] for one in seen] if isinstance(seen, tuple) else []
    if not isinstance(memory, str):
        return
    with passing_damage("who wrote to the memories"):
        for name in list(dict.fromkeys(keys))[:MOST_KEYS]:
            reads = store.memory_reads(memory, name)
            versions = {
                read.version for read in reads if (read.chain_id, read.step_id) == (step.chain_id, step.id)
            }
            if versions - {None}:
                yield from (one for one in store.memory_events(memory, name) if one.version in versions)


def _says(event: MemoryEvent, text: str) -> bool:
    payload = event.payload
    return payload is not None and payload.is_kept and text in payload.text()
