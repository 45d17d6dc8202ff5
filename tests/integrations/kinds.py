"""Reading a recorded chain in a test."""

from __future__ import annotations

from becausal.payload import Payload
from becausal.step import Step


class Kinds:
    """The steps of a run, by kind and name."""

    def __init__(self, steps: list[Step]) -> None:
        self.steps = steps
        self.by_id = {step.id: step for step in steps}

    def all(self, kind: str, name: str | None = None) -> list[Step]:
        return [step for step in self.steps if step.kind == kind and name in (None, step.name)]

    def one(self, kind: str, name: str | None = None) -> Step:
        found = self.all(kind, name)
        assert len(found) == 1, f"{len(found)} steps {kind} {name}"
        return found[0]

    def causes(self, step: Step, *kinds: str) -> list[Step]:
        return [self.by_id[cause.source_id] for cause in step.causes if not kinds or cause.kind in kinds]

    def senders(self, turn: Step) -> list[Step]:
        """Return the steps whose messages a turn read."""
        return [
            sender for handoff in self.causes(turn, "transfer") for sender in self.causes(handoff, "transfer")
        ]

    def upstream(self, step: Step) -> set[str]:
        found: set[str] = set()
        waiting = [step]
        while waiting:
            for cause in self.causes(waiting.pop()):
                if cause.id not in found:
                    found.add(cause.id)
                    waiting.append(cause)
        return found


def said(payload: Payload | None) -> list[str]:
    """Return what each of the messages of a payload says."""
    messages = payload.value() if payload is not None else None
    assert isinstance(messages, list)
    return [message["content"] for message in messages]
