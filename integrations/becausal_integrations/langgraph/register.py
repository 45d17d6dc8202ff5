"""What is under way in this process: runs of graphs and their tasks, and where earlier runs left off.

No strong reference leads from here to LangGraph's loop or its tasks: LangGraph frees a loop by its reference count
(its own `test_pregel_loop_refcount`), and what is kept of it here goes with it.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context

from becausal.context import current
from becausal.step import Cause, OpenStep, RemoteStep, StepRef
from becausal_integrations.langgraph.inplace import Entry
from becausal_integrations.langgraph.ledger import Arrival, Ledger
from becausal_integrations.langgraph.past import Edit, Past

if TYPE_CHECKING:
    from langgraph.graph._branch import BranchSpec
    from langgraph.pregel._loop import PregelLoop
    from langgraph.types import PregelExecutableTask

__all__ = ["GraphRecord", "Left", "Register", "TaskRecord"]

MAX_PAUSED = 1024
"""Interrupted runs that are remembered for their resumption, in this process."""

MAX_PASTS = 256
"""Runs of which it is remembered, in this process, what each of their steps wrote."""

MAX_SAVED = 8192
"""Checkpoints of which it is remembered, in this process, which run wrote them."""


@dataclass(slots=True, eq=False, repr=False)
class GraphRecord:
    """One run of a graph."""

    workflow: OpenStep
    agent: str | None  # whose work all nodes are; None: each node is an agent
    ledger: Ledger
    channels: frozenset[str] = frozenset()  # what its state has
    branches: Mapping[str, Mapping[str, BranchSpec]] = field(
        default_factory=dict
    )  # by node, in running order
    nodes: Mapping[str, Any] = field(default_factory=dict)  # the graph's own
    is_saved: bool = False  # a checkpointer keeps its state
    tasks: dict[str, TaskRecord] = field(default_factory=dict)  # of this superstep, by task id
    resumed: dict[str, StepRef] = field(default_factory=dict)  # what ran before an interrupt, by task id
    awaits: str | None = None  # the checkpoint of another process's run whose steps are still to be looked up
    next_version: str | None = None  # that this superstep's writes will have
    calling: OpenStep | None = None  # the tool that runs it, for another agent


class TaskRecord:
    """One task, from the moment that LangGraph prepares it.

    Most of what may be known of a task is not known of most tasks: it stands with the class, and is not set on each.
    """

    key: int = 0  # by which the register finds it
    arrivals: Sequence[Arrival] = ()
    causes: Sequence[Cause] = ()
    caller: OpenStep | None = None  # the task that called this one (`@task`)
    fired: tuple[str, ...] = ()  # the channels that triggered it
    reads: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()  # what it reads, each `channel@version`
    step: OpenStep | None = None  # of its latest attempt
    attempt: int = 1
    resumes: StepRef | None = None  # what stands for it in the run that was interrupted
    entry: Entry | None = None  # its input when it began; of a `Send` that waits, when it was sent
    sends: Sequence[tuple[Any, Entry]] = ()  # each `Send` and what it carried when sent
    routes: Sequence[tuple[OpenStep, tuple[str, ...]]] = ()  # and where they go
    routing: OpenStep | None = None  # the conditional edge that is being decided
    routed: int = 0  # how many have been
    premises: tuple[str, ...] = ()  # of that decision
    outside: tuple[Context, Context] | None = None  # what was current before it, and is while it is decided

    def __init__(
        self, task: PregelExecutableTask, agent: str, graph: GraphRecord, is_hidden: bool = False
    ) -> None:
        self.task = weakref.ref(task)
        self.id = task.id
        self.agent = agent
        self.graph = graph
        self.is_hidden = is_hidden

    @property
    def writer(self) -> StepRef | None:
        """The step whose writes this task's are; for one that ran before an interrupt, that of then."""
        return self.step if self.step is not None else self.resumes


@dataclass(slots=True, eq=False, repr=False)
class Left:
    """Where a run left off, for the one that goes on from there."""

    workflow: StepRef
    ledger: Ledger | None = None
    steps: dict[str, StepRef] = field(default_factory=dict)
    past: Past | None = None  # where it has no ledger: the run went on from there
    edits: tuple[Edit, ...] = ()  # from outside since then, earliest first


class Register:
    """What is under way in this process."""

    def __init__(self) -> None:
        self.graphs: weakref.WeakKeyDictionary[PregelLoop, GraphRecord] = weakref.WeakKeyDictionary()
        self.steps: dict[str, TaskRecord] = {}
        """The tasks that run now, by step id; LangGraph's own by their workflow's."""
        self.threads: OrderedDict[tuple[str, str], tuple[StepRef, str]] = OrderedDict()
        """The last run of each thread and namespace, and the checkpoint that it left behind."""
        self._tasks: dict[int, TaskRecord] = {}
        self._paused: OrderedDict[str, Left] = OrderedDict()
        self._saved: OrderedDict[str, RemoteStep] = OrderedDict()
        self._pasts: OrderedDict[str, Past] = OrderedDict()
        """The writes of the last runs, by their workflow's id."""
        self._lock = threading.Lock()

    def add(self, record: TaskRecord, task: PregelExecutableTask) -> None:
        """Note a task that LangGraph has prepared."""
        record.key = id(task)
        record.graph.tasks[task.id] = record
        self._tasks[record.key] = record

    def of(self, task: PregelExecutableTask) -> TaskRecord | None:
        """Return what is known of a task; None for one from before we looked."""
        record = self._tasks.get(id(task))
        return record if record is not None and record.task() is task else None

    def running(self) -> TaskRecord | None:
        """Return the task whose own code runs here; None inside a tool, a model or another graph of it."""
        step = current()
        return None if step is None else self.steps.get(step.id)

    def finish_superstep(self, graph: GraphRecord) -> None:
        """Forget the tasks of a superstep."""
        finished, graph.tasks = graph.tasks, {}
        for record in list(finished.values()):
            # A task that is gone may have left its id to another, of another run.
            if self._tasks.get(record.key) is record:
                del self._tasks[record.key]
            doer = graph.workflow if record.is_hidden else record.step
            if doer is not None:
                self.steps.pop(doer.id, None)

    def saved(self, checkpoint_id: str, step: StepRef, past: Past | None = None) -> None:
        """Remember who wrote a checkpoint, and by which writes it got there."""
        with self._lock:
            if past is not None:
                self._pasts[step.id] = past
                if len(self._pasts) > MAX_PASTS:
                    self._pasts.popitem(last=False)
            self._saved[checkpoint_id] = _light(step)
            if len(self._saved) > MAX_SAVED:
                self._saved.popitem(last=False)

    def paused(self, checkpoint_id: str, left: Left) -> None:
        """Remember a run that stopped before its end."""
        with self._lock:
            self._paused[checkpoint_id] = left
            if len(self._paused) > MAX_PAUSED:
                self._paused.popitem(last=False)

    def ran(self, thread: tuple[str, str], step: StepRef, checkpoint_id: str) -> None:
        """Remember the last run of a thread."""
        with self._lock:
            self.threads[thread] = _light(step), checkpoint_id
            self.threads.move_to_end(thread)
            if len(self.threads) > MAX_PAUSED:
                self.threads.popitem(last=False)

    def left(self, checkpoint_id: str) -> Left | None:
        """Return where a run left off at a checkpoint, if one of this process wrote it."""
        paused = self._paused.get(checkpoint_id)
        if paused is not None:
            return paused
        step = self._saved.get(checkpoint_id)
        return None if step is None else Left(step, past=self._pasts.get(step.id))


def _light(step: StepRef) -> RemoteStep:
    """Return no more of a step than a later one must know, so that its payloads can go."""
    return RemoteStep(step.id, step.chain_id, step.seq, step.hop, step.agent, step.span_context)
