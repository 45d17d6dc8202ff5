"""Tool calls by the ids that models give them: who decided on each, and what became of it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from becausal import semconv
from becausal.step import Cause, EdgeKind, OpenStep, StepRef

__all__ = ["Calls"]

MAX_CALLS = 10_000
"""Tool calls that are remembered; the oldest is forgotten beyond so many."""


@dataclass(slots=True)
class _Call:
    decider: StepRef | None = None
    made: int = 0
    last: OpenStep | None = None


class Calls:
    """What is known of each tool call, within a chain."""

    def __init__(self) -> None:
        self._calls: OrderedDict[tuple[str, str], _Call] = OrderedDict()
        self._lock = threading.Lock()

    def decided(self, step: StepRef, tool_call_ids: Iterable[str]) -> None:
        """Remember that a model step asked for these calls."""
        for tool_call_id in tool_call_ids:
            self._of(step.chain_id, tool_call_id).decider = step

    def made(self, step: OpenStep) -> None:
        """Remember that a tool step is over."""
        tool_call_id = step.attributes.get(semconv.TOOL_CALL_ID)
        if isinstance(tool_call_id, str):
            call = self._of(step.chain_id, tool_call_id)
            call.made, call.last = call.made + 1, step

    def decider(self, chain_id: str, tool_call_id: str) -> StepRef | None:
        """Return the model step that asked for a call, if it is known."""
        call = self._calls.get((chain_id, tool_call_id))
        return None if call is None else call.decider

    def last(self, chain_id: str, tool_call_id: str) -> tuple[int, OpenStep | None]:
        """Return how often a call was made so far, and the last step of it."""
        call = self._calls.get((chain_id, tool_call_id))
        return (0, None) if call is None else (call.made, call.last)

    def causes(self, chain_id: str, tool_call_id: str) -> list[Cause]:
        """Return what a step that makes this call now is caused by: its decider, and an earlier try of it."""
        call = self._calls.get((chain_id, tool_call_id))
        if call is None:
            return []
        evidence = f"tool call id {tool_call_id}"
        causes = []
        if call.decider is not None:
            causes.append(Cause(call.decider.id, "data", "observed", evidence, call.decider.span_context))
        if (before := call.last) is not None:
            kind: EdgeKind = "resume" if before.status == "interrupted" else "retry"
            causes.append(Cause(before.id, kind, "observed", evidence, before.span_context))
        return causes

    def _of(self, chain_id: str, tool_call_id: str) -> _Call:
        with self._lock:
            call = self._calls.get((chain_id, tool_call_id))
            if call is None:
                call = self._calls[chain_id, tool_call_id] = _Call()
                if len(self._calls) > MAX_CALLS:
                    self._calls.popitem(last=False)
            return call
