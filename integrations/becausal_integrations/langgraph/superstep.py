"""One superstep of a graph, between its tasks' end and the taking over of what they wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from becausal_integrations.langgraph.channels import Standing, is_state

if TYPE_CHECKING:
    from langgraph.pregel._loop import PregelLoop
    from langgraph.types import PregelExecutableTask

    from becausal_integrations.langgraph.register import TaskRecord

__all__ = ["Superstep"]


@dataclass(slots=True)
class Superstep:
    """A superstep whose tasks are done, and how the channels stood before their writes were applied."""

    loop: PregelLoop
    tasks: list[tuple[PregelExecutableTask, TaskRecord]]
    versions: Mapping[str, Any]
    standing: Mapping[str, Standing]

    @classmethod
    def of(cls, loop: PregelLoop, records: Mapping[str, TaskRecord]) -> Superstep:
        """Return the superstep that a loop is about to finish."""
        # Held here: LangGraph may prepare the next tasks before `after_tick` returns.
        tasks = [(task, records[task.id]) for task in loop.tasks.values() if task.id in records]
        written = {channel for task, _ in tasks for channel, _ in task.writes if is_state(channel)}
        channels = loop.channels
        standing = {channel: Standing.of(channels[channel]) for channel in written if channel in channels}
        return cls(loop, tasks, dict(loop.checkpoint["channel_versions"]), standing)

    def version(self, channel: str) -> Any:
        """Return the version of a channel that this superstep has changed; None for any other."""
        version = self.loop.checkpoint["channel_versions"].get(channel)
        return None if version == self.versions.get(channel) else version
