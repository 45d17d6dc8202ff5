"""Contracts that good runs kept without having any: a beginning for those that an app is to declare.

A field is suggested as one that must be carried if every handoff between two agents sent it and it always arrived; as
one that may be dropped if every handoff sent it and it never did. Runs with an error or another finding teach nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from becausal.finding import Finding
from becausal.findings import find
from becausal.handoff import Handoff
from becausal.payload import Payload
from becausal.run import Run

__all__ = ["Suggestion", "suggest"]

FEWEST = 3
"""Handoffs between two agents, before anything is suggested of them."""

BOOKKEEPING = frozenset(
    ("id", "created_at", "timestamp", "metadata", "models_usage", "usage", "type", "source")
)
"""Fields of messages that frameworks fill; nobody owes them."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What one sender has always brought one receiver."""

    sender: str
    receiver: str
    must_carry: tuple[str, ...]
    allow: tuple[str, ...]
    seen: int
    """In how many handoffs."""

    def __str__(self) -> str:
        arguments = [repr(self.sender), repr(self.receiver)]
        arguments += [f"must_carry={list(self.must_carry)!r}"] if self.must_carry else []
        arguments += [f"allow={list(self.allow)!r}"] if self.allow else []
        return f"becausal.contract({', '.join(arguments)})  # kept in {self.seen} handoffs"


def suggest(runs: Iterable[Run]) -> list[Suggestion]:
    """Return what the handoffs of good runs have in common, by sender and receiver, the most often seen first."""
    between: dict[tuple[str, str], list[tuple[frozenset[str], frozenset[str]]]] = {}
    for run in runs:
        if run.status != "ok" or any(_is_bad(finding) for finding in find(run.graph, run.handoffs)):
            continue
        for handoff in run.handoffs:
            fields = _fields(handoff)
            if fields is not None and handoff.sender and handoff.receiver:
                between.setdefault((handoff.sender, handoff.receiver), []).append(fields)
    found = [_suggestion(*pair, seen) for pair, seen in between.items() if len(seen) >= FEWEST]
    return sorted((one for one in found if one.must_carry or one.allow), key=lambda one: -one.seen)


def _is_bad(finding: Finding) -> bool:
    # What gets lost every time is what a contract may allow.
    return finding.severity != "note" and finding.kind != "handoff.dropped"


def _suggestion(sender: str, receiver: str, seen: list[tuple[frozenset[str], frozenset[str]]]) -> Suggestion:
    always_sent = frozenset.intersection(*(sent for sent, _ in seen))
    always_came = frozenset.intersection(*(received for _, received in seen))
    ever_came = frozenset.union(*(received for _, received in seen))
    must_carry = tuple(sorted(always_sent & always_came))
    dropped = tuple(f"drop:{field}" for field in sorted(always_sent - ever_came))
    return Suggestion(sender, receiver, must_carry, dropped, len(seen))


def _fields(handoff: Handoff) -> tuple[frozenset[str], frozenset[str]] | None:
    sent, received = _names(handoff.sent), _names(handoff.received)
    return None if sent is None or received is None else (sent, received)


def _names(payload: Payload | None) -> frozenset[str] | None:
    if payload is None or not payload.is_kept:
        return None
    value = payload.value()
    if not isinstance(value, Mapping):
        return None
    return frozenset(str(key) for key, item in value.items() if item not in (None, "", [], {})) - BOOKKEEPING
