"""What each turn of a run was told and what it said, as far as the judges of the whole run compare them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from becausal.facts import Fact
from becausal.findings.labels import Labels, labels
from becausal.findings.scene import MOST_READ, Scene
from becausal.payload import Payload
from becausal.step import Step

__all__ = ["MOST_TURNS", "Turn", "turns"]

MOST_TURNS: Final = 300
"""So many turns of a run are compared; every one of them may hold the whole conversation."""
SOURCES: Final = ("tool", "memory_read")
"""Kinds of steps within a turn that tell it something from outside."""


@dataclass(frozen=True)
class Turn:
    """One turn of an agent's."""

    scene: Scene
    step: Step
    inner: Sequence[Step]
    """What it called, however deep, other agents' turns apart."""
    sourced: Labels
    """What the run's request and its sources say under which label."""

    @cached_property
    def heard(self) -> tuple[Payload, ...]:
        """What its models were shown and its sources told; of a turn without a model, what it received."""
        shown = [step.received for step in self.inner if step.kind == "model"]
        told = [step.produced for step in self.inner if step.kind in SOURCES]
        return _kept(self.scene, [*(shown or [self.step.received]), *told])

    @cached_property
    def said(self) -> tuple[Payload, ...]:
        """What it sent and produced; of a turn that tells nothing, its model's last word.

        Who waits for others and hands back what they said did not say it.
        """
        handoffs = self.scene.sent_by.get(self.step.id, ())
        end = self.scene.ends[self.step.id]
        is_waiting = any(h.received_by is not None and h.received_by.seq <= end for h in handoffs)
        given = self.step.produced
        told = [
            h.sent for h in handoffs if not is_waiting or h.sent is None or h.sent.digest != _digest(given)
        ]
        spoke = [step.produced for step in self.inner if step.kind == "model"][-1:]
        return _kept(self.scene, [*told, None if is_waiting else given]) or _kept(self.scene, spoke)

    @cached_property
    def speaks(self) -> bool:
        """Whether a model or a tool of its own has part in it; who has none passes on, or listens."""
        return any(step.kind in ("model", "tool") for step in self.inner)

    @cached_property
    def heard_text(self) -> str:
        """What it was told, as text."""
        return "\n".join(self.scene.stated(payload)[1] for payload in self.heard)

    @cached_property
    def said_text(self) -> str:
        """What it said, as text."""
        return "\n".join(self.scene.stated(payload)[1] for payload in self.said)

    @cached_property
    def heard_facts(self) -> tuple[Fact, ...]:
        """What is stated in what it was told."""
        return tuple(fact for payload in self.heard for fact in self.scene.stated(payload)[0])

    @cached_property
    def said_facts(self) -> tuple[Fact, ...]:
        """What is stated in what it said."""
        return tuple(fact for payload in self.said for fact in self.scene.stated(payload)[0])

    @cached_property
    def heard_labels(self) -> Labels:
        """Values by label in what it was told."""
        return _labelled(self.scene, self.heard)

    @cached_property
    def said_labels(self) -> Labels:
        """Values by label in what it said."""
        return _labelled(self.scene, self.said)


def turns(scene: Scene) -> tuple[Turn, ...]:
    """Return a run's turns in their order; none of a run that has too many."""
    steps = [step for step in scene.graph.nodes if step.kind == "agent"]
    if len(steps) > MOST_TURNS:
        return ()
    told = [step.produced for step in scene.graph.nodes if step.kind in SOURCES]
    sourced = _labelled(scene, _kept(scene, [*(root.received for root in scene.graph.roots[:1]), *told]))
    return tuple(Turn(scene, step, tuple(_within(scene, step)), sourced) for step in steps)


def _within(scene: Scene, step: Step) -> Iterator[Step]:
    for child in scene.graph.children(step):
        if child.kind not in ("agent", "handoff", "workflow", "request"):
            yield child
            yield from _within(scene, child)


def _digest(payload: Payload | None) -> str | None:
    return None if payload is None else payload.digest


def _kept(scene: Scene, payloads: Iterable[Payload | None]) -> tuple[Payload, ...]:
    found = {
        payload.digest: payload
        for payload in payloads
        if payload is not None and payload.is_kept and payload.size <= MOST_READ
    }
    return tuple(payload for payload in found.values() if scene.value(payload) not in (None, "", [], {}))


def _labelled(scene: Scene, payloads: Iterable[Payload]) -> Labels:
    found: Labels = {}
    for payload in payloads:
        for label, said in labels(scene.value(payload)).items():
            there = found.setdefault(label, [])
            there.extend(one for one in said if one not in there)
    return found
