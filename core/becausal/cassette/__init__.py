"""Cassettes: one run in one file, to be read on another machine, kept in a repository, replayed and tested against.

    run.export("refund.becausal")
    becausal.open("refund.becausal").last().findings

The file is a container (see `becausal.cassette.container`: signature, header, sections, digests) of five sections. Four
hold lines of JSON, the fields as in `Step`, `Payload`, `MemoryEvent` and `MemoryRead` (see `becausal.cassette.row`):

`steps`
    The steps in `seq` order, with their causes, choices and attributes. A payload is named by its digest. The root says
    in the attribute `becausal.packages` which versions of which packages recorded it.
`payloads`
    What is known of each payload beside its body: its belief digest, size, type, and what could not be kept.
`events`
    Events of memories that this run wrote, and those that it read.
`reads`
    Who read which version of which key.
`bodies`
    The canonical bytes, each once (see `becausal.cassette.body`): of payloads, and of what a replay needs beside them
    (attributes `kept.…`, which hold digests). What was recorded as a digest alone, or has been
    erased, is not there; what was redacted when it was recorded is redacted here.

The same run makes the same bytes, wherever zstandard is of the same version; `Cassette.digest` is the same everywhere.

A cassette is data. Nothing in it is executed, imported or unpickled, no path in it is followed, and no class of an app
is made; whoever reads one gets plain values. Everything is checked before the first of them is to be had.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from becausal import canonical, semconv
from becausal.cassette import body, container, row
from becausal.cassette.container import MAX_BYTES, SUFFIX, is_cassette
from becausal.errors import CassetteError
from becausal.memory_event import MemoryEvent, MemoryRead
from becausal.payload import Payload
from becausal.step import Step

__all__ = ["MAX_BYTES", "SUFFIX", "Cassette", "is_cassette", "own_name", "read"]


@dataclass(frozen=True)
class Cassette:
    """A run that is on its way into a file, or out of one."""

    chain_id: str
    steps: tuple[Step, ...]
    """In `seq` order."""
    events: tuple[MemoryEvent, ...] = ()
    """Of memories: those of this run, and those that it read; in the order of their log."""
    reads: tuple[MemoryRead, ...] = ()
    bodies: Mapping[bytes, bytes] = field(default_factory=dict, repr=False)
    """Canonical bodies by their digests."""
    written_by: str = ""

    @classmethod
    def of(
        cls,
        chain_id: str,
        steps: Iterable[Step],
        events: Iterable[MemoryEvent] = (),
        reads: Iterable[MemoryRead] = (),
    ) -> Cassette:
        """Return the cassette of a run; of a store's events and reads, what belongs to it is taken.

        Args:
            chain_id: the run's.
            steps: its steps, with payloads whose bodies can be read.
            events: those of every memory of the store that it was recorded to.
            reads: those of that store.
        """
        own_reads = tuple(one for one in reads if one.chain_id == chain_id)
        seen = {(one.memory, one.key, one.version) for one in own_reads}
        own_events = tuple(
            one for one in events if one.chain_id == chain_id or (one.memory, one.key, one.version) in seen
        )
        ordered = tuple(sorted(steps, key=lambda step: (step.seq, step.started_ns, step.id)))
        known = _payloads(ordered, own_events)
        keeper = next((payload.bodies for payload in known.values() if payload.bodies is not None), None)
        roots = [(digest, payload.bodies) for digest, payload in known.items()]
        bodies = body.below([*roots, *((digest, keeper) for digest in _kept(ordered))])
        return cls(chain_id, ordered, own_events, own_reads, bodies, own_name())

    @property
    def packages(self) -> tuple[str, ...]:
        """Which versions recorded it, as `name==version`; empty where they were not noted."""
        said = (step.attributes.get(semconv.PACKAGES) for step in self.steps)
        return next((packages for packages in said if isinstance(packages, tuple)), ())

    @property
    def without_body(self) -> int:
        """How many payloads are known by their digests alone."""
        known = {**_payloads(self.steps, self.events), **dict.fromkeys(_kept(self.steps))}
        return sum(canonical.parse_digest(digest) not in self.bodies for digest in known)

    @property
    def digest(self) -> str:
        """SHA-256 over the content, 64 hexadecimal digits; the same wherever and however it was packed."""
        whole = hashlib.sha256()
        for name, content in self._sections().items():
            whole.update(f"{name} {len(content)}\n".encode() + content)
        return whole.hexdigest()

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the file, in place of a cassette that is there.

        Raises:
            CassetteError: it cannot be written, or there is something that is no cassette.
        """
        file = Path(path).expanduser()
        container.replace(file, self.packed())
        return file

    def check(self) -> None:
        """See that what it is made of can be read again: a damaged store gives what nobody takes.

        Raises:
            ValueError: it cannot.
        """
        _cassette(container.Container(self.chain_id, self.written_by, self._sections()), sys.maxsize)

    def packed(self) -> bytes:
        """Return the file's bytes."""
        return container.pack(container.Container(self.chain_id, self.written_by, self._sections()))

    def _sections(self) -> dict[str, bytes]:
        return {
            "steps": row.lines(map(row.step_line, self.steps)),
            "payloads": row.lines(map(row.payload_line, _payloads(self.steps, self.events).values())),
            "events": row.lines(map(row.event_line, self.events)),
            "reads": row.lines(map(row.read_line, self.reads)),
            "bodies": body.packed(self.bodies),
        }


def read(path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES) -> Cassette:
    """Return what is in a file.

    Args:
        path: the file.
        max_bytes: what it may hold when it is unpacked.

    Raises:
        CassetteError: it cannot be read, is no cassette, is damaged, cut off, too large, or of a newer format.
    """
    file = Path(path).expanduser()
    found = container.read(file, max_bytes)
    try:
        return _cassette(found, max_bytes)
    except (ValueError, RecursionError) as failure:
        # Its digests are right: so this was not an accident of its way here.
        raise CassetteError(f"{file} was not written by becausal as it stands: {failure}") from failure


# Inside


def _cassette(found: container.Container, max_bytes: int) -> Cassette:
    missing = {"steps", "payloads", "events", "reads", "bodies"} - found.sections.keys()
    if missing:
        raise ValueError(f"the section {min(missing)!r} is missing")
    bodies = body.unpacked(found.sections["bodies"])
    body.check(bodies, max_bytes)
    held = body.Held(bodies)
    payloads = {
        payload.digest: payload
        for payload in row.records(found.sections["payloads"], partial(row.payload_of, bodies=held))
    }
    steps = row.records(
        found.sections["steps"], partial(row.step_of, chain_id=found.chain_id, payloads=payloads)
    )
    _check_tree(steps)
    events = row.records(found.sections["events"], partial(row.event_of, payloads=payloads))
    reads = row.records(found.sections["reads"], partial(row.read_of, chain_id=found.chain_id))
    return Cassette(found.chain_id, tuple(steps), tuple(events), tuple(reads), bodies, found.written_by)


def _check_tree(steps: Sequence[Step]) -> None:
    """See that each id stands for one step, and that no step is within itself.

    Raises:
        ValueError: it is not so.
    """
    parents = {step.id: step.parent_id for step in steps}
    if len(parents) != len(steps):
        raise ValueError("two steps have one id")
    rooted: set[str] = set()
    for step in steps:
        way: dict[str, None] = {}
        at: str | None = step.id
        while at is not None and at not in rooted:
            if at in way:
                raise ValueError(f"the step {at} is within itself")
            way[at] = None
            at = parents.get(at)
        rooted.update(way)


def _payloads(steps: Iterable[Step], events: Iterable[MemoryEvent]) -> dict[str, Payload]:
    """Return the payloads of steps and events by their digests, in the order in which they are met."""
    found: dict[str, Payload] = {}
    for step in steps:
        for payload in (step.received, step.produced):
            if payload is not None:
                found.setdefault(payload.digest, payload)
    for event in events:
        if event.payload is not None:
            found.setdefault(event.payload.digest, event.payload)
    return found


def _kept(steps: Iterable[Step]) -> Iterator[str]:
    """Yield the digests of what is kept of steps beside their payloads, for a replay."""
    for step in steps:
        for key, digest in step.attributes.items():
            if key.startswith(semconv.KEPT) and isinstance(digest, str):
                yield digest


def own_name() -> str:
    """Return who writes: `becausal` and its version."""
    try:
        return f"becausal {importlib.metadata.version('becausal')}"
    except importlib.metadata.PackageNotFoundError:  # run from its source, without installing
        return "becausal"
