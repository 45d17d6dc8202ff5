"""A replay that does not end by itself is ended, and says why."""

from __future__ import annotations

import asyncio
import bdb
import threading
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import becausal
from becausal.replay import apart
from becausal.replay.apart import PATIENCE, Patience, patience_with

calls: list[object] = []
"""What the tools of these tests were really asked."""


@becausal.tool
def quote(item: str) -> float:
    calls.append(item)
    return 2.5


@pytest.fixture(autouse=True)
def recording(tmp_path: Path) -> Iterator[Path]:
    calls.clear()
    becausal.instrument("threads", store=tmp_path / "becausal.db")
    yield tmp_path
    becausal.uninstrument()


async def waits_for_ever(request: str) -> None:
    with becausal.chain(request):
        await asyncio.Event().wait()


def test_a_replay_that_does_not_end_is_stopped_and_told(recording: Path) -> None:
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(waits_for_ever("wait"), 0.01))

    played = becausal.last_run().replay(waits_for_ever, timeout=0.2)

    assert played.divergence is not None
    assert played.divergence.why == "timeout"
    assert "it was given 0.2 seconds" in str(played.divergence)
    assert not played.reproduced


def test_a_replay_whose_thread_is_blocked_is_left_behind_and_runs_no_tool_when_it_wakes_up(
    recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("becausal.replay.apart.GRACE", 0.01)
    wakes_up, ended, is_replay = threading.Event(), threading.Event(), threading.Event()

    def blocks(request: str) -> None:
        with becausal.chain(request):
            if is_replay.is_set():
                wakes_up.wait(30)
            try:
                quote("tea")
            finally:
                ended.set()

    blocks("buy")
    run = becausal.last_run()
    is_replay.set()
    ended.clear()
    calls.clear()

    played = run.replay(blocks, timeout=0.2)
    wakes_up.set()

    assert played.divergence is not None
    assert played.divergence.why == "timeout"
    assert ended.wait(30)
    assert calls == []


def test_an_error_of_the_app_that_its_time_is_up_is_its_own(recording: Path) -> None:
    async def gives_up(request: str) -> None:
        with becausal.chain(request):
            async with asyncio.timeout(0):
                await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        asyncio.run(gives_up("wait"))

    assert becausal.last_run().replay(gives_up, timeout=30).divergence is None


# Nobody said how long it may take


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PATIENCE", "LEFT", "GRACE"):
        monkeypatch.setattr(f"becausal.replay.apart.{name}", 0.05)


async def waits_for_a_task(item: str) -> Any:
    answered = asyncio.get_running_loop().create_future()

    async def ask() -> None:
        answered.set_result(quote("milk" if calls else item))

    with becausal.chain(item):
        asking = asyncio.create_task(ask())
        found = await answered
        await asking
        return found


def test_an_app_that_waits_for_what_was_refused_ends_with_the_divergence(
    impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PATIENCE", "GRACE"):  # it ends by itself once it is cancelled, however slow the machine is
        monkeypatch.setattr(f"becausal.replay.apart.{name}", 60.0)
    asyncio.run(waits_for_a_task("tea"))  # and from now on it asks for milk

    played = becausal.last_run().replay(waits_for_a_task)

    assert played.divergence is not None
    assert (played.divergence.why, played.divergence.name) == ("unknown", "quote")
    assert str(played.outcomes[-1].error) == str(played.divergence)
    assert calls == ["tea"]


@pytest.mark.parametrize("is_async", [True, False])
def test_an_app_that_waits_for_what_is_not_in_the_record_ends_and_says_so(
    impatient: None, is_async: bool
) -> None:
    comes, is_replay = threading.Event(), threading.Event()

    async def listens(item: str) -> None:
        with becausal.chain(item):
            quote(item)
            if is_replay.is_set():
                await asyncio.get_running_loop().create_future()

    def blocks(item: str) -> None:
        with becausal.chain(item):
            quote(item)
            if is_replay.is_set():
                comes.wait(30)

    if is_async:
        asyncio.run(listens("tea"))
    else:
        blocks("tea")
    is_replay.set()

    played = becausal.last_run().replay(listens if is_async else blocks)
    comes.set()

    assert played.divergence is not None
    assert played.divergence.why == "timeout"
    assert "it waits for what is not in the record" in str(played.divergence)
    assert "timeout=" in str(played.divergence)


def test_an_app_whose_code_somebody_goes_through_may_stand_still(
    impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on, is_replay, looks = threading.Event(), threading.Event(), list[bool]()
    is_looked_at = apart._is_looked_at

    def looked_at(thread: threading.Thread) -> bool:
        looks.append(is_looked_at(thread))
        if len(looks) == 3:
            goes_on.set()
        return looks[-1]

    monkeypatch.setattr(apart, "_is_looked_at", looked_at)

    def stands() -> None:
        goes_on.wait(30)

    in_debugger = types.FunctionType(stands.__code__, {"__name__": "pdb"}, closure=stands.__closure__)

    def blocks(item: str) -> str:
        with becausal.chain(item) as turn:
            if is_replay.is_set():
                in_debugger()
            turn.returned(item)
            return item

    blocks("tea")
    is_replay.set()

    assert becausal.last_run().replay(blocks).reproduced
    assert looks == [True, True, True]


@pytest.mark.parametrize("is_debugger", [True, False])
def test_of_what_traces_code_a_debugger_alone_may_stand_still(is_debugger: bool) -> None:
    is_traced, may_end = threading.Event(), threading.Event()
    debugger = bdb.Bdb()
    debugger.reset()

    def measures(*_: object) -> Callable[..., Any]:
        return measures

    def works() -> None:
        is_traced.set()
        may_end.wait(30)

    former = threading.gettrace()
    threading.settrace(debugger.trace_dispatch if is_debugger else measures)
    thread = threading.Thread(target=works)
    try:
        thread.start()
        is_traced.wait(30)

        assert apart._is_looked_at(thread) is is_debugger
    finally:
        threading.settrace(former)
        may_end.set()
        thread.join()


def test_what_may_run_live_takes_the_time_that_it_takes() -> None:
    with becausal.chain("buy"):
        quote("tea")
    steps = becausal.last_run().steps

    assert patience_with(steps, 7.0, is_live=False) == Patience(7.0, None)
    assert patience_with(steps, None, is_live=True) == Patience(None, None)
    bound = patience_with(steps, None, is_live=False)
    assert bound.whole is None
    assert bound.silence is not None
    assert PATIENCE < bound.silence < PATIENCE + 60
    assert patience_with((), None, is_live=False) == Patience(None, PATIENCE)
