"""What the request said and a step on the way lost, or made something else of.

Not every answer repeats the request. A fact of it counts as lost where a step that passed most of them on left this one
out, and nobody after that step could know it from elsewhere; as changed where something else stands in its place, and
went on from there.

Whatever else a step was told may turn into something new by its work: a total, a price with tax. Only a slip is told
of that: another digit, two of them swapped, a zero too many, the same figure in another unit, an identifier that
differs in a letter, where nothing said so before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from becausal.facts import Fact, added, changed, missing
from becausal.finding import Finding, FindingKind
from becausal.findings.scene import Scene, Stated
from becausal.findings.way import way_to_output
from becausal.payload import Payload
from becausal.step import Step

__all__ = ["is_slip", "of_drift"]

PINNED: Final = frozenset(
    ("limit", "rule", "money", "date", "id", "quantity", "percent", "email", "url", "duration")
)
"""Kinds of facts that a request means to be kept."""

MOST_TURNS: Final = 500
WORDS: Final = frozenset(("rule", "quote", "name", "term", "code", "url", "email"))
MOST_EDITS: Final = 1
ENOUGH_EDITS: Final = 3
FEWEST_DIGITS: Final = 3
"""A figure of fewer digits turns into another one too easily."""


def of_drift(scene: Scene) -> Iterator[Finding]:
    """Yield which facts of the request got lost, or were changed, and where."""
    asked = _request(scene)
    every = [step for step in scene.graph.nodes if step.kind == "agent"]
    turns = [step for step in every if step.id in scene.leads_to_output]
    if len(turns) < 2:  # what the run put out came some way that was not seen
        turns = every
    # Who waited for somebody's word has it from outside: an edit, an approval.
    waited = {edge.target.id for edge in scene.graph.edges if edge.kind == "resume"}
    if len(turns) > MOST_TURNS:
        return
    heard = {step.id: _heard(scene, step) for step in turns}
    said = {step.id: _said(scene, step) for step in turns}
    told: set[object] = set()
    for turn in turns[:-1] if asked else ():
        if turn.id in waited:
            continue
        later = [step for step in turns if step.seq > turn.seq]
        known = [fact for fact in asked if not _lacking([fact], heard[turn.id])]
        lost = _lacking(known, said[turn.id])
        for before, after in changed(known, said[turn.id][0], text=said[turn.id][1]):
            if not _lacking([after], heard[turn.id]):
                continue  # it had stood beside it
            if before.key not in told and _is_gone(before, later, heard) and _went_on(after, later, heard):
                told.add(before.key)
                yield _finding(scene, turn, "drift.changed_fact", before, after)
        if not known or len(lost) * 2 > len(known):
            continue  # it passed other things on, not the request
        for fact in lost:
            if fact.key not in told and _is_gone(fact, later, heard):
                told.add(fact.key)
                other = _instead(fact, lost, heard[turn.id], said[turn.id])
                if other is not None and _went_on(other, later, heard):
                    told.add(other.key)
                    yield _finding(scene, turn, "drift.changed_fact", fact, other)
                else:
                    yield _finding(scene, turn, "drift.lost_fact", fact, None)
    for turn in turns:
        if turn.id in waited:
            continue
        for before, after in _slips(scene, turn, heard[turn.id], said[turn.id]):
            earlier = [step for step in turns if step.seq < turn.seq]
            was_known = any(_went_on(after, earlier, stated) for stated in (heard, said))
            if not was_known and before.key not in told and after.key not in told:
                told.update((before.key, after.key))
                yield _finding(scene, turn, "drift.changed_fact", before, after)


def _heard(scene: Scene, turn: Step) -> Stated:
    """Return what a turn was told: what its models were shown; of a turn without any, what it received.

    A shared state hands everything to everybody; what an agent works from is what it asks its model with.
    """
    shown = [child.received for child in scene.graph.children(turn) if child.kind == "model"]
    return _together(scene, shown or [turn.received])


def _said(scene: Scene, turn: Step) -> Stated:
    """Return what a turn told others: what it produced, and what it sent before it was over."""
    sent = {handoff.sent.digest: handoff.sent for handoff in scene.sent_by.get(turn.id, ()) if handoff.sent}
    if turn.produced is not None:
        sent.setdefault(turn.produced.digest, turn.produced)
    return _together(scene, list(sent.values()))


def _together(scene: Scene, payloads: Sequence[Payload | None]) -> Stated:
    rows = [scene.stated(payload) for payload in payloads]
    if len(rows) == 1:
        return rows[0]
    return tuple(fact for stated, _ in rows for fact in stated), "\n".join(text for _, text in rows)


def _request(scene: Scene) -> tuple[Fact, ...]:
    root = next(iter(scene.graph.roots), None)
    return () if root is None else tuple(fact for fact in scene.stated(root.received)[0] if _is_pinned(fact))


def _instead(fact: Fact, lost: Sequence[Fact], heard: Stated, said: Stated) -> Fact | None:
    """Return what stands in place of a fact whatever the words around it: the one new fact of the one kind lost."""
    new = [one for one in added(heard[0], said[0], text=heard[1]) if one.kind == fact.kind]
    is_only = sum(one.kind == fact.kind for one in lost) == 1
    return new[0] if is_only and len(new) == 1 else None


def _is_pinned(fact: Fact) -> bool:
    """Return whether a request means a fact to be kept: a number too, unless it is so small that it counts steps."""
    value: Any = fact.value
    return fact.kind in PINNED or (fact.kind == "number" and abs(value) >= 10 ** (FEWEST_DIGITS - 1))


def _lacking(wanted: Sequence[Fact], stated: Stated) -> tuple[Fact, ...]:
    return missing(wanted, stated[0], text=stated[1])


def _is_gone(fact: Fact, later: Sequence[Step], heard: Mapping[str, Stated]) -> bool:
    """Return whether nobody who came later was told of a fact, by whomever."""
    return bool(later) and all(_lacking([fact], heard[step.id]) for step in later)


def _went_on(fact: Fact, later: Sequence[Step], heard: Mapping[str, Stated]) -> bool:
    return any(not _lacking([fact], heard[step.id]) for step in later)


def _slips(scene: Scene, turn: Step, heard: Stated, said: Stated) -> Iterator[tuple[Fact, Fact]]:
    for before, after in changed(heard[0], said[0], text=said[1]):
        if is_slip(before, after) and not _was_heard_inside(scene, turn, after):
            yield before, after


def _was_heard_inside(scene: Scene, turn: Step, fact: Fact) -> bool:
    """Return whether a tool, a memory or another agent told it within the turn."""
    inner = [step for step in scene.graph.children(turn) if step.kind not in ("model", "handoff", "route")]
    return any(not _lacking([fact], scene.stated(step.produced)) for step in inner)


def is_slip(before: Fact, after: Fact) -> bool:
    """Return whether one fact is another one miscopied."""
    mine, its = _copied(before), _copied(after)
    if before.kind == after.kind and before.kind in ("id", "url", "email"):
        return _edits(mine, its) <= MOST_EDITS and len(mine) > 2
    digits, others = re.sub(r"\D", "", mine), re.sub(r"\D", "", its)
    if not digits or not others or before.kind in WORDS:
        return False
    if digits == others:  # the same figure, of something else
        return before.key != after.key and before.kind in ("money", "quantity", "percent", "duration")
    if len(digits) < FEWEST_DIGITS:
        return False
    return (
        digits.rstrip("0") == others.rstrip("0")
        or sorted(digits) == sorted(others)
        or _edits(digits, others) == 1
    )


def _copied(fact: Fact) -> str:
    return fact.text.casefold()


def _edits(one: str, other: str) -> int:
    """Return how many characters were put in, taken out, exchanged or swapped with their neighbour, up to three."""
    if abs(len(one) - len(other)) >= ENOUGH_EDITS:
        return ENOUGH_EDITS
    rows = [list(range(len(other) + 1))]
    for i, char in enumerate(one, 1):
        row = [i]
        for j, its in enumerate(other, 1):
            cost = min(rows[-1][j] + 1, row[j - 1] + 1, rows[-1][j - 1] + (char != its))
            if i > 1 and j > 1 and char == other[j - 2] and one[i - 2] == its:
                cost = min(cost, rows[-2][j - 2] + 1)
            row.append(cost)
        rows.append(row)
    return min(rows[-1][-1], ENOUGH_EDITS)


def _finding(scene: Scene, step: Step, kind: FindingKind, before: Fact, after: Fact | None) -> Finding:
    way = way_to_output(scene.graph, step)
    who = step.agent or step.name
    return Finding(
        kind=kind,
        severity="error" if len(way) > 1 else "warning",
        confidence=0.8,
        step=step,
        message=(
            f"{before.text!r} of the request is lost: {who} was told and did not pass it on"
            if after is None
            else f"{before.text!r} became {after.text!r} with {who}"
        ),
        evidence=(before.text,) if after is None else (before.text, after.text),
        agent=step.agent,
        path=way,
    )
