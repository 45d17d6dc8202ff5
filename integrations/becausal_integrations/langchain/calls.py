"""Tool calls by the ids that models give them: who decided on each, and what became of it.

Ids are unique within an answer, and not always beyond it: agents that run beside each other may give the same one. Then
the nearest decision counts: of the same step, of the same run of a graph, of the same agent, else the latest.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from becausal import semconv
from becausal.step import Cause, EdgeKind, OpenStep, RemoteStep, Status, StepRef

__all__ = ["Call", "Calls"]

MAX_IDS = 10_000
"""Ids of tool calls that are remembered; the oldest is forgotten beyond so many."""

MAX_SAME = 64
"""Calls of one id in a chain that are told apart."""


@dataclass(slots=True, eq=False, repr=False)
class Call:
    """One call that was decided on, or made without a decision that we know of.

    Of steps it keeps no more than a reference: there are many calls, and all but the last few are of runs long over.
    """

    decider: StepRef | None = None
    places: tuple[str, str | None, str | None] | None = None
    """The step in whose course it was decided on, that step's parent, and the agent."""
    made: int = 0
    last: StepRef | None = None
    """The step that made it last."""
    ended: Status = "ok"
    """How that one ended."""
    attempt: int = 1
    untold: OpenStep | None = None
    """That one itself, where it failed and what the model is told of it is still open."""

    def causes(self, tool_call_id: str) -> list[Cause]:
        """Return what a step that makes this call now is caused by: its decider, and an earlier try of it."""
        evidence = f"tool call id {tool_call_id}"
        causes = []
        if self.decider is not None:
            causes.append(Cause(self.decider.id, "data", "observed", evidence, self.decider.span_context))
        if self.last is not None and self.is_made_again:
            kind: EdgeKind = "resume" if self.ended == "interrupted" else "retry"
            causes.append(Cause(self.last.id, kind, "observed", evidence, self.last.span_context))
        return causes

    @property
    def is_made_again(self) -> bool:
        """Whether a step that makes it now does so again; without a decision, only a failure is surely of this call."""
        return self.last is not None and (self.decider is not None or self.ended != "ok")

    @property
    def next_attempt(self) -> int:
        """The number of the try that is made now; going on after an interrupt is no other try."""
        return self.attempt + (self.is_made_again and self.ended != "interrupted")


class Calls:
    """What is known of each tool call, within a chain."""

    def __init__(self) -> None:
        self._calls: OrderedDict[tuple[str, str], list[Call]] = OrderedDict()
        self._lock = threading.Lock()

    def decided(self, step: StepRef, tool_call_ids: Iterable[str], holder: StepRef | None = None) -> None:
        """Remember that a model step asked for these calls, in the course of a step."""
        for tool_call_id in tool_call_ids:
            self._add((step.chain_id, tool_call_id), Call(_reference(step), _places(holder)))

    def made(self, step: OpenStep, ended: Status, holder: StepRef | None = None) -> None:
        """Remember that a tool step is about to end so."""
        tool_call_id = step.attributes.get(semconv.TOOL_CALL_ID)
        if not isinstance(tool_call_id, str):
            return
        call = self._taken(step, tool_call_id)
        if call is None:
            call = Call(None, _places(holder))
            self._add((step.chain_id, tool_call_id), call)
        attempt = step.attributes.get(semconv.ATTEMPT)
        call.attempt = attempt if isinstance(attempt, int) else 1
        call.made, call.last, call.ended = call.made + 1, _reference(step), ended
        call.untold = step if ended == "error" and step.produced is None else None

    def call(self, chain_id: str, tool_call_id: str, holder: StepRef | None) -> Call | None:
        """Return the call that is made in the course of a step, if it is known."""
        calls = self._calls.get((chain_id, tool_call_id), ())
        if len(calls) < 2:
            return calls[0] if calls else None
        here = _places(holder)
        return max(reversed(calls), key=lambda call: _nearness(call, here))

    def _taken(self, step: OpenStep, tool_call_id: str) -> Call | None:
        causes = {cause.source_id for cause in step.causes}
        for call in reversed(self._calls.get((step.chain_id, tool_call_id), ())):
            if call.decider is None or call.decider.id in causes:
                return call
        return None

    def _add(self, key: tuple[str, str], call: Call) -> None:
        with self._lock:
            calls = self._calls.setdefault(key, [])
            calls.append(call)
            del calls[:-MAX_SAME]
            if len(self._calls) > MAX_IDS:
                self._calls.popitem(last=False)


def _reference(step: StepRef) -> StepRef:
    return RemoteStep(step.id, step.chain_id, step.seq, step.hop, step.agent, step.span_context)


def _places(holder: StepRef | None) -> tuple[str, str | None, str | None] | None:
    return None if holder is None else (holder.id, getattr(holder, "parent_id", None), holder.agent)


def _nearness(call: Call, here: tuple[str, str | None, str | None] | None) -> int:
    if call.places is None or here is None:
        return 0
    step, above, agent = call.places
    if step == here[0]:
        return 3
    return 2 if above is not None and above == here[1] else int(agent == here[2])
