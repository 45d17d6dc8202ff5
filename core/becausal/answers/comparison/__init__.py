"""Two runs side by side: which steps they share, which differ, came or went, and where the two first part.

Steps are paired by their place and never by their ids: the same kind, agent and name, below callers that are a pair
themselves. Of several alike, those are paired first that received and produced the same, then those that received the
same, then what is left in its order; so branches that ran in another order are no difference, and one round of a loop
more is one step more.

Two payloads are equal where their beliefs are: ids, times and counters of messages count for nothing.

The runs part where something differs though nothing before it did. A step is two events there, as in
`becausal.graph.order`: what it received and what it produced. What differs and follows from nothing that differs is a
parting; usually there is one, and of two independent faults there are two.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from functools import cached_property

from becausal.answers.comparison.counterparts import Counterparts, entries_of, is_frame, keys_of
from becausal.answers.comparison.meaning import means_alike
from becausal.answers.comparison.pair import Pair, Side, State, difference
from becausal.answers.comparison.pairing import paired
from becausal.answers.comparison.parting import Parting, partings
from becausal.answers.recorded import Recorded
from becausal.clock import is_replay
from becausal.delta import Delta
from becausal.finding import Finding
from becausal.harmless import legible
from becausal.step import Step

__all__ = ["Comparison", "Pair", "Parting", "Side", "State", "compare"]


class Comparison:
    """Two runs, step by step."""

    def __init__(
        self,
        before: Recorded,
        after: Recorded,
        pairs: Sequence[Pair],
        secrets: Counterparts | None = None,
    ) -> None:
        self.before, self.after = before, after
        self._secrets = secrets
        self.pairs = tuple(pairs)
        """Every step of either run once: those of the second run in `seq` order, what vanished where it had stood."""

    def __bool__(self) -> bool:
        return not self.is_same

    @property
    def is_same(self) -> bool:
        """Whether the two mean the same, step by step."""
        return all(pair.state == "same" for pair in self.pairs)

    @property
    def changed(self) -> tuple[Pair, ...]:
        """The steps that are in both runs and differ."""
        return self._in("changed")

    @property
    def appeared(self) -> tuple[Pair, ...]:
        """The steps of the second run alone."""
        return self._in("appeared")

    @property
    def vanished(self) -> tuple[Pair, ...]:
        """The steps of the first run alone."""
        return self._in("vanished")

    def pair(self, of: Step | str) -> Pair:
        """Return the pair that a step of either run, or its id, is in.

        Raises:
            KeyError: neither run has such a step.
        """
        return self._by_id[of if isinstance(of, str) else of.id]

    @cached_property
    def partings(self) -> tuple[Parting, ...]:
        """Where the two part, the first place first; empty where they are the same."""
        return tuple(partings(self.before, self.after, self.pairs, self._by_id))

    @property
    def first(self) -> Parting | None:
        """Where the two first part."""
        return next(iter(self.partings), None)

    @cached_property
    def output(self) -> Delta:
        """What differs in the outputs; empty also where a body was not kept (`is_output_same` tells)."""
        return difference(self.before.output, self.after.output, self._secrets)

    @property
    def is_output_same(self) -> bool:
        """Whether the outputs mean the same."""
        return means_alike(self.before.output, self.after.output, self._secrets)

    @cached_property
    def findings_came(self) -> tuple[Finding, ...]:
        """The findings of the second run that the first has not, at the step in their place."""
        return self._beyond(self.after.findings, self.before.findings)

    @cached_property
    def findings_went(self) -> tuple[Finding, ...]:
        """The findings of the first run that the second has not."""
        return self._beyond(self.before.findings, self.after.findings)

    @legible
    def __repr__(self) -> str:
        counts = f"{len(self.changed)} changed, {len(self.appeared)} appeared, {len(self.vanished)} vanished"
        return f"<Comparison of {self.before.chain_id[:8]} and {self.after.chain_id[:8]}: {counts}>"

    @cached_property
    def _by_id(self) -> Mapping[str, Pair]:
        return {
            step.id: pair for pair in self.pairs for step in (pair.before, pair.after) if step is not None
        }

    def _in(self, state: State) -> tuple[Pair, ...]:
        return tuple(pair for pair in self.pairs if pair.state == state)

    def _beyond(self, found: Iterable[Finding], known: Iterable[Finding]) -> tuple[Finding, ...]:
        there = set(map(self._mark, known))
        return tuple(finding for finding in found if self._mark(finding) not in there)

    def _mark(self, finding: Finding) -> Hashable:
        pair = self._by_id.get(finding.step.id)
        return finding.kind, finding.agent, finding.tool, finding.key, id(pair)


def compare(before: Recorded, after: Recorded, given: Collection[Step] | None = None) -> Comparison:
    """Return two runs side by side.

    The work grows with the number of steps and, where steps part, with the size of what they received and produced.

    Args:
        before: the one.
        after: the other one.
        given: of a replay, the steps of the record whose input it took; None: with which it was called.
    """
    if not is_replay(after.chain_id):
        return Comparison(before, after, paired(before, after))
    if given is None:
        is_own = any(map(is_frame, entries_of(after.steps, within_frames=False)))
        given = entries_of(before.steps, within_frames=not is_own)
    secrets = Counterparts(before.steps, lambda: keys_of(after.steps), given)
    pairs = paired(before, after, secrets)
    for pair in pairs:  # from the first on: which secret is which is learnt on the way
        _ = pair.state
    return Comparison(before, after, pairs, secrets)
