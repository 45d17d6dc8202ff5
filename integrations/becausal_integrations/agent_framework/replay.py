"""Microsoft Agent Framework in a replay: nothing of it is replayed yet, and that is said before anything runs.

A run of it is refused by `becausal.replay.check`, whatever app is given: each call of a model or a tool says that
nobody can answer it. Should an app call the framework that did not when it was recorded, the call ends the replay.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable
from typing import Any

from becausal.adapter import Hooks
from becausal.context import current
from becausal.errors import ReplayError
from becausal.recorder import Recorder
from becausal.replay import Entry, in_force
from becausal.step import OpenStep, Step
from becausal_integrations.agent_framework.describe import NAME
from becausal_integrations.patch import family

__all__ = ["AgentFrameworkReplay"]

APPS = (
    ("agent_framework._agents", "BaseAgent"),
    ("agent_framework._workflows._workflow", "Workflow"),
    ("agent_framework._workflows._functional", "FunctionalWorkflow"),
)


class AgentFrameworkReplay:
    """Refuses; see `becausal.replay.ReplayAdapter`."""

    def install(self, recorder: Recorder, hooks: Hooks) -> None:
        """Hook what asks the outside: no model is asked and no tool runs in a replay."""
        family(hooks, "agent_framework._clients:BaseChatClient", {"_inner_get_response": _refusing})
        family(hooks, "agent_framework._tools:FunctionTool", {"invoke": _refusing})

    def classes(self) -> Iterable[type]:
        """Nothing is made again."""
        return ()

    def drives(self, app: object) -> bool:
        """Return whether an app is an agent or a workflow."""
        bases = (getattr(sys.modules.get(module), name, None) for module, name in APPS)
        return any(base is not None and isinstance(app, base) for base in bases)

    def run(self, app: Any, entry: Entry) -> Any:
        """Refuse once more what `problems` has refused."""
        raise ReplayError(f"replaying runs of {NAME} is not there yet")

    def roots(self, app: Any) -> Iterable[object]:
        """Nothing is made again."""
        return ()

    def problems(self, app: Any, steps: tuple[Step, ...]) -> Iterable[str]:
        """Say that it is not there."""
        yield f"a {type(app).__name__} of {NAME} cannot be run again: replaying it is not there yet"


def _refusing(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def refused(owner: Any, *args: Any, **kwargs: Any) -> Any:
        session, step = in_force(), current()
        named = getattr(owner, "name", type(owner).__name__)
        if session is not None and isinstance(step, OpenStep) and not session.is_run(str(named)):
            raise session.diverged(step, "unknown", f"replaying {NAME} is not there yet")
        return original(owner, *args, **kwargs)

    return refused
