"""Proof by replay: of the recorded faulty run the blamed place is edited, and only what follows from it runs again.

A clean run is recorded first, then the faulty one. The faulty app is replayed from its record with the clean run's
values at the blamed place: its answer must be the clean one. It is replayed once more with one value spoilt at a place
that neither leads to the answer nor comes after the blamed one, where there is such a place, or else with the clean
values at a place that the blamed one does not lead to: the answer must stay the faulty one. In both, every call of a
model or a tool that does not follow from an edited step must be answered from the record: counted by the replay, and
by the app itself, which is told of each model and each tool that really runs.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.faults import on_autogen, repair
from tests.faults.case import KINDS, Fault, Framework, Label
from tests.faults.playing import last_words
from tests.faults.repair import Place, Repair

import becausal
from becausal.replay import Asked, Edit, Replay
from becausal.run import Run
from becausal.step import Step

__all__ = ["Played", "Proof", "kinds", "prove", "proves"]

OWN_APPS = frozenset(("T01", "T06"))
"""Kinds that are played on apps of their own, which `repair` cannot put right, and a replay can."""


USER = "user"
"""Who is told the answer; nothing follows from what he hears."""


@dataclass(frozen=True)
class Played:
    """One replay of a faulty run with something edited."""

    answer: str
    cone: int
    """How many calls of models and tools follow from what was edited, in the recorded run."""
    outside: int
    """How many do not."""
    ran: int
    """How many calls were not answered from the record."""
    is_cone_alone: bool
    """Whether all that do not follow were answered from the record, by the replay's count and by the app's."""
    unapplied: int


@dataclass(frozen=True)
class Proof:
    """What came of putting a recorded case right."""

    fault: str
    seed: int
    framework: Framework
    blamed: Place
    clean: str
    faulty: str
    repaired: Played
    can_be_repaired: bool
    """Whether the clean values at that one place bring the clean answer in a run without becausal, too."""
    other: Played | None
    """With an edit at a place that the blamed one has nothing to do with; None where there is none."""

    @property
    def restores(self) -> bool:
        """Whether the edit brings the clean answer back."""
        return self.repaired.answer == self.clean and not self.repaired.unapplied


def prove(fault: Fault, seed: int, framework: Framework) -> Proof | None:
    """Return the proof of a case; None where it allows none: its answer is the clean one, or nobody was blamed."""
    case = _Case(fault, seed, framework)
    if case.clean_answer == case.faulty_answer or not case.clean_answer:
        return None
    blamed = repair._blamed(case.faulty, case.label)
    edits = [] if blamed is None else case.edits(blamed)
    if blamed is None or not edits:
        return None
    repaired = case.played(edits)
    other = case.elsewhere(blamed)
    can_be = (
        repaired.answer == case.clean_answer
        or fault.id in OWN_APPS
        or _can_be_repaired(fault, seed, framework)
    )
    return Proof(
        fault.id, seed, framework, blamed, case.clean_answer, case.faulty_answer, repaired, can_be,
        case.played(other) if other else None,
    )  # fmt: skip


def proves(kinds: Iterable[Fault], seeds: Iterable[int]) -> list[Proof]:
    """Return the proofs of kinds of faults over seeds."""
    kinds = list(kinds)
    found = [
        prove(fault, seed, fault.frameworks[seed % len(fault.frameworks)])
        for seed in seeds
        for fault in kinds
    ]
    return [proof for proof in found if proof is not None]


def _can_be_repaired(fault: Fault, seed: int, framework: Framework) -> bool:
    proof = repair.prove(fault, seed, framework)
    return proof is not None and proof.restores


def kinds() -> list[Fault]:
    """Return the kinds whose cases are proved."""
    return [*repair.kinds(), *(KINDS[name] for name in sorted(OWN_APPS))]


class _Case:
    """A case's clean run and its faulty one, recorded."""

    def __init__(self, fault: Fault, seed: int, framework: Framework) -> None:
        self._fault, self._seed, self._framework = fault, seed, framework
        self._played("clean")
        self.clean = becausal.last_run()
        self.label = self._played("faulty")
        self.faulty = becausal.last_run()
        self.clean_answer, self.faulty_answer = last_words(self.clean), last_words(self.faulty)

    def edits(self, place: Place) -> list[Edit]:
        """Return what puts the clean run's values to a place of the faulty run."""
        pairs = zip(_steps(self.faulty, place), _steps(self.clean, place), strict=False)
        return [edit for faulty, clean in pairs if (edit := _edit(place, faulty, clean)) is not None]

    def elsewhere(self, blamed: Place) -> list[Edit]:
        """Return an edit of a place that the blamed one has nothing to do with."""
        run = self.faulty
        mine = _steps(run, blamed)
        after = {step.id for one in mine for step in _cone(run, one)}
        leads = {step.id for step in run.why().steps}
        idle = [s for s in run.steps if _speaks(s) and s.id not in after and s.id not in leads]
        if idle:
            return [becausal.edit(idle[0]).produced.text("Nothing that anybody needs.")]
        names = sorted({_plain(s.agent) for s in run.steps if _speaks(s) and s.id not in after})
        names = [name for name in names if ("agent", name) != blamed]
        return self.edits(("agent", random.Random(self._seed).choice(names))) if names else []

    def played(self, edits: list[Edit]) -> Played:
        """Replay the faulty run with some edits; what they change is asked of the app's own pure models."""
        run, watch = self.faulty, Repair()

        def again(
            *, _names: object = on_autogen.run
        ) -> None:  # the app's messages are classes of that module
            self._played("faulty", watch)

        replay = run.replay(again, edit=edits, live=True, standin=self._tool, network=False)
        changed = [_changed(run, edit) for edit in edits]
        cone = {step.id for one in changed for step in _cone(run, one)}
        answered = [step for step in run.steps if step.kind in ("model", "tool")]
        outside = {step.id for step in answered} - cone
        really = sum(len(seen) for place, seen in watch.seen.items() if place[0] != "channel")
        ran = len(replay.ran) + len(replay.stood_in)
        return Played(
            _last_words(replay),
            len(answered) - len(outside),
            len(outside),
            ran,
            outside <= set(replay.recalled.values()) and really <= len(replay.ran),
            len(replay.unapplied),
        )

    def _tool(self, asked: Asked) -> Any:
        """Answer for a tool that is asked something new: as in the clean run."""
        for step in self.clean.steps:
            if step.kind == "tool" and step.name == asked.name and step.produced is not None:
                return step.produced.value()
        raise LookupError(f"the clean run has no {asked.name}")

    def _played(self, variant: Any, watch: Repair | None = None) -> Label:
        return repair._played(
            self._fault, self._seed, variant, self._framework, Repair() if watch is None else watch
        )[0]


def _steps(run: Run, place: Place) -> list[Step]:
    """Return what a run recorded of a place: a tool's calls, what an agent's model said, what carried its messages."""
    sort, name = place
    if sort == "tool":
        return [step for step in run.steps if step.kind == "tool" and step.name == name]
    if sort == "agent":
        return [step for step in run.steps if _speaks(step) and _plain(step.agent) == name]
    sent = [handoff for handoff in run.handoffs if _plain(handoff.sender) == name]
    return [handoff.step for handoff in sent if _plain(handoff.receiver) != USER]


def _edit(place: Place, faulty: Step, clean: Step) -> Edit | None:
    sort, name = place
    if sort == "channel":
        if faulty.produced is None or clean.produced is None:
            return None
        arrived: Any = clean.produced.value()
        where, field = becausal.edit(faulty), f"{name}_note"
        if isinstance(arrived, dict) and field in arrived:
            return where.field(field).to(arrived[field])
        kept = [key for key in ("text", "record") if isinstance(arrived, Mapping) and key in arrived]
        return where.field(kept[0]).to(arrived[kept[0]]) if kept else None
    if clean.produced is None:
        return None
    if sort == "tool":
        return becausal.edit(faulty).produced.to(clean.produced.value())
    return becausal.edit(faulty).produced.text(_said(clean))


def _cone(run: Run, of: Step) -> set[Step]:
    """Return what may follow from a step, itself included.

    What an agent does later may hang on what it was told before, though no content says so: an empty answer, an error,
    a note that it keeps until it has heard the others. So that is counted in.
    """
    later = [
        step for step in run.steps if step.agent == of.agent and step.seq > of.seq and step.kind != "handoff"
    ]
    return {step for one in (of, *later) for step in (one, *run.graph.downstream(one))}


def _changed(run: Run, edit: Edit) -> Step:
    """Return the step that an edit is of; of a handoff the one that received it."""
    step = edit.of
    assert isinstance(step, Step)
    received_by = next((h.received_by for h in run.handoffs if h.step.id == step.id), None)
    return received_by or step


def _speaks(step: Step) -> bool:
    """Return whether a step is a model's that says something, and does not call for a tool."""
    return step.kind == "model" and bool(_said(step))


def _said(step: Step) -> str:
    content = None if step.produced is None else step.produced.value()
    said = content.get("content") if isinstance(content, dict) else None
    return said if isinstance(said, str) else ""


def _last_words(replay: Replay[Run]) -> str:
    return "" if replay.divergence is not None else last_words(replay.run)


def _plain(name: str | None) -> str:
    return (name or "").partition("/")[0]
