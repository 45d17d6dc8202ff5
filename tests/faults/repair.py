"""Proof by repair: with the blamed value put right, the same run gives the clean answer; with another one, it does not.

A clean run is played first, and each value at each place is kept: what tools answered, what models said, what channels
carried. Then the faulty run is played again, with the clean values at the blamed place alone; and once more with those
at another place, one that the blamed one does not lead to.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.faults import app as apps
from tests.faults.case import KINDS, Fault, Framework, Label, Variant
from tests.faults.playing import alarms
from tests.faults.world import World

import becausal
from becausal.finding import Finding
from becausal.run import Run

__all__ = ["Place", "Proof", "prove", "proves"]

Place = tuple[Literal["tool", "agent", "channel"], str]


@dataclass
class Repair:
    """What passes each place of an app: kept, or put right at one of them."""

    right: dict[Place, list[Any]] = field(default_factory=dict)
    """The clean values of the places that are put right."""
    seen: dict[Place, list[Any]] = field(default_factory=lambda: defaultdict(list))
    answer: str | None = None

    def passing(self, place: Place, value: Any) -> Any:
        """Take what passes a place; return what goes on."""
        at = len(self.seen[place])
        self.seen[place].append(value)
        clean = self.right.get(place, ())
        return clean[at] if at < len(clean) else value


@dataclass(frozen=True)
class Proof:
    """What came of putting a case right."""

    fault: str
    seed: int
    framework: Framework
    blamed: Place
    restores: bool
    """Whether the answer is the clean one with the blamed place put right."""
    other: Place | None
    other_restores: bool
    """Whether it is with the other place put right, which it should not be."""


@contextmanager
def _watched(repair: Repair) -> Iterator[Repair]:
    before, apps.PASSING = apps.PASSING, repair
    try:
        yield repair
    finally:
        apps.PASSING = before


def _played(
    fault: Fault, seed: int, variant: Variant, framework: Framework, repair: Repair
) -> tuple[Label, Repair]:
    with _watched(repair):
        label = fault.play(World.of(seed, fault.id), variant, framework)
    return label, repair


def prove(fault: Fault, seed: int, framework: Framework) -> Proof | None:
    """Return the proof of a case; None where it allows none: its answer is the clean one, or nobody was blamed."""
    _, clean = _played(fault, seed, "clean", framework, Repair())
    label, faulty = _played(fault, seed, "faulty", framework, Repair())
    if clean.answer is None or clean.answer == faulty.answer:
        return None
    run = becausal.last_run()
    blamed = _blamed(run, label)
    if blamed is None or blamed not in clean.seen:
        return None
    restored = _with(fault, seed, framework, clean, blamed)
    other = _another(clean, blamed, run, seed)
    is_other = other is not None and _with(fault, seed, framework, clean, other) == clean.answer
    return Proof(fault.id, seed, framework, blamed, restored == clean.answer, other, is_other)


def proves(kinds: Iterable[Fault], seeds: Iterable[int]) -> list[Proof]:
    """Return the proofs of kinds of faults over seeds."""
    found = [
        prove(fault, seed, fault.frameworks[seed % len(fault.frameworks)])
        for seed in seeds
        for fault in kinds
    ]
    return [proof for proof in found if proof is not None]


def _with(fault: Fault, seed: int, framework: Framework, clean: Repair, place: Place) -> str | None:
    _, repaired = _played(fault, seed, "faulty", framework, Repair({place: list(clean.seen[place])}))
    return repaired.answer


def _blamed(run: Run, label: Label) -> Place | None:
    """Return the place that the tool blames, by its first alarm or by where it leads a value back to."""
    if label.value is not None:
        of = label.of.steps(run) if label.of is not None else []
        origin = next(
            (s.origin for s in run.blame(label.value, of=of[-1] if of else None).segments if s.origin), None
        )
        return None if origin is None else _place(origin.kind, origin.name, origin.agent)
    said = alarms(run)
    if not said:
        return None
    first: Finding = said[0]
    if first.tool is not None:
        return "tool", first.tool
    if first.agent is not None:
        return "agent", first.agent.partition("/")[0]
    sender = next((h.sender for h in run.handoffs if h.step.id == first.step.id), None)
    return None if sender is None else ("channel", sender.partition("/")[0])


def _place(kind: str, name: str, agent: str | None) -> Place | None:
    if kind == "tool":
        return "tool", name
    return None if agent is None else ("agent", agent.partition("/")[0])


def _another(clean: Repair, blamed: Place, run: Run, seed: int) -> Place | None:
    """Return a place that the blamed one does not lead to: whoever comes after it would hide the fault, put right."""
    turns = [step for step in run.steps if step.kind == "agent"]
    mine = (
        [s for s in run.steps if s.kind == blamed[0] and s.name == blamed[1]] if blamed[0] == "tool" else []
    )
    mine += [s for s in turns if (s.agent or "").partition("/")[0] == blamed[1]]
    after = {step.id for one in mine for step in run.graph.downstream(one)} | {one.id for one in mine}
    names = {(s.agent or "").partition("/")[0] for s in turns if s.id in after}
    names |= {
        (s.agent or "").partition("/")[0]
        for one in mine
        for s in (one, run.graph.parent(one))
        if s is not None
    }
    left = sorted(place for place in clean.seen if place[0] == "agent" and place[1] not in names)
    return random.Random(seed).choice(left) if left else None


def kinds() -> list[Fault]:
    """Return the kinds whose apps can be put right: those of the common app."""
    return [KINDS[name] for name in sorted(KINDS) if name in REPAIRABLE]


REPAIRABLE = frozenset(
    (
        "F01",
        "F03",
        "F04",
        "F05",
        "F06",
        "F08",
        "F10",
        "F11",
        "F13",
        "F14",
        "F20",
        "F22",
        "X01",
        "X02",
        "X03",
        "X04",
    )
)
