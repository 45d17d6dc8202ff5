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
from becausal.step import Cause, EdgeKind, OpenStep, StepRef

__all__ = ["Call", "Calls"]

MAX_IDS = 10_000
"""Ids of tool calls that are remembered; the oldest is forgotten beyond so many."""

MAX_SAME = 64
"""Calls of one id in a chain that are told apart."""


@dataclass(slots=True)
class Call:
    """One call that was decided on, or made without a decision that we know of."""

    decider: StepRef | None = None
    holder: StepRef | None = None  # the step in whose course it was decided on
    made: int = 0
    last: OpenStep | None = None  # the step that made it last

    def causes(self, tool_call_id: str) -> list[Cause]:
        """Return what a step that makes this call now is caused by: its decider, and an earlier try of it."""
        evidence = f"tool call id {tool_call_id}"
        causes = []
        if self.decider is not None:
            causes.append(Cause(self.decider.id, "data", "observed", evidence, self.decider.span_context))
        if (before := self.before()) is not None:
            kind: EdgeKind = "resume" if before.status == "interrupted" else "retry"
            causes.append(Cause(before.id, kind, "observed", evidence, before.span_context))
        return causes

    def before(self) -> OpenStep | None:
        """Return the earlier try of this call; without a decision, only one that failed is surely of the same call."""
        last = self.last
        return None if last is None or (self.decider is None and last.status == "ok") else last


class Calls:
    """What is known of each tool call, within a chain."""

    def __init__(self) -> None:
        self._calls: OrderedDict[tuple[str, str], list[Call]] = OrderedDict()
        self._lock = threading.Lock()

    def decided(self, step: StepRef, tool_call_ids: Iterable[str], holder: StepRef | None = None) -> None:
        """Remember that a model step asked for these calls, in the course of a step."""
        for tool_call_id in tool_call_ids:
            self._add((step.chain_id, tool_call_id), Call(step, holder))

    def made(self, step: OpenStep, holder: StepRef | None = None) -> None:
        """Remember that a tool step is over."""
        tool_call_id = step.attributes.get(semconv.TOOL_CALL_ID)
        if not isinstance(tool_call_id, str):
            return
        call = self._taken(step, tool_call_id)
        if call is None:
            call = Call(None, holder)
            self._add((step.chain_id, tool_call_id), call)
        call.made, call.last = call.made + 1, step

    def call(self, chain_id: str, tool_call_id: str, holder: StepRef | None) -> Call | None:
        """Return the call that is made in the course of a step, if it is known."""
        calls = self._calls.get((chain_id, tool_call_id), ())
        if len(calls) < 2:
            return calls[0] if calls else None
        return max(reversed(calls), key=lambda call: _nearness(call, holder))

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


def _nearness(call: Call, holder: StepRef | None) -> int:
    there = call.holder
    if there is None or holder is None:
        return 0
    if there.id == holder.id:
        return 3
    above = getattr(there, "parent_id", None)
    if above is not None and above == getattr(holder, "parent_id", None):
        return 2
    return int(there.agent == holder.agent)
