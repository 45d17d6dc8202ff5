"""From steps to PostgreSQL's rows and back, and what two writings of one step make together; without a database."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final, NamedTuple

from becausal import canonical
from becausal.payload import Payload
from becausal.step import Cause, OpenStep, Step
from becausal.store.encoding import (
    attributes_of,
    choices_of,
    choices_text,
    encodable,
    json_text,
    number_of,
    signed,
    step_id_of,
)

__all__ = [
    "CAUSE_TYPES",
    "STEP_TYPES",
    "StepRow",
    "cause_rows",
    "merged",
    "payload_row",
    "step_of",
    "step_row",
]


class StepRow(NamedTuple):
    """A row of the table `steps`."""

    day: int
    chain_id: str
    step_id: int
    parent_id: int | None
    kind: str
    name: str
    agent: str | None
    seq: int
    hop: int
    started_ns: int
    ended_ns: int | None
    status: str
    error: str | None
    received: bytes | None
    produced: bytes | None
    trace_id: bytes | None
    span_id: int | None
    attributes: str | None
    choices: str | None


STEP_TYPES: Final = (
    *("int4", "text", "int8", "int8", "text", "text", "text", "int8", "int4", "int8", "int8"),
    *("text", "text", "bytea", "bytea", "bytea", "int8", "text", "text"),
)

CAUSE_TYPES: Final = ("int4", "text", "int8", "int4", "int8", "text", "text", "text")


def step_row(step: OpenStep, day: int) -> StepRow:
    """Return a step's row; its day is that of its chain."""
    span = step.span_context
    traced = span is not None and span.trace_id != 0
    return StepRow(
        day,
        encodable(step.chain_id),
        number_of(step.id),
        None if step.parent_id is None else number_of(step.parent_id),
        step.kind,
        encodable(step.name),
        None if step.agent is None else encodable(step.agent),
        step.seq,
        step.hop,
        step.started_ns,
        step.ended_ns,
        step.status,
        None if step.error is None else encodable(step.error),
        None if step.received is None else canonical.parse_digest(step.received.digest),
        None if step.produced is None else canonical.parse_digest(step.produced.digest),
        span.trace_id.to_bytes(16, "big") if span is not None and traced else None,
        signed(span.span_id) if span is not None and traced else None,
        json_text(step.attributes) if step.attributes else None,
        choices_text(step.choices),
    )


def merged(old: StepRow | None, new: StepRow) -> StepRow:
    """Return what two writings of one step make together.

    What a step has it keeps, what it lacks a later write fills in: the two ends of a handoff may be written by two
    processes, in either order. An ended step never gives way to the same step while it was open, so a late retry of
    a batch changes nothing.
    """
    if old is None:
        return new
    if old.ended_ns is not None and new.ended_ns is None:
        return old
    kept = {
        name: getattr(old, name)
        for name in ("parent_id", "error", "received", "produced", "trace_id", "span_id", "choices")
        if getattr(new, name) is None
    }
    ended = new.ended_ns if old.ended_ns is None or new.ended_ns is None else max(old.ended_ns, new.ended_ns)
    both = old.attributes, new.attributes
    told = both[0] or both[1] if None in both or both[0] == both[1] else _joined(*both)
    return new._replace(day=old.day, ended_ns=ended, attributes=told, **kept)


def _joined(old: str | None, new: str | None) -> str:
    return json_text({**json.loads(old or "{}"), **json.loads(new or "{}")})


def cause_rows(step: OpenStep, day: int) -> list[tuple[object, ...]]:
    """Return the rows of the table `causes` for a step."""
    chain_id, number = encodable(step.chain_id), number_of(step.id)
    return [
        (
            day,
            chain_id,
            number,
            nth,
            number_of(cause.source_id),
            cause.kind,
            cause.grade,
            encodable(cause.evidence),
        )
        for nth, cause in enumerate(step.causes)
    ]


def payload_row(payload: Payload) -> tuple[bytes, bytes | None, int, str, str | None]:
    """Return the row of the table `payloads`; the belief is None where it is the digest."""
    digest = canonical.parse_digest(payload.digest)
    belief = None if payload.belief == payload.digest else canonical.parse_digest(payload.belief)
    lossy = json_text(payload.lossy) if payload.lossy else None
    return digest, belief, payload.size, encodable(payload.type_name), lossy


def step_of(
    row: StepRow, payloads: Mapping[bytes, Payload], causes: tuple[Cause, ...], chain_id: str
) -> Step:
    """Return the step of a row."""
    return Step(
        id=step_id_of(row.step_id),
        kind=row.kind,  # type: ignore[arg-type]
        name=row.name,
        agent=row.agent,
        parent_id=None if row.parent_id is None else step_id_of(row.parent_id),
        chain_id=chain_id,
        trace_id=None if row.trace_id is None else row.trace_id.hex(),
        span_id=None if row.span_id is None else step_id_of(row.span_id),
        seq=row.seq,
        hop=row.hop,
        started_ns=row.started_ns,
        ended_ns=row.ended_ns,
        status=row.status,  # type: ignore[arg-type]
        error=row.error,
        received=None if row.received is None else payloads.get(row.received),
        produced=None if row.produced is None else payloads.get(row.produced),
        attributes=attributes_of(row.attributes),
        causes=causes,
        choices=choices_of(row.choices),
    )
