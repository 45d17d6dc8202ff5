"""A decision: a short receipt of what was concluded, from what, and how surely."""

from __future__ import annotations

from dataclasses import dataclass

from becausal.step import Choice, Step

__all__ = ["Confidence", "Decision"]


@dataclass(frozen=True, slots=True)
class Confidence:
    """How sure the decider was."""

    score: float
    """0 to 1."""
    method: str
    """Where the score comes from: `declared` by the app, `logprobs`, `stated` in the text."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision of one step."""

    step: Step
    choice: Choice

    @property
    def conclusion(self) -> str:
        """What was decided: `call search(query='…')`, `hand over to writer`, the answer's head."""
        return self.choice.conclusion

    @property
    def premises(self) -> tuple[str, ...]:
        """What it was decided on: the received contents that were new to the decider, or what the app said."""
        return self.choice.premises

    @property
    def reason(self) -> str | None:
        """The reasoning that was stated, if any."""
        return self.choice.reason

    @property
    def confidence(self) -> Confidence | None:
        """None where nothing is known of it."""
        if self.choice.score is None:
            return None
        return Confidence(self.choice.score, self.choice.method or "declared")
