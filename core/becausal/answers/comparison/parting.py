"""Where two runs part: what differs, though nothing before it did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from becausal import semconv
from becausal.answers.comparison.pair import LARGEST, Pair, Side, steady
from becausal.answers.recorded import Recorded
from becausal.harmless import legible
from becausal.step import Attribute, Step

__all__ = ["Parting", "partings"]


@dataclass(frozen=True)
class Parting:
    """Where two runs part: the first thing that differs and follows from nothing that differs."""

    pair: Pair
    side: Side | None
    """On which side of the step; None where the step itself is in one of the runs alone."""
    why: str
    """A sentence for people."""

    @legible
    def __str__(self) -> str:
        return f"{self.why} (step {self.pair.step.id[:8]})"


def partings(
    before: Recorded, after: Recorded, pairs: Sequence[Pair], by_id: Mapping[str, Pair]
) -> Iterator[Parting]:
    """Yield where two runs part, in the order of the pairs."""
    reasons = _Reasons(before, after, pairs, by_id)
    for pair in pairs:
        if pair.state == "same":
            continue
        if pair.before is None or pair.after is None:
            if not reasons.of_input(pair):
                yield Parting(pair, None, _told(pair, None))
        elif pair.differs("received"):
            if not reasons.of_input(pair):
                yield Parting(pair, "received", _told(pair, "received"))
        elif _gave_other(pair) and not reasons.of_result(pair):
            yield Parting(pair, "produced", _told(pair, "produced"))


def _gave_other(pair: Pair) -> bool:
    """Say whether those who came after a step may have been given something else by it."""
    if (
        pair.before is None
        or pair.after is None
        or pair.before.status != pair.after.status
        or pair.is_elsewhere
    ):
        return True
    return pair.differs("produced") or (pair.step.kind == "memory_write" and pair.differs("received"))


class _Reasons:
    """Looks for what a difference follows from."""

    def __init__(
        self, before: Recorded, after: Recorded, pairs: Sequence[Pair], by_id: Mapping[str, Pair]
    ) -> None:
        self._by_id = by_id
        self._runs = before, after
        self._differ = [pair for pair in pairs if pair.state != "same"]

    def of_input(self, pair: Pair) -> bool:
        """Say whether what a step received, or that it is there at all, follows from something else that differs."""
        for step, run in self._steps(pair):
            caller = run.graph.parent(step)
            if caller is not None:
                above = self._by_id[caller.id]
                if above.before is None or above.after is None or above.differs("received"):
                    return True
                if self._first_other.get(caller.id, step.seq) < step.seq:
                    return True
            if self._was_given_other(run, step):
                return True
        return False

    def of_result(self, pair: Pair) -> bool:
        """Say whether what a step produced from the same follows from something else that differs.

        That is a step within it; of a read, the write that it saw; of what arrived, what others had put there; and of
        a step that waited for what it had set going, whatever came of that.
        """
        for step, run in self._steps(pair):
            if step.id in self._differing_inside:
                return True
            if step.kind == "memory_read" and self._was_given_other(run, step):
                return True
            if step.kind not in ("handoff", "memory_read") and self._waited_for_other(run, step):
                return True
        if pair.is_elsewhere:
            return self.of_input(pair)
        return pair.step.kind == "handoff" and self._was_joined_by_other(pair)

    @cached_property
    def _first_other(self) -> Mapping[str, int]:
        """By caller: the first step below it that gave something else."""
        first: dict[str, int] = {}
        for pair in self._differ:
            for step, _ in self._steps(pair) if _gave_other(pair) else ():
                if step.parent_id is not None:
                    first[step.parent_id] = min(step.seq, first.get(step.parent_id, step.seq))
        return first

    @cached_property
    def _differing_inside(self) -> frozenset[str]:
        """The ids of the callers of what differs."""
        return frozenset(
            step.parent_id for pair in self._differ for step, _ in self._steps(pair) if step.parent_id
        )

    @cached_property
    def _other_writes(self) -> Sequence[tuple[Attribute | None, int]]:
        """Of the writes to a memory or a state that differ, the keys, and when they began."""
        return [
            (step.attributes.get(semconv.MEMORY_RECORD), step.seq)
            for pair in self._differ
            for step, _ in self._steps(pair)
            if step.kind == "memory_write"
        ]

    def _steps(self, pair: Pair) -> Iterator[tuple[Step, Recorded]]:
        for step, run in zip((pair.before, pair.after), self._runs, strict=True):
            if step is not None:
                yield step, run

    def _was_given_other(self, run: Recorded, step: Step) -> bool:
        for edge in run.graph.in_edges(step):
            source = self._by_id[edge.source.id]
            # A step around this one could hand on what it had received, and not yet what it will produce.
            is_around = run.graph.order.encloses(edge.source.id, step.id)
            if edge.kind != "call" and (source.differs("received") if is_around else _gave_other(source)):
                return True
        return False

    def _waited_for_other(self, run: Recorded, step: Step) -> bool:
        return step.ended_ns is not None and any(
            other.ended_ns is not None
            and other.ended_ns <= step.ended_ns
            and self._by_id[other.id].state != "same"
            for other in run.graph.downstream(step)
            if not run.graph.order.encloses(other.id, step.id)
        )

    def _was_joined_by_other(self, pair: Pair) -> bool:
        """Say whether of a handoff, what was sent arrived, or what somebody else gave is why it did not."""
        sent, arrived = pair.payloads("received")[1], pair.payloads("produced")
        if sent is None or not sent.is_kept or sent.size > LARGEST or None in arrived:
            return False
        fields = sent.value()
        touched = {change.at[0] for change in pair.produced if change.at}
        if isinstance(fields, dict) and touched and touched.isdisjoint(fields):
            return True
        for step, run in self._steps(pair):
            for receiver in run.graph.successors(step):
                beside = (edge.source for edge in run.graph.in_edges(receiver) if edge.kind == "transfer")
                if any(self._by_id[other.id].differs("received") for other in beside):
                    return True
            if any(key in touched and seq < step.seq for key, seq in self._other_writes):
                return True
        return False


def _told(pair: Pair, side: Side | None) -> str:
    step = pair.step
    what = f"{step.kind} {steady(step.name)}"
    if side is None:
        which = "second" if pair.before is None else "first"
        return f"{what} is in the {which} run alone, though nothing before it differs"
    if side == "received":
        return f"{what} was given something else, by the app's own code or from outside: nothing before it differs"
    assert pair.before is not None
    assert pair.after is not None
    if pair.is_elsewhere:
        return f"the same was sent as {steady(pair.before.name)!r} and as {steady(pair.after.name)!r}"
    if pair.before.status != pair.after.status:
        return f"{what} was {pair.before.status} in the first run and {pair.after.status} in the second"
    return f"{what} {_OTHERWISE.get(step.kind, 'received the same and produced something else')}"


_OTHERWISE: Final[Mapping[str, str]] = {
    "handoff": "brought something else, though the same was sent",
    "tool": "was asked the same and answered something else",
    "model": "was told the same and said something else",
    "route": "stood before the same choice and chose otherwise",
    "memory_read": "found something else, though nothing that it could read differs",
}
