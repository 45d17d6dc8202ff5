"""The promise: an intervention handler that changes a message, drops it or refuses it is named on its handoffs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from autogen_core import AgentId, DefaultInterventionHandler, DropMessage, MessageContext
from autogen_core.exceptions import MessageDroppedException
from tests.conftest import Recording
from tests.integrations.kinds import Kinds
from tests.integrations.test_autogen_delivery import ALL, Agent, Note, idle, runtime_of

from becausal import semconv
from becausal_integrations.autogen.deliveries import EDITED_BY, UNDELIVERED
from becausal_integrations.autogen.interventions import INTERVENTION, UNDONE


class Replaces(DefaultInterventionHandler):
    async def on_publish(self, message: Any, *, message_context: MessageContext) -> Any:
        return replace(message, text="replaced")

    async def on_response(self, message: Any, *, sender: AgentId, recipient: AgentId | None) -> Any:
        return Note("other")


class Edits(DefaultInterventionHandler):
    async def on_publish(self, message: Any, *, message_context: MessageContext) -> Any:
        message.text = "edited"
        return message


class Drops(DefaultInterventionHandler):
    async def on_publish(self, message: Any, *, message_context: MessageContext) -> Any:
        return DropMessage

    async def on_send(self, message: Any, *, message_context: MessageContext, recipient: AgentId) -> Any:
        return DropMessage() if message.text == "drop" else message

    async def on_response(self, message: Any, *, sender: AgentId, recipient: AgentId | None) -> Any:
        return DropMessage


class Refuses(DefaultInterventionHandler):
    async def on_publish(self, message: Any, *, message_context: MessageContext) -> Any:
        raise ValueError("no")


class Forgets(DefaultInterventionHandler):
    async def on_publish(self, message: Any, *, message_context: MessageContext) -> Any:
        pass


class Looks(DefaultInterventionHandler):
    pass


@pytest.mark.parametrize(
    ("handlers", "done", "undone", "arrives"),
    [
        ([Replaces()], ("Replaces",), None, "replaced"),
        ([Edits()], ("Edits",), None, "edited"),
        ([Looks(), Edits(), Looks()], ("Edits",), None, "edited"),
        # AutoGen 0.7.5 gives each handler the original message: one that merely looks undoes the change before it.
        ([Replaces(), Looks()], None, ("Replaces",), "go"),
        ([Looks()], None, None, "go"),
    ],
)
async def test_a_handler_that_changed_a_message_is_named_on_the_handoff(
    recording: Recording, handlers: list[Any], done: Any, undone: Any, arrives: str
) -> None:
    runtime = await runtime_of({"intervention_handlers": handlers}, a=None)

    await runtime.publish_message(Note("go"), ALL)
    await idle(runtime)

    handoff = Kinds(recording.last()).one("handoff", "user to a")
    assert handoff.attributes.get(INTERVENTION) == done
    assert handoff.attributes.get(UNDONE) == undone
    assert handoff.attributes[semconv.TRANSFER_EQUAL] is (arrives == "go")
    assert handoff.received is not None
    assert handoff.produced is not None
    assert (handoff.received.value(), handoff.produced.value()) == ({"text": "go"}, {"text": arrives})
    assert EDITED_BY not in handoff.attributes


@pytest.mark.parametrize(("handler", "why"), [(Drops(), "dropped"), (Refuses(), "raised ValueError")])
async def test_a_broadcast_that_a_handler_held_back_is_a_handoff_without_a_receiver(
    recording: Recording, handler: Any, why: str
) -> None:
    runtime = await runtime_of({"intervention_handlers": [Looks(), handler]}, a=None)

    await runtime.publish_message(Note("go"), ALL)
    await idle(runtime)

    run = Kinds(recording.last())
    lost = run.one("handoff", "user to ?")
    assert lost.attributes[INTERVENTION] == (type(handler).__name__,)
    assert lost.attributes[UNDELIVERED] == f"{why} by an intervention handler"
    assert lost.produced is None
    assert not run.all("agent")


async def test_a_direct_message_or_an_answer_that_a_handler_dropped_names_the_handler(
    recording: Recording,
) -> None:
    async def answer(agent: Agent, message: Note, ctx: MessageContext) -> Note:
        return Note("here")

    runtime = await runtime_of({"intervention_handlers": [Drops()]}, a=answer)
    for text in ("drop", "let through"):
        with pytest.raises(MessageDroppedException):
            await runtime.send_message(Note(text), AgentId("a", "default"))
    await runtime.stop()

    answered, dropped = map(Kinds, recording.runs())
    lost = dropped.one("handoff", "user to a")
    assert (lost.attributes[INTERVENTION], lost.produced) == (("Drops",), None)
    assert not dropped.all("agent")
    back = answered.one("handoff", "a to user")
    assert (back.attributes[INTERVENTION], back.produced) == (("Drops",), None)
    assert answered.one("agent").status == "ok"


async def test_an_answer_that_a_handler_replaced_shows_both_and_names_the_handler(
    recording: Recording,
) -> None:
    async def answer(agent: Agent, message: Note, ctx: MessageContext) -> Note:
        return Note("here")

    runtime = await runtime_of({"intervention_handlers": [Replaces()]}, a=answer)
    assert await runtime.send_message(Note("go"), AgentId("a", "default")) == Note("other")
    await runtime.stop()

    back = Kinds(recording.last()).one("handoff", "a to user")
    assert back.attributes[INTERVENTION] == ("Replaces",)
    assert back.received is not None
    assert back.produced is not None
    assert (back.received.value(), back.produced.value()) == ({"text": "here"}, {"text": "other"})


async def test_a_handler_that_forgets_to_return_the_message_is_named_where_it_got_to_nobody(
    recording: Recording,
) -> None:
    # AutoGen 0.7.5 delivers the None.
    runtime = await runtime_of({"intervention_handlers": [Forgets()]}, a=None)

    await runtime.publish_message(Note("go"), ALL)
    with pytest.warns(RuntimeWarning, match="returned None"):
        await idle(runtime)

    handoff = Kinds(recording.last()).one("handoff")
    assert handoff.attributes[INTERVENTION] == ("Forgets",)
    assert handoff.attributes[UNDELIVERED] == "no handler for NoneType"
