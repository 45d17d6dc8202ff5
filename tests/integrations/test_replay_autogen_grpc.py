"""Agents in other processes are none of a replay's: a runtime over gRPC is refused, and asks nobody."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("grpc")

from autogen_core import AgentId, MessageContext, RoutedAgent, TopicId, message_handler
from autogen_core import try_get_known_serializers_for_type as serializers_for
from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntime, GrpcWorkerAgentRuntimeHost

import becausal

told: list[str] = []
"""What the agent was really told."""


@dataclass
class Note:
    text: str


class Echo(RoutedAgent):
    def __init__(self) -> None:
        super().__init__("Echoes.")

    @message_handler
    async def on_note(self, message: Note, ctx: MessageContext) -> Note:
        told.append(message.text)
        return Note(f"echo({message.text})")


class Office:
    """A host, and a runtime that is connected to it all the while."""

    def __init__(self, at: str) -> None:
        self.host, self.runtime = GrpcWorkerAgentRuntimeHost(address=at), GrpcWorkerAgentRuntime(at)
        self.at = at

    async def begins_anew(self) -> str:
        """Ask over a connection of its own."""
        runtime = GrpcWorkerAgentRuntime(self.at)
        runtime.add_message_serializer(serializers_for(Note))
        await runtime.start()
        try:
            return str((await runtime.send_message(Note("anew"), AgentId("echo", "default"))).text)
        finally:
            await runtime.stop()

    async def asks(self) -> str:
        return str((await self.runtime.send_message(Note("hi"), AgentId("echo", "default"))).text)

    async def tells_all(self) -> None:
        await self.runtime.publish_message(Note("all"), TopicId("echo", "default"))


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    told.clear()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        at = f"127.0.0.1:{free.getsockname()[1]}"
    made = Office(at)
    becausal.instrument("autogen", store=tmp_path / "becausal.db")
    try:
        made.host.start()
        made.runtime.add_message_serializer(serializers_for(Note))
        await made.runtime.start()
        await Echo.register(made.runtime, "echo", Echo)
        yield made
        await made.runtime.stop()
        await made.host.stop()
    finally:
        becausal.uninstrument()


@pytest.mark.parametrize("name", ["begins_anew", "asks", "tells_all"])
async def test_a_function_that_would_send_over_grpc_leaves_the_record_and_sends_nothing(
    office: Office, name: str
) -> None:
    await office.asks()
    run = becausal.last_run()
    told.clear()

    replay = await run.areplay(getattr(office, name), timeout=20)

    assert replay.divergence is not None
    assert replay.divergence.why == "network"
    assert "over gRPC" in str(replay.divergence)
    assert "network=True" in str(replay.divergence)
    assert told == []


async def test_a_runtime_over_grpc_is_refused_before_anything_runs(office: Office) -> None:
    await office.asks()
    told.clear()

    with pytest.raises(becausal.ReplayError, match="a runtime over gRPC cannot be run again"):
        await becausal.last_run().areplay(office.runtime)

    assert told == []


async def test_outside_of_a_replay_and_where_the_network_is_open_messages_are_sent(office: Office) -> None:
    assert await office.asks() == "echo(hi)"
    run = becausal.last_run()

    replay = await run.areplay(office.begins_anew, network=True, timeout=20)

    assert replay.divergence is None
    assert told == ["hi", "anew"]
