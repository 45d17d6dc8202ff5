"""Versions of memories under the numbers that the store's log gives them.

Whoever records counts for itself: for each object and in each process from 1, since asking a store at every write would
hold the app up. Two processes, or two stores of one name, so count the same numbers twice. The log numbers all that was
written to a key, once and for good, and knows each version by the step that wrote it. A step that wrote or read is told
under that number, from the step that it names as its writer: never from one number to the other.

What the log does not know keeps the number that it was recorded with: a run that came from elsewhere, a write whose run
was not kept.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol, runtime_checkable

from becausal import semconv
from becausal.step import Attribute, Cause, Step
from becausal.store import Store
from becausal.store.links import passing_damage
from becausal.store.memory_log import is_channel

__all__ = ["Versioned", "load", "numbered", "versions_by"]

Known = Mapping[tuple[str, str, str], Mapping[str | None, int]]
"""By the id of the step that wrote it, the memory and the key: a version's number, by that step's chain."""

EVIDENCE: Final = "memory "
"""How the evidence of a cause begins that a version is, before `key@number`."""

SINCE: Final = ".unknown_since"
"""How an adapter's attribute ends that names the last versions before a content which nobody wrote."""


@runtime_checkable
class Versioned(Protocol):
    """A store that finds the versions that some steps wrote by its index."""

    def memory_versions(self, step_ids: Collection[str]) -> Iterable[tuple[str | None, str, str, str, int]]:
        """Return what some steps wrote: the chain, the step, the memory, the key and the version."""


def load(store: Store, chain_id: str, ids: Collection[str] | None = None) -> list[Step]:
    """Return a chain's steps as `Store.load` does, with the log's numbers for the versions of memories."""
    return numbered(store, store.load(chain_id, ids))


def numbered(store: Store, steps: list[Step]) -> list[Step]:
    """Return steps with the log's numbers for the versions of memories that they wrote and read."""
    accesses = [step for step in steps if step.kind in ("memory_write", "memory_read") and _is_counted(step)]
    known = versions_by(store, {writer for step in accesses for writer in _writers(step)})
    if not known:
        return steps
    told = {step.id: one for step in accesses if (one := _numbered(step, known)) is not step}
    return [told.get(step.id, step) for step in steps] if told else steps


def versions_by(store: Store, step_ids: Collection[str]) -> Known:
    """Return the versions that some steps wrote, as the log numbers them."""
    if not step_ids:
        return {}
    with passing_damage("the log of the memories"):
        if isinstance(store, Versioned):
            found = store.memory_versions(step_ids)
        else:
            found = [
                (event.chain_id, event.step_id, event.memory, event.key, event.version)
                for event in store.memory_events()
                if event.step_id is not None and event.step_id in step_ids
            ]
        known: dict[tuple[str, str, str], dict[str | None, int]] = {}
        for chain_id, step_id, memory, key, version in found:
            known.setdefault((step_id, memory, key), {})[chain_id] = version
        return known
    return {}


# Inside


def _is_counted(step: Step) -> bool:
    """Return whether a step's versions were counted by whoever recorded it, and not by the log or a framework."""
    said = step.attributes
    return semconv.MEMORY_EVENT not in said and not is_channel(step.kind, step.name, said)


def _writers(step: Step) -> Iterator[str]:
    """Yield the steps that wrote what a step tells of."""
    if step.kind == "memory_write":
        yield step.id
    yield from (cause.source_id for cause in step.causes if cause.kind == "memory")
    yield from (writer for _, writer in _named(step.attributes))


def _named(said: Mapping[str, Attribute]) -> Iterator[tuple[str, str]]:
    """Yield the versions that a step names beside those that are its causes, each with the step that wrote it."""
    told = said.get(semconv.MEMORY_WRITERS)
    for one in told if isinstance(told, tuple) else ():
        version, _, writer = one.rpartition("=")
        yield version, writer


def _numbered(step: Step, known: Known) -> Step:
    """Return a step that tells of versions by their numbers in the log; itself where that changes nothing."""
    memory, key = (step.attributes.get(name) for name in (semconv.MEMORY_STORE, semconv.MEMORY_RECORD))
    pairs = [
        (cause.evidence.removeprefix(EVIDENCE), cause.source_id)
        for cause in step.causes
        if cause.kind == "memory" and cause.evidence.startswith(EVIDENCE)
    ]
    names = dict(_renamed(step.chain_id, str(memory), (*pairs, *_named(step.attributes)), known))
    attributes = {name: _told(name, value, str(key), names) for name, value in step.attributes.items()}
    if step.kind == "memory_write" and semconv.MEMORY_VERSION in attributes:
        own = known.get((step.id, str(memory), str(key)), {}).get(step.chain_id)
        attributes[semconv.MEMORY_VERSION] = attributes[semconv.MEMORY_VERSION] if own is None else own
    causes = tuple(_cause(cause, names) for cause in step.causes)
    if attributes == step.attributes and causes == step.causes:
        return step
    return replace(step, attributes=attributes, causes=causes)


def _renamed(
    chain_id: str, memory: str, pairs: Sequence[tuple[str, str]], known: Known
) -> Iterator[tuple[str, str]]:
    """Yield for `key@number` as it was recorded how the log calls it, where it knows."""
    for version, writer in pairs:
        key = version.rpartition("@")[0]
        numbers = known.get((writer, memory, key), {})
        # A cause names no chain. Ids are random; in records from elsewhere two may be the same.
        number = numbers.get(chain_id, next(iter(numbers.values())) if len(numbers) == 1 else None)
        if number is not None:
            yield version, f"{key}@{number}"


def _told(name: str, value: Attribute, key: str, names: Mapping[str, str]) -> Attribute:
    """Return what an attribute says, with other names for the versions in it."""
    if name in (semconv.MEMORY_VERSION, semconv.MEMORY_LATEST):
        number = names.get(f"{key}@{value}", "").rpartition("@")[2]
        return int(number) if number else value
    if name == semconv.MEMORY_WRITERS and isinstance(value, tuple):
        parts = (one.rpartition("=") for one in value)
        return tuple(f"{names.get(version, version)}={writer}" for version, _, writer in parts)
    if (name == semconv.MEMORY_SEEN or name.endswith(SINCE)) and isinstance(value, tuple):
        return tuple(names.get(one, one) for one in value)
    return value


def _cause(cause: Cause, names: Mapping[str, str]) -> Cause:
    told = names.get(cause.evidence.removeprefix(EVIDENCE)) if cause.kind == "memory" else None
    return cause if told is None else replace(cause, evidence=f"{EVIDENCE}{told}")
