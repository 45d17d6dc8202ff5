"""Runs of graphs as workflow steps, and their supersteps."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from becausal.context import current
from becausal.recorder import NOTHING, Opening, Recorder, Sealed
from becausal.step import Cause, OpenStep, StepRef
from becausal_integrations.langgraph.describe import (
    TASKS,
    agent_name,
    graph_attributes,
    graph_name,
    how_left,
    is_hidden,
)
from becausal_integrations.langgraph.ledger import Arrival, GraphRecord, Ledger, Paused, Register, TaskRecord

if TYPE_CHECKING:
    from langgraph.pregel._loop import PregelLoop
    from langgraph.types import PregelExecutableTask

__all__ = ["Graphs"]

PUSH = "__pregel_push"


class Graphs:
    """Says what the methods of a `PregelLoop` mean."""

    def __init__(self, recorder: Recorder, register: Register) -> None:
        self._recorder, self._register = recorder, register

    # -- a run

    def entering(self, loop: PregelLoop, *_: Any) -> tuple[PregelLoop, Sealed]:
        """Seal the input as it was given: entering a loop puts ids into messages."""
        return loop, self._recorder.seal(loop.input)

    def entered(self, token: tuple[PregelLoop, Sealed] | None, _: Any, error: BaseException | None) -> None:
        """Begin the workflow step, now that it is known which checkpoint the run goes on from."""
        if token is None:
            return
        loop, received = token
        paused = None if error is not None else self._register.paused(loop.checkpoint["id"])
        workflow = self._begin(loop, received, paused)
        if workflow is None:
            return
        if error is not None:
            self._recorder.end(workflow, error=error, status=how_left(loop, error))
            return
        graph = GraphRecord(workflow, agent_name(_graph(loop), loop.nodes, current()), Ledger())
        if paused is not None:
            graph.ledger, graph.resumed = paused.ledger, paused.steps
        self._register.graphs[loop] = graph

    def leaving(self, loop: PregelLoop, *raised: Any) -> tuple[PregelLoop, BaseException | None]:
        """Note the exception that a loop is left with."""
        return loop, raised[1] if len(raised) > 1 else None

    def left(
        self, token: tuple[PregelLoop, BaseException | None] | None, _: Any, error: BaseException | None
    ) -> None:
        """End the workflow step with the values of the graph's output channels."""
        if token is None:
            return
        loop, raised = token
        graph = self._register.graphs.pop(loop, None)
        if graph is None:
            return
        raised = error or raised
        status = how_left(loop, raised)
        if status == "interrupted":
            self._register.pause(loop.checkpoint["id"], graph)
        if str(loop.status) == "out_of_steps":
            graph.workflow.error = (
                f"GraphRecursionError: recursion limit of {loop.config['recursion_limit']} reached"
            )
        produced = NOTHING if loop.output is None and status != "ok" else loop.output
        self._register.finish_superstep(graph)
        self._recorder.end(graph.workflow, produced, error=raised, status=status)

    def _begin(self, loop: PregelLoop, received: Sealed, paused: Paused | None) -> OpenStep | None:
        here = current()
        name = graph_name(_graph(loop), loop.config)
        opening = Opening(
            "workflow",
            name,
            agent=agent_name(_graph(loop), loop.nodes, here),
            received=received,
            parent=self._caller(loop, here),
            attributes=graph_attributes(loop),
        )
        if paused is not None:
            before = paused.workflow
            evidence = f"checkpoint {loop.checkpoint['id']}"
            opening.causes = [Cause(before.id, "resume", "observed", evidence, before.span_context)]
            if here is None:
                opening.chain_id = before.chain_id
        return self._recorder.begin(opening)

    def _caller(self, loop: PregelLoop, here: StepRef | None) -> StepRef | None:
        """Return the task that a nested graph runs in, where what is current does not know of it."""
        task_id = loop.config.get("configurable", {}).get("__pregel_task_id")
        if task_id is None:
            return None
        callers = (record.step for record in list(self._register.steps.values()) if record.id == task_id)
        step = None if here is not None else next(callers, None)
        return step

    # -- a superstep

    def ticking(self, loop: PregelLoop, *_: Any, **__: Any) -> PregelLoop:
        """Keep the loop for `ticked`."""
        return loop

    def ticked(self, loop: PregelLoop | None, goes_on: bool | None, error: BaseException | None) -> None:
        """Note what triggered each task of a superstep, and what it reads."""
        graph = None if loop is None else self._register.graphs.get(loop)
        if graph is None or loop is None or not goes_on or error is not None:
            return
        sends = (
            loop.channels[TASKS].get()
            if TASKS in loop.channels and loop.channels[TASKS].is_available()
            else []
        )
        for task in loop.tasks.values():
            if task.id not in graph.tasks:
                self._register.add(_planned(loop, graph, task, sends), task)

    def applying(self, loop: PregelLoop, *_: Any) -> tuple[PregelLoop, dict[str, Any]]:
        """Keep the channels' versions from before a superstep's writes."""
        return loop, dict(loop.checkpoint["channel_versions"])

    def applied(self, token: tuple[PregelLoop, dict[str, Any]] | None, *_: Any) -> None:
        """Note who wrote what; also when LangGraph then interrupts."""
        graph = None if token is None else self._register.graphs.get(token[0])
        if token is None or graph is None:
            return
        graph.ledger.apply(token[0], graph.tasks, token[1])
        self._register.finish_superstep(graph)


def _graph(loop: PregelLoop) -> Any:
    """Return the graph that a loop runs: the owner of the one method of it that the loop is given."""
    return getattr(loop._migrate_checkpoint, "__self__", None)


def _planned(loop: PregelLoop, graph: GraphRecord, task: PregelExecutableTask, sends: Any) -> TaskRecord:
    record = TaskRecord(weakref.ref(task), task.id, graph.agent or task.name, graph, is_hidden(task))
    before = graph.resumed.get(task.id)
    if before is not None:
        # The state was handed over when the task first ran. A task that finished then runs no more.
        record.step = before if task.writes else None
        record.causes = [Cause(before.id, "resume", "observed", f"task {task.id}", before.span_context)]
        return record
    if task.path[0] == PUSH:
        index = task.path[1]
        if isinstance(index, int) and index < len(sends):
            record.arrivals = graph.ledger.sent(sends[index], index)
    else:
        record.fired = _fired(loop, task)
        record.arrivals = graph.ledger.triggered_by(record.fired)
        channels = loop.nodes[task.name].channels
        record.reads = (channels,) if isinstance(channels, str) else tuple(channels)
        record.causes = graph.ledger.read_from(record.reads, record.arrivals)
    if graph.agent is not None:
        record.causes += map(_passed_on, record.arrivals)
        record.arrivals = []
    return record


def _fired(loop: PregelLoop, task: PregelExecutableTask) -> tuple[str, ...]:
    """Return which of its triggers made a task run. Source: `_algo._triggers`."""
    versions = loop.checkpoint["channel_versions"]
    seen = loop.checkpoint["versions_seen"].get(task.name, {})
    return tuple(
        channel
        for channel in task.triggers
        if channel in versions
        and (channel not in seen or versions[channel] > seen[channel])  # type: ignore[operator]
        and loop.channels[channel].is_available()
    )


def _passed_on(arrival: Arrival) -> Cause:
    sender = arrival.sender
    return Cause(sender.id, "transfer", "observed", arrival.evidence, sender.span_context)
