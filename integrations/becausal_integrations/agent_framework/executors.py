"""Executors of a workflow, and the handoffs between them.

A message is sealed when an executor sends it and again when another begins with it: each delivery is one handoff.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from becausal import semconv
from becausal.context import current
from becausal.recorder import NOTHING, Observation, Opening, Recorder
from becausal.step import Cause, OpenStep, StepRef
from becausal_integrations.agent_framework import describe
from becausal_integrations.agent_framework.edges import delivering
from becausal_integrations.agent_framework.ledger import (
    Carrier,
    Ledger,
    Notes,
    cause,
    farther,
    forget_made,
    notes_of,
)
from becausal_integrations.agent_framework.messages import told
from becausal_integrations.agent_framework.workflows import request_name
from becausal_integrations.patch import Notice

__all__ = ["Executors"]

EXECUTOR = "agent_framework.executor.id"
"""Told of an executor whose agent has another name."""


class Executors:
    """Says what an executor's turn means, and what it sends."""

    def __init__(self, recorder: Recorder, ledger: Ledger) -> None:
        self._recorder, self._ledger = recorder, ledger
        self.execution = Observation(self._begun, self._ended, forget_made)
        self.sending = Notice(self._sending)
        self.yielding = Notice(self._yielding)

    # An executor's turn

    def _begun(self, executor: Any, message: Any, *_: Any, **__: Any) -> Opening:
        here = current()
        agent = describe.agent_of(executor)
        name = executor.id if agent is None else describe.agent_name(agent)
        notes = Notes(executor if agent is None else agent)
        if name != executor.id:
            notes[EXECUTOR] = executor.id
        is_message = describe.is_workflow_message(message)
        opening = Opening(
            "agent",
            name,
            agent=name,
            received=told(message.data if is_message else message),
            causes=self._asked_before(message),
            attributes=notes,
        )
        carrier = self._ledger.carriers.get(message) if is_message else None
        if carrier is not None:
            handoff = self._handed_over(carrier, name, executor.id, here)
            opening.arrivals = () if handoff is None else (handoff,)
            opening.causes = [*opening.causes, *_chosen(carrier, executor.id)]
        elif is_message and here is not None:
            self._gather(opening, message.data, executor.id, here)
        return opening

    def _ended(self, step: OpenStep, _: None) -> object:
        notes = notes_of(step)
        agent = None if notes is None else notes.owner
        if notes is None or agent is None:
            return NOTHING
        made = notes.take_made()
        if notes.has_run:
            for earlier in self._ledger.kept.pop(agent, ()):
                self._recorder.cause(step, cause(earlier, "data", "kept for the turn"))
        elif not made and describe.is_agent(agent):
            self._ledger.kept.setdefault(agent, []).append(step)
        if not made:
            return NOTHING
        sealed = made[0][1]
        is_all = len(made) == 1 and sealed is not None and not notes.has_run
        return sealed if is_all else describe.produced_by([value for value, _ in made])

    def _asked_before(self, message: Any) -> list[Cause]:
        """Return the step that asked for the answer which a message brings from outside."""
        event = getattr(message, "original_request_info_event", None)
        if event is None:
            return []
        evidence = request_name(event.request_id)
        asked = self._ledger.requests.get(event.request_id) or self._recorder.anchored(evidence)
        return [] if asked is None else [cause(asked, "resume", evidence)]

    def _handed_over(
        self, carrier: Carrier, receiver: str, executor_id: str, here: StepRef | None
    ) -> OpenStep | None:
        carrier.has_arrived = True
        return self._recorder.handoff(
            carrier.sender,
            receiver,
            carrier.sent,
            sent_by=carrier.step,
            parent=here,
            cause=cause(carrier.step, "transfer", f"message to {executor_id}"),
        )

    def _gather(self, opening: Opening, parts: Any, executor_id: str, here: StepRef) -> None:
        """Record one handoff for each message that a fan-in has put together."""
        delivery = delivering()
        if delivery is None or not _are_parts(parts, delivery.gathered):
            return
        causes, hop = list(opening.causes), here.hop
        for part in delivery.gathered:
            carrier = self._ledger.carriers.get(part)
            handoff = None if carrier is None else self._handed_over(carrier, opening.name, executor_id, here)
            if carrier is None or handoff is None:
                continue
            read = self._recorder.seal(told(part.data))
            handoff.attributes[semconv.TRANSFER_EQUAL] = read.payload.digest == carrier.sent.payload.digest
            self._recorder.end(handoff, read)
            causes += [cause(handoff, "transfer", "fan-in"), *_chosen(carrier, executor_id)]
            hop = max(hop, handoff.hop)
        opening.causes, opening.parent = causes, farther(here, hop)

    # What an executor sends and gives out

    def _sending(self, _: Any, message: Any) -> None:
        step = current()
        if not isinstance(step, OpenStep) or step.kind == "workflow":
            return  # it comes from outside
        sent = self._recorder.seal(told(message.data))
        step.bodies.extend(sent.bodies)
        self._ledger.carriers.put(message, Carrier(step, step.agent or message.source_id, sent))
        notes = notes_of(step)
        if notes is not None:
            notes.made.append((message.data, sent))

    def _yielding(self, _: Any, output: Any) -> None:
        notes = notes_of(current())
        if notes is not None:
            notes.made.append((output, None))


def _chosen(carrier: Carrier, executor_id: str) -> list[Cause]:
    """Return the choice that sent a message this way, if there was one."""
    route = carrier.routes.get(executor_id)
    return [] if route is None else [cause(route, "route", f"chose {executor_id}")]


def _are_parts(parts: Any, messages: Sequence[Any]) -> bool:
    """Return whether a fan-in put a message together of these."""
    return (
        isinstance(parts, list)
        and len(parts) == len(messages)
        and all(part is message.data for part, message in zip(parts, messages, strict=True))
    )
