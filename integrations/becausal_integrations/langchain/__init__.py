"""LangChain (langchain-core): every model call and every tool call becomes a step, and a bare chain one run.

Hooked places, and why these
----------------------------
`CallbackManager.on_chat_model_start`, `on_llm_start`, `CallbackManagerForLLMRun.on_llm_end`, `on_llm_error`, and twins
    Every model call of every provider passes here, streamed or not, also when nobody listens. The manager
    classes, never a handler of our own: the mere presence of an inline handler takes `on_llm_start` away from
    the app's handlers.

`BaseChatModel._generate_with_cache`, `_agenerate_with_cache`
    Where the provider's work happens: the app's and the provider's own spans nest under the model step.

`BaseChatModel._convert_cached_generations`; `language_models.llms.get_prompts`, `aget_prompts`
    A chat model's answer that comes from the cache is told as one. A text model's is told by no callback at all.

`CallbackManager.on_chain_start`, `CallbackManagerForChainRun.on_chain_end`, `on_chain_error`, and twins
    A bare chain's outermost runnable becomes a workflow step; inside a graph they are passed by.

`langchain_core.runnables.config._set_config_context`
    Called inside the copy of the context in which a runnable's parts run: there a bare chain's step is made current.

`BaseTool.run`, `arun`
    The one door of a tool's execution, whoever calls it.

`langchain_core.tools.base._format_output`
    The last place where a tool's raw answer is seen, before it becomes a message.

`CallbackManagerForLLMRun.on_llm_new_token`, and its twin; `tools.base._handle_tool_error`
    In which pieces an answer came, and with which exception a tool failed that answers for it: for replays.

`CallbackManagerForToolRun.on_tool_error`, and its twin
    A failed tool call is noted for `with_retry` and `with_fallbacks`.

`ToolNode._run_one`, `_arun_one` (langgraph-prebuilt)
    What the model is told of a failure; and the calls that no tool answers (unregistered, denied by middleware).

Retrievers are hooked in `retrievers`: each retrieval is a step of kind `tool`.

Not seen: the provider's spans inside a stream, whose pieces run in their reader's context; and that the reader of a
bare chain's sync stream left it, since LangChain then reads it to its end and tells it as ended.

Checked against langchain-core 0.3.86 to 1.7 (source: `callbacks/manager.py`, `language_models/chat_models.py`,
`language_models/llms.py`, `runnables/config.py`, `tools/base.py`) and langgraph-prebuilt (`tool_node.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from becausal.adapter import Hooks
from becausal.recorder import Recorder

if TYPE_CHECKING:
    from becausal_integrations.langchain.replay import LangChainReplay

__all__ = ["LangChainAdapter"]


class LangChainAdapter:
    """Watches the chat models, LLMs, tools and bare chains of langchain-core."""

    watches: str | None = "langchain-core"
    supports = ">=0.3.86,<2"
    requires: tuple[str, ...] = ()
    arrives_with: tuple[str, ...] = ("langchain_core",)

    def install(self, recorder: Recorder, hooks: Hooks) -> None:
        """Hook every door; none at `level="boundaries"`, which leaves models and tools out."""
        if recorder.level == "boundaries":
            return
        # Here: a framework that is installed and not imported costs an app nothing.
        from becausal_integrations.langchain.wiring import hook_all

        hook_all(recorder, hooks)

    def replaying(self) -> LangChainReplay:
        """Return what replays need; loaded by the first of them."""
        from becausal_integrations.langchain import wiring
        from becausal_integrations.langchain.replay import LangChainReplay

        return LangChainReplay(wiring.models_at_work)
