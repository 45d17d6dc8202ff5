"""The promise: work that lost its link to its run is found by what it was given and brought, and joined to it."""

from __future__ import annotations

import asyncio
import contextvars
import subprocess
import sys
import threading
from _thread import start_new_thread
from dataclasses import dataclass
from typing import Any

from autogen_core import (
    AgentId,
    MessageContext,
    RoutedAgent,
    SingleThreadedAgentRuntime,
    TopicId,
    message_handler,
)
from langchain_core.tools import tool
from langgraph.graph import START, StateGraph
from tests.conftest import Recording
from tests.core.builders import Record
from typing_extensions import TypedDict

import becausal
from becausal.answers.orphans import Orphan
from becausal.run import Run
from becausal.runs import Runs
from becausal.store import Store


class Trip(TypedDict, total=False):
    city: str
    found: str
    answer: str


@tool
def prices(city: str) -> str:
    """Look prices up."""
    return f"The hotel in {city} costs 1,250 dollars a night."


def graph_of(research: Any) -> Any:
    graph: Any = StateGraph(Trip)
    graph.add_node("research", research)
    graph.add_node("write", lambda s: {"answer": f"We found: {s['found']}"})
    graph.add_edge(START, "research")
    graph.add_edge("research", "write")
    return graph.compile()


def in_a_bare_thread(work: Any) -> Any:
    """Do work where no context of ours comes: in a thread whose door was taken before it was hooked."""
    made: list[Any] = []
    is_done = threading.Event()

    def run() -> None:
        made.append(work())
        is_done.set()

    start_new_thread(run, ())
    assert is_done.wait(10)
    return made[0]


def run_of(recording: Recording, name: str = "LangGraph") -> Run:
    assert becausal.flush()
    runs = becausal.open(recording.store)
    return runs.get(next(info.chain_id for info in runs.list() if info.name == name))


def unlinked(run: Run) -> list[Orphan]:
    return [orphan for orphan in run.orphans if orphan.how == "unlinked"]


def test_a_tool_in_a_bare_thread_is_found_joined_and_blamed(recording: Recording) -> None:
    graph_of(lambda s: {"found": in_a_bare_thread(lambda: prices.invoke({"city": s["city"]}))}).invoke(
        {"city": "Lisbon in spring"}
    )
    run = run_of(recording)

    (orphan,) = unlinked(run)
    assert (orphan.step.name, orphan.is_read, orphan.has_outlived) == ("prices", True, False)
    assert [(e.source.name, e.kind, e.target.name, e.grade) for e in orphan.edges] == [
        ("research", "spawn", "prices", "matched"),
        ("prices", "data", "research", "matched"),
    ]
    assert 'text "Lisbon in spring"' in orphan.evidence
    assert all(step.name != "prices" for step in run.steps)  # not of itself: whoever wants it joins it
    (segment,) = run.joined().blame("1,250").segments
    assert segment.origin is not None
    assert (segment.origin.name, segment.source) == ("prices", "tool")
    assert [step.name for step in segment.path][:2] == ["prices", "research"]
    assert [(f.kind, f.severity, f.tool) for f in run.findings] == [("chain.orphaned", "note", "prices")]


async def test_a_callback_in_an_empty_context_whose_result_nobody_read_is_a_warning(
    recording: Recording,
) -> None:
    async def research(state: Trip) -> Trip:
        is_done = asyncio.Event()

        def look() -> None:
            prices.invoke({"city": state["city"]})
            is_done.set()

        asyncio.get_running_loop().call_soon(look, context=contextvars.Context())
        await is_done.wait()
        return {"found": "nothing at all"}

    await graph_of(research).ainvoke({"city": "Lisbon in spring"})
    run = run_of(recording)

    (orphan,) = unlinked(run)
    assert not orphan.is_read
    assert [(f.kind, f.severity) for f in run.findings] == [("chain.orphaned", "warning")]


CHILD = """
import becausal, os, sys
becausal.instrument(store=sys.argv[1])
@becausal.tool
def prices(city):
    return f"The hotel in {city} costs 1,250 dollars a night."
print(prices(sys.argv[2]))
becausal.flush()
"""


def test_a_process_that_was_given_no_context_is_joined_by_what_it_printed(recording: Recording) -> None:
    def research(state: Trip) -> Trip:
        command = [sys.executable, "-c", CHILD, recording.store, state["city"]]
        done = subprocess.run(command, env={}, capture_output=True, text=True, check=True)
        return {"found": done.stdout.strip()}

    graph_of(research).invoke({"city": "Lisbon in spring"})
    run = run_of(recording)

    (orphan,) = unlinked(run)
    assert orphan.is_read
    assert orphan.step.name == "prices"
    (segment,) = run.joined().blame("1,250").segments
    assert segment.origin is not None
    assert segment.origin.name == "prices"


async def test_a_task_that_a_node_does_not_wait_for_outlives_the_run(recording: Recording) -> None:
    gate, tasks = asyncio.Event(), []

    async def later(city: str) -> None:
        await gate.wait()
        await prices.ainvoke({"city": city})

    async def research(state: Trip) -> Trip:
        tasks.append(asyncio.create_task(later(state["city"])))
        return {"found": "nothing yet"}

    await graph_of(research).ainvoke({"city": "Lisbon in spring"})
    gate.set()
    await tasks[0]
    run = run_of(recording)

    (orphan,) = run.orphans
    assert (orphan.how, orphan.step.name, orphan.is_read, orphan.has_outlived) == (
        "outlived",
        "prices",
        False,
        True,
    )
    assert [(f.kind, f.severity) for f in run.findings] == [("chain.orphaned", "note")]


@dataclass
class Note:
    text: str


class Speaker(RoutedAgent):
    @message_handler
    async def said(self, message: Note, ctx: MessageContext) -> Note:
        await self.publish_message(Note("Does anybody hear of Lisbon?"), TopicId("nobody", "here"))
        return Note("I asked around.")


async def test_what_is_published_to_a_topic_that_nobody_subscribes_is_an_orphan_that_nobody_read(
    recording: Recording,
) -> None:
    runtime = SingleThreadedAgentRuntime()
    await Speaker.register(runtime, "speaker", lambda: Speaker("speaks"))
    runtime.start()
    await runtime.send_message(Note("Ask around."), AgentId("speaker", "default"))
    await runtime.stop_when_idle()

    assert becausal.flush()
    (orphan,) = [o for o in becausal.last_run().orphans if o.how == "unread"]
    assert orphan.step.received is not None
    assert "Lisbon" in orphan.step.received.text()
    assert [edge.source.agent for edge in orphan.edges] == ["speaker"]
    assert not orphan.is_read


def test_a_thread_that_carries_the_context_leaves_no_orphan(recording: Recording) -> None:
    def research(state: Trip) -> Trip:
        made: list[str] = []
        worker = threading.Thread(target=lambda: made.append(prices.invoke({"city": state["city"]})))
        worker.start()
        worker.join()
        return {"found": made[0]}

    graph_of(research).invoke({"city": "Lisbon in spring"})
    run = run_of(recording)

    assert run.orphans == ()
    assert run.findings == ()


# Whose it is, where several runs were under way


def work(record: Record, city: str, *, says: str = "") -> Record:
    """Return the record of a run whose researcher looks a city up outside of it, and says what he found."""
    with record.step("workflow", "team", received=city) as team:
        with record.step("agent", "researcher", received=city) as researcher:
            record.now += 10**6
            researcher.produces(says or f"In {city} all is well.")
        team.produces(says or f"In {city} all is well.")
    return record


def stray(city: str, brought: str, *, number: int = 1) -> Record:
    record = Record(f"{number:x}" * 32, started_ns=1_300_000)
    record.did("tool", "prices", {"city": city}, brought)
    record.made[0].seq += 100
    return record


def runs_of(store: Store, *records: Record) -> Runs:
    for record in records:
        store.write(record.made)
    return Runs(store)


def test_of_two_runs_at_once_the_one_that_shows_the_content_has_the_orphan(kept: Store) -> None:
    brought = "The hotel in Lisbon costs 1,250 dollars."
    one = work(Record("a" * 32), "Lisbon in spring", says=f"I found: {brought}")
    other = work(Record("b" * 32), "Lisbon in spring")
    runs = runs_of(kept, one, other, stray("Lisbon in spring", brought))

    assert [orphan.others for orphan in runs.get("a" * 32).orphans] == [()]
    assert runs.get("b" * 32).orphans == ()


def test_where_two_runs_fit_as_well_both_are_named_and_neither_is_joined_or_blamed(kept: Store) -> None:
    one, other = work(Record("a" * 32), "Lisbon in spring"), work(Record("b" * 32), "Lisbon in spring")
    runs = runs_of(kept, one, other, stray("Lisbon in spring", "1,250"))

    for mine, its in (("a", "b"), ("b", "a")):
        run = runs.get(mine * 32)
        (orphan,) = run.orphans
        assert orphan.others == (its * 32,)
        assert {edge.grade for edge in orphan.edges} == {"inferred"}
        assert len(run.joined().steps) == len(run.steps)
        assert run.findings == ()


def test_two_requests_side_by_side_that_ask_the_same_are_no_orphans_of_each_other(kept: Store) -> None:
    runs = runs_of(kept, *(work(Record(name * 32), "Lisbon in spring") for name in "ab"))

    assert runs.get("a" * 32).orphans == ()
    assert runs.get("b" * 32).orphans == ()


def test_what_began_before_or_shares_nothing_is_nobody_s(kept: Store) -> None:
    run = work(Record("a" * 32), "Lisbon in spring")
    early = stray("Lisbon in spring", "1,250", number=2)
    early.made[0].started_ns = 1
    runs = runs_of(kept, run, early, stray("Oslo in winter", "cold", number=3))

    assert runs.get("a" * 32).orphans == ()
    assert [(orphan.step.chain_id[0], orphan.run) for orphan in runs.orphans()] == [("3", None), ("2", None)]


def test_a_request_that_goes_on_from_an_answer_which_was_given_is_no_orphan(kept: Store) -> None:
    first = work(Record("a" * 32), "Lisbon in spring", says="The hotel in Lisbon costs 1,250 dollars.")
    history = [
        {"role": "user", "content": "Lisbon in spring"},
        {"role": "assistant", "content": "The hotel in Lisbon costs 1,250 dollars."},
        {"role": "user", "content": "And in autumn?"},
    ]
    second = Record("b" * 32, started_ns=10**9)
    with second.step("workflow", "team", received=history, produced="It costs 990 dollars."):
        pass
    runs = runs_of(kept, first, second)

    assert runs.get("a" * 32).orphans == ()
    assert runs.get("a" * 32).findings == ()


def test_a_run_with_work_that_was_lost_and_done_in_vain_is_judged_and_reported(kept: Store) -> None:
    runs = runs_of(
        kept, work(Record("a" * 32), "Lisbon in spring"), stray("Lisbon in spring", "1,250 dollars a night")
    )
    run = runs.get("a" * 32)

    (suspect,) = run.root_cause()
    assert (suspect.who, suspect.findings[0].kind) == ("tool prices", "chain.orphaned")
    assert not run.health.ok
    assert "chain.orphaned, tool prices" in run.report()
    assert run.report("html")


def test_all_orphans_of_a_store_are_listed_with_the_run_they_belong_to(kept: Store) -> None:
    runs = runs_of(kept, work(Record("a" * 32), "Lisbon in spring"), stray("Lisbon in spring", "1,250"))

    assert [orphan.run for orphan in runs.orphans()] == ["a" * 32]


def test_looking_for_orphans_loads_what_was_under_way_and_not_the_store(kept: Store) -> None:
    loads = {}
    for size in (10, 100):
        for number in range(size):
            kept.write(work(Record(f"{size + number:032d}", started_ns=10**12 * (number + 1)), "Oslo").made)
        kept.write(work(Record("a" * 32), "Lisbon in spring").made)
        run = Runs(counting := Counting(kept)).get("a" * 32)
        counting.loaded = 0
        assert run.orphans == ()
        loads[size] = counting.loaded

    assert loads == {10: 0, 100: 0}


class Counting:
    """A store that counts the chains that are loaded from it."""

    def __init__(self, store: Store) -> None:
        self._store, self.loaded = store, 0

    def load(self, chain_id: str, ids: Any = None) -> Any:
        self.loaded += 1
        return self._store.load(chain_id, ids)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def test_a_run_of_a_store_that_knows_one_chain_alone_has_orphans_of_its_own_chain(kept: Store) -> None:
    record = Record()
    with record.step("workflow", "team", received="q", produced="a") as team:
        pass
    record.did("tool", "late", "q", "nothing")
    record.made[-1].parent_id = "f" * 16
    assert team

    (orphan,) = Run(record.chain_id, record.steps()).orphans
    assert (orphan.how, orphan.step.name) == ("dangling", "late")


def test_a_joined_run_of_another_process_is_in_causal_order(kept: Store) -> None:
    brought = "The hotel in Lisbon costs 1,250 dollars."
    run = work(Record("a" * 32), "Lisbon in spring", says=f"I found: {brought}")
    lost = stray("Lisbon in spring", brought)
    lost.made[0].seq = 1  # its clock was never told of ours
    for step in run.made:
        step.seq += 50
    joined = runs_of(kept, run, lost).get("a" * 32).joined()

    found = next(step for step in joined.steps if step.name == "prices")
    assert [step.name for step in joined.steps] == ["team", "researcher", "prices"]
    assert joined.graph.happens_before(found, joined.steps[0]) is False
    assert found in joined.why().steps
    assert {edge.grade for edge in joined.graph.in_edges(found)} <= {"matched", "observed"}
