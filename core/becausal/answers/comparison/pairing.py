"""Which step of one run stands in the place of which step of another."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace

from becausal.answers.comparison.counterparts import Counterparts
from becausal.answers.comparison.pair import Pair, belief_of, place_of, steady
from becausal.answers.recorded import Recorded
from becausal.step import Step

__all__ = ["paired"]


def paired(before: Recorded, after: Recorded, secrets: Counterparts | None = None) -> list[Pair]:
    """Return every step of two runs once: those of the second in `seq` order, what vanished where it had stood."""
    pairs = list(_paired(before, after))
    ordered = sorted(pairs, key=_Places(pairs))
    return ordered if secrets is None else [replace(pair, secrets=secrets) for pair in ordered]


def _paired(first: Recorded, second: Recorded) -> Iterator[Pair]:
    """Yield the pairs of the steps that nobody called, and of all below them. A stack in place of recursion."""
    todo = [(first.graph.roots, second.graph.roots)]
    while todo:
        here, there = todo.pop()
        for pair in _row(here, there):
            yield pair
            todo.append(
                (
                    first.graph.children(pair.before) if pair.before is not None else (),
                    second.graph.children(pair.after) if pair.after is not None else (),
                )
            )


def _row(before: Sequence[Step], after: Sequence[Step]) -> Iterator[Pair]:
    left: dict[Hashable, list[Step]] = {}
    right: dict[Hashable, list[Step]] = {}
    for steps, groups in ((before, left), (after, right)):
        for step in steps:
            groups.setdefault(place_of(step), []).append(step)
    alone: list[Pair] = []
    for place in dict.fromkeys((*left, *right)):
        for pair in _alike(left.get(place, []), right.get(place, [])):
            if pair.step.kind == "handoff" and (pair.before is None or pair.after is None):
                alone.append(pair)
            else:
                yield pair
    yield from _redirected(alone)


def _redirected(alone: Sequence[Pair]) -> Iterator[Pair]:
    """Yield handoffs that are in one of the runs alone; as one pair where the same was sent to somebody else."""
    there: dict[Hashable, list[Step]] = {}
    for pair in alone:
        if pair.after is not None:
            there.setdefault(_sent(pair.after), []).append(pair.after)
    for pair in alone:
        if pair.before is not None:
            same = there.get(_sent(pair.before))
            yield Pair(pair.before, same.pop(0) if same else None)
    yield from (Pair(None, step) for steps in there.values() for step in steps)


def _sent(handoff: Step) -> Hashable:
    return steady(handoff.agent or ""), belief_of(handoff.received)


def _alike(before: Sequence[Step], after: Sequence[Step]) -> Iterator[Pair]:
    """Yield the pairs of steps of one kind, agent and name: the likest first, then in their order."""
    rest, others = list(before), list(after)
    for marks in (_whole, _asked):
        there: dict[Hashable, list[Step]] = {}
        for step in others:
            there.setdefault(marks(step), []).append(step)
        taken: set[str] = set()
        for step in rest:
            if same := there.get(marks(step)):
                other = same.pop(0)
                taken |= {step.id, other.id}
                yield Pair(step, other)
        rest = [step for step in rest if step.id not in taken]
        others = [step for step in others if step.id not in taken]
    shared = min(len(rest), len(others))
    yield from map(Pair, rest[:shared], others[:shared])
    yield from (Pair(step, None) for step in rest[shared:])
    yield from (Pair(None, step) for step in others[shared:])


def _whole(step: Step) -> Hashable:
    return belief_of(step.received), belief_of(step.produced), step.status


def _asked(step: Step) -> Hashable:
    return belief_of(step.received)


class _Places:
    """The order in which pairs are shown: as in the second run; what vanished, after what had come before it."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self._after: dict[str, int] = {}
        last = -1
        both = [pair for pair in pairs if pair.before is not None]
        for pair in sorted(both, key=lambda pair: pair.before.seq if pair.before is not None else 0):
            assert pair.before is not None
            last = pair.after.seq if pair.after is not None else last
            self._after[pair.before.id] = last

    def __call__(self, pair: Pair) -> tuple[int, int, int]:
        if pair.after is not None:
            return pair.after.seq, 0, 0
        assert pair.before is not None
        return self._after[pair.before.id], 1, pair.before.seq
