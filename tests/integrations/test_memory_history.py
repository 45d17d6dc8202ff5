"""The promise: a version of a key has one number, everywhere the same, and only who read it is told to have read it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import pytest
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core.memory import ListMemory, MemoryContent, MemoryMimeType
from hypothesis import given, settings
from hypothesis import strategies as st
from langgraph.graph import START, StateGraph
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore
from tests.conftest import Recording
from tests.integrations.fakes_autogen import speaker, text_of
from typing_extensions import TypedDict

import becausal
from becausal import semconv
from becausal.answers.contamination import Contamination
from becausal.cli import main
from becausal.errors import StepNotFoundError
from becausal.runs import Runs

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


# One numbering, over processes and stores of one name

SHOP = """
import asyncio, sys
import becausal
from langgraph.graph import START, StateGraph
from langgraph.store.memory import InMemoryStore
from langgraph.store.base import BaseStore
from typing_extensions import TypedDict

class State(TypedDict, total=False):
    tier: str
    said: str

def sets(state: State, *, store: BaseStore) -> State:
    store.put(("acme",), "tier", {"tier": f"the tier is {state['tier']}"})
    return {}

def tells(state: State, *, store: BaseStore) -> State:
    return {"said": store.get(("acme",), "tier").value["tier"]}

async def asets(state: State, *, store: BaseStore) -> State:
    await store.aput(("acme",), "tier", {"tier": f"the tier is {state['tier']}"})
    return {}

async def atells(state: State, *, store: BaseStore) -> State:
    return {"said": (await store.aget(("acme",), "tier")).value["tier"]}

becausal.instrument("langgraph")
graph = StateGraph(State)
how, tier = sys.argv[1:]
graph.add_node("sets", sets if how == "sync" else asets)
graph.add_node("tells", tells if how == "sync" else atells)
graph.add_edge(START, "sets")
graph.add_edge("sets", "tells")
app = graph.compile(store=InMemoryStore(), name=tier)
app.invoke({"tier": tier}) if how == "sync" else asyncio.run(app.ainvoke({"tier": tier}))
"""


@pytest.mark.parametrize("how", ["sync", "async"])
def test_stores_of_one_name_in_several_processes_are_told_under_one_numbering(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    for tier in ("gold", "silver", "bronze"):
        subprocess.run([sys.executable, "shop.py", how, tier], cwd=tmp_path, check=True, timeout=120)
    store = str(tmp_path / ".becausal" / "becausal.db")
    runs = becausal.open(store)
    by_name = {info.name: runs.get(info.chain_id) for info in runs.list()}

    def spoken(*words: str) -> str:
        assert main([*words, "--store", store]) in (0, 1)
        return capsys.readouterr().out

    for number, tier in enumerate(("gold", "silver", "bronze"), 1):
        name, run = f"InMemoryStore/acme/tier@{number}", by_name[tier]
        (held,) = run.memory.history("acme/tier")
        (read,) = run.memory.readers("acme/tier")
        found = runs.contaminated_by(name)
        within = run.contamination(held)

        assert (held.version, held.value()) == (number, {"tier": f"the tier is {tier}"})
        assert read.attributes[semconv.MEMORY_VERSION] == number
        assert [spread.chain_id for spread in found.runs] == [run.chain_id]
        assert [str(version) for version in found.versions] == [name]
        assert [step.id for step in found.readers] == [read.id]
        assert told(within) == told(found) == [(tier, True)]
        assert [cause.evidence for cause in read.causes if cause.kind == "memory"] == [
            f"memory acme/tier@{number}"
        ]
        shown = json.loads(spoken("show", run.chain_id, "--json"))
        assert [
            step["attributes"][semconv.MEMORY_VERSION] for step in shown["steps"] if "memory" in step["kind"]
        ] == [number, number]
        of_run = json.loads(spoken("memory", "acme/tier", "--run", run.chain_id, "--json"))
        assert [line["version"] for line in of_run["versions"]] == [number]
        assert f"wrote {name}" in spoken("contaminated", name)
        assert spoken("contaminated", name).startswith("1 run reached, 1 answer says it")
        assert not run.findings
    lines = json.loads(spoken("memory", "acme/tier", "--readers", "--json"))
    assert [(line["version"], line["chain_id"]) for line in lines["versions"]] == [
        (number, by_name[tier].chain_id) for number, tier in enumerate(("gold", "silver", "bronze"), 1)
    ]
    assert {(read["version"], read["chain_id"]) for read in lines["readers"]} == {
        (line["version"], line["chain_id"]) for line in lines["versions"]
    }


def told(found: Contamination) -> list[tuple[str, bool]]:
    return [(spread.name, spread.is_output_wrong) for spread in found.runs]


class Told(TypedDict, total=False):
    writes: str
    said: str


def desk(name: str, store: BaseStore, reads: bool, *, is_async: bool) -> Any:
    """Return a graph that reads a key, if it is to, and writes it, if it is to."""

    def node(state: Told, *, store: BaseStore) -> Told:
        found = store.get(ACME, "tier") if reads else None
        if "writes" in state:
            store.put(ACME, "tier", {"tier": state["writes"]})
        return {"said": "nothing" if found is None else found.value["tier"]}

    async def anode(state: Told, *, store: BaseStore) -> Told:
        found = await store.aget(ACME, "tier") if reads else None
        if "writes" in state:
            await store.aput(ACME, "tier", {"tier": state["writes"]})
        return {"said": "nothing" if found is None else found.value["tier"]}

    graph: Any = StateGraph(Told)
    graph.add_node("desk", anode if is_async else node)
    graph.add_edge(START, "desk")
    return graph.compile(store=store, name=name)


turns = st.lists(
    st.tuples(
        st.integers(0, 2),  # which of the stores, all of one name
        st.booleans(),  # whether it begins anew, empty, as in another process
        st.booleans(),  # whether the run reads
        st.one_of(st.none(), st.integers(0, 2)),  # what it writes: at times what was written before
        st.booleans(),  # whether it is awaited
    ),
    min_size=1,
    max_size=7,
)


@settings(max_examples=12)
@given(turns)
def test_a_run_is_accused_of_a_version_if_it_wrote_or_read_that_one_and_had_not_ended_before(
    played: list[tuple[int, bool, bool, int | None, bool]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        becausal.instrument("langgraph", store=Path(folder) / "runs.db")
        try:
            expected = play(played)
            assert becausal.flush()
            runs = becausal.open(Path(folder) / "runs.db")
            accused(runs, expected)
        finally:
            becausal.uninstrument()


def play(played: list[tuple[int, bool, bool, int | None, bool]]) -> list[tuple[str, list[str]]]:
    """Play turns; return the writer of each version in the order of their writing, and who read it after that."""
    stores = [InMemoryStore() for _ in range(3)]
    standing: dict[int, int] = {}
    versions: list[tuple[str, list[str]]] = []
    for number, (which, anew, reads, writes, is_async) in enumerate(played):
        if anew:
            stores[which] = InMemoryStore()
            standing.pop(which, None)
        name = f"run {number}"
        app = desk(name, stores[which], reads, is_async=is_async)
        given: dict[str, Any] = (
            {} if writes is None else {"writes": f"the customer's tier is number {writes}"}
        )
        given["said"] = ""
        asyncio.run(app.ainvoke(given)) if is_async else app.invoke(given)
        if reads and which in standing:
            versions[standing[which]][1].append(name)
        if writes is not None:
            versions.append((name, []))
            standing[which] = len(versions) - 1
    return versions


def accused(runs: Runs, expected: list[tuple[str, list[str]]]) -> None:
    names = {info.chain_id: info.name for info in runs.list()}
    events = runs.store.memory_events()
    assert [(event.version, names[event.chain_id or ""]) for event in events] == [
        (number, writer) for number, (writer, _) in enumerate(expected, 1)
    ]
    for number, (writer, readers) in enumerate(expected, 1):
        found = runs.contaminated_by(f"InMemoryStore/acme/tier@{number}")
        by_memory = [
            spread.name for spread in found.runs if any(entry.how == "memory" for entry in spread.entries)
        ]
        began = next(event.at_ns for event in events if event.version == number)
        assert found.runs[0].name == writer
        # What was said again from this version was written down by nobody, so only its readers are told.
        assert sorted(by_memory) == sorted(readers)
        for spread in found.runs[1:]:
            ended = max(step.ended_ns or 0 for step in runs.get(spread.chain_id).steps)
            assert ended >= began, f"{spread.name} had ended before version {number} was written"
        for info in runs.list():
            run = runs.get(info.chain_id)
            for step in (step for step in run.steps if step.kind == "memory_read"):
                number_read = step.attributes.get(semconv.MEMORY_VERSION)
                writers = {cause.source_id for cause in step.causes if cause.kind == "memory"}
                assert writers == {event.step_id for event in events if event.version == number_read}


class Database(BaseStore):
    """A store whose records lie outside of the process: another object of it finds them."""

    def __init__(self, records: InMemoryStore) -> None:
        self.records = records

    def batch(self, ops: Iterable[Any]) -> list[Any]:
        return self.records.batch(ops)

    async def abatch(self, ops: Iterable[Any]) -> list[Any]:
        return await self.records.abatch(ops)


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_store_that_lasts_goes_on_counting_where_another_object_of_it_left(
    recording: Recording, is_async: bool
) -> None:
    records = InMemoryStore()

    async def asks(name: str, writes: str) -> None:
        app = desk(name, Database(records), reads=True, is_async=is_async)
        given: dict[str, Any] = {"writes": f"the customer's tier is {writes}", "said": ""}
        await app.ainvoke(given) if is_async else app.invoke(given)

    for name, writes in ("first", "gold"), ("second", "silver"), ("third", "bronze"):
        await asks(name, writes)
    assert becausal.flush()
    runs = becausal.open(recording.store)

    for number, info in enumerate(reversed(runs.list()), 1):
        run = runs.get(info.chain_id)
        (held,) = run.memory.history("acme/tier")
        assert (held.name, held.version, held.instance) == ("Database/acme/tier", number, None)
        assert runs.contaminated_by(str(held).split()[0]).runs[0].chain_id == run.chain_id
    assert [str(event) for event in runs.store.memory_events()] == [
        f"Database/acme/tier@{number} write by desk" for number in (1, 2, 3)
    ]


async def test_memories_of_one_name_are_not_taken_for_one_another_in_one_run(recording: Recording) -> None:
    """Two agents' `ListMemory`s have the same name by default."""
    notes = [ListMemory(), ListMemory()]
    for memory, tier in zip(notes, ("gold", "silver"), strict=True):
        content = MemoryContent(
            content=f"the customer's tier is {tier}", mime_type=MemoryMimeType.TEXT, metadata={"id": "tier"}
        )
        await memory.add(content)
    agents: list[Any] = [
        speaker(name, lambda messages: " / ".join(map(text_of, messages)), memory=[memory])
        for name, memory in zip(("first", "second"), notes, strict=True)
    ]
    with becausal.chain("ask both"):
        await RoundRobinGroupChat(agents, max_turns=2).run(task="What is the tier?")
    assert becausal.flush()
    run = becausal.last_run()

    seen = [step.attributes[semconv.MEMORY_SEEN] for step in run.steps if step.kind == "memory_read"]
    objects = {step.attributes[semconv.MEMORY_INSTANCE] for step in run.steps if step.kind == "memory_read"}
    assert seen == [("tier@1",), ("tier@2",)]
    assert len(objects) == 2
    assert not [finding for finding in run.findings if finding.kind.startswith("memory.")]


@pytest.mark.parametrize("is_async", [False, True])
async def test_stores_of_one_name_in_one_run_make_no_stale_read_nor_lost_update_of_each_other(
    recording: Recording, is_async: bool
) -> None:
    first, second = InMemoryStore(), InMemoryStore()

    async def node(state: Told) -> Told:
        await first.aput(ACME, "tier", {"tier": "the first one's tier is gold"})
        await second.aput(ACME, "tier", {"tier": "the second one's tier is silver"})
        found = await first.asearch(ACME)
        await first.aget(ACME, "tier")
        return {"said": found[0].value["tier"]}

    def sync_node(state: Told) -> Told:
        first.put(ACME, "tier", {"tier": "the first one's tier is gold"})
        second.put(ACME, "tier", {"tier": "the second one's tier is silver"})
        found = first.search(ACME)
        first.get(ACME, "tier")
        return {"said": found[0].value["tier"]}

    graph: Any = StateGraph(Told)
    graph.add_node("desk", node if is_async else sync_node)
    graph.add_edge(START, "desk")
    app = graph.compile()
    await app.ainvoke({"said": ""}) if is_async else app.invoke({"said": ""})
    assert becausal.flush()
    run = becausal.last_run()

    assert [held.version for held in run.memory.history("acme/tier")] == [1, 2]
    assert [len(line) for line in run.memory.lines("acme/tier")] == [1, 1]
    assert [step.attributes.get(semconv.MEMORY_VERSION) for step in run.memory.readers("acme/tier")] == [
        None,
        1,
    ]
    assert not [finding for finding in run.findings if finding.kind.startswith("memory.")]


def test_a_stale_read_is_told_by_the_log_s_numbers(recording: Recording) -> None:
    for tier in ("gold", "silver"):
        desk("before", InMemoryStore(), reads=False, is_async=False).invoke({"writes": f"the tier is {tier}"})
    store = Stale()

    def node(state: Told) -> Told:
        store.put(ACME, "tier", {"tier": "the tier is bronze"})
        store.stuck = store.get(ACME, "tier")
        store.put(ACME, "tier", {"tier": "the tier is copper"})
        found = store.get(ACME, "tier")
        assert found is not None
        return {"said": found.value["tier"]}

    graph: Any = StateGraph(Told)
    graph.add_node("desk", node)
    graph.add_edge(START, "desk")
    graph.compile().invoke({"said": ""})
    assert becausal.flush()
    (finding,) = (one for one in becausal.last_run().findings if one.kind == "memory.stale_read")

    assert finding.message == "desk read version 3 of InMemoryStore/acme/tier when version 4 was there"


class Stale(InMemoryStore):
    """A store that serves what it had served before."""

    name = "InMemoryStore"
    stuck: Any = None

    def get(self, *args: Any, **kwargs: Any) -> Any:
        return super().get(*args, **kwargs) if self.stuck is None else self.stuck


def test_each_of_many_records_that_a_search_found_is_told_by_the_log_s_number(recording: Recording) -> None:
    for _ in range(2):  # the second one's are the second versions
        store = InMemoryStore()
        for number in range(80):
            store.put(ACME, f"record {number}", {"said": number})
    with becausal.chain("search"):
        store.search(ACME, limit=100)
    assert becausal.flush()
    (read,) = (step for step in becausal.last_run().steps if step.kind == "memory_read")

    seen = read.attributes[semconv.MEMORY_SEEN]

    assert isinstance(seen, tuple)
    assert set(seen) == {f"acme/record {number}@2" for number in range(80)}


def test_a_run_that_was_exported_keeps_its_numbers_and_comes_back_as_the_same(
    recording: Recording, tmp_path: Path
) -> None:
    for tier in ("gold", "silver"):
        store = InMemoryStore()
        desk("desk", store, reads=False, is_async=False).invoke({"writes": f"the tier is {tier}"})
        desk("reader", store, reads=True, is_async=False).invoke({"said": ""})
    assert becausal.flush()
    run = becausal.last_run()
    cassette = run.export(tmp_path / "reader.becausal")

    assert main(["import", str(cassette), "--store", recording.store]) == 0
    assert main(["import", str(cassette), "--store", str(tmp_path / "other.db")]) == 0
    for place in (cassette, tmp_path / "other.db"):
        (read,) = (step for step in becausal.open(place).last().steps if step.kind == "memory_read")
        assert read.attributes[semconv.MEMORY_VERSION] == 2
        assert [cause.evidence for cause in read.causes if cause.kind == "memory"] == ["memory acme/tier@2"]


def test_a_channel_of_a_state_has_the_graph_s_numbers_and_is_in_no_log(
    recording: Recording, capsys: pytest.CaptureFixture[str]
) -> None:
    class Sums(TypedDict, total=False):
        total: Annotated[int, lambda held, new: held + new]

    graph: Any = StateGraph(Sums)
    graph.add_node("one", lambda state: {"total": 1})
    graph.add_node("two", lambda state: {"total": 2})
    graph.add_edge(START, "one")
    graph.add_edge("one", "two")
    app = graph.compile(name="sums")
    for _ in range(2):
        app.invoke({"total": 5})
    assert becausal.flush()
    run = becausal.last_run()
    counted = [
        (held.version, held.value())
        for held in run.memory.history("total")
        if held.step.kind == "memory_write"
    ]

    assert counted[-1][1] == 8
    assert becausal.open(recording.store).store.memory_events() == []
    assert main(["memory", "sums/total", "--store", recording.store, "--json"]) == 0
    lines = json.loads(capsys.readouterr().out)["versions"]
    assert [line["version"] for line in lines if line["value"] == 8] == [counted[-1][0]]


def test_a_run_is_asked_about_a_version_by_its_name_whoever_wrote_it(recording: Recording) -> None:
    store = InMemoryStore()
    for tier in ("gold", "silver"):
        desk(tier, store, reads=False, is_async=False).invoke({"writes": f"the tier is {tier}"})
    desk("reader", store, reads=True, is_async=False).invoke({"said": ""})
    assert becausal.flush()
    runs = becausal.open(recording.store)
    reader, silver, gold = (runs.get(info.chain_id) for info in runs.list())

    assert told(silver.contamination("InMemoryStore/acme/tier@2")) == [("silver", False), ("reader", True)]
    assert told(silver.contamination("acme/tier")) == [("silver", False), ("reader", True)]
    assert told(reader.contamination("acme/tier@2")) == [("silver", False), ("reader", True)]
    assert told(reader.contamination("acme/tier@1")) == [("gold", False)]
    with pytest.raises(StepNotFoundError, match="has no version 7 in this run; it has: 1"):
        gold.contamination("acme/tier@7")
    with pytest.raises(StepNotFoundError, match="no memory has a key acme/price"):
        gold.contamination("acme/price@1")
