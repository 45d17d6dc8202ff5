"""From steps, runs and events to the rows of the sink; pure, and without a database.

Without contents, what is told of a step is what is told where no content is kept (`capture="digest"`): names of agents,
tools and models, digests, sizes, figures; no words.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from becausal import semconv
from becausal.finding import Finding
from becausal.memory_event import MemoryEvent
from becausal.payload import Payload
from becausal.sink.place import Row
from becausal.step import Attribute, Step
from becausal.store import ChainInfo
from becausal.store.encoding import encodable, json_text
from becausal.store.structure import is_structure
from becausal.store.upkeep import ChainAge
from becausal.store.wording import ASKS

__all__ = ["MOST_TEXT", "content_row", "event_row", "figure", "run_row", "step_row"]

MOST_TEXT: Final = 65_536
"""Characters of a content that are sent; the whole of it is in the store that it came from."""

MOST: Final = (1 << 64) - 1


def step_row(step: Step, *, contents: bool) -> Row:
    """Return a step's values in the order of `COLUMNS["steps"]`."""
    choices = step.choices if contents else [choice.without_content() for choice in step.choices]
    said = {name: value for name, value in step.attributes.items() if contents or is_structure(name)}
    return (
        encodable(step.chain_id),
        step.id,
        step.parent_id or "",
        step.kind,
        encodable(step.name) if contents or step.kind != ASKS else ASKS,
        encodable(step.agent or ""),
        step.seq,
        step.hop,
        step.started_ns,
        step.ended_ns,
        step.status,
        _error(step, contents=contents),
        *_named(step.received),
        *_named(step.produced),
        step.trace_id or "",
        step.span_id or "",
        encodable(
            str(
                step.attributes.get(semconv.RESPONSE_MODEL)
                or step.attributes.get(semconv.REQUEST_MODEL)
                or ""
            )
        ),
        figure(step.attributes.get(semconv.INPUT_TOKENS)),
        figure(step.attributes.get(semconv.OUTPUT_TOKENS)),
        _texts(said),
        [cause.source_id for cause in step.causes],
        [cause.kind for cause in step.causes],
        [cause.grade for cause in step.causes],
        [encodable(cause.evidence) if contents else "" for cause in step.causes],
        [encodable(choice.conclusion) for choice in choices],
        [encodable(choice.reason or "") for choice in choices],
        [choice.score for choice in choices],
    )


def run_row(
    source: str,
    info: ChainInfo,
    age: ChainAge,
    judged: int,
    findings: Sequence[Finding],
    *,
    contents: bool,
) -> Row:
    """Return a run's values in the order of `COLUMNS["runs"]`; `judged` is of how many steps the findings are."""
    return (
        source,
        encodable(info.chain_id),
        encodable(info.name) if contents else "",
        info.started_ns,
        info.ended_ns,
        info.steps,
        info.errors,
        info.handoffs,
        [encodable(agent) for agent in info.agents],
        age.touched_ns,
        judged,
        int(age.is_open),
        int(age.is_troubled),
        int(contents),
        [finding.kind for finding in findings],
        [finding.severity for finding in findings],
        [float(finding.confidence) for finding in findings],
        [encodable(finding.agent or "") for finding in findings],
        [encodable(finding.tool or "") for finding in findings],
        [finding.step.id for finding in findings],
        [encodable(finding.message) if contents else "" for finding in findings],
    )


def event_row(source: str, nth: int, event: MemoryEvent, *, contents: bool) -> Row:
    """Return an event's values in the order of `COLUMNS["memory_events"]`."""
    return (
        source,
        encodable(event.memory),
        nth,
        encodable(event.key) if contents else "",
        event.version,
        event.operation,
        event.of,
        event.seq,
        event.at_ns,
        encodable(event.chain_id or ""),
        event.step_id or "",
        encodable(event.agent or ""),
        "" if event.payload is None else event.payload.digest,
        encodable(event.reason or "") if contents else "",
        event.hash,
        int(contents),
    )


def content_row(payload: Payload) -> Row:
    """Return a content's values in the order of `COLUMNS["contents"]`."""
    return (
        payload.digest,
        payload.belief,
        encodable(payload.type_name),
        figure(payload.size),
        encodable(json_text(payload.lossy)) if payload.lossy else "",
        encodable(payload.text()[:MOST_TEXT]),
    )


def figure(said: object) -> int:
    """Return a size or a count, such as the tokens that an app says; what can be none is 0."""
    return said if type(said) is int and 0 <= said <= MOST else 0


# Inside


def _named(payload: Payload | None) -> tuple[str, int]:
    return ("", 0) if payload is None else (payload.digest, figure(payload.size))


def _error(step: Step, *, contents: bool) -> str:
    """Return what a step says of its failure; without contents, the exception's type alone."""
    if step.error is None or contents:
        return encodable(step.error or "")
    return encodable(str(step.attributes.get(semconv.ERROR_TYPE) or "error"))


def _texts(attributes: Mapping[str, Attribute]) -> dict[str, str]:
    return {
        encodable(name): encodable(value if isinstance(value, str) else json.dumps(value, default=str))
        for name, value in attributes.items()
    }
