"""Retries: each failed attempt is a step of its own, and the next attempt is caused by it.

LangGraph tries again within one call of `run_with_retry`. What it asks after each failure, in that same frame, is
`_should_retry_on`: there the step of the failed attempt ends and that of the next begins.
"""

from __future__ import annotations

from typing import Any

from becausal import semconv
from becausal.context import succeed
from becausal.recorder import Opening, Recorder
from becausal.step import Cause
from becausal_integrations.langgraph.describe import task_attributes
from becausal_integrations.langgraph.inplace import Entry
from becausal_integrations.langgraph.register import Register, TaskRecord
from becausal_integrations.langgraph.routes import Routes

__all__ = ["Attempts"]


class Attempts:
    """Says what LangGraph's question whether to try again means."""

    def __init__(self, recorder: Recorder, register: Register, routes: Routes) -> None:
        self._recorder, self._register, self._routes = recorder, register, routes

    def asking(self, policy: Any, error: Exception) -> tuple[Any, Exception]:
        """Keep what the question is about."""
        return policy, error

    def asked(self, token: tuple[Any, Exception] | None, again: bool | None, _: BaseException | None) -> None:
        """End the attempt that failed, and begin the next one, if there will be one."""
        record = self._register.running()
        if token is None or not again or record is None or record.is_hidden:
            return
        policy, error = token
        if record.attempt < policy.max_attempts:
            self._try_again(record, error)

    def _try_again(self, record: TaskRecord, error: Exception) -> None:
        failed, task = record.step, record.task()
        if failed is None or task is None:
            return
        self._routes.left(record, error=error)
        failed.attributes[semconv.ATTEMPT] = record.attempt
        self._recorder.end(failed, error=error)
        record.attempt += 1
        received = self._recorder.seal(task.input)
        record.entry = Entry(received, task.input, is_copy=bool(record.fired))
        record.routed, record.routes = 0, ()
        attributes = task_attributes(task) | {semconv.ATTEMPT: record.attempt}
        for name in (semconv.STATE_READ, semconv.MEMORY_SEEN):
            if name in failed.attributes:
                attributes[name] = failed.attributes[name]
        evidence = f"attempt {record.attempt - 1} of task {record.id}"
        step = self._recorder.begin(
            Opening(
                "agent",
                task.name,
                record.agent,
                received,
                record.caller or record.graph.workflow,
                [Cause(failed.id, "retry", "observed", evidence, failed.span_context)],
                attributes=attributes,
            )
        )
        if step is None:
            return
        step.hop = failed.hop
        record.step = step
        self._register.steps[step.id] = record
        succeed(step)
