"""An agent's memory: histories, which are kept by session, and other context providers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from becausal import semconv
from becausal.context import current
from becausal.recorder import NOTHING, Observation, Opening, Recorder
from becausal.redaction.naming import hidden_name
from becausal.step import OpenStep
from becausal.versions import Version
from becausal_integrations.agent_framework.ledger import Ledger, Notes, forget_made, notes_of, owns
from becausal_integrations.agent_framework.messages import messages_of, told

__all__ = ["Memories"]


class Memories:
    """Says what is asked of a provider, and what it is given to keep."""

    def __init__(self, recorder: Recorder, ledger: Ledger) -> None:
        self._recorder, self._ledger = recorder, ledger
        self.history_read = Observation(self._reading, self._read)
        self.history_write = Observation(self._saving, self._saved, forget_made)
        self.provided = Observation(self._providing, self._given, forget_made)
        self.taken_in = Observation(self._taking_in)

    # History: a memory whose keys are sessions

    def _reading(self, provider: Any, session_id: str | None = None, *_: Any, **__: Any) -> Opening | None:
        return _memory("memory_read", provider, self._named(session_id), NOTHING)

    def _named(self, session_id: str | None) -> str | None:
        return hidden_name(session_id) if session_id and self._recorder.withholds_content else session_id

    def _read(self, step: OpenStep, found: Any) -> object:
        notes = notes_of(step)
        messages = messages_of(found)
        if notes is not None and messages:
            version = self._version(notes, messages[-1])
            if version is not None:
                step.attributes[semconv.MEMORY_VERSION] = version.number
                self._recorder.cause(step, version.cause())
        return told(found)

    def _version(self, notes: Notes, last: Any) -> Version | None:
        """Return the write that a history ends with."""
        return self._ledger.versions.read(notes.owner, _key(notes), self._digest(last))

    def _saving(
        self, provider: Any, session_id: str | None = None, messages: Sequence[Any] = (), *_: Any, **__: Any
    ) -> Opening | None:
        return _memory(
            "memory_write", provider, self._named(session_id), told(list(messages)), tuple(messages[-1:])
        )

    def _saved(self, step: OpenStep, _: None) -> object:
        notes = notes_of(step)
        made = [] if notes is None else notes.take_made()
        if notes is not None and made:
            digest = self._digest(made[0][0])
            version = self._ledger.versions.wrote(notes.owner, _key(notes), digest, step)
            step.attributes[semconv.MEMORY_VERSION] = version.number
        return NOTHING

    def _digest(self, message: Any) -> str:
        # The meaning: a provider that stores text gives messages back with other ids.
        return self._recorder.seal(told(message)).payload.belief

    # Other context providers

    def _providing(self, provider: Any, *_: Any, context: Any = None, **__: Any) -> Opening | None:
        if context is None or _is_history(provider) or not _overrides(provider, "before_run"):
            return None
        opening = _memory("memory_read", provider, None, told(list(context.input_messages)))
        if opening is not None and isinstance(opening.attributes, Notes):
            opening.attributes.made = [(context, None), (len(_instructions(context)), None)]
        return opening

    def _given(self, step: OpenStep, _: None) -> object:
        notes = notes_of(step)
        made: list[Any] = [] if notes is None else [value for value, _ in notes.take_made()]
        if not made:
            return NOTHING
        context, known = made
        return told([*_instructions(context)[known:], *context.context_messages.get(step.name, ())])

    def _taking_in(self, provider: Any, *_: Any, context: Any = None, **__: Any) -> Opening | None:
        if context is None or _is_history(provider) or not _overrides(provider, "after_run"):
            return None
        answer = messages_of(context.response)
        return _memory("memory_write", provider, None, told([*context.input_messages, *answer]))


def _memory(
    kind: Literal["memory_read", "memory_write"],
    provider: Any,
    session_id: str | None,
    received: object,
    last: Sequence[Any] = (),
) -> Opening | None:
    if owns(current(), provider):
        return None
    name = str(getattr(provider, "source_id", None) or type(provider).__name__)
    notes = Notes(provider, {semconv.MEMORY_STORE: name})
    if session_id is not None:
        notes[semconv.MEMORY_RECORD] = session_id
    notes.made = [(message, None) for message in last]
    return Opening(kind, name, received=received, attributes=notes)


def _instructions(context: Any) -> list[str]:
    return list(getattr(context, "instructions", ()))


def _key(notes: Notes) -> str:
    return str(notes.get(semconv.MEMORY_RECORD, "-"))


def _is_history(provider: Any) -> bool:
    """Return whether a provider's own reads and writes are watched."""
    return hasattr(type(provider), "get_messages")


def _overrides(provider: Any, method: str) -> bool:
    return not getattr(type(provider), method).__qualname__.startswith("ContextProvider.")
