"""A run's findings, for people and for programs."""

from __future__ import annotations

from typing import TypedDict

from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from becausal.finding import Finding, Severity
from becausal.findings import UNSEEN_IN_A_PART
from becausal.graph.part import Part
from becausal.run import Run
from becausal.views.clean import cut, styled

__all__ = ["FindingJson", "json", "text"]

WIDEST_EVIDENCE = 300
"""Characters of a line of evidence."""

_STYLE: dict[Severity, str] = {"note": "dim", "warning": "yellow", "error": "bold red"}


class FindingJson(TypedDict):
    """A finding."""

    kind: str
    severity: str
    confidence: float
    message: str
    step: str
    agent: str | None
    tool: str | None
    key: str | None
    evidence: list[str]
    path: list[str]


def text(shown: Run) -> RenderableType:
    """Return a run's findings, each with its evidence and its way below it; of a part, what it was not judged for."""
    if shown.part is None:
        return _found(shown) if shown.findings else Text("Nothing is wrong, as far as this record shows.")
    here = _found(shown) if shown.findings else Text("Nothing is wrong in the part that was judged.")
    return Group(here, Text(_unjudged(shown.part), "yellow"))


def _unjudged(part: Part) -> str:
    return f"Only a part was judged: {part}. It takes the whole run (--whole) to see {', '.join(UNSEEN_IN_A_PART)}."


def _found(shown: Run) -> RenderableType:
    tree = Tree("", guide_style="dim", hide_root=True)
    for finding in shown.findings:
        branch = tree.add(_line(finding))
        for said in finding.evidence:
            branch.add(styled(cut(said, WIDEST_EVIDENCE)))
        if len(finding.path) > 1:
            branch.add(styled("way: " + " → ".join(step.name for step in finding.path), "dim"))
    return tree


def json(shown: Run) -> list[FindingJson]:
    """Return a run's findings."""
    return [
        FindingJson(
            kind=finding.kind,
            severity=finding.severity,
            confidence=finding.confidence,
            message=finding.message,
            step=finding.step.id,
            agent=finding.agent,
            tool=finding.tool,
            key=finding.key,
            evidence=list(finding.evidence),
            path=[step.id for step in finding.path],
        )
        for finding in shown.findings
    ]


def _line(finding: Finding) -> Text:
    return Text.assemble(
        styled(f"{finding.severity} ", _STYLE[finding.severity]),
        styled(f"{finding.kind}  ", "bold"),
        styled(finding.message),
        styled(f"  {finding.step.id[:8]}, sure to {finding.confidence:.0%}", "dim"),
    )
