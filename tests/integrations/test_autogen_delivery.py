"""The promise: what befalls a message between its sending and its arrival is told on its handoffs, as a fact."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from autogen_core import (
    AgentId,
    CancellationToken,
    ClosureAgent,
    ClosureContext,
    DefaultInterventionHandler,
    MessageContext,
    RoutedAgent,
    SingleThreadedAgentRuntime,
    TopicId,
    TypePrefixSubscription,
    TypeSubscription,
    message_handler,
)
from autogen_core.exceptions import CantHandleException
from tests.conftest import Recording
from tests.integrations.kinds import Kinds

import becausal
from becausal import semconv
from becausal_integrations.autogen.carrier import Carrier
from becausal_integrations.autogen.deliveries import (
    DUPLICATE,
    EDITED_BY,
    ERROR,
    OVERTAKEN,
    UNDELIVERED,
    UNHANDLED,
)


@dataclass
class Note:
    text: str


@dataclass
class Special(Note):
    pass


Does = Callable[["Agent", Note, MessageContext], Awaitable[Any]]


class Agent(RoutedAgent):
    """Does with a note what it was made to do."""

    def __init__(self, does: Does | None = None) -> None:
        super().__init__("Does.")
        self.does, self.read = does, [""][:0]

    @message_handler
    async def on_note(self, message: Note, ctx: MessageContext) -> Any:
        self.read.append(message.text)
        return None if self.does is None else await self.does(self, message, ctx)


async def runtime_of(
    _options: dict[str, Any] | None = None, **agents: Does | None
) -> SingleThreadedAgentRuntime:
    """Return a runtime that runs agents by these names, all subscribed to the topic `all`."""
    runtime = SingleThreadedAgentRuntime(**(_options or {}))
    for name, does in agents.items():
        await Agent.register(runtime, name, lambda does=does: Agent(does))  # type: ignore[misc]
        await runtime.add_subscription(TypeSubscription("all", name))
    runtime.start()
    return runtime


async def idle(runtime: SingleThreadedAgentRuntime) -> None:
    """Wait until nothing moves: `stop_when_idle` hangs where a handler dropped a message (AutoGen 0.7.5)."""
    for _ in range(20):
        await asyncio.sleep(0)
    await runtime.stop()


ALL = TopicId("all", "default")


# Nobody, twice, late


async def test_a_broadcast_without_a_subscriber_says_so(recording: Recording) -> None:
    runtime = await runtime_of(a=None)

    await runtime.publish_message(Note("go"), TopicId("nobody", "default"))
    await runtime.stop_when_idle()

    assert Kinds(recording.last()).one("handoff").attributes[UNDELIVERED] == "no subscriber"


async def test_a_broadcast_whose_recipient_cannot_be_made_says_so(recording: Recording) -> None:
    def fail() -> Agent:
        raise ValueError("no")

    runtime = await runtime_of()
    await Agent.register(runtime, "a", fail)
    await runtime.add_subscription(TypeSubscription("all", "a"))

    await runtime.publish_message(Note("go"), ALL)
    await runtime.stop_when_idle()

    assert Kinds(recording.last()).one("handoff").attributes[UNDELIVERED] == "no recipient could be made"


async def test_a_message_whose_type_has_no_handler_says_so_though_its_base_class_has_one(
    recording: Recording,
) -> None:
    runtime = await runtime_of(a=None)

    answer = await runtime.send_message(Special("go"), AgentId("a", "default"))
    await runtime.stop_when_idle()

    assert answer is None
    handoff = Kinds(recording.last()).one("handoff")
    assert handoff.attributes[UNDELIVERED] == "no handler for Special"
    assert handoff.produced is None


class Picky(RoutedAgent):
    @message_handler(match=lambda message, ctx: message.text == "other")  # type: ignore[attr-defined]
    async def on_note(self, message: Note, ctx: MessageContext) -> None:
        pass

    @message_handler
    async def on_special(self, message: Special, ctx: MessageContext) -> None:
        raise CantHandleException("not this one")


async def test_a_message_that_no_handlers_condition_takes_leaves_a_turn_that_did_nothing(
    recording: Recording,
) -> None:
    runtime = SingleThreadedAgentRuntime()
    await Picky.register(runtime, "picky", lambda: Picky("Picky."))
    runtime.start()

    with becausal.chain("ask"):
        await runtime.send_message(Note("go"), AgentId("picky", "default"))
        with pytest.raises(CantHandleException):
            await runtime.send_message(Special("go"), AgentId("picky", "default"))
    await runtime.stop_when_idle()

    unhandled, refused = Kinds(recording.last()).all("agent")
    assert unhandled.attributes[UNHANDLED] is True
    assert (refused.status, refused.error) == ("error", "CantHandleException: not this one")


async def test_a_recipient_that_does_not_exist_leaves_a_handoff_without_a_receiver(
    recording: Recording,
) -> None:
    runtime = await runtime_of(a=None)

    with pytest.raises(Exception, match="Recipient not found"):
        await runtime.send_message(Note("go"), AgentId("nobody", "default"))
    await runtime.stop()

    handoff = Kinds(recording.last()).one("handoff", "user to nobody")
    assert handoff.attributes[UNDELIVERED] == "Exception at the sender"
    assert (handoff.produced, handoff.status) == (None, "ok")


async def test_what_a_stopped_runtime_throws_away_is_told_as_lost(recording: Recording) -> None:
    async def stop(agent: Agent, message: Note, ctx: MessageContext) -> None:
        if message.text == "go":
            for text in ("one", "two"):
                await agent.publish_message(Note(text), TopicId("b", "default"))
            stopping.append(asyncio.ensure_future(agent.runtime.stop()))  # type: ignore[attr-defined]

    stopping: list[Any] = []
    runtime = await runtime_of(a=stop)
    await Agent.register(runtime, "b", Agent)
    await runtime.add_subscription(TypeSubscription("b", "b"))
    await runtime.publish_message(Note("go"), ALL)
    for _ in range(20):
        await asyncio.sleep(0)
    await stopping[0]

    run = Kinds(recording.last())
    lost = [step for step in run.all("handoff") if step.attributes.get(UNDELIVERED)]
    assert [step.attributes[UNDELIVERED] for step in lost] == ["the runtime was stopped"]
    assert lost[0].received is not None
    assert lost[0].received.value() == {"text": "two"}
    assert run.one("handoff", "a to b").produced is not None


async def test_a_message_that_two_subscriptions_bring_to_one_agent_is_a_duplicate(
    recording: Recording,
) -> None:
    runtime = await runtime_of(a=None)
    await runtime.add_subscription(TypePrefixSubscription("al", "a"))

    await runtime.publish_message(Note("go"), ALL)
    await runtime.stop_when_idle()

    handoffs = Kinds(recording.last()).all("handoff", "user to a")
    assert [handoff.attributes.get(DUPLICATE) for handoff in handoffs] == [None, True]


async def test_a_message_id_that_an_agent_got_before_is_a_duplicate(recording: Recording) -> None:
    runtime = await runtime_of(a=None)

    with becausal.chain("talk"):
        for text in ("go", "go"):
            await runtime.publish_message(Note(text), ALL, message_id="m1")
        await runtime.publish_message(Note("go"), ALL, message_id="m2")
        await runtime.stop_when_idle()

    handoffs = Kinds(recording.last()).all("handoff")
    assert [handoff.attributes.get(DUPLICATE) for handoff in handoffs] == [None, True, None]


async def test_a_message_that_came_after_a_later_one_of_the_same_sender_was_overtaken(
    recording: Recording,
) -> None:
    made, first_waits = asyncio.Event(), [True]

    async def make() -> Agent:
        if first_waits and first_waits.pop():
            await made.wait()  # what the first message waits for the second brings
        made.set()
        return Agent()

    async def tell(agent: Agent, message: Note, ctx: MessageContext) -> None:
        for text in ("one", "two"):
            await agent.publish_message(Note(text), TopicId("late", "default"))

    runtime = await runtime_of(a=tell)
    await Agent.register(runtime, "late", make)
    await runtime.add_subscription(TypeSubscription("late", "late"))
    await runtime.publish_message(Note("go"), ALL)
    await runtime.stop_when_idle()

    came = {
        step.produced.value()["text"]: step.attributes.get(OVERTAKEN)  # type: ignore[union-attr, index]
        for step in Kinds(recording.last()).all("handoff", "a to late")
    }
    assert came == {"one": True, "two": None}


# Errors that nobody sees


@pytest.mark.parametrize(("ignores", "told"), [(True, "swallowed"), (False, "raised later")])
async def test_an_error_in_the_handler_of_a_broadcast_says_what_became_of_it(
    recording: Recording, ignores: bool, told: str
) -> None:
    async def fail(agent: Agent, message: Note, ctx: MessageContext) -> None:
        raise failure

    failure = ValueError("no")
    runtime = await runtime_of({"ignore_unhandled_exceptions": ignores}, a=fail)
    await runtime.publish_message(Note("go"), ALL)
    if ignores:
        await runtime.stop_when_idle()
    else:
        with pytest.raises(ValueError, match="no") as caught:
            await runtime.stop_when_idle()
        assert caught.value is failure

    turn = Kinds(recording.last()).one("agent")
    assert (turn.status, turn.error, turn.attributes[ERROR]) == ("error", "ValueError: no", told)


# One object in many hands


async def test_a_recipient_that_edits_the_shared_message_is_named_where_others_find_it_edited(
    recording: Recording,
) -> None:
    async def edit(agent: Agent, message: Note, ctx: MessageContext) -> None:
        message.text += " [edited]"

    runtime = await runtime_of(a=None, b=edit, c=None, d=None)
    await runtime.publish_message(Note("go"), ALL)
    await runtime.stop_when_idle()

    run = Kinds(recording.last())
    found = {name: run.one("handoff", f"user to {name}") for name in "abcd"}
    editor = run.one("agent", "b")
    assert [found[name].attributes[semconv.TRANSFER_EQUAL] for name in "abcd"] == [True, True, False, False]
    assert [found[name].attributes.get(EDITED_BY) for name in "abcd"] == [None, None, editor.id, editor.id]
    assert editor in run.causes(found["c"], "data")
    assert found["c"].received is not None
    assert found["c"].received.value() == {"text": "go"}


async def test_a_sender_that_edits_what_it_sent_is_named(recording: Recording) -> None:
    async def send_and_edit(agent: Agent, message: Note, ctx: MessageContext) -> None:
        said = Note("said")
        await agent.publish_message(said, TopicId("b", "default"))
        said.text = "changed my mind"

    runtime = await runtime_of(a=send_and_edit)
    await Agent.register(runtime, "b", Agent)
    await runtime.add_subscription(TypeSubscription("b", "b"))
    await runtime.publish_message(Note("go"), ALL)
    await runtime.stop_when_idle()

    run = Kinds(recording.last())
    assert run.one("handoff", "a to b").attributes[EDITED_BY] == run.one("agent", "a").id


# The app does not notice


async def test_a_closure_agent_and_nested_sends_are_turns_with_handoffs(recording: Recording) -> None:
    async def collect(context: ClosureContext, message: Note, ctx: MessageContext) -> None:
        collected.append(message.text)

    async def ask(agent: Agent, message: Note, ctx: MessageContext) -> Note:
        answer: Note = await agent.send_message(Note("asked"), AgentId("b", "default"))
        await agent.publish_message(answer, TopicId("results", "default"))
        return answer

    async def answer(agent: Agent, message: Note, ctx: MessageContext) -> Note:
        return Note("answered")

    collected: list[str] = []
    runtime = await runtime_of(a=ask, b=answer)
    await ClosureAgent.register_closure(
        runtime, "collector", collect, subscriptions=lambda: [TypeSubscription("results", "collector")]
    )
    await runtime.send_message(Note("go"), AgentId("a", "default"))
    await runtime.stop_when_idle()

    assert collected == ["answered"]
    run = Kinds(recording.last())
    assert [turn.name for turn in run.all("agent")] == ["a", "b", "collector"]
    assert run.senders(run.one("agent", "collector")) == [run.one("agent", "a")]


async def test_a_cancelled_message_is_cancelled_and_its_turn_says_so(recording: Recording) -> None:
    started = asyncio.Event()

    async def wait(agent: Agent, message: Note, ctx: MessageContext) -> None:
        waiting = asyncio.ensure_future(asyncio.Event().wait())
        ctx.cancellation_token.link_future(waiting)
        started.set()
        await waiting

    runtime = await runtime_of(a=wait)
    token = CancellationToken()
    sending = asyncio.ensure_future(
        runtime.send_message(Note("go"), AgentId("a", "default"), cancellation_token=token)
    )
    await started.wait()
    token.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    await runtime.stop_when_idle()

    run = Kinds(recording.last())
    assert (run.one("agent").status, run.one("request").status) == ("cancelled", "cancelled")


async def read_in_order() -> list[str]:
    """Return the order in which agents read what crosses them."""
    order: list[str] = []

    async def pass_on(agent: Agent, message: Note, ctx: MessageContext) -> Note | None:
        order.append(f"{agent.id.type} {message.text}")
        if len(message.text) < 5:
            await agent.publish_message(Note(message.text + agent.id.type), ALL)
            if agent.id.type == "a":
                await agent.send_message(Note(message.text + "!!!!"), AgentId("b", "default"))
        return Note("ok")

    runtime = await runtime_of(
        {"intervention_handlers": [DefaultInterventionHandler()]}, a=pass_on, b=pass_on, c=pass_on
    )
    await runtime.publish_message(Note("x"), ALL)
    await runtime.stop_when_idle()
    return order


async def test_deliveries_come_in_the_same_order_with_and_without(store: str) -> None:
    without = await read_in_order()
    becausal.instrument("autogen", store=store)
    within = await read_in_order()
    becausal.uninstrument()

    assert len(without) > 30
    assert within == without


async def test_nothing_of_a_run_is_kept_once_it_is_over(recording: Recording) -> None:
    async def relay(agent: Agent, message: Note, ctx: MessageContext) -> None:
        if len(message.text) < 60:
            await agent.publish_message(Note(message.text + "."), ALL)

    runtime = await runtime_of({"intervention_handlers": [DefaultInterventionHandler()]}, a=relay, b=relay)
    alive: list[int] = []

    async def count(agent: Agent, message: Note, ctx: MessageContext) -> None:
        if len(message.text) % 20:
            return
        gc.collect()
        alive.append(sum(type(thing) is Carrier for thing in gc.get_objects()))

    await Agent.register(runtime, "counts", lambda: Agent(count))
    await runtime.add_subscription(TypeSubscription("all", "counts"))
    await runtime.publish_message(Note("x"), ALL)
    await runtime.stop_when_idle()

    assert len(alive) >= 3
    assert max(alive) < 12
