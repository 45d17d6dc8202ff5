"""What a case is: a fault put in at one place, its clean run and its sham; and the label, which the tool never sees."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from tests.faults.world import World

from becausal.finding import FindingKind
from becausal.run import Run
from becausal.step import Step

__all__ = ["FRAMEWORKS", "KINDS", "VARIANTS", "Fault", "Framework", "Label", "Site", "Variant", "fault"]

Variant = Literal["clean", "sham", "faulty"]
Framework = Literal["langgraph", "autogen"]
VARIANTS: Final[tuple[Variant, ...]] = ("clean", "sham", "faulty")
FRAMEWORKS: Final[tuple[Framework, ...]] = ("langgraph", "autogen")


@dataclass(frozen=True)
class Site:
    """Where a fault was put in, told so that a step of a recorded run can be found by it."""

    kind: str
    """Of the step: `tool`, `agent`, `model`, `handoff`, …"""
    name: str = ""
    """The tool's, the agent's; of a handoff, the sender's. Of a memory, a part of the key."""
    at: int | None = 0
    """Which of several, in their order; -1: the last; None: any of them."""
    to: str = ""
    """Of a handoff, the receiver."""

    def steps(self, run: Run) -> list[Step]:
        """Return the steps of a run that stand at this place."""
        found = [step for step in run.steps if self._is(step)]
        if self.kind == "handoff":
            found = [
                h.step
                for h in run.handoffs
                if self.name in ("", _plain(h.sender)) and self.to in ("", _plain(h.receiver))
            ]
        if self.at is None:
            return found
        return found[self.at :][:1]

    def _is(self, step: Step) -> bool:
        if step.kind != self.kind:
            return False
        if self.kind.startswith("memory"):
            return self.name in str(step.attributes.get("gen_ai.memory.record.id", "")) or self.name == (
                step.agent or ""
            )
        return self.name in (step.name, _plain(step.agent))


def _plain(name: str | None) -> str:
    return (name or "").partition("/")[0]


@dataclass(frozen=True)
class Label:
    """Where a fault is, and whose it is."""

    sites: tuple[Site, ...]
    """Any of these steps is the right one: a turn of an agent's and the model's call in it are one place."""
    agent: str | None = None
    tool: str | None = None
    key: str | None = None
    is_channel: bool = False
    """Whether neither of them is to blame, but what lies between."""
    value: str | None = None
    """Of a fault that no single run shows: the words in the output whose origin is asked for."""
    of: Site | None = None
    """Where the answer was handed to the user, if it was not returned to him."""

    def as_row(self) -> dict[str, object]:
        """Return what the sealed record holds."""
        return {
            "sites": [vars(site) for site in self.sites],
            "agent": self.agent,
            "tool": self.tool,
            "key": self.key,
            "is_channel": self.is_channel,
            "value": self.value,
        }


Play = Callable[[World, Variant, Framework], Label]


@dataclass(frozen=True)
class Fault:
    """A kind of fault: how it is put in, and what a perfect tool says of it."""

    id: str
    name: str
    expected: tuple[FindingKind, ...]
    """The first one is the class; the others are as right. Empty: no finding is due, the value's origin is asked."""
    frameworks: tuple[Framework, ...]
    play: Play = field(compare=False)


KINDS: Final[dict[str, Fault]] = {}


def fault(
    id: str,
    name: str,
    *expected: FindingKind,
    on: Iterable[Framework] = FRAMEWORKS,
) -> Callable[[Play], Play]:
    """Put a kind of fault into the table."""

    def kept(play: Play) -> Play:
        KINDS[id] = Fault(id, name, expected, tuple(on), play)
        return play

    return kept
