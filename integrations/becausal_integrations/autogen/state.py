"""States that are saved and loaded: of a runtime, a team, an agent. What goes on from which work is known by content.

A saved state has no id, and may be kept anywhere and loaded by another process. So its digest is the name by which the
save is found again: `autogen state <digest>`, an anchor. A state that was edited in between has another digest, and
goes on from nothing that is known. The digest is that of the state as JSON would bring it back, since most apps keep
states as JSON: a tuple that became a list is the same state.
"""

from __future__ import annotations

import contextlib
import contextvars
import json
from collections.abc import Iterator, Mapping
from typing import Any

from becausal import semconv
from becausal.context import current
from becausal.guard import guarded
from becausal.recorder import NOTHING, Observation, Opening, Recorder
from becausal.step import Cause, OpenStep, RemoteStep, StepRef
from becausal_integrations.autogen.ledger import Notes, notes_of, remote
from becausal_integrations.autogen.snapshots import snapshot
from becausal_integrations.identity import ByIdentity, Recent

__all__ = ["STATE", "STATE_UNKNOWN", "States", "unseen"]

MOST_STATES = 1_000
"""Saves of this process that are remembered without the store."""

STATE_DIGEST = "autogen.state.digest"
"""Of the state that was saved or loaded, in the form that its anchor is known by."""


STATE = "state"
"""Under which name the state that a run goes on from is kept; see `Recorder.keep`."""

STATE_UNKNOWN = "autogen.state.unknown"
"""The run goes on from a state that only the app's own code could tell, or that is too long to be told each time."""

_unseen: contextvars.ContextVar[bool] = contextvars.ContextVar("becausal_autogen_unseen", default=False)


@contextlib.contextmanager
def unseen() -> Iterator[None]:
    """Save and load without a step: what is done for a replay alone."""
    token = _unseen.set(True)
    try:
        yield
    finally:
        _unseen.reset(token)


class States:
    """Describes `save_state` and `load_state`, of whatever has them.

    A save is a `memory_write`: received is the state. A load is a `memory_read`: produced is the state, and the save is
    its cause (`resume`). What is called within one of them (a team saves each of its agents) is a part of it, and no
    step of its own. Outside every chain a save stands in the chain of the work that led to the state, a load in that
    of the save; where there is none, there is nothing to tell.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._saves: Recent[StepRef] = Recent(MOST_STATES)
        """By anchor."""
        self._worked: ByIdentity[RemoteStep] = ByIdentity()
        self._loaded: ByIdentity[RemoteStep] = ByIdentity()
        self.saving = Observation(self._saving, self._saved)
        self.loading = Observation(self._loading, self._restored)

    def worked(self, thing: object, step: StepRef) -> None:
        """Note that what a thing is now comes from a step's work: what it saves later stands in that chain."""
        self._worked.put(thing, remote(step))

    def goes_on(self, thing: object) -> list[Cause]:
        """Return the cause of the first work after a load: the load; nothing for any later work."""
        loaded = self._loaded.pop(thing)
        if loaded is None:
            return []
        return [Cause(loaded.id, "resume", "observed", "load_state", loaded.span_context)]

    # What a run goes on from, for a replay of it

    def is_loaded(self, thing: object) -> bool:
        """Return whether a state was loaded that no work has gone on from yet."""
        return self._loaded.get(thing) is not None

    @guarded
    def note(self, thing: Any, notes: Notes) -> None:
        """Fix the state that a team or an agent is in as it begins to run, until `keep` has a step for it.

        Only where AutoGen's own code tells the state: an app's is not to be called by us.
        """
        if self._recorder.level == "boundaries" or self._recorder.withholds_content:
            return
        with unseen():
            state = snapshot(thing)
        if state is None:
            notes[STATE_UNKNOWN] = True
        else:
            notes.state = self._recorder.kept(state)

    def keep(self, step: OpenStep) -> None:
        """Keep with a run what it went on from."""
        notes = step.attributes
        if isinstance(notes, Notes) and notes.state is not None:
            sealed, notes.state = notes.state, None
            self._recorder.keep(step, STATE, sealed)

    # Saving

    def _saving(self, thing: Any, *_: Any, **__: Any) -> Opening | None:
        here = current()
        parent = None if here is not None else self._worked.get(thing)
        if _unseen.get() or _is_within(here) or (here is None and parent is None):
            return None
        return Opening("memory_write", _name(thing), parent=parent, attributes=_notes(thing, here))

    def _saved(self, step: OpenStep, state: Any) -> object:
        self._recorder.receive(step, state)
        digest = self._digest(state)
        step.attributes[STATE_DIGEST] = digest
        step.anchor(_anchor(digest))
        self._saves.put(_anchor(digest), remote(step))
        return NOTHING

    # Loading

    def _loading(self, thing: Any, *args: Any, state: Any = None, **_: Any) -> Opening | None:
        here = current()
        if _unseen.get() or _is_within(here) or self._recorder.level == "boundaries":
            return None
        given = (
            args[-1] if state is None and args else state
        )  # `agent_load_state(agent, state)` has one before
        sealed = self._recorder.seal(given)
        digest = self._digest(given)
        save = self._saves.find(_anchor(digest)) or self._recorder.anchored(_anchor(digest))
        if here is None and save is None:
            return None
        notes = _notes(thing, here)
        notes[STATE_DIGEST], notes.content = digest, sealed
        return Opening(
            "memory_read",
            _name(thing),
            parent=save if here is None else None,
            causes=[Cause(save.id, "resume", "matched", _anchor(digest), save.span_context)] if save else (),
            attributes=notes,
        )

    def _restored(self, step: OpenStep, _: None) -> object:
        notes = step.attributes
        if not isinstance(notes, Notes):
            return NOTHING
        self._loaded.put(notes.owner, remote(step))
        self._worked.put(notes.owner, remote(step))
        return notes.content

    def _digest(self, state: object) -> str:
        with contextlib.suppress(TypeError, ValueError):  # what JSON does not take is known by what it is
            state = json.loads(json.dumps(state))
        return self._recorder.seal(state).payload.digest


def _notes(thing: object, here: StepRef | None) -> Notes:
    return Notes(thing, here, {semconv.MEMORY_STORE: _name(thing), semconv.MEMORY_RECORD: "state"})


def _is_within(here: StepRef | None) -> bool:
    """Return whether the current step is a save or a load itself."""
    notes = notes_of(here)
    return notes is not None and notes.get(semconv.MEMORY_RECORD) == "state"


def _anchor(digest: str) -> str:
    return f"autogen state {digest}"


def _name(thing: Any) -> str:
    """Return the name that the app gave; a runtime has none but its class's."""
    held: Mapping[str, object] = getattr(thing, "__dict__", {})
    name = held.get("_name")
    return name if isinstance(name, str) else type(thing).__name__
