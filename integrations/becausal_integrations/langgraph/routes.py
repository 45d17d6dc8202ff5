"""Conditional edges as route steps: which branch was taken, on which reading of the state.

A route step begins when the branch reads the state, so that what its function calls (a model, a tool) stands in it,
and ends when it has decided. A conditional entry reads nothing: it decides on the graph's input.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from becausal import semconv
from becausal.context import attach, context_now, current, succeed
from becausal.recorder import NOTHING, Opening, Recorder, Sealed
from becausal.step import Attribute, OpenStep
from becausal_integrations.langgraph.decisions import GOTO, decision, premises, route
from becausal_integrations.langgraph.describe import is_of
from becausal_integrations.langgraph.inplace import version_of
from becausal_integrations.langgraph.register import Register, TaskRecord
from becausal_integrations.langgraph.sends import sent

if TYPE_CHECKING:
    from langgraph.graph._branch import BranchSpec

__all__ = ["Routes"]

START = "__start__"

MOST_SEALED = 64
"""Choices of which the seal is remembered."""


class Routes:
    """Says what reading the state for a branch, and its decision, mean."""

    def __init__(self, recorder: Recorder, register: Register) -> None:
        self._recorder, self._register = recorder, register
        self._sealed: dict[tuple[str, ...], tuple[int, Sealed]] = {}

    def reading(
        self, _: Any, __: Any, ___: Any, task: Any, select: Any, fresh: bool = False
    ) -> tuple[TaskRecord, str] | None:
        """Tell the reading of a branch from other readings: it is fresh, and the node's own code is through.

        A prebuilt agent's own wiring decides nothing.
        """
        record = self._register.running() if fresh else None
        if record is None or record.is_hidden or record.graph.agent is not None or record.step is None:
            return None
        names = list(record.graph.branches.get(task.name, ()))
        if record.step.produced is None or record.routed >= len(names):
            return None
        return record, names[record.routed]

    def read(self, token: tuple[TaskRecord, str] | None, state: Any, error: BaseException | None) -> None:
        """Begin the route step of a branch."""
        if token is None or error is not None:
            return
        record, name = token
        record.premises = premises(state)
        record.routing = self._begin(record, name, state, record.step)
        if record.routing is not None:
            self._register.steps[record.routing.id] = record
            record.outside = succeed(record.routing)

    def routing(self, branch: BranchSpec, _: Any, given: Any, result: Any, config: Mapping[str, Any]) -> None:
        """Note what a conditional edge decided, and end its step."""
        record = self._register.running()
        if record is None or config.get("configurable", {}).get("__pregel_task_id") != record.id:
            return
        if record.graph.agent is not None:
            return
        doer = record.graph.workflow if record.is_hidden else record.step
        if record.is_hidden:
            name = next(iter(list(record.graph.branches.get(START, ()))[record.routed :]), "condition")
            record.premises = premises(given)
            record.routing = self._begin(record, name, given, doer)
            # What it sends has no sender: the input is the graph's own.
            sends = result if isinstance(result, list | tuple) else [result]
            sends = [send for send in sends if is_of(send, "Send")]
            keeper = record.routing or record.graph.workflow
            record.sends = [*record.sends, *sent(self._recorder, sends, keeper)]
        record.routed += 1
        places = route(branch.ends, result)
        step = record.routing if record.routing is not None else doer
        if step is not None:
            self._recorder.decide(step, decision("route to", places, record.premises))
            step.attributes[GOTO] = places
        if record.routing is not None:
            if branch.ends:
                candidates = tuple(dict.fromkeys(map(str, branch.ends.values())))
                record.routing.attributes[semconv.ROUTE_CANDIDATES] = candidates
            record.routes = [*record.routes, (record.routing, places)]
            self.left(record, places)

    def left(
        self, record: TaskRecord, places: tuple[str, ...] | None = None, error: BaseException | None = None
    ) -> None:
        """End the route step of a task, if one is open; without places it has failed."""
        step, outside, record.routing, record.outside = record.routing, record.outside, None, None
        if step is None:
            return
        self._recorder.end(step, NOTHING if places is None else self._said(places), error=error)
        self._register.steps.pop(step.id, None)
        if outside is not None and context_now() is outside[1]:
            attach(outside[0])  # as it was before it
        elif current() is step and record.step is not None:
            succeed(record.step)

    def _said(self, places: tuple[str, ...]) -> Sealed:
        """Return the seal of the places that were chosen: an edge of a graph chooses the same ones again and again."""
        version, known = version_of(self._recorder), self._sealed.get(places)
        if known is None or known[0] != version:
            if len(self._sealed) >= MOST_SEALED:
                self._sealed = {}
            known = self._sealed[places] = version, self._recorder.seal(list(places))
        return known[1]

    def _begin(self, record: TaskRecord, name: str, state: Any, parent: OpenStep | None) -> OpenStep | None:
        attributes: dict[str, Attribute] = {"langgraph.task_id": record.id}
        agent = None if record.is_hidden else record.agent
        return self._recorder.begin(Opening("route", name, agent, state, parent, (), (), attributes))
