"""A loaded run, as far as its judges ask about it: each answer is made once, when the first of them asks."""

from __future__ import annotations

from bisect import bisect
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
from becausal.payload import Payload, text_of
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

    def stated(self, payload: Payload | None) -> Stated:
        """Return what a payload states, and its text; nothing where it was not kept, or is too large to be read."""
        if payload is None or payload.size > MOST_READ or not payload.is_kept:
            return (), ""
        found = self.graph.stated.get(payload.digest)
        if found is None:
            value = self.value(payload)
            # Whoever asks, and however long ago it was asked before: its messages were read with those of others.
            with stating.remembering(self.graph.kept):
                found = stating.facts(value), text_of(value, self.graph.kept.lines)
            self.graph.stated.put(payload.digest, found, len(found[0]) + len(found[1]))
        return found

    def value(self, payload: Payload) -> Any:
        """Return a payload's value, shared with all who judge this run: not to be changed."""
        return self.graph.values.of(payload)

    @cached_property
    def clauses(self) -> dict[str, dict[tuple[str, str], Fact | None]]:
        """By clause what was read in it, as `findings.contradictions` keeps it in mind."""
        return {}

    @cached_property
    def _put_out(self) -> Step | None:
        """The step whose result is the output, if that was kept and can be read."""
        step = self.graph.output_step
        payload = None if step is None else step.produced
        return step if payload is not None and payload.is_kept and payload.size <= LARGEST else None

    @cached_property
    def output(self) -> str:
        """What the run put out, as text."""
        step = self._put_out
        if step is None or step.produced is None:
            return ""
        return step.produced.text()

    @cached_property
    def answer(self) -> str:
        """What the run said last: of a whole conversation its last message, of a state what the last turn wrote."""
        step = self._put_out
        if step is None or step.produced is None:
            return ""
        said = self.value(step.produced)
        if isinstance(said, list) and len(said) > 1:
            return text_of(said[-1])
        if isinstance(said, dict):
            turns = [
                turn
                for turn in self.graph.children(step)
                if turn.kind == "agent" and turn.produced is not None
            ]
            wrote = self.value(turns[-1].produced) if turns and turns[-1].produced is not None else None
            if (
                isinstance(wrote, dict)
                and wrote
                and all(key in said and _ends_with(said[key], wrote[key]) for key in wrote)
            ):
                return text_of(wrote)
        return self.output

    @cached_property
    def output_facts(self) -> tuple[Fact, ...]:
        """What the output states."""
        return stating.facts(self.output)

    @cached_property
    def answer_facts(self) -> tuple[Fact, ...]:
        """What the run's answer states."""
        return stating.facts(self.answer)

    @cached_property
    def told(self) -> Stated:
        """What the run told those who asked: its answer, and what it sent later to whoever passed nothing of it on.

        An app may answer "accepted" at once, and send what it found when it has found it.
        """
        output = self.graph.output_step
        late = [
            self.stated(handoff.received)
            for handoff in self.handoffs
            if output is not None and handoff.step.seq > self.ends[output.id] and self._ends_with(handoff)
        ]
        rows = [(self.answer_facts, self.answer), *late]
        return tuple(fact for facts, _ in rows for fact in facts), "\n".join(text for _, text in rows)

    def _ends_with(self, handoff: Handoff) -> bool:
        """Return whether a handoff's receiver only took it: it called nothing, and sent nothing on."""
        there = handoff.received_by
        if there is None or there.kind != "agent" or self.graph.children(there):
            return False
        return all(edge.kind == "call" for edge in self.graph.out_edges(there))

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
            for fact in self.stated(payload)[0] or stating.facts(self.value(payload)):
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
            ended = self.ends[step.id]
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
    def ends(self) -> Mapping[str, int]:
        """The number of the last step that had begun when each one ended."""
        begun = [step.started_ns for step in self.graph.nodes]
        last = [step.seq for step in self.graph.nodes]
        return {
            step.id: step.seq
            if step.ended_ns is None
            else max(step.seq, last[max(0, bisect(begun, step.ended_ns) - 1)])
            for step in self.graph.nodes
        }

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


def _ends_with(held: Any, wrote: Any) -> bool:
    """Say whether a field of a state is what was written last, or a list to which that was put."""
    if isinstance(held, list) and held:
        last = wrote if isinstance(wrote, list) else [wrote]
        return len(last) <= len(held) and all(map(_is_same, held[len(held) - len(last) :], last))
    return bool(held == wrote)


def _is_same(held: Any, wrote: Any) -> bool:
    # A state gives each message an id.
    return bool(held == wrote) or text_of(held) == text_of(wrote)


def versions(step: Step | None, name: str) -> dict[str, str]:
    """Return versions by channel, of `plan@3`."""
    rows = step.attributes.get(name, ()) if step is not None else ()
    if not isinstance(rows, tuple):
        return {}
    return {channel: version for channel, _, version in (row.rpartition("@") for row in rows)}
