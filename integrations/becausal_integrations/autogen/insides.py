"""What an agent does within its turn: model calls, tools, memory (autogen-core)."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from becausal import semconv
from becausal.context import current
from becausal.instrument import Hooks
from becausal.recorder import NOTHING, Observation, Opening, Recorder
from becausal.step import Cause, OpenStep, Status, StepRef
from becausal_integrations.autogen import describe
from becausal_integrations.autogen.hooking import noticed, observed
from becausal_integrations.autogen.ledger import Ledger, Notes, cause, notes_of, owns
from becausal_integrations.patch import Notice, family

if TYPE_CHECKING:
    from autogen_agentchat.messages import BaseChatMessage
    from autogen_core.models import CreateResult

__all__ = ["Insides"]

MOST_MEMORIES = 64
"""So many of the contents that a memory gave are led back to their writes."""


class Insides:
    """Describes what an agent does within its turn."""

    def __init__(self, recorder: Recorder, ledger: Ledger) -> None:
        self._recorder, self._ledger = recorder, ledger
        self.model = Observation(self._asked, self._decided, self._refused, describe.is_create_result)
        # The last item of a tool's stream is its result; only the end shows which that was.
        self.tool = Observation(self._called, self._returned, keeps=lambda item: True)
        self.translated = Notice(lambda message: message, self._translated)
        self.remembered = Notice(self._added_to_context)
        self.memory_query = Observation(self._query, self._found)
        self.memory_update = Observation(self._update, self._found)
        self.memory_add = Observation(self._add, self._added)
        self.memory_clear = Observation(self._clear)

    def hook(self, hooks: Hooks) -> None:
        """Hook models, tools, memories, model contexts and chat messages."""
        seen = functools.partial(observed, self._recorder)
        family(
            hooks,
            "autogen_core.models._model_client:ChatCompletionClient",
            {"create": seen(self.model), "create_stream": seen(self.model)},
        )
        family(
            hooks,
            "autogen_core.tools._base:BaseTool",
            {"run_json": seen(self.tool), "run_json_stream": seen(self.tool)},
        )
        family(
            hooks,
            "autogen_core.memory._base_memory:Memory",
            {
                "query": seen(self.memory_query),
                "update_context": seen(self.memory_update),
                "add": seen(self.memory_add),
                "clear": seen(self.memory_clear),
            },
        )
        family(
            hooks,
            "autogen_core.model_context._chat_completion_context:ChatCompletionContext",
            {"add_message": noticed(self._recorder, self.remembered)},
        )
        family(
            hooks,
            "autogen_agentchat.messages:BaseChatMessage",
            {"to_model_message": noticed(self._recorder, self.translated)},
        )

    # Model calls

    def _asked(self, client: Any, messages: Sequence[Any] = (), *_: Any, **__: Any) -> Opening | None:
        here = current()
        if self._recorder.level == "boundaries" or owns(here, client):
            return None
        notes = Notes(client, here)
        new: list[object] = []
        causes = list({found.source_id: found for found in self._seen(here, messages, new)}.values())
        notes.premises = tuple(describe.heads(new))
        return Opening(
            "model", describe.model_name(client), received=list(messages), causes=causes, attributes=notes
        )

    def _seen(self, here: StepRef | None, messages: Sequence[Any], new: list[object]) -> Iterator[Cause]:
        """Yield the causes of a model call, and tell what is new to the agent's model.

        What its earlier call has seen as well is told by one cause, that call: or a conversation of n turns would
        have n² causes.
        """
        reader = (here.agent if here is not None else None) or ""
        seen_before = 0
        for message, tag in self._ledger.tags.among(messages):
            if reader in tag.readers:
                seen_before += 1
                continue
            tag.readers.add(reader)
            new.append(message)
            for source, evidence in tag.sources:
                if here is None or source.id != here.id:
                    yield cause(source, "data", evidence)
        notes = notes_of(here)
        former = self._ledger.models.get(notes.owner) if notes is not None else None
        if seen_before and former is not None:
            yield cause(former, "data", f"messages that it had seen before: {seen_before}")

    def _decided(self, step: OpenStep, result: CreateResult) -> object:
        notes = step.attributes
        if isinstance(notes, Notes):
            self._was_asked(step, notes)
            turn = notes_of(notes.within)
            if turn is not None and not isinstance(result.content, str):
                turn.decided.update((call.id, step) for call in result.content)
            for choice in describe.choices(result, notes.premises):
                self._recorder.decide(step, choice)
        step.attributes.update(describe.usage(result))
        return result

    def _refused(self, step: OpenStep, error: BaseException) -> Status | None:
        if isinstance(step.attributes, Notes):
            self._was_asked(step, step.attributes)
        return None

    def _was_asked(self, step: OpenStep, notes: Notes) -> None:
        turn = notes_of(notes.within)
        if turn is not None:
            self._ledger.models.put(turn.owner, step)

    # Tools

    def _called(
        self,
        tool: Any,
        args: Mapping[str, Any],
        cancellation_token: Any = None,
        call_id: str | None = None,
        **_: Any,
    ) -> Opening | None:
        here = current()
        if owns(here, tool):
            return None
        turn = notes_of(here)
        decision = turn.decided.get(call_id) if turn is not None and call_id is not None else None
        return Opening(
            "tool",
            tool.name,
            received=dict(args),
            causes=[cause(decision, "data", f"tool call {call_id}")] if decision is not None else (),
            attributes=Notes(tool, here, {semconv.TOOL_CALL_ID: call_id} if call_id is not None else None),
        )

    def _returned(self, step: OpenStep, result: object) -> object:
        call_id = step.attributes.get(semconv.TOOL_CALL_ID)
        turn = notes_of(step.attributes.within) if isinstance(step.attributes, Notes) else None
        if turn is not None and isinstance(call_id, str):
            turn.done[call_id] = step
        return result

    # From chat messages and results to what a model is given

    def _translated(self, message: BaseChatMessage, result: Any, error: BaseException | None) -> None:
        origin = self._ledger.origin(message, None)
        if origin is not None and result is not None:
            self._ledger.tag(result, (origin.step, f"message id {message.id}"))

    def _added_to_context(self, _: Any, message: Any) -> None:
        here = current()
        if here is not None:
            self._ledger.tag(
                message, *(self._sources(here, message) or [(here, "added to the model's context")])
            )

    def _sources(self, here: StepRef, message: Any) -> list[tuple[StepRef, str]]:
        turn = notes_of(here)
        if turn is None:
            return []
        if message.type == "FunctionExecutionResultMessage":
            results = [(result.call_id, turn.done.get(result.call_id)) for result in message.content]
            return [(step, f"tool call {call_id}") for call_id, step in results if step is not None]
        model = self._ledger.models.get(turn.owner) if message.type == "AssistantMessage" else None
        return [(model, "its own answer")] if model is not None else []

    # Memory

    def _query(self, memory: Any, query: object, *_: Any, **__: Any) -> Opening | None:
        return _memory("memory_read", memory, query)

    def _update(self, memory: Any, model_context: Any) -> Opening | None:
        return _memory("memory_read", memory, NOTHING)

    def _add(self, memory: Any, content: object, *_: Any, **__: Any) -> Opening | None:
        return _memory("memory_write", memory, content, content)

    def _clear(self, memory: Any) -> Opening | None:
        return _memory("memory_write", memory, NOTHING)

    def _added(self, step: OpenStep, _: None) -> object:
        if isinstance(step.attributes, Notes) and step.attributes.content is not None:
            self._ledger.memories.put(step.attributes.content, step)
        return NOTHING

    def _found(self, step: OpenStep, result: Any) -> object:
        found = describe.memories(result)
        for content in found[:MOST_MEMORIES]:
            written = self._ledger.memories.get(content)
            if written is not None:
                self._recorder.cause(step, cause(written, "memory", "the same content object"))
        return found


def _memory(
    kind: Literal["memory_read", "memory_write"], memory: Any, received: object, content: object = None
) -> Opening | None:
    here = current()
    if owns(here, memory):
        return None
    notes = Notes(memory, here)
    notes.content = content
    return Opening(kind, describe.memory_name(memory), received=received, attributes=notes)
