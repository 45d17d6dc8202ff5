"""LangGraph: a run that goes on from a checkpoint knows whose it is, in this process or a later one."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt
from tests.conftest import Recording
from tests.integrations.fakes_langchain import State, chain_of
from tests.integrations.kinds import Kinds

import becausal
from becausal.payload import Payload
from becausal.recorder import Recorder

INPUT: Any = {"question": "how many?", "log": []}
THREAD: Any = {"configurable": {"thread_id": "1"}}


def planner(_: State) -> dict[str, Any]:
    return {"findings": "42", "log": ["planner"]}


def ask(_: State) -> dict[str, Any]:
    return {"findings": interrupt({"question": "which?"})}


def researcher(_: State) -> dict[str, Any]:
    return {"log": ["researcher"]}


def writer(state: State) -> dict[str, Any]:
    return {"draft": f"it is {state['findings']}"}


def value(payload: Payload | None) -> Any:
    assert payload is not None
    return payload.value()


async def run(app: Any, given: Any, *, is_async: bool = False, **options: Any) -> Any:
    if is_async:
        return await app.ainvoke(given, THREAD, **options)
    return app.invoke(given, THREAD, **options)


# Interrupts


@pytest.mark.parametrize("is_async", [False, True])
async def test_an_interrupted_step_produced_what_it_asks_and_the_resumed_one_goes_on_from_it(
    recording: Recording, is_async: bool
) -> None:
    app = chain_of(planner, ask, writer, checkpointer=InMemorySaver())
    await run(app, INPUT, is_async=is_async)
    await run(app, Command(resume="this one"), is_async=is_async)

    told = Kinds(recording.last())
    asked, answered = told.all("agent", "ask")
    assert asked.status == "interrupted"
    assert value(asked.produced) == {"question": "which?"}
    assert value(answered.produced) == {"findings": "this one"}
    assert told.causes(answered, "resume") == [asked]
    assert (asked.hop, answered.hop, told.one("agent", "writer").hop) == (1, 1, 2)
    first, second = told.all("workflow")
    assert told.causes(second, "resume") == [first]
    assert value(second.received)["resume"] == "this one"
    assert isinstance(second.attributes["langgraph.checkpoint.id"], str)
    assert "langgraph.checkpoint.id" not in first.attributes


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_every_durability_resumes_in_the_same_chain(recording: Recording, durability: str) -> None:
    app = chain_of(planner, ask, writer, checkpointer=InMemorySaver())
    app.invoke(INPUT, THREAD, durability=durability)
    app.invoke(Command(resume="x"), THREAD, durability=durability)

    told = Kinds(recording.last())
    first, second = told.all("workflow")
    assert told.causes(second, "resume") == [first]
    assert [step.name for step in told.senders(told.one("agent", "writer"))] == ["ask"]
    assert "planner" not in {step.name for step in told.causes(told.one("agent", "writer"), "transfer")}


def test_a_breakpoint_after_a_node_forgets_nothing_that_the_node_wrote(recording: Recording) -> None:
    app = chain_of(planner, writer, checkpointer=InMemorySaver(), interrupt_after=["planner"])
    app.invoke(INPUT, THREAD)
    app.invoke(None, THREAD)

    told = Kinds(recording.last())
    assert [step.status for step in told.all("workflow")] == ["interrupted", "ok"]
    assert told.senders(told.one("agent", "writer")) == [told.one("agent", "planner")]


def test_two_resumptions_of_one_checkpoint_are_told_apart(recording: Recording) -> None:
    answers: list[Any] = []

    def ask(_: State) -> dict[str, Any]:
        answers.append(interrupt("which?"))
        return {"findings": answers[-1], **({"question": "rewritten"} if len(answers) == 1 else {})}

    app = chain_of(planner, ask, researcher, writer, checkpointer=InMemorySaver())
    app.invoke(INPUT, THREAD)
    stopped = app.get_state(THREAD).config
    app.invoke(Command(resume="one"), stopped)
    app.invoke(Command(resume="two"), stopped)

    told = Kinds(recording.last())
    assert len(told.all("workflow")) == 3
    asked, *answered = told.all("agent", "ask")
    assert [told.causes(step, "resume") for step in answered] == [[asked], [asked]]
    assert [told.senders(step) for step in told.all("agent", "researcher")] == [[step] for step in answered]
    first, second = told.all("agent", "writer")
    assert answered[0] in told.causes(first, "data")
    assert answered[0] not in told.causes(second, "data")


def test_a_run_that_failed_is_gone_on_with_and_its_failed_node_tries_again(recording: Recording) -> None:
    tries: list[int] = []

    def flaky(_: State) -> dict[str, Any]:
        tries.append(1)
        if len(tries) < 2:
            raise ValueError("not yet")
        return {"draft": "done"}

    app = chain_of(planner, flaky, checkpointer=InMemorySaver())
    with pytest.raises(ValueError, match="not yet"):
        app.invoke(INPUT, THREAD)
    app.invoke(None, THREAD)

    told = Kinds(recording.last())
    first, second = told.all("agent", "flaky")
    assert [first.status, second.status] == ["error", "ok"]
    assert told.causes(second, "resume") == [first]
    assert len(told.all("agent", "planner")) == 1


def test_a_persistent_subgraph_goes_on_where_it_was(recording: Recording) -> None:
    inner = chain_of(ask, writer, checkpointer=True, name="inner")

    def call(state: State) -> Any:
        return {"draft": inner.invoke(state)["draft"]}

    app = chain_of(call, checkpointer=InMemorySaver(), name="outer")
    app.invoke(INPUT, THREAD)
    result = app.invoke(Command(resume="this"), THREAD)

    assert result["draft"] == "it is this"
    told = Kinds(recording.last())
    for kind, name in (("workflow", "outer"), ("agent", "call"), ("workflow", "inner"), ("agent", "ask")):
        first, second = told.all(kind, name)
        assert told.causes(second, "resume") == [first]
    assert told.all("workflow", "inner")[1].parent_id == told.all("agent", "call")[1].id


# Other ways to go on


def test_a_new_request_on_a_thread_is_a_chain_of_its_own_that_remembers_the_last(
    recording: Recording,
) -> None:
    app = chain_of(planner, checkpointer=InMemorySaver())
    app.invoke(INPUT, THREAD)
    app.invoke(INPUT, THREAD)

    second, first = map(Kinds, recording.runs())
    (cause,) = second.one("workflow").causes
    assert (cause.source_id, cause.kind, cause.grade) == (first.one("workflow").id, "memory", "observed")
    assert cause.evidence == f"checkpoint {second.one('workflow').attributes['langgraph.checkpoint.id']}"


def test_a_run_from_an_old_checkpoint_says_from_which_and_who_wrote_it(recording: Recording) -> None:
    app = chain_of(planner, writer, checkpointer=InMemorySaver())
    app.invoke(INPUT, THREAD)
    old = next(state for state in app.get_state_history(THREAD) if state.next == ("writer",))
    app.invoke(None, old.config)

    told = Kinds(recording.last())
    first, second = told.all("workflow")
    assert second.attributes["langgraph.checkpoint.id"] == old.config["configurable"]["checkpoint_id"]
    assert told.causes(second, "resume") == [first]
    assert [step.name for step in told.all("agent")] == ["planner", "writer", "writer"]


def test_what_somebody_writes_into_a_thread_s_state_is_a_write_to_memory_that_its_readers_read(
    recording: Recording,
) -> None:
    app = chain_of(planner, writer, checkpointer=InMemorySaver(), interrupt_before=["writer"])
    app.invoke(INPUT, THREAD)
    app.update_state(THREAD, {"findings": "43"})
    assert app.invoke(None, THREAD)["draft"] == "it is 43"

    told = Kinds(recording.last())
    edit, (first, second) = told.one("memory_write", "update_state"), told.all("workflow")
    assert value(edit.received) == {"findings": "43"}
    assert told.causes(edit, "memory") == [first]
    assert told.causes(second, "resume") == [edit]
    reader = told.one("agent", "writer")
    assert told.causes(reader, "memory") == [edit]
    assert told.senders(reader) == [told.one("agent", "planner")]


def test_an_edit_of_a_subgraph_s_state_is_told_once(recording: Recording) -> None:
    inner = chain_of(ask, writer, name="inner")
    graph: Any = StateGraph(State)
    graph.add_node("sub", inner)
    graph.add_edge(START, "sub")
    app = graph.compile(checkpointer=InMemorySaver(), name="outer")
    app.invoke(INPUT, THREAD)
    (task,) = app.get_state(THREAD, subgraphs=True).tasks
    app.update_state(task.state.config, {"question": "how few?"})
    app.invoke(Command(resume="this"), THREAD)

    told = Kinds(recording.last())
    edit = told.one("memory_write", "update_state")
    assert value(edit.received) == {"question": "how few?"}
    assert told.causes(told.all("workflow", "inner")[1], "resume") == [edit]


# A later process

LATER = """
    import pickle, sys
    import becausal
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.types import Command
    from tests.integrations import test_langgraph_resume as here
    from tests.integrations.fakes_langchain import chain_of

    becausal.instrument(store=sys.argv[1])
    saver = here.restored(sys.argv[2])
    given = Command(resume="later") if sys.argv[3] == "dynamic" else here.INPUT if sys.argv[3] == "turn" else None
    app = here.app_of(sys.argv[3], saver)
    app.invoke(given, here.THREAD)
    assert becausal.flush()
"""


def app_of(how: str, saver: InMemorySaver) -> Any:
    if how == "dynamic":
        return chain_of(planner, ask, writer, checkpointer=saver)
    return chain_of(
        planner, writer, checkpointer=saver, interrupt_before=["writer"] if how == "static" else []
    )


def kept(saver: InMemorySaver, path: Path) -> str:
    """Write a saver's checkpoints to disk, as a database would."""
    storage = {
        thread: {name: dict(found) for name, found in by_name.items()}
        for thread, by_name in saver.storage.items()
    }
    path.write_bytes(pickle.dumps((storage, dict(saver.writes), dict(saver.blobs))))
    return str(path)


def restored(path: str) -> InMemorySaver:
    saver = InMemorySaver()
    storage, writes, blobs = pickle.loads(Path(path).read_bytes())
    for thread, by_name in storage.items():
        for name, found in by_name.items():
            saver.storage[thread][name].update(found)
    saver.writes.update(writes)
    saver.blobs.update(blobs)
    return saver


def go_on_in_a_later_process(how: str, store: str, tmp_path: Path) -> None:
    saver = InMemorySaver()
    becausal.instrument(store=store)
    app_of(how, saver).invoke(INPUT, THREAD)
    becausal.uninstrument()
    command = [sys.executable, "-c", textwrap.dedent(LATER), store, kept(saver, tmp_path / "saver"), how]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2], timeout=60)


def test_a_run_interrupted_in_one_process_and_resumed_in_another_is_one_chain(
    store: str, tmp_path: Path
) -> None:
    go_on_in_a_later_process("dynamic", store, tmp_path)

    told = Kinds(Recording(store).last())
    first, second = told.all("workflow")
    assert [first.status, second.status] == ["interrupted", "ok"]
    assert told.causes(second, "resume") == [first]
    asked, answered = told.all("agent", "ask")
    assert told.causes(answered, "resume") == [asked]
    assert value(asked.produced) == {"question": "which?"}
    assert (answered.hop, told.one("agent", "writer").hop) == (1, 2)
    assert "planner" in {step.name for step in told.causes(told.one("agent", "writer"), "data")}


def test_a_breakpoint_in_one_process_is_a_handoff_into_another(store: str, tmp_path: Path) -> None:
    go_on_in_a_later_process("static", store, tmp_path)

    told = Kinds(Recording(store).last())
    reader = told.one("agent", "writer")
    assert told.senders(reader) == [told.one("agent", "planner")]
    assert (told.one("agent", "planner").hop, reader.hop) == (0, 1)


def test_a_new_request_in_a_later_process_remembers_the_run_before(store: str, tmp_path: Path) -> None:
    go_on_in_a_later_process("turn", store, tmp_path)

    second, first = map(Kinds, Recording(store).runs())
    (cause,) = second.one("workflow").causes
    assert (cause.source_id, cause.kind) == (first.one("workflow").id, "memory")


def test_a_thread_that_is_new_asks_the_store_nothing(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(Recorder, "anchored", lambda _, name: asked.append(name))
    app = chain_of(planner, ask, checkpointer=InMemorySaver())
    app.invoke(INPUT, THREAD)
    app.invoke(Command(resume="x"), THREAD)
    app.invoke(INPUT, THREAD)
    chain_of(planner).invoke(INPUT)

    assert asked == []


@pytest.mark.skipif(
    "error_handler" not in inspect.signature(StateGraph.add_node).parameters,
    reason="error handlers came with langgraph 1.2",
)
def test_a_node_that_is_tried_again_and_then_handled_is_told_with_all_of_it(recording: Recording) -> None:
    from langgraph.types import RetryPolicy

    def bad(_: State) -> dict[str, Any]:
        raise ValueError("bad")

    def mend(_: State) -> dict[str, Any]:
        return {"draft": "mended"}

    graph: Any = StateGraph(State)
    policy = RetryPolicy(initial_interval=0, jitter=False, retry_on=ValueError, max_attempts=2)
    graph.add_node("bad", bad, retry_policy=policy, error_handler=mend)
    graph.add_edge(START, "bad")
    graph.compile().invoke(INPUT)

    told = Kinds(recording.last())
    first, second = told.all("agent", "bad")
    (handler,) = (step for step in told.all("agent") if step.name != "bad")
    assert told.causes(second, "retry") == [first]
    assert told.causes(handler, "route") == [second]
