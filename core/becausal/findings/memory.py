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
from becausal.findings.scene import LARGEST, Scene, noted
from becausal.findings.way import way_to_output
from becausal.graph import Graph
from becausal.memory_view import Held, MemoryView, content_of
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
        history = view.history(name)
        yield from _merged(scene, history)
        if not history[0].is_channel:
            yield from _overwritten(scene, view, history)
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
        evidence = tuple(p.text()[:200] for p in (before, after) if p is not None and p.is_kept)
        yield _finding(
            scene,
            "memory.aliased",
            step,
            f"{step.agent or step.name} changed {what} in place",
            0.9,
            evidence,
            key,
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
        if not isinstance(version, int) or not isinstance(latest, int) or version >= latest:
            continue
        name = f"{said.get(semconv.MEMORY_STORE, '')}/{key}"
        history = view.history(name) if name in view.keys() else ()  # noqa: SIM118
        newer = next((held for held in history if held.version == latest), None)
        kind: FindingKind = "memory.stale_read"
        if newer is not None and newer.operation in WITHDRAWN:
            kind = "memory.retracted_read"
        reader = step.agent or step.name
        message = f"{reader} read version {version} of {name} when version {latest} was there"
        evidence = tuple(p.text()[:200] for p in (step.produced,) if p is not None and p.is_kept)
        yield _finding(scene, kind, step, message, 0.95, evidence, key, agent=step.agent)


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
            is_newer = held.version is not None and held.version > version
            if not is_newer or not _is_before(scene.graph, held.step, step):
                continue
            kind: FindingKind = (
                "memory.retracted_read" if held.operation in WITHDRAWN else "memory.stale_read"
            )
            reader = step.agent or step.name
            message = f"{reader} read version {version} of {name} when version {held.version} was there"
            evidence = tuple(p.text()[:200] for p in (step.produced,) if p is not None and p.is_kept)
            yield _finding(scene, kind, step, message, 0.9, evidence, key, agent=step.agent)
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
            is_now = step.produced.text()[:200] if step.produced.is_kept else None
            message = f"{step.agent or step.name} read {name}, and what it holds nobody wrote after version {version}"
            is_local = noted(step, "in_process") is True
            why = "it was changed in place" if is_local else "it was changed in place, or by another process"
            evidence = [f"before: {was}"] if was is not None else []
            evidence += [f"after: {is_now}"] if is_now is not None else []
            found = _finding(
                scene,
                "memory.aliased",
                step,
                f"{message}: {why}",
                0.9 if is_local else 0.5,
                tuple(evidence),
                key,
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
                if step.kind not in ("agent", "model") or not _is_before(scene.graph, newer.step, step):
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
                yield _finding(scene, kind, reader, message, 0.8, evidence, held.key, agent=step.agent)
                return  # the first is enough: the others have it from there


# -- writes


def _merged(scene: Scene, history: Sequence[Held]) -> Iterator[Finding]:
    """Several wrote a state's channel at once, and what became of it leaves out what some of them wrote."""
    for held in history:
        wrote, made = held.step.received, held.step.produced
        if held.is_channel or wrote is None or made is None or not (wrote.is_kept and made.is_kept):
            continue
        if held.step.attributes.get(semconv.MUTATED) is True or wrote.size > LARGEST:
            continue
        writes, result = wrote.value(), made.value()
        if not isinstance(writes, list) or len(writes) < 2 or _is_choice(writes, result):
            continue
        lost = [one for one in writes if not _is_in(one, result)]
        if not lost or len(lost) == len(writes):
            continue  # all of them became something else: a sum, a summary
        writers = [e.source for e in scene.graph.in_edges(held.step) if e.kind == "data"]
        loser = next(
            (w for w in writers if w.produced is not None and _wrote(w, held.key, lost[0])), held.step
        )
        message = (
            f"of {len(writes)} writes to {held.name} at once, {len(lost)} left no trace in what came of them"
        )
        evidence = (text_of(lost[0])[:200], text_of(result)[:200])
        yield _finding(
            scene, "memory.lost_update", held.step, message, 0.9, evidence, held.key, agent=loser.agent
        )


def _overwritten(scene: Scene, view: MemoryView, history: Sequence[Held]) -> Iterator[Finding]:
    """Somebody wrote over a version that he had not seen."""
    for held, newer in pairwise(history):
        if newer.operation != "write" or held.operation not in ("write", "supersede"):
            continue
        mine, its = content_of(newer.step), content_of(held.step)
        if mine is None or its is None:
            continue
        is_same = mine.belief == its.belief
        is_ordered = _is_before(scene.graph, held.step, newer.step)
        seen = _last_read(scene, view, newer)
        if seen is not None and held.version is not None and seen < held.version:
            missing = _counted_once(history, seen, newer) if is_same else _lost_of(held, newer)
            if missing is None:
                continue
            message = (
                f"{newer.agent or 'somebody'} wrote {newer.name} from version {seen}, and so over version "
                f"{held.version} of {held.agent or 'somebody'}"
            )
            evidence = (missing, text_of(newer.value())[:200])
            yield _finding(
                scene, "memory.lost_update", newer.step, message, 0.9, evidence, newer.key, agent=newer.agent
            )
        elif not is_same and not is_ordered and held.agent != newer.agent:
            both = f"{held.agent or 'somebody'} and {newer.agent or 'somebody'}"
            message = f"{both} wrote {newer.name} at once, and not the same"
            evidence = (text_of(held.value())[:200], text_of(newer.value())[:200])
            yield _finding(
                scene, "memory.conflict", newer.step, message, 0.7, evidence, newer.key, agent=newer.agent
            )


def _counted_once(history: Sequence[Held], seen: int, newer: Held) -> str | None:
    """Return what two who counted on from the same version both wrote: one count of the two is lost."""
    base = next((held.value() for held in history if held.version == seen), None)
    now = newer.value()
    if isinstance(base, Mapping) and isinstance(now, Mapping):
        pairs = [(base[key], now[key]) for key in base if key in now]
    else:
        pairs = [(base, now)]
    counted = [
        (was, is_now) for was, is_now in pairs if _is_number(was) and _is_number(is_now) and was != is_now
    ]
    return f"both made {counted[0][0]} into {counted[0][1]}" if counted else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _last_read(scene: Scene, view: MemoryView, newer: Held) -> int | None:
    """Return the version that a writer had read last in the same turn; None if it had not read."""
    turn = scene.graph.parent(newer.step)
    seen = None
    for reader in view.readers(newer.name):
        if (
            reader.kind == "memory_read"
            and reader.seq < newer.step.seq
            and scene.graph.parent(reader) is turn
        ):
            version = reader.attributes.get(semconv.MEMORY_VERSION)
            seen = version if isinstance(version, int) else seen
    return seen


def _lost_of(held: Held, newer: Held) -> str | None:
    """Return what a version had that the one written over it has not; None where it has all of it."""
    was, is_now = held.value(), newer.value()
    if isinstance(was, Mapping) and isinstance(is_now, Mapping):
        gone = {key: value for key, value in was.items() if is_now.get(key) != value}
        return text_of(gone)[:200] if gone else None
    if isinstance(was, list) and isinstance(is_now, list):
        lost = [item for item in was if item not in is_now]
        return text_of(lost)[:200] if lost else None
    return None if was == is_now else text_of(was)[:200]


# -- what the checks share


def _finding(
    scene: Scene,
    kind: FindingKind,
    step: Step,
    message: str,
    confidence: float,
    evidence: tuple[str, ...],
    key: object,
    *,
    agent: str | None = None,
) -> Finding:
    way = way_to_output(scene.graph, step)
    return Finding(
        kind=kind,
        severity="error" if len(way) > 1 else "warning",
        confidence=confidence,
        step=step,
        message=message,
        evidence=evidence,
        agent=agent or step.agent,
        key=key if isinstance(key, str) else None,
        path=way,
    )


def _is_before(graph: Graph, earlier: Step, later: Step) -> bool:
    """Return whether a step had ended before another began: by what caused what, or as turns that one caller took.

    Turns under one caller that do not overlap came one after the other: it waited for the first.
    """
    if graph.happens_before(earlier, later):
        return True
    callers = {step.id: turn for turn, step in _callers(graph, later)}
    for turn, caller in _callers(graph, earlier):
        if caller.id in callers:
            other = callers[caller.id]
            return turn.ended_ns is not None and turn.id != other.id and turn.ended_ns <= other.started_ns
    return False


def _callers(graph: Graph, step: Step) -> Iterator[tuple[Step, Step]]:
    """Yield the steps around a step, the innermost first, each with the step within it that leads to this one."""
    here, caller = step, graph.parent(step)
    while caller is not None:
        yield here, caller
        here, caller = caller, graph.parent(caller)


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


def _is_choice(writes: Sequence[object], result: object) -> bool:
    """Return whether a reducer may have chosen on purpose: the largest or the smallest of numbers."""
    numbers = [one for one in writes if isinstance(one, int | float) and not isinstance(one, bool)]
    return len(numbers) == len(writes) and result in (max(numbers), min(numbers))


def _is_in(one: object, result: object) -> bool:
    """Return whether what was written stands in what came of it."""
    if one == result:
        return True
    if isinstance(one, Mapping) and isinstance(result, Mapping):
        return all(key in result and _is_in(value, result[key]) for key, value in one.items())
    if isinstance(result, list | tuple | set | frozenset):
        return all(item in result for item in one) if isinstance(one, list | tuple) else one in result
    if isinstance(one, str) and isinstance(result, str):
        return one.strip() in result
    return False


def _wrote(writer: Step, key: str, value: object) -> bool:
    payload = writer.produced
    if payload is None or not payload.is_kept:
        return False
    update = payload.value()
    return isinstance(update, Mapping) and update.get(key) == value
