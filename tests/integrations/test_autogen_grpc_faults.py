"""The promise: what the gRPC runtime loses, swallows or gives to another stands in the run."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from autogen_core import AgentId, MessageContext, RoutedAgent, TopicId, message_handler
from tests.conftest import Recording
from tests.integrations.kinds import Kinds
from tests.integrations.test_autogen_grpc import Note, until, workers

import becausal
from becausal import semconv


async def test_a_request_that_no_agent_can_take_is_a_handoff_without_a_receiver(recording: Recording) -> None:
    async with workers("first") as (asker,):
        waiting = asyncio.create_task(asker.send_message(Note("go"), AgentId("nobody", "default")))
        run = await until(
            recording, lambda run: any("autogen.undelivered" in s.attributes for s in run.steps)
        )
        waiting.cancel()

    handoff = run.one("handoff", "user to nobody")
    assert handoff.attributes["autogen.undelivered"] == "no such agent"
    assert handoff.produced is None


async def test_a_broadcast_that_nobody_is_subscribed_to_is_a_handoff_without_a_receiver(
    recording: Recording,
) -> None:
    async with workers("first") as (asker,):
        await asker.publish_message(Note("go"), TopicId("nobody", "default"))
        run = await until(recording, lambda run: len(run.steps) == 2)

    lost = run.one("handoff", "user to ?")
    assert lost.attributes["autogen.undelivered"] == "no subscriber"
    assert lost.produced is None


async def test_an_error_comes_back_as_it_would_and_stands_on_the_turn(recording: Recording) -> None:
    async with workers("first") as (asker,):
        with pytest.raises(Exception, match=r"^no$"):
            await asker.send_message(Note("fail"), AgentId("first", "default"))

    run = Kinds(recording.last())
    assert run.one("agent", "first").error == "ValueError: no"
    assert run.one("request").status == "error"
    assert [step.name for step in run.all("handoff")] == ["user to first"]


async def test_a_message_that_the_receiver_cannot_read_is_a_handoff_without_a_receiver(
    recording: Recording,
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise TypeError("unreadable")

    async with workers("first", "second") as (asker, second):
        second._serialization_registry.deserialize = refuse  # type: ignore[method-assign]
        await asker.publish_message(Note("go"), TopicId("second", "default"))
        run = await until(recording, lambda run: run.all("handoff"))

    lost = run.one("handoff", "user to ?")
    assert lost.attributes["autogen.undelivered"] == "TypeError at the receiver"
    assert lost.produced is None


async def test_an_error_that_the_worker_merely_logs_stands_on_the_turn(recording: Recording) -> None:
    async with workers("first") as (asker,):
        await asker.publish_message(Note("fail"), TopicId("first", "default"))
        run = await until(recording, lambda run: [s for s in run.all("agent") if s.status == "error"])

    assert run.one("agent").attributes["autogen.error"] == "swallowed"


async def test_a_message_id_that_the_receiver_is_not_told_stands_on_the_handoff(recording: Recording) -> None:
    async with workers("first") as (asker,):
        await asker.send_message(Note("go"), AgentId("first", "default"), message_id="mine")

    assert Kinds(recording.last()).one("handoff", "user to first").attributes["autogen.message_id"] == "mine"


async def test_an_answer_that_nobody_waits_for_any_more_is_a_handoff_without_a_receiver(
    recording: Recording,
) -> None:
    async with workers("first", "second") as (asker, answers):
        await Late.register(answers, "late", Late)
        asking = asyncio.create_task(asker.send_message(Note("one"), AgentId("late", "default")))
        await until(recording, lambda run: run.all("agent"))
        asking.cancel()
        late = await answers.try_get_underlying_agent_instance(AgentId("late", "default"), Late)
        late.other_asked.set()
        run = await until(recording, lambda run: run.all("handoff", "late to user"))

    assert run.one("request").status == "cancelled"
    assert run.one("agent").status == "ok"  # AutoGen 0.7.5 does not tell the other worker
    assert run.one("handoff", "late to user").produced is None


async def test_a_damaged_text_on_the_wire_costs_the_app_nothing(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BECAUSAL_STRICT", "0")
    monkeypatch.setattr("becausal_integrations.autogen.grpc._wire", lambda *_: '{"format"')
    async with workers("first") as (asker,):
        answer = await asker.send_message(Note("go"), AgentId("first", "default"))

    assert answer == Note("first(go)")


async def test_boundaries_alone_are_the_same_handoffs(store: str) -> None:
    becausal.instrument("autogen", store=store, level="boundaries")
    async with workers("first", "second") as (asker, _):
        await asker.send_message(Note("go"), AgentId("first", "default"))
    becausal.uninstrument()

    run = Kinds(Recording(store).last())
    assert len(run.all("handoff")) == 4
    assert len(run.all("agent")) == 2


class Late(RoutedAgent):
    """Answers the one that asked first once another has asked, and that one after it."""

    def __init__(self) -> None:
        super().__init__("Waits.")
        self.other_asked, self.first_answered = asyncio.Event(), asyncio.Event()

    @message_handler
    async def on_note(self, message: Note, ctx: MessageContext) -> Note:
        if message.text == "one":
            await self.other_asked.wait()
            self.first_answered.set()
        else:
            self.other_asked.set()
            await self.first_answered.wait()
        return Note(f"for {message.text}")


async def test_an_answer_that_the_host_gives_to_another_asker_says_whose_it_was(
    recording: Recording,
) -> None:
    async with workers("first", "second", "third") as (one, two, answers):
        await Late.register(answers, "late", Late)
        first = asyncio.create_task(one.send_message(Note("one"), AgentId("late", "default")))
        second = asyncio.create_task(two.send_message(Note("two"), AgentId("late", "default")))
        # Both are request 1 of their workers: AutoGen 0.7.5 gives the first one's answer to the second.
        assert await second == Note("for one")
        first.cancel()

    runs = {run.one("request").received.value()["text"]: run for run in map(Kinds, recording.runs())}  # type: ignore[union-attr, index]
    asked = runs["one"].one("handoff", "user to late")
    given = runs["one"].one("handoff", "late to user")
    assert given.attributes["autogen.answer_to"] == asked.id
    assert given.attributes[semconv.TRANSFER_RECEIVED_BY] == runs["two"].one("request").id
    assert "autogen.answer_to" not in runs["two"].one("handoff", "late to user").attributes
