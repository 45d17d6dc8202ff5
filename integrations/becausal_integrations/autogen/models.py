"""Model calls: what the model saw, and what it decided on that (autogen-core).

What an agent's model has seen before is told by one cause, the agent's call before: or a conversation of n turns would
have n² causes. What comes from another run of the same conversation, or from a state that was loaded, is a cause of
kind `memory`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from becausal import semconv
from becausal.adapter import Hooks
from becausal.context import current
from becausal.recorder import Observation, Opening, Recorder
from becausal.step import Cause, Grade, OpenStep, Status, StepRef
from becausal_integrations.autogen import describe, replayed
from becausal_integrations.autogen.hooking import observed
from becausal_integrations.autogen.ledger import (
    Ledger,
    Notes,
    Tag,
    View,
    cause,
    notes_of,
    owns,
    remote,
)
from becausal_integrations.identity import ByIdentity
from becausal_integrations.patch import family

if TYPE_CHECKING:
    from autogen_core.models import CreateResult

__all__ = ["Models"]


class Shown(NamedTuple):
    """What an agent's model was shown last."""

    numbers: list[int]
    """`id` of each message."""
    known: int
    """How many of them come from somewhere that is known."""


class Models:
    """Describes the calls of models."""

    def __init__(self, recorder: Recorder, ledger: Ledger) -> None:
        self._recorder, self._ledger = recorder, ledger
        self._shown: ByIdentity[Shown] = ByIdentity()
        told = self._asked, self._decided, self._refused, describe.is_create_result
        self._call = Observation(*told, answers=replayed.model_result)
        self._stream = Observation(*told, answers=replayed.model_items)

    def hook(self, hooks: Hooks) -> None:
        """Hook every model client, those of the app's own making included."""
        seen = functools.partial(observed, self._recorder)
        family(
            hooks,
            "autogen_core.models._model_client:ChatCompletionClient",
            {"create": seen(self._call), "create_stream": seen(self._stream)},
        )

    def _asked(self, client: Any, messages: Sequence[Any] = (), *_: Any, **__: Any) -> Opening | None:
        here = current()
        if self._recorder.level == "boundaries" or owns(here, client):
            return None
        turn = notes_of(here)
        agent = None if turn is None or here is None else here.agent or describe.manager_name(turn.owner)
        notes = Notes(client, here)
        causes = self._seen(here, None if turn is None else turn.owner, agent, messages, notes)
        if turn is not None and turn.view is not None:
            notes.update(_of_view(turn.view))
            turn.view = None
        name = describe.model_name(client)
        return Opening("model", name, agent, received=list(messages), causes=causes, attributes=notes)

    def _seen(
        self, here: StepRef | None, owner: object, agent: str | None, messages: Sequence[Any], notes: Notes
    ) -> list[Cause]:
        numbers = list(map(id, messages))
        former = self._shown.get(owner) if owner is not None else None
        start, seen_before = 0, 0
        if former is not None and numbers[: len(former.numbers)] == former.numbers:
            # A context that only grew: what it begins with was seen, and need not be looked at again.
            start, seen_before = len(former.numbers), former.known
        causes: dict[str, Cause] = {}
        new: list[object] = []
        reader = agent or ""
        for message in messages[start:]:
            known = self._ledger.known(message)
            if known is None:
                continue
            tag, grade = known
            if reader in tag.readers:
                seen_before += 1
                continue
            tag.readers += (reader,)
            new.append(message)
            _take(causes, tag, here, grade)
        notes.premises = tuple(describe.heads(new))
        if owner is not None:
            self._shown.put(owner, Shown(numbers, seen_before + len(new)))
        if seen_before:
            self._before(here, owner, seen_before, messages, causes)
        return list(causes.values())

    def _before(
        self,
        here: StepRef | None,
        owner: object,
        seen_before: int,
        messages: Sequence[Any],
        causes: dict[str, Cause],
    ) -> None:
        former = self._ledger.models.get(owner)
        if former is not None:
            causes[former.id] = _from(former, here, f"messages that it had seen before: {seen_before}")
        else:  # a call of this agent's that goes on at this moment has seen them
            self._all(here, messages, causes)

    def _all(self, here: StepRef | None, messages: Sequence[Any], causes: dict[str, Cause]) -> None:
        for _, tag in self._ledger.tags.among(messages):
            _take(causes, tag, here)

    def _decided(self, step: OpenStep, result: CreateResult) -> object:
        notes = step.attributes
        if isinstance(notes, Notes):
            turn = self._was_asked(step, notes)
            if turn is not None:
                _to_turn(turn, remote(step), result)
            for choice in describe.choices(result, notes.premises):
                self._recorder.decide(step, choice)
        step.attributes.update(describe.usage(result))
        return result

    def _refused(self, step: OpenStep, error: BaseException) -> Status | None:
        if isinstance(step.attributes, Notes):
            self._was_asked(step, step.attributes)
        return None

    def _was_asked(self, step: OpenStep, notes: Notes) -> Notes | None:
        """Note that an agent's model was called; returns what is noted of the turn."""
        turn = notes_of(notes.within)
        owner = None if turn is None else turn.owner
        if owner is not None:
            self._ledger.models.put(owner, remote(step))
        return turn


def _to_turn(turn: Notes, step: StepRef, result: CreateResult) -> None:
    if isinstance(result.content, str):
        turn.said += ((step, result.content),)
    else:
        turn.decided = {**turn.decided, **{call.id: step for call in result.content}}


def _take(causes: dict[str, Cause], tag: Tag, here: StepRef | None, grade: Grade = "observed") -> None:
    """Take up what a message comes from, but for the step itself."""
    for source in tag.sources:
        step, known = source.step, source.cause
        if here is not None and step.id == here.id:
            continue
        if grade == "observed" and (here is None or step.chain_id == here.chain_id):
            causes[step.id] = known
        else:
            causes[step.id] = _from(step, here, known.evidence, grade)


def _from(source: StepRef, here: StepRef | None, evidence: str, grade: Grade = "observed") -> Cause:
    if here is None or source.chain_id == here.chain_id:
        return cause(source, "data", evidence, grade)
    return cause(source, "memory", f"{evidence}, of an earlier run", grade)


def _of_view(view: View) -> dict[str, Any]:
    told: dict[str, Any] = {semconv.CONTEXT_STORED: view.stored, semconv.CONTEXT_SEEN: view.seen}
    if view.evicted:
        told[semconv.CONTEXT_EVICTED] = view.evicted
    return told
