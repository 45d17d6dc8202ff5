"""What the memories of one run held, and when: `run.memory`.

Whatever agents share is a memory here: the channels of a LangGraph state, a `BaseStore`, AutoGen's memories, a
`becausal.Memory`. Each is told by the steps that wrote and read it, so this needs nothing but the run. What other runs
wrote is in the store's log: `becausal memory KEY`, or `becausal.Memory`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import get_args

from becausal import semconv
from becausal.delta import Delta, delta
from becausal.errors import MemoryKeyError
from becausal.graph import Graph
from becausal.memory_event import Operation
from becausal.payload import Payload
from becausal.redaction.naming import hidden_names
from becausal.step import Step

__all__ = ["Held", "MemoryView", "Moment", "content_of", "instance_of"]


@dataclass(frozen=True, slots=True)
class Held:
    """One version of one key, as a step wrote it."""

    memory: str
    """The memory's name; of a state channel, the graph's."""
    key: str
    version: int | None
    """A channel's as LangGraph counted it, a memory's as the store's log does; None for a change in place, which nobody
    counted."""
    operation: Operation
    step: Step
    """Which step wrote it."""
    seq: int
    """The causal sequence number from which on it holds: that of the last step within the one that wrote it."""
    is_channel: bool = False
    instance: str | None = None
    """Which object it is, of a memory that lives in one process alone: another of its name holds something else."""

    @property
    def agent(self) -> str | None:
        """Who wrote it."""
        return self.step.agent

    @property
    def name(self) -> str:
        """The memory and the key."""
        return f"{self.memory}/{self.key}"

    def value(self) -> object:
        """Return what was written, as plain data; None where it was deleted or its body not kept."""
        payload = content_of(self.step)
        if payload is None or not payload.is_kept:
            return None
        value = payload.value()
        # A node produces an update: a dict by channel, where it writes more than one.
        return value.get(self.key, value) if self.is_channel and isinstance(value, Mapping) else value

    def __str__(self) -> str:
        version = "?" if self.version is None else self.version
        return f"{self.name}@{version} {self.operation} by {self.agent or 'nobody named'}"


class Moment(Mapping[str, Held]):
    """What every key held at one moment, by `memory/key`."""

    def __init__(self, held: Mapping[str, Held]) -> None:
        self._held = dict(held)

    def __getitem__(self, name: str) -> Held:
        return self._held[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def __repr__(self) -> str:
        return f"<Moment: {', '.join(map(str, self._held.values())) or 'nothing held'}>"


class MemoryView:
    """The shared memories of one run."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def keys(self) -> tuple[str, ...]:
        """Return every key that was written, as `memory/key`, in the order of the first write."""
        return tuple(self._histories)

    def history(self, key: str) -> tuple[Held, ...]:
        """Return every version of a key, in causal order.

        Args:
            key: `memory/key`, or the key alone where only one memory has it.

        Raises:
            MemoryKeyError: no memory of this run has it, or several have.
        """
        return tuple(self._histories[self._name(key)])

    def lines(self, key: str) -> tuple[tuple[Held, ...], ...]:
        """Return every version of a key, in causal order, for each memory object of that name by itself.

        Raises:
            MemoryKeyError: as for `history`.
        """
        found: dict[str | None, list[Held]] = {}
        for held in self.history(key):
            found.setdefault(held.instance, []).append(held)
        return tuple(map(tuple, found.values()))

    def blame(self, key: str) -> Held:
        """Return who last changed a key; `run.why(held.step)` tells on what evidence.

        Raises:
            MemoryKeyError: as for `history`.
        """
        return self.history(key)[-1]

    def at(self, seq: int) -> Moment:
        """Return what each key held at a causal sequence number, a step's `seq` for one."""
        return Moment(
            {
                name: last
                for name, versions in self._histories.items()
                if (last := _last(versions, seq)) is not None and last.operation != "delete"
            }
        )

    def diff(self, before: int, after: int) -> dict[str, Delta]:
        """Return what changed between two causal sequence numbers, by `memory/key`; what did not is left out."""
        old, new = self.at(before), self.at(after)
        changes = {}
        for name in dict.fromkeys((*old, *new)):
            was, is_now = old.get(name), new.get(name)
            if was is None or is_now is None or was.step.id != is_now.step.id:
                change = delta(
                    None if was is None else was.value(), None if is_now is None else is_now.value()
                )
                if change:
                    changes[name] = change
        return changes

    def readers(self, key: str, seq: int | None = None) -> tuple[Step, ...]:
        """Return the steps that read a key, or, with a `seq`, the version that it held then; in causal order.

        Raises:
            MemoryKeyError: as for `history`.
        """
        name = self._name(key)
        version = None
        if seq is not None:
            held = _last(self._histories[name], seq)
            if held is None:
                return ()
            version = held.version
        return tuple(step for step, read, number in self._reads if read == name and version in (None, number))

    def __repr__(self) -> str:
        return (
            f"<MemoryView: {len(self._histories)} keys, {sum(map(len, self._histories.values()))} versions>"
        )

    # Inside

    @cached_property
    def _histories(self) -> dict[str, list[Held]]:
        found: dict[str, list[Held]] = {}
        for step in self._graph.nodes:
            for held in self._written(step):
                found.setdefault(held.name, []).append(held)
        for versions in found.values():
            versions.sort(key=lambda held: (held.seq, held.version or 0))
        return found

    @cached_property
    def _reads(self) -> list[tuple[Step, str, int | None]]:
        return [(step, name, version) for step in self._graph.nodes for name, version in self._read(step)]

    def _written(self, step: Step) -> Iterator[Held]:
        said = step.attributes
        key, version = said.get(semconv.MEMORY_RECORD), said.get(semconv.MEMORY_VERSION)
        if step.kind == "memory_write" and step.status == "ok" and isinstance(key, str):
            memory, number = (
                str(said.get(semconv.MEMORY_STORE, "")),
                version if isinstance(version, int) else None,
            )
            seq, its = self._last_seq(step), instance_of(step)
            yield Held(memory, key, number, _operation(step), step, seq, instance=its)
        for channel, number in _numbered(said.get(semconv.STATE_WRITTEN)):
            memory, seq = self._graph_of(step), self._last_seq(step)
            yield Held(memory, channel, number, "write", step, seq, is_channel=True)

    def _read(self, step: Step) -> Iterator[tuple[str, int | None]]:
        said = step.attributes
        if step.kind == "memory_read":
            memory, key = said.get(semconv.MEMORY_STORE, ""), said.get(semconv.MEMORY_RECORD)
            version = said.get(semconv.MEMORY_VERSION)
            if isinstance(key, str):
                yield f"{memory}/{key}", version if isinstance(version, int) else None
            for seen, number in _numbered(said.get(semconv.MEMORY_SEEN)):
                yield f"{memory}/{seen}", number
        for channel, number in _numbered(said.get(semconv.STATE_READ)):
            yield f"{self._graph_of(step)}/{channel}", number

    def _last_seq(self, step: Step) -> int:
        """Return the highest number of a step and of what it called."""
        last, waiting = step.seq, [step]
        while waiting:
            inner = self._graph.children(waiting.pop())
            last = max((last, *(one.seq for one in inner)))
            waiting.extend(inner)
        return last

    def _graph_of(self, step: Step) -> str:
        """Return the name of the graph whose state a step shares."""
        within = self._graph.parent(step)
        while within is not None and within.kind != "workflow":
            within = self._graph.parent(within)
        return "state" if within is None else within.name

    def _name(self, key: str) -> str:
        if key in self._histories:
            return key
        matches = [
            name for name, versions in self._histories.items() if versions[0].key in (key, *hidden_names(key))
        ]
        if len(matches) == 1:
            return matches[0]
        if not matches and (read := self._read_alone(key)):
            raise MemoryKeyError(
                f"this run read {read[0]} (version {read[1]}) and did not write it: who did is in the store's log. Ask "
                f"becausal memory {read[0]} --readers, or becausal.open().contaminated_by({f'{read[0]}@{read[1]}'!r})"
            )
        there = ", ".join(matches or self._histories) or "nothing"
        if matches:
            raise MemoryKeyError(
                f"several memories of this run have {key!r}: {there}; name the one that you mean"
            )
        raise MemoryKeyError(f"no memory of this run has {key!r}; it has: {there}")

    def _read_alone(self, key: str) -> tuple[str, object] | None:
        """Return which key that this run only read is meant, and the last version that it read."""
        told = (key, *hidden_names(key))
        read = [
            (name, "?" if version is None else version)
            for _, name, version in self._reads
            if name.endswith(tuple(f"/{one}" for one in told)) or name in told
        ]
        return read[-1] if read and len({name for name, _ in read}) == 1 else None


def content_of(step: Step) -> Payload | None:
    """Return what a write left: what a reducer made of it, else what was written; None for a deletion."""
    return step.received if step.produced is None else step.produced


def instance_of(step: Step) -> str | None:
    """Return which object a step wrote or read, of a memory that lives in one process alone; None of others."""
    told = step.attributes.get(semconv.MEMORY_INSTANCE)
    return told if isinstance(told, str) else None


def _operation(step: Step) -> Operation:
    said = step.attributes.get(semconv.MEMORY_OPERATION)
    if said in get_args(Operation):
        return said  # type: ignore[return-value]
    return "delete" if content_of(step) is None else "write"


def _last(versions: Iterable[Held], seq: int) -> Held | None:
    return max((held for held in versions if held.seq <= seq), key=lambda held: held.seq, default=None)


def _numbered(said: object) -> Iterator[tuple[str, int | None]]:
    """Yield what `key@version` texts say; a version that is not known is None."""
    for one in said if isinstance(said, tuple) else ():
        key, _, version = str(one).rpartition("@")
        yield key, int(version) if version.isdigit() else None
