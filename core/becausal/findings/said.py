"""What a finding says is wrong, and what it says should stand there, as facts that can be looked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from becausal import facts as stating
from becausal.facts import Fact, missing
from becausal.facts.fact import Key
from becausal.finding import Finding

__all__ = ["Said"]


@dataclass(frozen=True)
class Said:
    """The content of one finding."""

    finding: Finding

    @cached_property
    def wrong_facts(self) -> tuple[Fact, ...]:
        """What the wrong words state."""
        return tuple(fact for text in self.finding.wrong for fact in stating.facts(text))

    @cached_property
    def right_facts(self) -> tuple[Fact, ...]:
        """What the right words state."""
        return tuple(fact for text in self.finding.right for fact in stating.facts(text))

    @cached_property
    def keys(self) -> frozenset[Key]:
        """What the finding is about, whichever way it went."""
        return frozenset(fact.key for fact in (*self.wrong_facts, *self.right_facts))

    def is_put_right(self, stated: tuple[Fact, ...], text: str) -> bool:
        """Say whether a text states what should be there, and not what should not.

        False where the finding names no words that could be looked for.
        """
        if any(not missing([fact], stated, text=text) for fact in self.wrong_facts):
            return False
        return bool(self.right_facts) and not missing(self.right_facts, stated, text=text)
