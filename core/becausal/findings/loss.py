"""What a loss on the way is: the part of a payload that did not arrive as it was sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from becausal.delta import path_text
from becausal.facts import Fact

__all__ = ["Loss", "LossKind", "shown"]

LossKind = Literal["truncated", "dropped", "flattened", "reordered", "duplicated", "injected", "mutated"]

WIDEST: Final = 160
"""Characters of a value that evidence shows."""


@dataclass(frozen=True, slots=True)
class Loss:
    """One part that did not arrive as it was sent, or that arrived and was not sent."""

    kind: LossKind
    at: tuple[object, ...]
    """The keys and positions: in what was sent; of what came in, in what was received."""
    before: object
    """None for what came in."""
    after: object
    """None for what did not arrive."""
    confidence: float
    facts: tuple[Fact, ...] = ()
    """What was stated and is no longer; of what came in, what it states."""
    instead: tuple[Fact, ...] = ()
    """What is stated in its place."""
    why: str = ""
    """What shows it, where that is more than the two values."""

    @property
    def path(self) -> str:
        """The place as text: `$.messages[3].content`."""
        return path_text(self.at)


def shown(value: object) -> str:
    """Return a value as evidence shows it: its beginning and its end."""
    text = value if isinstance(value, str) else repr(value)
    if len(text) <= WIDEST:
        return text
    half = WIDEST // 2
    return f"{text[:half]} … {text[-half:]}"
