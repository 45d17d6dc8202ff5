"""From steps to rows and back: pure, and without a database.

Ids of 16 hexadecimal digits become SQLite's signed 64-bit integers. Attributes and choices are JSON, which
the `sqlite3` shell can read too; NULL when there are none.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import zstandard

from becausal import canonical
from becausal.payload import Bodies, Payload
from becausal.step import Attribute, Cause, Choice, OpenStep, Step

__all__ = [
    "PLAIN",
    "ZSTD",
    "attributes_of",
    "cause_of",
    "choices_of",
    "encodable",
    "number_of",
    "pack",
    "payload_of",
    "root_row",
    "step_id_of",
    "step_of",
    "step_row",
    "unpack",
]

PLAIN = 0
"""Codec: the bytes as they are."""
ZSTD = 1
"""Codec: one zstandard frame."""

# Below this, a frame's own 13 bytes and the call cost more than they save.
WORTH_COMPRESSING = 200

# Attributes should be of the types in `Attribute`. One that is not becomes its text, rather than costing
# the batch that it is in. ASCII, so that a lone surrogate passes. No NaN: that is Python's own word, and SQLite, which
# joins what two processes say of a step, reads the JSON of everybody else.
_strict = json.JSONEncoder(separators=(",", ":"), default=str, allow_nan=False).encode


def _json(value: object) -> str:
    try:
        return _strict(value)
    except ValueError:
        return _strict(_finite(value))


def _finite(value: object) -> object:
    """Return data in which a number that is none (`nan`, `inf`) is its text."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def number_of(step_id: str) -> int:
    """Return a step id as a signed 64-bit integer."""
    number = int(step_id, 16)
    return number - (1 << 64) if number >> 63 else number


def step_id_of(number: int) -> str:
    """Return the step id that a signed 64-bit integer stands for."""
    return f"{number & 0xFFFF_FFFF_FFFF_FFFF:016x}"


def encodable(text: str) -> str:
    """Return a text with its lone surrogates escaped; SQLite's texts are UTF-8, which has none."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def pack(body: bytes, compressor: zstandard.ZstdCompressor) -> tuple[int, int, bytes]:
    """Return a body's size, codec and data."""
    if len(body) >= WORTH_COMPRESSING:
        packed = compressor.compress(body)
        if len(packed) < len(body):
            return len(body), ZSTD, packed
    return len(body), PLAIN, body


def unpack(codec: int, data: bytes) -> bytes:
    """Return the body.

    Raises:
        zstandard.ZstdError: the data is damaged.
    """
    return zstandard.ZstdDecompressor().decompress(data) if codec == ZSTD else data


def step_row(
    step: OpenStep, chain_no: int, names: Mapping[str, int], received: int | None, produced: int | None
) -> tuple[object, ...]:
    """Return a step's values in the order of the columns of the table `steps`."""
    span = step.span_context
    traced = span is not None and span.trace_id != 0
    return (
        chain_no,
        number_of(step.id),
        None if step.parent_id is None else number_of(step.parent_id),
        names[step.kind],
        names[step.name],
        None if step.agent is None else names[step.agent],
        step.seq,
        step.hop,
        step.started_ns,
        step.ended_ns,
        names[step.status],
        None if step.error is None else encodable(step.error),
        received,
        produced,
        span.trace_id.to_bytes(16, "big") if span is not None and traced else None,
        _signed(span.span_id) if span is not None and traced else None,
        _json(step.attributes) if step.attributes else None,
        _json([_choice_row(choice) for choice in step.choices]) if step.choices else None,
    )


def root_row(payload: Payload, names: Mapping[str, int]) -> tuple[bytes | None, int, int, str | None]:
    """Return what a payload's root says beside its body: belief, total size, type and lossy."""
    belief = None if payload.belief == payload.digest else canonical.parse_digest(payload.belief)
    return belief, payload.size, names[payload.type_name], _json(payload.lossy) if payload.lossy else None


def step_of(
    row: tuple[Any, ...],
    chain_id: str,
    names: Mapping[int, str],
    payloads: Mapping[int, Payload],
    causes: tuple[Cause, ...],
) -> Step:
    """Return the step of a row of the table `steps`."""
    (_, number, parent, kind, name, agent, seq, hop, started_ns, ended_ns, status, error) = row[:12]
    (received, produced, trace_id, span_id, attributes, choices) = row[12:]
    return Step(
        id=step_id_of(number),
        kind=names[kind],  # type: ignore[arg-type]
        name=names[name],
        agent=None if agent is None else names[agent],
        parent_id=None if parent is None else step_id_of(parent),
        chain_id=chain_id,
        trace_id=None if trace_id is None else trace_id.hex(),
        span_id=None if span_id is None else step_id_of(span_id),
        seq=seq,
        hop=hop,
        started_ns=started_ns,
        ended_ns=ended_ns,
        status=names[status],  # type: ignore[arg-type]
        error=error,
        received=payloads.get(received) if received is not None else None,
        produced=payloads.get(produced) if produced is not None else None,
        attributes=attributes_of(attributes),
        causes=causes,
        choices=choices_of(choices),
    )


def cause_of(source: int, kind: str, grade: str, evidence: str) -> Cause:
    """Return the cause of a row of the table `causes`."""
    return Cause(step_id_of(source), kind, grade, evidence)  # type: ignore[arg-type]


def payload_of(
    digest: bytes, belief: bytes | None, size: int, type_name: str, lossy: str | None, bodies: Bodies
) -> Payload:
    """Return the payload of a row of the table `blobs`."""
    return Payload(
        digest=canonical.digest_text(digest),
        belief=canonical.digest_text(belief or digest),
        size=size,
        type_name=type_name,
        lossy=tuple((path, why) for path, why in json.loads(lossy)) if lossy else (),
        bodies=bodies,
    )


def attributes_of(text: str | None) -> dict[str, Attribute]:
    """Return attributes as they were written: JSON's lists were tuples."""
    if text is None:
        return {}
    return {
        key: tuple(value) if isinstance(value, list) else value for key, value in json.loads(text).items()
    }


def choices_of(text: str | None) -> tuple[Choice, ...]:
    """Return choices as they were written."""
    if text is None:
        return ()
    return tuple(
        Choice(conclusion, tuple(premises), reason, score, method)
        for conclusion, premises, reason, score, method in json.loads(text)
    )


def _choice_row(choice: Choice) -> tuple[object, ...]:
    return choice.conclusion, choice.premises, choice.reason, choice.score, choice.method


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number
