"""AutoGen (autogen-core, autogen-agentchat): teams, turns, and every message between agents.

Hooked places, and why these
----------------------------
The runtimes, in process and over gRPC, and `BaseAgent.on_message`, where every message arrives
    See `becausal_integrations.autogen.doors`.

`Team.run`, `.run_stream`, `.reset`, `.pause`, `.resume`, `.save_state`, `.load_state` of every subclass (`teams`)
    Runs of teams, and what each goes on from.

`BaseChatAgent.on_messages`, `.on_messages_stream`, `.run`, `.run_stream`, `.on_reset`, `.save_state`, `.load_state` of
every subclass (`chat`)
    Turns. A turn has one handoff for each message that it reads, from whoever made that message: sent as it was when
    it was made, received as it was when the turn began. Participants share the message objects, so the two differ
    where somebody changed one in place.

`BaseGroupChatManager.select_speaker`, `SelectorGroupChatManager._select_speaker` (`selection`); the parts of Magentic-
One's orchestrator, which chooses without them (`orchestrator`)
    Whose turn is next, and by what. The turn is caused by this choice, and by the messages that it reads.

`ChatCompletionClient.create`, `.create_stream` of every subclass (`models`)
    What a model saw, and what it decided on that.

`BaseTool.run_json`, `.run_json_stream`, `.return_value_as_string`, `Workbench.call_tool`, `CodeExecutor.
execute_code_blocks` of every subclass, `AssistantAgent._execute_tool_call`, MCP's `ClientSession.call_tool` (`tools`)
    Tool calls, what becomes of their results, and calls that reach no tool.

`Memory.query`, `.add`, `.update_context`, `.clear` of every subclass (`memories`)
    What was remembered, and which write that came from.

`BaseChatMessage.to_model_message`, `ChatCompletionContext.add_message`, `.get_messages`, `.load_state` of every
subclass (`contexts`)
    How a chat message becomes part of what a model sees, and what its context holds back.

Not seen: `call_tool_stream` of an app's own workbench (AutoGen calls that of `StaticStreamWorkbench` alone); what a
custom context shows that keeps its messages elsewhere than in `_messages`, beside what it stores.
AutoGen's own spans stay where ours say less; see `becausal_integrations.autogen.native`.

Checked against autogen-core and autogen-agentchat 0.7.5 (`_single_threaded_agent_runtime.py`,
`teams/_group_chat/_chat_agent_container.py`); the hooked code is the same since 0.7.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from becausal.adapter import Hooks
from becausal.recorder import Recorder

if TYPE_CHECKING:
    from becausal_integrations.autogen.replay import AutoGenReplay

__all__ = ["AutoGenAdapter"]


class AutoGenAdapter:
    """Watches AutoGen's runtimes and the agents that talk over them."""

    watches: str | None = "autogen-core"
    supports = ">=0.7,<0.8"
    requires: tuple[str, ...] = ()
    arrives_with: tuple[str, ...] = ("autogen_core", "autogen_agentchat", "autogen_ext", "mcp")

    def install(self, recorder: Recorder, hooks: Hooks) -> None:
        """Hook every place, each noted in `hooks` with what undoes it."""
        # Here: a framework that is installed and not imported costs an app nothing.
        from becausal_integrations.autogen.wiring import hook_all

        hook_all(recorder, hooks)

    def replaying(self) -> AutoGenReplay:
        """Return what replays need; loaded by the first of them."""
        from becausal_integrations.autogen.replay import AutoGenReplay
        from becausal_integrations.autogen.wiring import ledger_at_work

        return AutoGenReplay(ledger_at_work())
