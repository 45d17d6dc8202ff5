"""Which of Agent Framework's places is hooked with what; the package's docstring says why these."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from becausal.adapter import Hooks
from becausal.recorder import Observation, Recorder
from becausal_integrations.agent_framework.agents import Agents
from becausal_integrations.agent_framework.edges import Edges
from becausal_integrations.agent_framework.executors import Executors
from becausal_integrations.agent_framework.functional import EVENT, FUNCTION
from becausal_integrations.agent_framework.ledger import Ledger
from becausal_integrations.agent_framework.memory import Memories
from becausal_integrations.agent_framework.running import Streams
from becausal_integrations.agent_framework.state import SharedState
from becausal_integrations.agent_framework.workflows import Workflows
from becausal_integrations.patch import Make, Notice, family, notice, noticing, observe, observing, replace

__all__ = ["hook_all"]

WORKFLOWS = "agent_framework._workflows"
CONTEXT = f"{WORKFLOWS}._runner_context:InProcRunnerContext"


def hook_all(recorder: Recorder, hooks: Hooks) -> None:
    """Hook every place, each noted in `hooks` with what undoes it."""
    ledger, streams = Ledger(), Streams(recorder)
    _hook_streams(hooks, streams)
    _hook_agents(recorder, hooks, Agents(recorder, ledger), streams)
    _hook_memories(recorder, hooks, Memories(recorder, ledger))
    _hook_workflows(recorder, hooks, Workflows(recorder, ledger), streams)
    _hook_executors(recorder, hooks, Executors(recorder, ledger))
    _hook_edges(recorder, hooks, Edges(recorder, ledger))
    _hook_functional(recorder, hooks)
    _hook_state(recorder, hooks, SharedState(recorder, ledger))


def _hook_streams(hooks: Hooks, streams: Streams) -> None:
    stream = "agent_framework._types:ResponseStream"
    replace(hooks, f"{stream}.__anext__", streams.piecewise)
    replace(hooks, f"{stream}.get_final_response", streams.piecewise)
    replace(hooks, f"{stream}.__await__", streams.resolving)
    replace(hooks, f"{stream}.close", streams.closing, optional=True)


def _hook_agents(recorder: Recorder, hooks: Hooks, agents: Agents, streams: Streams) -> None:
    observed = functools.partial(_observed, recorder)
    runs = {"run": streams.running(agents.request, agents.turn)}
    family(hooks, "agent_framework._agents:BaseAgent", runs)
    answers = {"_inner_get_response": streams.running(agents.model)}
    family(hooks, "agent_framework._clients:BaseChatClient", answers)
    family(hooks, "agent_framework._tools:FunctionTool", {"invoke": observed(agents.tool)})
    raw = "agent_framework._tools:FunctionTool._invoke_function"
    notice(recorder, hooks, raw, agents.raw_result, optional=True)


def _hook_memories(recorder: Recorder, hooks: Hooks, memories: Memories) -> None:
    observed = functools.partial(_observed, recorder)
    family(
        hooks,
        "agent_framework._sessions:HistoryProvider",
        {"get_messages": observed(memories.history_read), "save_messages": observed(memories.history_write)},
    )
    family(
        hooks,
        "agent_framework._sessions:ContextProvider",
        {"before_run": observed(memories.provided), "after_run": observed(memories.taken_in)},
    )


def _hook_workflows(recorder: Recorder, hooks: Hooks, workflows: Workflows, streams: Streams) -> None:
    run = streams.running(workflows.run)
    replace(hooks, f"{WORKFLOWS}._workflow:Workflow.run", run)
    replace(hooks, f"{WORKFLOWS}._functional:FunctionalWorkflow.run", run, optional=True)
    notice(recorder, hooks, f"{CONTEXT}.add_request_info_event", workflows.asking)
    notice(recorder, hooks, f"{CONTEXT}.create_checkpoint", workflows.saving)
    notice(recorder, hooks, f"{CONTEXT}.apply_checkpoint", workflows.restoring)


def _hook_executors(recorder: Recorder, hooks: Hooks, executors: Executors) -> None:
    observe(recorder, hooks, f"{WORKFLOWS}._executor:Executor.execute", executors.execution)
    notice(recorder, hooks, f"{CONTEXT}.send_message", executors.sending)
    yields = f"{WORKFLOWS}._workflow_context:WorkflowContext.yield_output"
    notice(recorder, hooks, yields, executors.yielding)


def _hook_edges(recorder: Recorder, hooks: Hooks, edges: Edges) -> None:
    notice(recorder, hooks, f"{CONTEXT}.drain_messages", edges.drained)
    runners = f"{WORKFLOWS}._edge_runner"
    delivers = {"send_message": _noticed(recorder, edges.delivery)}
    family(hooks, f"{runners}:EdgeRunner", delivers)
    selects = f"{runners}:FanOutEdgeRunner._validate_selection_result"
    notice(recorder, hooks, selects, edges.selection)
    notice(recorder, hooks, f"{WORKFLOWS}._edge:Edge.should_route", edges.condition)
    # Asked after each superstep, whether there is another.
    notice(recorder, hooks, f"{CONTEXT}.has_messages", edges.superstep)


def _hook_functional(recorder: Recorder, hooks: Hooks) -> None:
    step = f"{WORKFLOWS}._functional:StepWrapper"
    observe(recorder, hooks, f"{step}.__call__", FUNCTION, optional=True)
    notice(recorder, hooks, f"{WORKFLOWS}._functional:RunContext.add_event", EVENT, optional=True)


def _hook_state(recorder: Recorder, hooks: Hooks, state: SharedState) -> None:
    for context in ("_workflow_context:WorkflowContext", "_functional:RunContext"):
        observe(recorder, hooks, f"{WORKFLOWS}.{context}.set_state", state.write, optional=True)
        observe(recorder, hooks, f"{WORKFLOWS}.{context}.get_state", state.read, optional=True)


def _observed(recorder: Recorder, seen: Observation) -> Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        return observing(recorder, original, seen)

    return make


def _noticed(recorder: Recorder, noticed: Notice) -> Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        return noticing(recorder, original, noticed)

    return make
