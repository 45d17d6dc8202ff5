"""What a framework's adapter does for replays: answers its calls from the record, and runs an app of its own again.

An adapter joins with one method more, `replaying`, which returns an object of this sort (`becausal_integrations.
langgraph.replay` is one). Nothing of it is loaded, and none of its hooks is in, until somebody replays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from becausal.adapter import Hooks, adapters
from becausal.instrument import is_hooked
from becausal.recorder import NOTHING, Recorder
from becausal.replay.session import Session
from becausal.step import Step

__all__ = ["Entry", "ReplayAdapter", "carriers", "replay_adapters"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One call of the app from outside, as it was recorded: a step at the top of the run."""

    step: Step
    given: Any
    """What it received, made again."""
    session: Session

    def kept(self, name: str) -> Any:
        """Return what was kept of the step under a name; `NOTHING` where nothing was."""
        return self.session.kept(self.step, name)

    def all_kept(self, name: str) -> list[Any]:
        """Return what was kept under a name of the step and of those that it encloses, in `seq` order."""
        inside = {self.step.id}
        found = []
        for step in self.session.steps:
            if step.id in inside or step.parent_id in inside:
                inside.add(step.id)
                if (kept := self.session.kept(step, name)) is not NOTHING:
                    found.append(kept)
        return found


Carrier = Callable[[Recorder, Hooks], None]
"""Hooks what carries a replay to where its context does not come by itself, and nothing else."""


class ReplayAdapter(Protocol):
    """What one framework needs for a replay."""

    def install(self, recorder: Recorder, hooks: Hooks) -> None:
        """Hook what answers calls from the record. In while at least one replay is under way in the process.

        Calls in whose context `becausal.replay.in_force()` returns None are left alone. What a hook does to answer:
        `recall()` for the step that is current, then `result_of`. Nothing is to be hooked for calls that pass an
        `Observation` with `answers`.
        """

    def classes(self) -> Iterable[type]:
        """Return the framework's classes that a recorded value may be made of again."""

    def drives(self, app: object) -> bool:
        """Return whether an app is one of this framework's."""

    def run(self, app: Any, entry: Entry) -> Any:
        """Call the app as it was called; returns its result, or an awaitable of it."""

    def roots(self, app: Any) -> Iterable[object]:
        """Return functions and classes of an app from which its own classes can be reached."""

    def problems(self, app: Any, steps: tuple[Step, ...]) -> Iterable[str]:
        """Return, in words, why an app cannot be the one that was recorded."""


def carriers() -> list[Carrier]:
    """Return what carries a replay into threads, of the adapters that do not by themselves: their hooks are not in."""
    there = (adapter for name, adapter in adapters().items() if not is_hooked(name))
    makers = (getattr(adapter, "install_for_replays", None) for adapter in there)
    return [maker for maker in makers if maker is not None]


def replay_adapters() -> list[ReplayAdapter]:
    """Return what the adapters whose hooks are in do for replays."""
    there = [adapter for name, adapter in adapters().items() if is_hooked(name)]
    # What stands on others first: a graph is a runnable, too.
    there.sort(key=lambda adapter: -len(adapter.requires))
    makers = (getattr(adapter, "replaying", None) for adapter in there)
    return [maker() for maker in makers if maker is not None]
