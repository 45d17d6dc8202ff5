"""Scores the answers, not the alarms: is the first suspect where the fault was put in, and is its path the fault's?

python -m tests.faults --answers --cases 320
python -m tests.faults --answers --cases 320 --first-seed 100000      # seeds that nobody tuned to

The true path is no opinion: it is what differs between the faulty run and its clean twin of the same seed. A turn
carried the fault if what it gave differs from what the same turn gave in the clean run; a model's call belongs to the
turn around it. Where the twin shows that the fault went nowhere (an older message that came late changes no content, a
tool that was run twice answers the same) no path is scored, and the table says of how many it was. Where the twin's
last turn gave the same, the fault was put right on its way: to tell it as contained, and to blame nobody, is right too.

Of a fault that no single run shows (`wrong value of a tool`), the wrong words are given, as a user gives them.

Of several faults in one run (`tests.faults.composites`) all must be named; one that was put right before the output
must be blamed on nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.faults.case import Fault, Framework, Label, Variant
from tests.faults.composites import Composite
from tests.faults.scoring import wilson
from tests.faults.world import World

import becausal
from becausal.answers.comparison import Comparison, compare
from becausal.answers.rootcause import Suspect, contained
from becausal.run import Run
from becausal.step import Step

__all__ = ["Answered", "Composed", "answered", "composed", "summary"]


@dataclass(frozen=True)
class Answered:
    """What becausal answered for one case."""

    fault: Fault
    seed: int
    framework: Framework
    depth: int
    """How many turns of the true path come after where the fault entered; 0 where no path is scored."""
    rank: int | None
    """Of the first right suspect, from 1; None where none is right."""
    is_party_right: bool
    precision: float | None
    """Of the path's turns, how many carried the fault; None where no path is scored."""
    recall: float | None
    """Of the turns that carried the fault, how many are on the path."""
    clean_suspects: int
    """How many are suspected of anything in the clean run, and how many in the sham."""
    said: tuple[str, ...]
    is_told_contained: bool = False
    """Whether it was put right on its way, as the twin shows, and is told so, with nobody blamed: a right answer."""

    @property
    def is_right(self) -> bool:
        """Whether the first suspect is where it was put in, or it is rightly told as contained."""
        return self.rank == 1 or self.is_told_contained

    @property
    def f1(self) -> float | None:
        """Of the path."""
        if self.precision is None or self.recall is None:
            return None
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def answered(fault: Fault, seed: int, framework: Framework) -> Answered:
    """Play a case and score what becausal answers of it."""
    runs: dict[Variant, Run] = {}
    for variant in ("clean", "sham", "faulty"):
        label = fault.play(World.of(seed, fault.id), variant, framework)
        runs[variant] = becausal.last_run()
    run = runs["faulty"]
    suspects = _asked(run, label)
    sites = {step.id for site in label.sites for step in site.steps(run)}
    rank = next((i for i, one in enumerate(suspects, 1) if _is_at(one, sites)), None)
    compared = compare(runs["clean"], run)
    truth = _true_path(compared, run, sites)
    is_told = (
        not suspects and _is_put_right(compared, run) and any(_is_at(one, sites) for one in contained(run))
    )
    precision = recall = None
    if truth and not is_told:
        said = _as_one_place(_turns(run, suspects[0].path), sites) if suspects else frozenset()
        precision = len(said & truth) / len(said) if said else 0.0
        recall = len(said & truth) / len(truth)
    return Answered(
        fault,
        seed,
        framework,
        sum(name != _PLACE and run.step(name).kind == "agent" for name in truth),
        rank,
        is_told or (bool(suspects) and _is_whose(suspects[0], label)),
        precision,
        recall,
        len(runs["clean"].root_cause()) + len(runs["sham"].root_cause()),
        tuple(map(str, suspects)),
        is_told,
    )


def _is_put_right(compared: Comparison, run: Run) -> bool:
    """Say whether the last turn that gave anything gave the same as in the clean run."""
    gave = [
        step
        for step in run.steps
        if step.kind == "agent" and step.produced is not None and run.graph.children(step)
    ]
    return (
        bool(gave)
        and compared.pair(gave[-1]).state != "appeared"
        and not any(
            compared.pair(inner).differs("produced") for inner in (gave[-1], *run.graph.children(gave[-1]))
        )
    )


def _asked(run: Run, label: Label) -> list[Suspect]:
    if label.value is None:
        return run.root_cause()
    of = label.of.steps(run) if label.of is not None else []
    return run.root_cause(of[-1] if of else None, text=label.value)


def _is_at(suspect: Suspect, sites: set[str]) -> bool:
    return suspect.step.id in sites


def _is_whose(suspect: Suspect, label: Label) -> bool:
    if label.is_channel:
        return suspect.agent is None and suspect.tool is None
    agent = (suspect.agent or "").partition("/")[0]
    if label.agent is not None and agent not in label.agent.split("|"):
        return False
    return label.tool is None or suspect.tool == label.tool


# -- the true path


def _true_path(compared: Comparison, run: Run, sites: set[str]) -> frozenset[str]:
    """Return the ids of the turns, calls and handoffs that truly carried the fault; none where the twin shows nothing.

    A handoff carried it if what was sent differs, or arrived otherwise than it was sent; not because a shared state
    that arrived with it differs elsewhere.
    """
    corrupt = {
        pair.after.id
        for pair in compared.pairs
        if pair.after is not None
        and _gave_other(pair.differs("received"), pair.differs("produced"), pair.after, sites)
    }
    if not corrupt & sites:
        return frozenset()
    after = {step.id for site in corrupt & sites for step in (run.step(site), *run.graph.downstream(site))}
    carried = _turns(run, [run.step(name) for name in corrupt if name in after])
    # All that may stand for where it was put in is one place; and a state that was put out whole shows all notes.
    others = [name for name in carried - sites if name not in {root.id for root in run.graph.roots}]
    return _as_one_place(carried, sites) if others else frozenset()


def _as_one_place(steps: frozenset[str], sites: set[str]) -> frozenset[str]:
    return frozenset(_PLACE if name in sites else name for name in steps)


_PLACE = "where it was put in"


def _gave_other(received: bool, produced: bool, step: Step, sites: set[str]) -> bool:
    if step.kind == "handoff":
        return received or (step.id in sites and produced)
    return produced or (step.kind == "memory_write" and received)


def _turns(run: Run, steps: Sequence[Step]) -> frozenset[str]:
    """Return the ids of steps; of a model's call and a route, of the turn around it."""
    found: set[str] = set()
    for step in steps:
        parent = run.graph.parent(step)
        is_inner = step.kind in ("model", "route", "plan") and parent is not None and parent.kind == "agent"
        if step.kind == "route":
            continue
        found.add(parent.id if is_inner and parent is not None else step.id)
    return frozenset(found)


# -- several faults at once, and faults that were put right


@dataclass(frozen=True)
class Composed:
    """What becausal answered for a run with several faults, or with one that was put right."""

    id: str
    seed: int
    framework: Framework
    is_contained: bool
    named: int
    """How many of its roots are the step of a suspect."""
    of: int
    suspects: int
    is_told: bool
    """Whether a root is told as contained."""
    said: tuple[str, ...]

    @property
    def is_right(self) -> bool:
        """Whether every root is named; of a fault that was put right, whether nobody is blamed for it."""
        return self.named == 0 if self.is_contained else self.named == self.of


def composed(kind: Composite, seed: int, framework: Framework) -> Composed:
    """Play a composite with its faults and score what becausal answers of it."""
    labels = kind.play(World.of(seed, kind.id), "faulty", framework)
    run = becausal.last_run()
    suspects, put_right = run.root_cause(), contained(run)
    places = [{step.id for site in label.sites for step in site.steps(run)} for label in labels]
    return Composed(
        kind.id,
        seed,
        framework,
        kind.is_contained,
        sum(any(_is_at(one, sites) for one in suspects) for sites in places),
        len(labels),
        len(suspects),
        any(_is_at(one, sites) for one in put_right for sites in places),
        tuple(map(str, suspects)),
    )


# -- the table


def summary(rows: Sequence[Answered], others: Sequence[Composed]) -> str:
    """Return the printed table."""
    head = f"{'fault':<58}{'n':>4} {'Hit@1':>6} {'Hit@3':>6} {'whose':>6} {'path F1':>8} {'of':>4}"
    lines = [head, "-" * len(head)]
    kinds = sorted({row.fault for row in rows}, key=lambda fault: fault.id)
    lines += [
        f"{kind.id + ' ' + kind.name:<58.58}{_row([row for row in rows if row.fault is kind])}"
        for kind in kinds
    ]
    lines.append("-" * len(head))
    lines += [
        f"{framework:<58}{_row([row for row in rows if row.framework == framework])}"
        for framework in ("langgraph", "autogen")
    ]
    for depth in range(1, 9):
        deep = [row for row in rows if row.depth == depth]
        if deep:
            lines.append(f"{f'{depth} turns carried it':<58}{_row(deep)}")
    lines += [f"{'all':<58}{_row(rows)}", ""]
    lines += [
        _share("root cause Hit@1", [row.is_right for row in rows]),
        _share("who is to blame", [row.is_party_right for row in rows]),
        _share("nobody suspected in clean and sham", [not row.clean_suspects for row in rows]),
        _share("of several roots all named", [one.is_right for one in others if not one.is_contained]),
        _share("masked fault not blamed", [one.is_right for one in others if one.is_contained]),
        _share("masked fault told as contained", [one.is_told for one in others if one.is_contained]),
    ]
    told = sum(row.is_told_contained for row in rows)
    if told:
        lines.append(f"  of these told as contained, as the twin shows they were: {told}")
    scored = [row.f1 for row in rows if row.f1 is not None]
    if scored:
        lines.append(
            f"{'path F1, mean of the cases scored':<36} {sum(scored) / len(scored):.3f} of {len(scored)}"
        )
    return "\n".join(lines)


def _share(name: str, rows: Sequence[bool]) -> str:
    if not rows:
        return f"{name:<36} {'-':>5}"
    low, high = wilson(sum(rows), len(rows))
    return (
        f"{name:<36} {sum(rows):>5} of {len(rows):<5} {sum(rows) / len(rows):6.1%}  [{low:.1%}, {high:.1%}]"
    )


def _row(rows: Sequence[Answered]) -> str:
    if not rows:
        return ""
    scored = [row.f1 for row in rows if row.f1 is not None]
    f1 = f"{sum(scored) / len(scored):>8.3f}" if scored else f"{'-':>8}"
    counts = (
        sum(row.is_right for row in rows),
        sum(row.is_right or (row.rank or 9) <= 3 for row in rows),
        sum(row.is_party_right for row in rows),
    )
    return (
        f"{len(rows):>4} "
        + " ".join(f"{count / len(rows):>6.0%}" for count in counts)
        + f" {f1} {len(scored):>4}"
    )
