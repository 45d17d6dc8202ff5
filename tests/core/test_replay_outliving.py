"""What a replayed app leaves running when it returns: it is waited for, and then refused whatever it asks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import becausal
from becausal.instrument import active_recorder
from becausal.replay import DivergenceError
from becausal.replay.outliving import Threads

calls: list[str] = []
"""What the tool of these tests was really asked."""

asks = threading.Event()
"""Set once the threads that were left behind may go on."""

begun = threading.Event()
left: list[threading.Thread] = []
refused: list[BaseException] = []


@becausal.tool
def quote(item: str) -> float:
    calls.append(item)
    return 2.5


def shop(item: str) -> float:
    with becausal.chain(item) as turn:
        price = quote(item)
        turn.returned(price)
        return price


@pytest.fixture(autouse=True)
def recording(tmp_path: Path) -> Iterator[None]:
    becausal.instrument("threads", store=tmp_path / "becausal.db")
    yield
    asks.set()
    for thread in left:
        thread.join(30)
    becausal.uninstrument()
    asks.clear()
    begun.clear()
    for kept in (calls, left, refused):
        kept.clear()


def late(item: str, *, has_begun: bool = False) -> None:
    """Start a thread that asks the tool twice, once it may."""

    def asking() -> None:
        asks.wait(30)
        for _ in range(2):
            try:
                quote(item)
            except BaseException as refusal:
                refused.append(refusal)

    def work() -> None:
        if has_begun:
            with becausal.chain(item):
                begun.set()
                asking()
        else:
            asking()

    thread = threading.Thread(target=work)
    thread.start()
    left.append(thread)
    if has_begun:
        begun.wait(30)


def test_what_a_thread_asks_that_nobody_waits_for_is_answered() -> None:
    def app(item: str) -> None:
        with becausal.chain(item):
            thread = threading.Thread(target=lambda: (asks.wait(30), quote(item)))
            thread.start()
            left.append(thread)

    asks.set()
    app("tea")
    left[-1].join()
    asks.clear()

    def goes_on_at_the_end(of: str) -> None:
        app(of)
        threading.Timer(0, asks.set).start()

    replay = becausal.last_run().replay(goes_on_at_the_end)

    assert replay.divergence is None
    assert [step.name for step in replay.run.steps if step.kind == "tool"] == ["quote"]
    assert calls == ["tea"]


@pytest.mark.parametrize("has_begun", [True, False])
def test_what_a_thread_asks_once_its_replay_has_ended_is_refused(
    monkeypatch: pytest.MonkeyPatch, has_begun: bool
) -> None:
    monkeypatch.setattr("becausal.replay.apart.GRACE", 0.0)

    def app(item: str) -> float:
        late(item, has_begun=has_begun)
        return shop(item)

    shop("tea")

    replay = becausal.last_run().replay(app, live="quote")
    calls.clear()
    asks.set()
    left[-1].join(30)

    assert replay.divergence is None
    assert calls == []
    assert len(refused) == 2
    assert all("the replay had ended" in str(one) for one in refused)
    recorder = active_recorder()
    assert recorder is not None
    assert recorder.replaying is None  # the thread has ended


def test_a_thread_that_has_nothing_to_do_with_a_replay_does_not_hold_it_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("becausal.replay.apart.GRACE", 3_000.0)

    def beats(item: str) -> None:
        with becausal.chain(item):
            left.append(threading.Thread(target=asks.wait, args=(20,)))
            left[-1].start()

    shop("tea")

    replay = becausal.last_run().replay(beats)

    assert not replay.reproduced  # it has fewer steps
    assert left[-1].is_alive()


def test_a_thread_that_a_step_began_in_is_waited_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("becausal.replay.outliving.SHORTLY_S", 0.0)

    def app(item: str) -> None:
        late(item, has_begun=True)
        threading.Timer(0.1, asks.set).start()

    asks.set()
    app("tea")
    left[-1].join()
    asks.clear()
    begun.clear()

    replay = becausal.last_run().replay(app)

    assert replay.reproduced
    assert refused == []


def test_work_that_is_done_within_other_work_of_one_thread_leaves_that_as_it_was() -> None:
    threads = Threads(3)
    outer, inner = (threads.carried(AssertionError) for _ in range(2))

    def working() -> bool:
        inner(threads.begun)
        is_at_work = threads.is_at_work
        threads.begun()
        return is_at_work

    assert outer(working)
    assert not threads.is_at_work
    assert threads.here == {}


def test_what_a_pool_begins_once_the_replay_has_ended_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("becausal.replay.apart.GRACE", 0.0)
    with ThreadPoolExecutor(1) as pool:
        waits: list[Future[Any]] = []

        def app(item: str) -> float:
            waits.append(pool.submit(asks.wait, 30))
            waits.append(pool.submit(shop, item))
            return shop(item)

        shop("tea")
        becausal.last_run().replay(app)
        calls.clear()
        asks.set()

        assert isinstance(waits[1].exception(30), DivergenceError)
        assert calls == []
        assert pool.submit(shop, "milk").result() == 2.5  # and others are served


def test_work_that_was_called_off_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ends: list[float] = []
    monkeypatch.setattr("becausal.replay.apart.GRACE", 3_000.0)
    with ThreadPoolExecutor(1) as pool:

        def app(item: str) -> float:
            blocks = pool.submit(asks.wait, 30)
            pool.submit(shop, item).cancel()
            asks.set()
            blocks.result()
            return shop(item)

        shop("tea")
        ends.append(time.monotonic())

        assert becausal.last_run().replay(app).reproduced
        assert time.monotonic() - ends[0] < 300


def replayed_beside_a_thread(monkeypatch: pytest.MonkeyPatch) -> Callable[[], object]:
    """Replay an app that leaves a thread behind, in a process that records nothing; return what does so again."""
    monkeypatch.setattr("becausal.replay.apart.GRACE", 0.0)
    shop("tea")
    run = becausal.last_run()
    becausal.uninstrument()

    def app(item: str) -> float:
        late(item, has_begun=True)
        return shop(item)

    run.replay(app)
    return lambda: run.replay(app)


def test_where_nothing_else_is_recorded_what_is_left_behind_is_refused_too(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    replayed_beside_a_thread(monkeypatch)
    calls.clear()
    asks.set()
    left[-1].join(30)

    assert calls == []
    assert len(refused) == 2
    assert "becausal.uninstrument()" in caplog.text
    becausal.uninstrument()
    assert quote("tea") == 2.5
    assert calls == ["tea"]


def test_what_stays_for_a_thread_that_was_left_behind_records_nothing_else_and_leaves_with_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    replayed_beside_a_thread(monkeypatch)
    before = run_ids(tmp_path)
    shop("live")
    assert active_recorder() is not None
    asks.set()
    left[-1].join(30)

    assert active_recorder() is None
    assert len(refused) == 2
    assert run_ids(tmp_path) == before


def test_whoever_instruments_takes_the_place_of_what_stays_for_a_thread(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    again = replayed_beside_a_thread(monkeypatch)
    begun.clear()
    again()  # beside what stays
    calls.clear()
    becausal.instrument("threads", store=tmp_path / "mine.db")
    shop("live")
    asks.set()
    for thread in left:
        thread.join(30)

    assert calls == ["live"]
    assert len(refused) == 4
    assert becausal.last_run().steps[0].name == "live"
    recorder = active_recorder()
    assert recorder is not None
    assert recorder.replaying is None


def run_ids(folder: Path) -> list[str]:
    with becausal.open(folder / "becausal.db") as runs:
        return [info.chain_id for info in runs.list(replays=False)]
