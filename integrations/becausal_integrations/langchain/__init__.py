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

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from becausal.adapter import Hooks
from becausal.recorder import Observation, Recorder
from becausal_integrations.langchain import retrievers
from becausal_integrations.langchain.calls import Calls
from becausal_integrations.langchain.models import Models
from becausal_integrations.langchain.runnables import Runnables
from becausal_integrations.langchain.tools import Tools
from becausal_integrations.patch import Notice, notice, observe

if TYPE_CHECKING:
    from becausal_integrations.langchain.replay import LangChainReplay

__all__ = ["LangChainAdapter"]

MANAGERS = "langchain_core.callbacks.manager"
CHAT_MODEL = "langchain_core.language_models.chat_models:BaseChatModel"
TEXT_MODELS = "langchain_core.language_models.llms"
TOOLS = "langchain_core.tools.base"
TOOL_NODE = "langgraph.prebuilt.tool_node:ToolNode"


class LangChainAdapter:
    """Watches the chat models, LLMs, tools and bare chains of langchain-core."""

    watches: str | None = "langchain-core"
    supports = ">=0.3.86,<2"
    requires: tuple[str, ...] = ()

    def install(self, recorder: Recorder, hooks: Hooks) -> None:
        """Hook every door; none at `level="boundaries"`, which leaves models and tools out."""
        if recorder.level == "boundaries":
            return
        calls, runnables = Calls(), Runnables(recorder)
        put = functools.partial(notice, recorder, hooks)
        models = Models(recorder, calls, runnables)
        hooks.undos.append(_hold(models))
        _hook_models(recorder, hooks, models)
        _hook_tools(recorder, hooks, Tools(recorder, calls, runnables))

        start = Notice(runnables.starting, runnables.started)
        for manager in ("CallbackManager", "AsyncCallbackManager"):
            put(f"{MANAGERS}:{manager}.on_chain_start", start)
            put(f"{MANAGERS}:{manager}ForChainRun.on_chain_end", Notice(runnables.ending))
            put(f"{MANAGERS}:{manager}ForChainRun.on_chain_error", Notice(runnables.failing))
        put("langchain_core.runnables.config:_set_config_context", Notice(runnables.inside))
        retrievers.install(recorder, hooks, runnables)

    def replaying(self) -> LangChainReplay:
        """Return what replays need; loaded by the first of them."""
        from becausal_integrations.langchain.replay import LangChainReplay

        return LangChainReplay(lambda: _models)


_models: Models | None = None
"""Whoever tells of model calls now, for replays."""


def _hold(models: Models) -> Callable[[], None]:
    global _models
    _models = models

    def let_go() -> None:
        global _models
        _models = None

    return let_go


def _hook_models(recorder: Recorder, hooks: Hooks, models: Models) -> None:
    put = functools.partial(notice, recorder, hooks)
    start = Notice(before=models.starting, after=models.started)
    for manager in ("CallbackManager", "AsyncCallbackManager"):
        put(f"{MANAGERS}:{manager}.on_chat_model_start", start)
        put(f"{MANAGERS}:{manager}.on_llm_start", start)
        put(f"{MANAGERS}:{manager}ForLLMRun.on_llm_new_token", Notice(before=models.telling))
        put(f"{MANAGERS}:{manager}ForLLMRun.on_llm_end", Notice(before=models.ending))
        put(f"{MANAGERS}:{manager}ForLLMRun.on_llm_error", Notice(before=models.failing))

    inside = Notice(scope=models.inside)
    put(f"{CHAT_MODEL}._generate_with_cache", inside)
    put(f"{CHAT_MODEL}._agenerate_with_cache", inside)

    put(f"{CHAT_MODEL}._convert_cached_generations", Notice(before=models.found))
    prompts = Notice(models.looking_up_prompts, models.looked_up_prompts)
    put(f"{TEXT_MODELS}:get_prompts", prompts)
    put(f"{TEXT_MODELS}:aget_prompts", prompts)


def _hook_tools(recorder: Recorder, hooks: Hooks, tools: Tools) -> None:
    put = functools.partial(notice, recorder, hooks)
    run = Observation(tools.opened, tools.closed, tools.failed)
    observe(recorder, hooks, f"{TOOLS}:BaseTool.run", run)
    observe(recorder, hooks, f"{TOOLS}:BaseTool.arun", run)
    put(f"{TOOLS}:_format_output", Notice(before=tools.answered))
    put(f"{TOOLS}:_handle_tool_error", Notice(before=tools.handling))
    for manager in ("CallbackManager", "AsyncCallbackManager"):
        put(f"{MANAGERS}:{manager}ForToolRun.on_tool_error", Notice(before=tools.erring))
    call = Notice(tools.asking, tools.told)
    put(f"{TOOL_NODE}._run_one", call, optional=True)
    put(f"{TOOL_NODE}._arun_one", call, optional=True)
