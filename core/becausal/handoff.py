"""A handoff: one passing of content over a boundary between two agents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from becausal import semconv
from becausal.canonical.belief import BOOKKEEPING
from becausal.payload import Payload
from becausal.step import Step

if TYPE_CHECKING:
    from becausal.delta import Change, Delta

__all__ = ["Handoff", "Verdict"]

Verdict = Literal["identical", "same_meaning", "extended", "differs", "lost", "unknown"]
"""What comparing the two payloads shows by itself. `same_meaning`: only ids, times or counters of messages differ.
`extended`: all that was sent arrived, beside what others had written. `lost`: nobody received it. `unknown`: one side
was not recorded."""


@dataclass(frozen=True)
class Handoff:
    """One passing over a boundary: who sent what, who received what."""

    step: Step
    sender: str | None
    receiver: str | None
    sent_by: Step | None
    received_by: Step | None
    read: Callable[[Payload], Any] = field(default=Payload.value, compare=False, repr=False)
    """Gives a payload's value: a run's handoffs share what they have in common, and so do their deltas."""

    @property
    def id(self) -> str:
        """The id of the handoff's own step."""
        return self.step.id

    @property
    def sent(self) -> Payload | None:
        """The payload as it was when it was sent."""
        return self.step.received

    @property
    def received(self) -> Payload | None:
        """The payload as it was when it was received; None if nobody did."""
        return self.step.produced

    @property
    def has_two_keys(self) -> bool:
        """Whether its two ends redact under keys of their own, so that one secret has two markers."""
        return self.step.attributes.get(semconv.TRANSFER_KEYS) is True

    @cached_property
    def delta(self) -> Delta:
        """What differs between the two, by path; empty where a body was not kept.

        What it holds is shared with a run's other handoffs, and must not be changed.
        """
        # An app that records imports this module for its name alone (`becausal.handoff`), and compares nothing.
        from becausal.delta import Delta, delta
        from becausal.redaction.alike import alike

        sent, received = self.sent, self.received
        if sent is None or received is None or sent.digest == received.digest:
            return Delta(())
        if not sent.is_kept or not received.is_kept:
            return Delta(())
        return delta(*alike(self.read(sent), self.read(received), two_keys=self.has_two_keys))

    @property
    def told(self) -> Delta:
        """The delta without the ids, times and counters that a framework gave a message on its way."""
        from becausal.delta import Delta

        return Delta(tuple(change for change in self.delta if not _is_bookkeeping(change)))

    @property
    def verdict(self) -> Verdict:
        """What the comparison shows."""
        if self.sent is None:
            return "unknown"
        if self.received is None:
            return "lost" if self.received_by is None else "unknown"
        if self.sent.digest == self.received.digest:
            return "identical"
        if self.sent.belief == self.received.belief:
            return "same_meaning"
        if not self.delta and self.sent.is_kept and self.received.is_kept:
            return "same_meaning"  # but for a secret that was known as one only when it arrived
        return "extended" if self.delta and all(map(_takes_nothing, self.delta)) else "differs"

    @property
    def intended(self) -> bool:
        """Whether the app declared the difference as intended."""
        return self.step.attributes.get(semconv.TRANSFER_INTENDED) is True


def _takes_nothing(change: Change) -> bool:
    """Say whether all that was sent is still there: something came in beside it, or a message was given an id."""
    return change.kind == "added" or _is_bookkeeping(change)


def _is_bookkeeping(change: Change) -> bool:
    return (
        change.kind == "changed"
        and change.before is None
        and bool(change.at)
        and change.at[-1] in BOOKKEEPING
    )
