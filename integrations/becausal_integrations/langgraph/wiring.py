"""Which of LangGraph's places is hooked with what; the package's docstring says why these."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

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
from becausal_integrations.patch import Notice, notice, noticing, observe, replace

__all__ = ["hook_all"]

LOOP = "langgraph.pregel._loop"
RUNNER = "langgraph.pregel._runner"


def hook_all(recorder: Recorder, hooks: Hooks) -> None:
    """Hook the loop, its tasks, and what they write."""
    register, states = Register(), States(recorder)
    routes, resumptions = Routes(recorder, register), Resumptions(recorder, register)
    keeper = kept.Kept(recorder, register)
    graphs = Graphs(recorder, register, states, resumptions, keeper)
    nodes, attempts = Nodes(recorder, register, states, routes), Attempts(recorder, register, routes)
    put = functools.partial(notice, recorder, hooks)

    enter, leave = Notice(graphs.entering, graphs.entered), Notice(graphs.leaving, graphs.left)
    put(f"{LOOP}:SyncPregelLoop.__enter__", enter)
    put(f"{LOOP}:AsyncPregelLoop.__aenter__", enter)
    put(f"{LOOP}:SyncPregelLoop.__exit__", leave)
    put(f"{LOOP}:AsyncPregelLoop.__aexit__", leave)
    put(f"{LOOP}:PregelLoop.tick", Notice(after=graphs.ticked))
    put(f"{LOOP}:PregelLoop.after_tick", Notice(graphs.applying, graphs.applied))

    push = Notice(nodes.pushing, nodes.pushed)
    match = Notice(nodes.matching, nodes.matched, when=operator.attrgetter("cache"))  # most graphs have none
    put(f"{LOOP}:SyncPregelLoop.accept_push", push)
    put(f"{LOOP}:AsyncPregelLoop.aaccept_push", push)
    put(f"{LOOP}:SyncPregelLoop.match_cached_writes", match)
    put(f"{LOOP}:AsyncPregelLoop.amatch_cached_writes", match)
    # Since langgraph 1.2.
    handle = Notice(nodes.failing, nodes.handled)
    for place in ("SyncPregelLoop.schedule_error_handler", "AsyncPregelLoop.aschedule_error_handler"):
        make = functools.partial(_noticing, recorder, handle)
        replace(hooks, f"{LOOP}:{place}", make, optional=True)

    run = Observation(nodes.opened, nodes.closed, nodes.failed, elsewhere=nodes.elsewhere)
    observe(recorder, hooks, f"{RUNNER}:run_with_retry", run)
    observe(recorder, hooks, f"{RUNNER}:arun_with_retry", run)
    put("langgraph.pregel._write:ChannelWrite.do_write", Notice(nodes.writing))
    put("langgraph.pregel._retry:_should_retry_on", Notice(attempts.asking, attempts.asked))
    put("langgraph.pregel._algo:local_read", Notice(routes.reading, routes.read, needs_token=True))
    put("langgraph.graph._branch:BranchSpec._finish", Notice(routes.routing))
    for door in ("bulk_update_state", "abulk_update_state"):
        put(f"langgraph.pregel.main:Pregel.{door}", Notice(resumptions.editing, resumptions.edited))
    checkpoints.install(recorder, hooks, register)
    injected.install(recorder, hooks, register)
    kept.install(recorder, hooks, keeper)
    remote.install(recorder, hooks)
    stores.install(recorder, hooks)


def _noticing(recorder: Recorder, noticed: Notice, original: Callable[..., Any]) -> Callable[..., Any]:
    return noticing(recorder, original, noticed)
