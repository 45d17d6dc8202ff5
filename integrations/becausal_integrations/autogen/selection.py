"""Whose turn is next, and how that was decided (autogen-agentchat's group chats).

Source: autogen-agentchat 0.7.5, `teams/_group_chat/_base_group_chat_manager.py`, `_selector_group_chat.py`,
`_swarm_group_chat.py`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from becausal import semconv
from becausal.adapter import Hooks
from becausal.context import current
from becausal.recorder import Observation, Opening, Recorder
from becausal.redaction import beginning
from becausal.step import Cause, Choice, OpenStep, StepRef
from becausal_integrations.autogen import describe
from becausal_integrations.autogen.hooking import noticed, observed
from becausal_integrations.autogen.ledger import Ledger, Notes, notes_of, owns, remote
from becausal_integrations.autogen.teams import Teams
from becausal_integrations.patch import Notice, family

__all__ = ["Selection"]

GROUP_CHATS = "autogen_agentchat.teams._group_chat"


class Selection:
    """Describes the choices of group chat managers."""

    def __init__(self, recorder: Recorder, ledger: Ledger, teams: Teams) -> None:
        self._recorder, self._ledger, self._teams = recorder, ledger, teams

    def hook(self, hooks: Hooks) -> None:
        """Hook the managers of group chats."""
        seen = functools.partial(observed, self._recorder)
        family(
            hooks,
            f"{GROUP_CHATS}._base_group_chat_manager:BaseGroupChatManager",
            {"select_speaker": seen(Observation(self._selecting, self._selected, edited=_chosen))},
        )
        family(
            hooks,
            f"{GROUP_CHATS}._selector_group_chat:SelectorGroupChatManager",
            {"_select_speaker": noticed(self._recorder, Notice(_asked_model))},
        )

    def _selecting(self, manager: Any, thread: Sequence[Any], *_: Any, **__: Any) -> Opening | None:
        here = current()
        if owns(here, manager):
            return None
        new = self.newly_said(manager, thread)
        # Not in the payload: a name is no content, and would be led back to whatever named it before.
        notes = Notes(manager, here, {semconv.ROUTE_CANDIDATES: tuple(manager._participant_names)})
        notes.content = Before(new, getattr(manager, "_previous_speaker", None))
        return Opening(
            "route",
            manager._name,
            agent=manager._name,
            received=describe.heads(new, self._recorder.shown),
            causes=[*self._teams.taken_up(here), *self.said(new)],
            attributes=notes,
        )

    def newly_said(self, manager: Any, thread: Sequence[Any]) -> Sequence[Any]:
        """Return what a manager has not judged yet, and note that it does now."""
        judged = self._ledger.threads.get(manager) or 0
        self._ledger.threads.put(manager, len(thread))
        return thread[judged:] if judged <= len(thread) else thread

    def said(self, messages: Sequence[Any]) -> list[Cause]:
        """Return the causes that messages are."""
        found = [self._ledger.messages.find(message.id) for message in messages]
        return [known.cause for known in found if known is not None]

    def _selected(self, step: OpenStep, chosen: list[str] | str) -> object:
        notes = step.attributes
        names = [chosen] if isinstance(chosen, str) else chosen
        reason = None
        if isinstance(notes, Notes):
            manager: Any = notes.owner
            self._ledger.routes.put(str(manager.id), remote(step))
            reason = _explained(manager, notes, names)
        self._recorder.decide(step, Choice(f"next speaker: {', '.join(names) or 'nobody'}", reason=reason))
        return chosen


def _chosen(change: Callable[[Any], Any], chosen: list[str] | str) -> Any:
    """Return what an edit makes of a choice: one name, or several."""
    made = change(chosen)
    return list(made) if isinstance(made, tuple) else made


class Before:
    """What stood before a manager chose."""

    __slots__ = ("new", "previous")

    def __init__(self, new: Sequence[Any], previous: object) -> None:
        self.new, self.previous = new, previous


def _asked_model(_: Any, roles: str, participants: list[str], *__: Any, **___: Any) -> None:
    notes = notes_of(current())
    if notes is not None:
        notes[semconv.ROUTE_CANDIDATES] = tuple(participants)
        notes[semconv.ROUTE_BY] = "model"


def _explained(manager: Any, notes: Notes, names: Sequence[str]) -> str | None:
    """Note by what a choice was made, and whether that fell back; returns what was said for it."""
    before, notes.content = notes.content, None
    if not isinstance(before, Before):
        return None
    match describe.manager_kind(manager):
        case "selector":
            return _of_selector(manager, notes, before, names)
        case "swarm":
            handoff = next((message for message in reversed(before.new) if hasattr(message, "target")), None)
            notes[semconv.ROUTE_BY] = "same speaker" if handoff is None else "handoff"
            return None if handoff is None else describe.head(handoff)
        case kind:
            if kind is not None:
                notes[semconv.ROUTE_BY] = kind
            return None


def _of_selector(manager: Any, notes: Notes, before: Before, names: Sequence[str]) -> str | None:
    if notes.get(semconv.ROUTE_BY) != "model":
        # Of a choice that needed no model, AutoGen remembers the speaker; of one that the app's function made, not.
        is_apps = manager._selector_func is not None and (
            manager._previous_speaker is before.previous or manager._previous_speaker != names[0]
        )
        notes[semconv.ROUTE_BY] = "selector function" if is_apps else "only candidate"
        return None
    said = [text for _, text in notes.said]
    if len(said) > 1:
        notes[semconv.ATTEMPT] = len(said)
    named = describe.mentioned(manager, said[-1]) if said else []
    is_repeated = named == [before.previous] and not manager._allow_repeated_speaker
    if len(named) != 1 or is_repeated:
        # Source: `_select_speaker`, after its last attempt.
        notes[semconv.ROUTE_FALLBACK] = "first candidate" if before.previous is None else "previous speaker"
    return beginning(said[-1]) if said else None


def stage_of(manager: object, here: StepRef | None) -> StepRef | None:
    """Return the step that a manager's work stands in, past steps of its own: or they would nest without end."""
    while owns(here, manager):
        notes = notes_of(here)
        here = None if notes is None else notes.within
    return here
