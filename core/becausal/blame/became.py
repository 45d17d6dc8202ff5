"""What a step made of something that it was given: another figure, date or identifier in its place.

The same is told of whole runs by `becausal.findings.drift`, turn by turn, with all that anybody knew by then. Here one
step is asked about, of which is known that nobody said the new thing before it; so its own words are held against what
it was given alone. By the same rules: of what the request means to be kept, anything in its place that is not reckoned
from it counts; of anything else only a slip does, as work makes new figures of old ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Final

from becausal.blame.given import LARGEST, GivenTo, apart
from becausal.drift.pairing import exchanged, is_reckoned, is_slip, may_slip, plain
from becausal.drift.request import is_pinned
from becausal.facts import Fact, changed, facts, missing
from becausal.facts.compare import lacks
from becausal.facts.remembered import Remembered
from becausal.graph import Graph
from becausal.payload import Payload, text_of
from becausal.step import Step

__all__ = ["Became"]

Stated = tuple[tuple[Fact, ...], str]
Exchange = tuple[Fact, Fact]
"""What was given, and what was said in its place."""
Exchanges = dict[object, Exchange]
"""By what was said, be it as a limit or not; and by its words: `413` alone is a number, in `order 413` a name."""

MOST_LATER: Final = 500
"""So many turns after a step are looked at for what it was given."""
MOST_READ: Final = 4_000_000
"""Characters and facts up to which what turns heard and said is kept in mind."""


class Became:
    """What the steps of one chain put in the place of what they had been given."""

    def __init__(self, graph: Graph, given: GivenTo, maker: Callable[[Step, Fact], Step | None]) -> None:
        """Take what is asked about.

        Args:
            graph: the chain's.
            given: what its steps had before them.
            maker: returns who worded a fact that a step was given; None where it was given to him too.
        """
        self._graph, self._given, self._maker = graph, given, maker
        self._exchanges: dict[str, tuple[Exchanges, Exchanges]] = {}
        self._told: dict[tuple[str, object], Exchange | None] = {}
        self._read: Remembered[tuple[str, ...], Stated] = Remembered(MOST_READ)

    def told(self, step: Step, fact: Fact) -> Exchange | None:
        """Return in the place of what a step said a fact, and as what; None where it stands in the place of nothing."""
        asked = step.id, plain(fact)
        if asked not in self._told:
            self._told[asked] = None  # whoever comes back here on the way back has gone round
            self._told[asked] = self._exchange(step, fact)
        return self._told[asked]

    def _exchange(self, step: Step, said: Fact) -> Exchange | None:
        if step.id not in self._exchanges:
            self._exchanges[step.id] = _by_said(self._surely(step)), _by_said(self._perhaps(step))
        surely, perhaps = (
            found.get(plain(said)) or found.get(said.text) for found in self._exchanges[step.id]
        )
        if surely is not None or perhaps is None:
            return surely
        before, after = perhaps
        # What somebody before had put in the place of what the request said became another one once more.
        maker = self._maker(step, before)
        return None if maker is None or self.told(maker, before) is None else (before, after)

    def _surely(self, step: Step) -> Iterator[Exchange]:
        heard, said = self._heard(step), self._said(step)
        if not heard[0] or not said[0] or self._has_waited(step):
            return
        if step.kind == "handoff":
            # What was sent is to arrive as it was, whatever it is.
            yield from exchanged(heard[0], heard, said)
            return
        known, passes_on = self._passed_on(heard, said)
        for before, after in exchanged(known, heard, said, is_relay=passes_on):
            if not is_reckoned(before, after, heard[0]) and (passes_on or self._is_gone(before, step)):
                yield before, after
        if may_slip(heard[0], said[0]):
            pairs = changed(heard[0], said[0], text=said[1])
            yield from ((before, after) for before, after in pairs if is_slip(before, after))

    def _perhaps(self, step: Step) -> Iterator[Exchange]:
        """Yield what else stands in the place of what a step was given, if it passed the request on."""
        heard, said = self._heard(step), self._said(step)
        if step.kind == "handoff" or self._has_waited(step) or not self._passed_on(heard, said)[1]:
            return
        others = [fact for fact in heard[0] if is_pinned(fact)]
        for before, after in exchanged(others, heard, said):
            if not is_reckoned(before, after, heard[0]):
                yield before, after

    def _passed_on(self, heard: Stated, said: Stated) -> tuple[list[Fact], bool]:
        """Return what was heard of the request, and whether most of that was said again."""
        known = [fact for fact in self._asked if not lacks(fact, *heard)]
        lost = missing(known, said[0], text=said[1])
        return known, bool(known) and 2 * len(lost) <= len(known)

    def _has_waited(self, step: Step) -> bool:
        """Return whether a step waited for somebody's word: then it has from outside what it says anew."""
        return any(edge.kind == "resume" for edge in self._graph.in_edges(step))

    @cached_property
    def _asked(self) -> tuple[Fact, ...]:
        """What the request means to be kept."""
        root = next(iter(self._graph.roots), None)
        stated = self._together([None if root is None else root.received])[0]
        return tuple(fact for fact in stated if is_pinned(fact))

    def _is_gone(self, fact: Fact, step: Step) -> bool:
        """Return whether turns came after a step, and none of them was told of a fact."""
        later = [turn for turn in self._graph.nodes if turn.kind == "agent" and turn.seq > step.seq]
        return 0 < len(later) <= MOST_LATER and all(lacks(fact, *self._heard(turn)) for turn in later)

    def _heard(self, step: Step) -> Stated:
        if step.kind == "agent":
            shown = [child.received for child in self._graph.children(step) if child.kind == "model"]
            return self._together(shown or [payload for _, _, payload in self._given.places(step)])
        return self._together([step.received])

    def _said(self, step: Step) -> Stated:
        sent = [child.received for child in self._graph.children(step) if child.kind == "handoff"]
        return self._together([step.produced, *(sent if step.kind == "agent" else ())])

    def _together(self, payloads: Iterable[Payload | None]) -> Stated:
        """Return what payloads state, and their text; nothing of one that was not kept, or is too large to be read."""
        once = {payload.digest: payload for payload in payloads if payload is not None}
        found = self._read.get(tuple(once))
        if found is None:
            kept = [payload for payload in once.values() if payload.is_kept and payload.size <= LARGEST]
            values = [self._graph.values.of(payload) for payload in kept]
            stated = tuple(fact for value in values for fact in self._stated(value))
            lines = self._graph.kept.lines
            found = stated, "\n".join(text_of(value, lines) for value in values)
            self._read.put(tuple(once), found, len(found[0]) + len(found[1]))
        return found

    def _stated(self, value: object) -> Sequence[Fact]:
        # Not as which of several messages it was said: that two things are contents makes them no more alike.
        grown = self._graph.kept.grown
        found: list[Fact] = grown.of("stated apart", tuple(apart(value, grown)), list, _put_facts)
        return found


def _put_facts(found: list[Fact], parts: Sequence[object], _: int) -> None:
    found += (fact for part in parts for fact in facts(part))


def _by_said(found: Iterable[Exchange]) -> Exchanges:
    """Return exchanges by what was said, the first of several for one."""
    rows = reversed(list(found))
    return {said: (before, after) for before, after in rows for said in (plain(after), after.text)}
