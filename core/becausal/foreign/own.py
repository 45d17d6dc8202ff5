"""Spans that becausal itself made, back as the steps that they were.

Nothing is told apart or numbered anew here: a span of ours says which step it is, of which chain, what its number on
the logical clock was, what caused it, and the digests of what went in and out. So the steps are those of the process's
own store, as far as a span goes. A span has no evidence of its causes, no more than 32 of them, no types of payloads,
and no content; where OpenTelemetry's switch for content was on, it has texts of up to 2,000 bytes.

Source: `becausal.telemetry` writes what is read here.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeVar, get_args

from opentelemetry.trace import SpanContext

from becausal import semconv
from becausal.foreign.order import Key, key
from becausal.foreign.span import Span
from becausal.payload import Payload
from becausal.sealing import Sealer
from becausal.step import Attribute, Cause, Choice, EdgeKind, Grade, OpenStep, Status, StepKind
from becausal.telemetry import OPERATIONS

__all__ = ["KINDS", "doubles", "is_own", "name_of", "steps_of"]

Word = TypeVar("Word")

KINDS: Final[Mapping[object, StepKind]] = {kind: kind for kind in get_args(StepKind)}
STATUSES: Final[Mapping[object, Status]] = {status: status for status in get_args(Status)}
EDGES: Final[Mapping[object, EdgeKind]] = {kind: kind for kind in get_args(EdgeKind)}
GRADES: Final[Mapping[object, Grade]] = {grade: grade for grade in get_args(Grade)}

MAX_NUMBER: Final = 1 << 62
LONGEST: Final = 4096
"""Characters of a name or an attribute; ours are shorter."""

ON_STEPS: Final = ("becausal.", "gen_ai.")
"""How the attributes begin that a span took over from its step."""

OF_SPANS: Final = frozenset(
    (
        semconv.CHAIN_ID, semconv.NODE_ID, semconv.STEP_KIND, semconv.STEP_STATUS, semconv.STEP_SEQ, semconv.HOP,
        semconv.CAUSE_IDS, semconv.CAUSE_TYPES, semconv.INPUT_DIGEST, semconv.INPUT_SIZE, semconv.BELIEF_DIGEST,
        semconv.OUTPUT_DIGEST, semconv.OUTPUT_SIZE, semconv.CONFIDENCE_SCORE, semconv.CONFIDENCE_METHOD,
        semconv.DECISION_CONCLUSION, semconv.AGENT_NAME, semconv.TOOL_ARGUMENTS, semconv.TOOL_RESULT,
        semconv.INPUT_MESSAGES, semconv.OUTPUT_MESSAGES, semconv.TOOL_NAME, semconv.WORKFLOW_NAME,
    )
)  # fmt: skip
"""Those that the span alone has: on the step they are its fields."""

_ID = re.compile(r"[0-9a-f]{16}")
_DIGEST = re.compile(r"bc1-xxh3:[0-9a-f]{32}")

_CONTENT: Final = (
    ("input.value", semconv.TOOL_ARGUMENTS, semconv.INPUT_MESSAGES),
    ("output.value", semconv.TOOL_RESULT, semconv.OUTPUT_MESSAGES),
)
CUT: Final = "…"
"""How a text ends that the span has not whole."""


def is_own(span: Span) -> bool:
    """Return whether becausal made a span, and it says all that makes it a step."""
    said = span.attributes
    step_id, chain_id = said.get(semconv.NODE_ID), said.get(semconv.CHAIN_ID)
    return (
        isinstance(step_id, str)
        and _ID.fullmatch(step_id) is not None
        and isinstance(chain_id, str)
        and 0 < len(chain_id) <= LONGEST
        and _known(said.get(semconv.STEP_KIND), KINDS) is not None
    )


def doubles(ours: Iterable[Span], others: Iterable[Span]) -> set[Key]:
    """Return those of others' spans in a run that tell of what becausal told as well.

    Where a process is recorded by becausal, another instrumentor's spans of the same process show the same calls once
    more. What comes from another process of the same run is nobody else's account.
    """
    sources = {span.source for span in ours}
    return {key(span) for span in others if span.source in sources}


def steps_of(
    spans: Iterable[Span], enclosing: Mapping[Key, Key | None], ids: Mapping[Key, str], sealer: Sealer
) -> dict[Key, OpenStep]:
    """Return the steps that spans of ours were.

    Args:
        spans: spans of ours, of one run.
        enclosing: for each of them the nearest span around it that is a step.
        ids: the steps' ids, by their spans.
        sealer: for content.
    """
    found: dict[Key, OpenStep] = {}
    for span in spans:
        name = key(span)
        around = enclosing.get(name)
        step = _step(span, None if around is None else ids[around])
        step.causes.extend(_causes(span, ids))
        found[name] = step
    _payloads([(span, found[key(span)]) for span in spans], sealer)
    _arrivals(list(found.values()))
    return found


def name_of(span: Span, kind: StepKind) -> str:
    """Return a step's name by the title of its span: `invoke_agent planner`, `handoff planner to writer`."""
    said = span.attributes.get(semconv.OPERATION_NAME)
    for word in (said, OPERATIONS.get(kind), kind):
        if isinstance(word, str) and span.name.startswith(f"{word} "):
            return span.name[len(word) + 1 :][:LONGEST] or kind
    return span.name[:LONGEST] or kind


# -- one span


def _step(span: Span, parent_id: str | None) -> OpenStep:
    said = span.attributes
    kind = KINDS[said[semconv.STEP_KIND]]
    agent = said.get(semconv.AGENT_NAME)
    started_ns = min(max(span.started_ns, 0), MAX_NUMBER)
    step = OpenStep(
        id=str(said[semconv.NODE_ID]),
        chain_id=str(said[semconv.CHAIN_ID]),
        kind=kind,
        name=name_of(span, kind),
        agent=agent[:LONGEST] if isinstance(agent, str) else None,
        parent_id=parent_id,
        hop=_number(said.get(semconv.HOP)),
        seq=_number(said.get(semconv.STEP_SEQ)),
        started_ns=started_ns,
    )
    status = _known(said.get(semconv.STEP_STATUS), STATUSES)
    if span.ended_ns is not None:
        step.ended_ns = max(started_ns, min(span.ended_ns, MAX_NUMBER))
    step.status = status or (
        "unfinished" if span.ended_ns is None else "ok" if span.error is None else "error"
    )
    step.error = None if span.error is None else span.error[:LONGEST]
    step.attributes = _attributes(said, kind)
    step.choices = list(_choices(said))
    step.span_context = SpanContext(_hexadecimal(span.trace_id), _hexadecimal(span.span_id), is_remote=True)
    return step


def _attributes(said: Mapping[str, object], kind: StepKind) -> dict[str, Attribute]:
    kept: dict[str, Attribute] = {}
    for name, value in said.items():
        if name in OF_SPANS or not name.startswith(ON_STEPS):
            continue
        if isinstance(value, str):
            kept[name] = value[:LONGEST]
        elif isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
            kept[name] = value  # what is not finite is no JSON, which a store writes
        elif isinstance(value, list | tuple):
            kept[name] = tuple(str(item)[:LONGEST] for item in value)
    if kept.get(semconv.OPERATION_NAME) == OPERATIONS.get(kind):
        kept.pop(semconv.OPERATION_NAME, None)
    return kept


def _choices(said: Mapping[str, object]) -> Iterator[Choice]:
    conclusion, found = said.get(semconv.DECISION_CONCLUSION), said.get(semconv.CONFIDENCE_SCORE)
    score = float(found) if isinstance(found, int | float) and 0.0 <= found <= 1.0 else None
    method = said.get(semconv.CONFIDENCE_METHOD)
    if isinstance(conclusion, str) or score is not None:
        yield Choice(
            conclusion[:LONGEST] if isinstance(conclusion, str) else "decided",
            (),
            None,
            score,
            method[:LONGEST] if isinstance(method, str) else None,
        )


def _causes(span: Span, ids: Mapping[Key, str]) -> Iterator[Cause]:
    sources, kinds = span.attributes.get(semconv.CAUSE_IDS), span.attributes.get(semconv.CAUSE_TYPES)
    if not isinstance(sources, list | tuple) or not isinstance(kinds, list | tuple):
        return
    links = [
        (ids.get((trace, identity)), about.get(semconv.LINK_TYPE), about.get(semconv.LINK_GRADE))
        for trace, identity, about in span.links
    ]
    for source, said in zip(sources, kinds, strict=False):
        kind = _known(said, EDGES)
        if kind is None or not isinstance(source, str) or not _ID.fullmatch(source):
            continue
        # The link of the same source; of one whose span is elsewhere, the first of its type.
        link = next(
            (link for link in links if link[0] == source and link[1] == kind),
            next((link for link in links if link[0] is None and link[1] == kind), None),
        )
        if link is None:
            yield Cause(source, kind, "observed", semconv.CAUSE_IDS)
        else:
            links.remove(link)
            yield Cause(source, kind, _known(link[2], GRADES) or "observed", "span link")


# -- what went in and out


def _payloads(steps: Sequence[tuple[Span, OpenStep]], sealer: Sealer) -> None:
    """Give steps their payloads: by the digests alone, or with what their spans say of the content."""
    # What is produced has no belief of its own on its span: somebody received it, and has.
    beliefs: dict[str, str] = {}
    for span, _ in steps:
        digest, belief = span.attributes.get(semconv.INPUT_DIGEST), span.attributes.get(semconv.BELIEF_DIGEST)
        if _is_digest(digest) and _is_digest(belief):
            beliefs[str(digest)] = str(belief)
    for span, step in steps:
        said = span.attributes
        sides = [
            _by_digest(said.get(digest), said.get(size), beliefs)
            for digest, size in (
                (semconv.INPUT_DIGEST, semconv.INPUT_SIZE),
                (semconv.OUTPUT_DIGEST, semconv.OUTPUT_SIZE),
            )
        ]
        texts = [_text(said, names) for names in _CONTENT]
        if step.kind == "handoff" and texts[0] == texts[1] and sides[0] != sides[1]:
            texts = [None, None]  # the digests tell the two sides apart, and the texts do not
        step.received, step.produced = (
            _with_content(step, side, text, sealer) for side, text in zip(sides, texts, strict=True)
        )


def _by_digest(digest: object, size: object, beliefs: Mapping[str, str]) -> Payload | None:
    if not _is_digest(digest):
        return None
    return Payload(str(digest), beliefs.get(str(digest), str(digest)), _number(size), "")


def _with_content(step: OpenStep, known: Payload | None, text: str | None, sealer: Sealer) -> Payload | None:
    if text is None:
        return known
    lossy: tuple[tuple[str, str], ...] = ()
    if text.endswith(CUT) and known is not None:
        # Two contents that begin alike are to stay two.
        text = f"{text}\n(cut on its span; the whole is {known.digest}, {known.size} bytes)"
        lossy = (("$", "cut on its span"),)
    sealed = sealer.seal(text)
    step.bodies.extend(sealed.bodies)
    return dataclasses.replace(sealed.payload, lossy=lossy) if lossy else sealed.payload


def _text(said: Mapping[str, object], names: Iterable[str]) -> str | None:
    """Return what a span says of a content, from the first attribute that has it."""
    for name in names:
        value = said.get(name)
        if isinstance(value, str):
            return _of_messages(value) if name.endswith(".messages") else value
    return None


def _of_messages(written: str) -> str:
    """Return the text in the one message that a span of ours has as JSON."""
    try:
        return str(json.loads(written)[0]["parts"][0]["content"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return written


def _arrivals(steps: Sequence[OpenStep]) -> None:
    """Complete handoffs whose receiver is another process: its span says from which handoff it took up its work.

    Their span ended when they were sent, and has no other side; see `becausal.envelope`.
    """
    sent = {step.id: step for step in steps if step.kind == "handoff" and step.produced is None}
    if not sent:
        return
    by_id = {step.id: step for step in steps}
    for step in sorted(steps, key=lambda step: step.seq):
        for cause in step.causes:
            handoff = sent.pop(cause.source_id, None) if cause.kind == "transfer" else None
            if handoff is None:
                continue
            handoff.produced = step.received
            handoff.attributes[semconv.TRANSFER_RECEIVED_BY] = step.id
            if handoff.received is not None and step.received is not None:
                equal = handoff.received.digest == step.received.digest
                handoff.attributes[semconv.TRANSFER_EQUAL] = equal
            handoff.ended_ns = max(handoff.started_ns, step.started_ns)
            if (
                step.parent_id == handoff.id
            ):  # its span stands under the handoff's, the step beside the sender's
                sender = by_id.get(handoff.parent_id or "")
                step.parent_id = (sender and sender.parent_id) or handoff.parent_id or handoff.id


# -- what a stranger may have written


def _known(value: object, words: Mapping[object, Word]) -> Word | None:
    return words.get(value) if isinstance(value, str) else None


def _number(value: object) -> int:
    return min(max(value, 0), MAX_NUMBER) if isinstance(value, int) else 0


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def _hexadecimal(digits: str) -> int:
    try:
        return int(digits, 16)
    except ValueError:
        return 0
