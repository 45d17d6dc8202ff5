"""The turn that a message brought about, of an agent that is written on autogen-core alone."""

from __future__ import annotations

from typing import Any

from becausal.context import current
from becausal.recorder import Recorder
from becausal.step import OpenStep, Status, StepRef
from becausal_integrations.autogen.carrier import Carrier
from becausal_integrations.autogen.deliveries import ERROR, UNHANDLED
from becausal_integrations.autogen.ledger import Notes, notes_of
from becausal_integrations.autogen.protobuf import plain

__all__ = ["Turn", "Turns"]


class Turn(Notes):
    """What is noted of a turn that a message brought about."""

    __slots__ = ("carrier",)

    def __init__(self, agent: object, within: StepRef | None, carrier: Carrier | None) -> None:
        super().__init__(agent, within)
        self.carrier = carrier
        """Until the turn is over: or each turn would hold the message before, back to the first."""


class Turns:
    """Describes how turns end."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def handled(self, step: OpenStep, result: Any) -> object:
        """Seal what an agent returned; to a direct message it is the answer."""
        carrier = _released(step)
        if carrier is None or result is None or carrier.topic is not None:
            return result
        produced = self._recorder.seal(plain(result))
        carrier.answer = step, produced
        return produced

    def failed(self, step: OpenStep, error: BaseException) -> Status | None:
        """Say what becomes of an exception that nobody waits for: of the handler of a broadcast."""
        notes, carrier = step.attributes, _released(step)
        if carrier is not None and carrier.topic is not None and isinstance(notes, Turn):
            runtime = getattr(notes.owner, "_runtime", None)
            ignores = getattr(runtime, "_ignore_unhandled_handler_exceptions", True)
            notes[ERROR] = "swallowed" if ignores else "raised later"
        return None

    def unhandled(self, agent: Any, *_: Any, **__: Any) -> None:
        """Note that a handler's own condition (`match=`) did not hold, so that no handler ran."""
        here = current()
        notes = notes_of(here)
        if notes is not None and notes.owner is agent:
            notes[UNHANDLED] = True


def _released(step: OpenStep) -> Carrier | None:
    notes = step.attributes
    if not isinstance(notes, Turn):
        return None
    carrier, notes.carrier = notes.carrier, None
    return carrier
