"""What is wrong in a loaded run, with the evidence. Nothing here runs while the app does.

Each judge takes the scene and yields its findings; a judge of something else is a line in `JUDGES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from becausal.facts import remembering
from becausal.finding import SEVERITIES, Finding, FindingKind
from becausal.findings.anomaly import anomalies
from becausal.findings.confidence import of_confidence
from becausal.findings.containment import with_containment
from becausal.findings.contamination import contaminated
from becausal.findings.contract import of_contracts, told_once
from becausal.findings.delivery import of_deliveries
from becausal.findings.drift import of_drift
from becausal.findings.failure import of_failures
from becausal.findings.grounding import of_grounding
from becausal.findings.handoff import of_handoffs
from becausal.findings.memory import of_memory
from becausal.findings.rewriting import of_rewriting
from becausal.findings.scene import Scene
from becausal.findings.structure import of_structure
from becausal.findings.tools import of_tools
from becausal.graph import Graph
from becausal.handoff import Handoff

__all__ = ["UNSEEN_IN_A_PART", "find", "place"]

JUDGES: Final[tuple[Callable[[Scene], Iterable[Finding]], ...]] = (
    of_deliveries,
    of_handoffs,
    of_rewriting,
    of_contracts,
    of_tools,
    of_memory,
    of_confidence,
    of_drift,
    of_grounding,
    of_structure,
    of_failures,
)

JUDGES_OF_A_PART: Final[tuple[Callable[[Scene], Iterable[Finding]], ...]] = (
    of_handoffs,
    of_contracts,
    of_tools,
    of_memory,
    of_confidence,
    of_failures,
)
"""Those whose evidence is what is there. That something was never said, or came to nobody, takes the whole run."""

OF_THE_WHOLE: Final = frozenset[FindingKind](("handoff.injected", "handoff.lost"))

UNSEEN_IN_A_PART: Final[tuple[FindingKind, ...]] = (
    "handoff.lost",
    "handoff.misrouted",
    "handoff.injected",
    "drift.lost_fact",
    "drift.changed_fact",
    "model.ungrounded",
    "context.evicted",
    "chain.orphaned",
    "path.loop",
)
"""What no judge of a part can find: a part without findings says nothing of these."""


def find(
    graph: Graph, handoffs: Sequence[Handoff], judges: Sequence[Callable[[Scene], Iterable[Finding]]] = JUDGES
) -> tuple[Finding, ...]:
    """Return a run's findings, in the order in which they entered; the worst first where they entered at once."""
    scene = Scene(graph, handoffs)
    if graph.part is not None:
        return _of_a_part(scene)
    with remembering(graph.kept):
        found = told_once([finding for judge in judges for finding in judge(scene)])
        # One fault of one step, seen by each of its receivers, is told once.
        found += contaminated(scene, found)
        found += anomalies(scene, found)
    found = with_containment(scene, found)
    return _in_order(found)


def _of_a_part(scene: Scene) -> tuple[Finding, ...]:
    with remembering(scene.graph.kept):
        found = told_once([finding for judge in JUDGES_OF_A_PART for finding in judge(scene)])
        found += contaminated(scene, found)
    return _in_order([finding for finding in found if finding.kind not in OF_THE_WHOLE])


def _in_order(found: Sequence[Finding]) -> tuple[Finding, ...]:
    once = {(f.kind, f.step.id, f.key, f.evidence): f for f in reversed(found)}
    return tuple(sorted(once.values(), key=place))


def place(finding: Finding) -> tuple[int, int, float, str]:
    """Return by what findings are put in order."""
    return finding.step.seq, -SEVERITIES.index(finding.severity), -finding.confidence, finding.kind
