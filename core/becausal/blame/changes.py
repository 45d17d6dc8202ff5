"""What changed on the way of a piece: its form, or what it says, with what it was before and after."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from reprlib import Repr
from typing import Literal

from becausal.blame.flow import Flow
from becausal.blame.ways import Arrival
from becausal.facts import Fact, facts, missing
from becausal.graph import Graph
from becausal.graph.wording import facts as figures
from becausal.graph.wording import normal, pieces
from becausal.harmless import legible
from becausal.payload import Payload
from becausal.step import Step

__all__ = ["ReWordingKind", "Rewording", "in_words_of", "on_the_way", "shortly", "source_piece"]

ReWordingKind = Literal["reformatted", "cut", "quoted", "reworded", "changed"]
"""`reformatted`: the same in another form. `cut`: the end is missing. `quoted`: it became part of a longer text.
`reworded`: other words, the same fact. `changed`: another figure, date or identifier, in the place of the one that its
origin was given."""

MOST_STEPS = 20
LONGEST_SHOWN = 300
LONGEST_WORD = 20
"""Characters by which words may be longer than the ones that they become together: `20 Million` is `20000000`."""

shortly = Repr()
"""Shows texts in a `repr`: of a long one its beginning and its end."""
shortly.maxstring = 60

_WORD = re.compile(r"\S+")
_AROUND = " .,;:!?()[]\"'*_`"


@dataclass(frozen=True, slots=True)
class Rewording:
    """A change of a piece on its way."""

    kind: ReWordingKind
    step: Step
    """Who changed it: the first that has it so."""
    before: str
    after: str

    @legible
    def __repr__(self) -> str:
        before, after = shortly.repr(self.before), shortly.repr(self.after)
        return f"<Rewording {self.kind} by {self.step.kind} {self.step.name}: {before} became {after}>"


def on_the_way(graph: Graph, flow: Flow, text: str, arrival: Arrival, fact: Fact | None) -> list[Rewording]:
    """Return the changes of a piece's form from where it came in to where it was asked about."""
    said: list[tuple[Step, str]] = []
    for step in arrival.path[:MOST_STEPS]:
        found = _as_said(graph, flow, text, step, fact)
        if found is not None and (not said or said[-1][1] != found):
            said.append((step, found))
    if said and said[-1][1] != text:
        said.append((arrival.path[-1], text))
    return [
        Rewording("reformatted" if _same(before, after) else "reworded", step, before, after)
        for (_, before), (step, after) in pairwise(said)
    ]


def source_piece(graph: Graph, text: str, step: Step) -> str | None:
    """Return the sentence or line that holds a text in what a step produced, or else received."""
    wanted = normal(text)
    for payload in (step.produced, step.received):
        for leaf in graph.contents.leaves(payload):
            if text in leaf or wanted in normal(leaf):
                return next((piece for piece in pieces(leaf) if wanted in normal(piece)), None)
    return None


def _as_said(graph: Graph, flow: Flow, text: str, step: Step, fact: Fact | None) -> str | None:
    for payload in (step.produced, step.received):
        grade = flow.grade(payload)
        if grade == "observed":
            return text
        if grade == "matched" and payload is not None:
            return next(in_words_of(graph, flow, text, payload, fact), None)
    return None


def in_words_of(graph: Graph, flow: Flow, text: str, payload: Payload, fact: Fact | None) -> Iterator[str]:
    """Yield a text, or a fact, as a payload says it that has it in other words."""
    wanted = normal(text).strip()
    for leaf in graph.contents.leaves(payload):
        if not flow.is_in_leaf(leaf):
            continue
        for piece in pieces(leaf) if len(leaf) > LONGEST_SHOWN else (leaf,):
            if fact is not None:
                yield from (other.text for other in facts(piece) if not missing((fact,), (other,)))
            elif wanted in normal(piece):
                yield from (figure for figure in figures(piece) if normal(figure) == wanted)
                yield _stretch(piece[:LONGEST_SHOWN], wanted)


def _stretch(piece: str, wanted: str) -> str:
    """Return the words of a piece that are some in normal form; all of it where they are no whole words."""
    words = list(_WORD.finditer(piece))
    for at, first in enumerate(words):
        for last in words[at:]:
            said = piece[first.start() : last.end()].strip(_AROUND)
            is_there = normal(said).strip(_AROUND)
            if is_there == wanted.strip(_AROUND):
                return said
            if len(is_there) > len(wanted) + LONGEST_WORD:
                break
    return piece


def _same(before: str, after: str) -> bool:
    if normal(before).strip() == normal(after).strip():
        return True
    one, other = facts(before), facts(after)
    return (bool(one) and not missing(one, other)) or (bool(other) and not missing(other, one))
