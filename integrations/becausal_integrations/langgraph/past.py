"""Who wrote which version of which channel, for runs that go on from a checkpoint in the middle of an earlier one.

A ledger knows who wrote what a channel holds now. Whoever travels back in time reads what it held then; the checkpoint
names the versions, and this says whose they are. No step is kept alive, and no more than its digests are kept of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from becausal.payload import Payload
from becausal.step import RemoteStep, StepRef

__all__ = ["Edit", "Past", "PastStep", "past_step"]

MAX_ENTRIES = 128
"""Writes of a run that are remembered; the oldest is forgotten beyond so many."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)  # equal as any remote step is
class PastStep(RemoteStep):
    """What is kept of a step: enough to be the sender of what it left behind."""

    kind: str = ""
    produced: Payload | None = None


class Edit(NamedTuple):
    """Somebody wrote into a thread's state from outside."""

    step: PastStep
    channels: frozenset[str]


class _Entry(NamedTuple):
    channel: str
    version: Any
    steps: tuple[PastStep, ...]
    adds: bool  # to what was there; else it took its place


class Past:
    """The writes of a run, oldest first. Written by the run's thread alone."""

    def __init__(self, entries: Iterable[_Entry] = ()) -> None:
        self._entries: deque[_Entry] = deque(entries, MAX_ENTRIES)

    def __iter__(self) -> Iterator[_Entry]:
        return iter(list(self._entries))

    def wrote(self, channel: str, version: Any, steps: Iterable[StepRef], *, adds: bool = False) -> None:
        """Note who made a version of a channel."""
        self._entries.append(_Entry(channel, version, tuple(map(past_step, steps)), adds))

    def until(self, versions: Mapping[str, Any]) -> Past:
        """Return the part of it that led to these versions of the channels."""
        return Past(entry for entry in self if _is_until(entry, versions.get(entry.channel)))

    def writers(
        self, channel: str, version: Any, edits: Iterable[Edit] = (), *, is_control: bool = False
    ) -> list[tuple[StepRef, Any]]:
        """Return who made what a channel held at a version, each with the version that it made.

        Args:
            edits: what was done from outside, earliest first: it made what no run did.
        """
        found: list[tuple[StepRef, Any]] = []
        entries = [entry for entry in self if entry.channel == channel]
        if not entries or entries[-1].version != version:
            edited = [edit for edit in edits if is_control or channel in edit.channels]
            found += [(edit.step, version) for edit in edited[-1:]]
            if found and not (entries and entries[-1].adds):
                return found
        for entry in reversed(entries):
            found += [(step, entry.version) for step in entry.steps]
            if not entry.adds:
                break
        return found


def past_step(step: StepRef) -> PastStep:
    """Return what is kept of a step."""
    if isinstance(step, PastStep):
        return step
    kind, produced = getattr(step, "kind", ""), getattr(step, "produced", None)
    return PastStep(
        step.id, step.chain_id, step.seq, step.hop, step.agent, step.span_context, str(kind), produced
    )


def _is_until(entry: _Entry, version: Any) -> bool:
    return version is not None and type(version) is type(entry.version) and entry.version <= version
