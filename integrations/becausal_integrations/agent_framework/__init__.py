"""Microsoft Agent Framework (agent-framework-core): agents, workflows, and every message between executors.

Hooked places, and why these
----------------------------
`BaseAgent.run` of every subclass, `Workflow.run`, `FunctionalWorkflow.run`
    Where an app starts work. From outside every chain an agent's run is a request with a turn in it.

`BaseChatClient._inner_get_response` of every subclass
    The call of the model itself, below chat middleware, compaction and the loop that calls tools: what the model saw.

`FunctionTool.invoke` of every subclass, `FunctionTool._invoke_function`
    The one way to a tool, for MCP's and for agents used as tools too; and the function's own result, before it becomes
    text. A call of a tool that does not exist gets no further than the model's decision.

`ResponseStream.__anext__`, `.get_final_response`, `.close`, `.__await__`
    An answer in pieces. The app gets the very stream object that it got before; a step begins with the first piece and
    ends with the framework's own final response.

`Executor.execute`, `InProcRunnerContext.send_message`, `WorkflowContext.yield_output`
    The two ends of a message in a workflow: sealed when it is sent, and again when an executor begins with it. An
    `AgentExecutor`'s turn is its agent's turn, so that the two are one step.

`EdgeRunner.send_message`, `FanOutEdgeRunner._validate_selection_result`, `Edge.should_route`
    In between: what a fan-in put together, which way a switch or a condition sent a message. `drain_messages` and
    `has_messages` frame a superstep: what no executor took in it is lost.

`StepWrapper.__call__`, `RunContext.add_event`
    The steps of functional workflows (`functional`).

`WorkflowContext.set_state`, `.get_state`, `RunContext.set_state`, `.get_state`
    The state that executors share (`state`).

`InProcRunnerContext.add_request_info_event`, `.create_checkpoint`, `.apply_checkpoint`
    Where a run stops and what it goes on from: answers from outside, saved states, in another process too.

`HistoryProvider.get_messages`, `.save_messages`, `ContextProvider.before_run`, `.after_run` of every subclass
    An agent's memory.

Not seen: chat clients that do not extend `BaseChatClient`; what compaction took out; runner contexts other than the
one in process.

The framework's own spans (`agent_framework.observability`) stay as they are: they lie inside the span of the step that
they tell of.

Checked against agent-framework-core 1.0.0 to 1.23.0 and the orchestrations made for them (`_agents.py`, `_clients.py`,
`_tools.py`, `_types.py`, `_workflows/_edge_runner.py`, `_workflows/_runner_context.py`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from becausal_integrations.agent_framework.replay import AgentFrameworkReplay

__all__ = ["AgentFrameworkAdapter"]

WORKFLOWS = "agent_framework._workflows"
CONTEXT = f"{WORKFLOWS}._runner_context:InProcRunnerContext"


class AgentFrameworkAdapter:
    """Watches Microsoft Agent Framework's agents and its in-process workflows."""

    watches: str | None = "agent-framework-core"
    supports = ">=1.0,<1.24"
    requires: tuple[str, ...] = ()

    def install(self, recorder: Recorder, hooks: Hooks) -> None:
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

    def replaying(self) -> AgentFrameworkReplay:
        """Return what says of replays that they are not there."""
        from becausal_integrations.agent_framework.replay import AgentFrameworkReplay

        return AgentFrameworkReplay()


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
