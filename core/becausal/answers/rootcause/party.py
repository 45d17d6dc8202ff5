"""Whose a fault is, and what was decided on its way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from becausal.decision import Decision
from becausal.finding import Finding
from becausal.graph import Graph
from becausal.step import Step

__all__ = ["decisions_on", "in_words", "party_of"]


def party_of(finding: Finding) -> tuple[str | None, str | None, str]:
    """Return the agent and the tool that are to blame, and the party in words."""
    step = finding.step
    if finding.kind == "memory.lost_update" and finding.agent != step.agent:
        return None, None, f"the merge of {finding.key or step.name}"
    return finding.agent, finding.tool, in_words(step, finding.agent, finding.tool)


def in_words(step: Step, agent: str | None, tool: str | None) -> str:
    """Return a party as people call it."""
    if tool is not None:
        return f"tool {tool}"
    if agent is not None:
        return f"agent {agent}"
    return f"the way {step.name}" if step.kind == "handoff" else f"{step.kind} {step.name}"


def decisions_on(graph: Graph, path: Iterable[Step]) -> Iterator[Decision]:
    """Yield what the steps of a path decided; of a tool, first the decision of the model that asked for it."""
    told: set[str] = set()
    for step in path:
        deciders = [
            step,
            *(child for child in graph.children(step) if step.kind == "agent" and child.kind == "model"),
        ]
        if step.kind == "tool":
            asked = (edge.source for edge in graph.in_edges(step) if edge.kind == "data")
            deciders = [source for source in asked if source.kind == "model"] + deciders
        for decider in deciders:
            if decider.id not in told:
                told.add(decider.id)
                yield from (Decision(decider, choice) for choice in decider.choices)
