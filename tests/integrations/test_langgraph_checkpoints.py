"""Checkpoints: a run tells which ones it saved, a reader of a thread's state is led back to the run that saved it."""

from __future__ import annotations

import gc
import random
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from tests.conftest import Recording
from tests.integrations.fakes_langchain import State, chain_of
from tests.integrations.kinds import Kinds

import becausal
from becausal.step import Step

INPUT: Any = {"question": "how large?", "log": []}
HOW = ["invoke", "ainvoke"]
DURABILITY = ["sync", "async", "exit"]


def on(thread: str) -> Any:
    return {"configurable": {"thread_id": thread}}


def researcher(state: State) -> dict[str, Any]:
    return {"findings": f"{state['question']} 20 million", "log": ["found"]}


def writer(state: State) -> dict[str, Any]:
    return {"draft": state["findings"].upper(), "log": ["written"]}


async def called(graph: Any, how: str, *args: Any, **kwargs: Any) -> Any:
    return graph.invoke(*args, **kwargs) if how == "invoke" else await graph.ainvoke(*args, **kwargs)


def told(step: Step) -> list[tuple[str, str, str]]:
    lines = step.attributes["langgraph.checkpoints"]
    assert isinstance(lines, tuple)
    return [(number, source, checkpoint) for number, source, checkpoint in map(str.split, lines)]


def kept(saver: InMemorySaver, config: Any) -> list[tuple[str, str, str]]:
    found = [
        (str(saved.metadata.get("step")), str(saved.metadata.get("source")), saved.checkpoint["id"])
        for saved in saver.list(config)
    ]
    return found[::-1]


# What a run saves


@pytest.mark.parametrize("durability", DURABILITY)
@pytest.mark.parametrize("how", HOW)
async def test_a_run_tells_exactly_the_checkpoints_that_were_saved(
    recording: Recording, how: str, durability: Any
) -> None:
    saver = InMemorySaver()
    graph = chain_of(researcher, writer, checkpointer=saver)
    await called(graph, how, INPUT, on("t1"), durability=durability)

    saved = told(Kinds(recording.last()).one("workflow"))
    assert saved == kept(saver, on("t1"))
    assert len(saved) == (1 if durability == "exit" else 4)


@pytest.mark.parametrize("how", HOW)
async def test_a_later_run_of_a_thread_tells_its_own_alone(recording: Recording, how: str) -> None:
    saver = InMemorySaver()
    graph = chain_of(researcher, checkpointer=saver)
    await called(graph, how, INPUT, on("t1"))
    await called(graph, how, INPUT, on("t1"))

    steps = sorted((step for run in recording.runs() for step in run), key=lambda step: step.seq)
    first, second = Kinds(steps).all("workflow")
    assert told(first) + told(second) == kept(saver, on("t1"))


@pytest.mark.parametrize("how", HOW)
async def test_an_interrupted_run_tells_what_it_saved_until_then(recording: Recording, how: str) -> None:
    saver = InMemorySaver()
    graph = chain_of(researcher, writer, checkpointer=saver, interrupt_before=["writer"])
    await called(graph, how, INPUT, on("t1"))

    workflow = Kinds(recording.last()).one("workflow")
    assert (workflow.status, told(workflow)) == ("interrupted", kept(saver, on("t1")))


def test_a_graph_within_a_graph_tells_its_own(recording: Recording) -> None:
    saver = InMemorySaver()
    inner = StateGraph(State)
    inner.add_node("writer", writer)
    inner.add_edge(START, "writer")
    outer = StateGraph(State)
    outer.add_node("researcher", researcher)
    outer.add_node("inside", inner.compile(checkpointer=True, name="inner"))
    outer.add_edge(START, "researcher")
    outer.add_edge("researcher", "inside")
    outer.compile(checkpointer=saver, name="outer").invoke(INPUT, on("t1"))

    steps = Kinds(recording.last())
    config = {"configurable": {"thread_id": "t1", "checkpoint_ns": "inside"}}
    assert told(steps.one("workflow", "inner")) == kept(saver, config)
    assert len(told(steps.one("workflow", "outer"))) == 4


def test_without_a_checkpointer_nothing_is_told_of_checkpoints(recording: Recording) -> None:
    chain_of(researcher).invoke(INPUT)

    assert "langgraph.checkpoints" not in Kinds(recording.last()).one("workflow").attributes


class Full(InMemorySaver):
    def __init__(self) -> None:
        super().__init__()
        self.trouble = OSError("disk full")

    def put(self, *args: Any, **kwargs: Any) -> Any:
        raise self.trouble

    async def aput(self, *args: Any, **kwargs: Any) -> Any:
        raise self.trouble


@pytest.mark.parametrize("how", HOW)
async def test_a_checkpointer_that_fails_fails_the_run_as_without_us(recording: Recording, how: str) -> None:
    saver = Full()
    with pytest.raises(OSError, match="disk full") as caught:
        await called(chain_of(researcher, checkpointer=saver), how, INPUT, on("t1"))

    assert caught.value is saver.trouble
    assert Kinds(recording.last()).one("workflow").status == "error"


@pytest.mark.parametrize("durability", DURABILITY)
@pytest.mark.parametrize("how", HOW)
async def test_checkpoints_are_the_same_bytes_with_and_without(store: str, how: str, durability: Any) -> None:
    async def run() -> Any:
        random.seed(7)  # of it LangGraph makes the tails of its versions
        saver = InMemorySaver()
        graph = chain_of(researcher, writer, checkpointer=saver)
        result = await called(graph, how, INPUT, on("t1"), durability=durability)
        metadata = [saved for by_id in saver.storage["t1"].values() for _, saved, _ in by_id.values()]
        return (
            result,
            dict(saver.blobs),
            metadata,
            [list(writes.values()) for writes in saver.writes.values()],
        )

    result, blobs, metadata, writes = await run()
    becausal.instrument(store=store)
    try:
        our_result, our_blobs, our_metadata, our_writes = await run()
    finally:
        becausal.uninstrument()

    assert (our_result, our_blobs, our_metadata) == (result, blobs, metadata)
    assert len(our_writes) == len(writes)


def test_a_run_that_is_over_leaves_no_loop_behind(recording: Recording) -> None:
    graph = chain_of(researcher, writer, checkpointer=InMemorySaver())
    graph.invoke(INPUT, on("t1"))
    gc.collect()
    gc.disable()
    try:
        graph.invoke(INPUT, on("t2"))
        left = [thing for thing in gc.get_objects() if type(thing).__name__ == "SyncPregelLoop"]
    finally:
        gc.enable()

    assert left == []


# What is read of a thread


async def read_state(graph: Any, how: str, config: Any) -> Any:
    return graph.get_state(config) if how == "invoke" else await graph.aget_state(config)


@pytest.mark.parametrize("how", HOW)
async def test_who_reads_a_thread_s_state_in_a_chain_read_what_its_run_saved(
    recording: Recording, how: str
) -> None:
    graph = chain_of(researcher, name="other", checkpointer=InMemorySaver())
    with becausal.chain("what does the other thread say?"):
        await called(graph, how, INPUT, on("t1"))
        with becausal.agent("supervisor"):
            snapshot = await read_state(graph, how, on("t1"))

    steps = Kinds(recording.last())
    read = steps.one("memory_read")
    assert (read.name, read.agent, read.parent_id) == (
        "get_state",
        "supervisor",
        steps.one("agent", "supervisor").id,
    )
    assert steps.causes(read, "memory") == [steps.one("workflow", "other")]
    assert read.attributes["langgraph.checkpoint.id"] == snapshot.config["configurable"]["checkpoint_id"]
    assert read.received is not None
    assert read.produced is not None
    assert (read.received.value(), read.produced.value()) == ({"thread_id": "t1"}, snapshot.values)


@pytest.mark.parametrize("how", HOW)
async def test_what_an_earlier_process_saved_is_led_back_too(store: str, how: str) -> None:
    graph = chain_of(researcher, checkpointer=InMemorySaver())
    becausal.instrument(store=store)
    await called(graph, how, INPUT, on("t1"))
    becausal.uninstrument()
    becausal.instrument(store=store)
    try:
        with becausal.chain("later"):
            await read_state(graph, how, on("t1"))
        later, earlier = map(Kinds, Recording(store).runs())
    finally:
        becausal.uninstrument()

    (cause,) = later.one("memory_read").causes
    assert (cause.source_id, cause.kind) == (earlier.one("workflow").id, "memory")


@pytest.mark.parametrize("how", HOW)
async def test_a_new_thread_s_state_is_read_as_nothing(recording: Recording, how: str) -> None:
    with becausal.chain("is there anything?"):
        await read_state(chain_of(researcher, checkpointer=InMemorySaver()), how, on("t1"))

    read = Kinds(recording.last()).one("memory_read")
    assert (read.causes, read.produced) == ((), None)


@pytest.mark.parametrize("how", HOW)
async def test_a_look_at_a_thread_outside_every_chain_is_no_step(recording: Recording, how: str) -> None:
    graph = chain_of(researcher, checkpointer=InMemorySaver())
    await called(graph, how, INPUT, on("t1"))
    snapshot = await read_state(graph, how, on("t1"))

    assert snapshot.values["log"] == ["found"]
    assert Kinds(recording.last()).all("memory_read") == []


@pytest.mark.parametrize("how", HOW)
async def test_a_thread_that_cannot_be_read_fails_as_without_us(recording: Recording, how: str) -> None:
    with becausal.chain("no checkpointer"), pytest.raises(ValueError, match="No checkpointer"):
        await read_state(chain_of(researcher), how, on("t1"))

    assert Kinds(recording.last()).one("memory_read").status == "error"
