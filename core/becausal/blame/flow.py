"""How a text got to where it stands: backwards from payload to payload, through those that hold it.

A place is one side of a step: what it received or what it produced. What a step produced came from what a
step inside it produced, or from what it received; what it received came from what its causes produced, or
from what its caller received. Where nothing of that holds the text, an earlier step that produced it is
taken (same content); where there is none, the text began here. A payload whose body was not kept may hold
anything, so the search goes through it, and says so.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import chain, islice
from typing import Final

from becausal import semconv
from becausal.blame.doors import Doors, Way
from becausal.blame.likeness import Likeness
from becausal.blame.origins import CARRY_OVER, Origins, Side, Source
from becausal.blame.ways import Arrival, Place, Ways
from becausal.decision import Decision
from becausal.graph import Graph
from becausal.graph.edge import worst
from becausal.graph.index import Found
from becausal.payload import Payload
from becausal.step import Grade, Step

__all__ = ["Flow"]

MOST_MAKERS: Final = 64
"""So many earlier steps that produced a text are compared by what stands beside it there."""

SIDES: Final[tuple[Side, ...]] = ("produced", "received")
UNKNOWN: Final[Source] = "unknown"


class Flow:
    """The way of one text through one graph. Texts that are found in the same places go the same way."""

    def __init__(self, graph: Graph, found: Found, doors: Doors) -> None:
        self._graph, self._found, self._doors = graph, found, doors
        self._origins = Origins(graph)
        self._grades = graph.index.grades(found)
        self._errors = graph.index.in_errors(found)
        self._at_hand: dict[str, list[Step]] = {}
        self._likeness = Likeness(graph, found)
        self._ways: dict[tuple[Place, frozenset[str] | None], Ways] = {}
        self._arrivals: dict[tuple[Place, frozenset[str]], Arrival] = {}

    @cached_property
    def _makers(self) -> list[Step]:
        """The steps that produced the text, latest first."""
        return self._graph.index.makers(self._found, self._grades)

    @cached_property
    def _turns(self) -> list[int]:
        """At which step each of them stands, as a negative number: so they are in order."""
        return [-maker.seq for maker in self._makers]

    @cached_property
    def _makers_within(self) -> dict[str, list[Step]]:
        """The same by the steps that called them."""
        found: dict[str, list[Step]] = {}
        for maker in self._makers:
            found.setdefault(maker.parent_id or "", []).append(maker)
        return found

    def grade(self, payload: Payload | None) -> Grade | None:
        """Return how surely a payload holds the text; None if it does not."""
        return None if payload is None else self._grades.get(payload.digest)

    def is_in_leaf(self, leaf: str) -> bool:
        """Return whether the text stands in a text or number that some payload says."""
        return self._graph.index.is_in_leaf(self._found, leaf)

    def arrival(self, step: Step, side: Side, hints: frozenset[str] = frozenset()) -> Arrival:
        """Return how the text came to stand on one side of a step.

        Of several ways in, the one that says the most of the same things beside it, then the first in causal order; of
        the ways from there, the one through the latest steps.

        Args:
            step: whose.
            side: which.
            hints: words beside the text where it was asked about.
        """
        asked = Place(step.id, side), hints
        if asked not in self._arrivals:
            self._likeness.hints = hints
            self._arrivals[asked] = self._arrived(self._ways_to(asked[0]))
        return self._arrivals[asked]

    def _arrived(self, ways: Ways) -> Arrival:
        """Return the likeliest of the ways to a place."""
        by_words = self._likeness.hints and len(ways.ends) > 1
        end, grade = min(ways.ends, key=self._by_likeness if by_words else _by_order(self._step))
        candidates = self._candidates(end, [place for place, known in ways.ends if known != "inferred"])
        begun = end, "inferred" if candidates else grade
        told = ways.told.get(begun)
        if told is None:
            told = ways.told[begun] = self._told(*begun, ways.came_from)
        return replace(told, candidates=candidates) if candidates else told

    def _ways_to(self, start: Place) -> Ways:
        for known in (None, self._likeness.hints):
            if (ways := self._ways.get((start, known))) is not None:
                return ways
        self._likeness.was_asked = False
        ways = self._walked(start)
        # Where there were words to choose by, and on the way nothing was to be chosen: the same for any words.
        by_any = bool(self._likeness.hints) and not self._likeness.was_asked
        self._ways[start, None if by_any else self._likeness.hints] = ways
        return ways

    def _walked(self, start: Place) -> Ways:
        came_from: dict[Place, tuple[Place, Grade] | None] = {start: None}
        ends: list[tuple[Place, Grade]] = []
        stack: list[tuple[Place, Place | None, Grade]] = [(start, None, "declared")]
        done: set[Place] = set()
        while stack:
            place, next_place, grade = stack.pop()
            if place in done:
                continue
            done.add(place)
            came_from[place] = None if next_place is None else (next_place, grade)
            sources = list(self._sources(place))
            if not sources or (place.side == "received" and self._graph.parent(self._step(place)) is None):
                surely = self._grade_of_way(place, came_from)
                ends.append((place, "inferred" if not sources and self._goes_on(place) else surely))
            stack.extend((source, place, grade) for source, grade in reversed(sources) if source not in done)
        return Ways(came_from, ends)

    def _candidates(self, end: Place, others: Sequence[Place]) -> tuple[Step, ...]:
        """Return the steps that brought the text in beside the one at an end, in no causal order with it."""
        chosen = self._step(end)
        if end.side == "received":
            return ()
        steps = {step.id: step for step in map(self._step, others) if step.id != chosen.id}
        if steps and self._likeness.hints:
            least = self._likeness.of(chosen.produced)
            steps = {id: step for id, step in steps.items() if self._likeness.of(step.produced) >= least}
        return tuple(step for step in steps.values() if not self._in_order(chosen, step))

    def _in_order(self, one: Step, other: Step) -> bool:
        order = self._graph.happens_before
        return (
            order(one, other) or order(other, one) or self._encloses(one, other) or self._encloses(other, one)
        )

    # What stands beside it

    def _by_likeness(self, end: tuple[Place, Grade]) -> tuple[bool, int, int]:
        return end[1] == "inferred", -self._likeness.of(self._payload(end[0])), self._step(end[0]).seq

    def _payload(self, place: Place) -> Payload | None:
        step = self._step(place)
        return step.produced if place.side == "produced" else step.received

    # Where it stands

    def _holds(self, step: Step, side: Side) -> bool:
        return self._held(step, side) is not None

    def _held(self, step: Step, side: Side) -> Grade | None:
        if side == "received":
            return self.grade(step.received)
        if step.id in self._errors:
            return "observed"  # a failed tool's error is often its answer to the model
        return self.grade(step.produced)

    def _step(self, place: Place) -> Step:
        return self._doors.steps[place.step_id]

    # Where it came from: most likely first, then latest first

    def _sources(self, place: Place) -> Iterator[tuple[Place, Grade]]:
        step = self._step(place)
        found = list(self._of_produced(step) if place.side == "produced" else self._of_received(step))
        if not found and not (place.side == "received" and self._origins.is_continued(step)):
            found = list(
                self._elsewhere(step) if self._may_be_elsewhere(step, place.side) else self._of_insides(step)
            )
        if self._likeness.hints and found and place.side == "received":
            found += self._likelier(step, [source for source, _ in found])
        return iter(found or self._carried_over(step))

    def _likelier(self, step: Step, places: Sequence[Place]) -> Iterator[tuple[Place, Grade]]:
        """Yield what the same caller called before and says more of the same than those that lead here."""
        maker = self._likeness.likest(self._beforehand(step))
        if maker is None:
            return
        most = max(self._likeness.of(self._payload(place)) for place in places)
        if self._likeness.of(maker.produced) > most:
            yield Place(maker.id, "produced"), "matched"

    def _beforehand(self, step: Step) -> Iterator[Step]:
        """Yield the tools and memories whose answers the caller of a step had in its hands, latest first."""
        caller = step.parent_id or ""
        if caller not in self._at_hand:
            makers = islice(self._makers_within.get(caller, ()), MOST_MAKERS)
            self._at_hand[caller] = [maker for maker in makers if maker.kind in ("tool", "memory_read")]
        return (maker for maker in self._at_hand[caller] if _had_ended(maker, step))

    def _carried_over(self, step: Step) -> Iterator[tuple[Place, Grade]]:
        """Yield the work that a step goes on from: what nobody said since then was there before."""
        for edge in self._graph.in_edges(step):
            if edge.kind not in CARRY_OVER or self._encloses(edge.source, step):
                continue
            for side in SIDES:
                if self._holds(edge.source, side):
                    yield Place(edge.source.id, side), "matched"
                    break

    def _of_produced(self, step: Step) -> Iterator[tuple[Place, Grade]]:
        makers = self._makers_within.get(step.id, [])
        # Of what was said within, some was written over before the end: what still stands as it was said comes first.
        passed_up = self._unchanged(makers, step) if len(makers) > 1 else []
        for child in passed_up or makers:
            yield Place(child.id, "produced"), "observed"
        if self._holds(step, "received"):
            yield Place(step.id, "received"), "observed"
        elif step.kind == "memory_read":
            yield from self._of_received(step)
        elif (parent := self._resumed_by(step)) is not None and self._holds(parent, "received"):
            yield Place(parent.id, "received"), "matched"

    def _unchanged(self, makers: Sequence[Step], step: Step) -> list[Step]:
        """Return those whose text or number that holds it stands as they said it in what a step produced."""
        kept = frozenset(self._graph.contents.leaves(step.produced))
        return [
            maker
            for maker in makers
            if any(
                leaf in kept and self._graph.index.is_in_leaf(self._found, leaf)
                for leaf in self._graph.contents.leaves(maker.produced)
            )
        ]

    def _of_insides(self, step: Step) -> Iterator[tuple[Place, Grade]]:
        """Yield who within a step made what it produced, past a step between that did not say it."""
        maker = next((other for other in self._makers if self._encloses(step, other)), None)
        if maker is not None:
            while (outer := self._graph.parent(maker)) is not None and outer.id != step.id:
                if not self._holds(outer, "produced"):
                    break
                maker = outer
            yield Place(maker.id, "produced"), "matched"
            return
        # Nobody produced it: a shared value was changed in place, before whoever first received it so.
        for child in self._graph.children(step):
            if child.kind == "handoff" and self._holds(child, "produced"):
                yield Place(child.id, "produced"), "matched"
                return

    def _resumed_by(self, step: Step) -> Step | None:
        """Return the caller of a step that goes on after an interrupt: what it was called with is the answer."""
        resumed = any(edge.kind == "resume" for edge in self._graph.in_edges(step))
        return self._graph.parent(step) if resumed else None

    def _of_received(self, step: Step) -> Iterator[tuple[Place, Grade]]:
        # What the caller had ready first, then what it received, then what came past it: so that a way into an
        # agent leads through the agent's door wherever the door saw the text.
        door = self._doors.of(step)
        from_inside = list(self._of_ways(door.inside))
        yield from from_inside
        sent = step.kind == "handoff" and from_inside  # by its sender, whoever else had the same text
        if door.parent is not None and not sent and self._holds(door.parent, "received"):
            yield Place(door.parent.id, "received"), "observed"
        yield from self._of_ways(door.past)

    def _of_ways(self, ways: Sequence[Way]) -> Iterator[tuple[Place, Grade]]:
        sources = [way.source for way in ways if way.source.kind == "handoff"]
        # Where branches join, each handoff delivers the whole state: only who sent the text brought it.
        sent = {source.id for source in sources if self._holds(source, "received")}
        for way in ways:
            source = way.source
            if way.is_around or (sent and source.kind == "handoff" and source.id not in sent):
                continue
            if self._holds(source, "produced"):
                yield Place(source.id, "produced"), way.grade
            elif source.kind in ("memory_write", "route", "plan") and self._holds(source, "received"):
                yield Place(source.id, "received"), way.grade

    def _encloses(self, outer: Step, inner: Step) -> bool:
        return self._graph.order.encloses(outer.id, inner.id)

    def _may_be_elsewhere(self, step: Step, side: Side) -> bool:
        # What a step produced by itself began there; but what a handoff delivers was somewhere before.
        return side == "received" or step.kind == "handoff"

    def _elsewhere(self, step: Step) -> Iterator[tuple[Place, Grade]]:
        """Yield an earlier step that produced the text, and the nearest caller that received it."""
        earlier = bisect_right(self._turns, -step.seq)
        surely = next((one for one in self._makers_from(earlier) if self._was_at_hand(one, step)), None)
        if surely is not None and self._likeness.hints:
            surely = self._likeness.likest(chain((surely,), self._beforehand(step)))
        maker = surely or next((one for one in self._makers_from(earlier) if _had_ended(one, step)), None)
        if maker is not None:
            grade: Grade = "inferred" if surely is None else "matched"
            if self._answered(maker, step):
                grade = "observed"
            carrier = self._carrier(maker, step)
            if carrier is not None:
                yield Place(carrier.id, "received"), grade
            else:
                yield Place(self._outermost(maker, step).id, "produced"), grade
        caller = self._graph.parent(step)
        while caller is not None:
            if self._holds(caller, "received"):
                yield Place(caller.id, "received"), "matched"
                return
            caller = self._graph.parent(caller)

    def _carrier(self, maker: Step, handoff: Step) -> Step | None:
        """Return the sender of a handoff that brought what he did not send: it stood in the state that he was given."""
        for edge in reversed(self._graph.in_edges(handoff)) if handoff.kind == "handoff" else ():
            sender, is_turn = edge.source, edge.kind == "transfer" and edge.source.kind == "agent"
            if is_turn and self._holds(sender, "received") and _had_ended(maker, sender):
                return sender
        return None

    def _makers_from(self, place: int) -> Iterator[Step]:
        return map(self._makers.__getitem__, range(place, len(self._makers)))

    def _was_at_hand(self, maker: Step, step: Step) -> bool:
        """Return whether what a step made could be used for another, for certain."""
        parent = self._graph.parent(step)
        # The caller's code held the result in its hands when it made the next call.
        if parent is not None and self._encloses(parent, maker) and _had_ended(maker, step):
            return True
        return self._graph.happens_before(maker, step)

    def _outermost(self, maker: Step, step: Step) -> Step:
        outer = self._graph.parent(maker)
        while outer is not None and self._holds(outer, "produced") and _had_ended(outer, step):
            maker, outer = outer, self._graph.parent(outer)
        return maker

    def _answered(self, maker: Step, step: Step) -> bool:
        """Return whether what a step received has a message that answers a tool step's call by its id."""
        call = maker.attributes.get(semconv.TOOL_CALL_ID) if maker.kind == "tool" else None
        return isinstance(call, str) and self._graph.contents.answers(step.received, call)

    def _goes_on(self, place: Place) -> bool:
        """Return whether something that is not loaded may have brought the text to where nothing loaded did."""
        step, part = self._step(place), self._graph.part
        if part is None:
            return False
        if place.side == "produced" and step.kind != "handoff":
            return step.id in part.torn
        if part.is_cut(step):
            return True
        # What nobody above gave to a run is the user's; what came to a step within it, anybody may have said before.
        return self._graph.parent(step) is not None and not part.has_all_before(step)

    # What is told of it

    def _grade_of_way(self, end: Place, came_from: dict[Place, tuple[Place, Grade] | None]) -> Grade:
        grades: list[Grade] = ["observed"]
        place: Place | None = end
        while place is not None:
            step = self._step(place)
            link = came_from[place]
            grades += [self._held(step, place.side) or "inferred", *([link[1]] if link is not None else [])]
            place = link[0] if link is not None else None
        return worst(*grades)

    def _told(self, end: Place, grade: Grade, came_from: dict[Place, tuple[Place, Grade] | None]) -> Arrival:
        goes_on = grade == "inferred" and self._goes_on(end)
        origin, source = (
            (self._step(end), UNKNOWN) if goes_on else self._origins.of(self._step(end), end.side)
        )
        steps = [origin]
        link: tuple[Place, Grade] | None = (end, grade)
        while link is not None:
            step = self._step(link[0])
            steps += (step,) if step is origin else self._doors.passing(step)
            link = came_from[link[0]]
        path = list({step.id: step for step in steps}.values())
        decisions = tuple(Decision(passed, choice) for passed in path for choice in passed.choices)
        if path[-1].id != steps[-1].id:
            path.append(steps[-1])
        in_transit = origin.kind == "handoff" and source == UNKNOWN and not goes_on
        return Arrival(origin, source, tuple(path), decisions, grade, in_transit, end.side, goes_on=goes_on)


def _by_order(step: Callable[[Place], Step]) -> Callable[[tuple[Place, Grade]], tuple[bool, int, int]]:
    return lambda end: (end[1] == "inferred", 0, step(end[0]).seq)


def _had_ended(step: Step, other: Step) -> bool:
    return step.ended_ns is not None and step.ended_ns <= other.started_ns
