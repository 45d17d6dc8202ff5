"""AutoGen (autogen-core, autogen-agentchat): teams, turns, and every message between agents.

Hooked places, and why these
----------------------------
The runtimes, in process and over gRPC, and `BaseAgent.on_message`, where every message arrives
    See `becausal_integrations.autogen.doors`.

`Team.run`, `.run_stream`, `BaseChatAgent.on_messages`, `.on_messages_stream`, `.run`, `.run_stream` of every subclass
    Team runs and turns. A turn has one handoff for each message that it reads, from whoever made that message: sent as
    it was when it was made, received as it was when the turn began. Participants share the message objects, so the two
    differ where somebody changed one in place.

`BaseGroupChatManager.select_speaker` of every subclass
    Whose turn is next. The turn is caused by this choice, and by the messages that it reads.

`ChatCompletionClient.create`, `.create_stream`, `BaseTool.run_json`, `.run_json_stream`, `Memory.query`, `.add`,
`.update_context`, `.clear` of every subclass
    What an agent does within its turn.

`BaseChatMessage.to_model_message`, `ChatCompletionContext.add_message` of every subclass
    How a chat message becomes part of what a model sees: known again as the same object at the model call.

Not seen: calls of a workbench that end at no `BaseTool` (MCP); which messages a model context held
back; the orchestrator of Magentic-One, which chooses without `select_speaker` (the messages that it writes are seen).
AutoGen's own spans stay where ours say less; see `becausal_integrations.autogen.native`.

Checked against autogen-core and autogen-agentchat 0.7.5 (`_single_threaded_agent_runtime.py`,
`teams/_group_chat/_chat_agent_container.py`); the hooked code is the same since 0.7.0.
"""

from __future__ import annotations

from becausal.instrument import Hooks
from becausal.recorder import Recorder
from becausal_integrations.autogen import doors
from becausal_integrations.autogen.chat import Chat
from becausal_integrations.autogen.contexts import Contexts
from becausal_integrations.autogen.ledger import Ledger
from becausal_integrations.autogen.memories import Memories
from becausal_integrations.autogen.models import Models
from becausal_integrations.autogen.orchestrator import Orchestrator
from becausal_integrations.autogen.selection import Selection
from becausal_integrations.autogen.state import States
from becausal_integrations.autogen.teams import Teams
from becausal_integrations.autogen.tools import Tools

__all__ = ["AutoGenAdapter"]


class AutoGenAdapter:
    """Watches AutoGen's runtimes and the agents that talk over them."""

    watches: str | None = "autogen-core"
    supports = ">=0.7,<0.8"
    requires: tuple[str, ...] = ()

    def install(self, recorder: Recorder, hooks: Hooks) -> None:
        """Hook every place, each noted in `hooks` with what undoes it."""
        ledger = Ledger(recorder)
        states = States(recorder)
        doors.install(recorder, hooks, ledger, states)
        teams = Teams(recorder, ledger, states)
        selection = Selection(recorder, ledger, teams)
        teams.hook(hooks)
        selection.hook(hooks)
        Orchestrator(recorder, ledger, teams, selection).hook(hooks)
        Chat(recorder, ledger, states).hook(hooks)
        for part in (Models, Contexts, Tools, Memories):
            part(recorder, ledger).hook(hooks)
