"""What is wrong with a tool's answer, seen without a model: cut off, partial, an error told as success, …

Each check is conservative: it names a breach only where the answer itself, another call of the same tool, or the
decision that asked for it shows one. A check that could not be made says nothing.

    tool.failed           the tool raised
    tool.error_as_data    an error that came as an answer
    tool.empty            nothing, where something was asked for
    tool.cut_off          a text or JSON that breaks off
    tool.partial          one page of several, and nobody asked for the others
    tool.schema           another shape than the tool's other answers have
    tool.stale            an older answer after a newer one, or one past its own expiry
    tool.irrelevant       about another thing than was asked for
    tool.not_as_decided   executed with other arguments than the model decided on
    tool.repeated         done twice, with effects

Checks are made on a loaded run, never while the app runs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection

from becausal.finding import FindingKind
from becausal.graph import Graph
from becausal.toolcall import ToolCall
from becausal.toolchecks.agreement import not_as_decided
from becausal.toolchecks.breach import Breach
from becausal.toolchecks.cuts import cut_off
from becausal.toolchecks.emptiness import empty
from becausal.toolchecks.errors import error_as_data
from becausal.toolchecks.pages import partial
from becausal.toolchecks.reading import Calls, Reading
from becausal.toolchecks.relevance import irrelevant
from becausal.toolchecks.schema import schema
from becausal.toolchecks.sequence import failed, repeated, stale

__all__ = ["CHECKS", "Breach", "check"]

Check = Callable[[Reading, Calls, Graph], Breach | None]
"""Takes a call, all calls of the run in their order, and the run's graph."""

CHECKS: dict[FindingKind, Check] = {
    "tool.failed": failed,
    "tool.error_as_data": error_as_data,
    "tool.empty": empty,
    "tool.cut_off": cut_off,
    "tool.partial": partial,
    "tool.schema": schema,
    "tool.stale": stale,
    "tool.irrelevant": irrelevant,
    "tool.not_as_decided": not_as_decided,
    "tool.repeated": repeated,
}
"""In the order in which they are made."""

NO_ANSWER: frozenset[FindingKind] = frozenset({"tool.failed", "tool.error_as_data", "tool.empty"})
"""After these there is no answer left to be judged."""

OF_THE_CALL: frozenset[FindingKind] = frozenset({"tool.not_as_decided", "tool.repeated"})
"""These judge the call, whatever it answered; a later call does not mend them."""


def check(graph: Graph, *, leave_out: Collection[str] = ()) -> list[Breach]:
    """Return what is wrong with the tool calls of a run, in the order of the calls.

    Args:
        leave_out: kinds that are not to be checked, such as `tool.stale`.
    """
    calls = Calls(Reading(ToolCall(step)) for step in graph.nodes if step.kind == "tool")
    found = {reading: _of(reading, calls, graph, leave_out) for reading in calls.all}
    proper = {
        reading
        for reading, breaches in found.items()
        if reading.is_answered and all(breach.kind in OF_THE_CALL for breach in breaches)
    }
    return [
        dataclasses.replace(breach, is_mended=True)
        if breach.kind not in OF_THE_CALL and _is_made_up_for(reading, calls, proper)
        else breach
        for reading, breaches in found.items()
        for breach in breaches
    ]


def _of(reading: Reading, calls: Calls, graph: Graph, leave_out: Collection[str]) -> list[Breach]:
    found: list[Breach] = []
    for kind, made in CHECKS.items():
        is_answered = not any(breach.kind in NO_ANSWER for breach in found)
        if kind not in leave_out and (is_answered or kind in OF_THE_CALL):
            breach = made(reading, calls, graph)
            if breach is not None:
                found.append(breach)
    return found


def _is_made_up_for(reading: Reading, calls: Calls, proper: Collection[Reading]) -> bool:
    """Return whether the same call was made again later, and answered properly."""
    mine = reading.call.step
    return any(later in proper and later.call.step.seq > mine.seq for later in calls.asking_the_same(reading))
