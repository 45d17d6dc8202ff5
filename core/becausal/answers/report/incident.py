"""An incident, put together for people who were not there: what a report says, before it is written down."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from becausal import semconv
from becausal.answers.contamination import contaminated_by
from becausal.answers.health import Health, health
from becausal.answers.lineage import passed_by_all
from becausal.answers.recorded import Recorded
from becausal.answers.report.advice import advice_on
from becausal.answers.report.excerpt import Excerpt, excerpt, excerpt_of, one_line
from becausal.answers.rootcause import Suspect
from becausal.facts import facts, missing
from becausal.facts.fact import Key
from becausal.findings.said import Said
from becausal.findings.scene import Scene
from becausal.findings.way import carriers
from becausal.payload import Payload
from becausal.step import Step

__all__ = ["Cause", "Incident", "Leg", "incident"]

MOST_CAUSES: Final = 5
MOST_LEGS: Final = 14
"""So many steps of a way are shown: the first ones, and the last ones."""
MOST_NAMED: Final = 12
MOST_RUNS: Final = 50
"""So many runs are looked at for what it came to."""
FIRST_LEGS: Final = 9


@dataclass(frozen=True)
class Leg:
    """One step of the way, with what it had before it and what it gave."""

    step: Step | None
    """None where steps are left out."""
    name: str
    before: Excerpt
    after: Excerpt
    is_same: bool = False
    """Whether what it gave is what it had: a handoff that changed nothing."""


@dataclass(frozen=True)
class Cause:
    """One root cause."""

    suspect: Suspect
    kind: str
    message: str
    evidence: tuple[str, ...]
    followed: tuple[str, ...]
    """What else went wrong because of it, in words."""
    way: tuple[Leg, ...]
    decisions: tuple[str, ...]
    stoppers: tuple[str, ...]
    """Who could have stopped it, and why they could."""
    spread: tuple[str, ...]
    """What else it came to, in this run."""
    elsewhere: tuple[str, ...]
    """The other runs of the store that it came to."""
    advice: tuple[str, ...]


@dataclass(frozen=True)
class Incident:
    """All that a report says."""

    name: str
    chain_id: str
    when: str
    agents: tuple[str, ...]
    steps: int
    health: Health
    causes: tuple[Cause, ...]
    more_causes: int
    contained: tuple[str, ...]
    notes: tuple[str, ...]
    request: Excerpt
    output: Excerpt


def incident(run: Recorded) -> Incident:
    """Return what a report says of a loaded run."""
    verdict = health(run)
    scene = Scene(run.graph, run.handoffs)
    said = [one for suspect in verdict.suspects for one in _said(suspect)]
    words = tuple(word for one in said for word in one.finding.wrong)
    keys = frozenset(fact.key for one in said for fact in one.wrong_facts)
    root = next(iter(run.graph.roots), None)
    return Incident(
        name=one_line(run.name, 80),
        chain_id=run.chain_id,
        when=_when(run.steps),
        agents=tuple(dict.fromkeys(s.agent for s in run.steps if s.agent and s.kind != "handoff")),
        steps=len(run.steps),
        health=verdict,
        causes=tuple(_cause(run, scene, one) for one in verdict.suspects[:MOST_CAUSES]),
        more_causes=max(0, len(verdict.suspects) - MOST_CAUSES),
        contained=tuple(f"{one.findings[0].message} ({one.who})" for one in verdict.contained),
        notes=tuple(one.message for one in run.findings if one.severity == "note")[:MOST_NAMED],
        request=excerpt(None if root is None else root.received),
        output=excerpt_of(scene.answer, words, keys) if scene.answer else excerpt(run.output),
    )


def _cause(run: Recorded, scene: Scene, suspect: Suspect) -> Cause:
    first = suspect.findings[0]
    words = tuple(word for said in _said(suspect) for word in (*said.finding.wrong, *said.finding.right))
    keys = frozenset(key for said in _said(suspect) for key in said.keys)
    followed = [one for one in suspect.findings if one.step.id != suspect.step.id]
    own = [one for one in suspect.findings if one.step.id == suspect.step.id]
    return Cause(
        suspect=suspect,
        kind=first.kind,
        message=" ".join(_sentence(one.message) for one in own),
        evidence=suspect.evidence,
        followed=tuple(_sentence(one.message) for one in followed)[:MOST_NAMED],
        way=tuple(_way(suspect.path, words, keys)),
        decisions=tuple(
            f"{_called(one.step)} decided: {one_line(one.conclusion, 160)}" for one in suspect.decisions
        )[:MOST_NAMED],
        stoppers=tuple(_stoppers(run, scene, suspect))[:MOST_NAMED],
        spread=tuple(_spread(run, suspect))[:MOST_NAMED],
        elsewhere=tuple(_elsewhere(run, suspect)),
        advice=tuple(dict.fromkeys(advice_on(one.kind) for one in own)),
    )


def _said(suspect: Suspect) -> list[Said]:
    return [Said(finding) for finding in suspect.findings if finding.step.id == suspect.step.id]


def _way(path: Sequence[Step], words: Sequence[str], keys: frozenset[Key]) -> Iterator[Leg]:
    shown = [*path] if len(path) <= MOST_LEGS else [*path[:FIRST_LEGS], None, *path[FIRST_LEGS - MOST_LEGS :]]
    for step in shown:
        if step is None:
            left = len(path) - MOST_LEGS
            yield Leg(None, f"{left} more step{'' if left == 1 else 's'}", Excerpt(""), Excerpt(""))
            continue
        before, after = step.received, step.produced
        is_same = step.kind == "handoff" and before is not None and _digest(before) == _digest(after)
        yield Leg(step, _called(step), excerpt(before, words, keys), excerpt(after, words, keys), is_same)


def _stoppers(run: Recorded, scene: Scene, suspect: Suspect) -> Iterator[str]:
    """Yield who could have stopped it: who had what contradicts it, where no way goes around, what was not checked."""
    said = _said(suspect)
    if suspect.step.id not in run.graph:
        return  # it stands in a chain of its own, and nobody of this run was asked
    for step in suspect.path[1:]:
        inputs = [step.received, *(c.received for c in run.graph.children(step) if c.kind == "model")]
        rows = [scene.stated(payload) for payload in inputs if payload is not None]
        known = [
            word
            for one in said
            for word in one.finding.right
            if (stated := facts(word)) and any(not missing(stated, there, text=text) for there, text in rows)
        ]
        if known and step.kind == "agent":
            yield f"{_called(step)} had been told {one_line(known[0], 80)!r} too, and went on all the same."
    output = run.graph.output_step
    ends = suspect.path[-1] if suspect.path else suspect.step
    goal = output if output is not None and output.id in {step.id for step in suspect.path} else ends
    passed = passed_by_all(run.graph, suspect.step, goal) if goal.id != suspect.step.id else []
    gates = [_called(step) for step in passed if step.kind in ("agent", "route", "tool")]
    if gates:
        yield f"Every way to the output passes {_listed(gates)}: a check there would have seen it."
    yield from _unchecked(suspect.step)


def _unchecked(step: Step) -> Iterator[str]:
    if step.kind == "tool" and not step.attributes.get(semconv.CHECKS):
        yield f"No validator of the app's spoke up about {step.name}: there is none for it, or it let this pass."
    has_contract = semconv.CONTRACT_ALLOWS in step.attributes or semconv.CONTRACT_BREACHES in step.attributes
    if step.kind == "handoff" and not has_contract:
        yield f"No contract's word is recorded for the handoff {step.name}."


def _spread(run: Recorded, suspect: Suspect) -> Iterator[str]:
    """Yield what it came to beside the output: memories that keep it, tools that were called with it, others told."""
    if suspect.step.id not in run.graph:
        return
    on_the_way = {step.id for step in suspect.path}
    turns = {step.id for step in suspect.path if step.kind == "agent"}
    for step in run.graph.downstream(suspect.step):
        is_inside = step.parent_id in turns
        if step.kind == "memory_write" and (is_inside or step.id in on_the_way):
            key = step.attributes.get(semconv.MEMORY_RECORD, "")
            readers = [edge.target for edge in run.graph.out_edges(step) if edge.kind == "memory"]
            who = _listed([one.agent or one.name for one in readers])
            yield f"{step.name}/{key} was written by {step.agent or 'the app'}" + (
                f", and read by {who}." if who else "."
            )
        elif step.kind == "tool" and is_inside and step.seq > suspect.step.seq:
            yield f"tool {step.name} was called by {step.agent or 'the app'} after that: {_arguments(step)}"
    others = [
        step.agent
        for step in carriers(run.graph, suspect.step)
        if step.kind == "agent" and step.agent and step.id not in on_the_way
    ]
    if others:
        yield f"It was told to {_listed(list(dict.fromkeys(others)))} too."


def _elsewhere(run: Recorded, suspect: Suspect) -> Iterator[str]:
    """Yield the other runs that it came to, and what it came to there; of a run without a store nobody knows."""
    if run.store is None:
        return
    found = contaminated_by(run.store, suspect.findings[0], graph=run.graph, most_runs=MOST_RUNS)
    others = [spread for spread in found.runs if spread.chain_id != run.chain_id]
    for spread in others[:MOST_NAMED]:
        entry = spread.entries[0]
        how = {
            "memory": f"read {entry.evidence}",
            "content": "had the very same content",
            "continued": "went on from it",
        }.get(entry.how, "had it")
        output = (
            "its answer says it"
            if spread.is_output_wrong
            else "its answer may come from it"
            if spread.output is not None
            else "its answer does not depend on it"
        )
        yield f"Run {spread.chain_id[:16]} ({one_line(spread.name, 40)}): {_called(entry.step)} {how}; {output}."
    if len(others) > MOST_NAMED:
        are_all = "" if len(found.runs) < MOST_RUNS else " at least"
        yield f"And{are_all} {len(others) - MOST_NAMED} more: `becausal contaminated` names them."


def _arguments(step: Step) -> str:
    payload = step.received
    return one_line(payload.text(), 120) if payload is not None and payload.is_kept else "(not kept)"


def _called(step: Step) -> str:
    if step.kind == "handoff":
        return f"handoff {one_line(step.name, 80)}"
    agent = f" of {step.agent}" if step.agent and step.agent != step.name else ""
    return one_line(f"{step.kind} {step.name}{agent}", 100)


def _listed(names: Sequence[str]) -> str:
    few = list(dict.fromkeys(names))
    more = f" and {len(few) - MOST_NAMED} more" if len(few) > MOST_NAMED else ""
    return ", ".join(few[:MOST_NAMED]) + more


def _sentence(text: str) -> str:
    line = one_line(text, 600)
    return line if line.endswith((".", "!", "?", "…")) else line + "."


def _digest(payload: Payload | None) -> str | None:
    return None if payload is None else payload.digest


def _when(steps: Sequence[Step]) -> str:
    if not steps:
        return "unknown"
    moment = datetime.fromtimestamp(min(step.started_ns for step in steps) / 1e9, UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")
