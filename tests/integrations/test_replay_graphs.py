"""Every graph of the table runs again from its record, with models and tools made unusable.

Played again as it was played, all that an app or its user can see is the same, byte for byte: results, each piece of
each stream, events, callbacks, exceptions. And each run of it, taken by itself, is reproduced step by step by
`Run.replay`, also the later turns of a conversation, which go on from a state that nobody has any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from tests.integrations.graphs import GRAPHS, Case
from tests.integrations.graphs.doings import DOINGS
from tests.integrations.graphs.plays import played, ways_of
from tests.integrations.replays import conversation, without_the_outside

import becausal
from becausal import guard, semconv
from becausal.canonical import parse_digest
from becausal.replay import answering

CASES = [
    pytest.param(
        case,
        id=case.name,
        marks=[] if case.needs else pytest.mark.skip(reason="not in this version of LangGraph"),
    )
    for case in GRAPHS
]

WAYS = ("invoke", "ainvoke", "stream all, subgraphs", "astream all, subgraphs", "astream_events")
"""The ways of `plays` that say most; each of the others shows a part of what these show."""

RUN_INSIDE = {"an agent as a tool": "consult"}
"""A tool that runs an agent: named, so that it runs; what the agent asks is answered all the same."""


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore")  # what LangGraph warns of is not in question here
def test_a_graph_is_played_again_from_its_record(case: Case, tmp_path: Path) -> None:
    failures = sum(guard.failures.values())
    ways = [way for way in ways_of(case) if way in WAYS]

    differ = [way for way in ways if not is_the_same(case, way, tmp_path)]

    assert differ == []
    assert sum(guard.failures.values()) == failures


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore")
def test_each_run_of_a_graph_is_reproduced_by_itself(case: Case, tmp_path: Path) -> None:
    live, store = RUN_INSIDE.get(case.name), tmp_path / "becausal.db"
    becausal.instrument(store=store)
    try:
        converse(case)
        becausal.flush()
        runs = becausal.open(store)
        recorded = [runs.get(info.chain_id) for info in runs.list() if not info.chain_id.startswith("memory")]
        with without_the_outside(but=live):
            replays = [run.replay(case.build, live=live or ()) for run in recorded]
    finally:
        becausal.uninstrument()

    assert replays
    assert [replay for replay in replays if not replay.reproduced] == []


def converse(case: Case) -> None:
    """Have one conversation with a graph; a turn may fail, as its row says."""
    app, config = case.build(), {**case.config, "configurable": {"thread_id": "1"}}
    for given in copy.deepcopy(case.turns):
        with contextlib.suppress(Exception):
            if case.is_async:
                asyncio.run(app.ainvoke(given, config, **case.options))
            else:
                app.invoke(given, config, **case.options)


class Asked(TypedDict):
    """Messages, and data beside them."""

    topic: dict[str, str]
    messages: Annotated[list[AnyMessage], add_messages]


def telling() -> Any:
    """Return a graph whose one node tells the order in which its input stood."""

    def tell(state: Asked) -> dict[str, Any]:
        return {"messages": [AIMessage(f"{list(state['topic'])} of {len(state['messages'])}")]}

    graph = StateGraph(Asked)
    graph.add_node("tell", tell)
    graph.add_edge(START, "tell")
    return graph.compile()


def test_messages_of_an_input_are_not_kept_again_for_the_order_of_what_is_beside_them(tmp_path: Path) -> None:
    store = tmp_path / "becausal.db"
    said: list[AnyMessage] = [HumanMessage(f"{number} " + "as was said before. " * 40) for number in range(9)]
    becausal.instrument(store=store)
    try:
        telling().invoke({"topic": {"z": "first", "a": "last"}, "messages": said})
        run = becausal.last_run()
        with without_the_outside():
            assert run.replay(telling).reproduced
    finally:
        becausal.uninstrument()

    (begun,) = [step for step in run.steps if step.kind == "workflow"]
    assert run.store is not None
    assert begun.received is not None
    body = run.store.body(parse_digest(str(begun.attributes[semconv.KEPT + "given"])))
    assert body is not None
    assert begun.received.size > 9 * 800 > 2_000 > len(body)
    exported = becausal.open(run.export(tmp_path / "run.becausal")).get(run.chain_id)
    with without_the_outside():
        assert exported.replay(telling).reproduced


@pytest.mark.parametrize("name", ["a state edited", "a state looked at", "an interrupt answered twice"])
@pytest.mark.filterwarnings("ignore")
def test_what_was_done_to_a_graph_from_outside_is_done_again(name: str, tmp_path: Path) -> None:
    build, doing = DOINGS[name]
    becausal.instrument(store=tmp_path / "becausal.db")
    try:
        asyncio.run(doing(build(), {"configurable": {"thread_id": "1"}}))
        replay = becausal.last_run().replay(build)
    finally:
        becausal.uninstrument()

    assert replay.reproduced


def is_the_same(case: Case, way: str, folder: Path) -> bool:
    store, live = folder / f"{way.replace(' ', '-')}.db", RUN_INSIDE.get(case.name)
    becausal.instrument(store=store)
    try:
        recorded = played(case, way, is_saved=False)
        becausal.flush()
        with without_the_outside(but=live), answering(conversation(store), case.build, live=live or ()):
            again = played(case, way, is_saved=False)
    finally:
        becausal.uninstrument()
    return bool(again == recorded)
