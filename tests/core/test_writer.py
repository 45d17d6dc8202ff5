"""What was recorded reaches the store, or is counted as missing; and the app waits for neither."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest
from tests.at_once import at_once
from tests.core.builders import open_step
from tests.core.scripts import python, recorded

from becausal import canonical, writer
from becausal.bell import Bell
from becausal.errors import StoreError
from becausal.payload import Payload
from becausal.step import OpenStep
from becausal.store import open_store
from becausal.writer import Writer


class Memory:
    """A store that can be held up, and can refuse."""

    url = "memory://"

    def __init__(self) -> None:
        self.written: list[OpenStep] = []
        self.batches: list[int] = []
        self.counted: Counter[str] = Counter()
        self.attempts = 0
        self.failures: list[Exception] = []  # raised one after the other
        self.gap_failures: list[Exception] = []
        self.entered, self.go = threading.Event(), threading.Event()
        self.go.set()
        self.is_closed = False

    def write(self, steps: Sequence[OpenStep], *, notes_memory: bool = True) -> None:
        self.attempts += 1
        self.entered.set()
        assert self.go.wait(10)
        if self.failures:
            raise self.failures.pop(0)
        if any(step.name == "poison" for step in steps):
            raise OverflowError("no store takes this")
        self.written += steps
        self.batches.append(len(steps))

    def add_gaps(self, gaps: Mapping[str, int]) -> None:
        if self.gap_failures:
            raise self.gap_failures.pop(0)
        self.counted += Counter(gaps)

    def close(self) -> None:
        self.is_closed = True

    gaps = chains = load = outline = body = anchored = describe = property()
    append = memory_events = memory_reads = broken_link = erase = property()


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "PAUSE_S", 0.0)


@pytest.fixture
def store() -> Iterator[Memory]:
    made = Memory()
    yield made
    made.go.set()


def writing(store: Memory, **bounds: int) -> Writer:
    return Writer(store, **bounds)


def step(name: str = "a", *, body: bytes = b"", digest: bytes = b"digest") -> OpenStep:
    made = open_step(id=os.urandom(8).hex(), name=name)
    made.bodies = [(digest, body)] if body else []
    return made


def held_up(store: Memory, made: Writer) -> None:
    """Put one step, and hold the writer up while it writes it."""
    store.go.clear()
    made.put(step("first"))
    made._hurry.ring()
    assert store.entered.wait(10)


# Bounds


def test_a_body_that_comes_while_its_step_is_written_is_there_for_the_next_time(store: Memory) -> None:
    made = Writer(store)
    late = step("tool")
    late.bodies.append((b"1" * 16, b"early"))
    store.go.clear()
    made.put(late)
    assert store.entered.wait(10)
    late.bodies.append((b"2" * 16, b"late"))
    store.go.set()
    assert made.flush(5)

    assert late.bodies == [(b"2" * 16, b"late")]
    made.put(late)
    assert made.flush(5)
    assert late.bodies == []
    made.close(5)


def test_a_queue_that_is_full_drops_and_counts_exactly(store: Memory) -> None:
    made = writing(store, max_steps=5)
    lost: list[Collection[bytes] | None] = []
    made.on_gap = lost.append
    held_up(store, made)
    for number in range(8):
        made.put(step(str(number)))
    store.go.set()

    assert made.flush(10)
    assert [kept.name for kept in store.written] == ["first", "0", "1", "2", "3", "4"]
    assert made.gaps == store.counted == {"queue full": 3}
    assert lost == []  # what is handed out while nothing fits is lost, too: it is told when something does


def test_what_was_lost_is_told_once_when_a_step_fits_again(store: Memory) -> None:
    made = writing(store, max_steps=2)
    lost: list[Collection[bytes] | None] = []
    made.on_gap = lost.append
    held_up(store, made)
    for number in range(6):
        made.put(step(str(number), body=b"body", digest=bytes([number]) * 16))
    assert lost == []
    store.go.set()
    assert made.flush(10)

    for _ in range(3):
        made.put(step("fits"))

    assert lost == [{bytes([number]) * 16 for number in (2, 3, 4, 5)}]


def test_of_very_many_lost_bodies_all_are_told_as_one(store: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "MOST_LOST", 10)
    made = writing(store, max_steps=1)
    lost: list[Collection[bytes] | None] = []
    made.on_gap = lost.append
    held_up(store, made)
    for number in range(50):
        made.put(step(str(number), body=b"body", digest=bytes([number]) * 16))
    assert len(made._lost) == 11
    store.go.set()
    assert made.flush(10)
    made.put(step("fits"))

    assert lost == [None]


def test_closing_counts_what_a_store_that_hangs_has_not_taken(
    store: Memory, caplog: pytest.LogCaptureFixture
) -> None:
    made = writing(store)
    held_up(store, made)
    for number in range(5):
        made.put(step(str(number)))

    assert not made.close(0.05)

    assert (made.waiting, made.gaps) == (0, {"not written in time": 5})
    assert "gave up 5 steps that memory://" in caplog.text
    thread = made._thread
    assert thread is not None
    store.go.set()
    thread.join(10)
    assert [kept.name for kept in store.written] == ["first"]
    assert store.counted == {"not written in time": 5}


def test_a_queue_that_holds_too_many_bytes_drops_and_counts_exactly(store: Memory) -> None:
    made = writing(store, max_bytes=1000)
    held_up(store, made)
    for _ in range(3):
        made.put(step("large", body=b"x" * 400))
    made.put(step("small"))
    store.go.set()

    assert made.flush(10)
    assert [kept.name for kept in store.written] == ["first", "large", "large", "small"]
    assert store.counted == {"queue full": 1}

    made.put(step("large", body=b"x" * 1000))  # what was written takes no room any more
    assert made.flush(10)
    assert store.counted == {"queue full": 1}


def test_steps_are_written_in_batches_in_their_order(store: Memory) -> None:
    made = writing(store)
    held_up(store, made)
    for number in range(1200):
        made.put(step(str(number)))
    store.go.set()

    assert made.flush(10)
    assert store.batches == [1, 512, 512, 176]
    assert [kept.name for kept in store.written[1:]] == [str(number) for number in range(1200)]


def test_what_is_put_while_a_batch_is_written_is_gathered_for_the_next(
    store: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = writing(store)
    monkeypatch.setattr(made, "_start", lambda: True)  # what a thread would do is done here
    write = store.write

    def put_more(steps: Sequence[OpenStep], **given: Any) -> None:
        write(steps, **given)
        for _ in range(3 if len(store.batches) < 5 else 0):
            made.put(step("more"))

    monkeypatch.setattr(store, "write", put_more)
    made.put(step("first"))
    made.put(step("second"))
    made._drain()

    assert store.batches == [2]
    assert made.waiting == 3


def test_bodies_are_let_go_once_they_are_written(store: Memory) -> None:
    made, kept = writing(store), step(body=b"x")
    made.put(kept)

    assert made.flush(10)
    assert kept.bodies == []


# Waiting


def test_flushing_gives_up_at_its_deadline(store: Memory) -> None:
    made = writing(store)
    held_up(store, made)

    assert not made.flush(0.01)

    store.go.set()
    assert made.flush(10)


def test_flushing_what_is_empty_needs_no_thread(store: Memory) -> None:
    made = writing(store)

    assert made.flush(0)
    assert made._thread is None


def test_closing_writes_what_is_left_and_closes_the_store(store: Memory) -> None:
    made = writing(store)
    made.put(step())

    assert made.close(10)
    assert len(store.written) == 1
    assert store.is_closed


def test_closing_gives_up_at_its_deadline_and_leaves_the_store_to_who_is_at_it(store: Memory) -> None:
    made = writing(store)
    held_up(store, made)

    assert not made.close(0.01)
    assert not store.is_closed


def test_what_comes_after_closing_is_counted_and_nobody_waits_for_it(store: Memory) -> None:
    made = writing(store)
    made.close(10)
    made.put(step())

    assert made.gaps == {"closed": 1}
    assert made.flush(10)


def test_where_no_thread_can_be_started_flushing_writes(
    store: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    made = writing(store)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    made.put(step())

    assert made.flush(10)
    assert len(store.written) == 1


# A store that fails


def test_a_store_that_is_down_for_a_moment_costs_nothing(store: Memory) -> None:
    made = writing(store)
    store.failures = [StoreError("locked"), StoreError("locked")]
    made.put(step())

    assert made.flush(10)
    assert (len(store.written), store.attempts, made.gaps) == (1, 3, {})


def test_a_store_that_is_down_is_tried_three_times_and_then_counted(
    store: Memory, caplog: pytest.LogCaptureFixture
) -> None:
    made = writing(store)
    lost: list[Collection[bytes] | None] = []
    made.on_gap = lost.append
    store.failures = [StoreError("disk full")] * 3
    made.put(step())
    made.put(step())

    assert made.flush(10)
    assert (store.written, store.attempts, lost) == ([], 3, [None])
    assert made.gaps == store.counted == {"store failed": 2}
    assert "cannot write 2 steps to memory://" in caplog.text

    made.put(step())
    assert made.flush(10)
    assert len(store.written) == 1


def test_counts_that_a_store_did_not_take_are_told_once_it_works_again(store: Memory) -> None:
    made = writing(store)
    store.gap_failures = [StoreError("disk full")] * 3
    made.count_gap("step not recorded", 2)
    assert made.flush(10)
    assert store.counted == {}

    made.put(step())
    made.count_gap("queue full")
    assert made.flush(10)

    assert store.counted == {"step not recorded": 2, "queue full": 1}


def test_a_step_that_no_store_can_take_does_not_take_its_neighbours_with_it(store: Memory) -> None:
    made = writing(store)
    held_up(store, made)
    for number in range(100):
        made.put(step("poison" if number in (17, 55) else str(number)))
    store.go.set()

    assert made.flush(10)
    assert len(store.written) == 1 + 98
    assert store.counted == {"store failed": 2}


def test_a_gap_alone_reaches_the_store(store: Memory) -> None:
    made = writing(store)
    made.count_gap("step not recorded")

    assert made.flush(10)
    assert store.counted == {"step not recorded": 1}


# Interrupted at any place


def test_code_that_runs_in_the_middle_of_ours_can_record_too(store: Memory) -> None:
    made = writing(store)

    with made._lock:  # where a destructor or a signal may come in
        made.put(step("from a destructor"))
        made.count_gap("from a signal")
    made._work.ring()
    made._work.ring()

    assert made.flush(10)
    assert [kept.name for kept in store.written] == ["from a destructor"]


def test_a_signal_handler_can_record(store: Memory) -> None:
    made = writing(store)
    former = signal.signal(signal.SIGUSR1, lambda *_: made.put(step("signal")))
    try:
        for _ in range(300):
            made.put(step())
            signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, former)

    assert made.flush(10)
    assert Counter(kept.name for kept in store.written) == {"a": 300, "signal": 300}


def interrupted(function: Callable[[], object], codes: Collection[CodeType], nth: int) -> bool:
    """Call something and interrupt it before the nth instruction of some functions; False: they have not so many."""
    left = nth

    def trace(frame: FrameType, event: str, _: object) -> Callable[..., Any] | None:
        nonlocal left
        if frame.f_code not in codes:
            return None
        frame.f_trace_opcodes = True
        left -= event == "opcode"
        if left < 0:
            sys.settrace(None)
            raise KeyboardInterrupt
        return trace

    former = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(former)
    return False


def test_an_interrupt_anywhere_in_putting_leaves_what_is_put_next_in_order(
    store: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Writer, "_start", lambda _: False)  # no thread: nothing else takes out of the queue
    nth = 0
    while True:
        made = writing(store, max_bytes=100)
        came = step("interrupted", body=b"x" * 60)
        if not interrupted(partial(made.put, came), {Writer.put.__code__}, nth):
            break
        made._drain()
        made.put(
            step("next", body=b"y" * 60)
        )  # fits: of the one that was interrupted nothing is counted any more
        made.put(step("too much", body=b"z" * 60))

        store.written.clear()
        assert made.flush(10)
        assert [kept.name for kept in store.written] == ["next"], nth
        assert made.gaps == {"queue full": 1}, nth
        nth += 1
    assert nth > 50


def test_an_interrupt_while_a_batch_is_taken_or_written_loses_no_step_uncounted(
    store: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Writer, "_start", lambda _: False)
    for nth in range(10_000):
        made = writing(store, max_bytes=400)
        for _ in range(3):
            made.put(step(body=b"x" * 60))
        store.written.clear()
        if not interrupted(made._write_batch, {Writer._take.__code__, Writer._save.__code__}, nth):
            break
        made.put(step("next", body=b"y" * 200))

        assert made.flush(10)
        assert made.gaps["queue full"] == 0, nth
        assert len(store.written) + made.gaps["store failed"] >= 4, nth
        assert store.written[-1].name == "next"
        assert not made._hands, nth
    assert nth > 20


def test_many_threads_lose_nothing(store: Memory) -> None:
    made = writing(store)

    def work() -> None:
        for _ in range(500):
            made.put(step())

    at_once([work] * 8)

    assert made.flush(10)
    assert (len(store.written), made.gaps) == (4000, {})


def test_a_step_that_changes_after_it_was_put_is_no_danger(tmp_path: Path) -> None:
    kept = open_store(f"sqlite:///{tmp_path}/runs.db")
    made = Writer(kept)
    one = step()
    digest = canonical.digest_text(b"d" * 16)
    one.received = Payload(digest, digest, 1, "builtins.str")
    made.put(one)
    one.attributes = {"odd": object()}  # type: ignore[dict-item]

    assert made.flush(10)
    assert (len(kept.load("c")), made.gaps) == (1, {})
    made.close(10)


# Processes


def test_leaving_the_program_writes_what_is_left(tmp_path: Path) -> None:
    python(
        """
        import becausal
        becausal.instrument()
        with becausal.chain("question"), becausal.agent("a"):
            pass
        left = becausal.agent("left open")
        left.__enter__()
        """,
        tmp_path / "runs.db",
    )

    steps = recorded(tmp_path / "runs.db")
    assert {name: step.status for name, step in steps.items()} == {
        "question": "ok",
        "a": "ok",
        "left open": "unfinished",
    }


def test_leaving_the_program_never_hangs_on_a_store_that_does(tmp_path: Path) -> None:
    out = python(
        """
        import sys, threading, becausal
        sys.modules["becausal.instrument"].EXIT_DEADLINE_S = 0.1
        becausal.instrument()
        sys.modules["becausal.instrument"].active_recorder()._writer.store.write = lambda _: threading.Event().wait()
        with becausal.agent("a"):
            pass
        print("left")
        """,
        tmp_path / "runs.db",
        deadline=30,
    )

    assert out == "left\n"


def test_what_a_flush_acknowledged_outlives_a_kill(tmp_path: Path) -> None:
    python(
        """
        import os, signal, becausal
        becausal.instrument()
        with becausal.agent("open") as turn:
            with becausal.agent("ended") as inner:
                inner.returned({"figure": 42})
            assert becausal.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        """,
        tmp_path / "runs.db",
        ok=False,
    )

    steps = recorded(tmp_path / "runs.db")
    assert (steps["open"].status, steps["ended"].status) == ("open", "ok")
    assert steps["ended"].produced is not None


def test_a_forked_child_records_its_own_and_nothing_of_its_parents_twice(tmp_path: Path) -> None:
    python(
        """
        import os, becausal
        from becausal.instrument import active_recorder
        becausal.instrument()
        recorder = active_recorder()
        with becausal.chain("question"):
            with becausal.agent("before"):
                pass
            recorder.count_gap("a gap of the parent's")
            child = os.fork()
            with becausal.agent("child" if child == 0 else "parent") as turn:
                turn.returned({"text": "x" * 5000})
            if child == 0:
                assert recorder._writer.gaps == {}
                assert becausal.flush()
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        """,
        tmp_path / "runs.db",
    )

    steps = recorded(tmp_path / "runs.db")
    assert sorted(steps) == ["before", "child", "parent", "question"]
    assert len({step.chain_id for step in steps.values()}) == 1
    assert len({step.id for step in steps.values()}) == 4
    assert steps["child"].parent_id == steps["parent"].parent_id == steps["question"].id
    assert all(step.status == "ok" for step in steps.values())
    assert steps["child"].produced is not None
    reader = open_store(str(tmp_path / "runs.db"), read_only=True)
    assert reader.gaps() == {"a gap of the parent's": 1}


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_a_process_pool_write_what_they_recorded(method: str, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        textwrap.dedent(
            f"""
            import multiprocessing, becausal
            from concurrent.futures import ProcessPoolExecutor
            becausal.instrument()

            def work(carrier):
                with becausal.extract(carrier), becausal.agent("worker"):
                    return 1

            if __name__ == "__main__":
                with becausal.chain("question"):
                    carrier = {{}}
                    becausal.inject(carrier)
                    context = multiprocessing.get_context({method!r})
                    with ProcessPoolExecutor(1, mp_context=context) as pool:
                        assert list(pool.map(work, [carrier])) == [1]
            """
        )
    )
    subprocess.run(
        [sys.executable, "app.py"],
        cwd=tmp_path,
        env={**os.environ, "BECAUSAL_STORE": str(tmp_path / "runs.db")},
        timeout=60,
        check=True,
    )

    steps = recorded(tmp_path / "runs.db")
    assert steps["worker"].parent_id == steps["question"].id


def test_two_processes_write_to_one_store(tmp_path: Path) -> None:
    code = """
        import sys, becausal
        becausal.instrument()
        for number in range(200):
            with becausal.agent(f"{sys.argv[1:]}{number}"):
                pass
        """
    environ: dict[str, Any] = {**os.environ, "BECAUSAL_STORE": str(tmp_path / "runs.db")}
    running = [
        subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), name], env=environ) for name in "ab"
    ]

    assert [process.wait(60) for process in running] == [0, 0]
    assert len(recorded(tmp_path / "runs.db")) == 400


def test_where_no_bell_rings_steps_are_written_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("chaos")

    monkeypatch.setenv("BECAUSAL_STRICT", "0")
    monkeypatch.setattr(writer, "INTERVAL_S", 0.001)
    monkeypatch.setattr(Bell, "wait", fail)
    store = Memory()
    writes = Writer(store)
    writes.put(step("a"))

    assert writes.flush(10)
    assert [one.name for one in store.written] == ["a"]
    assert writes.close(10)


@pytest.mark.parametrize("way", ["stop", "let_go", "put"])
def test_a_bell_that_fails_leaves_no_thread_waiting_and_no_step_unwritten(
    way: str, store: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, wait, waits = writing(store), Bell.wait, threading.Event()

    def noted(bell: Bell, timeout: float) -> None:
        if bell is made._work and bell._silent.locked():
            waits.set()
        wait(bell, timeout)

    def broken(_: object) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr(writer, "IDLE_S", 0.05)
    monkeypatch.setattr(Bell, "wait", noted)
    made.put(step("first"))
    assert made.flush(10)
    thread = made._thread
    assert thread is not None
    assert waits.wait(10)
    monkeypatch.setattr(Bell, "ring", broken)
    ways: dict[str, Callable[[], object]] = {
        "stop": lambda: made.stop(0),
        "let_go": made.let_go,
        "put": lambda: made.put(step("second")),
    }
    with pytest.raises(RuntimeError, match="ours"):
        ways[way]()

    if way == "put":
        with made._settling:
            assert made._settling.wait_for(lambda: len(store.written) == 2, 10)
        made.is_closed = True
    thread.join(10)
    assert not thread.is_alive()
