"""The runs that callbacks tell of, by LangChain's run ids, for as long as they are under way."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from uuid import UUID

from becausal.recorder import Recorder
from becausal.step import OpenStep, StepRef
from becausal_integrations.langchain.told import Told

__all__ = ["Root", "Run", "Runs"]

MAX_RUNS = 20_000
"""Runs that are under way at a time; the oldest is forgotten beyond so many."""


@dataclass(slots=True)
class Root:
    """An outermost run, with all that is kept for it."""

    run_ids: set[UUID] = field(default_factory=set)
    # Nodes by graph and superstep, of the last two supersteps.
    ran: dict[tuple[UUID, int], list[OpenStep]] = field(default_factory=dict)
    is_interrupted: bool = False


@dataclass(slots=True)
class Run:
    """A run that is under way: a graph's, a node's, a tool's, or one that is looked through."""

    root: Root
    step: StepRef | None  # what work below belongs to
    own: OpenStep | None = None
    namespace: str = ""
    superstep: int | None = None  # of a node
    graph: UUID | None = None


class Runs:
    """What is under way."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._runs: OrderedDict[UUID, Run] = OrderedDict()
        self._lock = threading.Lock()

    def __contains__(self, told: Told) -> bool:
        return told.run_id in self._runs

    def __len__(self) -> int:
        return len(self._runs)

    def step(self, run_id: UUID | None) -> StepRef | None:
        """Return the step that work under a run belongs to."""
        run = None if run_id is None else self._runs.get(run_id)
        return None if run is None else run.step

    def above(self, told: Told) -> Run | None:
        """Return the run that an event's run is part of; None for an outermost one."""
        return None if told.parent_run_id is None else self._runs.get(told.parent_run_id)

    def below(self, told: Told) -> Run:
        """Return what an event's run is to begin with: the place of the one above."""
        above = self.above(told)
        return Run(Root(), None) if above is None else Run(above.root, above.step, namespace=above.namespace)

    def keep(self, told: Told, run: Run) -> None:
        """Note a run that has begun."""
        with self._lock:
            self._runs[told.run_id] = run
            run.root.run_ids.add(told.run_id)
            oldest = self._runs.popitem(last=False)[1] if len(self._runs) > MAX_RUNS else None
        if oldest is not None and oldest.own is not None:
            self._recorder.end(oldest.own, status="abandoned")

    def take(self, run_id: UUID) -> Run | None:
        """Forget a run that is over; with the outermost one, all that never ended below it."""
        with self._lock:
            run = self._runs.pop(run_id, None)
            if run is None:
                return None
            run.root.run_ids.discard(run_id)
            if run.own is not None and run.own.kind == "workflow":
                for left in run.root.run_ids:
                    self._runs.pop(left, None)
        return run
