"""What befell handoffs as a whole: lost, come twice, come late, gone to somebody else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from becausal import semconv
from becausal.finding import Finding, FindingKind, Severity
from becausal.findings.scene import Scene, noted
from becausal.handoff import Handoff
from becausal.step import Step

__all__ = ["of_deliveries"]

_ASKED_FOR: Final = re.compile(
    r"(?:call (?:transfer|hand_?off|handover|delegate|route)_?(?:back_)?to_([\w-]+)\(|hand over to ([\w-]+)$)",
    re.IGNORECASE,
)
"""How a model asks for an agent: the tools that LangGraph's and AutoGen's swarms give it."""

_ID_FIELDS: Final = ("id", "message_id", "call_id", "tool_call_id")
_NO_FAULT: Final = frozenset(["cancelled", "interrupted", "closed", "abandoned", "error"])


def of_deliveries(scene: Scene) -> Iterator[Finding]:
    """Yield what befell a run's handoffs as a whole."""
    yield from _lost(scene.handoffs)
    yield from _twice(scene.handoffs)
    yield from _late(scene.handoffs)
    yield from _elsewhere(scene)


def _lost(handoffs: Iterable[Handoff]) -> Iterator[Finding]:
    for handoff in handoffs:
        why = noted(handoff.step, "undelivered")
        is_over = handoff.step.ended_ns is not None and handoff.step.status not in _NO_FAULT
        if handoff.received is not None or handoff.received_by is not None or not is_over or handoff.intended:
            continue
        dropped = noted(handoff.step, "intervention")
        severity: Severity = "warning" if why == "no subscriber" else "error"
        told = f" ({why})" if why else ""
        evidence = [f"sent: {_head(handoff)}"]
        evidence += [f"undelivered: {why}"] if why else []
        evidence += [f"intervention: {', '.join(dropped)}"] if isinstance(dropped, tuple) else []
        text = f"What {handoff.sender} sent to {handoff.receiver or 'anybody'} was received by nobody{told}."
        yield _of("handoff.lost", severity, 0.9 if why else 0.8, handoff, text, evidence)


def _twice(handoffs: Sequence[Handoff]) -> Iterator[Finding]:
    first: dict[tuple[object, ...], Handoff] = {}
    for handoff in handoffs:
        if handoff.received is None or handoff.sent is None:
            continue
        key = (handoff.sender, handoff.receiver, handoff.sent.digest)
        earlier = first.setdefault(key, handoff)
        told = noted(handoff.step, "duplicate") is True
        if earlier is handoff and not told:
            continue
        same_turn = earlier.sent_by is not None and earlier.sent_by is handoff.sent_by
        sure = 0.95 if told else 0.85 if _has_id(handoff) else 0.0
        # Without an id of its own, an equal message is another one: a heartbeat, a second item of a list.
        if sure and (told or same_turn):
            text = f"{handoff.receiver} received the same message of {handoff.sender} more than once."
            evidence = [f"again: {_head(handoff)}", f"first: handoff {earlier.id}"]
            yield _of("handoff.duplicated", "warning", sure, handoff, text, evidence)


def _late(handoffs: Sequence[Handoff]) -> Iterator[Finding]:
    latest: dict[tuple[object, object], Handoff] = {}
    arrived = [
        handoff for handoff in handoffs if handoff.received_by is not None and handoff.sent_by is not None
    ]
    for handoff in sorted(arrived, key=lambda h: h.received_by.seq if h.received_by else 0):
        way = handoff.sender, handoff.receiver
        newest = latest.get(way)
        told = noted(handoff.step, "overtaken") is True
        if newest is None or _sent_before(newest, handoff):
            latest[way] = handoff
        if not told and (
            newest is None or not _sent_before(handoff, newest) or newest.received_by is handoff.received_by
        ):
            continue
        text = f"{handoff.receiver} received an older message of {handoff.sender} after a newer one."
        evidence = [f"late: {_head(handoff)}"]
        evidence += [f"newer: {_head(newest)}"] if newest is not None else []
        yield _of("handoff.reordered", "warning", 0.9 if told else 0.7, handoff, text, evidence)


def _sent_before(a: Handoff, b: Handoff) -> bool:
    """Say whether the turn that sent one was over before the other's began: turns side by side have no order."""
    one, other = a.sent_by, b.sent_by
    if one is None or other is None or one is other or one.ended_ns is None:
        return False
    return one.seq < other.seq and one.ended_ns <= other.started_ns


def _elsewhere(scene: Scene) -> Iterator[Finding]:
    sent: dict[str, list[Handoff]] = {}
    for handoff in scene.handoffs:
        if handoff.sent_by is not None and handoff.receiver is not None:
            sent.setdefault(handoff.sent_by.id, []).append(handoff)
    names = {_plain(name): name for step in scene.graph.nodes for name in _agents_told_of(step)}
    for step in scene.graph.nodes:
        handoffs = [h for h in sent.get(step.id, ()) if h.receiver != step.agent]
        wanted = list(_asked_for(scene, step))
        reached = {_plain(handoff.receiver) for handoff in handoffs}
        known = {_plain(name) for name in wanted} & names.keys()
        if not wanted or not handoffs or not known or reached & {_plain(name) for name in wanted}:
            continue
        who = ", ".join(dict.fromkeys(str(handoff.receiver) for handoff in handoffs))
        asked = ", ".join(str(names[name]) for name in sorted(known))
        text = f"{step.agent} asked for {asked}, and {who} was given the work."
        evidence = [f"decided: {name}" for name in wanted] + [f"went to: {who}"]
        yield _of("handoff.misrouted", "error", 0.85, handoffs[0], text, evidence, blamed=step)


def _agents_told_of(step: Step) -> Iterator[str]:
    """Yield the agents that a step tells of: its own, those that a route had to choose from, the nodes of a graph."""
    if step.agent:
        yield step.agent
    for told in (step.attributes.get(semconv.ROUTE_CANDIDATES), noted(step, "nodes")):
        if isinstance(told, tuple):
            yield from told


def _asked_for(scene: Scene, step: Step) -> Iterator[str]:
    """Yield the agents that a turn's last model call asked to go on."""
    models = [child for child in scene.graph.children(step) if child.kind == "model"]
    for choice in models[-1].choices if models else ():
        found = _ASKED_FOR.match(choice.conclusion)
        if found is not None:
            yield found[1] or found[2]


def _plain(name: str | None) -> str:
    return re.sub(r"[\W_]+", "", name or "").lower()


def _has_id(handoff: Handoff) -> bool:
    if handoff.sent is None or not handoff.sent.is_kept or handoff.sent.size > 1_000_000:
        return False
    value = handoff.sent.value()
    return isinstance(value, dict) and any(value.get(name) is not None for name in _ID_FIELDS)


def _head(handoff: Handoff) -> str:
    text = (
        "" if handoff.sent is None or handoff.sent.size > 1_000_000 else " ".join(handoff.sent.text().split())
    )
    return text if len(text) <= 160 else text[:159] + "…"


def _of(
    kind: FindingKind,
    severity: Severity,
    confidence: float,
    handoff: Handoff,
    message: str,
    evidence: list[str],
    blamed: Step | None = None,
) -> Finding:
    return Finding(
        kind=kind,
        severity=severity,
        confidence=confidence,
        step=handoff.step,
        message=message,
        evidence=tuple(evidence),
        agent=None if blamed is None else blamed.agent,
        path=tuple(s for s in (handoff.sent_by, handoff.step, handoff.received_by) if s is not None),
    )
