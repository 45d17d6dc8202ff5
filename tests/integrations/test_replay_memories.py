"""The promise: a replay, and the making of its app, leave the recorded history of the app's memories as it was."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore
from typing_extensions import TypedDict

import becausal
from becausal.errors import ReplayError
from becausal.memory_event import MemoryEvent, MemoryRead
from becausal.regression import replayed
from becausal.run import Run

CHECKOUT = Path(__file__).parents[2]
RULES = ("rules",)


class State(TypedDict, total=False):
    item: str
    said: str


def node(state: State, *, store: BaseStore) -> State:
    rule = store.get(RULES, "dear")
    assert rule is not None
    becausal.Memory("notes").write("last", state["item"])
    store.put(RULES, "seen", {"item": state["item"]})
    return {
        "said": f"{state['item']} is dear above {rule.value['above']} {becausal.Memory('notes').read('greeting')}"
    }


async def anode(state: State, *, store: BaseStore) -> State:
    rule = await store.aget(RULES, "dear")
    assert rule is not None
    await becausal.Memory("notes").awrite("last", state["item"])
    await store.aput(RULES, "seen", {"item": state["item"]})
    return {
        "said": f"{state['item']} is dear above {rule.value['above']} {becausal.Memory('notes').read('greeting')}"
    }


def graph_with(store: BaseStore, work: Any = node) -> Any:
    graph: Any = StateGraph(State)
    graph.add_node("tells", work)
    graph.add_edge(START, "tells")
    return graph.compile(store=store, name="shop")


def stocked(work: Any = node) -> Any:
    """Make the app, with what it has to know in its memories."""
    store = InMemoryStore()
    store.put(RULES, "dear", {"above": 100})
    becausal.Memory("notes").write("greeting", "euros")
    assert becausal.Memory("notes").read("greeting") == "euros"
    return graph_with(store, work)


def stocked_async() -> Any:
    return stocked(anode)


async def stocked_awaiting() -> CompiledStateGraph[Any]:
    store = InMemoryStore()
    await store.aput(RULES, "dear", {"above": 100})
    await becausal.Memory("notes").awrite("greeting", "euros")
    made: CompiledStateGraph[Any] = graph_with(store)
    return made


def broken() -> Any:
    stocked()
    raise ValueError("no such shop")


def other() -> Any:
    store = InMemoryStore()
    store.put(RULES, "dear", {"above": 100})
    graph: Any = StateGraph(State)
    graph.add_node("another", node)
    graph.add_edge(START, "another")
    return graph.compile(store=store)


History = tuple[list[MemoryEvent], list[MemoryRead]]


def history() -> History:
    assert becausal.flush()
    store = becausal.open().store
    return store.memory_events(), store.memory_reads()


@pytest.fixture(params=["sync", "async"])
async def run(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("BECAUSAL_STORE", str(tmp_path / "becausal.db"))
    becausal.instrument("langgraph", store=tmp_path / "becausal.db")
    if request.param == "sync":
        stocked().invoke({"item": "tea"})
    else:
        await stocked_async().ainvoke({"item": "tea"})
    yield becausal.last_run(), stocked if request.param == "sync" else stocked_async
    becausal.uninstrument()


Recorded = tuple[Run, Callable[[], Any]]


def test_a_replay_leaves_the_history_of_the_memories_as_it_was(run: Recorded) -> None:
    recorded, make = run
    before = history()
    assert [str(event) for event in before[0]] != []

    for _ in range(3):
        replay = recorded.replay(make)
        assert replay.reproduced, replay.parting

    assert history() == before
    assert [event.version for event in becausal.Memory("notes").history("last")] == [1]


@pytest.mark.parametrize("make", [broken, other])
def test_a_replay_that_is_refused_leaves_it_as_well(run: Recorded, make: Callable[[], Any]) -> None:
    recorded, _ = run
    before = history()

    with pytest.raises(ReplayError):
        recorded.replay(make)

    assert history() == before


def test_a_counterfactual_and_a_regression_test_leave_it_as_well(run: Recorded, tmp_path: Path) -> None:
    recorded, make = run
    cassette = recorded.export(tmp_path / "shop.becausal")
    before = history()

    found = recorded.counterfactual(make, most_replays=4)
    replayed(cassette, make).reproduces()

    assert found.replays > 1
    assert history() == before


def test_what_a_replay_read_is_contamination_of_no_run(run: Recorded) -> None:
    recorded, make = run
    recorded.replay(make)
    assert becausal.flush()

    found = becausal.open().contaminated_by("InMemoryStore/rules/dear@1")

    assert recorded.chain_id in {spread.chain_id for spread in found.runs}
    assert not any(spread.chain_id.startswith("replay") for spread in found.runs)


def test_a_factory_that_is_awaited_leaves_it_as_well(run: Recorded) -> None:
    recorded, _ = run
    before = history()

    recorded.replay(stocked_awaiting)

    assert history() == before


def test_the_runs_of_the_app_itself_are_remembered_as_ever_after_a_replay(run: Recorded) -> None:
    recorded, make = run
    recorded.replay(make)

    stocked().invoke({"item": "milk"})

    last = becausal.Memory("notes").history("last")
    events, _ = history()
    assert [(event.version, event.payload.value()) for event in last if event.payload] == [
        (1, "tea"),
        (2, "milk"),
    ]
    assert [event.version for event in events if event.key == "rules/seen"] == [1, 2]


SHOP = """
import becausal
becausal.instrument("langgraph")
from langgraph.store.memory import InMemoryStore
from tests.integrations.test_replay_memories import graph_with
store = InMemoryStore()
store.put(("rules",), "dear", {"above": 100})
becausal.Memory("notes").write("greeting", "euros")
graph = graph_with(store)
if __name__ == "__main__":
    graph.invoke({"item": "tea"})
"""


def test_an_app_whose_module_fills_its_memories_is_replayed_by_name_with_the_history_as_it_was(
    tmp_path: Path,
) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    path = os.pathsep.join(filter(None, (str(CHECKOUT), os.environ.get("PYTHONPATH"))))

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done

    def told() -> list[str]:
        return [
            str(event)
            for event in becausal.open(tmp_path / ".becausal" / "becausal.db").store.memory_events()
        ]

    command("shop.py")
    before = told()
    command("-m", "becausal", "replay", "last", "--app", "shop:graph")

    assert len(before) == 4
    assert told() == before
