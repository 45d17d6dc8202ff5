"""What went wrong with what agents share: stale and retracted reads, lost updates, conflicts, changes in place.

Only where the record shows an order: two steps of which neither happened before the other are concurrent, whatever
their clocks say, and a reader that asked for a moment of the past knows what it gets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from becausal import semconv
from becausal.finding import Finding, FindingKind
from becausal.findings.held import head, is_before, memory_finding
from becausal.findings.scene import LARGEST, Scene, noted
from becausal.findings.updates import merged, overwritten
from becausal.memory_view import Held, MemoryView, content_of, instance_of
from becausal.payload import text_of
from becausal.step import Step

__all__ = ["of_memory"]

WITHDRAWN = ("retract", "supersede", "delete")
SHORTEST = 3
"""Characters of a value that is looked for in what a step said: a shorter one stands in too much."""


def of_memory(scene: Scene) -> Iterator[Finding]:
    """Yield what went wrong with the shared memories of a run."""
    view = MemoryView(scene.graph)
    yield from _changed_in_place(scene)
    yield from _outdated_reads(scene, view)
    yield from _written_by_nobody(scene, view)
    for name in view.keys():  # noqa: SIM118 - it is no mapping
        for history in view.lines(name):
            yield from merged(scene, history)
            if not history[0].is_channel:
                yield from overwritten(scene, view, history)
                yield from _used_after(scene, view, history)


# -- changes in place


def _changed_in_place(scene: Scene) -> Iterator[Finding]:
    """A step changed a shared object without a write: whoever holds it sees another content, and nobody said so."""
    for step in scene.graph.nodes:
        if step.attributes.get(semconv.MUTATED) is not True:
            continue
        if step.kind != "memory_write" and any(
            child.attributes.get(semconv.MUTATED) is True for child in scene.graph.children(step)
        ):
            continue  # told by the write that stands for it
        key = step.attributes.get(semconv.MEMORY_RECORD)
        what = f"{key} in the shared state" if isinstance(key, str) else "what it had received"
        before, after = step.received, step.produced if step.kind == "memory_write" else None
        was, is_now = head(before), head(after)
        yield memory_finding(
            scene,
            "memory.aliased",
            step,
            f"{step.agent or step.name} changed {what} in place",
            0.9,
            (*was, *is_now),
            key,
            wrong=is_now,
            right=was if is_now else (),
        )


# -- reads


def _outdated_reads(scene: Scene, view: MemoryView) -> Iterator[Finding]:
    """A reader was served a version that was no longer the last when it began."""
    for step in scene.graph.nodes:
        yield from _behind(scene, view, step)
        said = step.attributes
        version, latest, key = (
            said.get(name) for name in (semconv.MEMORY_VERSION, semconv.MEMORY_LATEST, semconv.MEMORY_RECORD)
        )
        if step.kind != "memory_read" or semconv.MEMORY_AS_OF in said or not isinstance(key, str):
            continue
        if not isinstance(version, int) or not isinstance(latest, int) or version == latest:
            continue
        name = f"{said.get(semconv.MEMORY_STORE, '')}/{key}"
        history = view.history(name) if name in view.keys() else ()  # noqa: SIM118
        newer = next((held for held in history if held.version == latest), None)
        kind: FindingKind = "memory.stale_read"
        if newer is not None and newer.operation in WITHDRAWN:
            kind = "memory.retracted_read"
        reader = step.agent or step.name
        message = f"{reader} read version {version} of {name} when version {latest} was there"
        read = head(step.produced)
        yield memory_finding(scene, kind, step, message, 0.95, read, key, agent=step.agent, wrong=read)


def _behind(scene: Scene, view: MemoryView, step: Step) -> Iterator[Finding]:
    """Of the records that a search found, one is older than what had been written before, and that was not found."""
    seen, said = step.attributes.get(semconv.MEMORY_SEEN), step.attributes
    if step.kind != "memory_read" or not isinstance(seen, tuple) or semconv.MEMORY_AS_OF in said:
        return
    found: dict[str, int] = {}
    for row in seen:
        key, _, number = row.rpartition("@")
        if number.isdecimal():
            found[key] = max(int(number), found.get(key, 0))
    for key, version in found.items():
        name = f"{said.get(semconv.MEMORY_STORE, '')}/{key}"
        for held in view.history(name) if name in view.keys() else ():  # noqa: SIM118
            is_newer = (
                held.version is not None and held.version > version and held.instance == instance_of(step)
            )
            if not is_newer or not is_before(scene.graph, held.step, step):
                continue
            kind: FindingKind = (
                "memory.retracted_read" if held.operation in WITHDRAWN else "memory.stale_read"
            )
            reader = step.agent or step.name
            message = f"{reader} read version {version} of {name} when version {held.version} was there"
            read = head(step.produced)
            yield memory_finding(scene, kind, step, message, 0.9, read, key, agent=step.agent, wrong=read)
            break


def _written_by_nobody(scene: Scene, view: MemoryView) -> Iterator[Finding]:
    """A reader was served a content that none of the writes had written: somebody had changed it behind them."""
    for step in scene.graph.nodes:
        since = noted(step, "unknown_since")
        if step.kind != "memory_read" or not isinstance(since, tuple) or step.produced is None:
            continue
        for row in since:
            key, _, version = row.rpartition("@")
            name = f"{step.attributes.get(semconv.MEMORY_STORE, '')}/{key}"
            history = view.history(name) if name in view.keys() else ()  # noqa: SIM118
            last = next((held for held in history if str(held.version) == version), None)
            was = None if last is None else text_of(last.value())[:200]
            is_now = head(step.produced)
            message = f"{step.agent or step.name} read {name}, and what it holds nobody wrote after version {version}"
            is_local = noted(step, "in_process") is True
            why = "it was changed in place" if is_local else "it was changed in place, or by another process"
            evidence = [f"before: {was}"] if was is not None else []
            evidence += [f"after: {text}" for text in is_now]
            found = memory_finding(
                scene,
                "memory.aliased",
                step,
                f"{message}: {why}",
                0.9 if is_local else 0.5,
                tuple(evidence),
                key,
                wrong=is_now,
                right=() if was is None else (was,),
            )
            # Whoever read it has not changed it.
            yield replace(found, agent=None, severity=found.severity if is_local else "note")


def _used_after(scene: Scene, view: MemoryView, history: Sequence[Held]) -> Iterator[Finding]:
    """A step said what an earlier version of a key had said, after it had been replaced or withdrawn."""
    for held, newer in pairwise(history):
        value, since = _telling(held), None if newer.operation in WITHDRAWN[::2] else _telling(newer)
        if value is None or (newer.operation not in WITHDRAWN and since is None):
            continue
        for reader in view.readers(held.name, held.seq):
            for step in scene.graph.downstream(reader):
                if step.kind not in ("agent", "model") or not is_before(scene.graph, newer.step, step):
                    continue
                told = _said_by(step)
                if value not in told or (since is not None and since in told):
                    continue
                kind: FindingKind = (
                    "memory.retracted_read" if newer.operation in WITHDRAWN else "memory.stale_read"
                )
                message = (
                    f"{step.agent or step.name} went on with version {held.version} of {held.name} after "
                    f"{newer.agent or 'somebody'} had made it version {newer.version} ({newer.operation})"
                )
                evidence = (value, since or newer.operation)
                yield memory_finding(
                    scene, kind, reader, message, 0.8, evidence, held.key, agent=step.agent, wrong=(value,)
                )
                return  # the first is enough: the others have it from there


def _telling(held: Held) -> str | None:
    """Return a value's text where it says enough to be known again."""
    payload = content_of(held.step)
    if payload is None or payload.size > LARGEST or not payload.is_kept:
        return None
    value = held.value()
    while isinstance(value, Mapping) and len(value) == 1:
        value = next(iter(value.values()))
    if isinstance(value, Mapping | list | tuple):
        return None
    text = text_of(value).strip()
    return text if len(text) >= SHORTEST or (text.isdecimal() and len(text) > 1) else None


def _said_by(step: Step) -> str:
    payload = step.produced
    return payload.text() if payload is not None and payload.size <= LARGEST and payload.is_kept else ""
