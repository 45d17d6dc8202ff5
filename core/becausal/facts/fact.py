"""A fact: one thing that a text or a piece of data states, in a form that does not depend on its wording."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Fact", "FactKind", "Found", "Key"]

FactKind = Literal[
    "code",
    "url",
    "email",
    "id",
    "version",
    "limit",
    "money",
    "date",
    "time",
    "percent",
    "duration",
    "quantity",
    "number",
    "rule",
    "quote",
    "name",
    "term",
]

Key = tuple[str, Hashable, bool]
"""What makes two facts the same: kind, normal form, whether it is denied."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a reader saw: up to which token, and its normal form."""

    end: int
    value: Hashable
    kind: FactKind | None = None
    """Another kind than the reader's own."""
    start: int | None = None
    """Where it begins, if not at the token that was asked about."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that is stated."""

    kind: FactKind
    value: Hashable
    """The normal form: `(Decimal("1250"), "USD")` of money, `(2026, 5, 3)` of a date, `("time", Decimal(7200))` of a
    duration; see the table in `becausal.facts.kinds`."""
    text: str
    """As it stands there."""
    span: tuple[int, int]
    """From where to where, in characters of the text that stands at the path."""
    path: tuple[object, ...] = ()
    """The keys and positions that lead to the text; empty where the text is all there is."""
    hedge: str | None = None
    """The words that make it uncertain: `about`, `I think`."""
    negated: bool = False
    """It is denied, right before it: `not $500`."""
    subject: str | None = None
    """What it is said of, as far as its place tells: the key beside it, or the nearest word that says something."""
    near: frozenset[str] = field(default=frozenset(), compare=False, repr=False)
    """The stems of the words around it: what tells a figure that became another one."""

    @property
    def key(self) -> Key:
        """What it says, whatever its wording and its place; a hedge is not part of it."""
        return self.kind, self.value, self.negated
