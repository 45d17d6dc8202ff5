"""Work that lost its link to a run, for a terminal and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from rich.console import RenderableType
from rich.text import Text
from rich.tree import Tree

from becausal.answers.orphans import Orphan
from becausal.graph.edge import Edge
from becausal.views.clean import styled

__all__ = ["OrphanJson", "json", "text"]


class LinkJson(TypedDict):
    """What joins an orphan to a run."""

    source: str
    target: str
    kind: str
    grade: str
    evidence: str


class OrphanJson(TypedDict):
    """Work without a living link to its run."""

    how: str
    step: str
    kind: str
    name: str
    agent: str | None
    chain: str
    steps: list[str]
    run: str | None
    others: list[str]
    is_read: bool
    has_outlived: bool
    links: list[LinkJson]


def text(orphans: Sequence[Orphan]) -> RenderableType:
    """Return each orphan, and below it what joins it to which run."""
    if not orphans:
        return Text("Nothing lost its link to its run, as far as the record shows.")
    tree = Tree("", guide_style="dim", hide_root=True)
    for orphan in orphans:
        branch = tree.add(_line(orphan))
        for edge in orphan.edges:
            branch.add(
                styled(f"{edge.source.name} → {edge.target.name}  {edge.kind}, {edge.grade}: {edge.evidence}")
            )
        if orphan.run is None:
            branch.add(styled("no run shows what it received or produced", "dim"))
        if orphan.others:
            branch.add(
                styled(f"may as well belong to {', '.join(one[:16] for one in orphan.others)}", "yellow")
            )
    return tree


def json(orphans: Sequence[Orphan]) -> list[OrphanJson]:
    """Return orphans, for programs."""
    return [
        OrphanJson(
            how=orphan.how,
            step=orphan.step.id,
            kind=orphan.step.kind,
            name=orphan.step.name,
            agent=orphan.step.agent,
            chain=orphan.step.chain_id,
            steps=[step.id for step in orphan.steps],
            run=orphan.run,
            others=list(orphan.others),
            is_read=orphan.is_read,
            has_outlived=orphan.has_outlived,
            links=list(map(_link, orphan.edges)),
        )
        for orphan in orphans
    ]


def _line(orphan: Orphan) -> Text:
    read = ("read", "green") if orphan.is_read else ("read by nobody", "yellow")
    return Text.assemble(
        styled(f"{orphan.how}  ", "bold"),
        styled(f"{orphan.step.kind} {orphan.step.name}  "),
        styled(*read),
        styled(", outlived the run" if orphan.has_outlived else "", "yellow"),
        styled(f"  {orphan.step.id[:8]} of {orphan.step.chain_id[:16]}", "dim"),
    )


def _link(edge: Edge) -> LinkJson:
    return LinkJson(
        source=edge.source.id, target=edge.target.id, kind=edge.kind, grade=edge.grade, evidence=edge.evidence
    )
