"""The promise: agents in several processes, over AutoGen's gRPC runtime, make one connected run with true handoffs."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autogen_core import (
    PROTOBUF_DATA_CONTENT_TYPE,
    AgentId,
    MessageContext,
    RoutedAgent,
    TopicId,
    TypeSubscription,
    message_handler,
    try_get_known_serializers_for_type,
)
from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntime, GrpcWorkerAgentRuntimeHost
from google.protobuf.wrappers_pb2 import StringValue  # type: ignore[import-untyped]
from pydantic import BaseModel
from tests.conftest import Recording
from tests.integrations.kinds import Kinds

import becausal
from becausal import semconv
from becausal_integrations.autogen.protobuf import plain


@dataclass
class Note:
    text: str


@dataclass
class Typed:
    pair: tuple[int, ...] = (1,)
    by_number: dict[int, str] = field(default_factory=lambda: {1: "a"})


class Base(BaseModel):
    x: int


class Derived(Base):
    secret: str


class Holder(BaseModel):
    item: Base


class Echo(RoutedAgent):
    """Answers with its name around what it was told; passes a broadcast on to `to`."""

    def __init__(self, to: str | None = None) -> None:
        super().__init__("Echoes.")
        self.to = to

    @message_handler
    async def on_note(self, message: Note, ctx: MessageContext) -> Note:
        if message.text == "fail":
            raise ValueError("no")
        said = Note(f"{self.id.type}({message.text})")
        if self.to is None:
            return said
        if ctx.is_rpc:
            answer: Note = await self.send_message(said, AgentId(self.to, "default"))
            return answer
        await self.publish_message(said, TopicId(self.to, "default"))
        return said

    @message_handler
    async def on_typed(self, message: Typed, ctx: MessageContext) -> Typed:
        return Typed()

    @message_handler
    async def on_holder(self, message: Holder, ctx: MessageContext) -> None:
        pass


def free_address() -> str:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{bound.getsockname()[1]}"


@asynccontextmanager
async def workers(*names: str) -> AsyncIterator[list[GrpcWorkerAgentRuntime]]:
    """A host, and a worker for each name with an agent of that name, which is subscribed to a topic of that name."""
    address = free_address()
    host = GrpcWorkerAgentRuntimeHost(address)
    host.start()
    started: list[GrpcWorkerAgentRuntime] = []
    try:
        for place, name in enumerate(names):
            worker = GrpcWorkerAgentRuntime(address)
            await worker.start()
            started.append(worker)
            to = names[place + 1] if place + 1 < len(names) else None
            await Echo.register(worker, name, lambda to=to: Echo(to))  # type: ignore[misc]
            await worker.add_subscription(TypeSubscription(name, name))
        yield started
    finally:
        for worker in started:
            await worker.stop()
        await host.stop()


async def until(recording: Recording, done: Any) -> Kinds:
    """Return the only run once a condition on it holds: a broadcast tells its sender nothing."""
    for _ in range(200):
        runs = recording.runs()
        if len(runs) == 1 and done(Kinds(runs[0])):
            return Kinds(runs[0])
        await asyncio.sleep(0.01)
    raise AssertionError([[(step.kind, step.name, step.status) for step in run] for run in recording.runs()])


async def test_a_direct_message_and_its_answer_are_handoffs_between_workers(recording: Recording) -> None:
    async with workers("first", "second") as (_, asker):
        answer = await asker.send_message(Note("go"), AgentId("first", "default"))

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
    asked, answered = run.one("agent", "first"), run.one("agent", "second")
    there, back = run.one("handoff", "first to second"), run.one("handoff", "second to first")
    assert run.causes(there, "transfer") == [asked]
    assert run.causes(answered, "transfer") == [there]
    assert run.causes(back, "transfer") == [answered]
    assert answered.parent_id == asked.id
    assert there.parent_id == back.parent_id == asked.id
    assert there.attributes[semconv.TRANSFER_RECEIVED_BY] == answered.id
    assert back.attributes[semconv.TRANSFER_RECEIVED_BY] == asked.id
    assert there.attributes[semconv.TRANSFER_EQUAL] is back.attributes[semconv.TRANSFER_EQUAL] is True
    assert {step.status for step in run.steps} == {"ok"}
    assert [step.hop for step in (asked, answered)] == [1, 2]


async def test_a_broadcast_has_a_handoff_for_each_recipient_on_whichever_worker(recording: Recording) -> None:
    async with workers("first", "second", "third") as (asker, _, third):
        await third.add_subscription(TypeSubscription("second", "third"))
        await asker.publish_message(Note("go"), TopicId("first", "default"))
        run = await until(recording, lambda run: len(run.all("agent")) == 4)

    assert sorted(step.name for step in run.all("handoff")) == [
        "first to second",
        "first to third",
        "second to third",
        "user to first",
    ]
    first = run.one("agent", "first")
    assert {turn.parent_id for turn in run.all("agent")} == {run.one("request").id}
    assert run.causes(run.one("handoff", "first to third"), "transfer") == [first]
    assert run.one("handoff", "first to third").attributes[semconv.TRANSFER_EQUAL] is True


def differences(recording: Recording, run: Kinds, name: str) -> set[str]:
    """Return where what was received differs from what was sent."""
    handoffs = becausal.open(recording.store).get(run.steps[0].chain_id).handoffs
    return {change.path for handoff in handoffs if handoff.step.name == name for change in handoff.delta}


async def test_the_types_that_json_does_not_keep_show_in_the_handoffs_there_and_back(
    recording: Recording,
) -> None:
    async with workers("first") as (asker,):
        await asker.send_message(Typed(), AgentId("first", "default"))

    run = Kinds(recording.last())
    for name in ("user to first", "first to user"):
        assert run.one("handoff", name).attributes[semconv.TRANSFER_EQUAL] is False
        assert differences(recording, run, name) == {"$.pair", "$.by_number[1]"}


async def test_the_fields_of_a_subclass_that_are_not_serialized_show_in_the_handoff(
    recording: Recording,
) -> None:
    async with workers("first") as (asker,):
        await asker.publish_message(Holder(item=Derived(x=1, secret="s")), TopicId("first", "default"))
        run = await until(recording, lambda run: run.all("agent"))

    assert "$.item.secret" in differences(recording, run, "user to first")


class Hears(RoutedAgent):
    """Takes what comes as protobuf."""

    def __init__(self) -> None:
        super().__init__("Hears.")
        self.heard: list[str] = []

    @message_handler
    async def on_value(self, message: StringValue, ctx: MessageContext) -> None:
        self.heard.append(message.value)


async def test_a_message_of_protobuf_arrives_as_it_was_sent(recording: Recording) -> None:
    address = free_address()
    host = GrpcWorkerAgentRuntimeHost(address)
    host.start()
    workers = [
        GrpcWorkerAgentRuntime(address, payload_serialization_format=PROTOBUF_DATA_CONTENT_TYPE)
        for _ in range(2)
    ]
    for worker in workers:
        worker.add_message_serializer(try_get_known_serializers_for_type(StringValue))
        await worker.start()
    sender, receiver = workers
    await Hears.register(receiver, "hears", Hears)
    await receiver.add_subscription(TypeSubscription("news", "hears"))

    await sender.publish_message(StringValue(value="the code is 4711"), TopicId("news", "default"))
    run = await until(recording, lambda run: run.all("agent"))
    for worker in workers:
        await worker.stop()
    await host.stop()

    handoff = run.one("handoff")
    assert handoff.attributes[semconv.TRANSFER_EQUAL] is True
    assert "4711" in handoff.received.text()  # type: ignore[union-attr]
    assert run.causes(run.one("agent", "hears"), "transfer") == [handoff]


def test_two_messages_of_protobuf_that_say_different_things_are_sealed_as_such() -> None:
    one, other = (plain(StringValue(value=value)) for value in ("4711", "4712"))

    assert one == {"type": "google.protobuf.StringValue", "fields": "4711"} != other


@asynccontextmanager
async def process(*arguments: str) -> AsyncIterator[None]:
    """A worker in a process of its own."""
    script = Path(__file__).with_name("worker_autogen.py")
    root = str(script.parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    started = await asyncio.create_subprocess_exec(
        sys.executable,
        str(script),
        *arguments,
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert started.stdin is not None
    assert started.stdout is not None
    assert await started.stdout.readline() == b"ready\n"
    yield
    started.stdin.close()
    assert await started.wait() == 0


async def test_two_processes_make_one_chain_and_one_connected_graph(recording: Recording) -> None:
    address = free_address()
    host = GrpcWorkerAgentRuntimeHost(address)
    host.start()
    worker = GrpcWorkerAgentRuntime(address)
    await worker.start()
    await Echo.register(worker, "near", Echo)
    await worker.add_subscription(TypeSubscription("near", "near"))
    async with process(address, recording.store, "far", "near"):
        with becausal.chain("both ways"):
            answer = await worker.send_message(Note("asked"), AgentId("far", "default"))
            await worker.publish_message(Note("told"), TopicId("far", "default"))
            await until(
                recording,
                lambda run: any(
                    step.produced and "near(far(told))" in step.produced.text()
                    for step in run.all("agent", "near")
                ),
            )
    await worker.stop()
    await host.stop()

    assert answer == Note("near(far(asked))")
    run = Kinds(recording.last())
    assert sorted((step.kind, step.name) for step in run.steps) == sorted(
        [
            ("request", "both ways"),
            ("handoff", "user to far"),
            ("agent", "far"),
            ("handoff", "far to near"),
            ("agent", "near"),
            ("handoff", "near to far"),
            ("handoff", "far to user"),
            ("handoff", "user to far"),
            ("agent", "far"),
            ("handoff", "far to near"),
            ("agent", "near"),
        ]
    )
    root = run.one("request")
    assert all(root.id in run.upstream(turn) for turn in run.all("agent"))
    assert all(source.seq < step.seq for step in run.steps for source in run.causes(step))
    assert {cause.grade for step in run.steps for cause in step.causes} == {"observed"}
    graph = becausal.open(recording.store).get(root.chain_id).graph
    assert graph.roots == (root,)
    assert graph.missing == ()
    handoffs = becausal.open(recording.store).get(root.chain_id).handoffs
    assert {handoff.verdict for handoff in handoffs} == {"identical"}
    assert all(handoff.sent and handoff.sent.is_kept for handoff in handoffs)


async def test_a_worker_without_becausal_notices_nothing_of_one_with_it(recording: Recording) -> None:
    address = free_address()
    host = GrpcWorkerAgentRuntimeHost(address)
    host.start()
    worker = GrpcWorkerAgentRuntime(address)
    await worker.start()
    await Echo.register(worker, "near", Echo)
    async with process(address, "-", "far", "near"):
        answer = await worker.send_message(Note("asked"), AgentId("far", "default"))
    await worker.stop()
    await host.stop()

    assert answer == Note("near(far(asked))")
    far, near = sorted(map(Kinds, recording.runs()), key=lambda run: run.steps[0].seq)
    assert far.one("handoff", "user to far").produced is None
    assert [(step.kind, step.name) for step in near.steps][-1] == ("agent", "near")
