"""The state that the executors of a workflow share: what was written under a key, and who reads that.

A write is a `memory_write` of its own and a read a `memory_read`, since what an executor reads is nowhere in the
message that it was given. Versions are counted by us; see `becausal.versions`. What the framework itself keeps there,
under names that begin with an underscore, is not told.

Source: agent-framework-core 1.23.0, `_workflows/_state.py`.
"""

from __future__ import annotations

from typing import Any

from becausal import semconv
from becausal.context import current
from becausal.recorder import NOTHING, Observation, Opening, Recorder
from becausal.redaction.naming import hidden_name
from becausal.step import OpenStep
from becausal_integrations.agent_framework.ledger import Ledger, Notes, notes_of
from becausal_integrations.agent_framework.messages import told

__all__ = ["SharedState"]

STORE = "state"
"""What the shared state is called among the memories of a run."""


class SharedState:
    """Says what `set_state` and `get_state` of a workflow's context mean, and of a functional one's."""

    def __init__(self, recorder: Recorder, ledger: Ledger) -> None:
        self._recorder, self._ledger = recorder, ledger
        self.write = Observation(self._writing, self._written)
        self.read = Observation(self._reading, self._found)

    def _writing(self, context: Any, key: str, value: Any) -> Opening | None:
        if current() is None or _is_frameworks(key):
            return None
        return Opening("memory_write", STORE, received=told(value), attributes=self._notes(context, key))

    def _written(self, step: OpenStep, _: None) -> object:
        notes = notes_of(step)
        if notes is not None and step.received is not None:
            version = self._ledger.versions.wrote(notes.owner, _key(notes), step.received.digest, step)
            notes[semconv.MEMORY_VERSION] = version.number
        return NOTHING

    def _reading(self, context: Any, key: str, default: Any = None) -> Opening | None:
        if current() is None or _is_frameworks(key):
            return None
        return Opening("memory_read", STORE, attributes=self._notes(context, key))

    def _found(self, step: OpenStep, value: Any) -> object:
        sealed, notes = self._recorder.seal(told(value)), notes_of(step)
        if notes is not None:
            version = self._ledger.versions.read(notes.owner, _key(notes), sealed.payload.digest)
            if version is not None:
                notes[semconv.MEMORY_VERSION] = version.number
                self._recorder.cause(step, version.cause())
        return sealed

    def _notes(self, context: Any, key: str) -> Notes:
        # A functional workflow's context has the state in a dict of its own.
        state = getattr(context, "_state", None)
        owner = state if type(state).__weakrefoffset__ else context
        name = hidden_name(str(key)) if self._recorder.withholds_content else str(key)
        its = self._ledger.versions.name_of(owner)
        return Notes(
            owner, {semconv.MEMORY_STORE: STORE, semconv.MEMORY_RECORD: name, semconv.MEMORY_INSTANCE: its}
        )


def _is_frameworks(key: object) -> bool:
    """Return whether a key is the framework's own: it keeps the arguments of a run there."""
    return isinstance(key, str) and key.startswith("_")


def _key(notes: Notes) -> str:
    return str(notes[semconv.MEMORY_RECORD])
