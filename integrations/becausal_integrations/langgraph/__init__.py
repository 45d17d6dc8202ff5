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

from typing import TYPE_CHECKING

from becausal.adapter import Hooks
from becausal.recorder import Recorder

if TYPE_CHECKING:
    from becausal_integrations.langgraph.replay import LangGraphReplay

__all__ = ["LangGraphAdapter"]


class LangGraphAdapter:
    """Watches LangGraph's Pregel loop, whatever graph it runs."""

    watches: str | None = "langgraph"
    supports = ">=0.6.11,<1.3"
    requires: tuple[str, ...] = ("langchain",)
    arrives_with: tuple[str, ...] = ("langgraph", "langgraph_sdk")

    def install(self, recorder: Recorder, hooks: Hooks) -> None:
        """Hook the loop, its tasks, and what they write."""
        # Here: a framework that is installed and not imported costs an app nothing.
        from becausal_integrations.langgraph.wiring import hook_all

        hook_all(recorder, hooks)

    def replaying(self) -> LangGraphReplay:
        """Return what replays need; loaded by the first of them."""
        from becausal_integrations.langgraph.replay import LangGraphReplay

        return LangGraphReplay()
