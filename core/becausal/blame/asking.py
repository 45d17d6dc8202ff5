"""Asks about the pieces of what one step said, and about what those are made of.

A piece that its writer worded itself is looked at more closely: the runs of words in it that its writer was given, and
the facts in it, in whichever form they were given, have come in elsewhere; and a figure that was given to nobody may
follow from figures that were.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from becausal.blame.became import Became
from becausal.blame.calling import called_by
from becausal.blame.changes import Rewording, in_words_of, on_the_way, source_piece
from becausal.blame.doors import Doors
from becausal.blame.flow import Flow
from becausal.blame.given import GivenTo
from becausal.blame.origins import Side
from becausal.blame.pieces import Piece
from becausal.blame.reckoned import Reckoning, reckonings
from becausal.blame.segment import Derived, Segment, unknown
from becausal.blame.shared import runs
from becausal.blame.ways import Arrival
from becausal.decision import Decision
from becausal.facts import Fact, facts
from becausal.graph import Graph
from becausal.graph.index import Found
from becausal.graph.wording import normal, telling_words
from becausal.payload import Payload
from becausal.step import Step

__all__ = ["Asking"]

WORDED = ("model", "agent")
"""Sources that word things themselves."""

ASKED = frozenset((
    "money", "date", "time", "percent", "quantity", "duration", "number", "limit", "id", "email", "url", "version",
    "quote", "name",
))  # fmt: skip
"""Kinds of facts that are blamed by themselves."""

CONVERTED = ("quantity", "duration")
"""Kinds of facts that may be told in another unit."""

MOST_OPERANDS = 12
MOST_CHANGES = 20
MOST_FACTS = 40
_CURRENCY_CODE = re.compile(r"\s+[A-Z]{3}\Z")
_FIGURE = re.compile(r"\d+(?:\.\d+)?")


class Asking:
    """Asks about one step's texts. Those that stand in the same places are led back once."""

    def __init__(self, graph: Graph, step: Step) -> None:
        self._graph, self._step = graph, step
        self._flows: dict[Found, Flow] = {}
        self._given, self._doors = GivenTo(graph), Doors(graph)
        self._became = Became(graph, self._given, self._wording)

    def about_text(self, text: str) -> Iterator[Segment]:
        """Yield the segments of what a text asks about: of what stands there, if that is the same in other words."""
        there = self._as_it_stands(text)
        for segment in self.about(Piece(there, "$")):
            is_asked = there != text and segment.part_of is None
            yield replace(segment, asked=text) if is_asked else segment

    def about(self, piece: Piece) -> Iterator[Segment]:
        """Yield the segment of a piece, and those of what came in elsewhere in it."""
        hints = frozenset(telling_words(piece.key or ""))
        whole = replace(self._segment(piece.text, hints), at=piece.at)
        fact = _only_fact(piece.text, piece.key)
        if fact is not None and (whole.source in WORDED or whole.in_transit or whole.origin is None):
            whole = replace(self._of_fact(fact, whole, hints) or whole, text=piece.text, at=piece.at)
            yield self._explained(fact, whole)
            return
        if whole.source not in WORDED or whole.origin is None:
            yield whole
            return
        parts = list(self._parts(piece, whole))
        if len(parts) == 1 and parts[0].text == piece.text:
            yield replace(parts[0], part_of=None)  # it was cut: all of it came in elsewhere
            return
        yield whole
        yield from parts

    # The parts of a piece

    def _parts(self, piece: Piece, whole: Segment) -> Iterator[Segment]:
        assert whole.origin is not None
        covered: list[tuple[int, int]] = []
        for run in runs(piece.text, self._given.words(whole.origin)):
            part = self._segment(run.text)
            if part.origin is None or part.origin.id == whole.origin.id:
                continue
            if part.source not in WORDED:
                covered.append((run.start, run.end))
            if run.is_cut:
                yield self._cut(piece, whole, part)
                return
            quoted = Rewording("quoted", whole.origin, run.text, piece.text)
            yield replace(part, at=piece.at, part_of=piece.text, changes=[*part.changes, quoted])
        for fact in facts(piece.text)[:MOST_FACTS]:
            start, end = fact.span
            if fact.kind not in ASKED or any(begin <= start and end <= last for begin, last in covered):
                continue
            hints = frozenset(telling_words(piece.text) | fact.near | telling_words(piece.key or ""))
            found = list(self._part(fact, whole, hints, piece))
            if fact.kind == "limit" and not found and (amount := _amount_in(fact)) is not None:
                found = list(
                    self._part(amount, whole, hints, piece)
                )  # it may have been no limit where it came from
            for part in found:
                # Any word has a capital there: that another worded it so too is no sign that it is from him.
                if part.source not in WORDED or not _opens(piece.text, fact):
                    yield part

    def _part(self, fact: Fact, whole: Segment, hints: frozenset[str], piece: Piece) -> Iterator[Segment]:
        part = self._of_fact(fact, whole, hints)
        alone = self._explained(fact, part or replace(whole, text=fact.text, changes=[]))
        if part is not None or alone.derived is not None or alone.changes:
            figure = _CURRENCY_CODE.sub("", alone.text) if fact.kind == "money" else alone.text
            yield replace(alone, text=figure, at=piece.at, part_of=piece.text)

    def _of_fact(self, fact: Fact, whole: Segment, hints: frozenset[str]) -> Segment | None:
        """Return the segment of a fact that came in elsewhere than what it stands in."""
        if fact.kind == "number" and len(fact.text) < 2:
            return None
        said = self._segment(fact.text, hints)
        part = said if _is_elsewhere(said, whole) else None
        if fact.kind in ("name", "quote") or (part is not None and part.source not in WORDED):
            return part
        stated = self._segment(fact.text, hints, fact)
        if not _is_elsewhere(stated, whole) or not _is_elsewhere(stated, said):
            return part
        if fact.kind in CONVERTED and said.origin is not None and _is_converted(stated):
            return replace(
                said, changes=[], derived=Derived("converted", [_as_given(stated, said.origin)], is_sure=True)
            )
        return stated

    def _cut(self, piece: Piece, whole: Segment, part: Segment) -> Segment:
        assert whole.origin is not None
        assert part.origin is not None
        before = source_piece(self._graph, part.text, part.origin) or part.text
        cut = Rewording("cut", whole.origin, before, piece.text)
        return replace(part, text=piece.text, at=piece.at, changes=[*part.changes, cut])

    # What a fact was made of

    def _explained(self, fact: Fact, segment: Segment) -> Segment:
        """Return the segment of a fact, with what its origin made it of, where that was given none like it."""
        if segment.origin is None or segment.derived is not None:
            return segment
        if segment.source not in WORDED and not segment.in_transit:
            return segment
        changed = self._changed(fact, segment.origin)
        if changed:
            return replace(segment, changes=[*changed, *segment.changes])
        return segment if segment.in_transit else self._reckoned(fact, segment)

    def _changed(self, fact: Fact, origin: Step | None) -> list[Rewording]:
        """Return in the place of what a fact was said by its origin; and that, in the place of what, cause first."""
        found: list[Rewording] = []
        while origin is not None and len(found) < MOST_CHANGES:
            exchange = self._became.told(origin, fact)
            if exchange is None:
                break
            before, after = exchange
            found.insert(0, Rewording("changed", origin, before.text, after.text))
            fact, origin = before, self._wording(origin, before)
        return found

    def _wording(self, step: Step, fact: Fact) -> Step | None:
        """Return who worded a fact that a step was given, or on which way it came in; None: one who words nothing."""
        for other, side, _ in self._given.places(step):
            given = self._standing_in(fact.text, other, side, fact.near, None)
            if given is not None:
                return given.origin if given.source in WORDED or given.in_transit else None
        return None

    def _reckoned(self, fact: Fact, segment: Segment) -> Segment:
        origin = segment.origin
        if origin is None or (fact.kind == "number" and len(fact.text) < 2 and not fact.near):
            return segment
        ways = reckonings(fact, self._given.scopes(origin))
        if not ways:
            return segment
        best = ways[0]
        is_sure = best.is_sure and not any(other.is_sure for other in ways[1:])
        return replace(segment, derived=Derived(best.how, self._operands(best, origin), is_sure))

    def _operands(self, way: Reckoning, origin: Step) -> list[Segment]:
        found = []
        once = {(operand.key, operand.path): operand for operand in way.operands}
        for operand in list(once.values())[:MOST_OPERANDS]:
            hints = frozenset(
                operand.near | {word for key in operand.path for word in telling_words(str(key))}
            )
            part = self._standing_in(operand.text, way.scope.step, way.scope.side, hints, None)
            if part is None:
                continue
            path = part.path if part.path[-1].id == origin.id else [*part.path, origin]
            found.append(replace(part, at=_at(operand.path), path=path))
        return found

    # One text

    def _as_it_stands(self, text: str) -> str:
        """Return a text in the words of the step that is asked about; as it is where that does not say it."""
        for fact in (None, _only_fact(text, None)):
            for _, payload in self._sides():
                flow = self._flow(text, payload, fact)
                grade = None if flow is None else flow.grade(payload)
                if grade == "observed":
                    return text
                if flow is not None and grade == "matched":
                    return next(in_words_of(self._graph, flow, text, payload, fact), text)
        return text

    def _segment(self, text: str, hints: frozenset[str] = frozenset(), fact: Fact | None = None) -> Segment:
        for side, _ in self._sides():
            found = self._standing_in(text, self._step, side, hints, fact)
            if found is not None:
                return found
        return unknown(text)

    def _sides(self) -> Iterator[tuple[Side, Payload]]:
        step = self._step
        if step.produced is not None:
            yield "produced", step.produced
            if _is_output(self._graph, step):
                return  # what an output does not say is not in it, even if the request said it
        if step.received is not None:
            yield "received", step.received

    def _flow(self, text: str, payload: Payload, fact: Fact | None) -> Flow | None:
        """Return the way of a text, or of a fact, as a payload says it; None where what that says is not known."""
        graph = self._graph
        if graph.contents.of(payload) is None:
            return None
        wording = graph.index.wording(text, payload)
        found = graph.index.find(wording) if fact is None else graph.index.find_fact(fact, wording)
        if found not in self._flows:
            self._flows[found] = Flow(graph, found, self._doors)
        return self._flows[found]

    def _standing_in(
        self, text: str, step: Step, side: Side, hints: frozenset[str], fact: Fact | None
    ) -> Segment | None:
        """Return the segment of a text, or of a fact, that stands on a side of a step."""
        payload = step.produced if side == "produced" else step.received
        flow = None if payload is None else self._flow(text, payload, fact)
        if flow is None or flow.grade(payload) is None:
            return None
        arrival = flow.arrival(step, side, hints)
        return self._told(text, arrival, on_the_way(self._graph, flow, text, arrival, fact))

    def _told(self, text: str, arrival: Arrival, changes: list[Rewording]) -> Segment:
        return Segment(
            text,
            arrival.origin,
            arrival.source,
            list(arrival.path),
            arrival.grade,
            list(arrival.decisions),
            _asked_by(self._graph, arrival.origin),
            list(arrival.candidates),
            arrival.in_transit,
            changes=changes,
            goes_on=arrival.goes_on,
        )


def _only_fact(text: str, key: str | None) -> Fact | None:
    """Return the fact that is all that a text says; that of a figure under a key is told apart by it."""
    bare = text.strip(" .,;:!?()[]\"'*_`")
    found = facts({key: text} if key is not None else text)
    if len(found) != 1 or found[0].kind not in ASKED - {"name", "quote"}:
        return None
    return found[0] if found[0].text.strip() == bare else None


def _amount_in(limit: Fact) -> Fact | None:
    """Return the amount that a limit sets, by itself; None where its words say more than that."""
    figure = _FIGURE.search(limit.text)
    return (
        None
        if figure is None
        else _only_fact(limit.text[limit.text.rfind(" ", 0, figure.start()) + 1 :], None)
    )


def _opens(text: str, fact: Fact) -> bool:
    """Return whether a name is one word that begins what is told behind a colon: `Turn 7: Noted.`"""
    is_one_word = fact.kind == "name" and " " not in fact.text
    return is_one_word and text[: fact.span[0]].rstrip(" \t\"'(*_").endswith(":")


def _is_converted(stated: Segment) -> bool:
    """Return whether a fact's figure became another one on its way."""
    return any(_figures(change.before) != _figures(change.after) for change in stated.changes)


def _figures(text: str) -> list[str]:
    return _FIGURE.findall(normal(text))


def _as_given(stated: Segment, by: Step) -> Segment:
    """Return the segment of a fact as its origin said it, with its path to a step."""
    ids = [step.id for step in stated.path]
    path = stated.path[: ids.index(by.id) + 1] if by.id in ids else stated.path
    return replace(stated, text=stated.changes[0].before, changes=[], path=path)


def _is_elsewhere(part: Segment, whole: Segment) -> bool:
    return part.origin is not None and (whole.origin is None or part.origin.id != whole.origin.id)


def _asked_by(graph: Graph, origin: Step) -> list[Decision]:
    """Return the decisions behind a tool's call: those of the model that a recorded edge names."""
    callers = [
        edge.source for edge in graph.in_edges(origin) if edge.kind == "data" and origin.kind == "tool"
    ]
    return [
        Decision(caller, choice)
        for caller in {caller.id: caller for caller in callers if caller.kind == "model"}.values()
        for choice in called_by(graph, caller, origin)
    ]


def _is_output(graph: Graph, step: Step) -> bool:
    return graph.output_step is not None and graph.output_step.id == step.id


def _at(path: Sequence[object]) -> str:
    return "$" + "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
