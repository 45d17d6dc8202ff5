"""A key of a memory, version by version: from the store's log, or from one run where only that has it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypedDict

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from becausal.clock import OUTSIDE, is_outside, is_replay
from becausal.errors import MemoryKeyError, RunNotFoundError
from becausal.harmless import harmless
from becausal.memory_event import MemoryEvent, MemoryRead, value_at
from becausal.memory_view import Held, content_of
from becausal.payload import text_of
from becausal.redaction.naming import hidden_names
from becausal.run import Run
from becausal.runs import Runs
from becausal.views.clean import head, styled
from becausal.views.json import Json, plain
from becausal.views.layout import ByWidth, Whole, hanging, table_of

__all__ = ["Asked", "Line", "Reader", "json", "look_up", "text"]

WIDE = 150
"""Columns of a screen on which a table of versions loses nothing that is needed."""

WIDEST_VALUE = 48
"""Characters of a value that a line shows."""


_LEAST = {"key": 24, "version": 7, "": 9, "by": 10, "read by": 12, "value": 24, "seq": 5, "step": 8, "run": 8}
"""Columns that say nothing once they are cut."""


@dataclass(frozen=True, slots=True)
class Line:
    """One version of a key."""

    name: str
    version: int | None
    operation: str
    seq: int
    at_ns: int | None
    agent: str | None
    writer: str
    """Who wrote it, in words: the agent, or what is known where it was none."""
    chain_id: str | None
    step_id: str | None
    reason: str | None
    value: object
    is_kept: bool
    holds: bool
    """Whether it is what the key holds."""


@dataclass(frozen=True, slots=True)
class Reader:
    """One reading of a key."""

    name: str
    version: int | None
    agent: str | None
    reader: str
    """Who read it, in words: the agent, or what is known where it was none."""
    chain_id: str
    step_id: str
    seq: int


@dataclass(frozen=True, slots=True)
class Asked:
    """What was found."""

    lines: tuple[Line, ...]
    readers: tuple[Reader, ...] | None
    """None: nobody asked for them."""
    at: int | None = None
    """As of when; None: as of now."""
    run: str | None = None
    """Of which run; None: of all."""


class MemoryJson(TypedDict):
    """A key's history, in the order of its log, and who read it."""

    versions: list[dict[str, Json]]
    """A `Line` each, field by field."""
    readers: list[dict[str, Json]] | None
    """A `Reader` each; None: nobody asked for them."""


def look_up(
    runs: Runs,
    key: str | None,
    *,
    run: str | None,
    at: int | None,
    only_last: bool,
    readers: bool,
    replays: bool = False,
) -> Asked:
    """Return what is known of a key; without one, what every key holds.

    Args:
        key: `memory/key`, or the key alone.
        run: a chain id, the beginning of one or `last`: what this run tells, state channels included. None: the log
            of all runs, else the newest run.
        at: what was written at this causal sequence number or before.
        only_last: what the key holds alone.
        replays: whether what replays and counterfactuals wrote and read counts, too.

    Raises:
        MemoryKeyError: nothing is known of this key.
    """
    lines, read = _from_log(runs, key, at, replays=replays) if run is None else ([], [])
    if run is not None:
        lines, read = _from_run(_run(runs, run), key, at)
    elif not lines and key is not None:
        lines, read = _from_newest(runs, key, at)
    if only_last:
        lines = [line for line in lines if line.holds]
    elif key is None:
        lines = list({line.name: line for line in lines}.values())  # the last of each
    if not lines and key is not None:
        raise MemoryKeyError(f"{key!r} was written by nobody" + ("" if at is None else f" at {at} or before"))
    versions = {(line.name, line.version) for line in lines}
    if at is not None or only_last:  # who read what is shown
        read = [one for one in read if (one.name, one.version) in versions]
    return Asked(tuple(lines), tuple(read) if readers else None, at, run)


def text(asked: Asked, *, full: bool = False) -> RenderableType:
    """Return a table of versions, and one of readers where they were asked for; on a narrow screen a block for each.

    Args:
        asked: what was found.
        full: whether keys and values are shown whole, however long.
    """
    if not asked.lines:
        return Text(_nothing(asked))
    if full:
        shown: RenderableType = Whole(_wide(asked, full=True), _narrow(asked, full=True))
    else:
        shown = ByWidth(lambda: _wide(asked), lambda: _narrow(asked), WIDE)
    return shown if asked.readers is None else Group(shown, Text(), _readers(asked.readers))


def _narrow(asked: Asked, *, full: bool = False) -> RenderableType:
    """Return for each version a line that says who wrote it and when, and one with the value; the key above them."""
    rows: list[RenderableType] = []
    before = None
    for line in asked.lines:
        if line.name != before:
            rows.append(Text(harmless(line.name), "bold") if full else styled(line.name, "bold"))
            before = line.name
        version = "?" if line.version is None else str(line.version)
        said = Text.assemble(
            styled(f"{'*' if line.holds else ' '} @{version} {line.operation}", "bold" if line.holds else ""),
            styled(f"  by {line.writer}"),
            styled(f"  seq {line.seq}  {_when(line.at_ns)}", "dim"),
            styled(f"  step {(line.step_id or '')[:8]} of {_place(line.chain_id, 8)}", "dim"),
        )
        rows += [hanging(said), hanging(_value(line, full=full), 6)]
    return Group(*rows)


def _wide(asked: Asked, *, full: bool = False) -> Table:
    table = table_of(
        *("key", "version", "", "by", "value", "seq", "when", "step", "run"),
        gives_way=("key", "value"),
        least=_LEAST,
    )
    for line in asked.lines:
        table.add_row(
            styled(line.name, "bold" if line.holds else "dim"),
            Text("?" if line.version is None else str(line.version)),
            Text(line.operation, style="" if line.operation == "write" else "yellow"),
            styled(line.writer),
            _value(line, full=full),
            Text(str(line.seq)),
            Text(_when(line.at_ns)),
            styled((line.step_id or "")[:8], "dim"),
            styled(_place(line.chain_id, 16), "dim"),
        )
    return table


def json(asked: Asked) -> MemoryJson:
    """Return what was found, for programs."""
    return MemoryJson(
        versions=list(map(_fields, asked.lines)),
        readers=None if asked.readers is None else list(map(_fields, asked.readers)),
    )


# Inside


def _nothing(asked: Asked) -> str:
    if asked.at is not None:
        return f"No memory held anything at {asked.at}."
    if asked.run is not None:
        return "This run wrote to no memory, and its state has no channel that was written."
    return (
        "No memory has been written here yet. What a run's state held: becausal memory --run last. The cassette of one "
        "run brings no memory along: becausal export all carries them"
    )


def _from_log(
    runs: Runs, key: str | None, at: int | None, *, replays: bool
) -> tuple[list[Line], list[Reader]]:
    events = [
        event
        for event in runs.store.memory_events()
        if _is(key, event.memory, event.key) and (replays or not _is_replayed(event.chain_id))
    ]
    by_name: dict[str, list[MemoryEvent]] = {}
    for event in sorted(events, key=lambda event: event.version):
        if at is None or event.seq <= at:
            by_name.setdefault(f"{event.memory}/{event.key}", []).append(event)
    lines = [
        _line(name, event, holds=event is held)
        for name, versions in by_name.items()
        for held in [value_at(versions, at)]
        for event in versions
    ]
    hidden = {
        told: event.key for event in events for told in hidden_names(event.key)
    }  # as runs tell of it that kept no content
    told = (replace(read, key=hidden.get(read.key, read.key)) for read in runs.store.memory_reads())
    reads = [
        _reader(read)
        for read in told
        if _is(key, read.memory, read.key) and (replays or not _is_replayed(read.chain_id))
    ]
    return lines, reads


def _from_run(run: Run, key: str | None, at: int | None) -> tuple[list[Line], list[Reader]]:
    names = run.memory.keys() if key is None else list(dict.fromkeys(h.name for h in run.memory.history(key)))
    lines, readers = [], []
    for name in names:
        versions = [held for held in run.memory.history(name) if at is None or held.seq <= at]
        last = versions[-1:]
        lines += [_held(held, holds=[held] == last and held.operation != "delete") for held in versions]
        for held in versions:
            readers += [
                Reader(
                    name,
                    held.version,
                    step.agent,
                    _who(step.agent, step.chain_id),
                    step.chain_id,
                    step.id,
                    step.seq,
                )
                for step in run.memory.readers(name, held.seq)
            ]
    return lines, list(dict.fromkeys(readers))


def _from_newest(runs: Runs, key: str, at: int | None) -> tuple[list[Line], list[Reader]]:
    """Return what the newest run tells of a key that no log has."""
    try:
        newest = runs.last()
    except RunNotFoundError:
        raise MemoryKeyError(f"{key!r} was written by nobody: no run has been recorded here yet") from None
    try:
        return _from_run(newest, key, at)
    except MemoryKeyError as unknown:
        raise MemoryKeyError(
            f"no memory's log has {key!r}; the newest run, {newest.chain_id[:16]}, was asked too: {unknown}"
        ) from None


def _run(runs: Runs, run: str) -> Run:
    return runs.last() if run == "last" else runs.get(run)


def _is_replayed(chain_id: str | None) -> bool:
    return chain_id is not None and is_replay(chain_id)


def _is(key: str | None, memory: str, its_key: str) -> bool:
    return key is None or key in (its_key, f"{memory}/{its_key}")


def _line(name: str, event: MemoryEvent, *, holds: bool) -> Line:
    payload = event.payload
    is_kept = payload is not None and payload.is_kept
    return Line(
        name,
        event.version,
        event.operation if event.of is None else f"{event.operation} {event.of}",
        event.seq,
        event.at_ns,
        event.agent,
        _who(event.agent, event.chain_id),
        event.chain_id,
        event.step_id,
        event.reason,
        payload.value() if payload is not None and is_kept else None,
        is_kept,
        holds,
    )


def _held(held: Held, *, holds: bool) -> Line:
    payload = content_of(held.step)
    return Line(
        held.name,
        held.version,
        held.operation,
        held.seq,
        held.step.ended_ns,
        held.agent,
        _who(held.agent, held.step.chain_id),
        held.step.chain_id,
        held.step.id,
        None,
        held.value(),
        payload is not None and payload.is_kept,
        holds,
    )


def _reader(read: MemoryRead) -> Reader:
    who = _who(read.agent, read.chain_id)
    return Reader(
        f"{read.memory}/{read.key}", read.version, read.agent, who, read.chain_id, read.step_id, read.seq
    )


def _fields(shown: Line | Reader) -> dict[str, Json]:
    return {field.name: plain(getattr(shown, field.name)) for field in dataclasses.fields(shown)}


def _readers(readers: Sequence[Reader]) -> RenderableType:
    if not readers:
        return Text("Nobody has read it.")
    table = table_of("read by", "version", "seq", "step", "run", least=_LEAST)
    for one in readers:
        table.add_row(
            styled(one.reader),
            Text("?" if one.version is None else str(one.version)),
            Text(str(one.seq)),
            styled(one.step_id[:8], "dim"),
            styled(_place(one.chain_id, 16), "dim"),
        )
    return table


def _value(line: Line, *, full: bool) -> Text:
    if line.is_kept and full:
        return Text(harmless(" ".join(text_of(line.value).split())))
    if line.is_kept:
        return styled(head(line.value, WIDEST_VALUE))
    if line.operation.startswith(("write", "supersede")):
        return styled("(not kept)", "yellow")
    return styled(line.reason or "", "dim")


def _who(agent: str | None, chain_id: str | None) -> str:
    """Return who wrote or read, in words; a memory may be filled before the first run, by the program itself."""
    if agent is not None:
        return agent
    return (
        "the program, outside every run" if _is_outside(chain_id) else "the run, outside every agent's turn"
    )


def _place(chain_id: str | None, width: int) -> str:
    """Return where it was done: in which run, or in which process where that was outside every run."""
    if chain_id is None:
        return "no run"
    if not _is_outside(chain_id):
        return chain_id[:width]
    return f"process {chain_id.removeprefix(OUTSIDE)[:8]}"


def _is_outside(chain_id: str | None) -> bool:
    return chain_id is None or is_outside(chain_id)


def _when(at_ns: int | None) -> str:
    return "" if at_ns is None else datetime.fromtimestamp(at_ns / 1e9).strftime("%Y-%m-%d %H:%M:%S")
