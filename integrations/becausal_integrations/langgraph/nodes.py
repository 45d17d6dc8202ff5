"""Tasks of a graph as agent steps, and the handoffs that end in them."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context

from becausal import semconv
from becausal.context import current, with_step
from becausal.recorder import NOTHING, Opening, Recorder, Sealed
from becausal.step import Cause, OpenStep, Status
from becausal_integrations.langchain.describe import outcome
from becausal_integrations.langgraph.describe import (
    GOTO,
    TASKS,
    attempt_of,
    decision,
    destinations,
    is_hidden,
    returned_value,
    route,
    task_attributes,
    unpacked,
    update_of,
)
from becausal_integrations.langgraph.ledger import Arrival, GraphRecord, Register, TaskRecord

if TYPE_CHECKING:
    from langgraph.graph._branch import BranchSpec
    from langgraph.pregel._loop import PregelLoop
    from langgraph.types import PregelExecutableTask

__all__ = ["Nodes"]


class Nodes:
    """Says what the running of a task means, and what it writes."""

    def __init__(self, recorder: Recorder, register: Register) -> None:
        self._recorder, self._register = recorder, register

    # -- a task's run

    def opened(self, task: PregelExecutableTask, *_: Any, **__: Any) -> Opening | None:
        """Tell a call of `run_with_retry`; hidden tasks are no steps."""
        record = self._register.of(task)
        if is_hidden(task):
            return None
        opening = Opening("agent", task.name, task.name, task.input, attributes=task_attributes(task))
        if record is not None:
            opening.agent = record.agent
            opening.parent = record.caller or record.graph.workflow
            opening.causes = record.causes
            handoffs = (self._handed_over(arrival, record) for arrival in record.arrivals)
            opening.arrivals = [handoff for handoff in handoffs if handoff is not None]
        return opening

    def begun(self, task: PregelExecutableTask, *_: Any, **__: Any) -> None:
        """Note which step a task is; called inside the step's scope."""
        record, step = self._register.of(task), current()
        if record is not None and not record.is_hidden and isinstance(step, OpenStep):
            record.step = step
            self._register.steps[step.id] = record

    def scope(self, task: PregelExecutableTask, *_: Any, **__: Any) -> Context | None:
        """Return the context for a hidden task: what runs in it (a conditional entry) is the graph's own work."""
        record = self._register.of(task)
        return with_step(record.graph.workflow) if record is not None and record.is_hidden else None

    def closed(self, step: OpenStep, _: Any) -> Any:
        """Seal what a task sends on; what it returned was sealed when it was written."""
        record = self._register.steps.pop(step.id, None)
        task = None if record is None else record.task()
        if record is None or task is None:
            return NOTHING
        record.sends = [
            (send, self._recorder.seal(send.arg)) for channel, send in task.writes if channel == TASKS
        ]
        return update_of(task.writes) if step.produced is None else NOTHING

    def failed(self, step: OpenStep, error: BaseException) -> Status | None:
        """Tell an interrupt or a jump to the parent graph from a failure."""
        self._register.steps.pop(step.id, None)
        return outcome(error)

    def _handed_over(self, arrival: Arrival, receiver: TaskRecord) -> OpenStep | None:
        sender = arrival.sender
        sent = arrival.sent or (NOTHING if sender.produced is None else Sealed(sender.produced))
        return self._recorder.handoff(
            sender.agent,
            receiver.agent,
            sent,
            sent_by=sender,
            parent=receiver.graph.workflow,
            cause=Cause(sender.id, "transfer", "observed", arrival.evidence, sender.span_context),
        )

    # -- what it writes

    def writing(self, config: Mapping[str, Any], writes: Sequence[Any], *_: Any, **__: Any) -> None:
        """Seal what a node returned, before it is cut to the graph's schema."""
        step, record = self._running(config)
        if step is None or record is None:
            return
        task = record.task()
        value = returned_value(writes)
        if value is NOTHING or task is None or (task.writes and step.produced is not None):
            return
        self._recorder.produce(step, unpacked(value))
        if (attempt := attempt_of(config)) > 1:
            step.attributes[semconv.ATTEMPT] = attempt
        if places := destinations(value):
            self._decide(step, "hand over to", places, task.input)

    def routing(self, branch: BranchSpec, _: Any, __: Any, result: Any, config: Mapping[str, Any]) -> None:
        """Note what a conditional edge decided; a prebuilt agent's own wiring decides nothing."""
        step, record = self._running(config)
        if step is None or (record is not None and record.graph.agent is not None):
            return
        task = None if record is None else record.task()
        self._decide(step, "route to", route(branch.ends, result), None if task is None else task.input)

    def _running(self, config: Mapping[str, Any]) -> tuple[OpenStep | None, TaskRecord | None]:
        """Return the step and the task that are writing; the workflow's step for a hidden task."""
        step = current()
        if not isinstance(step, OpenStep):
            return None, None
        if step.kind == "workflow":
            return step, None
        record = self._register.steps.get(step.id)
        if record is None or config.get("configurable", {}).get("__pregel_task_id") != record.id:
            return None, None
        return step, record

    def _decide(self, step: OpenStep, verb: str, places: tuple[str, ...], received: Any) -> None:
        self._recorder.decide(step, decision(verb, places, received))
        step.attributes[GOTO] = places

    # -- tasks that come about otherwise

    def pushing(
        self, loop: PregelLoop, task: PregelExecutableTask, *_: Any, **__: Any
    ) -> tuple[GraphRecord | None, TaskRecord | None]:
        """Keep who calls."""
        return self._register.graphs.get(loop), self._register.of(task)

    def pushed(self, token: Any, child: PregelExecutableTask | None, _: BaseException | None) -> None:
        """Note a `@task` call: the child stands under the task that called it."""
        graph, caller = token or (None, None)
        if graph is None or child is None or self._register.of(child) is not None:
            return
        record = TaskRecord(weakref.ref(child), child.id, child.name, graph, is_hidden(child))
        record.caller = None if caller is None else caller.step
        self._register.add(record, child)

    def failing(self, loop: PregelLoop, failed: PregelExecutableTask, *_: Any) -> tuple[Any, Any]:
        """Keep who failed."""
        return self._register.graphs.get(loop), self._register.of(failed)

    def handled(self, token: Any, handler: PregelExecutableTask | None, _: BaseException | None) -> None:
        """Note an error handler's task: the failed one is its cause."""
        graph, failed = token or (None, None)
        if graph is None or handler is None:
            return
        record = TaskRecord(weakref.ref(handler), handler.id, graph.agent or handler.name, graph)
        if failed is not None and failed.step is not None:
            evidence = f"error handler of {failed.agent}"
            record.causes = [Cause(failed.step.id, "route", "declared", evidence, failed.step.span_context)]
        self._register.add(record, handler)

    def matching(self, loop: PregelLoop) -> GraphRecord | None:
        """Keep the run of the graph."""
        return self._register.graphs.get(loop)

    def matched(
        self, graph: GraphRecord | None, tasks: Sequence[PregelExecutableTask] | None, _: BaseException | None
    ) -> None:
        """Tell each hit in the cache as the step that it stands for."""
        for task in tasks or ():
            record = self._register.of(task)
            if (
                record is None and graph is not None
            ):  # a `@task` call, matched before `accept_push` returns it
                caller = current()
                record = TaskRecord(weakref.ref(task), task.id, task.name, graph)
                record.caller = caller if isinstance(caller, OpenStep) else None
                self._register.add(record, task)
            opening = self.opened(task)
            if record is None or opening is None:
                continue
            opening.attributes[semconv.CACHED] = True
            record.step = self._recorder.begin(opening)
            if record.step is not None:
                self._recorder.end(record.step, update_of(task.writes))
