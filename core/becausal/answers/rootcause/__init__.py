"""Root cause: of all that is wrong, what came first, whose it is, and what followed from it.

Every suspect stands on evidence, none on its place in the run. A finding becomes a suspect where it entered. Another
finding is put to it, and makes no suspect of its own, where it follows from it:

    the same fault seen again      the same step, the same field of what one sender sent, the same version of a memory
    the same content, downstream   a step that carried the fault on is said to have lost or changed just what the fault
                                   had lost or changed
    what was missing was made up   a tool gave nothing, half or an error, and the very turn that went on from there says
                                   a figure from nowhere; or the run failed after it

What shares none of that is a second root, however late it came. A fault that was put right before the output (the
output states what should be there, and not what should not) is contained: it is told apart, and not blamed.

Who is to blame is read from where it entered: the way itself for what was altered between sent and received, the merge
for an update that it lost, the reader for a stale read, else the tool or the agent that the finding names.

Of a text that somebody knows to be wrong no finding is needed: the suspects are the steps that brought its pieces in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from becausal import semconv
from becausal.answers.recorded import Recorded
from becausal.answers.rootcause.party import decisions_on, party_of
from becausal.answers.rootcause.suspect import Suspect
from becausal.answers.rootcause.wrong_text import by_text
from becausal.facts import Fact, missing
from becausal.finding import Finding
from becausal.findings.said import Said
from becausal.findings.scene import Scene, Stated
from becausal.findings.way import carriers, next_turns
from becausal.graph import Graph
from becausal.handoff import Handoff
from becausal.step import Step

__all__ = ["Suspect", "contained", "root_cause"]

HALF: Final = 0.5
"""What a finding counts for that nothing shows to have reached the output."""

MOST_SUSPECTS: Final = 50
"""So many suspects are named, the likeliest; where more is wrong, that much is wrong."""

WANTING: Final = ("tool.", "handoff.lost", "handoff.truncated", "handoff.dropped", "context.evicted")
"""Beginnings of the kinds of findings after which those who go on lack what they need."""

MADE_UP: Final = ("model.ungrounded", "run.anomaly", "confidence.inflated", "memory.contaminated")
"""Kinds of findings that follow from a lack."""

SPREAD: Final = ("memory.contaminated", "drift.moved")
"""Kinds of findings that tell how far something came, and not where it entered."""


def root_cause(
    run: Recorded, of: Step | Handoff | str | None = None, *, text: str | None = None
) -> list[Suspect]:
    """Return who may have caused what is wrong, the likeliest first; empty where nothing speaks against anybody.

    At most `MOST_SUSPECTS` are named.

    Args:
        run: a loaded run.
        of: the step that is wrong; None for the run as a whole. Then only what led to it is suspected.
        text: words of the output, or of what the step says, that are known to be wrong.

    Raises:
        StepNotFoundError: there is no such step.
    """
    if text is not None:
        return by_text(run, text, of)
    scene = Scene(run.graph, run.handoffs)
    found = _Faults(run, scene, None if of is None else run.graph.step(of))
    likeliest = sorted(found.roots, key=lambda fault: (-found.score(fault), fault.step.seq))
    suspects = [found.suspect(fault) for fault in likeliest[:MOST_SUSPECTS]]
    if of is None:
        suspects += [_from_elsewhere(one) for one in run.findings if _is_elsewhere(run, one)]
    return sorted(suspects, key=lambda one: (-one.score, one.step.seq))[:MOST_SUSPECTS]


def contained(run: Recorded) -> list[Suspect]:
    """Return what went wrong and was put right before the output, or told as handled, in the order of entering."""
    scene = Scene(run.graph, run.handoffs)
    found = _Faults(run, scene, None)
    return [found.suspect(fault) for fault in found.contained[:MOST_SUSPECTS]]


@dataclass
class _Fault:
    """A fault, and all that is known to follow from it."""

    said: Said
    step: Step
    others: list[Said] = field(default_factory=list)
    places: list[Step] = field(default_factory=list)
    """Where else the same fault was seen: at the other receivers of a message, the other readers of a version."""

    @property
    def all(self) -> list[Said]:
        return [self.said, *self.others]


class _Faults:
    """The faults of a run: what entered by itself, each with what followed from it."""

    def __init__(self, run: Recorded, scene: Scene, of: Step | None) -> None:
        self.graph, self.scene, self.of = run.graph, scene, of
        self._carriers: dict[str, tuple[Step, ...]] = {}
        self._giving: dict[str, bool] = {}
        self._reached: dict[str, frozenset[str]] = {}
        self._kept = next_turns(run.graph)
        self.roots: list[_Fault] = []
        self.contained: list[_Fault] = []
        before = None if of is None else {of.id, *(step.id for step in run.graph.upstream(of))}
        here = (finding for finding in run.findings if finding.step.id in run.graph)
        for finding in sorted(here, key=self._entered):
            said = Said(finding)
            if before is not None and finding.step.id not in before:
                continue
            if finding.severity != "note":
                self._take(said)
            elif self._was_put_right(said):
                self.contained.append(_Fault(said, finding.step))

    def _entered(self, finding: Finding) -> tuple[int, bool, float]:
        """Return the place of a finding among the others: what a turn said comes after what was done within it."""
        inside = self.graph.children(finding.step) if finding.step.kind == "agent" else ()
        since = max((step.seq for step in inside if step.kind != "handoff"), default=finding.step.seq)
        return since, finding.severity != "error", -finding.confidence

    def _take(self, said: Said) -> None:
        if said.finding.kind in SPREAD:
            for fault in self.roots:
                if fault.step.id in {step.id for step in said.finding.path}:
                    fault.others.append(said)
            return
        for fault in (*self.roots, *self.contained):
            is_same = any(self._is_the_same(said.finding, other.finding) for other in fault.all)
            if is_same or self._follows(said, fault):
                fault.others.append(said)
                fault.places += [said.finding.step] if is_same else []
                return
        fault = _Fault(said, said.finding.step)
        (self.contained if self._is_contained(said) else self.roots).append(fault)

    def _was_put_right(self, said: Said) -> bool:
        """Say whether a note tells of a fault that was put right: a tool's by a later call, else before the end."""
        kind = said.finding.kind
        if kind.startswith("tool."):
            return said.finding.confidence > 0
        is_content = kind.startswith(("handoff.", "drift.")) and said.finding.confidence > 0
        return is_content and not _is_intended(said.finding) and self._is_contained(said)

    def _is_contained(self, said: Said) -> bool:
        """Say whether what it came to states what should be there, and not what should not."""
        if not said.right_facts:
            return False
        end = self.of or self.path(said.finding.step)[-1]
        return said.is_put_right(*self._given(end))

    def _given(self, step: Step) -> Stated:
        """Return what a step gave to others: what it produced, what it sent; of the run's output, the answer alone.

        Whoever was told and said nothing gave what it was told.
        """
        output = self.graph.output_step
        if output is not None and output.id == step.id:
            return self.scene.answer_facts, self.scene.answer
        sent = [handoff.sent for handoff in self.scene.sent_by.get(step.id, ())]
        rows = [
            self.scene.stated(payload)
            for payload in dict.fromkeys((step.produced, *sent))
            if payload is not None
        ]
        if all(_is_empty(text) for _, text in rows):
            rows = [self.scene.stated(step.received)]
        return tuple(fact for stated, _ in rows for fact in stated), "\n".join(text for _, text in rows)

    def _follows(self, said: Said, fault: _Fault) -> bool:
        """Say whether a finding follows from a fault that entered no later."""
        finding = said.finding
        is_about_it = any(said.keys & other.keys for other in fault.all)
        is_wanting = finding.kind in MADE_UP and any(
            one.finding.kind.startswith(WANTING) for one in fault.all
        )
        if not is_about_it and finding.kind == "model.ungrounded":
            is_wanting = is_wanting and self._goes_on_from(finding.step, fault.step)
        return (is_about_it or is_wanting) and finding.step.id in self._reach(fault.step)

    def _goes_on_from(self, step: Step, fault: Step) -> bool:
        """Say whether a step works in the turn that a fault entered in, or in one that it was handed to at once."""
        turn = self.graph.parent(step) if step.kind == "model" else step
        own = fault if fault.kind in ("agent", "handoff") else self.graph.parent(fault)
        if turn is None or own is None:
            return turn is own
        return turn.id == own.id or (own.kind == "handoff" and turn in self.graph.successors(own))

    def _is_the_same(self, finding: Finding, other: Finding) -> bool:
        if finding.step.id == other.step.id:
            return True
        if finding.kind != other.kind:
            return False
        if finding.kind.startswith("handoff."):
            return _senders(self.graph, finding) == _senders(self.graph, other) != frozenset()
        if finding.kind == "path.loop":
            return True
        return finding.kind.startswith("memory.") and finding.key is not None and finding.key == other.key

    def _reach(self, step: Step) -> frozenset[str]:
        """Return the ids of the steps that carried a fault on, with those that worked inside them."""
        if step.id not in self._reached:
            way = self.path(step)
            inside = {
                child.id for there in way if there.kind == "agent" for child in self.graph.children(there)
            }
            self._reached[step.id] = frozenset({there.id for there in way} | inside)
        return self._reached[step.id]

    def path(self, step: Step) -> tuple[Step, ...]:
        """Return the steps that carried a fault, cause first."""
        if step.id not in self._carriers:
            self._carriers[step.id] = carriers(self.graph, step, kept=self._kept)
        return self._carriers[step.id]

    def _carried(self, fault: _Fault) -> tuple[Step, ...]:
        """Return the path, without the turns that put the fault right or lost it, and what had it from them alone.

        Who gave nothing on carried nothing; where one fault was seen in several places, their ways are put together.
        """
        way: dict[str, Step] = {}
        for place in {place.id: place for place in (fault.step, *fault.places)}.values():
            whole = self.path(place)
            past = {step.id for step in whole[1:-1] if step.kind == "agent" and self._has_not(step, fault)}
            for step in carriers(self.graph, place, past=past, kept=self._kept) if past else whole:
                way.setdefault(step.id, step)
        if fault.said.finding.kind == "path.loop":
            way |= {step.id: step for said in fault.all for step in said.finding.path}
        way |= {step.id: step for step in self._told(way.values(), fault)}
        # Who was told the same twice had part in it, whatever he made of it.
        is_twice = fault.said.finding.kind == "handoff.duplicated"
        rest = [
            step
            for step in way.values()
            if step.id != fault.step.id and (is_twice or not self._gave_nothing(step))
        ]
        output = self.graph.output_step
        ends = [step for step in rest if output is not None and step.id == output.id]
        turns = sorted((step for step in rest if step not in ends), key=lambda step: step.seq)
        return (fault.step, *turns, *ends)

    def _told(self, way: Iterable[Step], fault: _Fault) -> list[Step]:
        """Return what else says the very words that are wrong: what those on the way sent to others, and the output.

        Whoever was sent it may have said nothing of it to anybody; it was sent to him all the same.
        """
        wrong = [fact for said in fault.all for fact in said.wrong_facts]
        if not wrong:
            return []
        senders = [step for step in way if step.kind == "agent"]
        sent = [one for turn in senders for one in self.scene.sent_by.get(turn.id, ())]
        told = [one.step for one in sent if self._states(wrong, *self.scene.stated(one.sent))]
        output = self.graph.output_step
        if senders and output is not None and self._states(wrong, self.scene.answer_facts, self.scene.answer):
            told.append(output)
        return [step for step in told if step.seq > fault.step.seq or step is output]

    def _states(self, wrong: Sequence[Fact], stated: Sequence[Fact], text: str) -> bool:
        return len(missing(wrong, stated, text=text)) < len(wrong)

    def _has_not(self, step: Step, fault: _Fault) -> bool:
        """Say whether a turn gave on what it was told, and not what is wrong."""
        stated, text = self._given(step)
        if fault.said.is_put_right(stated, text):
            return True
        wrong = [fact for said in fault.all for fact in said.wrong_facts]
        if not wrong or any(not missing([fact], stated, text=text) for fact in wrong):
            return False
        return self._gave_on(step)

    def _gave_on(self, step: Step) -> bool:
        """Say whether a turn gave most of what it was told on; asked of each fault, and the same for all."""
        if step.id not in self._giving:
            stated, text = self._given(step)
            told = [
                fact
                for payload in (
                    step.received,
                    *(c.received for c in self.graph.children(step) if c.kind == "model"),
                )
                for fact in self.scene.stated(payload)[0]
            ]
            self._giving[step.id] = bool(told) and len(missing(told, stated, text=text)) * 2 <= len(told)
        return self._giving[step.id]

    def _gave_nothing(self, step: Step) -> bool:
        """Say whether a turn gave nothing on, or a handoff brought nothing."""
        if step.kind == "handoff":
            return step.received is not None and step.received.is_kept and _is_empty(step.received.text())
        if step.kind != "agent":
            return False
        sent = [handoff.sent for handoff in self.scene.sent_by.get(step.id, ())]
        return _is_kept(step) and all(_is_empty(self.scene.stated(one)[1]) for one in (step.produced, *sent))

    def score(self, fault: _Fault) -> float:
        """Return how much speaks against a fault's step (see `Suspect.score`)."""
        sure = max(one.finding.confidence for one in fault.all if one.finding.step.id == fault.step.id)
        return sure * (1.0 if any(one.finding.severity == "error" for one in fault.all) else HALF)

    def suspect(self, fault: _Fault) -> Suspect:
        """Return a fault as a suspect."""
        own = [said.finding for said in fault.all if said.finding.step.id == fault.step.id]
        others = [said.finding for said in fault.others if said.finding.step.id != fault.step.id]
        finding = fault.said.finding
        agent, tool, who = party_of(finding)
        path = _until(self.graph, self._carried(fault), self.of)
        return Suspect(
            step=fault.step,
            agent=agent,
            tool=tool,
            score=self.score(fault),
            path=path,
            findings=(*own, *others),
            evidence=tuple(dict.fromkeys(row for one in own for row in one.evidence)),
            decisions=tuple(decisions_on(self.graph, path)),
            who=who,
        )


def _is_elsewhere(run: Recorded, finding: Finding) -> bool:
    """Say whether something went wrong in work that belongs to a run and stands in a chain of its own."""
    return finding.severity != "note" and finding.step.id not in run.graph


def _from_elsewhere(finding: Finding) -> Suspect:
    """Return such work as a suspect: its way is what is known of it, for this run's edges do not lead there."""
    agent, tool, who = party_of(finding)
    return Suspect(
        step=finding.step,
        agent=agent,
        tool=tool,
        score=finding.confidence * (1.0 if finding.severity == "error" else HALF),
        path=finding.path or (finding.step,),
        findings=(finding,),
        evidence=finding.evidence,
        who=who,
    )


def _is_intended(finding: Finding) -> bool:
    return finding.step.attributes.get(semconv.TRANSFER_INTENDED) is True or (
        semconv.CONTRACT_ALLOWS in finding.step.attributes
    )


def _is_empty(text: str) -> bool:
    return text == "(nothing)" or not text.strip("{}[]() \n")


def _is_kept(step: Step) -> bool:
    return step.produced is None or step.produced.is_kept


def _senders(graph: Graph, finding: Finding) -> frozenset[str]:
    """Return the turns whose message a finding about a handoff is about, by what was sent."""
    step = finding.step
    if step.kind != "handoff" or step.received is None:
        return frozenset()
    return frozenset([step.received.digest])


def _until(graph: Graph, path: Sequence[Step], of: Step | None) -> tuple[Step, ...]:
    """Return the part of a path that leads to a step that was asked about."""
    if of is None:
        return tuple(path)
    before = {of.id, *(step.id for step in graph.upstream(of))}
    return tuple(step for step in path if (step.id in before and step.seq <= of.seq) or step.id == of.id)
