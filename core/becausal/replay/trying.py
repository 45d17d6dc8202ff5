"""A function that is called to see whether it makes the app, or is the app.

It may do what a factory does: build, read and write memories, reach for the network. It begins nothing: before its
first step it is stopped, and before each that it comes to all the same, in the threads that it hands its work to as
well. So no run is recorded, no model is asked and no tool runs that becausal sees. Then it is the app, and runs in the
replay.

Nothing that an app does to memories while it is made, its module's import included, is the app's history: no step tells
of it, and a `becausal.Memory` writes to a twin.

What the function does beside its steps it does: where it catches `BaseException`, what it does then is done for real.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeVar, cast

from opentelemetry import context as otel_context

from becausal.context import Scope, put_aside
from becausal.errors import ReplayError
from becausal.making import MEMORY_KINDS
from becausal.observation import Opening
from becausal.replay.memories import MemoryTwin

__all__ = ["Tried", "app_module", "begins", "building", "on_trial", "stopped_quietly", "tried"]


@dataclass(slots=True)
class Tried:
    """What came of calling a function with nothing, before anything is replayed."""

    made: Any = None
    began: bool = False
    """Whether it was about to begin a run."""
    error: Exception | SystemExit | None = None


class _BeginningError(BaseException):
    """A run was about to begin. No `Exception`, as the app's code is not to go on with it."""


S = TypeVar("S")


class _Building:
    """The making of an app: what it does to memories it does to twins of theirs."""

    def __init__(self, *, may_begin: bool) -> None:
        self._may_begin, self._twins = may_begin, dict[int, MemoryTwin]()
        self.first: str | None = None
        """The step that was stopped, though none may begin."""

    def begins(self, kind: str, name: str) -> bool:
        if kind in MEMORY_KINDS:
            return False
        if not self._may_begin:
            self.first = self.first or f"{kind} {name!r}"
            raise _BeginningError
        return True

    def memories(self, store: S) -> S:
        return cast(S, self._twins.setdefault(id(store), MemoryTwin(store, "", ())))


def building() -> Scope:
    """Return a scope in which an app is made: imported, or called for by its factory."""
    return Scope(put_aside(_Building(may_begin=True)))


def app_module(name: str, load: Callable[[], ModuleType]) -> ModuleType:
    """Return the module that has the app; where importing it begins a run, that is stopped before its first step.

    This takes a module that instruments itself before it does so, or a process in which becausal is at work already.

    Args:
        name: of the module.
        load: imports it.

    Raises:
        ReplayError: it begins a run.
    """
    made, stopped = None, _Building(may_begin=False)
    try:
        with Scope(put_aside(stopped)):
            made = load()
    except _BeginningError:
        pass
    except BaseException:
        if stopped.first is None:
            raise
    if made is None or stopped.first is not None:
        raise ReplayError(
            f"{name}, which has the app, runs it when it is imported, and was stopped before {stopped.first}: put what "
            'runs it below `if __name__ == "__main__":`'
        )
    return made


_TRIAL = otel_context.create_key("becausal-trial")


def on_trial() -> Tried | None:
    """Return the trial in whose course the caller runs; None outside every one."""
    trial: Any = otel_context.get_value(_TRIAL)
    return trial  # type: ignore[no-any-return]


def begins(opening: Opening) -> None:
    """Stop a function that is tried before its first step; the recorder's seam tells of it.

    A step of a memory's is none of a run's: a factory may fill the store that it gives to a graph.
    """
    trial = on_trial()
    if trial is not None and opening.kind not in MEMORY_KINDS:
        trial.began = True
        raise _BeginningError


def stopped_quietly(work: Callable[[], Any]) -> Any:
    """Do a raw thread's work; that it was stopped before a step is nothing that the thread should tell of."""
    try:
        return work()
    except _BeginningError:
        return None  # it is noted


def tried(function: Callable[[], Any]) -> Tried:
    """Call a function that takes nothing and may make the app; the hooks of replays have to be in."""
    trial = Tried()
    try:
        with building(), Scope(otel_context.set_value(_TRIAL, trial)):
            trial.made = function()
    except (Exception, SystemExit) as error:
        trial.error = error
    except KeyboardInterrupt:
        raise
    except BaseException:
        if not trial.began:
            raise
        # It was stopped: that comes by itself, or in the group of the tasks that it stopped.
    return trial
