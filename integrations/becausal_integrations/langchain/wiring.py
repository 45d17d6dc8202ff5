"""Which of LangChain's places is hooked with what; the package's docstring says why these."""

from __future__ import annotations

import functools
from collections.abc import Callable

from becausal.adapter import Hooks
from becausal.recorder import Observation, Recorder
from becausal_integrations.langchain import retrievers
from becausal_integrations.langchain.calls import Calls
from becausal_integrations.langchain.models import Models
from becausal_integrations.langchain.runnables import Runnables
from becausal_integrations.langchain.tools import Tools
from becausal_integrations.patch import Notice, notice, observe

__all__ = ["hook_all", "models_at_work"]

MANAGERS = "langchain_core.callbacks.manager"
CHAT_MODEL = "langchain_core.language_models.chat_models:BaseChatModel"
TEXT_MODELS = "langchain_core.language_models.llms"
TOOLS = "langchain_core.tools.base"
TOOL_NODE = "langgraph.prebuilt.tool_node:ToolNode"


def hook_all(recorder: Recorder, hooks: Hooks) -> None:
    """Hook every door."""
    calls, runnables = Calls(), Runnables(recorder)
    put = functools.partial(notice, recorder, hooks)
    models = Models(recorder, calls, runnables)
    hooks.undos.append(_hold(models))
    _hook_models(recorder, hooks, models)
    _hook_tools(recorder, hooks, Tools(recorder, calls, runnables))

    start = Notice(runnables.starting, runnables.started, needs_token=True)
    for manager in ("CallbackManager", "AsyncCallbackManager"):
        put(f"{MANAGERS}:{manager}.on_chain_start", start)
        put(f"{MANAGERS}:{manager}ForChainRun.on_chain_end", Notice(runnables.ending))
        put(f"{MANAGERS}:{manager}ForChainRun.on_chain_error", Notice(runnables.failing))
    put("langchain_core.runnables.config:_set_config_context", Notice(runnables.inside))
    retrievers.install(recorder, hooks, runnables)


def models_at_work() -> Models | None:
    """Return whoever tells of model calls now, for replays."""
    return _models


_models: Models | None = None


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
    call = Notice(tools.asking, tools.told, needs_token=True)
    put(f"{TOOL_NODE}._run_one", call, optional=True)
    put(f"{TOOL_NODE}._arun_one", call, optional=True)
