"""State as shared memory: what a task read and wrote, what it changed in place, and what a reducer made of it."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from becausal import semconv
from becausal.canonical import decode
from becausal.recorder import NOTHING, Opening, Recorder, Sealed
from becausal.step import Attribute, Cause, OpenStep, StepRef
from becausal_integrations.langgraph.channels import (
    SCALARS,
    holds_all,
    is_state,
    rule_of,
    value_of,
    versioned,
)
from becausal_integrations.langgraph.describe import version_number
from becausal_integrations.langgraph.ledger import MAX_CONTRIBUTORS
from becausal_integrations.langgraph.register import GraphRecord, TaskRecord
from becausal_integrations.langgraph.superstep import Superstep

if TYPE_CHECKING:
    from langgraph.types import PregelExecutableTask

__all__ = ["States"]

_CHANNEL = operator.itemgetter(0)

MOST_SAID = 32
"""Writes of a task whose channels, at a version, are remembered."""


class States:
    """Tells what tasks do to the state that they share."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    # -- one task

    def written(self, record: TaskRecord, task: PregelExecutableTask, step: OpenStep) -> None:
        """Note which channels a task wrote, at the version that applying its writes will give them."""
        version = record.graph.next_version
        if version is None:
            return
        names, known = tuple(map(_CHANNEL, task.writes)), record.graph.channels
        # Of as many as there may be `Send`s nothing is remembered.
        said = _said(names, version, known) if len(names) <= MOST_SAID else _versions(names, version, known)
        if said:
            step.attributes[semconv.STATE_WRITTEN] = said

    def changed_in_place(self, record: TaskRecord, task: PregelExecutableTask, step: OpenStep) -> None:
        """Note that a task changed what it had received, where others see it and no write tells of it."""
        entry = record.entry
        is_copy = bool(record.fired)  # else it is a `Send`'s or a called task's: the sender's own object
        now = None if entry is None else entry.now(self._recorder, task.input)
        if entry is None or now is None:
            return
        if not is_copy:
            step.attributes[semconv.MUTATED] = True
            return
        channels = _channels_of(task)
        names = _shared_changes(task, entry.sealed, now, channels)
        if not names:
            return
        step.attributes[semconv.MUTATED] = True
        attributes: dict[str, Attribute] = {semconv.MEMORY_STORE: record.graph.workflow.name}
        if len(names) == 1:
            attributes[semconv.MEMORY_RECORD] = names[0]
        attributes[semconv.MUTATED] = True
        name = ", ".join(names)
        opening = Opening("memory_write", name, record.agent, entry.sealed, step, attributes=attributes)
        write = self._recorder.begin(opening)
        if write is None:
            return
        self._recorder.end(write, now)
        for name in names:
            record.graph.ledger.changed_in_place(name, value_of(channels[name]), write)

    # -- a superstep

    def merged(self, graph: GraphRecord, done: Superstep) -> dict[str, StepRef]:
        """Tell what reducers made of a superstep's writes, where something of it is not in the result.

        Returns for each such channel the step that now stands for all that it holds.
        """
        if graph.is_saved:
            self._correct(graph, done)
        merged: dict[str, StepRef] = {}
        channels = done.loop.channels
        for channel, by in done.written.items():
            if channel not in done.standing:
                continue
            kind = rule_of(type(channels[channel]))
            if kind == "replace" and len(by) == 1:
                continue
            if kind == "gather" and len(graph.ledger.by_channel.get(channel, ())) > MAX_CONTRIBUTORS:
                self._gather(graph, done, channel)
            wrote = [by[0][2]] if len(by) == 1 else [value for _, _, value in by]
            if holds_all(channels[channel], done.standing[channel], wrote):
                continue
            step = self._tell(graph, done, channel, {writer.id: writer for _, writer, _ in by}, wrote)
            if step is not None:
                merged[channel] = step
        return merged

    def _tell(
        self,
        graph: GraphRecord,
        done: Superstep,
        channel: str,
        writers: Mapping[str, StepRef],
        wrote: Sequence[Any],
    ) -> OpenStep | None:
        version = done.version(channel)
        causes = [_wrote(writer, channel) for writer in writers.values()]
        causes += [_wrote(step, channel) for step in graph.ledger.writers(channel) if step.id not in writers]
        return self._step(graph, channel, version, wrote, causes, value_of(done.loop.channels[channel]))

    def _gather(self, graph: GraphRecord, done: Superstep, channel: str) -> None:
        """Let one step stand for all who made what a channel held: its readers need not name each of them."""
        causes = [_wrote(step, channel) for step in graph.ledger.writers(channel)]
        version = done.versions.get(channel)
        step = self._step(graph, channel, version, NOTHING, causes, done.standing[channel].value)
        if step is not None:
            graph.ledger.wrote(channel, step, version)

    def _step(
        self,
        graph: GraphRecord,
        channel: str,
        version: Any,
        wrote: Any,
        causes: Sequence[Cause],
        value: Any,
    ) -> OpenStep | None:
        attributes: dict[str, Attribute] = {
            semconv.MEMORY_STORE: graph.workflow.name,
            semconv.MEMORY_RECORD: channel,
        }
        number = version_number(version)
        if number.isdecimal():
            attributes[semconv.MEMORY_VERSION] = int(number)
        opening = Opening("memory_write", channel, None, wrote, graph.workflow, causes, attributes=attributes)
        step = self._recorder.begin(opening)
        if step is not None:
            self._recorder.end(step, value)
        return step

    def _correct(self, graph: GraphRecord, done: Superstep) -> None:
        """Write the versions again where a saver counts in a way of its own; without one, LangGraph counts."""
        versions = done.loop.checkpoint["channel_versions"]
        for name in done.standing:
            version = versions.get(name)
            if version is not None and version != done.versions.get(name):
                if version_number(version) == graph.next_version:
                    return
                break
        else:
            return
        for task, record in done.tasks:
            if record.step is not None:
                names = [name for name in dict.fromkeys(name for name, _ in task.writes) if is_state(name)]
                record.step.attributes[semconv.STATE_WRITTEN] = versioned(names, versions)
                self._recorder.write(record.step)


def _versions(names: Iterable[str], version: str, known: frozenset[str]) -> tuple[str, ...]:
    """Return `channel@version` for each channel of state that was written, each once."""
    written = dict.fromkeys(name for name in names if is_state(name) and (not known or name in known))
    return tuple(f"{name}@{version}" for name in written)


_said = lru_cache(1024)(_versions)
"""The same; the tasks of a superstep write alike, and so do the runs of a graph."""


def _wrote(step: StepRef, channel: str) -> Cause:
    return Cause(step.id, "data", "observed", f"wrote {channel}", step.span_context)


def _channels_of(task: PregelExecutableTask) -> Mapping[str, Any]:
    """Return a graph's channels: the second argument of how its tasks read them."""
    read = task.config.get("configurable", {}).get("__pregel_read")
    args: tuple[Any, ...] = getattr(read, "args", ())
    return args[1] if len(args) > 1 else {}


def _shared_changes(
    task: PregelExecutableTask, entry: Sealed, now: Sealed, channels: Mapping[str, Any]
) -> list[str]:
    """Return the channels whose object a task changed and did not write; what it assigned is its own copy's."""
    values = _fields_of(task.input)
    shared = [name for name, value in values.items() if value_of(channels.get(name)) is value]
    before, after = _decoded(entry), _decoded(now)
    if (
        before is None or after is None
    ):  # then nothing tells which: only where nothing was assigned, it is one of these
        changed = shared if len(shared) == len(values) else []
    else:
        changed = [name for name in shared if before.get(name) != after.get(name)]
    written = {channel for channel, _ in task.writes}
    return [name for name in changed if name not in written and type(values[name]) not in SCALARS]


def _fields_of(value: Any) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    fields = getattr(value, "__dict__", None)
    return fields if isinstance(fields, dict) and not isinstance(value, type) else {"__root__": value}


def _decoded(sealed: Sealed) -> Mapping[str, Any] | None:
    """Return the fields of a sealed value; the big ones by their digest. None where bodies are not kept."""
    if not sealed.bodies:
        return None
    fields = decode(sealed.bodies[-1][1], lambda _: None)
    return fields if isinstance(fields, Mapping) else {"__root__": fields}
