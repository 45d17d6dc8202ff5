"""Retrievers: each retrieval is a step of kind `tool`, with the query and the documents that were found.

Hooked places, and why these
----------------------------
`BaseRetriever.invoke`, `ainvoke`, of it and of every subclass that has its own
    The doors that every other way in uses (`batch`, `stream`, a chain, a retriever tool). The step is current while the
    retriever works: what it asks of models and of other retrievers stands under it.

`CallbackManager.on_retriever_start`, `CallbackManagerForRetrieverRun.on_retriever_error`, and twins
    By which run a retrieval was asked for, and that it failed: `with_retry` and `with_fallbacks` try again.

Not seen: searches of a vector store without a retriever.

Checked against langchain-core 0.3.86 to 1.7 (source: `retrievers.py`, `callbacks/manager.py`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context
from opentelemetry.context import Context

from becausal import semconv
from becausal.adapter import Hooks
from becausal.context import current
from becausal.recorder import Observation, Opening, Recorder
from becausal.step import Cause, OpenStep, Status, StepRef
from becausal_integrations.langchain.attempts import attempt_after
from becausal_integrations.langchain.describe import outcome
from becausal_integrations.langchain.runnables import Runnables
from becausal_integrations.patch import Notice, family, notice, noticing, observing

if TYPE_CHECKING:
    from langchain_core.retrievers import BaseRetriever

__all__ = ["install"]

MANAGERS = "langchain_core.callbacks.manager"
RETRIEVER = "langchain_core.retrievers:BaseRetriever"

RETRIEVAL = "retrieval"
"""The operation's name in the conventions for generative AI."""

_AT_WORK = otel_context.create_key("becausal-langchain-retriever")


def install(recorder: Recorder, hooks: Hooks, runnables: Runnables) -> None:
    """Hook every retriever there is and will be."""
    retrievers = Retrievers(recorder, runnables)
    hook = functools.partial(_hook, recorder, retrievers)
    family(hooks, RETRIEVER, {"invoke": hook, "ainvoke": hook})
    for manager in ("CallbackManager", "AsyncCallbackManager"):
        start, error = f"{manager}.on_retriever_start", f"{manager}ForRetrieverRun.on_retriever_error"
        notice(recorder, hooks, f"{MANAGERS}:{start}", Notice(retrievers.starting))
        notice(recorder, hooks, f"{MANAGERS}:{error}", Notice(retrievers.erring))


def _hook(recorder: Recorder, retrievers: Retrievers, original: Callable[..., Any]) -> Callable[..., Any]:
    inside = noticing(recorder, original, Notice(scope=_at_work))
    return observing(recorder, inside, Observation(retrievers.opened, retrievers.closed, retrievers.failed))


class Retrievers:
    """Says what `BaseRetriever.invoke` means."""

    def __init__(self, recorder: Recorder, runnables: Runnables) -> None:
        self._recorder, self._runnables = recorder, runnables

    def opened(
        self,
        retriever: BaseRetriever,
        input: Any = "",
        config: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> Opening | None:
        """Tell a call of `invoke`; None where a retriever calls what it overrides."""
        here = current()
        if is_retrieval(here) and otel_context.get_value(_AT_WORK) == id(retriever):
            return None
        name = str((config or {}).get("run_name") or retriever.get_name())
        callbacks = (config or {}).get("callbacks")
        opening = Opening("tool", name, received=input, attributes={semconv.OPERATION_NAME: RETRIEVAL})
        opening.parent = None if here is not None else self._runnables.enclosing(callbacks)
        return opening

    def closed(self, step: OpenStep, found: Any) -> Any:
        """Keep the order of what the documents say of themselves."""
        self._recorder.keep(step, "answer", found, unless_sorted=True)
        return found

    def failed(self, _: OpenStep, error: BaseException) -> Status | None:
        """Tell an interrupt from a failure."""
        return outcome(error)

    def starting(self, manager: Any, *_: Any, **__: Any) -> None:
        """Lead another try back to the failed one; called while the retrieval's step is current."""
        step = current()
        if not isinstance(step, OpenStep) or not is_retrieval(step):
            return
        before = self._runnables.tried_before(manager.parent_run_id, manager.tags)
        if before is None:
            return
        step.attributes[semconv.ATTEMPT] = attempt_after(before)
        evidence = f"after {getattr(before, 'name', 'a call')} had failed"
        self._recorder.cause(step, Cause(before.id, "retry", "observed", evidence, before.span_context))

    def erring(self, manager: Any, *_: Any, **__: Any) -> None:
        """Note a retrieval that fails, for `with_retry` and `with_fallbacks`; its step is current."""
        step = current()
        if step is not None and is_retrieval(step):
            self._runnables.failed(manager.parent_run_id, step)


def is_retrieval(step: StepRef | None) -> bool:
    """Return whether a step is a retriever's."""
    return isinstance(step, OpenStep) and step.attributes.get(semconv.OPERATION_NAME) == RETRIEVAL


def _at_work(retriever: BaseRetriever, *_: Any, **__: Any) -> Context:
    """Return the context in which a retriever works: it knows which one that is."""
    return otel_context.set_value(_AT_WORK, id(retriever))
