"""Runs in which something fails: retries, handlers, timeouts, exceptions, caches that spare the work."""

from __future__ import annotations

import asyncio
from typing import Any

from langgraph.cache.memory import InMemoryCache
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint
from langgraph.graph import START, StateGraph
from langgraph.types import CachePolicy, RetryPolicy
from tests.integrations.graphs.case import Case, line_of, tasked
from tests.integrations.graphs.wiring import ASKED, State, plan, write
from tests.integrations.having import HAS_ERROR_HANDLERS, HAS_TIMEOUTS

__all__ = ["CASES"]

AT_ONCE = RetryPolicy(initial_interval=0, jitter=False, max_attempts=3, retry_on=ValueError)


def one(node: Any, **options: Any) -> Any:
    graph: Any = StateGraph(State)
    graph.add_node("node", node, **options)
    graph.add_node(write)
    graph.add_edge(START, "node")
    graph.add_edge("node", "write")
    return graph.compile(checkpointer=InMemorySaver(), cache=InMemoryCache())


def failing() -> Any:
    def bad(_: State) -> dict[str, Any]:
        raise KeyError("no such thing")

    return line_of(State, plan, bad, write)


def failing_beside_another() -> Any:
    # The other never ends: else it is a race whether its write is still saved.
    async def bad(_: State) -> dict[str, Any]:
        raise KeyError("no such thing")

    async def good(_: State) -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    graph: Any = StateGraph(State)
    graph.add_node(bad)
    graph.add_node("research", good)
    graph.add_edge(START, "bad")
    graph.add_edge(START, "research")
    return graph.compile(checkpointer=InMemorySaver())


def failing_with_a_cause() -> Any:
    def bad(_: State) -> dict[str, Any]:
        try:
            raise ValueError("below")
        except ValueError as below:
            raise RuntimeError("above", {"code": 7}) from below

    return line_of(State, bad)


def retried() -> Any:
    tries: list[int] = []

    def flaky(_: State) -> dict[str, Any]:
        tries.append(1)
        if len(tries) < 3:
            raise ValueError("not yet")
        return {"findings": "in the end"}

    return one(flaky, retry_policy=AT_ONCE)


def retried_in_vain() -> Any:
    def never(_: State) -> dict[str, Any]:
        raise ValueError("never")

    return one(never, retry_policy=AT_ONCE)


def handled() -> Any:
    def bad(_: State) -> dict[str, Any]:
        raise RuntimeError("bad")

    def mend(_: State) -> dict[str, Any]:
        return {"findings": "mended"}

    return one(bad, error_handler=mend)


def in_time() -> Any:
    async def quick(_: State) -> dict[str, Any]:
        return {"findings": "in time"}

    return one(quick, timeout=60.0)


def out_of_time() -> Any:
    async def slow(_: State) -> dict[str, Any]:
        await asyncio.Event().wait()  # for ever
        return {}

    return one(slow, timeout=0.1)  # long enough for what is told before, on a machine that stalls


def cached() -> Any:
    return one(plan, cache_policy=CachePolicy())


def cached_task() -> Any:
    def twice(number: int) -> int:
        return 2 * number

    double: Any = tasked(cache_policy=CachePolicy(), retry_policy=AT_ONCE)(twice)

    @entrypoint(checkpointer=InMemorySaver(), cache=InMemoryCache())
    def flow(number: int) -> Any:
        return double(number).result() + double(number + 1).result()

    return flow


def wrong_update() -> Any:
    def wrong(_: State) -> Any:
        return "no update at all"

    return line_of(State, wrong)


def two_writers_of_one_value() -> Any:
    graph: Any = StateGraph(State)
    graph.add_node("one", lambda _: {"findings": "1"})
    graph.add_node("two", lambda _: {"findings": "2"})  # in one superstep: an InvalidUpdateError
    graph.add_edge(START, "one")
    graph.add_edge(START, "two")
    return graph.compile(checkpointer=InMemorySaver())


CASES = (
    Case("a node that fails", failing, (ASKED, None), raises="KeyError"),
    Case(
        "a node that fails beside another", failing_beside_another, (ASKED,), is_async=True, raises="KeyError"
    ),
    Case("a failure with a cause", failing_with_a_cause, (ASKED,), raises="RuntimeError"),
    Case("a retry that succeeds", retried, (ASKED,), is_stateful=True),
    Case("retries in vain", retried_in_vain, (ASKED,), raises="ValueError"),
    Case("an error handler", handled, (ASKED,), needs=HAS_ERROR_HANDLERS),
    Case("a node in time", in_time, (ASKED,), is_async=True, needs=HAS_TIMEOUTS),
    Case(
        "a node out of time",
        out_of_time,
        (ASKED,),
        is_async=True,
        is_parallel=True,
        needs=HAS_TIMEOUTS,
        raises="NodeTimeoutError",
    ),
    Case("a cached node", cached, (ASKED, ASKED), is_stateful=True),
    Case("a cached task", cached_task, (3, 3), is_parallel=True, is_stateful=True),
    Case("an update of the wrong sort", wrong_update, (ASKED,), raises="InvalidUpdateError"),
    Case(
        "two writers of one value",
        two_writers_of_one_value,
        (ASKED,),
        is_parallel=True,
        raises="InvalidUpdateError",
    ),
    Case("an input that says nothing", lambda: line_of(State, plan), ({},), raises="KeyError"),
)
