"""Agents' runs, and the model calls and tools within them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from becausal import semconv
from becausal.context import current
from becausal.recorder import NOTHING, Observation, Opening, Recorder
from becausal.step import Attribute, Cause, OpenStep, Status, StepRef
from becausal_integrations.agent_framework import describe
from becausal_integrations.agent_framework.describe import NAME
from becausal_integrations.agent_framework.ledger import Ledger, Notes, cause, notes_of, owns
from becausal_integrations.agent_framework.messages import (
    call_ids,
    head,
    is_response,
    messages_of,
    new_messages,
    result_ids,
    told,
)
from becausal_integrations.patch import Notice

__all__ = ["Agents"]

MOST_MESSAGES = 64
"""So many of the messages that an agent is given are led back to the agents that said them."""


class Agents:
    """Says what the calls of agents, clients and tools mean."""

    def __init__(self, recorder: Recorder, ledger: Ledger) -> None:
        self._recorder, self._ledger = recorder, ledger
        self.request = Observation(_requested, lambda _, response: told(response), keeps=_is_final)
        self.turn = Observation(self._turn, self._answered, _interrupted, _is_final)
        self.model = Observation(self._asked, self._decided, keeps=_is_final)
        self.tool = Observation(self._called, self._returned, _interrupted)
        self.raw_result = Notice(after=self._raw)

    # Agents

    def _turn(self, agent: Any, messages: Any = None, *_: Any, **__: Any) -> Opening | None:
        here = current()
        notes = notes_of(here)
        if notes is not None and notes.owner is agent:
            notes.has_run = True
            return None
        name = describe.agent_name(agent)
        return Opening(
            "agent",
            name,
            agent=name,
            received=told(messages),
            causes=self._heard(here, messages),
            attributes=Notes(agent),
        )

    def _heard(self, here: StepRef | None, messages: Any) -> list[Cause]:
        """Return the agents whose very messages are given to another."""
        sources: dict[str, StepRef] = {}
        for message in messages_of(messages)[-MOST_MESSAGES:]:
            source = self._ledger.said.get(message)
            if source is not None and (here is None or source.id != here.id):
                sources[source.id] = source
        return [cause(source, "data", "the same message object") for source in sources.values()]

    def _answered(self, step: OpenStep, response: Any) -> object:
        for message in messages_of(response):
            self._ledger.said.put(message, step)
        return told(response)

    # Models

    def _asked(
        self, client: Any, *_: Any, messages: Sequence[Any] = (), options: Any = None, **__: Any
    ) -> Opening | None:
        here = current()
        if owns(here, client):
            return None
        name = describe.model_name(client, options)
        attributes: dict[str, Attribute] = {semconv.REQUEST_MODEL: name, semconv.UNREPLAYED: NAME}
        provider = getattr(type(client), "OTEL_PROVIDER_NAME", None)
        if isinstance(provider, str):
            attributes[semconv.PROVIDER_NAME] = provider
        notes = Notes(client, attributes)
        new = new_messages(messages)
        notes.premises = tuple(filter(None, map(head, new)))
        return Opening(
            "model", name, received=told(list(messages)), causes=self._answers(here, new), attributes=notes
        )

    def _answers(self, here: StepRef | None, new: Sequence[Any]) -> list[Cause]:
        """Return the tool calls whose results a model is told now."""
        if here is None:
            return []
        done = [(call_id, self._ledger.done.get(_call(here, call_id))) for call_id in result_ids(new)]
        return [cause(step, "data", f"tool call {call_id}") for call_id, step in done if step is not None]

    def _decided(self, step: OpenStep, response: Any) -> object:
        if not is_response(response):
            return told(response)
        step.attributes.update(describe.answer_attributes(response))
        notes = notes_of(step)
        for choice in describe.choices(response, () if notes is None else notes.premises):
            self._recorder.decide(step, choice)
        for call_id in call_ids(response):
            self._ledger.decided.put(_call(step, call_id), step)
        return told(response)

    # Tools

    def _called(
        self,
        tool: Any,
        *_: Any,
        arguments: Any = None,
        context: Any = None,
        tool_call_id: str | None = None,
        **given: Any,
    ) -> Opening | None:
        here = current()
        if owns(here, tool):
            return None
        if arguments is None:
            arguments = context.arguments if context is not None else given
        causes: list[Cause] = []
        attributes: dict[str, Attribute] = {semconv.UNREPLAYED: NAME}
        if tool_call_id is not None:
            attributes[semconv.TOOL_CALL_ID] = tool_call_id
            decider = None if here is None else self._ledger.decided.get(_call(here, tool_call_id))
            if decider is not None:
                causes.append(cause(decider, "data", f"tool call {tool_call_id}"))
        return Opening(
            "tool", tool.name, received=arguments, causes=causes, attributes=Notes(tool, attributes)
        )

    def _raw(self, _: None, result: Any, error: BaseException | None) -> None:
        """Seal what the tool's function returned, before it becomes what a model can read."""
        step = current()
        if error is None and isinstance(step, OpenStep) and step.kind == "tool":
            self._recorder.produce(step, told(result))

    def _returned(self, step: OpenStep, result: Any) -> object:
        call_id = step.attributes.get(semconv.TOOL_CALL_ID)
        if isinstance(call_id, str):
            self._ledger.done.put(_call(step, call_id), step)
        return describe.result_of_tool(result) if step.produced is None else NOTHING


def _requested(agent: Any, messages: Any = None, *_: Any, **__: Any) -> Opening | None:
    """A run of an agent from outside every chain."""
    if current() is not None:
        return None
    return Opening("request", describe.agent_name(agent), received=told(messages))


def _is_final(_: object) -> bool:
    return True


def _interrupted(_: OpenStep, error: BaseException) -> Status | None:
    """Tell a wait for the user from a failure."""
    return "interrupted" if type(error).__name__ == "UserInputRequiredException" else None


def _call(step: StepRef, call_id: str) -> str:
    return f"{step.chain_id} {call_id}"
