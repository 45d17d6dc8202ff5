"""The orchestrator of Magentic-One: its plans, its ledger turns and its answer (autogen-agentchat).

It chooses the next speaker by no `select_speaker` of its own. So its parts are told one by one: a plan (`plan`: the
facts and the plan that the model gave, from which a new round begins), a ledger turn (`route`: the progress ledger, and
what followed from it), and the final answer (`agent`). The two model calls of the first plan stand beside it: they are
made in a handler, which cannot be hooked in an agent that lives already.

Source: autogen-agentchat 0.7.5, `teams/_group_chat/_magentic_one/_magentic_one_orchestrator.py`.
"""

from __future__ import annotations

import functools
from typing import Any

from becausal import semconv
from becausal.adapter import Hooks
from becausal.context import current
from becausal.recorder import NOTHING, Observation, Opening, Recorder
from becausal.step import Choice, OpenStep
from becausal_integrations.autogen import describe
from becausal_integrations.autogen.carrier import arriving
from becausal_integrations.autogen.hooking import noticed, observed
from becausal_integrations.autogen.ledger import Ledger, Notes, cause, notes_of, owns, remote
from becausal_integrations.autogen.selection import Selection, stage_of
from becausal_integrations.autogen.teams import Teams
from becausal_integrations.patch import Notice, family

__all__ = ["Orchestrator"]

STALLS = "autogen.magentic.stalls"
"""Turns without progress, as the orchestrator counts them; with too many of them it plans anew."""

ROUND = "autogen.magentic.round"
"""How many ledger turns there were."""

MOST_READ = 64
"""So many of the messages that the final answer was made from are named as its causes, the latest."""


class Orchestrator:
    """Describes what Magentic-One's orchestrator does."""

    def __init__(self, recorder: Recorder, ledger: Ledger, teams: Teams, selection: Selection) -> None:
        self._recorder, self._ledger, self._teams, self._selection = recorder, ledger, teams, selection

    def hook(self, hooks: Hooks) -> None:
        """Hook the orchestrator."""
        seen = functools.partial(observed, self._recorder)
        transcribed = Notice(lambda manager: manager, self._transcribed)
        family(
            hooks,
            "autogen_agentchat.teams._group_chat._magentic_one._magentic_one_orchestrator:MagenticOneOrchestrator",
            {
                "_reenter_outer_loop": seen(Observation(self._planned, _as_planned)),
                "_orchestrate_step": seen(Observation(self._judging, self._judged)),
                "_prepare_final_answer": seen(Observation(self._answering, self._answered)),
                "_thread_to_context": noticed(self._recorder, transcribed),
            },
        )

    # A plan

    def _planned(self, manager: Any, *_: Any, **__: Any) -> Opening | None:
        here = current()
        outer = notes_of(here)
        if _is_within(manager, "plan"):
            return None
        asked = outer.said[-2:] if outer is not None else ()
        if outer is not None and owns(here, manager):
            outer.content = "a new plan"
            _count(outer, manager)  # as it is now: the next turns begin within this one
        self._ledger.threads.put(manager, 0)  # its thread begins anew
        self._ledger.transcribed.put(manager, 0)
        stage = stage_of(manager, here)
        notes = Notes(manager, stage, {STALLS: manager._n_stalls})
        made = {"facts": manager._facts, "plan": manager._plan}
        notes.content = self._recorder.seal({"task": manager._task, **made})
        return Opening(
            "plan",
            manager._name,
            agent=manager._name,
            received=made,
            parent=stage,
            causes=[
                *self._teams.taken_up(here),
                *([cause(stage, "data", "the task")] if stage is not None else []),
                *(cause(step, "data", "its own answer") for step, _ in asked),
            ],
            attributes=notes,
        )

    # A ledger turn

    def _judging(self, manager: Any, *_: Any, **__: Any) -> Opening | None:
        here = current()
        if _is_within(manager, "route"):
            return None
        stage = stage_of(manager, here)
        new = self._selection.newly_said(manager, manager._message_thread)
        return Opening(
            "route",
            manager._name,
            agent=manager._name,
            received=describe.heads(new, self._recorder.shown),
            parent=stage,
            causes=self._selection.said(new),
            attributes=Notes(manager, stage, {semconv.ROUTE_CANDIDATES: tuple(manager._participant_names)}),
        )

    def _judged(self, step: OpenStep, _: None) -> object:
        notes = step.attributes
        if not isinstance(notes, Notes):
            return NOTHING
        manager: Any = notes.owner
        if STALLS not in notes:
            _count(notes, manager)
        progress = next(filter(None, (describe.progress(text) for _, text in reversed(notes.said))), None)
        if isinstance(notes.content, str):
            satisfied = None if progress is None else progress["is_request_satisfied"]
            self._recorder.decide(step, Choice(f"route to {notes.content}", reason=_reason(satisfied)))
        elif progress is not None:
            chosen = progress["next_speaker"]
            choice = Choice(f"next speaker: {chosen.get('answer')}", reason=_reason(chosen))
            self._recorder.decide(step, choice)
        return NOTHING if progress is None else progress

    def _transcribed(self, manager: Any, context: Any, error: BaseException | None) -> None:
        here = current()
        if error is not None or not isinstance(here, OpenStep) or not owns(here, manager):
            return
        if here.kind == "route":  # from here on, what it publishes carries this choice out
            self._ledger.routes.put(str(manager.id), remote(here))
        thread = [message for message in manager._message_thread if not describe.is_of_tools(message)]
        shown = self._ledger.transcribed.get(manager) or 0
        for number, (message, copied) in enumerate(zip(thread, context, strict=False)):
            origin = self._ledger.origin(message, None)
            if origin is None:
                continue
            self._ledger.tag_of(copied, origin)
            tag = self._ledger.tags.get(copied)
            if tag is not None and number < shown:  # made anew for each call, but no news
                tag.readers += (manager._name,)
        self._ledger.transcribed.put(manager, len(thread))

    # The answer

    def _answering(self, manager: Any, *_: Any, **__: Any) -> Opening | None:
        here = current()
        if _is_within(manager, "agent"):
            return None
        outer = notes_of(here)
        if outer is not None and owns(here, manager):
            outer.content = "the final answer"
        stage = stage_of(manager, here)
        read = manager._message_thread[-MOST_READ:]
        return Opening(
            "agent",
            manager._name,
            agent=manager._name,
            received=list(read),
            parent=stage,
            causes=self._selection.said(read),
            attributes=Notes(manager, stage),
        )

    def _answered(self, step: OpenStep, _: None) -> object:
        manager: Any = step.attributes.owner if isinstance(step.attributes, Notes) else None
        thread = [] if manager is None else manager._message_thread
        return self._ledger.seal(thread[-1]) if thread else NOTHING


def _as_planned(step: OpenStep, _: None) -> object:
    return step.attributes.content if isinstance(step.attributes, Notes) else NOTHING


def _count(notes: Notes, manager: Any) -> None:
    notes[STALLS], notes[ROUND] = manager._n_stalls, manager._n_rounds


def _is_within(manager: object, kind: str) -> bool:
    """Return whether a method calls the one that it overrides: the same work.

    A message that was sent in a turn of the orchestrator's brings that turn's context along; that is no call.
    """
    here = current()
    is_own = owns(here, manager) and isinstance(here, OpenStep) and here.kind == kind
    return is_own and arriving() is None


def _reason(entry: object) -> str | None:
    said = entry.get("reason") if isinstance(entry, dict) else None
    return said if isinstance(said, str) else None
