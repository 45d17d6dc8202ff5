"""What becausal says of a run's mistake, and what a rule says that looks at nothing but positions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.public.logs import Labelled, Turn, index_of

from becausal.step import Step

__all__ = ["ANSWERS", "CONTROLS", "Said", "best_constants", "by_chance"]


@dataclass(frozen=True)
class Said:
    """Whose mistake it was, by somebody's word."""

    agent: str
    index: int


def root_cause(labelled: Labelled) -> Said | None:
    """Return the first suspect."""
    suspects = labelled.run.root_cause()
    return None if not suspects else _said(suspects[0].step, suspects[0].agent)


def first_finding(labelled: Labelled) -> Said | None:
    """Return where the earliest error or warning entered."""
    bad = [finding for finding in labelled.run.findings if finding.severity != "note"]
    first = min(bad, key=lambda finding: finding.step.seq, default=None)
    return None if first is None else _said(first.step, first.agent)


def blame(labelled: Labelled) -> Said | None:
    """Return who brought in most of the last thing that was said."""
    last = _last_words(labelled)
    if last is None:
        return None
    origins = [
        segment.origin for segment in labelled.run.blame(of=last).segments if segment.origin is not None
    ]
    most = Counter(origin.id for origin in origins).most_common(1)
    return None if not most else _said(next(origin for origin in origins if origin.id == most[0][0]))


def root_cause_of_the_last_words(labelled: Labelled) -> Said | None:
    """Return the first suspect for the last thing that was said, known to be wrong."""
    last = _last_words(labelled)
    if last is None or last.produced is None:
        return None
    content = labelled.run.graph.contents.of(last.produced)
    text = content.leaves[0] if content is not None and content.leaves else None
    suspects = [] if text is None else labelled.run.root_cause(last, text=text)
    return None if not suspects else _said(suspects[0].step, suspects[0].agent)


def _last_words(labelled: Labelled) -> Step | None:
    """Return the last turn that says more than that it is over."""
    spoken = [step for step in labelled.run.steps if step.kind == "agent" and step.produced is not None]
    telling = [step for step in spoken if step.produced is not None and len(step.produced.text()) > 60]
    return next(reversed(telling or spoken), None)


def _said(step: Step, agent: str | None = None) -> Said | None:
    index, who = index_of(step), agent or step.agent
    return None if index is None or who is None else Said(who, index)


def _of(turn: Turn) -> Said:
    return Said(turn.speaker, turn.index)


def _spoken(labelled: Labelled) -> Sequence[Turn]:
    # The question is nobody's mistake.
    return [turn for turn in labelled.turns if turn.speaker != "human"] or labelled.turns


def first_turn(labelled: Labelled) -> Said:
    """Return the first turn."""
    return _of(_spoken(labelled)[0])


def middle_turn(labelled: Labelled) -> Said:
    """Return the turn in the middle."""
    turns = _spoken(labelled)
    return _of(turns[len(turns) // 2])


def last_turn(labelled: Labelled) -> Said:
    """Return the last turn."""
    return _of(_spoken(labelled)[-1])


def most_frequent_agent(labelled: Labelled) -> Said:
    """Return the first turn of whoever speaks most often."""
    turns = _spoken(labelled)
    most = Counter(turn.speaker for turn in turns).most_common(1)[0][0]
    return _of(next(turn for turn in turns if turn.speaker == most))


Answer = Callable[[Labelled], Said | None]

ANSWERS: dict[str, Answer] = {
    "root_cause()": root_cause,
    "root_cause(last words)": root_cause_of_the_last_words,
    "blame(last words)": blame,
    "first finding": first_finding,
}

CONTROLS: dict[str, Answer] = {
    "control: first turn": first_turn,
    "control: middle turn": middle_turn,
    "control: last turn": last_turn,
    "control: most frequent agent": most_frequent_agent,
}


def best_constants(labelled: Sequence[Labelled]) -> tuple[int, int]:
    """Return how often the commonest label would be right: (an agent's name, a turn's number)."""
    agents, indexes = Counter(one.agent for one in labelled), Counter(one.index for one in labelled)
    return agents.most_common(1)[0][1], indexes.most_common(1)[0][1]


def by_chance(labelled: Sequence[Labelled]) -> tuple[float, float]:
    """Return how often a turn drawn at random would be right: (its agent, the turn itself)."""
    agent = index = 0.0
    for one in labelled:
        turns = _spoken(one)
        agent += sum(turn.speaker == one.agent for turn in turns) / len(turns)
        index += 1 / len(turns)
    return agent / len(labelled), index / len(labelled)
