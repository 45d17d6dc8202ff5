"""Which step of a recorded run is meant by what somebody wrote of it: an id, the beginning of one, or a name.

An edit is of one step. A name that ran more than once is not guessed at: those that it may mean are told, each with
what it was given and with the id to write in place of the name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from becausal.errors import ReplayError
from becausal.graph import Graph
from becausal.step import Step

__all__ = ["step_named"]

MOST_TOLD = 12
"""So many steps or names are told of those that may be meant."""

WIDEST = 100
"""Characters of what a step was given."""

SHORT = 8
"""Characters of an id, as every view shows them."""


def step_named(graph: Graph, of: object) -> Step:
    """Return the one step that is meant.

    Args:
        graph: of the recorded run.
        of: a step, its id, its name, or something that tells of one: a handoff, a tool call, a decision.

    Raises:
        ReplayError: it is none, or may be several; says which.
    """
    there = getattr(of, "step", of)
    name = there if isinstance(there, str) else getattr(there, "id", None)
    if not isinstance(name, str):
        raise ReplayError(f"an edit of {there!r} addresses nothing: give a step, its id or its name")
    matches = graph.matches(name)
    if len(matches) == 1:
        return matches[0]
    if not matches:
        known = ", ".join(_few(dict.fromkeys(step.name for step in graph.nodes if step.kind != "handoff")))
        raise ReplayError(
            f"the edit of {name!r} addresses nothing: no step has this id or name, and no record of memory that was "
            f"read; what ran is called {known or 'nothing'}"
        )
    lines = _few([f"  {_short_id(step, graph)}  {_called(step)}" for step in matches])
    raise ReplayError(
        f"the edit of {name!r} may mean {len(matches)} steps: write the id of the one that is meant, or one edit for "
        "each of them\n" + "\n".join(lines)
    )


def _few(all_of_them: Iterable[str]) -> Iterator[str]:
    known = [*all_of_them]
    yield from known[:MOST_TOLD]
    if len(known) > MOST_TOLD:
        yield f"  and {len(known) - MOST_TOLD} more"


def _short_id(step: Step, graph: Graph) -> str:
    """Return as much of an id as means this step alone."""
    short = step.id[:SHORT]
    found: Sequence[Step] = graph.matches(short)
    return short if len(found) == 1 else step.id


def _called(step: Step) -> str:
    who = f" of {step.agent}" if step.agent and step.agent != step.name else ""
    given = step.received
    if given is None or not given.is_kept:
        return f"{step.kind} {step.name}{who}"
    text = " ".join(given.text()[: 4 * WIDEST].split())
    return f"{step.kind} {step.name}{who}, given {text[:WIDEST]}{'…' if len(text) > WIDEST else ''}"
