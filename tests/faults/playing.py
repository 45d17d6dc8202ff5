"""Plays a case: runs the app with the fault, without it, and with its sham; judges each run; keeps the label apart."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults import (  # noqa: F401 - they enter their kinds into the table
    kinds_channel,
    kinds_memory,
    kinds_models,
    kinds_paths,
    kinds_shape,
    kinds_tools,
    kinds_topologies,
)
from tests.faults.case import VARIANTS, Fault, Framework, Label, Variant
from tests.faults.controls import Guess, guesses
from tests.faults.world import World

import becausal
from becausal.finding import Finding
from becausal.run import Run
from becausal.step import Step

__all__ = ["Outcome", "Sealed", "alarms", "play"]


CONTAINED = ("drift.changed_fact", "handoff.mutated", "model.ungrounded", "run.anomaly")
"""What may be told of a fault that reached no answer: as a note."""


def alarms(run: Run) -> tuple[Finding, ...]:
    """Return what the tool raises an alarm about; a note is none."""
    return tuple(finding for finding in run.findings if finding.severity != "note")


class Sealed:
    """The record of the labels, in a file that nothing of the tool reads."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def keep(self, fault: Fault, seed: int, framework: Framework, label: Label) -> None:
        """Add a label."""
        if self._path is not None:
            row = {"fault": fault.id, "seed": seed, "framework": framework, **label.as_row()}
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")


@dataclass(frozen=True)
class Outcome:
    """What the tool said of one case."""

    fault: Fault
    seed: int
    framework: Framework
    found: tuple[str, ...]
    """The kinds that it raised an alarm about, in its own order."""
    is_class_right: bool
    """Whether its first alarm is of the right kind; of a fault without a kind, whether it led the value back."""
    is_site_right: bool
    is_blame_right: bool
    clean_alarms: tuple[str, ...]
    sham_alarms: tuple[str, ...]
    controls: dict[str, bool]
    """Whether each trivial control hit the site."""
    is_contained: bool = False
    """Whether the answer is that of the clean run all the same, so that a note is enough."""

    @property
    def is_detected(self) -> bool:
        """Whether the faulty run raised any alarm."""
        return bool(self.found) or (not self.fault.expected and self.is_class_right)


def play(fault: Fault, seed: int, framework: Framework, sealed: Sealed) -> Outcome:
    """Play a case's three runs and return what was said of them."""
    said: dict[Variant, tuple[Finding, ...]] = {}
    answers: dict[Variant, str] = {}
    for variant in VARIANTS:
        label = fault.play(World.of(seed, fault.id), variant, framework)
        run = becausal.last_run()
        said[variant], answers[variant] = alarms(run), last_words(run)
    is_contained = bool(answers["clean"]) and answers["clean"] == answers["faulty"]
    if is_contained and not said["faulty"]:  # it reached no answer: a note is all that is due
        said["faulty"] = tuple(finding for finding in run.findings if finding.kind in CONTAINED)
    sealed.keep(fault, seed, framework, label)
    is_right = _right_class(fault, said["faulty"], run, label)
    return Outcome(
        fault,
        seed,
        framework,
        tuple(finding.kind for finding in said["faulty"]),
        is_right,
        _right_site(said["faulty"], run, label),
        _right_party(said["faulty"], run, label),
        tuple(_told(finding) for finding in said["clean"]),
        tuple(_told(finding) for finding in said["sham"]),
        _controls(run, label, seed),
        is_contained,
    )


def last_words(run: Run) -> str:
    """Return what the last model of a run said."""
    spoke = [step.produced for step in run.steps if step.kind == "model" and step.produced is not None]
    return spoke[-1].text() if spoke else ""


def _told(finding: Finding) -> str:
    return f"{finding.kind}: {finding.message} {finding.evidence}"


def _right_class(fault: Fault, said: Sequence[Finding], run: Run, label: Label) -> bool:
    if not fault.expected:
        return _right_site(said, run, label)
    return bool(said) and said[0].kind in fault.expected


def _right_site(said: Sequence[Finding], run: Run, label: Label) -> bool:
    sites = {step.id for site in label.sites for step in site.steps(run)}
    if label.value is not None:
        return any(origin.id in sites for origin in _origins(run, label))
    return bool(said) and (said[0].step.id in sites or bool(said[0].path and said[0].path[0].id in sites))


def _right_party(said: Sequence[Finding], run: Run, label: Label) -> bool:
    if label.value is not None:
        return any(_is_whose(origin, label) for origin in _origins(run, label))
    if not said:
        return False
    first = said[0]
    if label.is_channel:
        return first.agent is None and first.tool is None
    wanted = {"agent": label.agent, "tool": label.tool, "key": label.key}
    return all(
        value is None or _named(getattr(first, name), is_key=name == "key") in value.split("|")
        for name, value in wanted.items()
    )


def _origins(run: Run, label: Label) -> list[Step]:
    """Return the step that the tool leads a value of the answer back to."""
    of = label.of.steps(run) if label.of is not None else []
    segments = run.blame(label.value, of=of[-1] if of else None).segments[:1]
    return [segment.origin for segment in segments if segment.origin is not None]


def _is_whose(origin: Step, label: Label) -> bool:
    return (label.tool is None or origin.name == label.tool) and (label.agent in (None, origin.agent))


def _named(said: str | None, *, is_key: bool) -> str:
    """Return a name without what AutoGen puts to it: `ada/app` is ada."""
    return (said or "") if is_key else (said or "").partition("/")[0]


def _controls(run: Run, label: Label, seed: int) -> dict[str, bool]:
    sites = {step.id for site in label.sites for step in site.steps(run)}
    made: Guess = guesses(run, random.Random(seed))
    return {name: step is not None and step.id in sites for name, step in made.items()}
