"""Who wrote what a task reads: the bookkeeping of one run of a graph, by channel and version.

No strong reference leads from here to LangGraph's loop or its tasks: LangGraph frees a loop by its reference count
(its own `test_pregel_loop_refcount`), and what is kept of it here goes with it.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from becausal.recorder import Sealed
from becausal.step import Cause, OpenStep
from becausal_integrations.langgraph.describe import TASKS, is_of, version_number

if TYPE_CHECKING:
    from langgraph.pregel._loop import PregelLoop
    from langgraph.types import PregelExecutableTask

__all__ = ["Arrival", "GraphRecord", "Ledger", "Register", "TaskRecord"]

MAX_CONTRIBUTORS = 32
"""Earlier writers remembered for a channel that gathers, beyond those of the last superstep."""

MAX_PAUSED = 1024
"""Interrupted runs that are remembered for their resumption, in this process."""


@dataclass(slots=True)
class Arrival:
    """State that comes to a task from the task that triggered it."""

    sender: OpenStep
    evidence: str
    sent: Sealed | None = None  # what a `Send` carries; None: what the sender produced


@dataclass(slots=True)
class GraphRecord:
    """One run of a graph."""

    workflow: OpenStep
    agent: str | None  # whose work all nodes are; None: each node is an agent
    ledger: Ledger
    tasks: dict[str, TaskRecord] = field(default_factory=dict)  # of this superstep, by task id
    resumed: dict[str, OpenStep] = field(default_factory=dict)  # what ran before an interrupt, by task id


@dataclass(slots=True)
class TaskRecord:
    """One task, from the moment that LangGraph prepares it."""

    task: weakref.ref[PregelExecutableTask]
    id: str
    agent: str
    graph: GraphRecord
    is_hidden: bool = False
    arrivals: list[Arrival] = field(default_factory=list)
    causes: list[Cause] = field(default_factory=list)
    caller: OpenStep | None = None  # the task that called this one (`@task`)
    fired: tuple[str, ...] = ()  # the channels that triggered it
    reads: tuple[str, ...] = ()
    step: OpenStep | None = None
    sends: list[tuple[Any, Sealed]] = field(default_factory=list)  # each `Send` and what it carried when sent


@dataclass(slots=True)
class _Write:
    step: OpenStep
    version: object


class Ledger:
    """Who wrote each channel last, and who sent what is on its way."""

    __slots__ = ("_sends", "_writers")

    def __init__(self) -> None:
        self._writers: dict[str, dict[str, _Write]] = {}  # by channel, then by step id
        # By the id of the `Send`, which is kept so that the id stays its own.
        self._sends: dict[int, tuple[Any, OpenStep, Sealed]] = {}

    def triggered_by(self, channels: Iterable[str]) -> list[Arrival]:
        """Return one arrival for each step that wrote one of these channels."""
        return [Arrival(step, evidence) for step, evidence in self._sources(channels)]

    def sent(self, send: Any, index: int) -> list[Arrival]:
        """Return the arrival that a `Send` is."""
        parcel = self._sends.get(id(send))
        return [] if parcel is None else [Arrival(parcel[1], f"channel {TASKS}[{index}]", parcel[2])]

    def read_from(self, channels: Iterable[str], arrivals: Iterable[Arrival]) -> list[Cause]:
        """Return a cause for each step that wrote what is read, and does not hand its state over itself."""
        senders = {arrival.sender.id for arrival in arrivals}
        return [
            Cause(step.id, "data", "observed", evidence, step.span_context)
            for step, evidence in self._sources(channels)
            if step.id not in senders
        ]

    def apply(self, loop: PregelLoop, tasks: dict[str, TaskRecord], before: dict[str, Any]) -> None:
        """Note the writes of a superstep that LangGraph has applied; `before` are the versions until then."""
        versions, channels = loop.checkpoint["channel_versions"], loop.channels
        written: dict[str, dict[str, _Write]] = {}
        covering: set[str] = set()  # channels whose former content a writer had read or replaced
        self._sends = {}
        for task in loop.tasks.values():
            record = tasks.get(task.id)
            if record is None:
                continue
            for channel in record.fired:
                if _rule(type(channels[channel])) == "unite":
                    self._writers.pop(channel, None)
            if record.step is None:
                continue
            for channel, value in task.writes:
                if versions.get(channel) != before.get(channel):
                    write = _Write(record.step, versions[channel])
                    written.setdefault(channel, {})[record.step.id] = write
                    if channel in record.reads or is_of(value, "Overwrite"):
                        covering.add(channel)
            for send, sealed in record.sends:
                self._sends[id(send)] = (send, record.step, sealed)
        for channel, writes in written.items():
            if channel in channels:
                self._note(channel, _rule(type(channels[channel])), writes, channel in covering)

    def _note(self, channel: str, rule: _Rule, writes: dict[str, _Write], is_covered: bool) -> None:
        if rule == "unite":
            self._writers.setdefault(channel, {}).update(writes)
        elif rule == "replace" or is_covered:
            # A gathering channel's earlier writers are causes of a writer that had read it: no need to name them again.
            self._writers[channel] = writes
        else:
            earlier = list(self._writers.get(channel, {}).items())[-MAX_CONTRIBUTORS:]
            self._writers[channel] = {**dict(earlier), **writes}

    def _sources(self, channels: Iterable[str]) -> list[tuple[OpenStep, str]]:
        """Return the steps that wrote these channels, each once, with the evidence."""
        found: dict[str, tuple[OpenStep, list[str]]] = {}
        for channel in channels:
            for step_id, write in self._writers.get(channel, {}).items():
                said = f"{channel}@{version_number(write.version)}"
                found.setdefault(step_id, (write.step, []))[1].append(said)
        return [(step, f"channel {', '.join(said)}") for step, said in found.values()]


_Rule = Literal["replace", "unite", "gather"]

RULES: dict[str, _Rule] = {
    # Their writers may come in different supersteps; all of them count until the channel has triggered.
    "NamedBarrierValue": "unite",
    "NamedBarrierValueAfterFinish": "unite",
    "LastValueAfterFinish": "unite",
    # Their value is made of all writes.
    "BinaryOperatorAggregate": "gather",
    "DeltaChannel": "gather",
    "Topic": "gather",
}


@lru_cache(256)
def _rule(channel: type) -> _Rule:
    return next((RULES[cls.__name__] for cls in channel.__mro__ if cls.__name__ in RULES), "replace")


@dataclass(slots=True)
class Paused:
    """An interrupted run, for the one that resumes it."""

    workflow: OpenStep
    ledger: Ledger
    steps: dict[str, OpenStep]


class Register:
    """What is under way in this process."""

    def __init__(self) -> None:
        self.graphs: weakref.WeakKeyDictionary[PregelLoop, GraphRecord] = weakref.WeakKeyDictionary()
        self.steps: dict[str, TaskRecord] = {}
        """The tasks that run now, by step id."""
        self._tasks: dict[int, TaskRecord] = {}
        self._paused: OrderedDict[str, Paused] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, record: TaskRecord, task: PregelExecutableTask) -> None:
        """Note a task that LangGraph has prepared."""
        record.graph.tasks[task.id] = record
        self._tasks[id(task)] = record

    def of(self, task: PregelExecutableTask) -> TaskRecord | None:
        """Return what is known of a task; None for one from before we looked."""
        record = self._tasks.get(id(task))
        return record if record is not None and record.task() is task else None

    def finish_superstep(self, graph: GraphRecord) -> None:
        """Forget the tasks of a superstep."""
        for record in graph.tasks.values():
            task = record.task()
            if task is not None:
                self._tasks.pop(id(task), None)
            if record.step is not None:
                self.steps.pop(record.step.id, None)
        graph.tasks = {}

    def pause(self, checkpoint_id: str, graph: GraphRecord) -> None:
        """Remember an interrupted run."""
        steps = {record.id: record.step for record in graph.tasks.values() if record.step is not None}
        with self._lock:
            self._paused[checkpoint_id] = Paused(graph.workflow, graph.ledger, steps)
            if len(self._paused) > MAX_PAUSED:
                self._paused.popitem(last=False)

    def paused(self, checkpoint_id: str) -> Paused | None:
        """Return the run that was interrupted at a checkpoint, if it was in this process."""
        return self._paused.get(checkpoint_id)
