"""A run's findings, for people and for programs."""

from __future__ import annotations

from typing import TypedDict

from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from becausal.answers.health import unended
from becausal.finding import Finding, Severity
from becausal.findings import UNSEEN_IN_A_PART
from becausal.graph.part import Part
from becausal.run import Run
from becausal.views.clean import cut, line, styled
from becausal.views.layout import Way

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


def text(shown: Run, *, full: bool = False) -> RenderableType:
    """Return a run's findings, each with its evidence and its way below it; of a part, what it was not judged for.

    Args:
        full: whether ways are shown whole, however long.
    """
    if shown.findings:
        here = _found(shown, full=full)
    elif shown.part is None:
        here = Text("Nothing is wrong, as far as this record shows.")
    else:
        here = Text("Nothing is wrong in the part that was judged.")
    notes = [] if shown.part is None else [_unjudged(shown.part)]
    notes += [f"{said[0].upper()}{said[1:]}" for said in unended(shown)]
    return Group(here, *(Text(line(note), "yellow") for note in notes)) if notes else here


def _unjudged(part: Part) -> str:
    return f"Only a part was judged: {part}. It takes the whole run (--whole) to see {', '.join(UNSEEN_IN_A_PART)}."


def _found(shown: Run, *, full: bool) -> RenderableType:
    tree = Tree("", guide_style="dim", hide_root=True)
    for finding in shown.findings:
        branch = tree.add(_line(finding))
        for said in finding.evidence:
            branch.add(styled(cut(said, WIDEST_EVIDENCE)))
        if len(finding.path) > 1:
            branch.add(Way([step.name for step in finding.path], " → ", "way: ", whole=full))
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
