"""Agents that work side by side: what meets in the order of its arrival meets in that order again in a replay."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from autogen_agentchat.teams import DiGraphBuilder, GraphFlow, RoundRobinGroupChat
from autogen_core import SingleThreadedAgentRuntime
from tests.integrations.fakes_autogen import PureClient, hears_all, speaker
from tests.integrations.replays_autogen import without_chance, without_the_outside

import becausal
from becausal.run import Run

chance = random.Random(7)
"""How long the models take; a replay does not ask them."""


class Slow(PureClient):
    """A model that answers after some rounds of the event loop."""

    async def create(self, messages: Any, **options: Any) -> Any:
        for _ in range(chance.randrange(200)):
            await asyncio.sleep(0)
        return await super().create(messages, **options)


def slow(name: str) -> Any:
    agent: Any = speaker(name)
    agent._model_client = Slow(hears_all(name))
    return agent


def fan() -> GraphFlow:
    start, end, *branches = (slow(name) for name in ("start", "end", "a", "b", "c", "d", "e"))
    builder = DiGraphBuilder().add_node(start).add_node(end)
    for branch in branches:
        builder.add_node(branch).add_edge(start, branch).add_edge(branch, end)
    return GraphFlow([start, *branches, end], builder.build())


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "becausal.db"
    becausal.uninstrument()


def recorded(path: Path, play: Callable[[], Any]) -> Run:
    becausal.instrument("autogen", store=path)
    asyncio.run(play())
    becausal.uninstrument()
    return becausal.open(path).last()


def test_branches_that_end_in_any_order_meet_in_that_order_again(path: Path) -> None:
    orders = set()

    for _ in range(20):
        with without_chance():
            run = recorded(path, lambda: fan().run(task="go"))
        with without_the_outside(), without_chance():
            replay = run.replay(fan)
        orders.add(tuple(message.source for message in replay.value.messages))
        assert replay.is_exact, replay

    assert len(orders) > 12


def test_teams_side_by_side_replay_each_its_own_work(path: Path) -> None:
    async def app(count: int) -> list[str]:
        with becausal.chain("many", received=count):
            teams = [RoundRobinGroupChat([slow("a"), slow("b")], max_turns=2) for _ in range(count)]
            results = await asyncio.gather(
                *(team.run(task=f"task {number}") for number, team in enumerate(teams))
            )
        return [result.messages[-1].to_text() for result in results]

    becausal.instrument("autogen", store=path)
    said = asyncio.run(app(40))
    with without_the_outside():
        replay = becausal.last_run().replay(app)

    assert replay.divergence is None
    assert replay.value == said
    assert len(replay.recalled) == 80


def test_a_team_on_a_runtime_that_ignores_exceptions_ends_where_the_replay_leaves_the_record(
    path: Path,
) -> None:
    async def app(task: str) -> Any:
        runtime = SingleThreadedAgentRuntime()
        runtime.start()
        try:
            with becausal.chain(task):
                team = RoundRobinGroupChat([speaker("a"), speaker("b")], max_turns=2, runtime=runtime)
                return await asyncio.wait_for(team.run(task=task), 20)
        finally:
            await runtime.stop()

    becausal.instrument("autogen", store=path)
    asyncio.run(app("go"))
    run = becausal.last_run()
    (turn,) = (step for step in run.steps if (step.kind, step.name) == ("agent", "a"))

    replay = run.replay(app, edit=becausal.edit(turn).produced.text("something else"))

    assert replay.divergence is not None
    assert replay.divergence.agent == "b"
    assert type(replay.outcomes[-1].error) is RuntimeError
