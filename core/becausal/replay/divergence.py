"""A call that the record does not know: where, what was asked, and what had been asked there."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Literal

from becausal.answers.comparison.counterparts import Counterparts
from becausal.delta import Delta, delta
from becausal.payload import Payload
from becausal.step import Step, StepKind

__all__ = ["NEEDS_LIVE", "Divergence", "DivergenceError", "Why"]

Why = Literal["unknown", "needs_live", "unmade", "network", "timeout", "ended"]
"""Why a replay stopped. `unknown`: the record knows no such call. `needs_live`: an edit changed what is asked, and
nobody was allowed to answer. `unmade`: the recorded answer could not be made again. `network`: the app
reached for it. `timeout`: it did not end in the time that it was given. `ended`: a thread asked that nobody had waited
for."""

OWN_SECRET: Final = (
    "it sends a secret of its own where the recorded one had been given to it: take it from there, or replay with the "
    "record's BECAUSAL_REDACTION_KEY if the two are one"
)


NEEDS_LIVE: Final = "what it asks has changed, so it would need a live call"


@dataclass(frozen=True)
class Divergence:
    """The first place where a replay left the record."""

    why: Why
    kind: StepKind
    name: str
    agent: str | None
    place: str
    """The enclosing steps, the outermost first."""
    request: Payload | None
    """What was asked."""
    step_id: str
    """The step of the replay that asked."""
    nearest: Step | None = None
    """The recorded step that most likely stood there."""
    detail: str = ""
    allows: str = field(default="", repr=False)
    """What would let it pass."""
    secrets: Counterparts | None = field(default=None, repr=False, compare=False)
    """Which of the replay's secrets are which of the record's."""

    @cached_property
    def delta(self) -> Delta:
        """What differs between the recorded request and this one; empty where one of them is not kept."""
        recorded = None if self.nearest is None else self.nearest.received
        if recorded is None or self.request is None or not recorded.is_kept or not self.request.is_kept:
            return Delta(())
        value, asked = recorded.value(), self.request.value()
        return delta(value, asked if self.secrets is None else self.secrets.led_back(value, asked)[0])

    @property
    def brings_its_own(self) -> str:
        """What is said where the app sends a secret of its own, and the record gave it the one that was sent there."""
        recorded = None if self.nearest is None else self.nearest.received
        if self.secrets is None or self.why not in ("unknown", "needs_live"):
            return ""
        if recorded is None or self.request is None or not recorded.is_kept or not self.request.is_kept:
            return ""
        return OWN_SECRET if self.secrets.is_of_the_app(recorded.value(), self.request.value()) else ""

    def __str__(self) -> str:
        who = f" of {self.agent}" if self.agent and self.agent != self.name else ""
        said = {
            "unknown": "the record knows no such call",
            "needs_live": NEEDS_LIVE,
            "unmade": "the recorded answer cannot be made again",
            "network": "the app reached for the network",
            "timeout": "it had not ended when its time was up",
            "ended": "the replay had ended, and nobody waited for this thread",
        }[self.why]
        parts = [f"{self.kind} {self.name!r}{who} at {self.place}: {said}"]
        parts += [text for text in (self.detail, self.brings_its_own, self.allows) if text]
        return "; ".join(parts)


class DivergenceError(BaseException):
    """Ends the replayed run where it leaves the record.

    No `Exception`, on purpose: a retry, a fallback or a tool node that tells the model of every exception would go on
    with it, and the run would be another one from there.
    """

    def __init__(self, divergence: Divergence) -> None:
        super().__init__(str(divergence))
        self.divergence = divergence
