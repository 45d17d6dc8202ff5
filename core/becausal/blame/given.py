"""What a step had before it when it said something: the words, and the facts, to tell what it took from there.

A model had its prompt. An agent's own code had what the agent received and whatever it called gave it. What was given
is looked at message by message, value by value: two figures of one answer of a tool belong together, and those of two
answers perhaps do not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

from becausal.blame.origins import Side
from becausal.blame.shared import Words
from becausal.facts import Fact, read
from becausal.facts.derived import Given, figure_of
from becausal.facts.fact import Key
from becausal.facts.growing import Growing
from becausal.facts.kept import OVERHEAD
from becausal.facts.remembered import Remembered
from becausal.graph import Graph
from becausal.graph.content import data_in, said_in
from becausal.payload import Payload
from becausal.step import Step

__all__ = ["GivenTo", "Scope", "apart"]

LARGEST = 200_000
"""Bytes of a payload whose facts are read; beside more figures nearly everything follows from some."""
MOST_SCOPES = 40
MOST_OF_WORDS = 4_000_000
"""Characters of the texts that are kept in mind as their words."""
MOST_OF_FACTS = 1_000_000
"""Characters, and pairs of facts, of those that are kept in mind as what they state."""
MOST_DATES = 12
MOST_TOGETHER = 12
"""So many figures of several messages are looked at together."""


Groups = list[tuple[tuple[Fact, ...], Given]]


@dataclass(frozen=True)
class Scope:
    """Facts that were given together."""

    step: Step
    side: Side
    """Where they stand."""
    facts: tuple[Fact, ...]
    given: Given

    @cached_property
    def dates(self) -> tuple[Fact, ...]:
        """The first dates among them, and limits that are one."""
        return tuple(
            islice((one for one in self.facts if one.kind == "date" or _is_date_limit(one)), MOST_DATES)
        )

    @cached_property
    def lists(self) -> Mapping[tuple[object, ...], Mapping[int, Fact]]:
        """The lists that they stand in, each with the first fact of each item."""
        found: dict[tuple[object, ...], dict[int, Fact]] = {}
        for fact in self.facts:
            for place, number in enumerate(fact.path):
                if isinstance(number, int):
                    found.setdefault(fact.path[:place], {}).setdefault(number, fact)
        return found

    @cached_property
    def figures(self) -> int:
        """How many figures there are among them."""
        return len({figure for fact in self.facts if (figure := figure_of(fact)) is not None})


class GivenTo:
    """What steps of one chain had before them."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._words: Remembered[bytes, list[Words]] = Remembered(MOST_OF_WORDS)
        self._scopes: dict[str, list[Scope]] = {}
        self._facts: Remembered[str, Groups] = Remembered(MOST_OF_FACTS)

    def places(self, step: Step) -> Iterator[tuple[Step, Side, Payload]]:
        """Yield what a step had, the latest first."""
        if step.kind != "model":
            for child in reversed(self._graph.children(step)):
                if child.produced is not None and child.kind != "handoff":
                    yield child, "produced", child.produced
        if step.received is not None:
            yield step, "received", step.received

    def words(self, step: Step) -> list[Words]:
        """Return the texts that a step had, as words."""
        found: list[Words] = []
        for _, _, payload in self.places(step):
            for digest, content in self._graph.contents.within(payload, said=True).items():
                texts = self._words.get(digest)
                if texts is None:
                    texts = [Words.of(leaf) for leaf in content.leaves if " " in leaf]
                    self._words.put(digest, texts, sum(len(text.joined) for text in texts) + OVERHEAD)
                found += texts
        return found

    def scopes(self, step: Step) -> list[Scope]:
        """Return the facts that a step had, by what was given together; few enough of all, once more together."""
        if step.id not in self._scopes:
            self._scopes[step.id] = self._read(step)
        return self._scopes[step.id]

    def _read(self, step: Step) -> list[Scope]:
        found: list[Scope] = []
        together: list[Fact] = []
        keys: set[Key] = set()
        for other, side, payload in self.places(step):
            if payload.size > LARGEST or not payload.is_kept:
                continue
            parts = apart(self._graph.values.of(payload), self._graph.kept.grown)
            for value in reversed(list(parts)):
                if len(found) >= MOST_SCOPES and len(keys) > MOST_TOGETHER:
                    return found
                groups = self._stated(value)
                facts_here = groups[0][0] if groups else ()
                together += facts_here
                keys.update(fact.key for fact in facts_here)
                if len(found) < MOST_SCOPES:
                    found += [Scope(other, side, facts, given) for facts, given in groups]
        if len(keys) <= MOST_TOGETHER:
            found.append(Scope(step, "received", tuple(together), Given(together)))
        return found

    def _stated(self, value: object) -> Groups:
        """Return the facts that stand in a value, and those of each record in it, with the largest first."""
        if not isinstance(value, str):
            return _grouped(read(value).facts)
        found = self._facts.get(value)
        if found is None:
            found = _grouped(read(value).facts)
            pairs = sum(len(facts) ** 2 for facts, _ in found)  # of which it is kept in mind what they make
            self._facts.put(value, found, len(value) + OVERHEAD + pairs)
        return found


def _is_date_limit(fact: Fact) -> bool:
    value: Any = fact.value
    return fact.kind == "limit" and value[1] == "date"


def _grouped(facts: tuple[Fact, ...]) -> Groups:
    records: dict[tuple[object, ...], list[Fact]] = {(): list(facts)}
    for fact in facts:
        for length in range(1, len(fact.path)):
            records.setdefault(fact.path[:length], []).append(fact)
    apart = {tuple(record): None for record in records.values() if record}
    return [(record, Given(record)) for record in list(apart)[:MOST_SCOPES]]


def apart(value: object, lists: Growing[Any] | None = None) -> Iterator[object]:
    """Yield the messages' contents, and what else there is, each by itself.

    Args:
        value: as `becausal.graph.values` gives it.
        lists: the parts of conversations that were taken apart before, of which this value's may be longer ones.
    """
    if isinstance(value, str):
        yield from _parts_of(value)
    elif isinstance(value, Mapping):
        said = said_in(value)
        if said is None:
            return
        if said is not value:
            yield from apart(said["content"], lists)
            return
        rest = {key: item for key, item in value.items() if not _holds_messages(item)}
        for item in value.values():
            if _holds_messages(item):
                yield from apart(item, lists)
        if rest:
            yield rest
    elif isinstance(value, Sequence) and not isinstance(value, bytes) and _holds_messages(value):
        if lists is None:
            yield from _parts_of_all(value)
        else:
            # A copy: whoever asks for a longer list goes on in what is made of this one.
            yield from tuple(lists.of("apart", value, list, _put_parts))
    else:
        yield value


def _parts_of_all(items: Sequence[object]) -> Iterator[object]:
    for item in items:
        yield from apart(item)


def _put_parts(parts: list[object], items: Sequence[object], _: int) -> None:
    parts += _parts_of_all(items)


def _parts_of(text: str) -> Iterator[object]:
    """Yield the data in a text, each by itself, and then the rest of it."""
    rest, at = [], 0
    for start, end, value in data_in(text):
        yield value
        rest.append(text[at:start])
        at = end
    rest.append(text[at:])
    if any(map(str.strip, rest)):
        yield "\n".join(rest)


def _holds_messages(value: object) -> bool:
    if isinstance(value, Mapping):
        return said_in(value) is not value
    return isinstance(value, list | tuple) and any(
        isinstance(item, Mapping) and said_in(item) is not item for item in value
    )
