"""Who brought in a text that somebody knows to be wrong: no finding is needed for that."""

from __future__ import annotations

from collections.abc import Sequence

from becausal import blame as blaming
from becausal.answers.recorded import Recorded
from becausal.answers.rootcause.party import in_words
from becausal.answers.rootcause.suspect import Suspect
from becausal.handoff import Handoff
from becausal.step import Step

__all__ = ["by_text"]


def by_text(run: Recorded, text: str, of: Step | Handoff | str | None) -> list[Suspect]:
    """Return the steps that brought a text in, those first that brought in more of it."""
    segments = [one for one in blaming.blame(run.graph, text, of=of).segments if one.origin is not None]
    found: dict[str, list[tuple[blaming.Segment, float]]] = {}
    steps: dict[str, Step] = {}
    for segment in segments:
        assert segment.origin is not None
        all_of_them = (segment.origin, *segment.candidates)
        for step in all_of_them:
            steps[step.id] = step
            found.setdefault(step.id, []).append((segment, 1 / len(all_of_them) / len(segments)))
    suspects = [_bringer(run, steps[name], rows) for name, rows in found.items()]
    return sorted(suspects, key=lambda suspect: (-suspect.score, suspect.step.seq))


def _bringer(run: Recorded, step: Step, rows: Sequence[tuple[blaming.Segment, float]]) -> Suspect:
    ways = [segment.path for segment, _ in rows if segment.path and segment.path[0].id == step.id]
    path = max(ways, key=len, default=[step])
    findings = tuple(finding for finding in run.findings if finding.step.id == step.id)
    tool = step.name if step.kind == "tool" else None
    agent = None if tool or step.kind == "handoff" else step.agent
    segment = rows[0][0]
    decisions = {(one.step.id, one.conclusion): one for one in (*segment.asked_by, *segment.decisions)}
    return Suspect(
        step=step,
        agent=agent,
        tool=tool,
        score=sum(share for _, share in rows),
        path=tuple(dict.fromkeys(path)),
        findings=findings,
        evidence=tuple(f"{one.text} came in here ({one.source}, {one.grade})" for one, _ in rows),
        decisions=tuple(decisions.values()),
        who="the user" if segment.source == "user" else in_words(step, agent, tool),
    )
