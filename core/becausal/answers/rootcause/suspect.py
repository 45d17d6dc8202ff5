"""Whoever a fault came from, as far as the evidence goes."""

from __future__ import annotations

from dataclasses import dataclass

from becausal.decision import Decision
from becausal.finding import Finding
from becausal.harmless import legible
from becausal.step import Step

__all__ = ["Suspect"]


@dataclass(frozen=True)
class Suspect:
    """A step in which something wrong entered, with what speaks for that."""

    step: Step
    """Where it entered."""
    agent: str | None
    """Who is to blame, where it is an agent; None where it is a tool, a channel or a merge."""
    tool: str | None
    """Which tool is to blame, where it is a tool."""
    score: float
    """0 to 1, for ranking; no probability. Of findings: the confidence of the surest one at this step, halved where
    nothing shows that it reached what was asked about. Of a text that was asked about: the share of its pieces that
    came in here, one piece being divided evenly among those who may as well have brought it in."""
    path: tuple[Step, ...]
    """Every step that carried it, from where it entered to where it was asked about, cause first."""
    findings: tuple[Finding, ...]
    """Those of this step first, then those that follow from them."""
    evidence: tuple[str, ...]
    """The words that show it."""
    decisions: tuple[Decision, ...] = ()
    """What those on the path decided while they carried it; of a tool, first the decision to call it."""
    who: str = ""
    """The party in words: `tool get_offer`, `the way from ada to bo`, `the merge of offers`."""

    def __repr__(self) -> str:
        return f"<Suspect {self}>"

    @legible
    def __str__(self) -> str:
        what = (
            ", ".join(dict.fromkeys(finding.kind for finding in self.findings)) or "its content came in here"
        )
        return f"{self.score:.2f} {self.who} ({self.step.kind} {self.step.name} {self.step.id[:8]}): {what}"
