"""Who was told what and who told what: an agent's turns, and how many handoffs lie between each and the request.

A turn heard what its models were shown; without a model, what it received. A shared state hands everything to
everybody, and what an agent works from is what it asks its model with. It said what it produced, and what it sent
before it was over.

What its own code takes from the state is not shown to a model: a field that is a fact and nothing else, the key by
which it read a memory, the argument with which it called a tool. That it has at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from becausal import semconv
from becausal.facts import Fact
from becausal.facts.compare import lacks
from becausal.facts.fact import Key
from becausal.graph import Graph
from becausal.handoff import Handoff
from becausal.payload import Payload
from becausal.step import Step

__all__ = ["Read", "Stated", "Turn", "Turns", "together"]

Stated = tuple[tuple[Fact, ...], str]
"""What a payload states, and its text."""

Read = Callable[[Payload | None], Stated]
"""Reads a payload; what was not kept, or is too large, states nothing."""


@dataclass(frozen=True, eq=False)
class Turn:
    """One turn of an agent's."""

    step: Step
    hop: int
    """How many agents worked on the request up to here, this one included; of several ways, the longest."""
    before: tuple[Step, ...]
    """The turns whose word it had; empty for one that has the user's."""
    heard: Stated
    said: Stated


class Turns:
    """The turns that led to a run's output, in causal order; all turns where no way to an output is known."""

    def __init__(self, graph: Graph, handoffs: Sequence[Handoff], read: Read) -> None:
        self._graph, self._handoffs, self._read = graph, handoffs, read

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The steps that are turns."""
        every = tuple(step for step in self._graph.nodes if step.kind == "agent")
        output = self._graph.output_step
        if output is None:
            return every
        leading = {output.id, *(step.id for step in self._graph.upstream(output))}
        turns = tuple(step for step in every if step.id in leading)
        return turns if len(turns) > 1 else every

    @cached_property
    def all(self) -> tuple[Turn, ...]:
        """The turns, with what each heard and said."""
        hops: dict[str, int] = {}
        made = []
        for step in self.steps:
            before = self._before[step.id]
            hops[step.id] = 1 + max((hops[other.id] for other in before), default=0)
            made.append(Turn(step, hops[step.id], before, self._heard(step), self._said(step)))
        return tuple(made)

    @cached_property
    def hops(self) -> tuple[tuple[Turn, ...], ...]:
        """The turns by hop."""
        found: list[list[Turn]] = [[] for _ in range(max((turn.hop for turn in self.all), default=0))]
        for turn in self.all:
            found[turn.hop - 1].append(turn)
        return tuple(map(tuple, found))

    @property
    def shown_first(self) -> list[Payload | None]:
        """What the models of the first turns were shown first."""
        found = []
        for turn in self.hops[0] if self.hops else ():
            found += [child.received for child in self._graph.children(turn.step) if child.kind == "model"][
                :1
            ]
        return found

    def live(self, number: int) -> tuple[Stated, ...]:
        """Return what was known at a hop, by whomever.

        That is what the turns of this hop heard, and what earlier turns had said to those of later hops: a fact that
        one of several branches carries is not lost.
        """
        rows = [turn.heard for turn in self.hops[number - 1]]
        return (*rows, *(turn.said for turn, until in self._far_reaching if turn.hop < number < until))

    def received(self, turn: Turn) -> Stated:
        """Return what a turn was given, whatever its models were shown of it."""
        return self._read(turn.step.received)

    def has_at_hand(self, turn: Turn, fact: Fact) -> bool:
        """Return whether a turn works with a fact that its models were not shown.

        It called a tool or a memory with it, or was given it as the request gave it, as a field of its own. That the
        request's own prose stands in a shared state says nothing.
        """
        if any(not lacks(fact, *stated) for stated in self._used_by(turn)):
            return True
        return fact.key in self._fields and self._fields[fact.key] <= self._own_fields(turn.step.received)

    def heard_by(self, turn: Turn) -> tuple[Turn, ...]:
        """Return the turns that had a turn's word."""
        return tuple(self._after.get(turn.step.id, ()))

    def between(self, sender: Step, receiver: Step) -> Handoff | None:
        """Return the handoff from one turn to another."""
        return next(
            (
                handoff
                for handoff in self._handoffs
                if handoff.sent_by is not None
                and handoff.received_by is not None
                and (handoff.sent_by.id, handoff.received_by.id) == (sender.id, receiver.id)
            ),
            None,
        )

    @cached_property
    def _far_reaching(self) -> list[tuple[Turn, int]]:
        """The turns whose word skips a hop, each with the last hop that has it from there."""
        last = [(turn, max((other.hop for other in self.heard_by(turn)), default=0)) for turn in self.all]
        return [(turn, until) for turn, until in last if until > turn.hop + 1]

    @cached_property
    def _after(self) -> Mapping[str, Sequence[Turn]]:
        found: dict[str, list[Turn]] = {}
        for turn in self.all:
            for other in turn.before:
                found.setdefault(other.id, []).append(turn)
        return found

    @cached_property
    def _before(self) -> Mapping[str, tuple[Step, ...]]:
        """The turns before each one, by its id: by the handoffs, else by any other edge, else its caller."""
        turns = {step.id: step for step in self.steps}
        sent: dict[str, dict[str, Step]] = {}
        for handoff in self._handoffs:
            sender, receiver = handoff.sent_by, handoff.received_by
            if (
                sender is not None
                and receiver is not None
                and sender.id in turns
                and sender.seq < receiver.seq
            ):
                sent.setdefault(receiver.id, {})[sender.id] = sender
        found = {}
        for step in self.steps:
            before = sent.get(step.id) or {
                source.id: source
                for edge in self._graph.in_edges(step)
                if edge.kind != "call" and (source := self._turn_of(edge.source, turns)) is not None
                if source.seq < step.seq and source.id != step.id
            }
            caller = self._turn_of(self._graph.parent(step), turns) if not before else None
            found[step.id] = (caller,) if caller is not None else tuple(before.values())
        return found

    def _turn_of(self, step: Step | None, turns: Mapping[str, Step]) -> Step | None:
        """Return the turn that a step is, or is part of."""
        while step is not None and step.id not in turns:
            step = self._graph.parent(step)
        return step

    def _used_by(self, turn: Turn) -> Iterator[Stated]:
        """Yield what a turn called tools and memories with."""
        for child in self._graph.children(turn.step):
            if child.kind in ("tool", "memory_read", "memory_write"):
                yield self._read(child.received)
                yield (), str(child.attributes.get(semconv.MEMORY_RECORD, ""))

    @cached_property
    def _fields(self) -> Mapping[Key, frozenset[tuple[Key, tuple[object, ...]]]]:
        """The request's facts that fill fields of their own, with where they stand."""
        root = next(iter(self._graph.roots), None)
        found: dict[Key, set[tuple[Key, tuple[object, ...]]]] = {}
        for key, path in self._own_fields(None if root is None else root.received):
            found.setdefault(key, set()).add((key, path))
        return {key: frozenset(places) for key, places in found.items()}

    def _own_fields(self, payload: Payload | None) -> frozenset[tuple[Key, tuple[object, ...]]]:
        """Return the facts of data that fill fields of their own, each with its path."""
        return frozenset(
            (fact.key, fact.path)
            for fact in self._read(payload)[0]
            if fact.path and self._fills_its_field(fact, payload)
        )

    def _fills_its_field(self, fact: Fact, payload: Payload | None) -> bool:
        value: Any = None if payload is None else self._graph.values.of(payload)
        for part in fact.path:
            try:
                value = value[part]
            except (TypeError, KeyError, IndexError):
                return False
        return not isinstance(value, str) or value.strip() == fact.text.strip()

    def _heard(self, turn: Step) -> Stated:
        shown = [child.received for child in self._graph.children(turn) if child.kind == "model"]
        return together(map(self._read, shown or [turn.received]))

    def _said(self, turn: Step) -> Stated:
        sent = {handoff.sent.digest: handoff.sent for handoff in self._sent.get(turn.id, ()) if handoff.sent}
        if turn.produced is not None:
            sent.setdefault(turn.produced.digest, turn.produced)
        return together(map(self._read, sent.values()))

    @cached_property
    def _sent(self) -> Mapping[str, Sequence[Handoff]]:
        sent: dict[str, list[Handoff]] = {}
        for handoff in self._handoffs:
            if handoff.sent_by is not None:
                sent.setdefault(handoff.sent_by.id, []).append(handoff)
        return sent


def together(stated: Iterator[Stated] | Sequence[Stated] | map[Stated]) -> Stated:
    """Return what several payloads state."""
    rows = list(stated)
    if len(rows) == 1:
        return rows[0]
    return tuple(fact for facts, _ in rows for fact in facts), "\n".join(text for _, text in rows)
