"""LangChain (langchain-core): every model call and every tool call becomes a step.

Hooked places, and why these
----------------------------
`CallbackManager.on_chat_model_start`, `on_llm_start`, `CallbackManagerForLLMRun.on_llm_end`, `on_llm_error`, and twins
    Every model call of every provider passes here, streamed or not, also when nobody listens. The manager
    classes, never a handler of our own: the mere presence of an inline handler takes `on_llm_start` away from
    the app's handlers.

`BaseChatModel._generate_with_cache`, `_agenerate_with_cache`
    Where the provider's work happens: the app's and the provider's own spans nest under the model step.

`BaseTool.run`, `arun`
    The one door of a tool's execution, whoever calls it.

`langchain_core.tools.base._format_output`
    The last place where a tool's raw answer is seen, before it becomes a message.

Not seen: tool calls that a `ToolNode` answers without running a tool (unregistered, denied by middleware), retrievers,
and the provider's spans inside a stream, whose pieces run in their reader's context.

Checked against langchain-core 0.3.86 to 1.7 (source: `callbacks/manager.py`, `language_models/chat_models.py`,
`tools/base.py`).
"""

from __future__ import annotations

from becausal.instrument import Hooks
from becausal.recorder import Observation, Recorder
from becausal_integrations.langchain.models import Models
from becausal_integrations.langchain.tools import Deciders, Tools
from becausal_integrations.patch import Notice, notice, observe

__all__ = ["LangChainAdapter"]

MANAGERS = "langchain_core.callbacks.manager"
CHAT_MODEL = "langchain_core.language_models.chat_models:BaseChatModel"
TOOLS = "langchain_core.tools.base"


class LangChainAdapter:
    """Watches the chat models, LLMs and tools of langchain-core."""

    watches: str | None = "langchain-core"
    supports = ">=0.3.86,<2"
    requires: tuple[str, ...] = ()

    def install(self, recorder: Recorder, hooks: Hooks) -> None:
        """Hook every door; none at `level="boundaries"`, which leaves models and tools out."""
        if recorder.level == "boundaries":
            return
        deciders = Deciders()
        models, tools = Models(recorder, deciders), Tools(recorder, deciders)

        start = Notice(before=models.starting, after=models.started)
        for manager in ("CallbackManager", "AsyncCallbackManager"):
            notice(recorder, hooks, f"{MANAGERS}:{manager}.on_chat_model_start", start)
            notice(recorder, hooks, f"{MANAGERS}:{manager}.on_llm_start", start)
            notice(recorder, hooks, f"{MANAGERS}:{manager}ForLLMRun.on_llm_end", Notice(before=models.ending))
            notice(
                recorder, hooks, f"{MANAGERS}:{manager}ForLLMRun.on_llm_error", Notice(before=models.failing)
            )

        inside = Notice(scope=models.inside)
        notice(recorder, hooks, f"{CHAT_MODEL}._generate_with_cache", inside)
        notice(recorder, hooks, f"{CHAT_MODEL}._agenerate_with_cache", inside)

        run = Observation(tools.opened, tools.closed, tools.failed)
        observe(recorder, hooks, f"{TOOLS}:BaseTool.run", run)
        observe(recorder, hooks, f"{TOOLS}:BaseTool.arun", run)
        notice(recorder, hooks, f"{TOOLS}:_format_output", Notice(before=tools.answered))
