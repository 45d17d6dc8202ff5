"""A cassette as a store to read, and a store that takes one in."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from opentelemetry.trace import SpanContext, TraceFlags

from becausal.cassette import MAX_BYTES, Cassette, container, read, row
from becausal.errors import CassetteError, StoreError
from becausal.memory_event import MemoryEvent, MemoryRead, NewEvent
from becausal.step import OpenStep, RemoteStep, Step
from becausal.store import ChainInfo, Store, StoreInfo
from becausal.store.numbering import numbered
from becausal.store.outline import Outline

__all__ = ["CassetteStore", "take_in"]


class CassetteStore:
    """A `becausal.store.Store` of one run, which can be read alone."""

    def __init__(self, path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES) -> None:
        """Open a cassette; all of it is read and verified at once.

        Raises:
            CassetteError: it cannot be read.
        """
        self._path = Path(path).expanduser().absolute()
        self.url = str(path)
        self.cassette: Cassette = read(self._path, max_bytes=max_bytes)

    def write(self, steps: Sequence[OpenStep], *, notes_memory: bool = True) -> None:
        """Refuse: a cassette is never written to again."""
        self._refuse()

    def add_gaps(self, gaps: Mapping[str, int]) -> None:
        """Refuse."""
        self._refuse()

    def gaps(self) -> dict[str, int]:
        """Return nothing: what could not be recorded is counted for a store, not for a run."""
        return {}

    def chains(self, *, prefix: str = "", limit: int | None = None) -> list[ChainInfo]:
        """Return its run, if its id starts with a prefix."""
        if not self.cassette.chain_id.startswith(prefix) or limit == 0:
            return []
        return [_info(self.cassette)]

    def load(self, chain_id: str, ids: Collection[str] | None = None) -> list[Step]:
        """Return its steps in `seq` order, or those with some ids; empty for another chain."""
        if chain_id != self.cassette.chain_id:
            return []
        wanted = None if ids is None else frozenset(ids)
        return [self._own(step) for step in self.cassette.steps if wanted is None or step.id in wanted]

    def outline(self, chain_id: str) -> Outline:
        """Return which steps it has and who called whom; empty for another chain."""
        return Outline(
            (
                int(step.id, 16),
                None if step.parent_id is None else int(step.parent_id, 16),
                step.seq,
                step.started_ns,
                step.ended_ns,
            )
            for step in (self.cassette.steps if chain_id == self.cassette.chain_id else ())
        )

    def body(self, digest: bytes) -> bytes | None:
        """Return the canonical body with this digest, or None if it is not kept."""
        return self.cassette.bodies.get(digest)

    def anchored(self, name: str) -> RemoteStep | None:
        """Return None: nothing goes on from a cassette."""
        return None

    def append(
        self, event: NewEvent, bodies: Mapping[bytes, bytes], *, expected: int | None = None
    ) -> MemoryEvent | None:
        """Refuse."""
        self._refuse()

    def memory_events(self, memory_name: str | None = None, key: str | None = None) -> list[MemoryEvent]:
        """Return the events of memories that belong to its run, in the order of their log."""
        return [
            event
            for event in self.cassette.events
            if memory_name in (None, event.memory) and key in (None, event.key)
        ]

    def memory_reads(self, memory_name: str | None = None, key: str | None = None) -> list[MemoryRead]:
        """Return what its run read from memories, in causal order."""
        return [
            one for one in self.cassette.reads if memory_name in (None, one.memory) and key in (None, one.key)
        ]

    def broken_link(self, memory_name: str) -> str | None:
        """Refuse: a part of a log cannot be verified link by link."""
        raise StoreError(
            f"{self.url} is a cassette: it holds those events of {memory_name!r} that belong to one run, and only "
            "the whole log can be verified, in the store that it was exported from"
        )

    def erase(self, memory_name: str, key: str) -> None:
        """Refuse."""
        self._refuse()

    def describe(self) -> StoreInfo:
        """Return what the file is and how much is in it."""
        made = self.cassette
        return StoreInfo(
            self.url,
            self._path,
            container.FORMAT,
            self._path.stat().st_size,
            1,
            len(made.steps),
            len(made.bodies),
        )

    def close(self) -> None:
        """Do nothing: the file was let go of when it had been read."""

    def _own(self, step: Step) -> Step:
        """Return a step whose payloads lead back here: a replay asks where they are kept for memories' events too."""
        received, produced = (
            None if payload is None else replace(payload, bodies=self)
            for payload in (step.received, step.produced)
        )
        return replace(step, received=received, produced=produced)

    def _refuse(self) -> NoReturn:
        raise StoreError(
            f"{self.url} is a cassette, which never changes; `becausal import {self.url}` takes its run into a store"
        )


def take_in(cassette: Cassette, store: Store, anchors: Iterable[tuple[str, str]] = ()) -> bool:
    """Write a cassette's run to a store, under its own chain id; False where it is there already.

    All of it or nothing. The store's memories stay as they are: what the run wrote to memories is told by its steps,
    and none of it is taken for what this store's own apps wrote.

    Args:
        cassette: the run.
        store: where to.
        anchors: names by which a later run finds its steps, with their ids; a cassette has none.

    Raises:
        CassetteError: the store has a run with this chain id and another content.
        StoreError: the store cannot be written.
    """
    steps_there = store.load(cassette.chain_id)
    # With the numbers of the log that they were exported with, or as they were recorded.
    forms = steps_there, numbered(store, steps_there)
    there = {step.id: {_written(step), _written(same)} for step, same in zip(*forms, strict=True)}
    own = {step.id: _written(step) for step in cassette.steps}
    differs = next((id for id, written in there.items() if id in own and own[id] not in written), None)
    if differs is not None or not (own.keys() <= there.keys() or there.keys() <= own.keys()):
        where = "has other steps" if differs is None else f"tells otherwise of the step {differs}"
        raise CassetteError(
            f"{store.url} has a run {cassette.chain_id} already, which {where}; nothing was imported. "
            "Import it into another store (--store), or read it as it is (becausal.open)"
        )
    is_new = not own.keys() <= there.keys()
    steps = [_open_again(step) for step in cassette.steps]
    if steps:
        # On one step: a batch is one transaction. Written though all steps are there: bodies may have been missing.
        steps[0].bodies = list(cassette.bodies.items())
        by_id = {step.id: step for step in steps}
        for name, step_id in anchors:
            if step_id in by_id:
                by_id[step_id].anchor(name)
        store.write(steps, notes_memory=False)
    return is_new


# Inside


def _info(cassette: Cassette) -> ChainInfo:
    steps = cassette.steps
    ids = {step.id for step in steps}
    ends = [step.ended_ns for step in steps]
    return ChainInfo(
        chain_id=cassette.chain_id,
        name=next((step.name for step in steps if step.parent_id not in ids), ""),
        started_ns=min((step.started_ns for step in steps), default=0),
        ended_ns=None if None in ends else max((end for end in ends if end is not None), default=None),
        steps=len(steps),
        errors=sum(step.status == "error" for step in steps),
        handoffs=sum(step.kind == "handoff" for step in steps),
        agents=tuple(dict.fromkeys(step.agent for step in steps if step.agent is not None)),
        root_is_lost=bool(steps) and all(step.parent_id is not None for step in steps),
    )


def _written(step: Step) -> bytes:
    return row.lines([row.step_line(step)])


def _open_again(step: Step) -> OpenStep:
    """Return a step in the form in which a store takes it."""
    opened = OpenStep(
        id=step.id,
        chain_id=step.chain_id,
        kind=step.kind,
        name=step.name,
        agent=step.agent,
        parent_id=step.parent_id,
        hop=step.hop,
        seq=step.seq,
        started_ns=step.started_ns,
    )
    opened.ended_ns, opened.status, opened.error = step.ended_ns, step.status, step.error
    opened.received, opened.produced = step.received, step.produced
    opened.attributes, opened.causes, opened.choices = dict(step.attributes), list(step.causes), step.choices
    if step.trace_id is not None and step.span_id is not None:
        opened.span_context = SpanContext(
            int(step.trace_id, 16), int(step.span_id, 16), is_remote=True, trace_flags=TraceFlags(0)
        )
    return opened
