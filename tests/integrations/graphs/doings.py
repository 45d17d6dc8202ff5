"""What an app does to a graph's runs from outside: leaves, cancels, looks, edits, goes back in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from tests.integrations.graphs.case import line_of
from tests.integrations.graphs.pausing import THIS, ask
from tests.integrations.graphs.wiring import ASKED, State, plan, research, subgraph_of_the_same_schema, write

__all__ = ["DOINGS"]

Thread = dict[str, Any]


def a_line() -> Any:
    return line_of(State, plan, research, write)


def a_waiting_line() -> Any:
    return line_of(State, plan, ask, write)


def an_endless_node() -> Any:
    started = asyncio.Event()

    async def wait(_: State) -> dict[str, Any]:
        started.set()
        await asyncio.Event().wait()
        return {}

    graph: Any = StateGraph(State)
    graph.add_sequence([plan, wait])
    graph.add_edge(START, "plan")
    app = graph.compile(checkpointer=InMemorySaver())
    app.started = started
    return app


async def leave(app: Any, thread: Thread) -> Any:
    stream = app.stream(ASKED, thread, stream_mode="updates", durability="sync")
    first = next(stream)
    stream.close()
    return [first, next(stream, "over")]


async def aleave(app: Any, thread: Thread) -> Any:
    stream = app.astream(ASKED, thread, stream_mode="updates", durability="sync")
    first = await anext(stream)
    await stream.aclose()
    return [first, await anext(stream, "over")]


async def cancel(app: Any, thread: Thread) -> Any:
    running = asyncio.create_task(app.ainvoke(ASKED, thread, durability="sync"))
    await app.started.wait()
    running.cancel()
    ended: Any = (await asyncio.gather(running, return_exceptions=True))[0]
    return [ended, running.cancelled()]


async def time_out(app: Any, thread: Thread) -> Any:
    try:
        return await asyncio.wait_for(app.ainvoke(ASKED, thread, durability="sync"), 0.05)
    except TimeoutError as late:
        return late


async def look(app: Any, thread: Thread) -> Any:
    app.invoke(ASKED, thread)
    return [app.get_state(thread), await app.aget_state(thread), list(app.get_state_history(thread))]


async def look_inside(app: Any, thread: Thread) -> Any:
    app.invoke(ASKED, thread, interrupt_before=["write"])
    return [app.get_state(thread, subgraphs=True), list(app.get_subgraphs()), app.get_graph().to_json()]


async def edit(app: Any, thread: Thread) -> Any:
    app.invoke(ASKED, thread)
    where = app.update_state(thread, {"findings": "by hand"}, as_node="plan")
    return [where, app.get_state(thread), app.invoke(None, thread)]


async def go_back(app: Any, thread: Thread) -> Any:
    app.invoke(ASKED, thread)
    before = next(state for state in app.get_state_history(thread) if state.next == ("write",))
    return [app.invoke(None, before.config), app.get_state(thread)]


async def answer_twice(app: Any, thread: Thread) -> Any:
    app.invoke(ASKED, thread)
    before = app.get_state(thread).config
    return [app.invoke(THIS, thread), app.invoke(THIS, before), app.get_state(thread)]


DOINGS: dict[str, tuple[Callable[[], Any], Callable[[Any, Thread], Any]]] = {
    "a stream left": (a_line, leave),
    "an async stream left": (a_line, aleave),
    "a run cancelled": (an_endless_node, cancel),
    "a run out of time": (an_endless_node, time_out),
    "a state looked at": (a_line, look),
    "a subgraph looked into": (subgraph_of_the_same_schema, look_inside),
    "a state edited": (a_line, edit),
    "a run from an earlier state": (a_line, go_back),
    "an interrupt answered twice": (a_waiting_line, answer_twice),
}
