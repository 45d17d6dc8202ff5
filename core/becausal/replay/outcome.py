"""What came of a replay: the run that it made, beside the recorded one."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, TypeVar

from becausal.answers.comparison import Comparison, compare
from becausal.answers.comparison.pair import Pair
from becausal.answers.comparison.parting import Parting
from becausal.answers.recorded import Recorded
from becausal.harmless import legible
from becausal.redaction import markers_in
from becausal.replay.answers import ANSWERED
from becausal.replay.divergence import Divergence
from becausal.replay.same import is_same
from becausal.step import Step

__all__ = ["Outcome", "Replay"]

R = TypeVar("R", bound=Recorded)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one call of the app from outside ended."""

    value: Any = None
    error: BaseException | None = None


@dataclass(frozen=True)
class Replay(Generic[R]):
    """What became of a replay."""

    of: R
    """The recorded run."""
    run: R
    """The run that the replay made, recorded like any other; its chain id begins with `replay`."""
    divergence: Divergence | None
    """Where it left the record; None where it did not."""
    outcomes: tuple[Outcome, ...]
    """How each call of the app ended, in order."""
    ran: tuple[str, ...]
    """The ids of the steps, models' and tools', that were really run."""
    stood_in: tuple[str, ...]
    """The ids of those that a stand-in answered."""
    unapplied: tuple[str, ...]
    """The ids of the recorded steps that were to be edited and in whose place nothing came: the app went elsewhere, or
    gives them what they receive by itself."""
    recalled: dict[str, str] = field(repr=False)
    """By the id of each step that was answered from the record: that of the recorded one."""
    given: tuple[Step, ...] = field(repr=False)
    """The recorded steps whose input was given to the app."""

    @cached_property
    def comparison(self) -> Comparison:
        """The recorded run and this one, step by step."""
        return compare(self.of, self.run, self.given)

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """The steps of both runs, paired, without those that an answered call had made inside."""
        steps = {step.id: step for step in self.of.steps}
        return tuple(
            pair for pair in self.comparison.pairs if not self._is_spared(pair.before, pair.after, steps)
        )

    @property
    def reproduced(self) -> bool:
        """Whether every step received and produced what it did, in meaning: without ids and times of messages."""
        return self.divergence is None and self.same == len(self.pairs)

    @cached_property
    def same(self) -> int:
        """How many of the pairs are of steps that received and produced the same, in that meaning."""
        return sum(map(is_same, self.pairs))

    @property
    def parting(self) -> Parting | None:
        """The first thing that differs in meaning, and follows from nothing that differs; None where nothing does."""
        counted = set(map(id, self.pairs))
        found = (parting for parting in self.comparison.partings if id(parting.pair) in counted)
        return next((parting for parting in found if not is_same(parting.pair)), None)

    @cached_property
    def redacted(self) -> tuple[str, ...]:
        """The ids of the recorded steps whose answers were given with markers in place of secrets.

        The app had the secrets when it was recorded; in the replay it has what the record has, and may do otherwise.
        """
        answered = set(self.recalled.values())
        sides = ((step.id, step.produced) for step in self.of.steps if step.id in answered)
        return tuple(name for name, side in sides if side is not None and markers_in(side.text()))

    @property
    def is_exact(self) -> bool:
        """Whether it did so byte for byte, ids and times included."""
        return self.reproduced and all(map(_is_exact, self.pairs))

    @property
    def value(self) -> Any:
        """What the app returned last.

        Raises:
            BaseException: what it raised.
        """
        last = self.outcomes[-1] if self.outcomes else Outcome()
        if last.error is not None:
            raise last.error
        return last.value

    def diff(self, run: Recorded | None = None) -> Comparison:
        """Return the recorded run (or another) and this replay's side by side."""
        return self.comparison if run is None else compare(run, self.run)

    def _is_spared(self, before: Step | None, after: Step | None, steps: dict[str, Step]) -> bool:
        if before is None or after is not None:
            return False
        answered = set(self.recalled.values())
        above = steps.get(before.parent_id or "")
        while above is not None:
            if above.kind in ANSWERED and above.id in answered:
                return True
            above = steps.get(above.parent_id or "")
        return False

    @legible
    def __repr__(self) -> str:
        how = (
            "reproduced"
            if self.reproduced
            else f"diverged: {self.divergence}"
            if self.divergence
            else "differs"
        )
        return f"<Replay of {self.of.chain_id[:8]}: {how}>"


def _is_exact(pair: Pair) -> bool:
    return all(
        first is second if first is None or second is None else first.digest == second.digest
        for first, second in (pair.payloads("received"), pair.payloads("produced"))
    )
