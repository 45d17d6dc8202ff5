"""Something odd, before it is known whether a known kind of fault explains it."""

from __future__ import annotations

from dataclasses import dataclass

from becausal.step import Step

__all__ = ["Odd"]


@dataclass(frozen=True, slots=True)
class Odd:
    """One oddity, and what shows it."""

    step: Step
    """Where it entered."""
    message: str
    evidence: tuple[str, ...]
    confidence: float
    wrong: str = ""
    """The words that are wrong, as far as they can be told: if the answer has them, they reached it."""
    right: str = ""
    """The words that should stand there: if the answer has them and not the wrong ones, somebody put it right."""
