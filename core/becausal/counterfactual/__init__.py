"""Counterfactual blame: which smallest part of the context, once it is gone or corrected, changes the outcome.

    found = run.counterfactual(graph, changed=lambda again: "20 million" not in again.output.text(), live=True)
    found.causes[0].pieces            # what it was
    print(found)

The run is replayed, each time without some pieces (see `piece`): what depends on them runs anew, everything else is
answered from the record. First the replay without a change has to reproduce the run; where it does not, nothing can be
said. Then minimal sets are searched for (`minimal`): coarsely first, whole answers and messages, then within what was
found, down to fields and sentences.

What a replay shows counts only if it is faithful: it kept to the record or was allowed to leave it, the app did not
fail where it had not, and nothing differs that began before the first piece that was changed.

How to read the causes: one of a single piece: without it the outcome is another. Several of a single piece each: the
outcome needed all of them. One of several pieces: each of them was enough for the outcome, so only all of them
together change it.

With a model that answers at random, say `repeats`: each set is tried so often, or until it is clear with 95 %
confidence (Wilson) that it changes the outcome more often than not, or that it does not.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from becausal.answers.recorded import Recorded
from becausal.counterfactual.likely import Share
from becausal.counterfactual.minimal import Search, Verdict
from becausal.counterfactual.piece import Piece, PieceKind, edits_of, sources
from becausal.errors import ReplayError
from becausal.harmless import legible
from becausal.replay import Replay
from becausal.replay.answers import ANSWERED
from becausal.replay.divergence import NEEDS_LIVE
from becausal.replay.edit import Edit
from becausal.step import Step

__all__ = [
    "MOST_REPLAYS",
    "Cause",
    "Counterfactual",
    "Piece",
    "PieceKind",
    "Share",
    "Verdict",
    "blame_by_replay",
]

R = TypeVar("R", bound=Recorded)

MOST_REPLAYS = 300
MOST_CAUSES = 6
MOST_LEVELS = 8
"""So often a piece is taken apart: an answer, its list, an item, a field, a sentence."""

FAILED = "the app failed"


class Replaying(Protocol[R]):
    """Replays a run with edits."""

    def __call__(self, edits: Sequence[Edit]) -> Replay[R]:
        """Return what became of it.

        Raises:
            ReplayError: it cannot be replayed so.
        """


@dataclass(frozen=True)
class Cause:
    """Pieces that change the outcome together, of which none can be spared."""

    pieces: tuple[Piece, ...]
    share: Share
    """Of the faithful replays without them, how many had another outcome."""

    @property
    def is_sole(self) -> bool:
        """Whether it is one piece: without it, the outcome is another."""
        return len(self.pieces) == 1

    @legible
    def __str__(self) -> str:
        return "\n".join(map(str, self.pieces))


@dataclass(frozen=True)
class Counterfactual:
    """What a search has shown."""

    causes: tuple[Cause, ...]
    """The smallest first, and of two alike what came first; empty where no piece changes the outcome."""
    pieces: tuple[Piece, ...] = field(repr=False)
    """What was there to be changed, coarsely."""
    replays: int
    """How many there were, the first one without a change included."""
    faithful: int
    """How many of them count."""
    reasons: Mapping[str, int] = field(repr=False)
    """Why the others do not, and how often."""
    is_complete: bool = True
    """False where the search ended because it had replayed as often as it may."""

    @property
    def smallest(self) -> Cause | None:
        """The cause of the fewest pieces."""
        return self.causes[0] if self.causes else None

    @cached_property
    def jointly_needed(self) -> tuple[Piece, ...]:
        """The pieces without each of which the outcome is another: it needed all of them."""
        return tuple(cause.pieces[0] for cause in self.causes if cause.is_sole)

    @legible
    def __str__(self) -> str:
        lines = [f"{self.replays} replays, {self.faithful} of them faithful"]
        for reason, count in self.reasons.items():
            lines.append(f"  not counted, {'once' if count == 1 else f'{count} times'}: {reason}")
        if any(reason.startswith(FAILED) for reason in self.reasons):
            lines.append(
                "  what the app cannot do without, `run.counterfactual(corrections=…)` changes instead"
            )
        if not self.is_complete:
            lines.append("  the search ended early: allow more with most_replays")
        if not self.causes:
            return "\n".join([self._without_cause(), *lines])
        told = []
        for cause in self.causes:
            often = f" in {cause.share}" if cause.share.of > 1 else ""
            if cause.is_sole:
                told.append(f"without this the outcome is another{often}:\n    {cause.pieces[0]}")
            else:
                inner = "".join(f"\n    {piece}" for piece in cause.pieces)
                told.append(f"only without all of these the outcome is another{often}:{inner}")
        return "\n".join([*told, *lines])

    def _without_cause(self) -> str:
        nothing = "nothing that was changed gives another outcome"
        asking = sum(count for reason, count in self.reasons.items() if NEEDS_LIVE in reason)
        if not asking:
            return nothing
        return (
            f"{asking} of {self.replays} replays could not be judged, as models would have to be asked anew: allow it "
            f"with live=True (`--live models`)\nin the {self.faithful} that count {nothing}"
        )


def blame_by_replay(
    recorded: R,
    replaying: Replaying[R],
    changed: Callable[[R], bool] | None = None,
    *,
    pieces: Iterable[Piece] | None = None,
    kinds: Collection[PieceKind] | None = None,
    corrections: Mapping[Piece, object] | None = None,
    repeats: int = 1,
    most_replays: int = MOST_REPLAYS,
    most_causes: int = MOST_CAUSES,
) -> Counterfactual:
    """Return the smallest parts of the context that change an outcome; see `becausal.run.Run.counterfactual`.

    Raises:
        ReplayError: the replay without a change does not reproduce the run, or has the changed outcome already.
    """
    trials = _Trials(recorded, replaying, changed, dict(corrections or {}), repeats)
    entries = trials.baseline()
    known = list(pieces) if pieces is not None else sources(recorded.graph, entries)
    if kinds is not None:
        known = [piece for piece in known if piece.kind in kinds]
    search = Search(trials.verdict, most_replays)
    causes = _causes(search, known, most_causes)
    return Counterfactual(
        tuple(Cause(tuple(cause), trials.share(cause)) for cause in sorted(causes, key=_order)),
        tuple(known),
        trials.replays,
        trials.faithful,
        dict(trials.reasons),
        not search.is_spent,
    )


def _failure(replay: Replay[Any], error: BaseException) -> str:
    """Return what an app failed with, and where; the error's text is not told, as it may quote secrets.

    A framework may raise another error in the place of the app's: then the step says which it was.
    """
    kind = type(error).__qualname__
    step = next((step for step in reversed(replay.run.steps) if step.status == "error"), None)
    if step is not None and step.error and (said := step.error.partition(":")[0]) != kind:
        who = f" of {step.agent}" if step.agent and step.agent != step.name else ""
        return f"{FAILED} with {said} in {step.kind} {step.name!r}{who}"
    frames = traceback.extract_tb(error.__traceback__)
    where = f", at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{FAILED} with {kind}{where}"


def _order(cause: Sequence[Piece]) -> tuple[int, int]:
    """Sort the smallest first and, of two alike, what came first: the others may only have passed it on."""
    return len(cause), min(piece.step.seq for piece in cause)


def _causes(search: Search[Piece], known: Sequence[Piece], most: int) -> list[list[Piece]]:
    """Return causes that have nothing in common, each taken apart as far as it goes."""
    causes: list[list[Piece]] = []
    left = _firm(search, known)
    while len(causes) < most:
        coarse = search.first(left, thorough=not causes)
        if coarse is None:
            break
        fine, rest = _finer(search, coarse)
        causes.append(fine)
        # What stands beside a cause in the same answer may belong to another one.
        left = [piece for piece in left if piece not in set(coarse)] + rest
    return causes


def _firm(search: Search[Piece], known: Sequence[Piece]) -> list[Piece]:
    """Return pieces without which something can be learnt; what the app cannot be without gives way to its parts."""
    left = list(known)
    for _ in range(MOST_LEVELS):
        if search.is_clear(left):
            break
        kept = set(search.clear(left))
        if len(kept) == len(left):
            break
        left = [part for piece in left for part in ([piece] if piece in kept else piece.parts())]
    return left


def _finer(search: Search[Piece], cause: list[Piece]) -> tuple[list[Piece], list[Piece]]:
    """Return a cause taken apart as far as it goes, and what else was in its pieces."""
    rest: list[Piece] = []
    for _ in range(MOST_LEVELS):
        parts = [part for piece in cause for part in piece.parts() or [piece]]
        smaller = None if parts == cause else search.first(_firm(search, parts))
        # A cause of all parts is the whole again.
        if smaller is None or len(smaller) == len(parts):
            break
        rest += [part for part in parts if part not in set(smaller)]
        cause = smaller
    return cause, rest


class _Trials(Generic[R]):
    """Replays, each with some pieces changed, and what they have shown."""

    def __init__(
        self,
        recorded: R,
        replaying: Replaying[R],
        changed: Callable[[R], bool] | None,
        corrections: Mapping[Piece, object],
        repeats: int,
    ) -> None:
        if repeats < 1:
            raise ReplayError(
                f"repeats={repeats} tries nothing; say 1, or more for models that answer at random"
            )
        self._recorded, self._replaying, self._changed = recorded, replaying, changed
        self._corrections, self._repeats = corrections, repeats
        self._blanked: set[Piece] = set()
        """What the app cannot be without, but can be with in blank."""
        self._shares: dict[frozenset[Piece], Share] = {}
        self.replays = self.faithful = 0
        self.reasons: dict[str, int] = {}

    def baseline(self) -> list[Step]:
        """See that the run is reproduced without a change; returns the steps with which the app was called.

        Raises:
            ReplayError: it is not.
        """
        replay = self._play(())
        if not replay.reproduced:
            why = replay.divergence or replay.parting or "something differs"
            raise ReplayError(
                f"without a change, the replay does not reproduce the run: {why}. So nothing would follow from one "
                "with a change: see with run.replay (`becausal replay`) what differs"
            )
        self.faithful += 1
        if self._has_changed(replay):
            raise ReplayError(
                "the run as it was recorded has the changed outcome already; `changed` is to say True of another"
            )
        ids = {step.id for step in self._recorded.steps}
        roots = {step.id for step in self._recorded.steps if step.parent_id not in ids}
        # A framework's app may be called in the course of an own request: then it is asked right below that.
        return [
            step
            for step in self._recorded.steps
            if (step.id in roots and step.kind != "handoff")
            or (step.parent_id in roots and step.kind == "workflow")
        ]

    def verdict(self, pieces: Sequence[Piece]) -> Verdict:
        """Return what becomes of the outcome without some pieces."""
        said = self._tried(pieces)
        if said != "unclear" or len(pieces) != 1 or not pieces[0].can_go or pieces[0].parts():
            return said
        self._blanked.add(pieces[0])
        again = self._tried(pieces)
        if again == "unclear":
            self._blanked.discard(pieces[0])
        return again

    def _tried(self, pieces: Sequence[Piece]) -> Verdict:
        hits = of = 0
        for _ in range(self._repeats):
            said = self._once(pieces)
            if said is not None:
                of, hits = of + 1, hits + said
                low, high = Share(hits, of).interval
                if low > 0.5 or high < 0.5:
                    break
        share = self._shares[frozenset(pieces)] = Share(hits, of)
        if self._repeats == 1:
            return "unclear" if not of else "changed" if hits else "same"
        low, high = share.interval
        return "changed" if low > 0.5 else "same" if high < 0.5 else "unclear"

    def share(self, pieces: Sequence[Piece]) -> Share:
        """Return how often the outcome was another without some pieces."""
        return self._shares.get(frozenset(pieces), Share(0, 0))

    def _once(self, pieces: Sequence[Piece]) -> bool | None:
        """Return whether the outcome was another; None where the replay is no evidence."""
        try:
            replay = self._play(edits_of(pieces, self._corrections, self._blanked))
            why = self._why_unfaithful(replay, pieces)
        except ReplayError as refusal:
            why = str(refusal).partition("\n")[0]
        if why is not None:
            self.reasons[why] = self.reasons.get(why, 0) + 1
            return None
        self.faithful += 1
        return self._has_changed(replay)

    def _play(self, edits: Sequence[Edit]) -> Replay[R]:
        self.replays += 1
        return self._replaying(edits)

    def _has_changed(self, replay: Replay[R]) -> bool:
        if self._changed is not None:
            return bool(self._changed(replay.run))
        return not replay.comparison.is_output_same

    def _why_unfaithful(self, replay: Replay[R], pieces: Sequence[Piece]) -> str | None:
        if replay.divergence is not None:
            return str(replay.divergence)
        failed = next((outcome.error for outcome in replay.outcomes if outcome.error is not None), None)
        if failed is not None and not any(step.status == "error" for step in self._recorded.graph.roots):
            return _failure(replay, failed)
        first = min(piece.step.seq for piece in pieces)
        edited = {piece.step.id for piece in pieces}
        if pieces and edited <= set(replay.unapplied):
            return "what was to be changed did not come from the record in the replay"
        for pair in replay.pairs:
            step = pair.before
            if pair.state == "same" or step is None or step.id in edited or step.seq >= first:
                continue
            # What began before and holds what was changed shows what came of it, and no more.
            if pair.after is None or pair.differs("received") or step.kind in ANSWERED:
                return f"{step.kind} {step.name!r} differs, which began before what was changed"
        return None
