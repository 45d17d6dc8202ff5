"""Updates of what agents share that left no trace: lost in a merge, or written over by one who had not seen them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from becausal import semconv
from becausal.finding import Finding
from becausal.findings.held import is_before, memory_finding
from becausal.findings.scene import LARGEST, Scene
from becausal.memory_view import Held, MemoryView, content_of, instance_of
from becausal.payload import text_of
from becausal.step import Step

__all__ = ["merged", "overwritten"]


def merged(scene: Scene, history: Sequence[Held]) -> Iterator[Finding]:
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
        gone = text_of(lost[0])[:200]
        yield memory_finding(
            scene,
            "memory.lost_update",
            held.step,
            message,
            0.9,
            (gone, text_of(result)[:200]),
            held.key,
            agent=loser.agent,
            right=(gone,),
        )


def overwritten(scene: Scene, view: MemoryView, history: Sequence[Held]) -> Iterator[Finding]:
    """Somebody wrote over a version that he had not seen."""
    for held, newer in pairwise(history):
        if newer.operation != "write" or held.operation not in ("write", "supersede"):
            continue
        mine, its = content_of(newer.step), content_of(held.step)
        if mine is None or its is None:
            continue
        is_same = mine.belief == its.belief
        is_ordered = is_before(scene.graph, held.step, newer.step)
        seen = _last_read(scene, view, newer)
        if seen is not None and held.version is not None and seen < held.version:
            missing = _counted_once(history, seen, newer) if is_same else _lost_of(held, newer)
            if missing is None:
                continue
            message = (
                f"{newer.agent or 'somebody'} wrote {newer.name} from version {seen}, and so over version "
                f"{held.version} of {held.agent or 'somebody'}"
            )
            yield memory_finding(
                scene,
                "memory.lost_update",
                newer.step,
                message,
                0.9,
                (missing, text_of(newer.value())[:200]),
                newer.key,
                agent=newer.agent,
                right=(missing,),
            )
        elif not is_same and not is_ordered and held.agent != newer.agent:
            both = f"{held.agent or 'somebody'} and {newer.agent or 'somebody'}"
            message = f"{both} wrote {newer.name} at once, and not the same"
            evidence = (text_of(held.value())[:200], text_of(newer.value())[:200])
            yield memory_finding(
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
            and instance_of(reader) == newer.instance
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
