"""Health: one verdict on a run as a whole, with its reasons.

    coherent       nothing is wrong with any transition, and all of them could be judged
    contained      something went wrong, and was put right before the output
    suspect        something is wrong, and nothing shows whether it reached the output
    contaminated   something wrong is in the output, or reached a side effect
    incomplete     the run failed, or has not come to its end
    unknown        nothing wrong was found, but not all could be judged: content was not kept, or steps are lost

The first two are fine (`ok`). The worst that holds is the verdict, in the order contaminated, incomplete, suspect,
unknown, contained, coherent: what is known to be wrong is not hidden behind what is not known.

A transition is where content passes from one step to another: a handoff, a tool's result, a read of a memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, get_args

from becausal import semconv
from becausal.answers.recorded import Recorded
from becausal.answers.rootcause import Suspect, contained, root_cause
from becausal.finding import Finding
from becausal.findings.failure import BROKEN
from becausal.harmless import legible
from becausal.payload import Payload
from becausal.step import Step

__all__ = ["CAME_IN", "ROOT_IS_LOST", "VERDICTS", "Health", "Verdict", "health", "unended"]

Verdict = Literal["coherent", "contained", "unknown", "suspect", "incomplete", "contaminated"]

VERDICTS: Final[tuple[Verdict, ...]] = get_args(Verdict)
"""The best first; `Health.level` is the place in it."""

ROOT_IS_LOST: Final = (
    "this run has no end here: the step that holds all others was never written, since its process died or is still "
    "at work, or it was written to another store."
)
"""What is said of a run whose root is lost (`Graph.root_is_lost`), wherever it is shown."""

CAME_IN: Final = (
    "this run came in from another process, and what it did here has ended; how the whole ended is in the store that "
    "the other process writes to, or is not written yet."
)
"""What is said instead of a run that came in from elsewhere (`Graph.came_in`)."""

WIDEST: Final = 150
"""Characters of a reason in a repr: pytest shows some 240 of a value."""

TRANSITIONS: Final = ("handoff", "tool", "memory_read")
GO_ON: Final = ("memory", "resume")
"""The kinds of causes that may well lie in an earlier run."""


@dataclass(frozen=True, repr=False)
class Health:
    """How well a run is. True where it is `ok`, so `assert run.health` says no less than `assert run.health.ok`."""

    verdict: Verdict
    reasons: tuple[str, ...]
    """Sentences for people, the weightiest first; of a coherent run, what was looked at."""
    suspects: tuple[Suspect, ...]
    """Who may have caused what is wrong, the likeliest first."""
    contained: tuple[Suspect, ...]
    """What went wrong and was put right."""
    transitions: int
    """How many times content passed from one step to another."""
    intact: int
    """Of these, how many could be judged and have nothing wrong."""
    unjudged: int
    """Of these, how many could not be judged."""

    @property
    def ok(self) -> bool:
        """Whether the run may be relied on, as far as its record shows."""
        return self.verdict in ("coherent", "contained")

    @property
    def level(self) -> int:
        """The verdict as a number for a metric: 0 coherent, 1 contained, 2 unknown, 3 suspect, 4 incomplete,
        5 contaminated."""
        return VERDICTS.index(self.verdict)

    @property
    def coherence(self) -> float | None:
        """The share of the transitions that are intact, 0 to 1; None where there is none."""
        return self.intact / self.transitions if self.transitions else None

    def __bool__(self) -> bool:
        return self.ok

    @legible
    def __str__(self) -> str:
        return "\n".join((self.verdict, *(f"  {reason}" for reason in self.reasons)))

    @legible
    def __repr__(self) -> str:
        first = self.reasons[0] if self.reasons else ""
        told = first if len(first) <= WIDEST else first[: WIDEST - 1] + "…"
        more = f" (and {len(self.reasons) - 1} more)" if len(self.reasons) > 1 else ""
        return f"<Health {self.verdict}: {told}{more}>"


def health(run: Recorded) -> Health:
    """Return the verdict on a loaded run."""
    suspects, put_right = root_cause(run), contained(run)
    wrong = {finding.step.id for finding in run.findings if finding.severity != "note"}
    passed = [step for step in run.steps if step.kind in TRANSITIONS]
    is_part = run.graph.part is not None
    unjudged = [step for step in passed if step.id not in wrong and not _is_judged(step, is_part=is_part)]
    reached = [one for one in suspects if any(finding.severity == "error" for finding in one.findings)]
    others = [one for one in suspects if one not in reached]
    not_ended, unknown = list(unended(run)), list(_unknown(run))
    by_verdict: tuple[tuple[Verdict, list[str]], ...] = (
        ("contaminated", [_told(one) for one in reached if not _is_failure(one)]),
        ("incomplete", [_told(one) for one in reached if _is_failure(one)] + not_ended),
        ("suspect", [_told(one) for one in others]),
        ("unknown", unknown),
        ("contained", [f"{_told(one)} It did not come into the output." for one in put_right]),
    )
    verdict: Verdict = next((name for name, reasons in by_verdict if reasons), "coherent")
    reasons = [reason for _, rows in by_verdict for reason in rows]
    return Health(
        verdict,
        tuple(reasons) or (_nothing_wrong(run, passed),),
        tuple(suspects),
        tuple(put_right),
        len(passed),
        sum(step.id not in wrong for step in passed) - len(unjudged),
        len(unjudged),
    )


def _told(suspect: Suspect) -> str:
    finding = suspect.findings[0]
    message = finding.message if finding.message.endswith(".") else finding.message + "."
    return f"{finding.kind} ({suspect.who}): {message}"


def _is_failure(suspect: Suspect) -> bool:
    return all(_ends_the_run(finding) for finding in suspect.findings)


def _ends_the_run(finding: Finding) -> bool:
    return finding.kind == "run.anomaly" and finding.severity == "error"


def unended(run: Recorded) -> Iterator[str]:
    """Yield why a run has not come to its end, or why nothing says so; nothing of one that has."""
    for root in run.graph.roots:
        if root.status in BROKEN and not any(map(_ends_the_run, run.findings)):
            yield f"{root.kind} {root.name} ended as {root.status}."
        elif root.status == "open":
            yield f"{root.kind} {root.name} has not ended: it is still at work, or its process died."
        elif root.status == "interrupted":
            yield f"{root.kind} {root.name} waits for somebody's word."
    if run.graph.root_is_lost:
        yield CAME_IN if run.graph.came_in else ROOT_IS_LOST
    if not run.steps:
        yield "nothing was recorded."


def _unknown(run: Recorded) -> Iterator[str]:
    """Yield why not everything could be judged."""
    if run.graph.part is not None:
        yield f"{run.graph.part}; what lies outside was not judged."
    earlier = {cause.source_id for step in run.steps for cause in step.causes if cause.kind in GO_ON}
    lost = [name for name in run.graph.missing if name not in earlier]
    if lost:
        is_are = "is" if len(lost) == 1 else "are"
        yield f"{_count(len(lost), 'step')} that this record names {is_are} not in the store."
    payloads = {p.digest: p for step in run.steps for p in (step.received, step.produced) if p is not None}
    gone = sum(not payload.is_kept for payload in payloads.values())
    if gone:
        yield f"the content of {gone} of {_count(len(payloads), 'payload')} was not kept, so it was not judged."
    partly = sum(not payload.is_whole and payload.is_kept for payload in payloads.values())
    if partly:
        is_are = "is" if partly == 1 else "are"
        yield f"{_count(partly, 'payload')} {is_are} not whole: cut down to a bound, or erased in part."
    left_out = sum(semconv.LEFT_OUT in step.attributes for step in run.steps)
    if left_out:
        yield f"the run came to its bound (max_run_bytes): the contents of {_count(left_out, 'step')} were left out."
    for finding in run.findings:
        if finding.severity == "note" and finding.confidence == 0:
            yield finding.message


def _is_judged(step: Step, *, is_part: bool) -> bool:
    sides: tuple[Payload | None, ...] = (step.received, step.produced)
    if step.kind == "handoff" and None not in sides:
        first, second = sides
        if first is not None and second is not None and first.digest == second.digest:
            return True  # equal, whatever they say
    if step.kind == "handoff" and is_part:
        return False  # whether it was lost, or came to somebody else, takes the whole run to see
    return all(payload is None or payload.is_kept for payload in sides)


def _nothing_wrong(run: Recorded, passed: list[Step]) -> str:
    counts = [
        _count(sum(step.kind == kind for step in passed), name)
        for kind, name in (("handoff", "handoff"), ("tool", "tool call"), ("memory_read", "memory read"))
        if any(step.kind == kind for step in passed)
    ]
    looked_at = ", ".join(counts) or _count(len(run.steps), "step")
    return f"nothing is wrong with {looked_at}, as far as this record shows."


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
