"""Scores the answers, not the alarms: is the first suspect where the fault was put in, and is its path the fault's?

python -m tests.faults --answers --cases 320
python -m tests.faults --answers --cases 320 --first-seed 100000      # seeds that nobody tuned to

The true path is no opinion: it is what differs between the faulty run and its clean twin of the same seed. A turn
carried the fault if what it gave differs from what the same turn gave in the clean run; a model's call belongs to the
turn around it. Where the twin shows that the fault went nowhere (an older message that came late changes no content, a tool
that was run twice answers the same) no path is scored, and the table says of how many it was.

Of a fault that no single run shows (`wrong value of a tool`), the wrong words are given, as a user gives them.

Two further suites: two faults of different kinds in one run, both of which must be named; and a fault that was put
right before the output, which must be told as contained and blamed on nobody.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.faults.app import App
from tests.faults.case import Fault, Framework, Label, Variant
from tests.faults.edits import spoilt, with_value
from tests.faults.plan import Plan
from tests.faults.scoring import share, wilson
from tests.faults.world import World

import becausal
from becausal.comparison import Comparison, compare
from becausal.rootcause import Suspect, contained
from becausal.run import Run
from becausal.step import Step

__all__ = ["Answered", "Masked", "Twofold", "answered", "masked", "summary", "twofold"]


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
    truth = _true_path(compare(runs["clean"], run), run, sites)
    precision = recall = None
    if len(truth) > 1:
        said = _turns(run, suspects[0].path) if suspects else frozenset()
        precision = len(said & truth) / len(said) if said else 0.0
        recall = len(said & truth) / len(truth)
    return Answered(
        fault,
        seed,
        framework,
        sum(run.step(name).kind == "agent" for name in truth),
        rank,
        bool(suspects) and _is_whose(suspects[0], label),
        precision,
        recall,
        len(runs["clean"].root_cause()) + len(runs["sham"].root_cause()),
        tuple(map(str, suspects)),
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
    return _turns(run, [run.step(name) for name in corrupt if name in after])


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


# -- two faults at once


@dataclass(frozen=True)
class Twofold:
    """A run with two faults that know nothing of each other."""

    seed: int
    framework: Framework
    named: tuple[bool, bool]
    """Whether each is the step of a suspect."""
    suspects: int
    said: tuple[str, ...]


def twofold(seed: int, framework: Framework) -> Twofold:
    """Put an invented figure and a value changed on its way into one run, in agents of their own."""
    world = World.of(seed, "M1")
    app = App.of(world, Plan.of(world.rng, depth=world.rng.randint(4, 8)), is_record=False)
    inventor, sender = world.rng.sample(app.plan.agents[:-1], 2)
    name = world.pick("budget", "deadline", "order", "quantity")
    made_up = f"\nReference: QY-{world.rng.randint(10417, 98127)}"
    app.meddler.said = lambda who, text: text + made_up if who == inventor else text
    app.meddler.sent = lambda who, sent: (
        with_value(sent, name, lambda value: spoilt(name, value, random.Random(seed)))
        if who == sender
        else sent
    )
    app.run(framework)
    run = becausal.last_run()
    suspects = run.root_cause()
    invents = {s.id for s in run.steps if s.kind in ("agent", "model") and _plain(s.agent) == inventor}
    ways = {h.id for h in run.handoffs if _plain(h.sender) == sender}
    named = tuple(any(one.step.id in sites for one in suspects) for sites in (invents, ways))
    return Twofold(seed, framework, (named[0], named[1]), len(suspects), tuple(map(str, suspects)))


# -- a fault that was put right


@dataclass(frozen=True)
class Masked:
    """A run with a fault that did not come into the output."""

    seed: int
    framework: Framework
    is_unblamed: bool
    is_told: bool
    """Whether it is told as contained."""
    said: tuple[str, ...]


def masked(seed: int, framework: Framework) -> Masked:
    """Change a value on its way into one branch, and let the one who joins the branches believe the other one."""
    world = World.of(seed, "M2")
    app = App.of(world, Plan.of(world.rng, "diamond"), is_record=False)
    first = app.plan.first
    left, right = app.plan.heard_by(first)
    name = world.pick("budget", "deadline", "order", "quantity")
    joins = app.plan.heard_by(left)[0]
    right_values = world.asked

    def said(who: str, text: str) -> str:
        # Whoever joins goes by the request: what the branches say differently is put right.
        return with_value_of(text, name, right_values[name]) if who == joins else text

    app.meddler.said = said
    app.meddler.sent = lambda who, sent: (
        with_value(sent, name, lambda value: spoilt(name, value, random.Random(seed)))
        if who == left
        else sent
    )
    app.run(framework)
    run = becausal.last_run()
    ways = {h.id for h in run.handoffs if _plain(h.sender) == left}
    suspects, told = run.root_cause(), contained(run)
    return Masked(
        seed,
        framework,
        not any(one.step.id in ways for one in suspects),
        any(one.step.id in ways for one in told),
        tuple(map(str, suspects)),
    )


def with_value_of(text: str, name: str, value: object) -> str:
    """Return a text with the right value in the place of a wrong one."""
    made = with_value(text, name, lambda _: value)  # type: ignore[arg-type,return-value]
    return made if isinstance(made, str) else text


def _plain(name: str | None) -> str:
    return (name or "").partition("/")[0]


# -- the table


def summary(rows: Sequence[Answered], twos: Sequence[Twofold], covered: Sequence[Masked]) -> str:
    """Return the printed table."""
    head = f"{'fault':<58}{'n':>4} {'Hit@1':>6} {'Hit@3':>6} {'whose':>6} {'path F1':>8} {'of':>4}"
    lines = [head, "-" * len(head)]
    for fault in sorted({row.fault for row in rows}, key=lambda fault: fault.id):
        lines.append(
            f"{fault.id + ' ' + fault.name:<58.58}{_row([row for row in rows if row.fault is fault])}"
        )
    lines.append("-" * len(head))
    for framework in ("langgraph", "autogen"):
        lines.append(f"{framework:<58}{_row([row for row in rows if row.framework == framework])}")
    for depth in range(1, 9):
        deep = [row for row in rows if row.depth == depth]
        if deep:
            lines.append(f"{f'{depth} turns carried it':<58}{_row(deep)}")
    lines += [f"{'all':<58}{_row(rows)}", ""]
    measures: list[tuple[str, Sequence[object], Callable[[object], bool]]] = [
        ("root cause Hit@1", rows, lambda row: isinstance(row, Answered) and row.rank == 1),
        (
            "nobody suspected in clean and sham",
            rows,
            lambda row: isinstance(row, Answered) and not row.clean_suspects,
        ),
        ("of two roots both named", twos, lambda row: isinstance(row, Twofold) and all(row.named)),
        ("masked fault not blamed", covered, lambda row: isinstance(row, Masked) and row.is_unblamed),
        ("masked fault told as contained", covered, lambda row: isinstance(row, Masked) and row.is_told),
    ]
    for name, of, is_so in measures:
        hits = sum(map(is_so, of))
        low, high = wilson(hits, len(of))
        if of:
            lines.append(
                f"{name:<36} {hits:>5} of {len(of):<5} {hits / len(of):6.1%}  [{low:.1%}, {high:.1%}]"
            )
    scored = [row.f1 for row in rows if row.f1 is not None]
    if scored:
        lines.append(
            f"{'path F1, mean of the cases scored':<36} {sum(scored) / len(scored):.3f} of {len(scored)}"
        )
    return "\n".join(lines)


def _row(rows: Sequence[Answered]) -> str:
    scored = [row.f1 for row in rows if row.f1 is not None]
    f1 = f"{sum(scored) / len(scored):>8.3f}" if scored else f"{'-':>8}"
    return (
        (
            f"{len(rows):>4} {share(rows, lambda r: r.rank == 1):>6.0%} "
            f"{share(rows, lambda r: r.rank is not None and r.rank <= 3):>6.0%} "
            f"{share(rows, lambda r: r.is_party_right):>6.0%} {f1} {len(scored):>4}"
        )
        if rows
        else ""
    )
