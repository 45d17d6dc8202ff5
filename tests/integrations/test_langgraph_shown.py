"""LangGraph runs as `becausal show` tells them, and what may not be told where no content is kept."""

from __future__ import annotations

import io
from typing import Any

from langgraph.cache.memory import InMemoryCache
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore
from langgraph.types import CachePolicy
from rich.console import Console
from tests.conftest import Recording
from tests.integrations.kinds import Kinds
from typing_extensions import TypedDict

import becausal
from becausal.views import text


class State(TypedDict, total=False):
    question: str
    answer: str


def shown() -> str:
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(text.run(becausal.last_run()))
    return console.export_text()


def graph_of(node: Any, **options: Any) -> Any:
    graph: Any = StateGraph(State)
    graph.add_node("work", node, **options)
    graph.add_edge(START, "work")
    return graph


def test_a_key_that_the_state_does_not_have_is_shown_though_nobody_comes_after(recording: Recording) -> None:
    graph_of(lambda _: {"answer": "42", "anwser": "43"}).compile().invoke({"question": "?"})

    assert "dropped, since the state has no such key: anwser" in shown()


def test_a_hit_in_the_cache_is_shown_as_one(recording: Recording) -> None:
    app = graph_of(lambda _: {"answer": "42"}, cache_policy=CachePolicy()).compile(cache=InMemoryCache())
    app.invoke({"question": "?"})
    assert "from the cache" not in shown()
    app.invoke({"question": "?"})

    assert "from the cache" in shown()


def test_a_later_turn_of_a_thread_says_that_it_goes_on_and_that_nothing_is_lost(recording: Recording) -> None:
    app = graph_of(lambda _: {"answer": "42"}).compile(checkpointer=InMemorySaver(), name="chat")
    thread: Any = {"configurable": {"thread_id": "1"}}
    app.invoke({"question": "?"}, thread)
    app.invoke({"question": "and?"}, thread)

    told = shown()
    assert "workflow chat goes on from another run: checkpoint " in told
    assert "lost" not in told


def test_where_no_content_is_kept_a_store_s_namespaces_and_keys_are_not_either(store: str) -> None:
    def work(state: State, store: BaseStore) -> dict[str, Any]:
        store.put(("users", "alice"), "phone", {"number": "555"})
        store.search(("users", "alice"))
        found = store.get(("users", "alice"), "phone")
        return {"answer": found.value["number"] if found else ""}

    becausal.instrument(store=store, capture="digest")
    try:
        graph_of(work).compile(store=InMemoryStore()).invoke({"question": "?"})
        run = Kinds(Recording(store).last())
    finally:
        becausal.uninstrument()

    (written,) = run.all("memory_write")
    said = repr([(step.attributes, step.causes) for step in run.by_id.values()])
    assert not [word for word in ("users", "alice", "phone") if word in said]
    assert [run.causes(read, "memory") for read in run.all("memory_read")] == [[written], [written]]
