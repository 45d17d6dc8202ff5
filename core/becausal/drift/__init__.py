"""Drift: what became of the request, hop by hop, from the user's words to the last agent. `run.drift()`.

    drift = run.drift()
    drift.curve                      # [(0, 1.0, 0.0), (1, 1.0, 0.1), (2, 0.8, 0.3)]: hop, share kept, distance
    drift.lost[0].fact.text          # 'no later than 3 May'
    drift.lost[0].step               # <Step … agent 'summariser'>: it was told, and did not pass it on
    drift.changed[0].changes         # 400 became 420 with bo at hop 2, 440 with cleo at hop 3

Followed are the request's facts and constraints (`becausal.facts`): figures, names, dates, identifiers, addresses,
limits, denials. A hop is what agents tell agents: by the recorded handoffs, else by data that reached a turn. At each
hop a fact is known if any turn there was told of it or works with it, on whichever branch; what all lack is lost. What
a later turn was given though nobody said it again went past those between: a worker that is sent one part did not lose
the others. Lost is not wrong by itself: not every agent needs every fact, and `run.findings` tells of losses that are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

from becausal.drift.meaning import Embed, Wanted, by_embedding, embedder
from becausal.drift.pairing import exchanged
from becausal.drift.request import Asked, Request, request_of, wording
from becausal.drift.turns import Read, Stated, Turn, Turns
from becausal.facts import Fact, facts, remembering
from becausal.facts.compare import lacks
from becausal.facts.fact import Key
from becausal.graph import Graph
from becausal.handoff import Handoff
from becausal.harmless import legible
from becausal.step import Step

__all__ = ["Change", "Drift", "Embed", "Fate", "Followed", "Hop", "drift", "embedder"]

Fate = Literal["kept", "changed", "lost", "returned"]
"""`kept`: the last agents knew it. `returned`: it was lost on the way, and somebody said it again."""

NOT_KEPT: Final = (
    "the content of the request was not kept, so nothing was judged; an app keeps it with "
    "becausal.instrument(capture='full')"
)


@dataclass(frozen=True, slots=True)
class Change:
    """A fact that became another one."""

    step: Step
    """The turn that was told the one and told the other."""
    hop: int
    before: Fact
    after: Fact

    @legible
    def __str__(self) -> str:
        who = self.step.agent or self.step.name
        return f"{wording(self.before)!r} became {wording(self.after)!r} with {who} at hop {self.hop}"


@dataclass(frozen=True)
class Followed:
    """One fact of the request, and what became of it."""

    fact: Fact
    source: Literal["user", "system", "earlier"]
    """Who said it: the user in this request, a system prompt, the user in an earlier run of the conversation."""
    fate: Fate
    step: Step | None
    """Where it was lost, or changed first: the turn that was told and did not tell, or the handoff that lost it."""
    hop: int | None
    """At which hop that was: for a loss the last one that was told of it. None where it was kept all the way."""
    changes: tuple[Change, ...]
    """What it became, one after the other; of a fact that was kept, on a branch that did not prevail."""
    returned: Step | None
    """The turn that said it again after it was lost."""
    known: tuple[bool, ...]
    """Of each hop, from the first on: whether anybody there was told of it."""
    is_in_output: bool
    """Whether the run's answer states it. An answer need not repeat the request."""
    counts: bool = True
    """Whether it counts in `Hop.kept`: what only one agent's system prompt says does not."""

    @property
    def became(self) -> Fact | None:
        """What stands in its place at last; None where nothing does."""
        return self.changes[-1].after if self.fate == "changed" else None

    @legible
    def __str__(self) -> str:
        said = f"{wording(self.fact)!r} {self.fate}"
        if self.fate == "changed":
            return f"{said}: {'; '.join(map(str, self.changes))}"
        where = "" if self.step is None else f" at hop {self.hop}: {self.step.name}"
        return said + where


@dataclass(frozen=True)
class Hop:
    """How things stood at one hop."""

    number: int
    """0: the request itself; then how many agents, this one included, worked on it."""
    steps: tuple[Step, ...]
    """The turns; several where branches ran side by side."""
    kept: float
    """Which share of the request's facts was known here, by anybody; 1 of a request without facts."""
    distance: float
    """How far the meaning of what was told here had moved from the request, 0 to 1; see `becausal.drift.meaning`."""
    embedded: float | None = None
    """The same by the user's embedding model; None where none was named."""


@dataclass(frozen=True)
class Drift:
    """What became of a request."""

    request: Step | None
    """The step that received it; None of a run without any."""
    facts: tuple[Followed, ...]
    """In the order of the request."""
    hops: tuple[Hop, ...]
    unjudged: str = ""
    """Why nothing is known of it, no fact and no hop; empty where it was followed."""

    @property
    def curve(self) -> list[tuple[int, float, float]]:
        """Of each hop its number, the share of facts kept and the distance; the request first: `(0, 1.0, 0.0)`."""
        return [(hop.number, hop.kept, hop.distance) for hop in self.hops]

    @property
    def kept(self) -> tuple[Followed, ...]:
        """The facts that the last agents knew, the ones that had been lost meanwhile among them."""
        return tuple(one for one in self.facts if one.fate in ("kept", "returned"))

    @property
    def lost(self) -> tuple[Followed, ...]:
        """The facts that the last agents did not know, and no other in their place."""
        return self._of("lost")

    @property
    def changed(self) -> tuple[Followed, ...]:
        """The facts that became others."""
        return self._of("changed")

    @property
    def returned(self) -> tuple[Followed, ...]:
        """The facts that were lost and came back."""
        return self._of("returned")

    @property
    def first(self) -> Step | None:
        """The step at which the first fact was lost or changed; None where all were kept."""
        deviating = [one for one in self.facts if one.step is not None and one.hop is not None]
        return (
            min(deviating, key=lambda one: (one.hop or 0, one.step.seq if one.step else 0)).step
            if deviating
            else None
        )

    def _of(self, fate: Fate) -> tuple[Followed, ...]:
        return tuple(one for one in self.facts if one.fate == fate)

    @legible
    def __repr__(self) -> str:
        if self.unjudged:
            return f"<Drift: {self.unjudged}>"
        counts = ", ".join(
            f"{len(self._of(fate))} {fate}"
            for fate in ("kept", "changed", "lost", "returned")
            if self._of(fate)
        )
        return f"<Drift over {max(0, len(self.hops) - 1)} hops: {counts or 'no facts'}>"


def drift(
    graph: Graph, handoffs: Sequence[Handoff], read: Read, answer: Stated, embed: Embed | None = None
) -> Drift:
    """Return what became of a run's request.

    Args:
        graph: the run's.
        handoffs: the run's.
        read: gives what a payload states.
        answer: what the run said last.
        embed: gives texts their vectors, for `Hop.embedded`.
    """
    root = next(iter(graph.roots), None)
    if root is not None and root.received is not None and not root.received.is_kept:
        return Drift(root, (), (), NOT_KEPT)
    turns = Turns(graph, handoffs, read)
    with remembering(graph.kept):
        request = request_of(graph, turns.shown_first)
        following = _Following(turns, request.asked, answer)
        return Drift(
            request.step,
            tuple(following.followed(one) for one in request.asked),
            tuple(_hops(turns, request, following, embed)),
        )


class _Following:
    """The facts of a request, followed through the turns in their order."""

    def __init__(self, turns: Turns, asked: Sequence[Asked], answer: Stated) -> None:
        self._turns, self._answer = turns, answer
        self._live = [turns.live(number) for number in range(1, len(turns.hops) + 1)]
        self.known = {one.fact.key: self._known(one.fact) for one in asked}
        self._changes: dict[Key, list[Change]] = {one.fact.key: [] for one in asked}
        self._root = {one.fact.key: one.fact.key for one in asked}
        for turn in turns.all:
            self._take(turn, [one.fact for one in asked])

    def followed(self, asked: Asked) -> Followed:
        """Return what became of a fact."""
        fact, known = asked.fact, self.known[asked.fact.key]
        changes = tuple(self._changes[fact.key])
        in_output = not _lacks(fact, self._answer)
        fate: Fate = "kept"
        step, hop, returned = None, None, None
        gap = next((i for i in range(1, len(known)) if known[i - 1] and not known[i]), None)
        is_known = not known or known[-1]
        if changes and (not is_known or (not in_output and self._is_said_instead(changes))):
            fate, step, hop = "changed", changes[0].step, changes[0].hop
        elif gap is not None:
            fate = "returned" if is_known else "lost"
            step, hop = self._where_lost(fact, gap), gap
            if fate == "returned":
                returned = self._said_again(fact, gap)
        return Followed(
            fact, asked.source, fate, step, hop, changes, returned, known, in_output, asked.counts
        )

    def _take(self, turn: Turn, asked: Sequence[Fact]) -> None:
        """Note which facts became others with a turn, and follow those from here on."""
        became = [change.after for changes in self._changes.values() for change in changes]
        heard = [fact for fact in (*asked, *became) if not _lacks(fact, turn.heard)]
        lost = [fact for fact in heard if _lacks(fact, turn.said)]
        for before, after in exchanged(heard, turn.heard, turn.said, is_relay=len(lost) * 2 <= len(heard)):
            if after.key in self._root or self._was_told(turn, after):
                continue
            self._root[after.key] = self._root[before.key]
            self._changes[self._root[before.key]].append(Change(turn.step, turn.hop, before, after))

    def _was_told(self, turn: Turn, fact: Fact) -> bool:
        """Return whether a turn before had been told of a fact."""
        return any(other.hop < turn.hop and not _lacks(fact, other.heard) for other in self._turns.all)

    def _is_said_instead(self, changes: Sequence[Change]) -> bool:
        return any(not _lacks(change.after, self._answer) for change in changes)

    def _known(self, fact: Fact) -> tuple[bool, ...]:
        """Return of each hop whether a fact was known there, or went past it."""
        known = [
            any(not _lacks(fact, stated) for stated in rows)
            or any(self._turns.has_at_hand(turn, fact) for turn in hop)
            for rows, hop in zip(self._live, self._turns.hops, strict=True)
        ]
        heard = [at for at, is_known in enumerate(known) if is_known]
        for last, back in pairwise(heard):
            between = [turn for hop in self._turns.hops[last + 1 : back] for turn in hop]
            if between and not any(self._had(turn, fact) for turn in between):
                known[last:back] = [True] * (back - last)
        return tuple(known)

    def _had(self, turn: Turn, fact: Fact) -> bool:
        """Return whether a turn had or said a fact that it was not told of by what it heard."""
        return not (_lacks(fact, turn.said) and _lacks(fact, self._turns.received(turn)))

    def _where_lost(self, fact: Fact, hop: int) -> Step | None:
        """Return the last turn that was told of a fact and told nobody, or the handoff on which it got lost."""
        told = [turn for turn in self._turns.all if turn.hop <= hop and not _lacks(fact, turn.heard)]
        silent = [turn for turn in told if _lacks(fact, turn.said)]
        if silent:
            return max(silent, key=lambda turn: (turn.hop, turn.step.seq)).step
        for turn in reversed(told):
            for receiver in self._turns.heard_by(turn):
                handoff = self._turns.between(turn.step, receiver.step)
                if handoff is not None and _lacks(fact, receiver.heard):
                    return handoff.step
        return told[-1].step if told else None

    def _said_again(self, fact: Fact, gap: int) -> Step | None:
        return next(
            (
                turn.step
                for turn in self._turns.all
                if turn.hop > gap and _lacks(fact, turn.heard) and not _lacks(fact, turn.said)
            ),
            None,
        )


def _hops(turns: Turns, request: Request, following: _Following, embed: Embed | None) -> Iterator[Hop]:
    counted = tuple(one.fact for one in request.asked if one.counts)
    told = [turns.live(number) for number in range(1, len(turns.hops) + 1)]
    texts = ["\n".join(text for _, text in rows) for rows in told]
    embedded = (
        by_embedding(embed, request.text, texts) if embed is not None and texts else [None] * len(texts)
    )
    wanted = Wanted((facts(request.text), request.text))
    first = () if request.step is None else (request.step,)
    yield Hop(0, first, 1.0, 0.0, None if embed is None else 0.0)
    for number, here in enumerate(turns.hops, 1):
        known = [following.known[fact.key][number - 1] for fact in counted]
        yield Hop(
            number,
            tuple(turn.step for turn in here),
            sum(known) / len(known) if known else 1.0,
            wanted.distance(told[number - 1]),
            embedded[number - 1],
        )


def _lacks(fact: Fact, stated: Stated) -> bool:
    return lacks(fact, *stated)
