"""Runs as JSON, in a shape that programs may rely on: fields are added, never renamed or dropped.

Times are nanoseconds since the epoch, durations nanoseconds, sizes bytes. Steps are named by their ids.
Payloads are told by digest and size; the bodies only where a command is about them (a tool's arguments and
response, a delta).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TypedDict

from becausal.decision import Decision
from becausal.graph.edge import Edge
from becausal.handoff import Handoff
from becausal.payload import Payload
from becausal.run import Run
from becausal.step import Attribute, Step
from becausal.store import ChainInfo
from becausal.toolcall import ToolCall

__all__ = [
    "DecisionJson",
    "EdgeJson",
    "Json",
    "StepJson",
    "decision_json",
    "edge_json",
    "handoffs",
    "plain",
    "run",
    "runs",
    "step_json",
    "tools",
]

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
"""Any JSON value."""


class PayloadJson(TypedDict):
    """A payload, without its body."""

    digest: str
    belief: str
    size: int
    type: str
    lossy: list[list[str]]


class DecisionJson(TypedDict):
    """A decision."""

    step: str
    conclusion: str
    premises: list[str]
    reason: str | None
    confidence: float | None
    method: str | None


class StepJson(TypedDict):
    """A step."""

    id: str
    kind: str
    name: str
    agent: str | None
    parent_id: str | None
    seq: int
    hop: int
    started_ns: int
    ended_ns: int | None
    status: str
    error: str | None
    trace_id: str | None
    span_id: str | None
    received: PayloadJson | None
    produced: PayloadJson | None
    attributes: dict[str, Attribute]


class EdgeJson(TypedDict):
    """An edge."""

    source: str
    target: str
    kind: str
    grade: str
    evidence: str


class ChangeJson(TypedDict):
    """One change between what was sent and what was received."""

    kind: str
    path: str
    before: Json
    after: Json
    missing: int


class HandoffJson(TypedDict):
    """A handoff."""

    id: str
    sender: str | None
    receiver: str | None
    sent_by: str | None
    received_by: str | None
    sent: PayloadJson | None
    received: PayloadJson | None
    verdict: str
    intended: bool
    delta: list[ChangeJson]


class ToolJson(TypedDict):
    """A tool call."""

    step: str
    name: str
    agent: str | None
    arguments: Json
    response: Json
    response_size: int
    latency_ns: int | None
    error: str | None
    attempt: int
    checks: list[str]


class RunJson(TypedDict):
    """A run."""

    chain_id: str
    name: str
    status: str
    started_ns: int | None
    ended_ns: int | None
    agents: list[str]
    output: PayloadJson | None
    steps: list[StepJson]
    edges: list[EdgeJson]
    handoffs: list[HandoffJson]
    decisions: list[DecisionJson]


class ChainJson(TypedDict):
    """A run, as a list shows it."""

    chain_id: str
    name: str
    started_ns: int
    ended_ns: int | None
    root_is_lost: bool
    steps: int
    errors: int
    handoffs: int
    agents: list[str]
    damaged: bool
    """Whether it cannot be read whole."""


def runs(infos: list[ChainInfo]) -> list[ChainJson]:
    """Return what `becausal runs` lists."""
    return [
        ChainJson(
            chain_id=info.chain_id,
            name=info.name,
            started_ns=info.started_ns,
            ended_ns=None if info.root_is_lost else info.ended_ns,
            root_is_lost=info.root_is_lost,
            steps=info.steps,
            errors=info.errors,
            handoffs=info.handoffs,
            agents=list(info.agents),
            damaged=info.is_damaged,
        )
        for info in infos
    ]


def run(shown: Run) -> RunJson:
    """Return a run whole."""
    return RunJson(
        chain_id=shown.chain_id,
        name=shown.name,
        status=shown.status,
        started_ns=shown.started_ns,
        ended_ns=shown.ended_ns,
        agents=list(shown.agents),
        output=_payload(shown.output),
        steps=[step_json(step) for step in shown.steps],
        edges=[edge_json(edge) for edge in shown.edges],
        handoffs=handoffs(shown.handoffs),
        decisions=[decision_json(decision) for decision in shown.decisions],
    )


def handoffs(shown: Iterable[Handoff]) -> list[HandoffJson]:
    """Return a run's handoffs."""
    return [_handoff(handoff) for handoff in shown]


def tools(shown: Iterable[ToolCall]) -> list[ToolJson]:
    """Return a run's tool calls."""
    return [_tool(call) for call in shown]


def plain(value: object) -> Json:
    """Return a decoded value as JSON has it; what JSON has no word for becomes its text."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case set() | frozenset():
            return sorted((plain(item) for item in value), key=str)
        case bytes():
            return value.hex()
        case _:
            return str(value)


def _payload(payload: Payload | None) -> PayloadJson | None:
    if payload is None:
        return None
    return PayloadJson(
        digest=payload.digest,
        belief=payload.belief,
        size=payload.size,
        type=payload.type_name,
        lossy=[list(loss) for loss in payload.lossy],
    )


def step_json(step: Step) -> StepJson:
    """Return a step."""
    return StepJson(
        id=step.id,
        kind=step.kind,
        name=step.name,
        agent=step.agent,
        parent_id=step.parent_id,
        seq=step.seq,
        hop=step.hop,
        started_ns=step.started_ns,
        ended_ns=step.ended_ns,
        status=step.status,
        error=step.error,
        trace_id=step.trace_id,
        span_id=step.span_id,
        received=_payload(step.received),
        produced=_payload(step.produced),
        attributes=dict(step.attributes),
    )


def edge_json(edge: Edge) -> EdgeJson:
    """Return an edge."""
    return EdgeJson(
        source=edge.source.id, target=edge.target.id, kind=edge.kind, grade=edge.grade, evidence=edge.evidence
    )


def decision_json(decision: Decision) -> DecisionJson:
    """Return a decision."""
    sure = decision.confidence
    return DecisionJson(
        step=decision.step.id,
        conclusion=decision.conclusion,
        premises=list(decision.premises),
        reason=decision.reason,
        confidence=None if sure is None else sure.score,
        method=None if sure is None else sure.method,
    )


def _handoff(handoff: Handoff) -> HandoffJson:
    return HandoffJson(
        id=handoff.id,
        sender=handoff.sender,
        receiver=handoff.receiver,
        sent_by=None if handoff.sent_by is None else handoff.sent_by.id,
        received_by=None if handoff.received_by is None else handoff.received_by.id,
        sent=_payload(handoff.sent),
        received=_payload(handoff.received),
        verdict=handoff.verdict,
        intended=handoff.intended,
        delta=[
            ChangeJson(
                kind=change.kind,
                path=change.path,
                before=plain(change.before),
                after=plain(change.after),
                missing=change.missing,
            )
            for change in handoff.delta
        ],
    )


def _tool(call: ToolCall) -> ToolJson:
    return ToolJson(
        step=call.step.id,
        name=call.name,
        agent=call.agent,
        arguments=plain(call.arguments),
        response=plain(call.response),
        response_size=call.response_size,
        latency_ns=call.latency_ns,
        error=call.error,
        attempt=call.attempt,
        checks=list(call.checks),
    )
