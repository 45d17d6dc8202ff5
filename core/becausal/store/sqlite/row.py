"""From steps to SQLite's rows and back: pure, and without a database; how values are written is every store's."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

from becausal import canonical
from becausal.payload import Payload
from becausal.step import Attribute, Cause, OpenStep, Step
from becausal.store.encoding import (
    choices_of,
    choices_text,
    encodable,
    json_text,
    number_of,
    payload_of,
    signed,
    step_id_of,
    unpack,
)
from becausal.store.sqlite.attributes import attributes_text

__all__ = [
    "Chain",
    "Numbers",
    "cause_rows",
    "encodable",
    "number_of",
    "numbers_of",
    "payload_of",
    "root_row",
    "step_id_of",
    "step_of",
    "step_row",
    "unpack",
]


ID_LENGTH: Final = 16
"""Digits of an id."""


class Chain(NamedTuple):
    """What a writer knows of a chain."""

    number: int
    started_ns: int


class Numbers(dict[str, int]):
    """The ids of steps as numbers; each is read once."""

    def __missing__(self, id: str) -> int:
        """Read an id that was not asked for yet."""
        number = self[id] = number_of(id)
        return number


def numbers_of(ids: Sequence[str]) -> Numbers:
    """Return the ids of steps as numbers, all at once where they are as they usually are."""
    with suppress(ValueError, struct.error):  # then each by itself, which says what is wrong with it
        if all(map(ID_LENGTH.__eq__, map(len, ids))):
            return Numbers(zip(ids, struct.unpack(f">{len(ids)}q", bytes.fromhex("".join(ids))), strict=True))
    return Numbers()


def step_row(
    step: OpenStep,
    chain_no: int,
    names: Mapping[str, int],
    blobs: Mapping[str, int],
    numbers: Numbers,
) -> tuple[object, ...]:
    """Return a step's values in the order of the columns of the table `steps`; `blobs` are numbers by digest."""
    span = step.span_context
    if span is not None and span.trace_id == 0:
        span = None
    received, produced = step.received, step.produced
    return (
        chain_no,
        numbers[step.id],
        None if step.parent_id is None else numbers[step.parent_id],
        names[step.kind],
        names[step.name],
        None if step.agent is None else names[step.agent],
        step.seq,
        step.hop,
        step.started_ns,
        step.ended_ns,
        names[step.status],
        None if step.error is None else encodable(step.error),
        None if received is None else blobs[received.digest],
        None if produced is None else blobs[produced.digest],
        None if span is None else span.trace_id.to_bytes(16, "big"),
        None if span is None else signed(span.span_id),
        attributes_text(step.attributes) if step.attributes else None,
        choices_text(step.choices) if step.choices else None,
    )


def cause_rows(
    steps: Iterable[OpenStep], chains: Mapping[str, Chain], names: Mapping[str, int], numbers: Numbers
) -> Iterator[tuple[object, ...]]:
    """Yield the causes of steps as rows of the table `causes`."""
    for step in steps:
        chain_no, number = chains[step.chain_id].number, numbers[step.id]
        for nth, cause in enumerate(step.causes):
            kind, grade = names[cause.kind], names[cause.grade]
            said = cause.evidence
            said = said if said.isascii() else encodable(said)
            yield chain_no, number, nth, numbers[cause.source_id], kind, grade, said


def root_row(payload: Payload, names: Mapping[str, int]) -> tuple[bytes | None, int, int, str | None]:
    """Return what a payload's root says beside its body: belief, total size, type and lossy."""
    belief = None if payload.belief == payload.digest else canonical.parse_digest(payload.belief)
    return belief, payload.size, names[payload.type_name], json_text(payload.lossy) if payload.lossy else None


def step_of(
    row: tuple[Any, ...],
    chain_id: str,
    names: Mapping[int, str],
    ids: Mapping[int, str],
    payloads: Mapping[int | None, Payload],
    causes: Mapping[int, tuple[Cause, ...]],
    attributes_of: Callable[[str | None], dict[str, Attribute]],
) -> Step:
    """Return the step of a row of the table `steps`."""
    (_, number, parent, kind, name, agent, seq, hop, started_ns, ended_ns, status, error) = row[:12]
    (received, produced, trace_id, span_id, attributes, choices) = row[12:]
    # By position, in the order of the fields.
    return Step(
        ids[number],
        names[kind],  # type: ignore[arg-type]
        names[name],
        None if agent is None else names[agent],
        None if parent is None else ids[parent],
        chain_id,
        None if trace_id is None else trace_id.hex(),
        None if span_id is None else ids[span_id],
        seq,
        hop,
        started_ns,
        ended_ns,
        names[status],  # type: ignore[arg-type]
        error,
        payloads.get(received),
        payloads.get(produced),
        {} if attributes is None else attributes_of(attributes),
        causes.get(number, ()),
        () if choices is None else choices_of(choices),
    )
