"""AutoGen: what is recorded of teams, turns and the messages between agents, with the real framework."""

from __future__ import annotations

import asyncio
import importlib.metadata
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest
from autogen_agentchat.agents import BaseChatAgent, SocietyOfMindAgent
from autogen_agentchat.base import Response
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.messages import BaseChatMessage, TextMessage
from autogen_agentchat.teams import DiGraphBuilder, GraphFlow, RoundRobinGroupChat, SelectorGroupChat, Swarm
from autogen_agentchat.tools import AgentTool, TeamTool
from autogen_core import (
    CancellationToken,
    SingleThreadedAgentRuntime,
)
from packaging.specifiers import SpecifierSet
from tests.conftest import Recording
from tests.integrations.fakes_autogen import PureClient, adds, calls, hears_all, speaker
from tests.integrations.kinds import Kinds, said

import becausal
from becausal import semconv
from becausal_integrations.autogen import AutoGenAdapter


def lookup(q: str) -> str:
    """Look a thing up."""
    return f"{q} is 42"


def test_the_installed_version_is_supported() -> None:
    version = importlib.metadata.version("autogen-core")

    assert SpecifierSet(AutoGenAdapter.supports).contains(version)


# Teams and turns


async def test_each_turn_of_a_round_robin_has_a_handoff_for_each_message_that_it_newly_read(
    recording: Recording,
) -> None:
    team = RoundRobinGroupChat([speaker("a"), speaker("b"), speaker("c")], max_turns=5)

    result = await team.run(task="go")

    run = Kinds(recording.last())
    root = run.one("workflow")
    assert (root.name, root.parent_id, root.agent) == ("RoundRobinGroupChat", None, None)
    assert root.received is not None
    assert root.received.value() == "go"
    assert said(root.produced) == [message.content for message in result.messages]  # type: ignore[union-attr]
    turns = run.all("agent")
    assert [turn.name for turn in turns] == ["a", "b", "c", "a", "b"]
    assert {turn.parent_id for turn in turns} == {root.id}
    assert [[sender.id for sender in run.senders(turn)] for turn in turns] == [
        [root.id],
        [root.id, turns[0].id],
        [root.id, turns[0].id, turns[1].id],
        [turns[1].id, turns[2].id],
        [turns[2].id, turns[3].id],
    ]
    assert [turn.hop for turn in turns] == [1, 2, 3, 4, 5]


async def test_a_handoff_tells_sender_receiver_and_the_message_at_both_ends(recording: Recording) -> None:
    team = RoundRobinGroupChat([speaker("a"), speaker("b")], max_turns=2)

    await team.run(task="go")

    run = Kinds(recording.last())
    assert [handoff.name for handoff in run.all("handoff")] == ["user to a", "user to b", "a to b"]
    handoff = run.one("handoff", "a to b")
    assert handoff.received is not None
    assert handoff.produced is not None
    assert handoff.received.value()["content"] == "a(go)"  # type: ignore[index]
    assert handoff.received.digest == handoff.produced.digest == run.one("agent", "a").produced.digest  # type: ignore[union-attr]
    assert handoff.attributes[semconv.TRANSFER_EQUAL] is True
    assert handoff.attributes[semconv.TRANSFER_SOURCE] == "a"
    assert handoff.attributes[semconv.TRANSFER_TARGET] == "b"
    assert handoff.causes[0].grade == "observed"
    assert handoff.causes[0].evidence.startswith("message id ")


async def test_a_turn_is_caused_by_the_choice_that_gave_it(recording: Recording) -> None:
    client = PureClient(lambda messages: "b" if "a(go)" in str(messages[-1].content) else "a")
    team = SelectorGroupChat([speaker("a"), speaker("b")], client, max_turns=2)

    await team.run(task="go")

    run = Kinds(recording.last())
    first, second = run.all("route")
    assert [route.choices[0].conclusion for route in (first, second)] == [
        "next speaker: a",
        "next speaker: b",
    ]
    assert run.causes(run.one("agent", "b"), "route") == [second]
    assert run.causes(second, "data") == [run.one("agent", "a")]
    assert second.received is not None
    assert second.received.value() == ["a(go)"]
    assert second.attributes["becausal.route.candidates"] == ("a", "b")
    assert [step.kind for step in run.steps if step.parent_id == first.id] == ["model"]


async def test_a_swarm_shows_who_handed_over_to_whom(recording: Recording) -> None:
    writer = speaker("writer", hears_all("writer"))
    first = speaker("triage", calls("transfer_to_writer", adds("triage")), handoffs=["writer"])
    team = Swarm([first, writer], termination_condition=MaxMessageTermination(3))

    await team.run(task="go")

    run = Kinds(recording.last())
    triage, turn = run.one("agent", "triage"), run.one("agent", "writer")
    assert triage.choices[-1].conclusion == "hand over to writer"
    assert run.one("tool", "transfer_to_writer").parent_id == triage.id
    assert triage in run.senders(turn)


async def test_a_join_of_a_graph_is_caused_by_both_branches(recording: Recording) -> None:
    a, b, c, d = (speaker(name, hears_all(name)) for name in "abcd")
    graph = DiGraphBuilder().add_node(a).add_node(b).add_node(c).add_node(d)
    graph.add_edge(a, b).add_edge(a, c).add_edge(b, d).add_edge(c, d)
    team = GraphFlow([a, b, c, d], graph.build())

    await team.run(task="go")

    run = Kinds(recording.last())
    branches = {run.one("agent", "b").id, run.one("agent", "c").id}
    assert branches <= {sender.id for sender in run.senders(run.one("agent", "d"))}
    for branch in "bc":
        assert run.one("agent", "a") in run.senders(run.one("agent", branch))


@pytest.mark.parametrize("is_shared", [False, True], ids=["own runtime", "shared runtime"])
async def test_a_nested_team_is_one_chain_and_its_answer_leads_back_to_the_outer_task(
    recording: Recording, is_shared: bool
) -> None:
    runtime = SingleThreadedAgentRuntime() if is_shared else None
    if runtime is not None:
        runtime.start()  # before the chain begins: the runtime's own task knows nothing of it
    inner = RoundRobinGroupChat([speaker("x"), speaker("y")], name="inner", max_turns=2, runtime=runtime)
    team = RoundRobinGroupChat(
        [speaker("a"), inner, speaker("z")], name="outer", max_turns=3, runtime=runtime
    )

    result = await team.run(task="go")
    if runtime is not None:
        await runtime.stop()

    assert result.messages[-1].to_text() == "z(y(x(a(go))))"
    run = Kinds(recording.last())
    outer, nested = run.one("workflow", "outer"), run.one("workflow", "inner")
    assert nested.parent_id == outer.id
    assert {run.one("agent", name).parent_id for name in "xy"} == {nested.id}
    assert {run.one("agent", name).parent_id for name in "az"} == {outer.id}
    assert run.senders(run.one("agent", "x"))[-1] == run.one("agent", "a")
    assert run.senders(run.one("agent", "z"))[-1] == run.one("agent", "y")
    assert outer.id in run.upstream(run.one("agent", "z"))


async def test_a_society_of_mind_holds_its_team_in_its_turn(recording: Recording) -> None:
    inner = RoundRobinGroupChat([speaker("x"), speaker("y")], name="inner", max_turns=2)
    mind = SocietyOfMindAgent("som", inner, PureClient(hears_all("som")))
    team = RoundRobinGroupChat([speaker("a"), mind], max_turns=2)

    await team.run(task="go")

    run = Kinds(recording.last())
    turn = run.one("agent", "som")
    assert run.one("workflow", "inner").parent_id == turn.id
    summing_up = next(step for step in run.all("model") if step.parent_id == turn.id)
    assert {step.name for step in run.causes(summing_up, "data")} == {"x", "y"}


@pytest.mark.parametrize("of", ["agent", "team"])
async def test_an_agent_or_team_used_as_a_tool_works_within_the_tool_call(
    recording: Recording, of: str
) -> None:
    writer = speaker("writer")
    inner = RoundRobinGroupChat([writer], name="inner", max_turns=1)
    tool = AgentTool(writer) if of == "agent" else TeamTool(inner, name="writer", description="Writes.")
    main = speaker(
        "main", calls("writer", adds("main"), task="a poem"), tools=[tool], reflect_on_tool_use=True
    )

    result = await main.run(task="go")

    assert "writer(a poem)" in result.messages[-1].to_text()
    run = Kinds(recording.last())
    called, turn = run.one("tool", "writer"), run.one("agent", "writer")
    assert called.parent_id == run.one("agent", "main").id
    assert called.received is not None
    assert called.received.value() == {"task": "a poem"}
    assert turn.parent_id == (called.id if of == "agent" else run.one("workflow", "inner").id)
    assert run.one("handoff", "main to writer") in run.causes(turn)


async def test_a_turn_within_a_tool_call_is_not_caused_by_the_choice_of_its_callers_team(
    recording: Recording,
) -> None:
    tool = AgentTool(speaker("writer"))
    main = speaker("main", calls("writer", adds("main"), task="a poem"), tools=[tool])

    await RoundRobinGroupChat([main], max_turns=1).run(task="go")

    run = Kinds(recording.last())
    assert run.causes(run.one("agent", "main"), "route") == [run.one("route")]
    assert run.causes(run.one("agent", "writer"), "route") == []


async def test_a_run_of_an_agent_alone_is_a_request_with_one_turn(recording: Recording) -> None:
    await speaker("a").run(task="go")

    run = Kinds(recording.last())
    root, turn = run.one("request"), run.one("agent")
    assert (root.name, root.parent_id) == ("a", None)
    assert (turn.name, turn.parent_id) == ("a", root.id)
    assert run.one("handoff").name == "user to a"
    assert said(root.produced) == ["go", "a(go)"]


async def test_a_turn_that_the_app_asks_for_itself_is_a_request_too(recording: Recording) -> None:
    messages = [TextMessage(content="go", source="user")]

    await speaker("a").on_messages(messages, CancellationToken())

    run = Kinds(recording.last())
    assert [step.kind for step in run.steps] == ["request", "handoff", "agent", "model"]


async def test_streaming_a_team_records_the_same_steps_as_running_it(recording: Recording) -> None:
    def team() -> RoundRobinGroupChat:
        assistant = speaker("a", calls("lookup", adds("a"), q="x"), tools=[lookup], model_client_stream=True)
        return RoundRobinGroupChat([assistant, speaker("b")], max_turns=2)

    await team().run(task="go")
    async for _ in team().run_stream(task="go"):
        pass

    streamed, ran = recording.runs()
    assert [(step.kind, step.name, step.status, step.hop) for step in streamed] == [
        (step.kind, step.name, step.status, step.hop) for step in ran
    ]


async def test_two_teams_at_once_do_not_mix(recording: Recording) -> None:
    def team(name: str) -> RoundRobinGroupChat:
        return RoundRobinGroupChat([speaker("a"), speaker("b")], name=name, max_turns=6)

    await asyncio.gather(team("one").run(task="first"), team("two").run(task="second"))

    for steps, task in zip(recording.runs(), ("second", "first"), strict=True):
        run = Kinds(steps)
        assert len(run.all("agent")) == 6
        assert all(cause.source_id in run.by_id for step in steps for cause in step.causes)
        assert all(task in step.produced.text() for step in run.all("agent") if step.produced is not None)


class Editor(BaseChatAgent):
    """Changes what it was given, in place."""

    produced_message_types: Sequence[type[BaseChatMessage]] = (TextMessage,)

    async def on_messages(
        self, messages: Sequence[BaseChatMessage], cancellation_token: CancellationToken
    ) -> Response:
        message = messages[-1]
        assert isinstance(message, TextMessage)
        message.content = message.content.replace("2 million", "20 million")
        return Response(chat_message=TextMessage(content="fine", source=self.name))

    async def on_reset(self, cancellation_token: CancellationToken) -> None:
        pass


async def test_a_message_that_somebody_edited_in_place_differs_between_sending_and_reading(
    recording: Recording,
) -> None:
    source = speaker("source", lambda messages: "it was 2 million")
    team = RoundRobinGroupChat([source, Editor("editor", "Edits."), speaker("reader")], max_turns=3)

    await team.run(task="go")

    run = Kinds(recording.last())
    before, after = run.one("handoff", "source to editor"), run.one("handoff", "source to reader")
    assert before.attributes[semconv.TRANSFER_EQUAL] is True
    assert after.attributes[semconv.TRANSFER_EQUAL] is False
    assert after.received is not None
    assert after.produced is not None
    assert "2 million" in after.received.text()
    assert "20 million" in after.produced.text()
    assert "it was 2 million" in run.one("agent", "source").produced.text()  # type: ignore[union-attr]


async def test_an_agent_that_fails_fails_its_turn_and_its_team(recording: Recording) -> None:
    def refuse(messages: object) -> str:
        raise ValueError("no")

    with pytest.raises(RuntimeError, match="ValueError: no"):
        await RoundRobinGroupChat([speaker("a", refuse)], max_turns=1).run(task="go")

    run = Kinds(recording.last())
    assert [run.one(kind).status for kind in ("model", "agent", "workflow")] == ["error"] * 3
    assert run.one("agent").error == "ValueError: no"


class Streamer(Editor):
    """Streams without being an async generator function: the declared form of `on_messages_stream` allows it."""

    def on_messages_stream(self, messages: Any, cancellation_token: Any) -> AsyncGenerator[Any, None]:
        return self.items()

    async def items(self) -> AsyncGenerator[Any, None]:
        yield Response(chat_message=TextMessage(content="streamed", source=self.name))


async def test_a_stream_from_a_plain_function_is_recorded_to_its_end(recording: Recording) -> None:
    await RoundRobinGroupChat([Streamer("s", "Streams.")], max_turns=1).run(task="go")

    turn = Kinds(recording.last()).one("agent")
    assert "streamed" in turn.produced.text()  # type: ignore[union-attr]


async def test_at_the_level_of_boundaries_only_agents_and_handoffs_are_recorded(store: str) -> None:
    becausal.instrument("autogen", store=store, level="boundaries")
    team = RoundRobinGroupChat([speaker("a", calls("lookup", adds("a"), q="x"), tools=[lookup])], max_turns=1)

    await team.run(task="go")
    becausal.flush()
    becausal.uninstrument()

    run = Kinds(Recording(store).last())
    assert [step.kind for step in run.steps] == ["workflow", "handoff", "agent"]
