"""Edits of a graph's run before it runs again: what a node receives, what it returns, where a branch goes on.

Used in replays alone. What a node receives is changed before its step begins, so that the step tells of it.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from becausal.context import current
from becausal.recorder import NOTHING, Recorder
from becausal.replay import in_force
from becausal.step import OpenStep, StepRef
from becausal_integrations.langgraph.describe import is_of, returned_value, task_attributes, unpacked

if TYPE_CHECKING:
    from langgraph.types import PregelExecutableTask

__all__ = ["edit_input", "going_on", "writing"]

Original = Callable[..., Any]


def edit_input(recorder: Recorder, task: PregelExecutableTask, parent: StepRef) -> None:
    """Give a task what an edit makes of its input, if there is one of the recorded step in its place."""
    session = in_force()
    if session is None or not session.edits_inputs:
        return
    received = recorder.seal(task.input)
    edit = session.input_edit("agent", task.name, received, task_attributes(task), parent)
    if edit is not None:
        object.__setattr__(task, "input", edit(task.input))  # it is frozen for everybody else


def writing(original: Original) -> Original:
    """Hook `ChannelWrite.do_write`: a node returns what an edit makes of it."""

    @functools.wraps(original)
    def written(config: Any, writes: Sequence[Any], *args: Any, **kwargs: Any) -> Any:
        step, session = current(), in_force()
        if (
            session is None
            or not isinstance(step, OpenStep)
            or step.kind != "agent"
            or step.produced is not None
        ):
            return original(config, writes, *args, **kwargs)
        value = returned_value(writes)
        edit = None if value is NOTHING else session.output_edit(step)
        if edit is None:
            return original(config, writes, *args, **kwargs)
        other = _edited(value, edit)
        entries = [
            entry._replace(value=other) if getattr(entry, "value", None) is value else entry
            for entry in writes
        ]
        return original(config, entries, *args, **kwargs)

    return written


def going_on(original: Original) -> Original:
    """Hook `BranchSpec._finish`: a branch goes where an edit says."""

    @functools.wraps(original)
    def finished(branch: Any, writer: Any, given: Any, result: Any, *args: Any, **kwargs: Any) -> Any:
        step, session = current(), in_force()
        edit = None
        if session is not None and isinstance(step, OpenStep) and step.kind == "route":
            edit = session.output_edit(step)
        if edit is not None:
            places = edit(result)
            result = [
                _key(branch.ends, place)
                for place in (places if isinstance(places, list | tuple) else [places])
            ]
        return original(branch, writer, given, result, *args, **kwargs)

    return finished


def _edited(value: Any, edit: Callable[[Any], Any]) -> Any:
    """Return what an edit makes of what a node returned; of a `Command` what it makes of its update."""
    if is_of(value, "Command"):
        return dataclasses.replace(value, update=edit(unpacked(value)))
    return edit(value)


def _key(ends: Mapping[Any, str] | None, place: Any) -> Any:
    """Return what a branch must say to go to a node."""
    if not ends or place in ends:
        return place
    return next((key for key, node in ends.items() if node == place), place)
