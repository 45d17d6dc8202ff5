"""What a text or a piece of data states, in forms that do not depend on the wording. Needs no model.

    facts("USD 1,250.00, due no later than 3 May 2026")
        money (Decimal("1250.00"), "USD") and limit ("<=", "date", (2026, 5, 3))

Deterministic, and linear in the size of the payload. The kinds, their order and their normal forms are the table in
`becausal.facts.kinds`. English by default; another locale has its own separators, months, units and currencies from
CLDR, and hedges, limits and rules once it has a module of words (`becausal.facts.words`).

Not read: what a picture shows, what bytes hold, pronouns, sums that nobody wrote down. A name is known by its capitals
alone. A number beside no unit is a number.
"""

from __future__ import annotations

from becausal.facts.compare import added, changed, hedges_lost, missing
from becausal.facts.data import Reading, read
from becausal.facts.fact import Fact, FactKind
from becausal.facts.kept import remembering

__all__ = [
    "Fact",
    "FactKind",
    "Reading",
    "added",
    "changed",
    "facts",
    "hedges_lost",
    "missing",
    "read",
    "remembering",
]


def facts(value: object, *, locale: str = "en") -> tuple[Fact, ...]:
    """Return what a text or plain data states, in its order. Never raises.

    Args:
        value: a text, or data as `becausal.canonical.decode` gives it.
        locale: whose words and separators its texts have: `en`, `de`.

    Raises:
        ValueError: there is no such locale.
    """
    return read(value, locale=locale).facts
