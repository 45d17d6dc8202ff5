"""A run's health, for people and for programs."""

from __future__ import annotations

from typing import TypedDict

from rich.console import Group, RenderableType
from rich.text import Text

from becausal.answers.health import Health
from becausal.views.clean import styled
from becausal.views.layout import hanging
from becausal.views.rootcause import SuspectJson
from becausal.views.rootcause import json as suspects_json

__all__ = ["HealthJson", "json", "text"]


class HealthJson(TypedDict):
    """A verdict. `level` and `coherence` are what a metric takes."""

    verdict: str
    ok: bool
    level: int
    coherence: float | None
    transitions: int
    intact: int
    unjudged: int
    reasons: list[str]
    suspects: list[SuspectJson]
    contained: list[SuspectJson]


def text(shown: Health) -> RenderableType:
    """Return a verdict with its reasons."""
    style = (
        "bold green" if shown.ok else "bold yellow" if shown.verdict in ("unknown", "suspect") else "bold red"
    )
    lines: list[RenderableType] = [
        Text.assemble(styled(shown.verdict, style), styled(_transitions(shown), "dim"))
    ]
    lines += [hanging(Text.assemble(styled(reason))) for reason in shown.reasons]
    return Group(*lines)


def _transitions(shown: Health) -> str:
    """Return how many transitions are intact; where something is wrong though all are, that it came in elsewhere."""
    if not shown.transitions:
        return ""
    told = f"  {shown.intact} of {shown.transitions} transitions intact"
    if shown.unjudged:
        return f"{told}, {shown.unjudged} not judged"
    if shown.intact == shown.transitions and shown.verdict in ("contaminated", "suspect"):
        return f"{told}: what is wrong came in within a step, not between steps"
    return told


def json(shown: Health) -> HealthJson:
    """Return a verdict."""
    return HealthJson(
        verdict=shown.verdict,
        ok=shown.ok,
        level=shown.level,
        coherence=shown.coherence,
        transitions=shown.transitions,
        intact=shown.intact,
        unjudged=shown.unjudged,
        reasons=list(shown.reasons),
        suspects=suspects_json(shown.suspects),
        contained=suspects_json(shown.contained),
    )
