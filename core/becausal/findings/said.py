"""What a finding's evidence says is wrong, and what it says should stand there: read out of its quoted words."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from becausal import facts as stating
from becausal.facts import Fact, missing
from becausal.facts.fact import Key
from becausal.finding import Finding

__all__ = ["Said"]

_RIGHT: Final = ("stated: ",)
_WRONG: Final = ("instead: ", "states: ")
_FALSE: Final = ("model.ungrounded", "memory.stale_read", "memory.retracted_read", "memory.aliased")
"""Kinds of findings whose evidence quotes what should not be there."""

_CHANGED: Final = ("drift.changed_fact", "drift.lost_fact", "memory.lost_update")
"""Kinds of findings whose evidence quotes, first of all, what should be there."""


@dataclass(frozen=True)
class Said:
    """The content of one finding."""

    finding: Finding

    @cached_property
    def wrong(self) -> tuple[str, ...]:
        """The words that are there and should not be."""
        kind, rows = self.finding.kind, self.finding.evidence
        if kind == "drift.changed_fact":
            return rows[1:2]
        if kind in _FALSE:
            return rows[:1]
        return _after(rows, _WRONG)

    @cached_property
    def right(self) -> tuple[str, ...]:
        """The words that should be there."""
        kind, rows = self.finding.kind, self.finding.evidence
        if kind in _CHANGED:
            return rows[:1]
        if kind == "context.evicted":
            return rows
        return _after(rows, _RIGHT)

    @cached_property
    def wrong_facts(self) -> tuple[Fact, ...]:
        """What the wrong words state."""
        return tuple(fact for text in self.wrong for fact in stating.facts(text))

    @cached_property
    def right_facts(self) -> tuple[Fact, ...]:
        """What the right words state."""
        return tuple(fact for text in self.right for fact in stating.facts(text))

    @cached_property
    def keys(self) -> frozenset[Key]:
        """What the finding is about, whichever way it went."""
        return frozenset(fact.key for fact in (*self.wrong_facts, *self.right_facts))

    def is_put_right(self, stated: tuple[Fact, ...], text: str) -> bool:
        """Say whether a text states what should be there, and not what should not.

        False where the evidence quotes nothing that could be looked for.
        """
        if any(not missing([fact], stated, text=text) for fact in self.wrong_facts):
            return False
        return bool(self.right_facts) and not missing(self.right_facts, stated, text=text)


def _after(rows: tuple[str, ...], beginnings: tuple[str, ...]) -> tuple[str, ...]:
    found = (row.removeprefix(start) for row in rows for start in beginnings if row.startswith(start))
    return tuple(text.strip("'\"") for text in found)
