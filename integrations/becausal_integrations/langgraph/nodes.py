"""Tasks of a graph as agent steps, and the handoffs that end in them."""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context

from becausal import semconv
from becausal.context import current, with_step
from becausal.recorder import NOTHING, Opening, Passing, Recorder, Sealed
from becausal.step import Cause, OpenStep, Status
from becausal_integrations.langchain.describe import outcome
from becausal_integrations.langgraph.decisions import GOTO, decision, destinations, is_told_before, premises
from becausal_integrations.langgraph.describe import (
    DROPPED_KEYS,
    PRIVATE_KEYS,
    TASKS,
    asked_by,
    dropped_keys,
    is_hidden,
    private_keys,
    returned_value,
    task_attributes,
    unpacked,
    update_of,
)
from becausal_integrations.langgraph.inplace import Entry
from becausal_integrations.langgraph.ledger import Arrival
from becausal_integrations.langgraph.register import GraphRecord, Register, TaskRecord
from becausal_integrations.langgraph.routes import Routes
from becausal_integrations.langgraph.sends import sent
from becausal_integrations.langgraph.state import States

if TYPE_CHECKING:
    from langgraph.pregel._loop import PregelLoop
    from langgraph.types import PregelExecutableTask

__all__ = ["Nodes"]

_CHANNEL = operator.itemgetter(0)


class Nodes:
    """Says what the running of a task means, and what it writes."""

    def __init__(self, recorder: Recorder, register: Register, states: States, routes: Routes) -> None:
        self._recorder, self._register = recorder, register
        self._states, self._routes = states, routes

    # -- a task's run

    def opened(self, task: PregelExecutableTask, *_: Any, **__: Any) -> Opening | None:
        """Tell a call of `run_with_retry`; hidden tasks are no steps."""
        record = self._register.of(task)
        if is_hidden(task) if record is None else record.is_hidden:
            return None
        if self._recorder.replaying is not None and record is not None:
            from becausal_integrations.langgraph.edits import edit_input

            edit_input(self._recorder, task, record.caller or record.graph.workflow)
        entry = None if record is None else record.entry
        if record is not None and entry is not None and entry.is_as_sealed(self._recorder, task.input):
            received = entry.sealed
            if record.arrivals:  # the handoff brings the parts
                received = tuple.__new__(Sealed, (received.payload, received.bodies[-1:]))
        else:
            received, entry = self._recorder.seal(task.input), None
        name, attributes = task.name, task_attributes(task)
        if record is None:
            return Opening("agent", name, name, received, attributes=attributes)
        record.entry = entry or Entry(received, task.input, is_copy=bool(record.fired))
        if record.seen:
            attributes[semconv.STATE_READ] = record.seen
        parent, causes = record.caller or record.graph.workflow, record.causes
        arrivals = [*map(_handed_over, record.arrivals, itertools.repeat(record))] if record.arrivals else ()
        opening = Opening("agent", name, record.agent, received, parent, causes, arrivals, attributes)
        opening.told = functools.partial(self._begun, record)
        return opening

    def _begun(self, record: TaskRecord, step: OpenStep) -> None:
        """Note which step a task is, before it runs."""
        record.step = step
        self._register.steps[step.id] = record
        if record.resumes is not None:
            step.hop = max(step.hop, record.resumes.hop)

    def elsewhere(self, task: PregelExecutableTask, *_: Any, **__: Any) -> Context | None:
        """Return the context for a hidden task: what runs in it (a conditional entry) is the graph's own work."""
        record = self._register.of(task)
        if record is None or not record.is_hidden:
            return None
        self._register.steps[record.graph.workflow.id] = record
        return with_step(record.graph.workflow)

    def closed(self, first: OpenStep, _: Any) -> Any:
        """Seal what a task sends on; what it returned was sealed when it was written."""
        record = self._register.steps.pop(first.id, None)
        task = None if record is None else record.task()
        if record is None or task is None or record.step is None:
            return NOTHING
        step = record.step
        if TASKS in map(_CHANNEL, task.writes):
            sends = [value for channel, value in task.writes if channel == TASKS]
            record.sends = sent(self._recorder, sends, step)
        self._states.written(record, task, step)
        self._states.changed_in_place(record, task, step)
        produced = update_of(task.writes) if step.produced is None else NOTHING
        if step is first:
            return produced
        self._register.steps.pop(step.id, None)
        self._recorder.end(
            step, produced
        )  # of the attempt that succeeded; the first has ended as what it was
        return NOTHING

    def failed(self, first: OpenStep, error: BaseException) -> Status | None:
        """Tell an interrupt or a jump to the parent graph from a failure; an interrupt produces what it asks for."""
        record = self._register.steps.pop(first.id, None)
        step = first if record is None or record.step is None else record.step
        status = outcome(error)
        if record is not None:
            self._routes.left(record, error=error)
        if status == "interrupted" and (asked := asked_by(error)) is not NOTHING:
            self._recorder.produce(step, asked)
        if step is not first:
            self._register.steps.pop(step.id, None)
            self._recorder.end(step, error=error, status=status)
        return status

    # -- what it writes

    def writing(self, config: Mapping[str, Any], writes: Sequence[Any], *_: Any, **__: Any) -> None:
        """Seal what a node returned, before it is cut to the graph's schema."""
        value = returned_value(writes)
        record = None if value is NOTHING else self._register.running()
        step = None if record is None else record.step
        if record is None or step is None or config["configurable"].get("__pregel_task_id") != record.id:
            return
        task = record.task()
        if task is None or (task.writes and step.produced is not None):
            return
        if type(value) is dict and record.graph.channels.issuperset(value):
            # The common update: it sends nowhere, and nothing of it is dropped.
            self._recorder.produce(step, value)
            return
        update = unpacked(value)
        if dropped := dropped_keys(writes, value, record.graph.channels):
            private = private_keys(record.graph.nodes.get(task.name), value, dropped)
            if private:
                update = {key: item for key, item in value.items() if key not in private}
            step.attributes[PRIVATE_KEYS if private else DROPPED_KEYS] = dropped
        self._recorder.produce(step, update)
        if places := destinations(value):
            is_prebuilt = record.graph.agent is not None
            if not is_told_before(value, task.input, is_prebuilt=is_prebuilt):
                self._recorder.decide(step, decision("hand over to", places, premises(task.input)))
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
        record = TaskRecord(child, child.name, graph, is_hidden(child))
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
        record = TaskRecord(handler, graph.agent or handler.name, graph)
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
                record = TaskRecord(task, task.name, graph)
                record.caller = caller if isinstance(caller, OpenStep) else None
                self._register.add(record, task)
            opening = self.opened(task)
            if record is None or opening is None:
                continue
            opening.attributes[semconv.CACHED], opening.told = True, None
            record.step = self._recorder.begin(opening)
            if record.step is not None:
                self._states.written(record, task, record.step)
                self._recorder.end(record.step, update_of(task.writes))


def _handed_over(arrival: Arrival, receiver: TaskRecord) -> Passing:
    sender = arrival.sender
    produced = getattr(sender, "produced", None)  # of a step of another process it is not at hand
    sent = arrival.sent or (NOTHING if produced is None else tuple.__new__(Sealed, (produced, ())))
    cause = Cause(sender.id, "transfer", "observed", arrival.evidence, sender.span_context)
    return Passing(sender.agent, receiver.agent, sent, sender, receiver.graph.workflow, cause)
