"""What is given to a replay may be the app, or make it; which of the two is found out without running anything."""

from __future__ import annotations

import asyncio
import functools
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langgraph.graph import START, StateGraph
from langgraph.store.memory import InMemoryStore
from tests.integrations.fakes_langchain import PureModel
from typing_extensions import TypedDict

import becausal
from becausal.run import Run

asked: list[str] = []
"""What the model was really asked."""


def answer(messages: Sequence[BaseMessage]) -> AIMessage:
    asked.append(str(messages[-1].content))
    return AIMessage(f"said {messages[-1].content}", id="m-1")


model = PureModel(answer=answer)


class State(TypedDict, total=False):
    item: str
    said: str


def tells(state: State) -> dict[str, str]:
    return {"said": str(model.invoke([HumanMessage(state["item"])]).content)}


def team(store: Any = None, steps: int = 12) -> Any:
    graph: Any = StateGraph(State)
    graph.add_node("tells", tells)
    graph.add_edge(START, "tells")
    return graph.compile(store=store)


def stocked(name: str = "rules") -> Any:
    store = InMemoryStore()
    store.put((name,), "dear", {"above": 100})
    return team(store)


def whatever(*_: Any, **__: Any) -> Any:
    return team()


def main():  # type: ignore[no-untyped-def]  # that it says nothing is what this is about
    return team().invoke({"item": "tea"})["said"]


def swallowing():  # type: ignore[no-untyped-def]
    try:
        return main()  # type: ignore[no-untyped-call]
    except Exception:
        return team().invoke({"item": "milk"})["said"]


def pooled():  # type: ignore[no-untyped-def]
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(main).result()


def threaded():  # type: ignore[no-untyped-def]
    said: list[str] = []
    thread = threading.Thread(target=lambda: said.append(main()))  # type: ignore[no-untyped-call]
    thread.start()
    thread.join()
    return said[0]


def grouped():  # type: ignore[no-untyped-def]
    async def within() -> str:
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(team().ainvoke({"item": "tea"}))
        return str(asking.result()["said"])

    return asyncio.run(within())


def told(given: State | None = None) -> Any:
    return team().invoke(given or {"item": "milk"})


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    becausal.instrument("langgraph", store=tmp_path / "becausal.db")
    team().invoke({"item": "tea"})
    recorded = becausal.last_run()
    asked.clear()
    yield recorded
    becausal.uninstrument()


@pytest.mark.parametrize("make", [team, functools.partial(team, steps=3), stocked, whatever])
def test_a_function_that_needs_nothing_and_returns_a_graph_makes_the_app(run: Run, make: Any) -> None:
    replay = run.replay(make)

    assert replay.reproduced
    assert replay.value["said"] == "said tea"
    assert asked == []


@pytest.mark.parametrize("app", [main, swallowing, pooled, threaded, grouped])
def test_a_function_that_is_the_app_is_run_in_the_replay_and_not_before(run: Run, app: Any) -> None:
    replay = run.replay(app)

    assert replay.reproduced
    assert replay.value == "said tea"
    assert asked == []
    chains = {info.chain_id for info in becausal.open().list()}
    assert chains == {run.chain_id, replay.run.chain_id}


def test_an_app_that_takes_the_input_is_answered_in_the_threads_that_it_starts(run: Run) -> None:
    def pooling(given: State | None = None) -> Any:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(told, given).result()

    replay = run.replay(pooling)

    assert replay.reproduced
    assert replay.value["said"] == "said tea"
    assert asked == []
    assert {info.chain_id for info in becausal.open().list()} == {run.chain_id, replay.run.chain_id}


def test_an_app_that_ends_the_process_has_ended(run: Run) -> None:
    def exits():  # type: ignore[no-untyped-def]
        main()  # type: ignore[no-untyped-call]
        sys.exit(0)

    replay = run.replay(exits)

    assert replay.reproduced
    assert isinstance(replay.outcomes[0].error, SystemExit)
    assert asked == []


def test_a_factory_that_ends_the_process_is_told_with_its_place(run: Run) -> None:
    def exits():  # type: ignore[no-untyped-def]
        sys.exit(0)

    with pytest.raises(
        becausal.ReplayError, match=r"exits, which is to make the app, raised SystemExit: 0 \("
    ):
        run.replay(exits)


def test_a_function_can_be_given_nothing_and_be_interrupted(run: Run) -> None:
    def interrupted():  # type: ignore[no-untyped-def]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.replay(interrupted)


def test_a_function_that_can_be_given_the_input_and_is_the_app_is_given_it(run: Run) -> None:
    assert run.replay(told).value["said"] == "said tea"
    assert asked == []


def test_what_a_factory_raises_is_told_with_its_place(run: Run) -> None:
    def broken():  # type: ignore[no-untyped-def]
        raise LookupError("no key for the model")

    told = r"broken, which is to make the app, raised LookupError: no key for the model \(.*_factories.py, line \d+\)"
    with pytest.raises(becausal.ReplayError, match=told) as refused:
        run.replay(broken)

    assert isinstance(refused.value.__cause__, LookupError)


def test_a_function_that_makes_nothing_and_begins_nothing_is_refused(run: Run) -> None:
    with pytest.raises(becausal.ReplayError, match="takes nothing and returned int"):
        run.replay(lambda: 7)
