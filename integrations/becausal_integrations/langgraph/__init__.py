"""LangGraph: graphs become workflow steps, nodes agent steps, and every passing of state between nodes a handoff.

Hooked places, and why these
----------------------------
`SyncPregelLoop.__enter__`, `__exit__` and their async twins
    One run of a graph, inside the frame of `stream` and `astream`: closing a stream reaches `__exit__`, and no
    generator has to be wrapped. `loop.status` tells a recursion limit, which is raised only after `__exit__`.

`PregelLoop.tick`, `after_tick`
    Between them a superstep runs. After `tick` the tasks stand with what triggered them; `after_tick` applies
    their writes and raises the channels' versions: so who wrote what a task was triggered by, and reads, is known
    by channel and version, never by time.

`SyncPregelLoop.accept_push`, `schedule_error_handler`, `match_cached_writes` and their async twins
    The three other ways in which a task comes about: a `@task` call, an error handler, a hit in the cache.

`langgraph.pregel._runner.run_with_retry`, `arun_with_retry`
    One call for each task, in the thread or asyncio task where the node runs: the agent step.

`_retry._should_retry_on`
    What LangGraph asks after each failure of a node that may be tried again, in the frame of the attempts: there the
    step of one attempt ends and that of the next begins.

`ChannelWrite.do_write`, `_algo.local_read`, `BranchSpec._finish`
    What a node returned, before it is cut to the graph's schema; the state that a conditional edge reads, and what it
    decided. Not `BranchSpec._route`, of which a compiled graph holds the bound method.

`Pregel.bulk_update_state`, `abulk_update_state`
    What somebody writes into a thread's state from outside; `update_state` passes here too.

What a replay needs of a run is kept in `kept`.

Stores are hooked in `stores`: each operation is a step; checkpoints in `checkpoints`; the state that a tool is given in
`injected`; remote graphs in `remote`, with both ends of the wire.

Inside a prebuilt agent (`langchain.agents.create_agent`, `create_react_agent`) all nodes are one agent's work: what
passes between them is an edge of kind `transfer`, no handoff.

Not seen: LangGraph Platform's own executors; a node's own reads of the state while it runs, but for a tool's; a change
in place deep inside of a big value (`inplace`). Of another process's run: who had written what at a checkpoint in the
middle of it, and which of several tasks sent a `Send` that waits.

Checked against langgraph 0.6.11 to 1.2.22 (source: `pregel/_loop.py`, `pregel/_runner.py`, `pregel/_algo.py`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from becausal.adapter import Hooks
from becausal.recorder import Observation, Recorder
from becausal_integrations.langgraph import checkpoints, injected, kept, remote, stores
from becausal_integrations.langgraph.attempts import Attempts
from becausal_integrations.langgraph.graphs import Graphs
from becausal_integrations.langgraph.nodes import Nodes
from becausal_integrations.langgraph.register import Register
from becausal_integrations.langgraph.resume import Resumptions
from becausal_integrations.langgraph.routes import Routes
from becausal_integrations.langgraph.state import States
from becausal_integrations.patch import Notice, notice, noticing, observing, replace

if TYPE_CHECKING:
    from becausal_integrations.langgraph.replay import LangGraphReplay

__all__ = ["LangGraphAdapter"]

LOOP = "langgraph.pregel._loop"
RUNNER = "langgraph.pregel._runner"


class LangGraphAdapter:
    """Watches LangGraph's Pregel loop, whatever graph it runs."""

    watches: str | None = "langgraph"
    supports = ">=0.6.11,<1.3"
    requires: tuple[str, ...] = ("langchain",)

    def install(self, recorder: Recorder, hooks: Hooks) -> None:
        """Hook the loop, its tasks, and what they write."""
        register, states = Register(), States(recorder)
        routes, resumptions = Routes(recorder, register), Resumptions(recorder, register)
        graphs = Graphs(recorder, register, states, resumptions)
        nodes, attempts = Nodes(recorder, register, states, routes), Attempts(recorder, register, routes)
        put = functools.partial(notice, recorder, hooks)

        enter, leave = Notice(graphs.entering, graphs.entered), Notice(graphs.leaving, graphs.left)
        put(f"{LOOP}:SyncPregelLoop.__enter__", enter)
        put(f"{LOOP}:AsyncPregelLoop.__aenter__", enter)
        put(f"{LOOP}:SyncPregelLoop.__exit__", leave)
        put(f"{LOOP}:AsyncPregelLoop.__aexit__", leave)
        put(f"{LOOP}:PregelLoop.tick", Notice(graphs.ticking, graphs.ticked))
        put(f"{LOOP}:PregelLoop.after_tick", Notice(graphs.applying, graphs.applied))

        push, match = Notice(nodes.pushing, nodes.pushed), Notice(nodes.matching, nodes.matched)
        put(f"{LOOP}:SyncPregelLoop.accept_push", push)
        put(f"{LOOP}:AsyncPregelLoop.aaccept_push", push)
        put(f"{LOOP}:SyncPregelLoop.match_cached_writes", match)
        put(f"{LOOP}:AsyncPregelLoop.amatch_cached_writes", match)
        # Since langgraph 1.2.
        handle = Notice(nodes.failing, nodes.handled)
        for place in ("SyncPregelLoop.schedule_error_handler", "AsyncPregelLoop.aschedule_error_handler"):
            make = functools.partial(_noticing, recorder, handle)
            replace(hooks, f"{LOOP}:{place}", make, optional=True)

        run = functools.partial(_running, recorder, nodes)
        replace(hooks, f"{RUNNER}:run_with_retry", run)
        replace(hooks, f"{RUNNER}:arun_with_retry", run)
        put("langgraph.pregel._write:ChannelWrite.do_write", Notice(nodes.writing))
        put("langgraph.pregel._retry:_should_retry_on", Notice(attempts.asking, attempts.asked))
        put("langgraph.pregel._algo:local_read", Notice(routes.reading, routes.read))
        put("langgraph.graph._branch:BranchSpec._finish", Notice(routes.routing))
        for door in ("bulk_update_state", "abulk_update_state"):
            put(f"langgraph.pregel.main:Pregel.{door}", Notice(resumptions.editing, resumptions.edited))
        checkpoints.install(recorder, hooks, register)
        injected.install(recorder, hooks, register)
        kept.install(recorder, hooks, register)
        remote.install(recorder, hooks)
        stores.install(recorder, hooks)

    def replaying(self) -> LangGraphReplay:
        """Return what replays need; loaded by the first of them."""
        from becausal_integrations.langgraph.replay import LangGraphReplay

        return LangGraphReplay()


def _noticing(recorder: Recorder, noticed: Notice, original: Callable[..., Any]) -> Callable[..., Any]:
    return noticing(recorder, original, noticed)


def _running(recorder: Recorder, nodes: Nodes, original: Callable[..., Any]) -> Callable[..., Any]:
    """Return the hook of a task: a step around it and, inside that step's scope, a note of which step it is."""
    inside = noticing(recorder, original, Notice(nodes.begun, scope=nodes.scope))
    return observing(recorder, inside, Observation(nodes.opened, nodes.closed, nodes.failed))
