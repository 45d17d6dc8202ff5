"""Replays of what goes on from earlier runs, of agents by themselves, of agents written on autogen-core."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from autogen_agentchat.agents import AssistantAgent, BaseChatAgent
from autogen_agentchat.base import Response
from autogen_agentchat.messages import TextMessage
from autogen_agentchat.teams import MagenticOneGroupChat, RoundRobinGroupChat, SelectorGroupChat
from autogen_core import (
    AgentId,
    CancellationToken,
    DefaultTopicId,
    MessageContext,
    RoutedAgent,
    SingleThreadedAgentRuntime,
    default_subscription,
    event,
    message_handler,
    rpc,
)
from autogen_core.models import UserMessage
from tests.integrations.fakes_autogen import PureClient, adds, calls, hears_all, ledger, speaker, text_of
from tests.integrations.replays_autogen import MORE_TEAMS, lookup, refuse, without_the_outside
from tests.integrations.test_autogen_transparency import TEAMS

import becausal
from becausal.run import Run

HAS_MCP = importlib.util.find_spec("mcp") is not None


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    becausal.instrument("autogen", store=tmp_path / "becausal.db")
    yield tmp_path / "becausal.db"
    becausal.uninstrument()


def runs(store: Path) -> list[Run]:
    """Return the recorded runs, the first one first."""
    becausal.flush()
    there = becausal.open(store)
    infos = [info for info in there.list() if not info.chain_id.startswith(("replay", "memory"))]
    return [there.get(info.chain_id) for info in reversed(infos)]


def round_robin() -> RoundRobinGroupChat:
    return RoundRobinGroupChat([speaker("a", hears_all("a")), speaker("b", hears_all("b"))], max_turns=2)


def selector() -> SelectorGroupChat:
    choose = PureClient(
        lambda messages: "a" if str(messages).count("b[") > str(messages).count("a[") else "b"
    )
    return SelectorGroupChat(
        [speaker("a", hears_all("a")), speaker("b", hears_all("b"))], choose, max_turns=2
    )


def magentic() -> MagenticOneGroupChat:
    client = PureClient(ledger(lambda said: "a(" in said, speaker=lambda said: "a"))
    return MagenticOneGroupChat([speaker("a")], client, max_turns=2)


@pytest.mark.parametrize("make", [round_robin, selector, magentic])
async def test_each_run_of_a_conversation_replays_by_itself(make: Any, store: Path) -> None:
    team = make()
    for task in ("one", "two", "three"):
        await team.run(task=task)

    with without_the_outside():
        replays = [run.replay(make) for run in runs(store)]

    assert [replay.divergence for replay in replays] == [None] * 3
    assert all(replay.reproduced for replay in replays)


@pytest.mark.parametrize("make", [round_robin, magentic])
async def test_a_run_that_goes_on_from_a_loaded_state_replays(make: Any, store: Path) -> None:
    team = make()
    await team.run(task="one")
    state = json.loads(json.dumps(await team.save_state()))
    other = make()
    await other.load_state(state)
    await other.run(task="two")

    with without_the_outside():
        replays = [run.replay(make) for run in runs(store)]

    assert [replay.divergence for replay in replays] == [None, None]
    assert all(replay.reproduced for replay in replays)


@pytest.mark.parametrize("make", [pytest.param(make, id=make.__name__) for make in (*TEAMS, *MORE_TEAMS)])
@pytest.mark.filterwarnings("ignore")
async def test_the_second_run_of_every_team_replays_by_itself(make: Any, store: Path) -> None:
    team = make()
    for task in ("one", "two"):
        await team.run(task=task)

    with without_the_outside():
        replay = runs(store)[1].replay(make)

    assert replay.reproduced


async def test_a_state_that_is_too_long_is_not_kept_and_that_is_said(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("becausal_integrations.autogen.snapshots.MOST_KEPT", 3)
    team = round_robin()
    for task in ("one", "two"):
        await team.run(task=task)

    with pytest.raises(becausal.ReplayError, match="more than"):
        runs(store)[1].replay(round_robin)


async def test_a_team_that_has_worked_already_is_refused_before_anything_runs(store: Path) -> None:
    team = round_robin()
    await team.run(task="one")

    with pytest.raises(becausal.ReplayError, match="give a function that makes a new one"):
        becausal.last_run().replay(team)


class Counting(BaseChatAgent):
    """An agent whose state only its own code can tell."""

    def __init__(self) -> None:
        super().__init__("counting", "Counts.")
        self.count = self.saved = 0

    @property
    def produced_message_types(self) -> Any:
        return (TextMessage,)

    async def on_messages(self, messages: Any, _: CancellationToken) -> Response:
        self.count += 1
        return Response(chat_message=TextMessage(content=str(self.count), source=self.name))

    async def on_reset(self, _: CancellationToken) -> None:
        self.count = 0

    async def save_state(self) -> Any:
        self.saved += 1
        return {"count": self.count}


def counting() -> RoundRobinGroupChat:
    return RoundRobinGroupChat([Counting()], max_turns=1)


async def test_an_apps_own_state_is_not_asked_for_and_the_second_run_says_what_is_missing(
    store: Path,
) -> None:
    agent = Counting()
    team = RoundRobinGroupChat([agent], max_turns=1)
    await team.run(task="one")
    await team.run(task="two")

    first, second = runs(store)

    assert agent.saved == 0
    assert first.replay(counting).reproduced
    with pytest.raises(becausal.ReplayError, match="replay the first run"):
        second.replay(counting)


# An agent by itself


def alone() -> Any:
    return speaker(
        "alone", calls("lookup", hears_all("alone"), q="x"), tools=[lookup], reflect_on_tool_use=True
    )


async def test_an_agent_that_runs_by_itself_replays_and_so_does_what_it_is_asked_next(store: Path) -> None:
    agent = alone()
    await agent.run(task="one")
    async for _ in agent.run_stream(task="two", output_task_messages=False):
        pass
    await agent.on_messages([TextMessage(content="three", source="user")], CancellationToken())

    with without_the_outside():
        replays = [run.replay(alone) for run in runs(store)]

    assert [replay.divergence for replay in replays] == [None] * 3
    assert [replay.reproduced for replay in replays] == [True] * 3


class Wrapping(Counting):
    """An agent that asks another one, which nobody sees."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = alone()

    async def on_messages(self, messages: Any, token: CancellationToken) -> Response:
        said = await self.inner.on_messages(messages, token)
        return Response(chat_message=TextMessage(content=said.chat_message.content, source=self.name))


async def test_what_an_agent_of_the_apps_own_has_inside_is_not_missed(store: Path) -> None:
    def made() -> RoundRobinGroupChat:
        return RoundRobinGroupChat([Wrapping()], max_turns=1)

    await made().run(task="go")

    with without_the_outside():
        assert becausal.last_run().replay(made).reproduced


# autogen-core


@dataclass
class Ask:
    text: str


@dataclass
class Answer:
    text: str
    places: tuple[int, ...]


class Clerk(RoutedAgent):
    """Asks a model, and answers."""

    def __init__(self) -> None:
        super().__init__("A clerk.")
        self.client = PureClient(adds("clerk"))

    @rpc
    async def asked(self, message: Ask, ctx: MessageContext) -> Answer:
        said = await self.client.create([UserMessage(content=message.text, source="user")])
        return Answer(str(said.content), (1, 2))


@default_subscription
class Desk(RoutedAgent):
    """Passes what it hears on to a clerk, and what that answers to everybody."""

    def __init__(self) -> None:
        super().__init__("A desk.")

    @event
    async def heard(self, message: Ask, ctx: MessageContext) -> None:
        answer = await self.send_message(message, AgentId("clerk", "default"))
        await self.publish_message(answer, DefaultTopicId())


@default_subscription
class Board(RoutedAgent):
    """Shows answers."""

    def __init__(self) -> None:
        super().__init__("A board.")
        self.client = PureClient(lambda messages: text_of(messages[-1]).upper())

    @message_handler
    async def shown(self, message: Answer, ctx: MessageContext) -> None:
        await self.client.create([UserMessage(content=message.text, source="desk")])


async def office() -> SingleThreadedAgentRuntime:
    runtime = SingleThreadedAgentRuntime(ignore_unhandled_exceptions=False)
    await Clerk.register(runtime, "clerk", Clerk)
    await Desk.register(runtime, "desk", Desk)
    await Board.register(runtime, "board", Board)
    return runtime


async def test_a_message_to_a_runtime_replays(store: Path) -> None:
    runtime = await office()
    runtime.start()
    told = await runtime.send_message(Ask("what?"), AgentId("clerk", "default"))
    await runtime.publish_message(Ask("who?"), DefaultTopicId())
    await runtime.stop_when_idle()

    with without_the_outside():
        first, second = [run.replay(office) for run in runs(store)]

    assert (first.reproduced, second.reproduced) == (True, True)
    assert first.value == told
    assert {step.name for step in second.run.steps if step.kind == "agent"} == {"desk", "clerk", "board"}


async def test_a_function_that_makes_and_asks_a_runtime_replays(store: Path) -> None:
    async def app(message: Ask) -> Any:
        runtime = await office()
        runtime.start()
        answer = await runtime.send_message(message, AgentId("clerk", "default"))
        await runtime.stop_when_idle()
        return answer

    told = await app(Ask("what?"))

    with without_the_outside():
        (run,) = runs(store)
        replay = run.replay(app)

    assert replay.reproduced
    assert replay.value == told


async def test_a_runtime_without_the_agents_is_told_before_anything_runs(store: Path) -> None:
    runtime = await office()
    runtime.start()
    await runtime.send_message(Ask("what?"), AgentId("clerk", "default"))
    await runtime.stop_when_idle()

    with pytest.raises(becausal.ReplayError, match="no agent clerk"):
        becausal.last_run().replay(SingleThreadedAgentRuntime())


def test_a_team_without_an_agent_or_a_tool_is_told_before_anything_runs(store: Path) -> None:
    def made() -> RoundRobinGroupChat:
        return RoundRobinGroupChat(
            [speaker("a", calls("lookup", adds("a"), q="x"), tools=[lookup]), speaker("b")], max_turns=2
        )

    def other() -> RoundRobinGroupChat:
        return RoundRobinGroupChat([speaker("a"), speaker("c")], max_turns=2)

    asyncio.run(made().run(task="go"))

    with pytest.raises(becausal.ReplayError, match=r"no agent b(?s:.)*agent a has no tool lookup"):
        becausal.last_run().replay(other)


# Servers, and what is around a run


@pytest.mark.skipif(not HAS_MCP, reason="the extra autogen-ext[mcp] is not installed")
async def test_no_mcp_server_is_started_and_a_live_model_is_told_of_its_tools(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from autogen_ext.tools.mcp import McpWorkbench, StdioServerParams
    from autogen_ext.tools.mcp._actor import McpSessionActor

    server = StdioServerParams(
        command=sys.executable, args=[str(Path(__file__).parent / "autogen_mcp_server.py")]
    )
    offered: list[list[str]] = []

    class Offered(PureClient):
        async def create(self, messages: Any, *, tools: Any = (), **_: Any) -> Any:
            offered.append([tool["name"] for tool in tools])
            return await super().create(messages)

    def made(workbench: McpWorkbench) -> Any:
        client = Offered(calls("price", hears_all("a"), item="x"))
        return AssistantAgent("a", client, workbench=workbench, reflect_on_tool_use=True)

    async with McpWorkbench(server) as workbench:
        await made(workbench).run(task="go")
    run = becausal.last_run()
    (price,) = (step for step in run.steps if step.kind == "tool")
    monkeypatch.setattr(McpSessionActor, "initialize", refuse)
    offered.clear()

    replay = run.replay(lambda: made(McpWorkbench(server)))
    edit = becausal.edit(price).field("content", 0, "text").to("it is dear")
    edited = run.replay(lambda: made(McpWorkbench(server)), edit=edit, live=True)
    again = run.replay(
        lambda: made(McpWorkbench(server)), edit=becausal.edit(run.steps[0]).to("come"), live=True
    )

    assert replay.reproduced
    assert edited.divergence is None
    assert "it is dear" in edited.value.messages[-1].to_text()
    assert again.divergence is None
    assert offered == [
        [],
        ["price", "broken"],
        [],
    ]  # the answer to a tool's result is asked for without tools


@pytest.mark.parametrize("make", [round_robin, alone])
async def test_what_runs_within_a_request_of_the_apps_own_replays(make: Any, store: Path) -> None:
    async def app(task: str) -> Any:
        with becausal.chain("own", received=task):
            return (await make().run(task=task)).messages[-1].to_text()

    said = await app("go")

    with without_the_outside():
        replay = becausal.last_run().replay(app)

    assert replay.reproduced
    assert replay.value == said
