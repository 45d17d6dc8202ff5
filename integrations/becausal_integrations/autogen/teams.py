"""Runs of teams: what each goes on from, its pauses, its saved states (autogen-agentchat)."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from becausal import semconv
from becausal.adapter import Hooks
from becausal.context import current
from becausal.recorder import Observation, Opening, Recorder
from becausal.step import Cause, OpenStep, Status, StepRef
from becausal_integrations.autogen import describe
from becausal_integrations.autogen.carrier import arriving
from becausal_integrations.autogen.hooking import noticed, observed
from becausal_integrations.autogen.ledger import Ledger, Notes, cause, notes_of, owns, remote
from becausal_integrations.autogen.snapshots import managers
from becausal_integrations.autogen.state import States
from becausal_integrations.identity import ByIdentity
from becausal_integrations.patch import Notice, family

if TYPE_CHECKING:
    from autogen_agentchat.base import TaskResult

__all__ = ["JUDGED", "WITHOUT_TASK", "Teams", "messages_of", "turn_given"]

JUDGED = "autogen.judged"
"""How much of its thread each manager had judged as a run of its team began: nothing, where the state was loaded."""

WITHOUT_TASK = "autogen.without_task"
"""The run was asked not to give the messages of its task out again."""

PAUSES = "autogen.pauses"
"""How often a run was told to pause."""

RESUMES = "autogen.resumes"
"""How often it was told to go on."""


class Teams:
    """Describes the runs of teams."""

    def __init__(self, recorder: Recorder, ledger: Ledger, states: States) -> None:
        self._recorder, self._ledger, self._states = recorder, ledger, states
        self._running: ByIdentity[weakref.ref[OpenStep]] = ByIdentity()

    def hook(self, hooks: Hooks) -> None:
        """Hook every kind of team."""
        seen = functools.partial(observed, self._recorder)
        told = functools.partial(noticed, self._recorder)
        run = seen(Observation(self._run, self._ran, self._failed, describe.is_task_result))
        family(
            hooks,
            "autogen_agentchat.base._team:Team",
            {
                "run": run,
                "run_stream": run,
                "reset": told(Notice(lambda team, *_, **__: team, self._reset)),
                "pause": told(Notice(functools.partial(self._count, PAUSES))),
                "resume": told(Notice(functools.partial(self._count, RESUMES))),
                "save_state": seen(self._states.saving),
                "load_state": seen(self._states.loading),
            },
        )

    def _run(
        self, team: Any, *, task: Any = None, output_task_messages: bool = True, **_: Any
    ) -> Opening | None:
        here = current()
        if owns(here, team):
            return None
        causes = turn_given()
        for message in describe.task_messages(task):
            known = self._ledger.origin(message, None)
            if known is not None:
                causes.append(known.cause)
        notes = Notes(team, here)
        if here is None or notes_of(here) is None:  # else it goes on from what the run around it goes on from
            if not output_task_messages:
                notes[WITHOUT_TASK] = True
            if getattr(team, "_initialized", False):
                self._states.note(team, notes)
                notes[JUDGED] = tuple(
                    str(self._ledger.threads.get(manager) or 0) for manager in managers(team)
                )
        former = self._ledger.runs.get(team)
        notes.earlier = self._states.goes_on(team)
        if not notes.earlier and former is not None:
            notes.earlier = [cause(former, "memory", "an earlier run of the same team")]
        if task is None:  # else the task is new, and what is carried over is taken up by the first choice
            causes += notes.earlier
        return Opening("workflow", team.name, received=task, causes=causes, attributes=notes)

    def _ran(self, step: OpenStep, result: TaskResult) -> object:
        self._states.keep(step)
        return messages_of(step, result)

    def _failed(self, step: OpenStep, error: BaseException) -> Status | None:
        self._states.keep(step)
        return None

    def taken_up(self, here: StepRef | None) -> Sequence[Cause]:
        """Return what a team's run goes on from, once; from then on the next run goes on from this one."""
        notes = notes_of(here)
        if not isinstance(here, OpenStep) or notes is None or here.kind != "workflow":
            return ()
        team = notes.owner
        running = self._running.get(team)
        if team is not None and (running is None or running() is not here):
            self._running.put(team, weakref.ref(here))
            self._ledger.runs.put(team, remote(here))
            self._states.worked(team, here)
        earlier, notes.earlier = notes.earlier, ()
        return earlier

    def _reset(self, team: Any, _: None, error: BaseException | None) -> None:
        if error is None:
            self._ledger.runs.pop(team)

    def _count(self, what: str, team: Any) -> None:
        running = self._running.get(team)
        step = running() if running is not None else None
        if step is not None and step.status == "open":
            times = step.attributes.get(what, 0)
            step.attributes[what] = times + 1 if isinstance(times, int) else 1


def turn_given() -> list[Cause]:
    """Return who gave this turn, where it was given by a message of its own."""
    carrier = arriving()
    if carrier is None or carrier.route is None:
        return []
    return [cause(carrier.route, "route", "GroupChatRequestPublish")]


def messages_of(step: OpenStep, result: TaskResult) -> object:
    """Return the messages of a run, and note why it stopped."""
    if result.stop_reason is not None:
        step.attributes[semconv.STOP_REASON] = result.stop_reason
    return list(result.messages)
