"""Runs of graphs as workflow steps, and their supersteps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from becausal import semconv
from becausal.context import current
from becausal.recorder import Opening, Passing, Recorder, Sealed
from becausal.step import Cause, OpenStep, StepRef
from becausal_integrations.langgraph.channels import fired, next_version, sends_of, versioned
from becausal_integrations.langgraph.describe import (
    agent_name,
    carried_by,
    graph_attributes,
    graph_name,
    how_left,
    is_hidden,
)
from becausal_integrations.langgraph.kept import Kept
from becausal_integrations.langgraph.ledger import Arrival, Ledger
from becausal_integrations.langgraph.register import GraphRecord, Register, TaskRecord
from becausal_integrations.langgraph.resume import Origin, Resumptions
from becausal_integrations.langgraph.state import States
from becausal_integrations.langgraph.superstep import Superstep

if TYPE_CHECKING:
    from langgraph.pregel._loop import PregelLoop
    from langgraph.types import PregelExecutableTask

__all__ = ["Graphs"]

PUSH = "__pregel_push"


class Graphs:
    """Says what the methods of a `PregelLoop` mean."""

    def __init__(
        self, recorder: Recorder, register: Register, states: States, resumptions: Resumptions, kept: Kept
    ) -> None:
        self._recorder, self._register = recorder, register
        self._states, self._resumptions, self._kept = states, resumptions, kept

    # -- a run

    def entering(self, loop: PregelLoop, *_: Any) -> tuple[PregelLoop, Any, Sealed, Sealed | None]:
        """Seal the input as it was given: entering a loop puts ids into messages."""
        received = self._recorder.seal(loop.input)
        return loop, loop.input, received, self._kept.given(loop, received)

    def entered(
        self,
        token: tuple[PregelLoop, Any, Sealed, Sealed | None] | None,
        _: Any,
        error: BaseException | None,
    ) -> None:
        """Begin the workflow step, now that it is known which checkpoint the run goes on from."""
        if token is None:
            return
        loop, given, received, in_order = token
        origin = Origin() if error is not None else self._resumptions.origin(loop, given)
        agent, here = agent_name(_graph(loop), loop.nodes, current()), current()
        opening = self._opening(loop, received, origin, agent, here)
        calling = _calling(here, agent)
        if calling is not None:
            evidence = f"call of {calling.name}"
            cause = Cause(calling.id, "transfer", "observed", evidence, calling.span_context)
            opening.arrivals = [Passing(calling.agent, agent, received, calling, calling, cause)]
        workflow = self._recorder.begin(opening)
        if workflow is None:
            return
        if error is not None:
            self._recorder.end(workflow, error=error, status=how_left(loop, error))
            return
        branches: Mapping[str, Any] = getattr(getattr(_graph(loop), "builder", None), "branches", {})
        graph = GraphRecord(workflow, agent, Ledger(), frozenset(loop.specs), branches, loop.nodes)
        graph.is_saved, graph.calling = loop.checkpointer is not None, calling
        self._resumptions.go_on(graph, loop, origin)
        if not origin.is_resumption:
            self._resumptions.saved(graph, loop)
        self._register.graphs[loop] = graph
        self._kept.entered(loop, workflow, in_order)

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
        self._resumptions.stopped(graph, loop, is_over=status == "ok")
        if str(loop.status) == "out_of_steps":
            graph.workflow.error = (
                f"GraphRecursionError: recursion limit of {loop.config['recursion_limit']} reached"
            )
        produced: Any = loop.output
        if produced is None and (raised is not None or status != "ok"):
            produced = carried_by(raised)
        self._register.finish_superstep(graph)
        if graph.calling is not None and status == "ok":
            produced = self._recorder.seal(produced)
            self._hand_back(graph, graph.calling, produced)
        self._recorder.end(graph.workflow, produced, error=raised, status=status)

    def _opening(
        self, loop: PregelLoop, received: Sealed, origin: Origin, agent: str | None, here: StepRef | None
    ) -> Opening:
        opening = Opening(
            "workflow",
            graph_name(_graph(loop), loop.config),
            agent=agent,
            received=received,
            parent=self._caller(loop, here),
            attributes=graph_attributes(loop) | origin.attributes(),
        )
        cause = origin.cause()
        if cause is not None and origin.left is not None:
            opening.causes = [cause]
            if origin.is_resumption and here is None and opening.parent is None:
                opening.chain_id = origin.left.workflow.chain_id
        return opening

    def _hand_back(self, graph: GraphRecord, caller: OpenStep, produced: Sealed) -> None:
        """Tell the answer of an agent that a tool has called: the tool's caller has it."""
        workflow = graph.workflow
        evidence = f"answer to {caller.name}"
        cause = Cause(workflow.id, "transfer", "observed", evidence, workflow.span_context)
        handoff = self._recorder.handoff(
            graph.agent, caller.agent, produced, sent_by=workflow, parent=caller, cause=cause
        )
        if handoff is not None:
            handoff.attributes[semconv.TRANSFER_RECEIVED_BY] = caller.id
            handoff.attributes[semconv.TRANSFER_EQUAL] = True
            self._recorder.end(handoff, produced)

    def _caller(self, loop: PregelLoop, here: StepRef | None) -> StepRef | None:
        """Return the task that a nested graph runs in, where what is current does not know of it."""
        task_id = loop.config.get("configurable", {}).get("__pregel_task_id")
        if task_id is None or here is not None:
            return None
        callers = (record.step for record in list(self._register.steps.values()) if record.id == task_id)
        return next(callers, None)

    # -- a superstep

    def ticked(
        self, called: tuple[PregelLoop] | None, goes_on: bool | None, error: BaseException | None
    ) -> None:
        """Note what triggered each task of a superstep, and what it reads; `called` are the arguments of `tick`."""
        if called is None or not goes_on or error is not None:
            return
        loop = called[0]
        graph = self._register.graphs.get(loop)
        if graph is None:
            return
        sends = sends_of(loop.channels)
        if graph.awaits is not None:
            self._resumptions.look_up(graph, loop)
        graph.next_version = next_version(loop.checkpoint["channel_versions"])
        for task in loop.tasks.values():
            if task.id not in graph.tasks:
                self._register.add(_planned(loop, graph, task, sends), task)

    def applying(self, loop: PregelLoop, *_: Any) -> tuple[GraphRecord, Superstep] | None:
        """Keep the tasks that are done, and how the channels stand before their writes."""
        graph = self._register.graphs.get(loop)
        return None if graph is None else (graph, Superstep.of(loop, graph.tasks))

    def applied(
        self, token: tuple[GraphRecord, Superstep] | None, _: Any, error: BaseException | None
    ) -> None:
        """Note who wrote what; also when LangGraph then interrupts."""
        if token is None:
            return
        graph, done = token
        is_applied = error is None or how_left(done.loop, error) == "interrupted"
        graph.ledger.apply(done, self._states.merged(graph, done) if is_applied else {})
        if is_applied:
            if graph.is_saved:
                self._resumptions.saved(graph, done.loop)
            self._register.finish_superstep(graph)


def _graph(loop: PregelLoop) -> Any:
    """Return the graph that a loop runs: the owner of the one method of it that the loop is given."""
    return getattr(loop._migrate_checkpoint, "__self__", None)


def _calling(here: StepRef | None, agent: str | None) -> OpenStep | None:
    """Return the tool in which an agent's graph is run for another agent."""
    is_tool = isinstance(here, OpenStep) and here.kind == "tool"
    return here if isinstance(here, OpenStep) and is_tool and None is not agent != here.agent else None


def _planned(loop: PregelLoop, graph: GraphRecord, task: PregelExecutableTask, sends: Any) -> TaskRecord:
    record = TaskRecord(task, graph.agent or task.name, graph, is_hidden(task))
    is_pushed = task.path[0] == PUSH
    if not is_pushed:
        versions, seen = loop.checkpoint["channel_versions"], loop.checkpoint["versions_seen"]
        record.fired = fired(task.triggers, loop.channels, versions, seen.get(task.name, {}))
        channels = loop.nodes[task.name].channels
        record.reads = (channels,) if isinstance(channels, str) else tuple(channels)
        record.seen = versioned(record.reads, versions)
    before = graph.resumed.get(task.id)
    if before is not None:
        # The state was handed over when the task first ran. A task that finished then runs no more.
        record.resumes = before
        record.causes = [Cause(before.id, "resume", "observed", f"task {task.id}", before.span_context)]
        return record
    if is_pushed:
        index = task.path[1]
        if isinstance(index, int) and index < len(sends):
            record.arrivals, record.causes, record.entry = graph.ledger.sent(sends[index], index)
    else:
        record.arrivals = graph.ledger.triggered_by(record.fired)
        record.causes = graph.ledger.read_from(loop, record.fired, record.reads, record.arrivals)
    if graph.agent is not None:
        record.causes = [*record.causes, *map(_passed_on, record.arrivals)]
        record.arrivals = ()
    return record


def _passed_on(arrival: Arrival) -> Cause:
    sender = arrival.sender
    return Cause(sender.id, "transfer", "observed", arrival.evidence, sender.span_context)
