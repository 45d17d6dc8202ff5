"""What is played under faults: the graphs and teams of the differential tests, each in one way of running it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from tests.chaos import own
from tests.integrations.graphs import GRAPHS, Case
from tests.integrations.graphs.plays import played, ways_of
from tests.integrations.test_autogen_transparency import TEAMS, normalised

__all__ = ["SORTS", "Subject", "every"]

Sort = Literal["own code", "team", "graph"]
SORTS: tuple[Sort, ...] = ("own code", "team", "graph")


@dataclass(frozen=True)
class Subject:
    """An app, and a way to run it; `play` returns all that can be seen of it."""

    sort: Sort
    name: str
    play: Callable[[], Any]

    def __repr__(self) -> str:
        return self.name


@cache
def every() -> tuple[Subject, ...]:
    """Return every graph in each of its ways, and every team in each of its own."""
    graphs = [_graph(case, way) for case in GRAPHS if case.needs for way in ways_of(case)]
    teams = [_team(make, way) for make in TEAMS for way in TEAM_WAYS]
    return (*(Subject("own code", name, way) for name, way in own.WAYS.items()), *teams, *graphs)


def _graph(case: Case, way: str) -> Subject:
    return Subject("graph", f"{case.name} | {way}", lambda: played(case, way))


def _team(make: Callable[[], Any], way: str) -> Subject:
    return Subject("team", f"{make.__name__} | {way}", lambda: asyncio.run(TEAM_WAYS[way](make())))


async def _run(team: Any) -> Any:
    try:
        result: Any = await team.run(task="go")
    except Exception as error:
        result = (type(error), error.args)
    return normalised(result, await team.save_state())


async def _stream(team: Any) -> Any:
    seen: list[Any] = []
    try:
        async for item in team.run_stream(task="go"):
            seen.append(item)  # noqa: PERF401 - a failure must not lose those before it
    except Exception as error:
        seen.append((type(error), error.args))
    return normalised(seen, await team.save_state())


async def _leave(team: Any) -> Any:
    seen: list[Any] = []
    stream = team.run_stream(task="go")
    async for item in stream:
        seen.append(item)
        break
    await stream.aclose()
    return normalised(seen)


TEAM_WAYS: dict[str, Callable[[Any], Any]] = {"run": _run, "run_stream": _stream, "left": _leave}
