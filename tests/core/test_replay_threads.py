"""A replay is in force in every thread that its app starts, whichever frameworks are hooked, and nowhere else."""

from __future__ import annotations

import _thread
import queue
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import becausal
from becausal import context
from becausal.instrument import is_hooked, listen

calls: list[str] = []
"""What the tool of these tests was really asked."""


@becausal.tool
def quote(item: str) -> float:
    calls.append(item)
    return 2.5


@pytest.fixture(autouse=True)
def recording(tmp_path: Path) -> Iterator[None]:
    """No adapter's hooks are in, as where a framework's callbacks tell."""
    calls.clear()
    listen("langchain", store=tmp_path / "becausal.db")
    assert not is_hooked("threads")
    yield
    becausal.uninstrument()


def shop(item: str) -> float:
    with becausal.chain(item) as turn:
        price = quote(item)
        turn.returned(price)
        return price


def pooled(item: str) -> float:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(shop, item).result()


def threaded(item: str) -> float:
    prices: list[float] = []
    thread = threading.Thread(target=lambda: prices.append(shop(item)))
    thread.start()
    thread.join()
    return prices[0]


@pytest.mark.parametrize("app", [pooled, threaded])
def test_no_tool_runs_in_a_thread_of_a_replay(app: object) -> None:
    shop("tea")
    run = becausal.last_run()

    replay = run.replay(app)

    assert replay.reproduced
    assert replay.value == 2.5
    assert calls == ["tea"]
    assert {info.chain_id for info in becausal.open().list()} == {run.chain_id, replay.run.chain_id}


def test_threads_are_as_they_were_once_nothing_is_replayed() -> None:
    start, submit = threading.Thread.start, ThreadPoolExecutor.submit
    during: list[bool] = []

    def app(item: str) -> float:
        during.append(threading.Thread.start is start or ThreadPoolExecutor.submit is submit)
        return shop(item)

    shop("tea")

    becausal.last_run().replay(app)

    assert during == [False]
    assert threading.Thread.start is start
    assert ThreadPoolExecutor.submit is submit


def test_what_others_start_in_threads_meanwhile_is_recorded_as_ever() -> None:
    is_replayed, is_done = threading.Event(), threading.Event()
    found: list[object] = []

    def serves() -> None:
        is_replayed.wait(30)
        with becausal.chain("another request"):
            work = threading.Thread(target=lambda: found.append(context.current()))
            work.start()
            work.join()
            with ThreadPoolExecutor(1) as pool:
                found.append(pool.submit(context.current).result())
        is_done.set()

    def app(item: str) -> float:
        is_replayed.set()
        is_done.wait(30)
        return shop(item)

    shop("tea")
    run = becausal.last_run()
    server = threading.Thread(target=serves)
    server.start()

    assert run.replay(app).reproduced
    server.join()
    assert found == [None, None]


def test_no_tool_runs_in_a_thread_that_has_no_object() -> None:
    def raw(item: str) -> float:
        prices: queue.Queue[float] = queue.Queue()
        _thread.start_new_thread(lambda of: prices.put(shop(of)), (item,))
        return prices.get(timeout=30)

    shop("tea")

    replay = becausal.last_run().replay(raw)

    assert replay.reproduced
    assert calls == ["tea"]


def test_no_tool_runs_in_a_pool_that_was_there_before_the_replay() -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(shop, "tea").result()

        replay = becausal.last_run().replay(lambda item: pool.submit(shop, item).result())

    assert replay.reproduced
    assert calls == ["tea"]


def test_a_raw_thread_that_fails_is_told_under_the_app_s_name(monkeypatch: pytest.MonkeyPatch) -> None:
    told: queue.SimpleQueue[str] = queue.SimpleQueue()
    # In Python 3.13 and later the name stands in the message alone.
    monkeypatch.setattr(sys, "unraisablehook", lambda of: told.put(f"{of.err_msg} {of.object!r}"))

    def worker() -> None:
        raise ValueError("the app's own")

    with becausal.chain("q"):
        _thread.start_new_thread(worker, ())

    assert worker.__qualname__ in told.get(timeout=30)
