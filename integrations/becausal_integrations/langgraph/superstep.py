"""One superstep of a graph, between its tasks' end and the taking over of what they wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from becausal_integrations.langgraph.channels import Standing, is_state
from becausal_integrations.langgraph.describe import TASKS

if TYPE_CHECKING:
    from langgraph.pregel._loop import PregelLoop
    from langgraph.types import PregelExecutableTask

    from becausal.step import StepRef
    from becausal_integrations.langgraph.register import TaskRecord

__all__ = ["Superstep"]


class Superstep(NamedTuple):
    """A superstep whose tasks are done, and how the channels stood before their writes were applied."""

    loop: PregelLoop
    tasks: list[tuple[PregelExecutableTask, TaskRecord]]
    versions: Mapping[str, Any]
    standing: Mapping[str, Standing]  # of each channel of state that a step has written
    written: Mapping[str, Sequence[tuple[TaskRecord, StepRef, Any]]]
    """By channel, in the tasks' order: whose writes, the step that wrote, the value."""

    @classmethod
    def of(cls, loop: PregelLoop, records: Mapping[str, TaskRecord]) -> Superstep:
        """Return the superstep that a loop is about to finish."""
        # Held here: LangGraph may prepare the next tasks before `after_tick` returns.
        tasks: list[tuple[PregelExecutableTask, TaskRecord]] = []
        standing: dict[str, Standing] = {}
        written: dict[str, list[tuple[TaskRecord, StepRef, Any]]] = {}
        channels = loop.channels
        for task in loop.tasks.values():
            record = records.get(task.id)
            if record is None:
                continue
            tasks.append((task, record))
            writer = record.step or record.resumes
            if writer is None:  # LangGraph's own
                continue
            for channel, value in task.writes:
                by = written.get(channel)
                if by is None:
                    written[channel] = [(record, writer, value)]
                    if is_state(channel) and channel in channels:
                        standing[channel] = Standing.of(channels[channel])
                elif channel != TASKS or by[-1][0] is not record:  # of a task's `Send`s one tells who wrote
                    by.append((record, writer, value))
        return cls(loop, tasks, dict(loop.checkpoint["channel_versions"]), standing, written)

    def version(self, channel: str) -> Any:
        """Return the version of a channel that this superstep has changed; None for any other."""
        version = self.loop.checkpoint["channel_versions"].get(channel)
        return None if version == self.versions.get(channel) else version
