"""What is to be other in a replay than it was in the recorded run, and who answers what the record does not know."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from becausal.replay.recalled import Standin
from becausal.step import OpenStep

__all__ = ["Change", "Changes", "allowing"]

Change = Callable[[Any], Any]
"""Makes something else of what a step receives or produces."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What is other in a replay; nothing, unless somebody asks for it."""

    received: Mapping[str, Change] = field(default_factory=dict)
    """By a recorded step's id: what makes something else of what it receives."""
    produced: Mapping[str, Change] = field(default_factory=dict)
    """By a recorded step's id: what makes another answer of the recorded one."""
    live: bool | Collection[str] = False
    """True: models whose request the record does not know are asked. Or names of models and tools that are run
    whenever they are called."""
    standin: Standin | None = None
    """Answers what the record does not know, in the place of a live call."""

    @property
    def are_edits(self) -> bool:
        """Whether some step is to receive or produce something else."""
        return bool(self.received or self.produced)

    def runs(self, name: str) -> bool:
        """Return whether a model or a tool is run whenever it is called."""
        return not isinstance(self.live, bool) and name in self.live

    def runs_unknown(self, step: OpenStep) -> bool:
        """Return whether a step is run since the record does not know what it asks."""
        return self.live is True and step.kind == "model"


def allowing(step: OpenStep) -> str:
    """Return what lets a step pass that the record does not know, in words."""
    if step.kind == "model":
        return "allow it with live=True (`--live models`), or give a stand-in"
    return f"a {step.kind} runs live only when it is named: live=[{step.name!r}] (`--live {step.name}`)"
