"""What blame says of a run, against what was planted in it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.provenance.case import Case
from tests.provenance.plants import KINDS, Plant, PlantKind

from becausal.blame import Segment
from becausal.run import Run

__all__ = ["Score", "judged", "table"]


@dataclass
class Score:
    """Counts of one kind of plants."""

    planted: int = 0
    told: int = 0
    """Of those planted, those of which blame names an origin."""
    right: int = 0
    innocent: int = 0
    """Of those that nobody gave, those that a tool, a memory or the user is named for."""
    claims: int = 0
    """Figures that are said to be derived, wherever they stand."""
    wrong_claims: int = 0
    misses: list[str] = field(default_factory=list)


def judged(case: Case, run: Run, scores: Mapping[PlantKind, Score], *, how: str) -> None:
    """Add what blame says of a case."""
    text = run.output.text() if run.output is not None else ""
    last = len(case.agents) - 1
    said = run.blame().segments
    everything = _of_the_last(said, case, how)
    for one in case.plants:
        form = one.form(last)
        if one.first > last or (form not in text and json.dumps(form)[1:-1] not in text):
            continue  # it was lost on the way: the app's doing, not blame's
        score = scores[one.kind]
        score.planted += 1
        # What was said before in the same words is told there, once.
        found = _covering(everything, form) or _covering(said, form)
        if found is None or found.origin is None:
            score.misses.append(f"{how} seed {case.seed}: {form!r} not told")
            continue
        score.told += 1
        if _is_right(one, found, case):
            score.right += 1
        else:
            says = f"{found.source} {found.origin.name} {found.derived and found.derived.how} ({found.text[:60]!r})"
            score.misses.append(
                f"{how} seed {case.seed}: {one.kind} {form!r} of {one.source} {one.origin}: {says}"
            )
        if one.kind in ("invented", "computed") and found.source in ("tool", "user", "memory"):
            score.innocent += 1
    true = {one.form(last) for one in case.plants if one.kind == "derived"}
    for segment in everything:
        if segment.derived is not None:
            scores["derived"].claims += 1
            if not any(form in segment.text or segment.text in form for form in true):
                scores["derived"].wrong_claims += 1
                sure = "sure" if segment.derived.is_sure else "unsure"
                scores["derived"].misses.append(
                    f"{how} seed {case.seed}: {segment.text!r} said to be a {segment.derived.how} ({sure}) of "
                    f"{[operand.text for operand in segment.derived.operands]}"
                )


def _of_the_last(segments: Sequence[Segment], case: Case, how: str) -> list[Segment]:
    """Return the segments of what the last agent said, where an output holds what others said, too."""
    if how == "langgraph":
        return [
            segment
            for segment in segments
            if segment.at == f"$.{case.agents[-1]}_note" or _under(segment, case)
        ]
    if how == "autogen":
        last = max(
            (segment.at.split("]")[0] for segment in segments), key=lambda at: (len(at), at), default=""
        )
        return [segment for segment in segments if segment.at.startswith(last)]
    return list(segments)


def _under(segment: Segment, case: Case) -> bool:
    return segment.at.startswith(f"$.{case.agents[-1]}_note.")


def _covering(segments: Iterable[Segment], form: str) -> Segment | None:
    """Return the segment that says the most exactly where a text came in."""
    near = [
        segment
        for segment in segments
        if form in segment.text or (segment.text in form and len(segment.text) >= 0.6 * len(form))
    ]
    return min(
        near, key=lambda segment: (abs(len(segment.text) - len(form)), segment.derived is None), default=None
    )


def _is_right(one: Plant, found: Segment, case: Case) -> bool:
    assert found.origin is not None
    agent = case.agents[one.first]
    if one.kind == "derived":
        if found.origin.agent != agent or found.derived is None:
            return False
        names = {operand.origin.name for operand in found.derived.operands if operand.origin is not None}
        texts = {operand.text for operand in found.derived.operands}
        return names == {one.origin} and set(one.operands) <= texts
    if one.source in ("model", "agent"):
        return found.source == one.source and found.origin.agent == agent and found.derived is None
    if one.source == "tool":
        return found.source == "tool" and found.origin.name == one.origin
    return found.source == one.source


def table(scores: Mapping[PlantKind, Score], *, most_misses: int = 0) -> str:
    """Return the scores as a table."""
    lines = [f"{'kind':<14}{'planted':>9}{'told':>7}{'right':>7}{'precision':>11}{'recall':>9}"]
    for kind in KINDS:
        score = scores[kind]
        told = score.told + (score.wrong_claims if kind == "derived" else 0)
        precision = score.right / told if told else 1.0
        recall = score.right / score.planted if score.planted else 1.0
        lines.append(f"{kind:<14}{score.planted:>9}{told:>7}{score.right:>7}{precision:>11.3f}{recall:>9.3f}")
    innocent = sum(scores[kind].innocent for kind in ("invented", "computed"))
    lines.append(f"\ninvented or computed, given to an innocent tool, user or memory: {innocent}")
    lines.append(f"derived, said of figures that were not: {scores['derived'].wrong_claims}")
    misses: Sequence[str] = [miss for score in scores.values() for miss in score.misses]
    return "\n".join([*lines, *misses[:most_misses]])
