"""What a callback says of the run that it is of, and what LangGraph's metadata of it mean.

Pure, and without importing LangChain. Source: langgraph 0.6.11 to 1.2.22, `pregel/_algo.py`, `prepare_single_task`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from becausal import semconv
from becausal.step import Attribute, OpenStep

__all__ = ["SEND", "Told", "destinations", "is_node", "senders", "thread_of", "update_of"]

HIDDEN = "langsmith:hidden"
JOIN = "join:"
SEND = "__pregel_push"
"""What triggers a task that a `Send` made."""


class Told(NamedTuple):
    """Which run an event is of. Has what LangChain's run managers have, so that `Models` can be told by either."""

    run_id: UUID
    parent_run_id: UUID | None
    name: str
    tags: Sequence[str]
    metadata: Mapping[str, Any]


def is_node(told: Told, namespace_above: str) -> bool:
    """Return whether a run is a node's: the outermost one of its task, under the node's own name."""
    metadata = told.metadata
    namespace = metadata.get("langgraph_checkpoint_ns")
    return (
        namespace is not None
        and metadata.get("langgraph_node") == told.name
        and str(namespace) != namespace_above
        and HIDDEN not in told.tags
    )


def senders(before: Sequence[OpenStep], triggers: Sequence[str]) -> Sequence[OpenStep]:
    """Return which of the nodes of the superstep before surely triggered a node; none where that is open."""
    joined = {
        name
        for trigger in triggers
        if str(trigger).startswith(JOIN)
        for name in str(trigger).split(":")[1].split("+")
    }
    named = [step for step in before if step.name in joined]
    return named or (before if len(before) == 1 else [])


def thread_of(told: Told) -> dict[str, Attribute]:
    """Return the attribute that names a run's thread."""
    thread = told.metadata.get("thread_id")
    return {} if thread is None else {semconv.CONVERSATION_ID: str(thread)}


def update_of(outputs: Any) -> Any:
    """Return what a node returned: of a `Command` what it updates."""
    return outputs.update if type(outputs).__name__ == "Command" else outputs


def destinations(outputs: Any) -> tuple[str, ...]:
    """Return where a node's `Command` goes."""
    goto = getattr(outputs, "goto", None) if type(outputs).__name__ == "Command" else None
    places = goto if isinstance(goto, list | tuple) else [goto] if goto else []
    return tuple(str(getattr(place, "node", place)) for place in places)
