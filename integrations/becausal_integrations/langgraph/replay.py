"""LangGraph in a replay: graphs run again, with nothing of the app's own that lasts being read or written.

Hooked places, while somebody replays, and why these
----------------------------------------------------
The methods of `BaseCheckpointSaver`, `BaseStore`, `BaseCache`, and of every subclass
    In a replay a twin in memory does the work; see `twins`.

`SyncPregelLoop.__init__`, `AsyncPregelLoop.__init__`
    The loop of a run is given the twins at once: part of its saving is done where no context leads to the replay.

`ChannelWrite.do_write`, `BranchSpec._finish`
    What a node returns, and where a branch goes on, may be edited; see `edits`, also for what a node receives.

A graph is called as it was: with the same input, thread, configuration, context and limits, `invoke` or `ainvoke`. A
run that went on from a thread's earlier state finds that state in its twin.

Checked against langgraph 0.6.11 to 1.2.22.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from becausal import semconv
from becausal.adapter import Hooks
from becausal.recorder import NOTHING, Recorder
from becausal.replay import Entry
from becausal.step import Step
from becausal_integrations.langchain.replay import functions_of
from becausal_integrations.langgraph.edits import going_on, writing
from becausal_integrations.langgraph.kept import CONFIG, STATE
from becausal_integrations.patch import family, replace

__all__ = ["LangGraphReplay"]

SAVER = ("get_tuple", "list", "put", "put_writes", "delete_thread", "delete_for_runs", "copy_thread", "prune")
HISTORY = ("get_delta_channel_history",)
STORE = ("get", "put", "search", "delete", "list_namespaces", "batch")
CACHE = ("get", "set", "clear")

THREAD = "langgraph thread"
"""Under which key a session knows the thread that was gone on with last."""

TYPES = ("langgraph.types", "langgraph.errors", "langgraph.store.base")
"""Modules whose classes may stand in a recorded value."""


class LangGraphReplay:
    """What LangGraph needs for a replay; see `becausal.replay.ReplayAdapter`."""

    def install(self, recorder: Recorder, hooks: Hooks) -> None:
        """Hook what lasts, and what may be edited."""
        from becausal_integrations.langgraph.twins import redirected, with_twins

        doors = {
            "langgraph.checkpoint.base:BaseCheckpointSaver": ("checkpointer", (*SAVER, *HISTORY)),
            "langgraph.store.base:BaseStore": ("store", STORE),
            "langgraph.cache.base:BaseCache": ("cache", CACHE),
        }
        for place, (kind, names) in doors.items():
            both = (door for name in names for door in (name, f"a{name}"))
            family(hooks, place, {name: functools.partial(redirected, kind) for name in both})
        for loop in ("SyncPregelLoop", "AsyncPregelLoop"):
            replace(hooks, f"langgraph.pregel._loop:{loop}.__init__", with_twins)
        replace(hooks, "langgraph.pregel._write:ChannelWrite.do_write", writing)
        replace(hooks, "langgraph.graph._branch:BranchSpec._finish", going_on)

    def classes(self) -> Iterable[type]:
        """Return LangGraph's commands, interrupts, errors and records."""
        for name in TYPES:
            yield from (
                thing for thing in vars(importlib.import_module(name)).values() if isinstance(thing, type)
            )

    def drives(self, app: object) -> bool:
        """Return whether an app is a compiled graph or an entrypoint."""
        base = getattr(sys.modules.get("langgraph.pregel.main"), "Pregel", None)
        return base is not None and isinstance(app, base)

    def run(self, app: Any, entry: Entry) -> Any:
        """Call a graph as it was called."""
        step = entry.step
        config, options = _called(entry)
        # Who edits a thread's state says on his step no more than that he does.
        thread = step.attributes.get(semconv.CONVERSATION_ID) or entry.session.kept_for.get(THREAD)
        if thread is not None:
            config["configurable"].setdefault("thread_id", thread)
            entry.session.kept_for[THREAD] = thread
        if (step.kind, step.name) == ("memory_write", "update_state"):
            return app.update_state(config, entry.given, as_node=step.agent).get("configurable")
        if app.checkpointer:
            states = {state["namespace"]: state for state in reversed(entry.all_kept(STATE))}
            for state in states.values():
                _put_back(app, config, state, entry)
        is_async = bool(options.pop("is_async", False))
        given = None if entry.given is NOTHING else entry.given
        return app.ainvoke(given, config, **options) if is_async else app.invoke(given, config, **options)

    def roots(self, app: Any) -> Iterable[object]:
        """Return the functions and schemas of a graph and of the graphs in it."""
        return functions_of(app)

    def problems(self, app: Any, steps: tuple[Step, ...]) -> Iterable[str]:
        """Say what the recorded run had that a graph has not: nodes, tools, somewhere to keep its state."""
        top = next((step for step in steps if step.kind == "workflow"), None)
        if top is None:
            yield "it is no run of a graph: nothing in it says so"
            return
        there, had = set(app.nodes), set(_names(top.attributes.get("langgraph.nodes")))
        gone, new = sorted(had - there), sorted(name for name in there - had if not name.startswith("__"))
        if had and (gone or new):
            told = [f"{', '.join(gone)} gone" if gone else "", f"{', '.join(new)} new" if new else ""]
            yield f"the graph has other nodes than the one that was recorded: {'; '.join(filter(None, told))}"
        tools, missing = _tools_of(app), _tools_called(steps) - _tools_of(app)
        if tools and missing:
            yield f"the app has no tool {', '.join(sorted(missing))}, which the recorded run called"
        is_saved = any("langgraph.checkpoints" in step.attributes for step in steps)
        if is_saved and not app.checkpointer:
            yield (
                "the recorded graph had a checkpointer, this one has none: compile it with one, such as InMemorySaver()"
            )


def _names(value: object) -> Sequence[str]:
    return value if isinstance(value, tuple) else ()


def _tools_of(app: Any) -> set[str]:
    """Return the names of the tools that a graph's tool nodes hold, nested graphs included; none if it has no such."""
    found: set[str] = set()
    graphs, seen = [app], set()
    while graphs:
        graph = graphs.pop()
        if id(graph) in seen:
            continue
        seen.add(id(graph))
        for node in graph.nodes.values():
            graphs += getattr(node, "subgraphs", None) or ()
            parts = [node.bound, *getattr(node.bound, "steps", ())]
            for part in parts:
                found |= set(getattr(part, "tools_by_name", ()))
    return found


def _tools_called(steps: Sequence[Step]) -> set[str]:
    """Return the names of the tools that tool nodes ran; not what an agent within a tool did."""
    by_id = {step.id: step for step in steps}
    found: set[str] = set()
    for step in steps:
        if step.kind == "tool" and semconv.TOOL_CALL_ID in step.attributes and step.status == "ok":
            above = by_id.get(step.parent_id or "")
            while above is not None and above.kind != "tool":
                above = by_id.get(above.parent_id or "")
            if above is None:
                found.add(step.name)
    return found


def _called(entry: Entry) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the configuration and the options that a graph was called with."""
    kept = entry.kept(CONFIG)
    said: dict[str, Any] = dict(kept) if isinstance(kept, Mapping) else {}
    config: dict[str, Any] = {"configurable": dict(said.pop("configurable", None) or {})}
    limit = said.pop("recursion_limit", None)
    if limit is not None:
        config["recursion_limit"] = limit
    said.pop("checkpoint_id", None)  # what it names is what was put back
    return config, said


def _put_back(app: Any, config: Mapping[str, Any], state: Mapping[str, Any], entry: Entry) -> None:
    """Put the state that a run went on from into the twin of its checkpointer."""
    from langgraph.checkpoint.base import empty_checkpoint

    from becausal_integrations.langgraph.twins import twin_of

    checkpoint: Any = empty_checkpoint() | {
        "channel_values": dict(state["values"]),
        "channel_versions": dict(state["versions"]),
        "versions_seen": {name: dict(seen) for name, seen in state["seen"].items()},
    }
    where: Any = {"configurable": {**config["configurable"], "checkpoint_ns": state["namespace"]}}
    twin = twin_of(entry.session, "checkpointer", app.checkpointer)
    metadata: Any = {"source": "loop", "step": state["step"], "parents": {}}
    twin.put(where, checkpoint, metadata, checkpoint["channel_versions"])
