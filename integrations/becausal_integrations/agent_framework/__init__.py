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

from typing import TYPE_CHECKING

from becausal.adapter import Hooks
from becausal.recorder import Recorder

if TYPE_CHECKING:
    from becausal_integrations.agent_framework.replay import AgentFrameworkReplay

__all__ = ["AgentFrameworkAdapter"]


class AgentFrameworkAdapter:
    """Watches Microsoft Agent Framework's agents and its in-process workflows."""

    watches: str | None = "agent-framework-core"
    supports = ">=1.0,<1.24"
    requires: tuple[str, ...] = ()
    arrives_with: tuple[str, ...] = ("agent_framework",)

    def install(self, recorder: Recorder, hooks: Hooks) -> None:
        """Hook every place, each noted in `hooks` with what undoes it."""
        # Here: a framework that is installed and not imported costs an app nothing.
        from becausal_integrations.agent_framework.wiring import hook_all

        hook_all(recorder, hooks)

    def replaying(self) -> AgentFrameworkReplay:
        """Return what says of replays that they are not there."""
        from becausal_integrations.agent_framework.replay import AgentFrameworkReplay

        return AgentFrameworkReplay()
