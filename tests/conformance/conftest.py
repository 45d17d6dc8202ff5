"""A store of runs of every sort, and stores that are closed after a test."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypedDict

import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.store.memory import InMemoryStore
from tests.conformance.test_store import payload, step

import becausal
from becausal.store import Store, open_store

SHARED: dict[str, Callable[[pytest.FixtureRequest, Path], str]] = {
    "file": lambda request, folder: f"sqlite:///{folder}/other.db",
    "postgres": lambda request, folder: str(request.getfixturevalue("postgres_url")),
}
"""The stores that outlive a process: those in memory do not."""


@pytest.fixture(params=SHARED)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a store of each kind."""
    return SHARED[request.param](request, tmp_path)


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = open_store(url)
    yield opened
    opened.close()


@pytest.fixture
def opened() -> Iterator[Callable[..., Store]]:
    stores: list[Store] = []

    def open_and_note(url: str, **options: bool) -> Store:
        stores.append(open_store(url, **options))
        return stores[-1]

    yield open_and_note
    for store in stores:
        store.close()


class State(TypedDict, total=False):
    question: str
    notes: list[str]
    answer: str


def graph() -> Callable[[State], object]:
    """Return an app in which a node shortens what the one before it found."""

    def research(state: State) -> State:
        return {
            "notes": ["Order 4711 was shipped on 3 May 2024.", "The refund limit is 500 EUR.", "Ask Zoë."]
        }

    def shorten(state: State) -> State:
        return {"notes": [note[:20] for note in state["notes"]]}

    def write(state: State) -> State:
        return {"answer": f"Refund 700 EUR. {state['notes'][0]}"}

    made = StateGraph(State)
    for node in (research, shorten, write):
        made.add_node(node.__name__, node)
    made.add_edge(START, "research")
    made.add_edge("research", "shorten")
    made.add_edge("shorten", "write")
    made.add_edge("write", END)
    compiled = made.compile(store=InMemoryStore())
    return lambda state: compiled.invoke(state)


@pytest.fixture
def recorded(recorded_once: Path, tmp_path: Path) -> str:
    """The URL of an SQLite file of this test's own, with runs of a framework and of own code, memories, a gap."""
    return f"sqlite:///{shutil.copy(recorded_once, tmp_path / 'recorded.db')}"


@pytest.fixture(scope="module")
def recorded_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("recorded") / "runs.db"
    store = f"sqlite:///{file}"
    becausal.instrument(store=store)
    graph()({"question": "May order 4711 be refunded, up to 500 EUR?"})
    memory = becausal.Memory("prices", store=store)
    with becausal.chain("what does it cost?"):
        with becausal.agent("looker", received={"item": "A\0 lamp"}) as looker:
            memory.write("lamp", {"price": 12, "odd": "\ud800", "none": float("nan")})
            looker.returned("12 EUR")
        with becausal.agent("teller", received="12 EUR") as teller:
            memory.read("lamp")
            teller.decide("say it", because=["12 EUR"], reason="it is known", confidence=0.4)
            teller.returned("It costs 21 EUR.")
        envelope = becausal.handoff("teller", "printer", {"text": "It costs 21 EUR.", "pages": [1, 2, 3]})
        with becausal.receive("printer", envelope):
            pass
    memory.write("lamp", {"price": 13})
    memory.write("desk", 99)
    memory.retract("lamp")
    memory.close()
    assert becausal.flush()
    becausal.uninstrument()
    with_more = open_store(store)
    anchored = step(77, chain="anchored")
    anchored.anchors, anchored.received = ["checkpoint 7"], payload(7)
    with_more.write([anchored, step(78, chain="anchored", status="open")])
    with_more.add_gaps({"queue full": 3})
    with_more.close()
    return file
