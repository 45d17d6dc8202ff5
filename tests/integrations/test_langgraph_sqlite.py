"""LangGraph: runs that are taken up in later processes, with the saver that keeps its checkpoints in SQLite."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from tests.conftest import Recording
from tests.integrations.kinds import Kinds

pytest.importorskip("langgraph.checkpoint.sqlite", reason="langgraph-checkpoint-sqlite is not installed")

PHASE = """
    import asyncio, operator, sys
    from typing import Annotated
    from typing_extensions import TypedDict
    from langgraph.checkpoint.sqlite import SqliteSaver
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
    from langgraph.graph import START, StateGraph
    from langgraph.types import Command, Send, interrupt
    import becausal

    class State(TypedDict, total=False):
        items: list[str]
        item: str
        log: Annotated[list[str], operator.add]

    def plan(state): return {"items": ["x", "y"]}
    def fan(state): return [Send("work", {"item": item}) for item in state["items"]]
    def work(state): return {"log": [state["item"]]}
    def ask(state): return {"log": [interrupt("well?")]}
    def last(state): return {"log": ["last"]}

    mode, phase, store, database = sys.argv[1:]
    graph = StateGraph(State)
    for node in (plan, work, ask, last):
        graph.add_node(node.__name__, node)
    graph.add_edge(START, "plan")
    graph.add_conditional_edges("plan", fan, ["work"])
    graph.add_edge("work", "ask")
    graph.add_edge("ask", "last")

    given = {"begin": {"log": []}, "go on": None, "answer": Command(resume="yes")}[phase]
    thread = {"configurable": {"thread_id": "1"}}
    becausal.instrument(store=store)

    async def ainvoke():
        async with AsyncSqliteSaver.from_conn_string(database) as saver:
            app = graph.compile(checkpointer=saver, interrupt_before=["work"])
            return await app.ainvoke(given, thread)

    if mode == "async":
        result = asyncio.run(ainvoke())
    else:
        with SqliteSaver.from_conn_string(database) as saver:
            result = graph.compile(checkpointer=saver, interrupt_before=["work"]).invoke(given, thread)
    becausal.uninstrument()
    if phase == "answer":
        assert result["log"] == ["x", "y", "yes", "last"]
"""


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_run_that_three_processes_carry_on_is_one_chain_with_its_handoffs(
    store: str, tmp_path: Path, mode: str
) -> None:
    for phase in ("begin", "go on", "answer"):
        arguments = [mode, phase, store, str(tmp_path / "checkpoints.db")]
        command = [sys.executable, "-c", textwrap.dedent(PHASE), *arguments]
        subprocess.run(command, check=True, cwd=Path(__file__).parents[2], timeout=60)

    run = Kinds(Recording(store).last())
    first, second, third = run.all("workflow")
    assert [step.status for step in (first, second, third)] == ["interrupted", "interrupted", "ok"]
    assert run.causes(second, "resume") == [first]
    assert run.causes(third, "resume") == [second]
    for work in run.all("agent", "work"):
        assert run.senders(work) == [run.one("agent", "plan")]
    asked, answered = run.all("agent", "ask")
    assert run.senders(asked) == run.all("agent", "work")
    assert run.causes(answered, "resume") == [asked]
    assert run.senders(run.one("agent", "last")) == [answered]
    assert run.one("agent", "last").hop == 3
