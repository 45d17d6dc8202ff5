"""A loaded run, as far as its judges ask about it: each answer is made once, when the first of them asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from becausal import facts as stating
from becausal import semconv
from becausal.facts import Fact
from becausal.facts.fact import Key
from becausal.graph import Graph
from becausal.handoff import Handoff
from becausal.payload import Payload
from becausal.step import Step

__all__ = ["LARGEST", "Scene", "Stated", "noted", "versions"]

MOST_READ: Final = 1_000_000
"""Bytes of a payload beyond which it is not read for what it states."""

Stated = tuple[tuple[Fact, ...], str]
"""What a payload states, and its text."""

LARGEST: Final = 20_000_000
"""Bytes of a payload beyond which it is not compared."""


def noted(step: Step, name: str) -> Any:
    """Return what an adapter noted of a step under a name of its framework's, `autogen.duplicate`; None if nothing."""
    suffix = f".{name}"
    return next((value for key, value in step.attributes.items() if key.endswith(suffix)), None)


@dataclass(frozen=True)
class Scene:
    """A run, as far as a handoff's judge asks about it."""

    graph: Graph
    handoffs: Sequence[Handoff]

    @cached_property
    def _read(self) -> dict[str, Stated]:
        return {}

    def stated(self, payload: Payload | None) -> Stated:
        """Return what a payload states, and its text; nothing where it was not kept, or is too large to be read."""
        if payload is None or payload.size > MOST_READ or not payload.is_kept:
            return (), ""
        found = self._read.get(payload.digest)
        if found is None:
            text = payload.text()
            found = self._read[payload.digest] = stating.facts(text), text
        return found

    @cached_property
    def output(self) -> str:
        """What the run put out, as text."""
        step = self.graph.output_step
        if step is None or step.produced is None or step.produced.size > LARGEST:
            return ""
        return step.produced.text()

    @cached_property
    def output_facts(self) -> tuple[Fact, ...]:
        """What the output states."""
        return stating.facts(self.output)

    @cached_property
    def leads_to_output(self) -> frozenset[str]:
        """The ids of the steps upstream of the output."""
        step = self.graph.output_step
        if step is None:
            return frozenset()
        return frozenset([step.id, *(other.id for other in self.graph.upstream(step))])

    @cached_property
    def first_said(self) -> Mapping[Key, int] | None:
        """At which step each fact was stated first, handoffs apart; None for a run that says too much to be read."""
        first: dict[Key, int] = {}
        for since, payload in self.payloads:
            for fact in stating.facts(payload.value()):
                first[fact.key] = min(since, first.get(fact.key, since))
        return first if self.payloads else None

    @cached_property
    def payloads(self) -> tuple[tuple[int, Payload], ...]:
        """What was received and produced, each content once, since which step; nothing if it is too much.

        What a step produced was there when the last step within it was done, not when it began.
        """
        found: dict[str, tuple[int, Payload]] = {}
        size = 0
        for step in self.graph.nodes:
            ended = self._ends[step.id]
            for since, payload in (
                ((step.seq, step.received), (ended, step.produced)) if step.kind != "handoff" else ()
            ):
                if payload is None or not payload.is_kept:
                    continue
                if payload.digest not in found:
                    size += payload.size
                elif found[payload.digest][0] <= since:
                    continue
                found[payload.digest] = since, payload
        return tuple(found.values()) if size <= LARGEST else ()

    @cached_property
    def _ends(self) -> Mapping[str, int]:
        """The number of the last step within each step; its own where it held none."""
        ends = {step.id: step.seq for step in self.graph.nodes}
        for step in reversed(self.graph.nodes):
            if step.parent_id in ends:
                ends[step.parent_id] = max(ends[step.parent_id], ends[step.id])
        return ends

    @cached_property
    def sent_by(self) -> Mapping[str, Sequence[Handoff]]:
        """What each turn sent, by its id."""
        sent: dict[str, list[Handoff]] = {}
        for handoff in self.handoffs:
            if handoff.sent_by is not None:
                sent.setdefault(handoff.sent_by.id, []).append(handoff)
        return sent

    @cached_property
    def writers(self) -> Mapping[tuple[str, str], int]:
        """How many steps wrote a version of a field of a state."""
        return Counter(
            version for step in self.graph.nodes for version in versions(step, semconv.STATE_WRITTEN).items()
        )


def versions(step: Step | None, name: str) -> dict[str, str]:
    """Return versions by channel, of `plan@3`."""
    rows = step.attributes.get(name, ()) if step is not None else ()
    if not isinstance(rows, tuple):
        return {}
    return {channel: version for channel, _, version in (row.rpartition("@") for row in rows)}
