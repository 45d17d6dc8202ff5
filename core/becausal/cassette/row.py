"""From steps, payloads and memory events to lines of JSON and back.

A line is an object; what is None or empty is left out of it. Reading trusts nothing: each field has to be of its type,
each id of its form, numbers within 64 bits; what a line says beyond that is left aside.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from becausal import canonical
from becausal.memory_event import MemoryEvent, MemoryRead
from becausal.payload import Bodies, Payload
from becausal.step import Attribute, Cause, Choice, Step

__all__ = [
    "event_line",
    "event_of",
    "lines",
    "payload_line",
    "payload_of",
    "read_line",
    "read_of",
    "records",
    "step_line",
    "step_of",
]

Record = Mapping[str, Any]
"""A line, parsed."""

Payloads = Mapping[str, Payload]
"""Payloads by the text of their digest."""

T = TypeVar("T")

HEX16, HEX32, HEX64 = (re.compile(rf"[0-9a-f]{{{count}}}") for count in (16, 32, 64))

# ASCII, so that a lone surrogate passes.
_json = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def lines(records: Iterable[Record]) -> bytes:
    """Return records as lines."""
    return "".join(
        _json({key: value for key, value in record.items() if value not in (None, (), [], {})}) + "\n"
        for record in records
    ).encode()


def records(content: bytes, read: Callable[[Record], T]) -> list[T]:
    """Return what each line of a section is.

    Raises:
        ValueError: a line is not what `lines` wrote; the message says which.
    """
    found = []
    for number, line in enumerate(content.splitlines(), 1):
        try:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise ValueError("no object")
            found.append(read(record))
        except (ValueError, RecursionError) as failure:
            raise ValueError(f"line {number} cannot be read ({failure})") from failure
    return found


# Steps


def step_line(step: Step) -> Record:
    """Return a step as a record; `step_of` is its inverse."""
    return {
        "id": step.id,
        "kind": step.kind,
        "name": step.name,
        "agent": step.agent,
        "parent": step.parent_id,
        "trace": step.trace_id,
        "span": step.span_id,
        "seq": step.seq,
        "hop": step.hop,
        "started_ns": step.started_ns,
        "ended_ns": step.ended_ns,
        "status": step.status,
        "error": step.error,
        "received": None if step.received is None else step.received.digest,
        "produced": None if step.produced is None else step.produced.digest,
        "attributes": {key: _written(value) for key, value in step.attributes.items()},
        "causes": [[one.source_id, one.kind, one.grade, one.evidence] for one in step.causes],
        "choices": [
            [one.conclusion, one.premises, one.reason, one.score, one.method] for one in step.choices
        ],
    }


def step_of(record: Record, chain_id: str, payloads: Payloads) -> Step:
    """Return the step of a record.

    Raises:
        ValueError: it is no record of a step.
    """
    return Step(
        id=_id(record, "id", HEX16),
        kind=_text(record, "kind"),  # type: ignore[arg-type]
        name=_text(record, "name", ""),
        agent=_maybe_text(record, "agent"),
        parent_id=_maybe_id(record, "parent", HEX16),
        chain_id=chain_id,
        trace_id=_maybe_id(record, "trace", HEX32),
        span_id=_maybe_id(record, "span", HEX16),
        seq=_number(record, "seq"),
        hop=_number(record, "hop"),
        started_ns=_number(record, "started_ns"),
        ended_ns=_maybe_number(record, "ended_ns"),
        status=_text(record, "status"),  # type: ignore[arg-type]
        error=_maybe_text(record, "error"),
        received=_payload(record, "received", payloads),
        produced=_payload(record, "produced", payloads),
        attributes={key: _attribute(value) for key, value in _of(record, "attributes", dict, {}).items()},
        causes=tuple(_cause(one) for one in _of(record, "causes", list, [])),
        choices=tuple(_choice(one) for one in _of(record, "choices", list, [])),
    )


# Payloads


def payload_line(payload: Payload) -> Record:
    """Return what a payload says of its body, as a record; `payload_of` is its inverse."""
    belief = None if payload.belief == payload.digest else payload.belief
    return {
        "digest": payload.digest,
        "belief": belief,
        "size": payload.size,
        "type": payload.type_name,
        "lossy": payload.lossy,
    }


def payload_of(record: Record, bodies: Bodies) -> Payload:
    """Return the payload of a record.

    Raises:
        ValueError: it is no record of a payload.
    """
    digest = _text(record, "digest")
    belief = _text(record, "belief", digest)
    for text in (digest, belief):
        canonical.parse_digest(text)
    lossy = tuple(_texts(one, 2) for one in _of(record, "lossy", list, []))
    return Payload(
        digest,
        belief,
        _number(record, "size"),
        _text(record, "type", ""),
        tuple((path, why) for path, why in lossy),
        bodies,
    )


# What happened to memories


def event_line(event: MemoryEvent) -> Record:
    """Return an event as a record; `event_of` is its inverse."""
    return {
        "memory": event.memory,
        "key": event.key,
        "version": event.version,
        "operation": event.operation,
        "of": event.of,
        "seq": event.seq,
        "at_ns": event.at_ns,
        "chain": event.chain_id,
        "step": event.step_id,
        "agent": event.agent,
        "payload": None if event.payload is None else event.payload.digest,
        "reason": event.reason,
        "hash": event.hash,
    }


def event_of(record: Record, payloads: Payloads) -> MemoryEvent:
    """Return the event of a record.

    Raises:
        ValueError: it is no record of an event.
    """
    return MemoryEvent(
        memory=_text(record, "memory", ""),
        key=_text(record, "key", ""),
        version=_number(record, "version"),
        operation=_text(record, "operation"),  # type: ignore[arg-type]
        of=_maybe_number(record, "of"),
        seq=_number(record, "seq"),
        at_ns=_number(record, "at_ns"),
        chain_id=_maybe_text(record, "chain"),
        step_id=_maybe_id(record, "step", HEX16),
        agent=_maybe_text(record, "agent"),
        payload=_payload(record, "payload", payloads),
        reason=_maybe_text(record, "reason"),
        hash=_id(record, "hash", HEX64),
    )


def read_line(read: MemoryRead) -> Record:
    """Return a reading as a record; `read_of` is its inverse."""
    return {
        "memory": read.memory,
        "key": read.key,
        "version": read.version,
        "step": read.step_id,
        "agent": read.agent,
        "seq": read.seq,
    }


def read_of(record: Record, chain_id: str) -> MemoryRead:
    """Return the reading of a record.

    Raises:
        ValueError: it is no record of a reading.
    """
    return MemoryRead(
        _text(record, "memory", ""),
        _text(record, "key", ""),
        _maybe_number(record, "version"),
        chain_id,
        _id(record, "step", HEX16),
        _maybe_text(record, "agent"),
        _number(record, "seq"),
    )


# Fields


def _written(value: object) -> object:
    if isinstance(value, tuple | list):
        return [str(item) for item in value]
    return value if isinstance(value, str | bool | int | float) else str(value)


def _attribute(value: object) -> Attribute:
    if isinstance(value, list):
        return _texts(value)
    if isinstance(value, str | bool | int | float):
        return value
    raise ValueError(f"{value!r:.40} is no attribute")


def _cause(value: object) -> Cause:
    source, kind, grade, evidence = _texts(value, 4)
    if not HEX16.fullmatch(source):
        raise ValueError(f"{source!r:.40} is no id")
    return Cause(source, kind, grade, evidence)  # type: ignore[arg-type]


def _choice(value: object) -> Choice:
    if not isinstance(value, list) or len(value) != 5:
        raise ValueError(f"{value!r:.40} is no choice")
    conclusion, premises, reason, score, method = value
    record = {"conclusion": conclusion, "reason": reason, "method": method}
    if score is not None and (isinstance(score, bool) or not isinstance(score, int | float)):
        raise ValueError(f"{score!r:.40} is no score")
    return Choice(
        _text(record, "conclusion"),
        _texts(premises),
        _maybe_text(record, "reason"),
        score,
        _maybe_text(record, "method"),
    )


def _payload(record: Record, key: str, payloads: Payloads) -> Payload | None:
    digest = _maybe_text(record, key)
    if digest is None:
        return None
    if digest not in payloads:
        raise ValueError(f"{key} names a payload that is not there")
    return payloads[digest]


def _texts(value: object, count: int | None = None) -> tuple[str, ...]:
    if not isinstance(value, list) or count not in (None, len(value)):
        raise ValueError(f"{value!r:.40} is no list of {count or 'texts'}")
    if not all(isinstance(item, str) for item in value):
        raise ValueError(f"{value!r:.40} has what is no text")
    return tuple(value)


def _of(record: Record, key: str, kind: type[T], default: T | None = None) -> T:
    value = record.get(key, default)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{key} is {value!r:.40}")
    return value


def _text(record: Record, key: str, default: str | None = None) -> str:
    return _of(record, key, str, default)


def _number(record: Record, key: str) -> int:
    value = _of(record, key, int)
    if not -(1 << 63) <= value < 1 << 63:
        raise ValueError(f"{key} is beyond 64 bits")
    return value


def _id(record: Record, key: str, form: re.Pattern[str]) -> str:
    value = _text(record, key)
    if not form.fullmatch(value):
        raise ValueError(f"{key} is {value!r:.40}")
    return value


def _maybe_text(record: Record, key: str) -> str | None:
    return None if record.get(key) is None else _text(record, key)


def _maybe_number(record: Record, key: str) -> int | None:
    return None if record.get(key) is None else _number(record, key)


def _maybe_id(record: Record, key: str, form: re.Pattern[str]) -> str | None:
    return None if record.get(key) is None else _id(record, key, form)
