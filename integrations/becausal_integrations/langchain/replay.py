"""LangChain in a replay: what models, tools and retrievers are asked is answered from the record.

Hooked places, while somebody replays, and why these
----------------------------------------------------
`_generate`, `_agenerate`, `_stream`, `_astream` of `BaseChatModel`, `BaseLLM` and of every subclass
    Where the provider is asked. All above it runs as usual: callbacks, tokens, ids, usage.

`_run`, `_arun` of `BaseTool` and of every subclass; `_get_relevant_documents` and its twin of `BaseRetriever`
    Where the tool's own code begins.

`BaseLLM._generate_helper`, `_agenerate_helper`
    Which of several prompts is which step: a text model is asked for all of them at once.

`BaseCache.lookup`, `update` and twins, of every subclass; `BaseRateLimiter.acquire`
    A cache of answers may hold other ones by now. What came from it comes from the record.

Not replayed: the events of a provider's own protocol (`_stream_chat_model_events`); embeddings, and searches of a
vector store without a retriever.

Checked against langchain-core 0.3.86 to 1.7.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from becausal.adapter import Hooks
from becausal.context import current
from becausal.recorder import Recorder
from becausal.replay import Entry, Recalled, Session, in_force
from becausal.step import OpenStep, Step
from becausal_integrations.langchain import answering
from becausal_integrations.langchain.rebuilt import text_result
from becausal_integrations.langchain.runnables import ASYNC
from becausal_integrations.patch import family, replace

if TYPE_CHECKING:
    from becausal_integrations.langchain.models import Models

__all__ = ["LangChainReplay"]

CORE = "langchain_core"
CHAT = f"{CORE}.language_models.chat_models:BaseChatModel"
TEXT = f"{CORE}.language_models.llms:BaseLLM"
TOOL = f"{CORE}.tools.base:BaseTool"
RETRIEVER = f"{CORE}.retrievers:BaseRetriever"
CACHE = f"{CORE}.caches:BaseCache"
LIMITER = f"{CORE}.rate_limiters:BaseRateLimiter"

DATA = ("messages", "outputs", "documents", "prompt_values", "agents", "exceptions", "tools")
"""Modules of langchain-core whose classes, and those of the modules in them, may stand in a recorded value."""

Original = Callable[..., Any]
Make = Callable[[Any], Any]


class LangChainReplay:
    """What LangChain needs for a replay; see `becausal.replay.ReplayAdapter`."""

    def __init__(self, models: Callable[[], Models | None]) -> None:
        self._models = models

    def install(self, recorder: Recorder, hooks: Hooks) -> None:
        """Hook what asks the outside."""
        chats: dict[str, Make] = {
            name: functools.partial(answering.chat, self._step) for name in ("_generate", "_agenerate")
        }
        streams: dict[str, Make] = {
            name: functools.partial(answering.streaming, self._step) for name in ("_stream", "_astream")
        }
        family(hooks, CHAT, {**chats, **streams})
        replace(hooks, f"{CHAT}.agenerate", answering.stopping)
        family(hooks, TEXT, {"_generate": self._text, "_agenerate": self._text, **streams})
        for name in ("_generate_helper", "_agenerate_helper"):
            replace(hooks, f"{TEXT}.{name}", self._helping)
        family(hooks, TOOL, {"_run": answering.tool, "_arun": answering.tool})
        found: dict[str, Make] = {
            "_get_relevant_documents": answering.retriever,
            "_aget_relevant_documents": answering.retriever,
        }
        family(hooks, RETRIEVER, found)
        asked_of_a_cache: Make = answering.cache
        family(hooks, CACHE, dict.fromkeys(("lookup", "alookup", "update", "aupdate"), asked_of_a_cache))
        family(hooks, LIMITER, {"acquire": answering.limiter, "aacquire": answering.limiter})

    def classes(self) -> Iterable[type]:
        """Return the messages, documents and answers of langchain-core."""
        for name in DATA:
            importlib.import_module(f"{CORE}.{name}")
        wanted = tuple(f"{CORE}.{name}" for name in DATA)
        for name, module in list(sys.modules.items()):
            if name.startswith(wanted):
                yield from (thing for thing in vars(module).values() if isinstance(thing, type))

    def drives(self, app: object) -> bool:
        """Return whether an app is a runnable."""
        base = getattr(sys.modules.get(f"{CORE}.runnables.base"), "Runnable", None)
        return base is not None and isinstance(app, base)

    def run(self, app: Any, entry: Entry) -> Any:
        """Invoke a chain, a model or a tool with what it was given."""
        if entry.step.attributes.get(ASYNC):
            return app.ainvoke(entry.given)
        return app.invoke(entry.given)

    def roots(self, app: Any) -> Iterable[object]:
        """Return what the app's runnables are made of."""
        return functions_of(app)

    def problems(self, app: Any, steps: tuple[Step, ...]) -> Iterable[str]:
        """Nothing tells a chain from another one before it runs."""
        return ()

    # -- inside

    def _step(self) -> OpenStep | None:
        """Return the step of the model call that is being made."""
        here = current()
        if isinstance(here, OpenStep) and here.kind == "model":
            return here
        models = self._models()
        return None if models is None else models.latest()

    def _helping(self, original: Original) -> Original:
        """Hook what asks a text model for several prompts: their steps are those of the runs that it is given."""
        if inspect.iscoroutinefunction(original):

            @functools.wraps(original)
            async def helped_async(
                model: Any, prompts: Any, stop: Any, run_managers: Any, **more: Any
            ) -> Any:
                self._helped(run_managers)
                return await original(model, prompts, stop, run_managers, **more)

            return helped_async

        @functools.wraps(original)
        def helped(model: Any, prompts: Any, stop: Any, run_managers: Any, **more: Any) -> Any:
            self._helped(run_managers)
            return original(model, prompts, stop, run_managers, **more)

        return helped

    def _helped(self, run_managers: Any) -> None:
        session, models = in_force(), self._models()
        if session is not None and models is not None:
            steps = [models.step_of(manager.run_id) for manager in run_managers or ()]
            models.helps(steps)

    def _text(self, original: Original) -> Original:
        """Hook what a text model answers to several prompts."""

        def answers() -> list[tuple[Session, Recalled]] | None:
            models = self._models()
            steps = [] if in_force() is None or models is None else models.helped()
            found = [
                answer
                for step in steps
                if step is not None and (answer := answering.recalled(step)) is not None
            ]
            return found if found and len(found) == len(steps) else None

        if inspect.iscoroutinefunction(original):

            @functools.wraps(original)
            async def asked_async(*args: Any, **kwargs: Any) -> Any:
                found = answers()
                return await original(*args, **kwargs) if found is None else text_result(found)

            return asked_async

        @functools.wraps(original)
        def asked(*args: Any, **kwargs: Any) -> Any:
            found = answers()
            return original(*args, **kwargs) if found is None else text_result(found)

        return asked


def functions_of(app: Any) -> Iterator[object]:
    """Yield the functions, classes and schemas that a runnable is made of, and those of its parts."""
    seen: set[int] = set()
    waiting = [app]
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, str | bytes | int | float | type(None)):
            continue
        seen.add(id(thing))
        if isinstance(thing, type) or inspect.isroutine(thing):
            yield thing
        elif isinstance(thing, dict):
            waiting += thing.values()
        elif isinstance(thing, list | tuple | set | frozenset):
            waiting += thing
        elif hasattr(thing, "__dict__") and not inspect.ismodule(thing):
            yield type(thing)
            if type(thing).__module__.partition(".")[0] in ("langchain_core", "langgraph", "langchain"):
                waiting += vars(thing).values()
