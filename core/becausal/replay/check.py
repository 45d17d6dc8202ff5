"""What is known before anything runs: whether the record holds enough, and whether the app is the one recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from becausal import semconv
from becausal.errors import ReplayError
from becausal.replay.answers import ANSWERED
from becausal.replay.app import App
from becausal.replay.rebuild import UnmadeError
from becausal.replay.session import Session
from becausal.step import Step

__all__ = ["check", "unanswerable"]

MOST_TOLD = 8
"""So many steps are named that cannot be answered."""


def check(session: Session, steps: Sequence[Step], app: App, tops: Sequence[Step]) -> None:
    """Refuse a replay that cannot be one.

    Raises:
        ReplayError: says all that is missing, one thing a line.
    """
    problems = [*_of_the_record(session, steps, tops if app.takes_input else ())]
    problems += _unreplayed(session, steps)
    if app.adapter is not None:
        problems += app.adapter.problems(app.target, tuple(steps))
    if problems:
        raise ReplayError(
            "this run cannot be replayed:\n" + "\n".join(f"- {problem}" for problem in problems)
        )


def _unreplayed(session: Session, steps: Sequence[Step]) -> Iterator[str]:
    """Say which frameworks' calls nobody can answer; none that are named to be run live."""
    calls = Counter(
        step.attributes[semconv.UNREPLAYED]
        for step in steps
        if semconv.UNREPLAYED in step.attributes and not session.is_run(step.name)
    )
    for framework, count in calls.items():
        yield (
            f"runs of {framework} are recorded, but replaying them is not there yet: {count} calls of its models and "
            "tools could not be answered"
        )


def unanswerable(session: Session, steps: Sequence[Step]) -> Iterator[tuple[Step, str]]:
    """Yield the steps whose answer cannot be given again, and why; those that will be run live are passed over."""
    by_id = {step.id: step for step in steps}
    for step in steps:
        if step.kind not in ANSWERED or session.is_run(step.name) or _is_spared(step, by_id):
            continue
        why = _why_not(session, step)
        if why:
            yield step, why


def _of_the_record(session: Session, steps: Sequence[Step], tops: Sequence[Step]) -> Iterator[str]:
    if not steps:
        yield "nothing of it is recorded"
        return
    if any(step.attributes.get(semconv.LEVEL) == "boundaries" for step in steps):
        yield (
            "it was recorded at level 'boundaries', without its models and tools: record it again with "
            "becausal.instrument(level='full')"
        )
        return
    bodiless = [step for step in steps if step.received is not None or step.produced is not None]
    if bodiless and not any(_is_kept(step) for step in bodiless):
        yield (
            "none of its contents are kept: it was recorded with capture='digest', or they have been erased; record it "
            "again with becausal.instrument(capture='full')"
        )
        return
    for step in tops:
        if step.received is not None and not step.received.is_whole:
            lost = ", ".join(why for _, why in step.received.lossy)
            yield f"what {step.kind} {step.name!r} was given is not whole: {lost}"
            continue
        try:
            session.recorded_input(step)
        except UnmadeError as unmade:
            yield f"what {step.kind} {step.name!r} was given holds {unmade}"
        except ValueError as damaged:
            yield f"what {step.kind} {step.name!r} was given is damaged: {damaged}"
    found = list(unanswerable(session, steps))
    for step, why in found[:MOST_TOLD]:
        yield f"{step.kind} {step.name!r} (step {step.id[:8]}): {why}"
    if len(found) > MOST_TOLD:
        yield f"and {len(found) - MOST_TOLD} steps more"


def _why_not(session: Session, step: Step) -> str:
    if step.status in ("open", "unfinished", "cancelled", "abandoned") and step.produced is None:
        return "it had not ended when the record ends, or was cancelled: nobody knows its answer"
    try:
        if step.status == "error":
            if session.kept_error(step) is None and step.produced is None:
                return f"it failed with {step.error or 'an exception'}, of which only the text is kept"
        elif step.status == "ok" and step.produced is not None:
            if not step.produced.is_whole:
                return f"its answer is not whole: {', '.join(why for _, why in step.produced.lossy)}"
            session.recalled_value(step)
    except UnmadeError as unmade:
        return f"its answer holds {unmade}"
    except ValueError as damaged:
        return f"its answer is damaged: {damaged}"
    return ""


def _is_spared(step: Step, by_id: dict[str, Step]) -> bool:
    """Return whether a step lies within another that is answered as a whole."""
    above = by_id.get(step.parent_id or "")
    while above is not None:
        if above.kind in ANSWERED and semconv.RUNS_AGAIN not in above.attributes:
            return True
        above = by_id.get(above.parent_id or "")
    return False


def _is_kept(step: Step) -> bool:
    return any(payload is not None and payload.is_kept for payload in (step.received, step.produced))
