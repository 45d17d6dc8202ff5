"""The steps of functional workflows (`@step`): functions of the app's own, each the work of an executor.

One whose result a resumed run takes from its cache is marked as such (`becausal.cached`): its function did not run.

Source: agent-framework-core 1.23.0, `_workflows/_functional.py` (`StepWrapper`, `RunContext`).
"""

from __future__ import annotations

from typing import Any

from becausal import semconv
from becausal.context import current
from becausal.recorder import Observation, Opening
from becausal.step import OpenStep, Status
from becausal_integrations.agent_framework.ledger import Notes, notes_of
from becausal_integrations.agent_framework.messages import told
from becausal_integrations.patch import Notice

__all__ = ["EVENT", "FUNCTION"]


def _begun(wrapper: Any, *args: Any, **kwargs: Any) -> Opening | None:
    from agent_framework._workflows._functional import RunContext, get_run_context

    if current() is None or get_run_context() is None:
        return None  # outside a workflow it is a plain function
    given = [arg for arg in args if not isinstance(arg, RunContext)]
    named = {name: value for name, value in kwargs.items() if not isinstance(value, RunContext)}
    received = {"arguments": given, **named} if named else given[0] if len(given) == 1 else given
    return Opening(
        "agent", wrapper.name, agent=wrapper.name, received=told(received), attributes=Notes(wrapper)
    )


def _interrupted(_: OpenStep, error: BaseException) -> Status | None:
    """Tell a wait for an answer from outside from a failure."""
    return "interrupted" if type(error).__name__ == "WorkflowInterrupted" else None


def _told(_: Any, event: Any) -> None:
    here = current()
    notes = notes_of(here)
    if event.type != "executor_bypassed" or notes is None or not isinstance(here, OpenStep):
        return
    if here.name == event.executor_id:
        notes[semconv.CACHED] = True


FUNCTION = Observation(_begun, lambda _, result: told(result), _interrupted)
"""What a call of a step means."""

EVENT = Notice(_told)
"""What a workflow tells of itself: here, that a step's result was there already."""
