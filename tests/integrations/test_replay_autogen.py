"""Every team of the tests runs again from its record, with models, tools, memories, people, the network made unusable.

Played again as it was played, all that an app can see is the same, byte for byte: each event of the stream, each piece
of each answer, results, states. And `Run.replay` reproduces each run step by step.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from autogen_agentchat.teams import BaseGroupChat
from tests.integrations import replays_autogen
from tests.integrations.replays import conversation
from tests.integrations.replays_autogen import MORE_TEAMS, without_chance, without_the_outside
from tests.integrations.test_autogen_transparency import TEAMS, told

import becausal
from becausal import guard
from becausal.replay import answering
from becausal.run import Run

ALL = [pytest.param(make, id=make.__name__) for make in (*TEAMS, *MORE_TEAMS)]

Make = Callable[[], BaseGroupChat]


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    failures = sum(guard.failures.values())
    yield tmp_path / "becausal.db"
    becausal.uninstrument()
    replays_autogen.NOW_EMPTY.clear()
    assert sum(guard.failures.values()) == failures


def recorded(path: Path, play: Callable[[], Any]) -> Run:
    """Record a run, and forget it: another process would know as much."""
    becausal.instrument("autogen", store=path)
    asyncio.run(play())
    becausal.uninstrument()
    return becausal.open(path).last()


@pytest.mark.parametrize("make", ALL)
@pytest.mark.filterwarnings("ignore")
def test_a_team_is_reproduced_byte_for_byte(make: Make, path: Path) -> None:
    with without_chance():
        run = recorded(path, lambda: make().run(task="go"))
    replays_autogen.NOW_EMPTY.append(True)

    with without_the_outside(), without_chance():
        replay = run.replay(make)

    assert replay.divergence is None
    assert [pair for pair in replay.pairs if pair.state != "same"] == []
    assert replay.is_exact
    assert replay.ran == ()


@pytest.mark.parametrize("make", ALL)
@pytest.mark.filterwarnings("ignore")
def test_all_that_an_app_sees_is_the_same(make: Make, path: Path) -> None:
    becausal.instrument("autogen", store=path)
    first = asyncio.run(told(make))
    becausal.flush()
    replays_autogen.NOW_EMPTY.append(True)

    with without_the_outside(), answering(conversation(path), make):
        again = asyncio.run(told(make))

    assert again == first


@pytest.mark.parametrize("make", ALL)
@pytest.mark.filterwarnings("ignore")
def test_ids_and_times_that_are_left_to_chance_do_not_matter(make: Make, path: Path) -> None:
    becausal.instrument("autogen", store=path)
    asyncio.run(make().run(task="go"))
    run = becausal.last_run()
    replays_autogen.NOW_EMPTY.append(True)

    with without_the_outside():
        assert run.replay(make).reproduced
        assert run.replay(make).reproduced


@pytest.mark.parametrize("name", ["with_a_memory", "streaming_with_tools", "with_a_person"])
def test_a_cassette_replays_in_another_process_whatever_its_hash_seed(name: str, path: Path) -> None:
    run = recorded(path, lambda: getattr(replays_autogen, name)().run(task="go"))
    cassette = path.with_suffix(".becausal")
    run.export(cassette)
    code = """
import sys
import becausal
from tests.integrations import replays_autogen
with replays_autogen.without_the_outside():
    replay = becausal.open(sys.argv[1]).last().replay(getattr(replays_autogen, sys.argv[2]))
print(replay.reproduced, replay.ran)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(cassette), name],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": "4711", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )

    assert done.stdout == "True ()\n", done.stderr
