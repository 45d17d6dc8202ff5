"""Faults that come together, scored apart: two roots at once, one that somebody put right, one during a retry."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tests.faults.app import App
from tests.faults.case import Framework, Label, Site, Variant
from tests.faults.edits import in_text, spoilt
from tests.faults.kinds_models import of_agent
from tests.faults.kinds_tools import TOOL, of_tool, wrapped
from tests.faults.plan import Plan
from tests.faults.playing import alarms
from tests.faults.world import World

import becausal
from becausal.finding import Finding, FindingKind
from becausal.run import Run

__all__ = ["COMPOSITES", "Composite", "Judged", "judge", "play"]

Labels = tuple[Label, ...]
Play = Callable[[World, Variant, Framework], Labels]


@dataclass(frozen=True)
class Composite:
    """Several faults of one run, and what is to be said of them."""

    id: str
    name: str
    expected: tuple[tuple[FindingKind, ...], ...]
    """For each label the kinds that are right; none where no alarm is due."""
    play: Play = field(compare=False)
    is_contained: bool = False
    """Whether nothing of it reaches the output: then it is told as a note, or not at all."""


COMPOSITES: Final[dict[str, Composite]] = {}


def composite(
    id: str, name: str, *expected: tuple[FindingKind, ...], is_contained: bool = False
) -> Callable[[Play], Play]:
    """Put a composite into the table."""

    def kept(play: Play) -> Play:
        COMPOSITES[id] = Composite(id, name, expected, play, is_contained)
        return play

    return kept


@composite(
    "M1a", "an error told as data, and a value from nowhere", ("tool.error_as_data",), ("model.ungrounded",)
)
def two_roots(world: World, variant: Variant, framework: Framework) -> Labels:
    plan = Plan.of(world.rng, "chain", depth=world.rng.randint(4, 8))
    place = world.rng.randrange(2, len(plan.agents))
    app = App.of(world, plan, asker=plan.agents[world.rng.randrange(place - 1)], is_record=False)
    agent = plan.agents[place]
    if variant == "faulty":
        wrapped(app, lambda _, __: json.dumps({"error": "rate limit exceeded", "status": 429}))
    made_up = f"\nReference: QY-{world.rng.randint(10417, 98127)}"

    def said(who: str, text: str) -> str:
        if who != agent or variant == "clean":
            return text
        return text + made_up if variant == "faulty" else "As agreed:\n" + text

    app.meddler.said = said
    app.run(framework)
    return of_tool(), of_agent(agent)


@composite(
    "M1b", "two branches, each with a value from nowhere", ("model.ungrounded",), ("model.ungrounded",)
)
def two_branches(world: World, variant: Variant, framework: Framework) -> Labels:
    app = App.of(world, Plan.of(world.rng, "diamond"), is_record=False)
    left, right = app.plan.heard_by(app.plan.first)
    lines = {
        left: f"\nReference: QY-{world.rng.randint(10417, 98127)}",
        right: f"\nDeposit: ${world.rng.randint(15, 94)}{world.rng.randint(10, 99)}.50",
    }

    def said(who: str, text: str) -> str:
        if variant == "clean" or who not in lines:
            return text
        return text + lines[who] if variant == "faulty" else "As agreed:\n" + text

    app.meddler.said = said
    app.run(framework)
    return of_agent(left), of_agent(right)


@composite(
    "M2",
    "a wrong value that a later agent put right",
    ("drift.changed_fact", "run.anomaly"),
    is_contained=True,
)
def masked(world: World, variant: Variant, framework: Framework) -> Labels:
    app = App.of(world, Plan.of(world.rng, "diamond"), is_record=False)
    app.is_awaited = True  # else nobody knows what the answer is
    left, _ = app.plan.heard_by(app.plan.first)  # who joins them believes the other one, whom he hears last
    name = world.pick("quantity", "order", "deadline")
    for role in app.roles.values():
        role.reckons = False

    def said(who: str, text: str) -> str:
        if who != left or variant == "clean":
            return text
        if variant == "sham":
            return "As agreed:\n" + text
        return in_text(text, name, lambda value: spoilt(name, value, world.rng))

    app.meddler.said = said
    app.run(framework)
    return (of_agent(left),)


@composite("M4", "a retry gets a wrong answer", ("tool.empty", "tool.error_as_data", "tool.cut_off"))
def in_retry(world: World, variant: Variant, framework: Framework) -> Labels:
    app = App.of(world, Plan.of(world.rng))
    inner, made = app.tools[TOOL], [0]
    wrong = world.rng.choice(("", "HTTP 503 Service Unavailable", '{"items": [{"shop": "shop 1", "unit_pr'))

    def failing(item: str, region: str = "all") -> object:
        """Return what an item costs and how many there are."""
        made[0] += 1
        if made[0] == 1 and variant != "clean":
            raise ConnectionError("the shop does not answer")
        return wrong if variant == "faulty" else inner(item, region)

    app.tools[TOOL] = failing
    app.retries = 1
    app.run(framework)
    return (Label((Site("tool", TOOL, 1),), tool=TOOL),)


# -- what is said of them


@dataclass(frozen=True)
class Judged:
    """What the tool said of one composite."""

    id: str
    seed: int
    framework: Framework
    named: int
    """How many of its roots it named, of the right kind at the right step."""
    of: int
    alarms: int
    """How many alarms it raised; of a contained fault there should be none."""
    is_noted: bool
    """Whether a contained fault is told as a note."""
    clean_alarms: tuple[str, ...]
    sham_alarms: tuple[str, ...]
    said: tuple[str, ...]

    @property
    def is_right(self) -> bool:
        """Whether all roots are named; of a contained fault, whether nobody is blamed."""
        return self.alarms == 0 if COMPOSITES[self.id].is_contained else self.named == self.of


def play(kind: Composite, seed: int, framework: Framework) -> Judged:
    """Play a composite's three runs and return what was said of them."""
    said: dict[Variant, tuple[Finding, ...]] = {}
    variants: tuple[Variant, ...] = ("clean", "sham", "faulty")
    for variant in variants:
        labels = kind.play(World.of(seed, kind.id), variant, framework)
        run = becausal.last_run()
        said[variant] = alarms(run)
    return judge(kind, seed, framework, labels, run, said)


def judge(
    kind: Composite,
    seed: int,
    framework: Framework,
    labels: Labels,
    run: Run,
    said: dict[Variant, tuple[Finding, ...]],
) -> Judged:
    """Return which roots were named."""
    named = sum(
        any(_is_at(finding, label, run) and finding.kind in kinds for finding in said["faulty"])
        for label, kinds in zip(labels, kind.expected, strict=True)
    )
    notes = [finding for finding in run.findings if finding.severity == "note"]
    return Judged(
        kind.id,
        seed,
        framework,
        named,
        len(labels),
        len(said["faulty"]),
        any(_is_at(note, label, run) for note in notes for label in labels),
        tuple(map(str, said["clean"])),
        tuple(map(str, said["sham"])),
        tuple(map(str, said["faulty"])),
    )


def _is_at(finding: Finding, label: Label, run: Run) -> bool:
    sites = {step.id for site in label.sites for step in site.steps(run)}
    return finding.step.id in sites or bool(finding.path and finding.path[0].id in sites)
