"""Runs of which it is known what their outcome hangs on, made from a seed.

An app asks several tools and decides by what they say. Facts are planted in the answers and in the request: fields,
items of lists, sentences of texts. The outcome is the wrong one if, of each of some groups, one fact at least is there:

    one group of one fact          that fact is the cause
    several groups of one fact     each is a cause: the outcome needed all of them
    a group of several facts       only all of them together are a cause: each was enough

Around them stand facts that count for nothing, and answers that the app fails without.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import becausal
from becausal.counterfactual import Counterfactual
from becausal.run import Run

__all__ = ["Case", "Judged", "judged"]

NAMES = ("Orion", "Vega", "Lyra", "Altair", "Deneb", "Rigel", "Mira", "Castor", "Pollux", "Spica", "Antares")
SAYS = (
    "is overdue",
    "was paid twice",
    "has no contract",
    "moved to Lisbon",
    "asks for 20 million",
    "is closed",
)


@dataclass
class Case:
    """One app and what its outcome hangs on."""

    seed: int
    answers: list[Any] = field(default_factory=list)
    request: str = ""
    groups: list[list[str]] = field(default_factory=list)
    fragile: frozenset[int] = frozenset()
    """Tools whose answer the app fails without."""
    uncertain: float = 0.0
    """How often the app answers the other way, by chance, once its context has been changed."""
    chance: random.Random = field(default_factory=random.Random)
    known: str = ""
    """What it knew when it was recorded."""

    @classmethod
    def made(cls, seed: int, *, uncertain: float = 0.0) -> Case:
        """Return the case of a seed."""
        chance = random.Random(seed)
        facts = _facts(chance)
        sizes = chance.choice([[1], [1], [1, 1], [2], [2], [1, 2], [3], [1, 1, 1], [2, 2]])
        groups = [[next(facts) for _ in range(size)] for size in sizes]
        planted = [fact for group in groups for fact in group]
        counts = [chance.randint(1, 4) for _ in range(chance.randint(3, 8))]
        told = [[next(facts) for _ in range(count)] for count in counts]
        request = [next(facts), next(facts)]
        for fact in planted:
            place = request if chance.random() < 0.15 else chance.choice(told)
            place.insert(chance.randrange(len(place) + 1), fact)
        fragile = frozenset(number for number in range(len(told)) if chance.random() < 0.3)
        answers = [_answer(chance, some, number in fragile) for number, some in enumerate(told)]
        return cls(seed, answers, " ".join(request), groups, fragile, uncertain, random.Random(seed))

    def __call__(self, request: str) -> str:
        @becausal.tool(name="source")
        def source(number: int) -> Any:
            return self.answers[number]

        with becausal.chain(request, received=request) as chain:
            said = [source(number) for number in range(len(self.answers))]
            for number in self.fragile:
                said[number]["status"].upper()
            known = json.dumps([request, said])
            wrong = all(any(fact in known for fact in group) for group in self.groups)
            self.known = self.known or known
            if known != self.known and self.chance.random() < self.uncertain:
                wrong = not wrong
            text = "The refund is granted." if wrong else "The refund is refused."
            chain.returned(text)
            return text

    def recorded(self, folder: Path) -> Run:
        """Return the run of it."""
        becausal.instrument("threads", store=folder / f"{self.seed}.db")
        self(self.request)
        run = becausal.last_run()
        becausal.uninstrument()
        return run


@dataclass(frozen=True)
class Judged:
    """What was found of a case."""

    case: Case
    found: Counterfactual

    @property
    def finds_smallest(self) -> bool:
        """Whether the smallest cause found is one of the smallest planted, and holds nothing beside."""
        smallest = self.found.smallest
        least = min(len(group) for group in self.case.groups)
        return (
            smallest is not None
            and len(smallest.pieces) == least
            and any(_is_group(smallest.pieces, group) for group in self.case.groups)
        )

    @property
    def finds_all(self) -> bool:
        """Whether every planted cause was found, and no other."""
        causes = [cause.pieces for cause in self.found.causes]
        groups = self.case.groups
        return len(causes) == len(groups) and all(
            any(_is_group(pieces, group) for pieces in causes) for group in groups
        )


def judged(case: Case, folder: Path, **options: Any) -> Judged:
    """Record a case and look for what its outcome hangs on."""
    run = case.recorded(folder)
    found = run.counterfactual(case, lambda again: "refused" in _said(again), **options)
    return Judged(case, found)


def _said(run: Run) -> str:
    return "" if run.output is None else run.output.text()


def _is_group(pieces: Any, group: list[str]) -> bool:
    left = list(group)
    for piece in pieces:
        held = [fact for fact in left if fact in str(piece.value)]
        # A piece is small when it says one fact and no other one.
        if len(held) != 1 or len(str(piece.value)) > len(held[0]) + 3:
            return False
        left.remove(held[0])
    return not left


def _facts(chance: random.Random) -> Iterator[str]:
    number = 0
    while True:
        number += 1
        yield f"{chance.choice(NAMES)} {number} {chance.choice(SAYS)}."


def _answer(chance: random.Random, facts: list[str], fragile: bool) -> Any:
    form = "dict" if fragile else chance.choice(["dict", "list", "text", "nested"])
    if form == "text":
        return " ".join(facts)
    if form == "list":
        return facts
    fields: dict[str, Any] = {f"note {number}": fact for number, fact in enumerate(facts)}
    if form == "nested":
        fields = {"rows": [fields, {"count": len(facts)}], "page": 1}
    return {**fields, "status": "ok"}
