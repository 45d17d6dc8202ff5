"""Something wrong: what kind, where it entered, whose it is, and what shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from becausal import semconv
from becausal.harmless import legible
from becausal.step import Attribute, Step

__all__ = ["KINDS", "SEVERITIES", "Finding", "FindingKind", "Severity", "anomaly"]

Severity = Literal["note", "warning", "error"]
"""`note`: worth knowing, nothing is wrong (an intended trim, a contained fault). `error`: it reached an output or a
side effect."""

SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""The mildest first."""

FindingKind = Literal[
    "handoff.truncated",
    "handoff.dropped",
    "handoff.flattened",
    "handoff.reordered",
    "handoff.duplicated",
    "handoff.injected",
    "handoff.mutated",
    "handoff.lost",
    "handoff.misrouted",
    "contract.broken",
    "tool.cut_off",
    "tool.partial",
    "tool.error_as_data",
    "tool.empty",
    "tool.stale",
    "tool.irrelevant",
    "tool.schema",
    "tool.failed",
    "tool.not_as_decided",
    "tool.repeated",
    "tool.invalid",
    "memory.stale_read",
    "memory.lost_update",
    "memory.conflict",
    "memory.retracted_read",
    "memory.aliased",
    "memory.contaminated",
    "drift.lost_fact",
    "drift.changed_fact",
    "drift.moved",
    "model.ungrounded",
    "context.evicted",
    "confidence.inflated",
    "chain.orphaned",
    "path.deviated",
    "path.novel",
    "path.loop",
    "path.skipped",
    "run.anomaly",
]
"""What sort of thing is wrong. `tool.invalid`: the app's own validator said so. `run.anomaly`: something is wrong, of
no kind that is known."""

KINDS: tuple[FindingKind, ...] = get_args(FindingKind)

WIDEST: Final = 120
"""Characters of a message in a finding's `repr`."""


def anomaly(kind: FindingKind, severity: Severity) -> dict[str, Attribute]:
    """Return the attributes by which a tail sampler knows a trace that is to be kept: a real boolean, one kind."""
    return {
        semconv.ANOMALY_KIND: kind,
        semconv.ANOMALY_SEVERITY: SEVERITIES.index(severity),
        semconv.ANOMALY_DETECTED: True,
    }


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong in a run, or worth knowing."""

    kind: FindingKind
    severity: Severity
    confidence: float
    """0 to 1: how sure it is."""
    step: Step
    """Where it entered."""
    message: str
    """A sentence for people."""
    evidence: tuple[str, ...] = ()
    """The words that show it, as they stand in a payload; before and after where there are both."""
    agent: str | None = None
    """Who is to blame, where it is an agent; of a handoff, the sender, unless the channel itself is."""
    tool: str | None = None
    """Which tool is to blame, where it is a tool."""
    key: str | None = None
    """Of a memory or a state: which key."""
    path: tuple[Step, ...] = ()
    """The way that it took from where it entered, cause first, as far as it is known."""
    wrong: tuple[str, ...] = ()
    """The words that are there and should not be, as far as they can be told from what is right."""
    right: tuple[str, ...] = ()
    """The words that should be there: in the place of the wrong ones, or that are gone."""

    @legible
    def __repr__(self) -> str:
        return f"<Finding {self.severity} {self.kind}: {self.message:.{WIDEST}}>"

    @legible
    def __str__(self) -> str:
        return f"{self.severity} {self.kind}: {self.message}"
