"""From LangGraph's values to ours: names, statuses, what a node returned.

Pure, and without importing LangGraph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from becausal import semconv
from becausal.recorder import NOTHING
from becausal.step import Attribute, Status, StepRef
from becausal_integrations.langchain.describe import outcome

if TYPE_CHECKING:
    from langgraph.pregel._loop import PregelLoop
    from langgraph.types import PregelExecutableTask

__all__ = [
    "DROPPED_KEYS",
    "PRIVATE_KEYS",
    "ROUTING",
    "TASKS",
    "agent_name",
    "asked_by",
    "carried_by",
    "dropped_keys",
    "graph_attributes",
    "graph_name",
    "how_left",
    "is_hidden",
    "is_of",
    "langgraph_names",
    "private_keys",
    "returned_value",
    "task_attributes",
    "unpacked",
    "update_of",
    "version_number",
]

TASKS = "__pregel_tasks"
"""The channel of `Send`s."""

ROUTING = ("branch:to:", "join:", "start:")
"""How the channels begin that carry control and no state."""

UNNAMED = "LangGraph"
"""A graph's name where the app gave none."""

PREBUILT = ("langchain.agents.factory", "langgraph.prebuilt.chat_agent_executor")
"""Whose graphs are one agent. Their model node is a closure of the module that makes them, in every version; the
metadata that newer ones add is inherited by graphs called inside."""

MODEL_NODES = ("model", "agent")
"""What those graphs call their model node."""

DROPPED_KEYS = "langgraph.dropped_keys"
"""Keys of what a node returned that the graph's state does not have: LangGraph drops them without a word."""

PRIVATE_KEYS = "langgraph.private_keys"
"""Keys of a subgraph's own state that stay in it: all of its state is what it returns, where the app names no other
output, and its parent graph takes what it knows."""

_NONE: Mapping[str, Any] = {}

HIDDEN = "langsmith:hidden"
PARENT = "__parent__"
LEFT: dict[str, Status] = {"out_of_steps": "error", "draining": "interrupted"}


def is_of(value: Any, name: str) -> bool:
    """Return whether a value is of a LangGraph class, by name: the framework is not imported here."""
    return name in langgraph_names(type(value))


def _langgraph_names(cls: type) -> frozenset[str]:
    return frozenset(base.__name__ for base in cls.__mro__ if base.__module__.startswith("langgraph."))


langgraph_names: Callable[[type], frozenset[str]] = lru_cache(1024)(_langgraph_names)
"""Returns the names of the LangGraph classes that a class is or derives from. What is asked of every write asks this
itself, and pays no frame."""


def graph_name(graph: Any, config: Mapping[str, Any]) -> str:
    """Return a graph's name, as its runs are called."""
    return str(config.get("run_name") or getattr(graph, "name", None) or UNNAMED)


def agent_name(graph: Any, nodes: Mapping[str, Any], holder: StepRef | None) -> str | None:
    """Return whose work all nodes of a graph are; None for a graph of which each node is an agent of its own.

    A prebuilt agent's name is the one that the app gave to the graph, else that of the node or tool that holds it.
    """
    functions = (getattr(nodes[name].bound, "func", None) for name in MODEL_NODES if name in nodes)
    if not any(getattr(function, "__module__", None) in PREBUILT for function in functions):
        return None
    given = str(getattr(graph, "name", None) or UNNAMED)
    held = getattr(holder, "name", None) if getattr(holder, "kind", None) in ("agent", "tool") else None
    return given if given != UNNAMED or held is None else str(held)


MOST_NODES = 64
"""The nodes of a graph of more are not told by name."""


def graph_attributes(loop: PregelLoop) -> dict[str, Attribute]:
    """Return where a run of a graph stands: its thread, its checkpoint namespace."""
    configurable = loop.config.get("configurable", {})
    attributes: dict[str, Attribute] = {}
    if (thread := configurable.get("thread_id")) is not None:
        attributes[semconv.CONVERSATION_ID] = str(thread)
    if namespace := configurable.get("checkpoint_ns"):
        attributes["langgraph.checkpoint_ns"] = str(namespace)
    if len(loop.nodes) <= MOST_NODES:  # who could have been given work
        attributes["langgraph.nodes"] = tuple(name for name in loop.nodes if not name.startswith("__"))
    return attributes


def task_attributes(task: PregelExecutableTask) -> dict[str, Attribute]:
    """Return which execution of which node a task is."""
    config = task.config
    configurable: Mapping[str, Any] = config.get("configurable", _NONE)
    attributes: dict[str, Attribute] = {
        "langgraph.node": task.name,
        "langgraph.step": int(config.get("metadata", _NONE).get("langgraph_step", -1)),
        "langgraph.task_id": task.id,
        "langgraph.triggers": (*map(str, task.triggers),),
        "langgraph.checkpoint_ns": str(configurable.get("checkpoint_ns", "")),
    }
    if (thread := configurable.get("thread_id")) is not None:
        attributes[semconv.CONVERSATION_ID] = str(thread)
    # Of a `Send` its number in the superstep, of a `@task` call its number in the caller.
    for part in task.path[1:]:
        if type(part) is int:
            attributes[semconv.BRANCH] = part
            break
    return attributes


def is_hidden(task: PregelExecutableTask) -> bool:
    """Return whether a task is LangGraph's own, such as `__start__`."""
    return HIDDEN in (task.config.get("tags") or ())


def how_left(loop: PregelLoop, error: BaseException | None) -> Status | None:
    """Return how a run of a graph ended; None where the exception says it."""
    if error is not None:
        return outcome(error)
    status = str(loop.status)
    return "interrupted" if status.startswith("interrupt_") else LEFT.get(status, "ok")


@lru_cache(256, typed=True)  # those of a superstep: each is asked about several times, and never again
def version_number(version: object) -> str:
    """Return a channel version for people: savers write `00…03.0.718`, LangGraph itself `3`."""
    if type(version) is int:
        return str(version)
    return str(version).partition(".")[0].lstrip("0") or "0"


# What a node returned


def returned_value(entries: Iterable[Any]) -> Any:
    """Return what the node returned whose output is being written, or `NOTHING` for a write that only routes."""
    for entry in entries:
        routes = str(getattr(entry, "channel", "")).startswith(ROUTING)
        if not routes and "Send" not in langgraph_names(type(entry)):
            return entry.value
    return NOTHING


def unpacked(value: Any) -> Any:
    """Return a node's own update: of a `Command` what it updates, else the value as it is."""
    if is_of(value, "Command"):
        return value.update
    if isinstance(value, list | tuple) and _has(value, "Command"):
        updates = [unpacked(item) for item in value]
        return updates[0] if len(updates) == 1 else updates
    return value


def _has(values: Iterable[Any], name: str) -> bool:
    """Return whether one of several values is of a LangGraph class."""
    return name in frozenset().union(*map(langgraph_names, map(type, values)))


def update_of(writes: Iterable[tuple[str, Any]]) -> Any:
    """Return a task's update by its writes, where what it returned was not seen (a hit in the cache)."""
    update: dict[str, Any] = {}
    for channel, value in writes:
        if channel == "__return__":
            return value
        if not channel.startswith((*ROUTING, "__")):
            update[channel] = value
    return update


def dropped_keys(entries: Iterable[Any], value: Any, channels: frozenset[str]) -> tuple[str, ...]:
    """Return the keys of a node's update that its graph's state does not have. Source: `graph/state.py`."""
    if "__root__" in channels or not _has(entries, "ChannelWriteTupleEntry"):
        return ()
    updates = value if isinstance(value, list | tuple) else (value,)
    keys: list[str] = []
    for update in updates:
        if "Command" in langgraph_names(type(update)):
            update = None if update.graph == PARENT else update.update
        if isinstance(update, dict) and not channels.issuperset(update):
            keys += [str(key) for key in update if key not in channels]
    return tuple(dict.fromkeys(keys))


def private_keys(node: Any, value: Any, dropped: Sequence[str]) -> tuple[str, ...]:
    """Return those of the dropped keys that a subgraph as a node never meant for its parent graph."""
    builder = getattr(getattr(node, "bound", None), "builder", None)
    output = getattr(builder, "output_schema", None)
    if type(value) is not dict or output is None or output is not getattr(builder, "state_schema", None):
        return ()
    return tuple(dropped)


def carried_by(error: BaseException | None) -> Any:
    """Return the update that a jump to the parent graph carries there; `NOTHING` for any other exception."""
    if error is None or not is_of(error, "ParentCommand") or not error.args:
        return NOTHING
    return unpacked(error.args[0])


def asked_by(interrupt: BaseException) -> Any:
    """Return what an interrupt asks for: its value, the list of them, or `NOTHING` for a breakpoint."""
    asked = [item.value for item in (interrupt.args[0] if interrupt.args else ()) if hasattr(item, "value")]
    return NOTHING if not asked else asked[0] if len(asked) == 1 else asked
