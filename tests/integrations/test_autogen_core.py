"""autogen-core alone: messages between agents that no team runs."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import Any

from autogen_core import (
    AgentId,
    DefaultTopicId,
    MessageContext,
    RoutedAgent,
    SingleThreadedAgentRuntime,
    TopicId,
    TypeSubscription,
    default_subscription,
    message_handler,
)
from tests.conftest import Recording
from tests.integrations.kinds import Kinds

import becausal
from becausal import semconv


@dataclass
class Note:
    text: str


@default_subscription
class Plain(RoutedAgent):
    """Passes each note on once."""

    def __init__(self, name: str, to: str | None = None) -> None:
        super().__init__(name)
        self.name, self.to = name, to

    @message_handler
    async def on_note(self, message: Note, ctx: MessageContext) -> Note:
        if self.to is not None:
            answer = await self.send_message(
                Note(f"{self.name}({message.text})"), AgentId(self.to, "default")
            )
            assert isinstance(answer, Note)
            return answer
        return Note(f"{self.name}({message.text})")


async def plain_runtime(**options: Any) -> SingleThreadedAgentRuntime:
    runtime = SingleThreadedAgentRuntime(**options)
    await Plain.register(runtime, "first", lambda: Plain("first", to="second"))
    await Plain.register(runtime, "second", lambda: Plain("second"))
    runtime.start()
    return runtime


async def test_a_direct_message_between_plain_agents_is_a_handoff_and_a_turn(recording: Recording) -> None:
    runtime = await plain_runtime()

    answer = await runtime.send_message(Note("go"), AgentId("first", "default"))
    await runtime.stop_when_idle()

    assert answer == Note("second(first(go))")
    run = Kinds(recording.last())
    assert [(step.kind, step.name) for step in run.steps] == [
        ("request", "first"),
        ("handoff", "user to first"),
        ("agent", "first"),
        ("handoff", "first to second"),
        ("agent", "second"),
        ("handoff", "second to first"),
        ("handoff", "first to user"),
    ]
    handoff, turn = run.one("handoff", "first to second"), run.one("agent", "second")
    assert handoff.received is not None
    assert handoff.received.value()["text"] == "first(go)"  # type: ignore[index]
    assert run.causes(turn, "transfer") == [handoff]
    assert run.causes(handoff, "transfer") == [run.one("agent", "first")]
    assert turn.hop == 2


async def test_the_answer_to_a_direct_message_is_a_handoff_back(recording: Recording) -> None:
    runtime = await plain_runtime()

    await runtime.send_message(Note("go"), AgentId("first", "default"))
    await runtime.stop_when_idle()

    run = Kinds(recording.last())
    asked, answered = run.one("agent", "first"), run.one("agent", "second")
    back = run.one("handoff", "second to first")
    assert run.causes(back, "transfer") == [answered]
    assert back.parent_id == asked.id
    assert back.attributes[semconv.TRANSFER_RECEIVED_BY] == asked.id
    assert back.attributes[semconv.TRANSFER_EQUAL] is True
    assert back.received is not None
    assert back.received.value() == {"text": "second(first(go))"}
    assert run.one("handoff", "first to user").attributes[semconv.TRANSFER_RECEIVED_BY] == (
        run.one("request").id
    )


class Stubborn(RoutedAgent):
    """Answers itself where it could not pass a note on."""

    @message_handler
    async def on_note(self, message: Note, ctx: MessageContext) -> Note:
        with contextlib.suppress(Exception):
            await self.send_message(Note("to nobody"), AgentId("unknown", "default"))
        return Note("itself")


async def test_an_answer_is_told_apart_from_what_was_sent_in_vain_before_it(recording: Recording) -> None:
    runtime = SingleThreadedAgentRuntime()
    await Stubborn.register(runtime, "first", lambda: Stubborn("Stubborn."))
    runtime.start()

    await runtime.send_message(Note("go"), AgentId("first", "default"))
    await runtime.stop_when_idle()

    back = Kinds(recording.last()).one("handoff", "first to user")
    assert back.received is not None
    assert back.received.value() == {"text": "itself"}
    assert back.attributes[semconv.TRANSFER_EQUAL] is True


async def test_a_broadcast_has_a_handoff_for_each_receiver(recording: Recording) -> None:
    runtime = await plain_runtime()

    await runtime.publish_message(Note("go"), DefaultTopicId())
    await runtime.stop_when_idle()

    run = Kinds(recording.last())
    root = run.one("request", "default")
    assert {handoff.name for handoff in run.all("handoff")} == {
        "user to first",
        "user to second",
        "first to second",
        "second to first",
    }
    assert [turn.parent_id for turn in run.all("agent")].count(root.id) == 2


@dataclass
class Odd:
    text: str


async def test_a_message_that_nobody_takes_is_a_handoff_without_a_receiver(recording: Recording) -> None:
    runtime = await plain_runtime()

    with becausal.chain("talk"):
        await runtime.publish_message(Note("go"), TopicId("nobody", "default"))
        await runtime.publish_message(Odd("what is this"), DefaultTopicId())
        await runtime.stop_when_idle()

    run = Kinds(recording.last())
    assert not run.all("agent")
    assert sorted(handoff.name for handoff in run.all("handoff")) == [
        "user to ?",
        "user to first",
        "user to second",
    ]
    assert all(handoff.produced is None and handoff.status == "ok" for handoff in run.all("handoff"))


async def test_a_message_that_was_changed_on_its_way_differs_between_sending_and_receiving(
    recording: Recording,
) -> None:
    from autogen_core import DefaultInterventionHandler

    class Poison(DefaultInterventionHandler):
        async def on_send(self, message: Any, *, message_context: MessageContext, recipient: AgentId) -> Any:
            return replace(message, text="poison") if message.text == "first(go)" else message

    runtime = await plain_runtime(intervention_handlers=[Poison()])

    await runtime.send_message(Note("go"), AgentId("first", "default"))
    await runtime.stop_when_idle()

    run = Kinds(recording.last())
    handoff = run.one("handoff", "first to second")
    assert handoff.attributes[semconv.TRANSFER_EQUAL] is False
    assert "first(go)" in handoff.received.text()  # type: ignore[union-attr]
    assert "poison" in handoff.produced.text()  # type: ignore[union-attr]


class Relay(RoutedAgent):
    """Passes a note on to a topic, so many times."""

    @message_handler
    async def on_note(self, message: Note, ctx: MessageContext) -> None:
        if len(message.text) < 4:
            other = "pong" if self.id.type == "ping" else "ping"
            await self.publish_message(Note(message.text + "!"), TopicId(other, "default"))


async def test_a_chain_of_broadcasts_does_not_nest_for_the_sender_may_be_done_before_it_is_received(
    recording: Recording,
) -> None:
    runtime = SingleThreadedAgentRuntime()
    for name in ("ping", "pong"):
        await Relay.register(runtime, name, lambda: Relay("Relays."), skip_class_subscriptions=True)
        await runtime.add_subscription(TypeSubscription(name, name))
    runtime.start()

    await runtime.publish_message(Note("go"), TopicId("ping", "default"))
    await runtime.stop_when_idle()

    run = Kinds(recording.last())
    turns = run.all("agent")
    assert [turn.name for turn in turns] == ["ping", "pong", "ping"]
    assert {turn.parent_id for turn in turns} == {run.one("request").id}
    assert [run.senders(turn) for turn in turns] == [[run.one("request")], [turns[0]], [turns[1]]]
    assert [turn.hop for turn in turns] == [1, 2, 3]
