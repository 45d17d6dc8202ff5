"""A step of one run and the step of another that stands in its place."""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Literal

from becausal import semconv
from becausal.answers.comparison.counterparts import Counterparts
from becausal.answers.comparison.meaning import LARGEST, means_alike
from becausal.canonical.belief import BOOKKEEPING
from becausal.clock import is_replay
from becausal.delta import Delta, delta
from becausal.harmless import legible
from becausal.payload import Payload
from becausal.step import Step

__all__ = ["LARGEST", "Pair", "Side", "State", "belief_of", "difference", "place_of", "steady"]

State = Literal["same", "changed", "appeared", "vanished"]
Side = Literal["received", "produced"]

_NAMED_BY_CHANCE: Final = re.compile(
    r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}|[0-9a-f]{16,}|\[redacted:[a-z_]+:[0-9a-f]{8}\]",
    re.IGNORECASE,
)
"""Ids that frameworks put into names: of a topic, of a team's manager; and markers, which go by a key."""


@dataclass(frozen=True)
class Pair:
    """A step of the one run and the step of the other one that stands in its place."""

    before: Step | None
    """Of the first run; None for a step that appeared."""
    after: Step | None
    """Of the second run; None for a step that vanished."""
    secrets: Counterparts | None = field(default=None, repr=False, compare=False)
    """Which of a replay's secrets are which of the record's."""

    @property
    def step(self) -> Step:
        """The second run's step; of what vanished, the first run's."""
        step = self.after or self.before
        assert step is not None
        return step

    @cached_property
    def state(self) -> State:
        """Whether anything of it differs."""
        if self.before is None:
            return "appeared"
        if self.after is None:
            return "vanished"
        is_same = self.before.status == self.after.status and not self.is_elsewhere
        return (
            "same" if is_same and not self.differs("received") and not self.differs("produced") else "changed"
        )

    @property
    def is_elsewhere(self) -> bool:
        """Whether the same was handed to somebody else, or to nobody."""
        return (
            self.before is not None
            and self.after is not None
            and place_of(self.before) != place_of(self.after)
        )

    def payloads(self, side: Side) -> tuple[Payload | None, Payload | None]:
        """Return what the two received, or produced."""
        first, second = (
            None if step is None else step.received if side == "received" else step.produced
            for step in (self.before, self.after)
        )
        return first, second

    def differs(self, side: Side) -> bool:
        """Say whether the two received, or produced, what does not mean the same; also where only one did."""
        return side in self._differing

    @cached_property
    def _differing(self) -> frozenset[Side]:
        sides: tuple[Side, ...] = ("received", "produced")
        if not is_replay(self.step.chain_id):
            return frozenset(side for side in sides if not _is_believed(*self.payloads(side)))
        return frozenset(side for side in sides if not means_alike(*self.payloads(side), self.secrets))

    @cached_property
    def received(self) -> Delta:
        """What differs in what they received; empty where one of the bodies was not kept."""
        return difference(*self.payloads("received"), self.secrets)

    @cached_property
    def produced(self) -> Delta:
        """What differs in what they produced; empty where one of the bodies was not kept."""
        return difference(*self.payloads("produced"), self.secrets)

    @legible
    def __repr__(self) -> str:
        return f"<Pair {self.step.kind} {self.step.name!r}: {self.state}>"


def place_of(step: Step) -> Hashable:
    """Return what a step has in common with the one in its place in another run, beside its caller."""
    said = step.attributes
    return (
        step.kind,
        steady(step.name),
        steady(step.agent or ""),
        steady(str(said.get(semconv.TRANSFER_TARGET_OWN, ""))),
        steady(str(said.get(semconv.MEMORY_RECORD, ""))),
    )


def steady(name: str) -> str:
    """Return a name without the ids in it."""
    return _NAMED_BY_CHANCE.sub("…", name)


def belief_of(payload: Payload | None) -> str | None:
    """Return the digest of what a payload means."""
    return None if payload is None else payload.belief


def _is_believed(before: Payload | None, after: Payload | None) -> bool:
    return belief_of(before) == belief_of(after)


def difference(before: Payload | None, after: Payload | None, secrets: Counterparts | None = None) -> Delta:
    """Return what differs between two payloads, without the ids, times and counters of messages."""
    if before is None or after is None or before.belief == after.belief:
        return Delta(())
    if not (before.is_kept and after.is_kept) or max(before.size, after.size) > LARGEST:
        return Delta(())
    value, other = before.value(), after.value()
    found = delta(value, other if secrets is None else secrets.led_back(value, other)[0])
    told = tuple(change for change in found if not change.at or change.at[-1] not in BOOKKEEPING)
    return Delta(told) if told else found
