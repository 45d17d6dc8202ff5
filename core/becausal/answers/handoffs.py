"""The handoffs of a run: each with the turns on both sides of it, and with what it brought that none had before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from becausal import semconv
from becausal.graph import Graph
from becausal.handoff import Handoff
from becausal.step import Step

if TYPE_CHECKING:
    from becausal.delta import Change

__all__ = ["handoffs_of", "with_news"]


def handoffs_of(graph: Graph) -> tuple[Handoff, ...]:
    """Return every handoff of a run, in the order of sending."""
    receivers = {
        cause.source_id: step for step in graph.nodes for cause in step.causes if cause.kind == "transfer"
    }
    return tuple(_handoff(graph, step, receivers) for step in graph.nodes if step.kind == "handoff")


def _handoff(graph: Graph, step: Step, receivers: Mapping[str, Step]) -> Handoff:
    said = step.attributes
    sources = [cause.source_id for cause in step.causes if cause.kind == "transfer"]
    sent_by = _named(graph, said.get(semconv.TRANSFER_SENT_BY)) or _named(graph, next(iter(sources), None))
    received_by = _named(graph, said.get(semconv.TRANSFER_RECEIVED_BY)) or receivers.get(step.id)
    sender, receiver = said.get(semconv.TRANSFER_SOURCE), said.get(semconv.TRANSFER_TARGET_OWN)
    return Handoff(
        step,
        str(sender) if sender else None,
        str(receiver) if receiver else None,
        sent_by,
        received_by,
        graph.values.of,
    )


def _named(graph: Graph, step_id: object) -> Step | None:
    return graph.step(step_id) if isinstance(step_id, str) and step_id in graph else None


def with_news(handoffs: Iterable[Handoff]) -> Iterator[tuple[Handoff, list[Change], int]]:
    """Yield handoffs, each with what its delta tells but what came along, and how much of it came along.

    What comes along is a field, or an item of a list, that an earlier handoff had brought as it is: each turn of a
    conversation is handed all that was said before it.

    Args:
        handoffs: of one run, in the order of sending.
    """
    brought = _Brought()
    for handoff in handoffs:
        told = list(handoff.told)
        news = [change for change in told if change.kind != "added" or change.after not in brought]
        yield handoff, news, len(told) - len(news)
        brought.add(handoff)


class _Brought:
    """What handoffs have brought so far, by content."""

    def __init__(self) -> None:
        self._marks: dict[
            int, tuple[object, int]
        ] = {}  # by identity: a message is one object in all that has it
        self._known: set[int] = set()

    def __contains__(self, value: object) -> bool:
        return self._mark(value) in self._known

    def add(self, handoff: Handoff) -> None:
        received = handoff.received
        if received is None or not received.is_kept:
            return
        value = handoff.read(received)
        for field in value.values() if isinstance(value, Mapping) else (value,):
            self._known.update(map(self._mark, field if isinstance(field, list | tuple) else (field,)))

    def _mark(self, value: object) -> int:
        from becausal.delta.sameness import mark

        known = self._marks.get(id(value))
        if known is None:
            known = self._marks[id(value)] = value, mark(value)
        return known[1]
