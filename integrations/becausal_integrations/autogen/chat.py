"""Teams, turns, and whose turn is next (autogen-agentchat)."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from becausal import semconv
from becausal.context import current
from becausal.instrument import Hooks
from becausal.recorder import Observation, Opening, Recorder
from becausal.step import Cause, Choice, OpenStep, RemoteStep, StepRef
from becausal_integrations.autogen import describe
from becausal_integrations.autogen.hooking import observed, request_around
from becausal_integrations.autogen.ledger import Ledger, Notes, cause, owns
from becausal_integrations.autogen.runtime import arriving
from becausal_integrations.patch import family

if TYPE_CHECKING:
    from autogen_agentchat.base import Response, TaskResult
    from autogen_agentchat.messages import BaseChatMessage

__all__ = ["Chat"]


class Chat:
    """Describes the life of a team."""

    def __init__(self, recorder: Recorder, ledger: Ledger) -> None:
        self._recorder, self._ledger = recorder, ledger
        self.team_run = Observation(self._team, _messages_of, keeps=describe.is_task_result)
        self.agent_run = Observation(_request, _messages_of, keeps=describe.is_task_result)
        self.bare_turn = Observation(
            _bare, lambda _, response: response.chat_message, keeps=describe.is_response
        )
        self.turn = Observation(self._turn, self._answered, keeps=describe.is_response)
        self.selection = Observation(self._selection, self._selected)

    def hook(self, hooks: Hooks) -> None:
        """Hook teams, agents and the managers of group chats."""
        seen = functools.partial(observed, self._recorder)
        turn = request_around(self._recorder, seen(self.turn), self.bare_turn)
        family(
            hooks,
            "autogen_agentchat.base._team:Team",
            {"run": seen(self.team_run), "run_stream": seen(self.team_run)},
        )
        family(
            hooks,
            "autogen_agentchat.agents._base_chat_agent:BaseChatAgent",
            {
                "run": seen(self.agent_run),
                "run_stream": seen(self.agent_run),
                "on_messages": turn,
                "on_messages_stream": turn,
            },
        )
        family(
            hooks,
            "autogen_agentchat.teams._group_chat._base_group_chat_manager:BaseGroupChatManager",
            {"select_speaker": seen(self.selection)},
        )

    # Teams

    def _team(self, team: Any, *, task: Any = None, **_: Any) -> Opening | None:
        here = current()
        if owns(here, team):
            return None
        causes = self._turn_given()
        for message in describe.task_messages(task):
            known = self._ledger.origin(message, None)
            if known is not None:
                causes.append(cause(known.step, "data", f"message id {message.id}"))
        return Opening("workflow", team.name, received=task, causes=causes, attributes=Notes(team, here))

    # Turns

    def _turn(self, agent: Any, messages: Sequence[BaseChatMessage], *_: Any, **__: Any) -> Opening | None:
        here = current()
        if here is None or owns(here, agent):
            return None
        causes, hop = self._turn_given(), 0
        for message in messages:
            handoff = self._passed_on(message, agent.name, here)
            if handoff is not None:
                causes.append(cause(handoff, "transfer", f"message id {message.id}"))
                hop = max(hop, handoff.hop)
        return Opening(
            "agent",
            agent.name,
            agent=agent.name,
            received=list(messages),
            parent=_farther(here, hop),
            causes=causes,
            attributes=Notes(agent, here),
        )

    def _turn_given(self) -> list[Cause]:
        """Return who gave this turn, where it was given by a message of its own."""
        carrier = arriving()
        if carrier is None or carrier.route is None:
            return []
        return [cause(carrier.route, "route", "GroupChatRequestPublish")]

    def _passed_on(self, message: BaseChatMessage, reader: str, here: StepRef) -> OpenStep | None:
        """Record the passing of one message from whoever made it to an agent that reads it now."""
        origin = self._ledger.origin(message, here)
        if origin is None:
            return None
        handoff = self._recorder.handoff(
            origin.sender,
            reader,
            origin.sealed,
            sent_by=origin.step,
            parent=here,
            cause=cause(origin.step, "transfer", f"message id {message.id}"),
        )
        if handoff is None:
            return None
        read = self._ledger.seal(message)
        handoff.attributes[semconv.TRANSFER_EQUAL] = read.payload.digest == origin.sealed.payload.digest
        self._recorder.end(handoff, read)
        for item in getattr(
            message, "context", ()
        ):  # a HandoffMessage brings messages of its sender's model along
            self._ledger.tag(item, (origin.step, f"message id {message.id}"))
        return handoff

    def _answered(self, step: OpenStep, response: Response) -> object:
        message = response.chat_message
        sealed = self._ledger.seal(message)
        if self._ledger.messages.find(message.id) is None:
            sealed = self._ledger.produce(message, step, step.name, sealed).sealed
        target = getattr(message, "target", None)  # of a HandoffMessage
        if isinstance(target, str):
            self._recorder.decide(step, Choice(f"hand over to {target}", reason=describe.head(message)))
        return sealed

    # Whose turn is next

    def _selection(self, manager: Any, thread: Sequence[Any], *_: Any, **__: Any) -> Opening | None:
        here = current()
        if owns(here, manager):
            return None
        judged = self._ledger.threads.get(manager) or 0
        new = thread[judged:] if judged <= len(thread) else thread
        self._ledger.threads.put(manager, len(thread))
        return Opening(
            "route",
            manager._name,
            agent=manager._name,
            received=describe.heads(new),
            causes=list(self._said(new)),
            # Not in the payload: a name is no content, and would be led back to whatever named it before.
            attributes=Notes(manager, here, {semconv.ROUTE_CANDIDATES: tuple(manager._participant_names)}),
        )

    def _said(self, messages: Sequence[Any]) -> Iterator[Cause]:
        for message in messages:
            known = self._ledger.origin(message, None)
            if known is not None:
                yield cause(known.step, "data", f"message id {message.id}")

    def _selected(self, step: OpenStep, chosen: list[str] | str) -> object:
        notes = step.attributes
        if isinstance(notes, Notes):
            self._ledger.routes.put(str(notes.owner.id), step)  # type: ignore[attr-defined]
        names = [chosen] if isinstance(chosen, str) else chosen
        self._recorder.decide(step, Choice(f"next speaker: {', '.join(names)}"))
        return chosen


def _request(agent: Any, *, task: Any = None, **_: Any) -> Opening | None:
    """A run of an agent by itself."""
    return None if current() is not None else Opening("request", agent.name, received=task)


def _bare(agent: Any, messages: Sequence[BaseChatMessage], *_: Any, **__: Any) -> Opening | None:
    """A turn that the app asks for itself."""
    return None if current() is not None else Opening("request", agent.name, received=list(messages))


def _messages_of(step: OpenStep, result: TaskResult) -> object:
    if result.stop_reason is not None:
        step.attributes[semconv.STOP_REASON] = result.stop_reason
    return list(result.messages)


def _farther(here: StepRef, hop: int) -> StepRef:
    """Return the current step, seen from so many handoffs after the request."""
    if hop <= here.hop:
        return here
    return RemoteStep(here.id, here.chain_id, here.seq, hop, here.agent, here.span_context)
