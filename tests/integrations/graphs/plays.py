"""Playing a graph in every way that LangGraph offers, in a world without chance, and all that can be seen of it.

A play returns everything that an app or its user could notice: results, every piece of a stream, every event, the app's
own callbacks, exceptions, and the saved bytes of checkpoints and stores.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import copy
import datetime
import itertools
import random
import sys
import types
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from tests.integrations.graphs.case import Case
from tests.integrations.graphs.exact import exact, without_order

__all__ = ["MODES", "done", "ends", "played", "ways_of"]

MODES = ("values", "updates", "messages", "custom", "tasks", "checkpoints", "debug")
ALL_MODES = list(MODES)

Way = Callable[[Any, Any, dict[str, Any], dict[str, Any]], Any]


def streaming(mode: Any) -> Way:
    def way(app: Any, given: Any, config: dict[str, Any], options: dict[str, Any]) -> Iterator[Any]:
        return iter(app.stream(given, config, stream_mode=mode, subgraphs=isinstance(mode, list), **options))

    return way


def astreaming(mode: Any) -> Way:
    def way(app: Any, given: Any, config: dict[str, Any], options: dict[str, Any]) -> Any:
        return app.astream(given, config, stream_mode=mode, subgraphs=isinstance(mode, list), **options)

    return way


def batching(app: Any, given: Any, config: dict[str, Any], options: dict[str, Any]) -> Any:
    other = {**config, "configurable": {"thread_id": "2"}}
    return app.batch([given, given], [config, other], return_exceptions=True, **options)


def abatching(app: Any, given: Any, config: dict[str, Any], options: dict[str, Any]) -> Any:
    other = {**config, "configurable": {"thread_id": "2"}}
    return app.abatch([given, given], [config, other], return_exceptions=True, **options)


WAYS: dict[str, Way] = {
    "invoke": lambda app, given, config, options: app.invoke(given, config, **options),
    "ainvoke": lambda app, given, config, options: app.ainvoke(given, config, **options),
    **{f"stream {mode}": streaming(mode) for mode in MODES},
    **{f"astream {mode}": astreaming(mode) for mode in MODES},
    "stream all, subgraphs": streaming(ALL_MODES),
    "astream all, subgraphs": astreaming(ALL_MODES),
    "astream_events": lambda app, given, config, options: app.astream_events(given, config, version="v2", **options),
    "batch": batching,
    "abatch": abatching,
}  # fmt: skip


def ways_of(case: Case) -> list[str]:
    """Return the ways in which a graph can be played."""
    ways = [way for way in WAYS if way.startswith("a") or not case.is_async]
    return [way for way in ways if "batch" not in way or not case.is_stateful]


def ends(case: Case) -> set[str]:
    """Return the classes of the exceptions that the turns of a conversation end with."""
    with without_chance():
        app, config = case.build(), {**case.config, "configurable": {"thread_id": "1"}}
        with asyncio.Runner() as runner:
            turns = copy.deepcopy(case.turns)
            seen = [runner.run(attempt(WAYS["ainvoke"], app, given, config, case.options)) for given in turns]
    return {type(error).__name__ for _, error in seen if error is not None}


def played(case: Case, way: str, *, is_saved: bool = True) -> Any:
    """Return all that can be seen of one conversation with a new build of a graph; what it saved only if asked."""
    with without_chance():
        app, listener = case.build(), Listener()
        config = {**case.config, "configurable": {"thread_id": "1"}, "callbacks": [listener]}
        with asyncio.Runner() as runner:
            if not case.is_parallel:  # a worker that waits for another needs the other
                runner.get_loop().set_default_executor(concurrent.futures.ThreadPoolExecutor(1))
            seen = [
                runner.run(attempt(WAYS[way], app, given, config, case.options))
                for given in copy.deepcopy(case.turns)  # LangGraph gives ids to messages in place
            ]
        if "batch" in way:  # two runs side by side: what each gave, for what they share is a race
            return without_order(seen)
        told = [*seen, listener.heard, *([saved(app)] if is_saved else [])]
        return without_order(told) if case.is_parallel else exact(told)


def done(app_of: Callable[[], Any], doing: Callable[[Any, dict[str, Any]], Any]) -> Any:
    """Return all that can be seen of something done to a new build of a graph, from outside."""
    with without_chance(), asyncio.Runner() as runner:
        app, thread = app_of(), {"configurable": {"thread_id": "1"}}
        runner.get_loop().set_default_executor(concurrent.futures.ThreadPoolExecutor(1))
        return exact([runner.run(doing(app, thread)), saved(app)])


async def attempt(way: Way, app: Any, given: Any, config: dict[str, Any], options: dict[str, Any]) -> Any:
    """Return what one turn gave: its result or its pieces, and the exception that ended it."""
    pieces: list[Any] = []
    try:
        result = way(app, given, config, options)
        if hasattr(result, "__aiter__"):
            async for piece in result:
                pieces.append(exact(piece))  # noqa: PERF401 - a failure must not lose those before it
        elif hasattr(result, "__next__"):
            for piece in result:
                pieces.append(exact(piece))  # noqa: PERF401
        else:
            pieces.append(await result if asyncio.iscoroutine(result) else result)
    except Exception as error:
        return [pieces, error]
    return [pieces, None]


def saved(app: Any) -> Any:
    """Return the bytes that a graph's saver holds, and the items of its store, by their keys.

    Which of two savings in the background came first is nobody's promise.
    """
    saver, store = app.checkpointer, app.store
    kept = [] if saver is None else [saver.storage, saver.writes, saver.blobs]
    return by_key([*kept, {} if store is None else store._data])


def by_key(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: by_key(value[key]) for key in sorted(value, key=repr)}
    return [by_key(item) for item in value] if isinstance(value, list) else value


class Listener(BaseCallbackHandler):
    """A handler of the app's own: what LangChain tells it, in order."""

    def __init__(self) -> None:
        self.heard: list[Any] = []


def _hearing(event: str) -> Callable[..., None]:
    def hear(self: Listener, *args: Any, **kwargs: Any) -> None:
        told = exact(args) if event == "llm_end" else kwargs.get("name")
        self.heard.append((event, told))

    return hear


for _event in (
    "chain_start", "chain_end", "chain_error", "chat_model_start", "llm_start", "llm_new_token", "llm_end", "llm_error",
    "tool_start", "tool_end", "tool_error", "retriever_start", "retriever_end", "custom_event", "retry",
):  # fmt: skip
    setattr(Listener, f"on_{_event}", _hearing(_event))


# A world without chance

MADE = ("langgraph", "langchain", "langchain_core")
NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)


class Noon(datetime.datetime):
    """A clock that stands still."""

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return NOON


@contextmanager
def without_chance() -> Iterator[None]:
    """Give the frameworks the same ids, times and random numbers each time; becausal has its own."""
    from langgraph.checkpoint.base import id as ids

    numbers = itertools.count(1)
    former_state = random.getstate()
    stands_in = {
        "uuid4": lambda: uuid.UUID(int=next(numbers) | 4 << 76 | 2 << 62),
        "uuid7": lambda *_: uuid.UUID(int=next(numbers) | 7 << 76 | 2 << 62),
        "datetime": Noon,
    }
    put: list[tuple[Any, str, Any]] = [
        (ids, "time", types.SimpleNamespace(time_ns=lambda: 1)),
        (ids, "_last_v6_timestamp", None),
        (uuid, "uuid4", stands_in["uuid4"]),
    ]
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in MADE:
            for attribute, stand_in in stands_in.items():
                former = vars(module).get(attribute)
                if former is datetime.datetime or (callable(former) and attribute.startswith("uuid")):
                    put.append((module, attribute, stand_in))
    formers = [(owner, name, getattr(owner, name)) for owner, name, _ in put]
    random.seed(0)
    for owner, name, value in put:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in formers:
            setattr(owner, name, value)
        random.setstate(former_state)
