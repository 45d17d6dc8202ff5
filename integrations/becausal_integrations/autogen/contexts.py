"""From chat messages to what a model is shown: model contexts, and what they hold back (autogen-core).

A model context stores all messages and shows a view of them: the last n, the first and the last, so many tokens.
What it does not show is stored all the same, and nothing says so to anybody. Here each view is compared with what is
stored, by identity, and what was shown the time before and is no longer is told on the model call that follows
(`becausal.context.*`).

Source: autogen-core 0.7.5, `model_context/`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from operator import is_
from typing import TYPE_CHECKING, Any

from becausal.adapter import Hooks
from becausal.context import current
from becausal.recorder import Recorder
from becausal.step import OpenStep, StepRef
from becausal_integrations.autogen.hooking import noticed
from becausal_integrations.autogen.ledger import Ledger, Notes, Tag, View, notes_of
from becausal_integrations.patch import Notice, family

if TYPE_CHECKING:
    from autogen_agentchat.messages import BaseChatMessage

__all__ = ["Contexts"]

MOST_EVICTED = 64
"""So many of the messages that a context newly holds back are named."""


class Contexts:
    """Describes how messages come into a model's context, and which of them it shows."""

    def __init__(self, recorder: Recorder, ledger: Ledger) -> None:
        self._recorder, self._ledger = recorder, ledger

    def hook(self, hooks: Hooks) -> None:
        """Hook chat messages and model contexts."""
        translated = Notice(None, self._translated)
        family(
            hooks,
            "autogen_agentchat.messages:BaseChatMessage",
            {"to_model_message": noticed(self._recorder, translated)},
        )
        family(
            hooks,
            "autogen_core.model_context._chat_completion_context:ChatCompletionContext",
            {
                "add_message": noticed(self._recorder, Notice(self._added)),
                "get_messages": noticed(self._recorder, Notice(None, self._viewed)),
                "load_state": noticed(self._recorder, Notice(_itself, self._loaded)),
            },
        )

    def _translated(self, called: tuple[BaseChatMessage], result: Any, _: BaseException | None) -> None:
        message = called[0]
        origin = self._ledger.messages.find(message.id)
        if origin is not None and result is not None:
            self._ledger.tag_of(result, origin)

    def _added(self, _: Any, message: Any) -> None:
        here = current()
        if here is None:
            return
        turn = notes_of(here)
        is_memorys = isinstance(here, OpenStep) and here.kind == "memory_read"
        if is_memorys and turn is not None and isinstance(turn.content, list):
            turn.content.append(
                message
            )  # in a replay the memory is not asked, and this is added all the same
        if self._ledger.tags.get(message) is None:  # else it was made of a chat message, as most are
            sources = self._sources(turn, message)
            self._ledger.tag(message, *(sources or [(here, "added to the model's context")]))

    def _sources(self, turn: Notes | None, message: Any) -> list[tuple[StepRef, str]]:
        if turn is None:
            return []
        if message.type == "FunctionExecutionResultMessage":
            results = [(result.call_id, turn.done.get(result.call_id)) for result in message.content]
            return [(step, f"tool call {call_id}") for call_id, step in results if step is not None]
        model = self._ledger.models.get(turn.owner) if message.type == "AssistantMessage" else None
        return [(model, "its own answer")] if model is not None else []

    def _loaded(self, context: Any, _: None, error: BaseException | None) -> None:
        here = current()
        if here is not None and error is None:
            for message in _stored(context):
                self._ledger.tag(message, (here, "loaded with a saved state"))

    # The view

    def _viewed(self, called: tuple[Any], view: Any, error: BaseException | None) -> None:
        here = current()
        turn = notes_of(here)
        if turn is None or error is not None:
            return
        stored = _stored(called[0])
        if len(view) == len(stored) and all(map(is_, view, stored)):
            return
        reader = (here.agent if here is not None else None) or ""
        evicted = tuple(islice(self._newly_evicted(stored, view, reader), MOST_EVICTED))
        # The app's own kind of context may ask the one that it is made of: what either holds back is gone.
        former = turn.view.evicted if turn.view is not None else ()
        turn.view = View(len(stored), len(view), (former + evicted)[:MOST_EVICTED])

    def _newly_evicted(self, stored: Sequence[Any], view: Sequence[Any], reader: str) -> Iterator[str]:
        shown = set(map(id, view))
        for message in stored:
            if id(message) in shown:
                continue
            tag = self._ledger.tags.get(message)
            if tag is None:
                tag = Tag(None)
                self._ledger.tags.put(message, tag)
            if reader not in tag.losers:
                tag.losers |= {reader}
                yield (
                    " ".join([f"{one.cause.source_id} {one.cause.evidence}" for one in tag.sources])
                    or "unknown"
                )


def _itself(thing: Any, *_: Any, **__: Any) -> Any:
    return thing


def _stored(context: Any) -> list[Any]:
    """Return what a context holds; empty where the app's own kind of context keeps it elsewhere."""
    stored = getattr(context, "__dict__", {}).get("_messages")
    return stored if isinstance(stored, list) else []
