"""LangChain's and LangGraph's callbacks as steps: what `becausal.callback()` returns.

Every event names its run and the run above it, and by these ids alone steps are joined: a callback may run in another
thread, and in another task, than what it tells of. For the same reason nothing is ever made current here.

The handler is not inline: the mere presence of an inline one takes `on_llm_start` away from the app's own handlers
(langchain-core 0.3.86 to 1.7.2, `AsyncCallbackManager.on_llm_start`). The price is that under asyncio LangChain hands
each event, every token of a stream included, to a thread. It has none of the methods by which LangChain takes a
handler for one that wants streams (`tap_output_iter`), and never raises.

What callbacks cannot tell is in `becausal.callback.MISSES`.

Checked against langchain-core 0.3.86 to 1.7 (source: `callbacks/base.py`, `callbacks/manager.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler

from becausal.guard import guarded
from becausal.instrument import active_recorder, is_hooked
from becausal.settings import is_strict
from becausal_integrations.langchain.listening import Listening, listening_of
from becausal_integrations.langchain.told import Told

__all__ = ["CausalCallbackHandler"]

F = TypeVar("F", bound=Callable[..., Any])


class CausalCallbackHandler(BaseCallbackHandler):
    """Tells what it hears to the recorder that is at work; silent where LangChain is hooked."""

    run_inline = False
    ignore_retry = True
    ignore_custom_event = True

    def __init__(self) -> None:
        self.raise_error = is_strict()

    # Chains: graphs, nodes, runnables

    def on_chain_start(self, serialized: Any, inputs: Any, **told: Any) -> None:
        """A runnable begins."""
        _tell(Listening.chain_started, _run(told, serialized), inputs, told.get("run_type"))

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **told: Any) -> None:
        """A runnable ends."""
        _tell(Listening.chain_ended, _run({**told, "run_id": run_id}), outputs, told.get("inputs"))

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **told: Any) -> None:
        """A runnable fails, or is interrupted."""
        _tell(Listening.chain_failed, _run({**told, "run_id": run_id}), error)

    # Models

    def on_chat_model_start(self, serialized: Any, messages: Any, **told: Any) -> None:
        """A chat model is asked."""
        _tell(Listening.model_started, _run(told), serialized, messages, told)

    def on_llm_start(self, serialized: Any, prompts: Any, **told: Any) -> None:
        """A text model is asked."""
        _tell(Listening.model_started, _run(told), serialized, prompts, told)

    def on_llm_end(self, response: Any, **told: Any) -> None:
        """A model has answered."""
        _tell(Listening.model_ended, _run(told), response)

    def on_llm_error(self, error: BaseException, **told: Any) -> None:
        """A model fails, or its stream is left."""
        _tell(Listening.model_failed, _run(told), error, told.get("response"))

    # Tools and retrievers

    def on_tool_start(self, serialized: Any, input_str: str, **told: Any) -> None:
        """A tool is called."""
        arguments = told.get("inputs")
        given = input_str if arguments is None else arguments
        _tell(Listening.tool_started, _run(told, serialized), given, told.get("tool_call_id"))

    def on_tool_end(self, output: Any, **told: Any) -> None:
        """A tool has answered."""
        _tell(Listening.tool_ended, _run(told), output)

    def on_tool_error(self, error: BaseException, **told: Any) -> None:
        """A tool fails."""
        _tell(Listening.tool_failed, _run(told), error)

    def on_retriever_start(self, serialized: Any, query: str, **told: Any) -> None:
        """A retriever is asked."""
        _tell(Listening.retriever_started, _run(told, serialized), query)

    def on_retriever_end(self, documents: Sequence[Any], **told: Any) -> None:
        """A retriever has found something."""
        _tell(Listening.tool_ended, _run(told), documents)

    def on_retriever_error(self, error: BaseException, **told: Any) -> None:
        """A retriever fails."""
        _tell(Listening.tool_failed, _run(told), error)


@guarded
def _tell(event: Callable[..., None], run: Told, *values: Any) -> None:
    recorder = active_recorder()
    if recorder is not None and not is_hooked("langchain"):
        event(listening_of(recorder), run, *values)


def _run(told: Mapping[str, Any], serialized: Any = None) -> Told:
    """Return which run an event is of, as LangChain says it."""
    known = serialized if isinstance(serialized, Mapping) else {}
    name = told.get("name") or known.get("name") or [*(known.get("id") or ()), "chain"][:-1][-1:]
    return Told(
        cast("UUID", told.get("run_id")),
        told.get("parent_run_id"),
        name if isinstance(name, str) else "".join(name) or "chain",
        told.get("tags") or (),
        told.get("metadata") or {},
    )
