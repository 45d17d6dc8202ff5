"""Agents and their turns (autogen-agentchat)."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from becausal import semconv
from becausal.adapter import Hooks
from becausal.context import current
from becausal.recorder import Observation, Opening, Passing, Recorder, Sealed
from becausal.step import Attribute, Choice, OpenStep, RemoteStep, Status, StepRef
from becausal_integrations.autogen import describe
from becausal_integrations.autogen.deliveries import DUPLICATE
from becausal_integrations.autogen.hooking import noticed, observed, request_around
from becausal_integrations.autogen.ledger import Ledger, Notes, cause, notes_of, owns
from becausal_integrations.autogen.state import States
from becausal_integrations.autogen.teams import WITHOUT_TASK, messages_of, turn_given
from becausal_integrations.patch import Notice, family

if TYPE_CHECKING:
    from autogen_agentchat.base import Response, TaskResult
    from autogen_agentchat.messages import BaseChatMessage

__all__ = ["ASKED", "Chat", "stage"]

ASKED = "autogen.asked"
"""How the app asked an agent that runs by itself: `run` or `on_messages`."""

_REPEATED: dict[str, Attribute] = {DUPLICATE: True}


class Chat:
    """Describes the turns of agents."""

    def __init__(self, recorder: Recorder, ledger: Ledger, states: States) -> None:
        self._recorder, self._ledger, self._states = recorder, ledger, states

    def hook(self, hooks: Hooks) -> None:
        """Hook every kind of agent, those of the app's own making included."""
        seen = functools.partial(observed, self._recorder)
        run = seen(Observation(self._request, self._ran, self._refused, describe.is_task_result))
        alone = Observation(self._bare, self._said, self._refused, describe.is_response)
        turn = Observation(
            self._turn, self._answered, self._failed, describe.is_response, edited=self._with_edit
        )
        either = request_around(self._recorder, seen(turn), alone)
        reset = Notice(lambda agent, *_, **__: agent, self._reset)
        family(
            hooks,
            "autogen_agentchat.agents._base_chat_agent:BaseChatAgent",
            {
                "run": run,
                "run_stream": run,
                "on_messages": either,
                "on_messages_stream": either,
                "on_reset": noticed(self._recorder, reset),
                "save_state": seen(self._states.saving),
                "load_state": seen(self._states.loading),
            },
        )

    def _turn(self, agent: Any, messages: Sequence[BaseChatMessage], *_: Any, **__: Any) -> Opening | None:
        here = current()
        if here is None or owns(here, agent):
            return None
        here = stage(here)
        causes, hop = turn_given(), 0
        unanswered = self._ledger.unanswered.pop(agent) or ()
        # As they are as the turn begins, and all at once: what is told below runs code of the app's own exporters.
        read = [self._ledger.seal(message) for message in messages]
        received = self._recorder.seal_list(read)
        for message, as_read in zip(messages, read, strict=True):
            handoff = self._passed_on(message, as_read, agent.name, here, message.id in unanswered)
            if handoff is not None:
                causes.append(cause(handoff, "transfer", f"message id {message.id}"))
                hop = max(hop, handoff.hop)
        notes = Notes(agent, here)
        notes.content = [message.id for message in messages]
        return Opening(
            "agent",
            agent.name,
            agent=agent.name,
            received=list(messages) if received is None else received,
            parent=_farther(here, hop),
            causes=causes,
            attributes=notes,
        )

    def _passed_on(
        self, message: BaseChatMessage, read: Sealed, reader: str, here: StepRef, is_repeated: bool
    ) -> OpenStep | None:
        """Record the passing of one message from whoever made it to an agent that reads it now."""
        origin = self._ledger.origin(message, here)
        if origin is None:
            return None
        handoff = self._recorder.told(
            Passing(
                origin.sender,
                reader,
                origin.sealed,
                sent_by=origin.step,
                parent=here,
                cause=origin.sent,
                attributes=_REPEATED if is_repeated else {},
            ),
            read,
        )
        if handoff is None:
            return None
        # A HandoffMessage brings messages of its sender's model along.
        for item in describe.field(message, "context") or ():
            self._ledger.tag_of(item, origin)
        return handoff

    def _answered(self, step: OpenStep, response: Response) -> object:
        message = response.chat_message
        before = self._said_before(response)
        for own in before:
            self._ledger.produce(own, step, step.name)
        sealed = self._ledger.seal(message)
        if self._ledger.messages.find(message.id) is None:
            sealed = self._ledger.produce(message, step, step.name, sealed).sealed
        target = describe.field(message, "target")  # of a HandoffMessage
        if isinstance(target, str):
            self._recorder.decide(step, Choice(f"hand over to {target}", reason=describe.head(message)))
        agent = step.attributes.owner if isinstance(step.attributes, Notes) else None
        if agent is not None:
            self._states.worked(agent, step)
            if describe.asks_a_person(agent):
                step.attributes[semconv.SAID_BY] = "user"
        return [*before, message] if before else sealed

    def _said_before(self, response: Response) -> list[BaseChatMessage]:
        """Return what an agent said on its way, but for what others said in its turn, as a team within does."""
        said = describe.task_messages(response.inner_messages)
        return [own for own in said if self._ledger.messages.find(own.id) is None]

    def _with_edit(self, change: Callable[[Any], Any], response: Response) -> Response:
        """Return a response that says what an edit makes of what was said; what the agent remembers is as it was."""
        before = self._said_before(response)
        said = change([*before, response.chat_message] if before else response.chat_message)
        message = said[-1] if isinstance(said, list) else said
        if isinstance(message, str):
            message = response.chat_message.model_copy(update={"content": message})
        return dataclasses.replace(response, chat_message=message)

    def _failed(self, step: OpenStep, error: BaseException) -> Status | None:
        notes = step.attributes
        if isinstance(notes, Notes) and notes.owner is not None and isinstance(notes.content, list):
            # A group chat gives an agent the messages again that it failed on (`_chat_agent_container.py`).
            self._ledger.unanswered.put(notes.owner, frozenset(notes.content))
        return None

    def _request(
        self, agent: Any, *, task: Any = None, output_task_messages: bool = True, **_: Any
    ) -> Opening | None:
        """A run of an agent by itself."""
        if current() is not None:
            return None
        notes: dict[str, Attribute] = {semconv.ENTRY: True, ASKED: "run"}
        if not output_task_messages:
            notes[WITHOUT_TASK] = True
        return Opening("request", agent.name, received=task, attributes=self._with_state(agent, notes))

    def _bare(self, agent: Any, messages: Sequence[BaseChatMessage], *_: Any, **__: Any) -> Opening | None:
        """A turn that the app asks for itself."""
        if current() is not None:
            return None
        notes: dict[str, Attribute] = {semconv.ENTRY: True, ASKED: "on_messages"}
        return Opening(
            "request", agent.name, received=list(messages), attributes=self._with_state(agent, notes)
        )

    def _ran(self, step: OpenStep, result: TaskResult) -> object:
        self._states.keep(step)
        return messages_of(step, result)

    def _said(self, step: OpenStep, response: Response) -> object:
        self._states.keep(step)
        return response.chat_message

    def _refused(self, step: OpenStep, error: BaseException) -> Status | None:
        self._states.keep(step)
        return None

    def _with_state(self, agent: Any, attributes: dict[str, Attribute]) -> Notes:
        notes = Notes(None, None, attributes)
        if self._ledger.models.get(agent) is not None or self._states.is_loaded(agent):
            self._states.note(agent, notes)
        return notes

    def _reset(self, agent: Any, _: None, error: BaseException | None) -> None:
        if error is None:
            self._ledger.models.pop(agent)


def stage(here: StepRef) -> StepRef:
    """Return the step that a turn stands in: not in the choice that gave it, which may send its messages itself."""
    notes = notes_of(here)
    while notes is not None and notes.within is not None and semconv.ROUTE_CANDIDATES in notes:
        here, notes = notes.within, notes_of(notes.within)
    return here


def _farther(here: StepRef, hop: int) -> StepRef:
    """Return the current step, seen from so many handoffs after the request."""
    if hop <= here.hop:
        return here
    return RemoteStep(here.id, here.chain_id, here.seq, hop, here.agent, here.span_context)
