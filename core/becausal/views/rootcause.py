"""Suspects, and what no way goes around, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypedDict

from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from becausal.answers.lineage import Lineage
from becausal.answers.rootcause import Suspect
from becausal.graph.edge import Edge
from becausal.step import Step
from becausal.views.clean import cut, styled
from becausal.views.layout import MANY, Way, by_width, ends_of, table_of

__all__ = ["SuspectJson", "dominators", "impact", "json", "text"]

WIDEST_EVIDENCE = 200
"""Characters of a line of evidence."""

MOST_EVIDENCE = 6


class SuspectJson(TypedDict):
    """A suspect; steps by their ids, the path cause first."""

    step: str
    agent: str | None
    tool: str | None
    who: str
    score: float
    path: list[str]
    findings: list[str]
    evidence: list[str]
    decisions: list[str]


def text(
    suspects: Sequence[Suspect], contained: Sequence[Suspect] = (), *, full: bool = False
) -> RenderableType:
    """Return suspects, the likeliest first, each with what speaks for it; then what was put right.

    Args:
        suspects: who may have caused what is wrong.
        contained: what was put right.
        full: whether ways are shown whole, however long.
    """
    parts: list[RenderableType] = (
        list(_tree(suspects, full=full)) if suspects else [Text("Nobody is suspected of anything.")]
    )
    if contained:
        parts.append(Text("\nput right before the output, and blamed on nobody", "italic"))
        parts += [styled(f"  {one.who}: {cut(one.findings[0].message, 200)}", "dim") for one in contained]
    return Group(*parts)


def dominators(lineage: Lineage, *, full: bool = False) -> RenderableType:
    """Return which steps no way goes around; of many the first and the last ones, unless all are asked for."""
    if not lineage.dominators:
        return styled("There are ways around every step.", "dim")
    tree = Tree(styled("no way goes around", "italic"), guide_style="dim")
    first, left_out, last = ends_of(len(lineage.dominators), MANY, whole=full)
    for place in first:
        tree.add(_gate(lineage, place))
    if left_out:
        tree.add(styled(f"… {left_out:,} more: --full shows them", "dim"))
    for place in last:
        tree.add(_gate(lineage, place))
    return tree


def _gate(lineage: Lineage, place: int) -> Text:
    step = lineage.dominators[place]
    return Text.assemble(
        styled(_called(step)), styled(f"  {step.id[:8]}  {lineage.grades.get(step.id, '')}", "dim")
    )


def impact(lineage: Lineage) -> RenderableType:
    """Return all that came of a step, nearest first, each with what led there first and how sure the way is."""
    if not lineage.steps:
        return styled(f"Nothing came of {_called(lineage.of)}, as far as this record shows.")
    first: dict[str, Edge] = {}
    for edge in lineage.edges:
        first.setdefault(edge.target.id, edge)
    table = table_of(
        *("step", "from", "edge", "grade", "evidence"),
        gives_way=("step", "from", "evidence"),
        title=f"what came of {_called(lineage.of)}",
    )
    for step in lineage.steps:
        led = first.get(step.id)
        table.add_row(
            styled(f"{step.id[:8]} {_called(step)}"),
            styled(_called(led.source) if led else ""),
            Text(led.kind if led else "returned"),
            Text(lineage.grades[step.id]),
            styled(cut(led.evidence, 60) if led else ""),
        )
    return by_width(table)


def json(suspects: Sequence[Suspect]) -> list[SuspectJson]:
    """Return suspects."""
    return [
        SuspectJson(
            step=one.step.id,
            agent=one.agent,
            tool=one.tool,
            who=one.who,
            score=round(one.score, 4),
            path=[step.id for step in one.path],
            findings=[finding.kind for finding in one.findings],
            evidence=list(one.evidence),
            decisions=[decision.conclusion for decision in one.decisions],
        )
        for one in suspects
    ]


def _tree(suspects: Sequence[Suspect], *, full: bool) -> Iterator[RenderableType]:
    tree = Tree("", guide_style="dim", hide_root=True)
    for one in suspects:
        branch = tree.add(
            Text.assemble(
                styled(f"{one.score:.2f}  ", "bold"),
                styled(one.who, "bold red"),
                styled(f"  {_called(one.step)}  {one.step.id[:8]}", "dim"),
            )
        )
        for finding in one.findings:
            is_own = finding.step.id == one.step.id
            told = Text.assemble(
                styled(f"{finding.kind}  ", "yellow" if is_own else "dim"), styled(finding.message)
            )
            branch.add(told if is_own else Text.assemble(styled("followed: ", "dim"), told))
        for row in one.evidence[:MOST_EVIDENCE]:
            branch.add(styled(cut(row, WIDEST_EVIDENCE)))
        for decision in one.decisions[:1]:
            branch.add(
                Text.assemble(styled("decided  ", "blue"), styled(cut(decision.conclusion, WIDEST_EVIDENCE)))
            )
        if len(one.path) > 1:
            branch.add(Way([step.name for step in one.path], " → ", "way: ", whole=full))
    yield tree


def _called(step: Step) -> str:
    agent = f" of {step.agent}" if step.agent and step.agent != step.name and step.kind != "handoff" else ""
    return cut(f"{step.kind} {step.name}{agent}", 80)
