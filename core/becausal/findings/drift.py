"""What the request said and a step on the way lost, or made something else of.

Not every answer repeats the request. A fact of it counts as lost where a step that passed most of them on left this one
out, nobody after that step could know it from elsewhere or works with it, and the answer does not state it; as changed
where something else stands in its place. What became of a change further on (another one, and another one) is told with
the first.

Whatever else a step was told may turn into something new by its work: a total, a price with tax. Only a slip is told
of that: another digit, two of them swapped, a zero too many, the same figure in another unit, an identifier that
differs in a letter, where nothing said so before. A number that goes up by one over three turns counts them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from typing import Final

from becausal.drift.pairing import exchanged, is_reckoned, is_slip, may_slip
from becausal.drift.request import is_pinned, wording
from becausal.drift.turns import Stated, Turn, Turns
from becausal.facts import Fact, changed, missing
from becausal.facts.compare import lacks
from becausal.facts.fact import Key
from becausal.finding import Finding, FindingKind
from becausal.findings.moved import of_moved
from becausal.findings.scene import Scene
from becausal.findings.way import way_to_output

__all__ = ["of_drift"]

MOST_TURNS: Final = 500
FEWEST_COUNTED: Final = 3
"""So many numbers in a row are a count; of two, one may be the other miscopied."""


def of_drift(scene: Scene) -> Iterator[Finding]:
    """Yield which facts of the request got lost, or were changed, and where."""
    turns = Turns(scene.graph, scene.handoffs, scene.stated)
    if len(turns.steps) <= MOST_TURNS:
        yield from _Judge(scene, turns).findings()
        yield from of_moved(scene, turns)


class _Judge:
    """The turns of one run, judged in their order."""

    def __init__(self, scene: Scene, turns: Turns) -> None:
        self.scene, self.turns, self.at_hand = scene, turns.all, turns.has_at_hand
        root = next(iter(scene.graph.roots), None)
        stated = scene.stated(None if root is None else root.received)[0]
        self.asked = tuple(fact for fact in stated if is_pinned(fact))
        self.named = tuple(fact for fact in stated if fact.kind == "name")
        """Not every name is needed on the way, and not all that has a capital is one: told where another one stands in
        its place, and not where it is lost."""
        # Who waited for somebody's word has it from outside: an edit, an approval.
        self.waited = {edge.target.id for edge in scene.graph.edges if edge.kind == "resume"}
        self.told: set[Key] = set()
        self.became: dict[Key, list[Fact]] = {}
        """What came of a fact of the request, by the first change: what turns said in its place, in their order."""
        self.root_of: dict[Key, Key] = {}

    def findings(self) -> Iterator[Finding]:
        """Yield what is wrong, first what became of the request, then slips in anything else."""
        found = [finding for turn in self.turns if self.asked for finding in self.of_request(turn)]
        for turn, before, after, kind in found:
            yield self.finding(turn, kind, before, after)
        for turn in self.turns:
            for before, after in self.slips(turn):
                self.told.update((before.key, after.key))
                yield self.finding(turn, "drift.changed_fact", before, after)

    def of_request(self, turn: Turn) -> Iterator[tuple[Turn, Fact, Fact | None, FindingKind]]:
        """Yield the facts of the request that a turn changed or lost."""
        if turn.step.id in self.waited:
            return
        changed_here: set[Key] = set()
        known = [fact for fact in self.asked if not lacks(fact, *turn.heard)]
        drifted = [fact for facts in self.became.values() for fact in facts if not lacks(fact, *turn.heard)]
        lost = _lacking(known, turn.said)
        passes_on = bool(known) and len(lost) * 2 <= len(known)
        named = [fact for fact in self.named if not lacks(fact, *turn.heard)] if passes_on else []
        for before, after in exchanged((*known, *drifted, *named), turn.heard, turn.said, is_relay=passes_on):
            if not self.is_change(turn, before, after, passes_on=passes_on):
                continue
            changed_here.add(before.key)
            first = self.root_of.get(before.key, before.key)
            self.root_of[after.key] = first
            self.became.setdefault(first, []).append(after)
            is_part = before.kind == "name" and any(_names(key, before) for key in changed_here)
            if first == before.key and before.key not in self.told and not is_part:
                self.told.update((before.key, after.key))
                yield turn, before, after, "drift.changed_fact"
        for fact in lost if passes_on else ():
            if fact.key not in changed_here and fact.key not in self.told and self.is_lost(fact, turn):
                self.told.add(fact.key)
                yield turn, fact, None, "drift.lost_fact"

    def is_change(self, turn: Turn, before: Fact, after: Fact, *, passes_on: bool) -> bool:
        """Return whether a fact that stands in another's place is none that the turn worked out, or was told within."""
        if not passes_on and not (self.is_gone(before, turn) and self.went_on(after, turn)):
            return False
        return not is_reckoned(before, after, turn.heard[0]) and not self.was_known(turn, after)

    def slips(self, turn: Turn) -> Iterator[tuple[Fact, Fact]]:
        """Yield what a turn miscopied of anything that it was told."""
        if turn.step.id in self.waited or not may_slip(turn.heard[0], turn.said[0]):
            return
        for before, after in changed(turn.heard[0], turn.said[0], text=turn.said[1]):
            is_new = before.key not in self.told and after.key not in self.told
            is_new = is_new and after.key not in self.root_of
            is_new = is_new and is_slip(before, after) and not self.counts(before, after)
            if is_new and not self.was_known(turn, after):
                yield before, after

    def counts(self, before: Fact, after: Fact) -> bool:
        """Return whether a number counts the turns (`Message 117: …`): turns say it and those next to it in a row."""
        first, last = _number(before), _number(after)
        if first is None or last is None or (last - first) not in range(1, len(self.turns)):
            return False
        row = [first + step for step in range(int(last - first) + 1)]
        for word in before.near & after.near:
            said = self.numbers_beside.get(word, set())
            if said.issuperset(row) and (
                len(row) >= FEWEST_COUNTED or not said.isdisjoint((first - 1, last + 1))
            ):
                return True
        return False

    @cached_property
    def numbers_beside(self) -> Mapping[str, set[Decimal]]:
        """Which numbers turns said beside each word."""
        found: dict[str, set[Decimal]] = {}
        for turn in self.turns:
            for fact in turn.said[0]:
                if (number := _number(fact)) is not None:
                    for word in fact.near:
                        found.setdefault(word, set()).add(number)
        return found

    def was_known(self, turn: Turn, fact: Fact) -> bool:
        """Return whether a fact had been told: to an earlier turn, by one, or within this one."""
        for other in self.turns:
            if other.step.seq >= turn.step.seq:
                continue
            # Who waits for this turn's answer, and passes it on, has not said it before.
            is_over = other.step.ended_ns is not None and other.step.ended_ns <= turn.step.started_ns
            if any(
                not lacks(fact, *told) for told in ((other.heard, other.said) if is_over else (other.heard,))
            ):
                return True
        inner = [
            step
            for step in self.scene.graph.children(turn.step)
            if step.kind not in ("model", "handoff", "route")
        ]
        return any(not lacks(fact, *self.scene.stated(step.produced)) for step in inner)

    def is_gone(self, fact: Fact, turn: Turn) -> bool:
        """Return whether nobody who came later was told of a fact, by whomever."""
        later = self.later(turn)
        return bool(later) and all(lacks(fact, *other.heard) for other in later)

    def is_lost(self, fact: Fact, turn: Turn) -> bool:
        """Return whether a fact is gone, and nobody later works with it either, nor does the answer state it."""
        if not self.is_gone(fact, turn) or not lacks(fact, *self.scene.told):
            return False
        return not any(self.at_hand(other, fact) for other in self.later(turn))

    def went_on(self, fact: Fact, turn: Turn) -> bool:
        """Return whether anybody who came later was told of a fact."""
        return any(not lacks(fact, *other.heard) for other in self.later(turn))

    def later(self, turn: Turn) -> Sequence[Turn]:
        """Return the turns that began after one."""
        return [other for other in self.turns if other.step.seq > turn.step.seq]

    def finding(self, turn: Turn, kind: FindingKind, before: Fact, after: Fact | None) -> Finding:
        """Return the finding of a loss or a change."""
        step = turn.step
        way = way_to_output(self.scene.graph, step)
        who = step.agent or step.name
        further = [fact for fact in self.became.get(before.key, ()) if after is not None and fact != after]
        then = f", and then {', '.join(repr(wording(fact)) for fact in further)}" if further else ""
        return Finding(
            kind=kind,
            severity="error" if len(way) > 1 else "warning",
            confidence=0.8,
            step=step,
            message=(
                f"{wording(before)!r} of the request is lost: {who} was told and did not pass it on"
                if after is None
                else f"{wording(before)!r} became {wording(after)!r} with {who}{then}"
            ),
            evidence=tuple(wording(fact) for fact in (before, after, *further) if fact is not None),
            agent=step.agent,
            path=way,
            wrong=() if after is None else (wording(after),),
            right=(wording(before),),
        )


def _number(fact: Fact) -> Decimal | None:
    return fact.value if fact.kind == "number" and isinstance(fact.value, Decimal) else None


def _names(key: Key, name: Fact) -> bool:
    """Return whether a rule is about what has a name: the ban and the name of what is banned are one thing."""
    kind, value, _ = key
    stems = value[1] if kind == "rule" and isinstance(value, tuple) else ()
    return any(word.startswith(stem) for word in name.text.casefold().split() for stem in stems)


def _lacking(wanted: Sequence[Fact], stated: Stated) -> tuple[Fact, ...]:
    return missing(wanted, stated[0], text=stated[1])
