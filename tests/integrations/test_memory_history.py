"""The promise: a version of a key has one number, everywhere the same, and only who read it is told to have read it."""

from __future__ import annotations

import json

import pytest
from langgraph.graph import START, StateGraph
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore
from tests.conftest import Recording
from typing_extensions import TypedDict

import becausal
from becausal.cli import main

ACME = ("acme",)


class State(TypedDict, total=False):
    tier: str
    said: str


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_a_memory_that_was_filled_before_any_run_says_so_and_by_which_process(
    recording: Recording, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    store = InMemoryStore()

    async def node(state: State, *, store: BaseStore) -> State:
        found = await store.aget(ACME, "tier")
        assert found is not None
        await store.aput(ACME, "tier", {"tier": "silver"})
        return {"said": found.value["tier"]}

    graph = StateGraph(State)
    graph.add_node("clerk", node)
    graph.add_edge(START, "clerk")
    if how == "sync":
        store.put(ACME, "tier", {"tier": "gold"})
    else:
        await store.aput(ACME, "tier", {"tier": "gold"})
    becausal.Memory("notes").write("tier", "gold")
    await graph.compile(store=store).ainvoke({})
    assert becausal.flush()

    def told(key: str) -> list[dict[str, object]]:
        assert main(["memory", key, "--store", recording.store, "--json"]) == 0
        found: list[dict[str, object]] = json.loads(capsys.readouterr().out)["versions"]
        return found

    lines = told("acme/tier")
    assert [(line["version"], line["agent"], line["writer"]) for line in lines] == [
        (1, None, "the program, outside every run"),
        (2, "clerk", "clerk"),
    ]
    assert [line["writer"] for line in told("notes/tier")] == ["the program, outside every run"]
    assert main(["memory", "acme/tier", "--readers", "--store", recording.store]) == 0
    first, second, *_ = (line for line in capsys.readouterr().out.splitlines() if "acme/tier" in line)
    process = str(lines[0]["chain_id"]).removeprefix("memory")[:8]
    assert "the program, outside every run" in first
    assert first.split()[-2:] == ["process", process]
    assert second.split()[-1] == becausal.last_run().chain_id[:16]
