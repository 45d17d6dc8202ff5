"""However a process lives and dies (exits, signals, loops, clocks, little memory), it goes as without becausal, and
what it recorded is in the store or counted."""

from __future__ import annotations

import asyncio
import gc
import importlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Recording
from tests.core.scripts import python, recorded

import becausal
from becausal import clock, guard
from becausal.store import Store, open_store

# Leaving


def test_what_was_flushed_outlives_an_exit_that_asks_nobody(tmp_path: Path) -> None:
    python(
        """
        import os, becausal
        becausal.instrument()
        with becausal.agent("flushed"):
            pass
        becausal.flush()
        with becausal.agent("perhaps"):
            pass
        os._exit(0)
        """,
        tmp_path / "runs.db",
    )

    assert recorded(tmp_path / "runs.db")["flushed"].status == "ok"


def test_threads_that_record_while_the_program_ends_neither_hold_it_up_nor_make_a_noise(
    tmp_path: Path,
) -> None:
    python(
        """
        import threading, becausal
        becausal.instrument()
        begun = threading.Barrier(4)

        @becausal.tool
        def work(number):
            return number

        def on_and_on():
            begun.wait()
            number = 0
            while True:
                with becausal.chain(f"request {number}"):
                    work(number := number + 1)

        for _ in range(3):
            threading.Thread(target=on_and_on, daemon=True).start()
        begun.wait()
        """,
        tmp_path / "runs.db",
        deadline=30,
    )

    store = open_store(str(tmp_path / "runs.db"), read_only=True)
    assert set(store.gaps()) <= {"closed"}


def test_what_is_recorded_at_the_very_end_runs_as_ever(tmp_path: Path) -> None:
    out = python(
        """
        import atexit
        atexit.register(lambda: after())  # registered first, so called last: the store is closed by then
        import becausal

        becausal.instrument()
        atexit.register(lambda: before())

        @becausal.tool
        def told(text):
            print(text)

        def before():
            told("before")

        def after():
            told("after")

        class Last:
            tool = staticmethod(told)

            def __del__(self):
                with becausal.agent("last"):
                    self.tool("deleted")

        last = Last()
        told("main")
        """,
        tmp_path / "runs.db",
    )

    assert out.split() == ["main", "before", "after", "deleted"]
    reader = open_store(str(tmp_path / "runs.db"), read_only=True)
    assert sum(info.steps for info in reader.chains()) == 2  # `main` and `before`


def test_an_exception_that_ends_the_program_ends_its_steps(tmp_path: Path) -> None:
    python(
        """
        import becausal
        becausal.instrument()
        with becausal.chain("question"), becausal.agent("a"):
            raise SystemExit(3)
        """,
        tmp_path / "runs.db",
        ok=False,
    )

    assert {step.status for step in recorded(tmp_path / "runs.db").values()} == {"error"}


# Signals


@pytest.mark.parametrize(("handled", "ends"), [(False, -signal.SIGTERM), (True, 7)])
def test_a_program_that_is_asked_to_end_does_so_as_without_becausal(
    handled: bool, ends: int, tmp_path: Path
) -> None:
    code = f"""
        import signal, sys, becausal
        if {handled}:
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
        becausal.instrument()
        with becausal.chain("question"):
            with becausal.agent("done"):
                pass
            becausal.flush()
            with becausal.agent("under way"):
                signal.raise_signal(signal.SIGTERM)
        """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "BECAUSAL_STORE": str(tmp_path / "runs.db")},
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert (ended.returncode, ended.stderr) == (ends, b"")
    steps = recorded(tmp_path / "runs.db")
    assert steps["done"].status == "ok"
    assert steps["question"].status == ("error" if handled else "open")


def test_an_interrupt_in_the_middle_of_a_run_reaches_the_app(recording: Recording) -> None:
    @becausal.tool
    def interrupted() -> None:
        signal.raise_signal(signal.SIGINT)

    # Whoever starts a program in the background has it ignore the signal.
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), becausal.chain("question"):
            interrupted()
    finally:
        signal.signal(signal.SIGINT, former)

    assert {step.name: step.status for step in recording.last()} == {
        "question": "error",
        "interrupted": "error",
    }


def test_a_signal_s_handler_records_wherever_it_arrives(recording: Recording) -> None:
    arrived = 0

    def handle(*_: object) -> None:
        nonlocal arrived
        arrived += 1
        with becausal.agent("handler", received={"number": arrived}):
            pass

    former = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        number = 0
        while arrived < 50:
            number += 1
            with becausal.agent("main", received={"number": number}) as turn:
                turn.returned([number] * 20)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)

    steps = [step for run in recording.runs() for step in run]
    assert sum(step.name == "handler" for step in steps) == arrived
    assert sum(step.name == "main" for step in steps) == number
    assert all(step.status == "ok" for step in steps)


# Loops


async def asked(name: str) -> str:
    with becausal.agent(name):
        await asyncio.sleep(0)
        await asyncio.gather(answered(f"{name}.1"), answered(f"{name}.2"))
    return name


@becausal.tool(name="answered")
async def answered(name: str) -> str:
    await asyncio.sleep(0)
    return name


def in_a_loop_of_its_own(name: str) -> None:
    asyncio.run(asked(name))


def within_a_running_loop(name: str) -> None:
    """Run a loop inside another one, as notebooks' patches do."""

    async def outer() -> None:
        running = asyncio.get_running_loop()
        asyncio._set_running_loop(None)
        try:
            inner = asyncio.new_event_loop()
            inner.run_until_complete(asked(name))
            inner.close()
        finally:
            asyncio._set_running_loop(running)

    asyncio.run(outer())


@pytest.mark.parametrize("run", [in_a_loop_of_its_own, within_a_running_loop])
def test_loops_in_threads_and_one_after_another_keep_their_runs_apart(recording: Recording, run: Any) -> None:
    threads = [threading.Thread(target=run, args=(f"thread {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for number in range(3):
        run(f"later {number}")
    for thread in threads:
        thread.join(30)

    runs = recording.runs()
    assert len(runs) == 7
    for root, *tools in runs:
        assert [step.parent_id for step in tools] == [root.id] * 2
        assert all(step.received is not None and root.name in step.received.text() for step in tools)


# Notebooks


def test_a_cell_that_is_run_again_records_each_call_once(
    recording: Recording, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notebook_app.py").write_text(
        "import becausal\n@becausal.tool\ndef work():\n    return 1\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    app = importlib.import_module("notebook_app")
    try:
        for _ in range(3):
            becausal.instrument(store=store)  # -W error: a warning would be raised here
            app = importlib.reload(app)
            app.work()
    finally:
        del sys.modules["notebook_app"]

    assert [[step.name for step in run] for run in recording.runs()] == [["work"]] * 3


# The clock


def test_a_clock_that_is_set_back_turns_no_order_and_no_duration_round(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    hour, now = 3600 * 10**9, clock.now_ns()

    with becausal.chain("question"):
        with becausal.agent("before"):
            pass
        with becausal.agent("meanwhile"):
            monkeypatch.setattr(clock, "now_ns", lambda: now - hour)
        with becausal.agent("after"):
            pass

    steps = recording.last()
    assert [step.name for step in steps] == ["question", "before", "meanwhile", "after"]
    assert all(step.ended_ns is not None and step.ended_ns >= step.started_ns for step in steps)
    run = becausal.last_run()
    assert run.started_ns is not None
    assert run.ended_ns is not None
    assert run.ended_ns >= run.started_ns


# Little room


@pytest.mark.parametrize("room", [30, 40, 60, 100, 200, 400])
def test_near_the_recursion_limit_the_app_gets_its_answer(
    room: int, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BECAUSAL_STRICT", "0")

    @becausal.tool
    def answer(of: Any) -> Any:
        return of

    nested: Any = "end"
    for _ in range(50):
        nested = {"in": [nested]}

    def down(levels: int) -> Any:
        return answer(nested) if levels <= 0 else down(levels - 1)

    def depth() -> int:
        frame, found = sys._getframe(), 0
        while frame is not None:
            frame, found = frame.f_back, found + 1  # type: ignore[assignment]
        return found

    becausal.instrument(store=store)
    try:
        answer("first")
        got = down(sys.getrecursionlimit() - depth() - room)
    finally:
        becausal.uninstrument()
    assert got is nested


def test_a_value_of_any_depth_is_no_danger(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BECAUSAL_STRICT", "0")
    deep: Any = []
    for number in range(200_000):
        deep = [deep] if number % 2 else {"in": deep}

    @becausal.tool
    def same(of: Any) -> Any:
        return of

    assert same(deep) is deep
    assert same("shallow") == "shallow"
    steps = [step for run in recording.runs() for step in run]
    gaps = open_store(recording.store, read_only=True).gaps()
    assert len(steps) + gaps.get("step not recorded", 0) == 2
    while deep:  # the interpreter would take it apart by recursion
        deep = deep[0] if isinstance(deep, list) else deep["in"]


def test_the_garbage_collector_may_run_code_that_records_anywhere(recording: Recording) -> None:
    class Dying:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            with becausal.agent("dying"):
                pass

    former = gc.get_threshold()
    gc.set_threshold(1, 1, 1)
    try:
        for number in range(100):
            Dying()
            with becausal.agent("main", received={"number": number}) as turn:
                turn.returned([number])
    finally:
        gc.set_threshold(*former)
    gc.collect()

    steps = [step for run in recording.runs() for step in run]
    assert sum(step.name == "main" for step in steps) == 100
    assert sum(step.name == "dying" for step in steps) == 100


# Taking the hooks out while runs are under way


def test_taking_the_hooks_out_in_the_middle_of_a_run_changes_nothing_for_it(store: str) -> None:
    becausal.instrument(store=store)
    inside, go = threading.Event(), threading.Event()
    got: list[Any] = []

    @becausal.tool
    def waits() -> str:
        inside.set()
        assert go.wait(30)
        return "done"

    def run() -> None:
        with becausal.chain("question"):
            got.append(waits())
            with becausal.agent("later") as turn:
                turn.decide("go on")
                got.append(list(pieces()))

    @becausal.tool
    def pieces() -> Any:
        yield from "abc"

    thread = threading.Thread(target=run)
    thread.start()
    assert inside.wait(30)
    becausal.uninstrument()
    go.set()
    thread.join(30)

    assert got == ["done", ["a", "b", "c"]]
    assert {step.name: step.status for step in Recording(store).last()} == {
        "question": "unfinished",
        "waits": "unfinished",
    }


# Stores that fail under a living app


@pytest.fixture
def forgiving(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BECAUSAL_STRICT", "0")


def test_a_failure_of_ours_is_a_gap_in_the_store(
    recording: Recording, forgiving: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr("becausal.own._naming", fail)

        @becausal.tool
        def lost() -> int:
            return 1

        assert lost() == 1
    with monkeypatch.context() as patched:
        patched.setattr("becausal.recorder.Recorder.keep", fail)

        @becausal.tool
        def partly() -> int:
            return 2

        assert partly() == 2

    (run,) = recording.runs()
    assert [step.name for step in run] == ["partly"]
    gaps = open_store(recording.store, read_only=True).gaps()
    assert gaps == {"step not recorded": 1, "recorded in part": 1}


def test_where_the_disk_is_full_the_app_goes_on_and_the_loss_is_counted(tmp_path: Path) -> None:
    out = python(
        """
        import os, resource, signal
        import becausal
        from becausal import writer
        from becausal.instrument import active_recorder
        writer.PAUSE_S = 0
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # beyond it, writing fails as on a full disk
        becausal.instrument()
        import logging; logging.getLogger("becausal").setLevel("CRITICAL")
        with becausal.agent("first"):
            pass
        assert becausal.flush()
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
        for number in range(20):
            with becausal.agent(f"a {number}", received=os.urandom(20_000).hex()) as turn:
                pass
            becausal.flush()
        lost = active_recorder().gaps["store failed"]
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        with becausal.agent("last", received="a" * 1000):
            pass
        assert becausal.flush()
        print(lost)
        """,
        tmp_path / "runs.db",
    )

    steps = recorded(tmp_path / "runs.db")
    store = open_store(str(tmp_path / "runs.db"), read_only=True)
    assert int(out) > 0
    assert {"first", "last"} <= steps.keys()
    assert len(steps) == 22 - int(out)
    assert store.gaps() == {"store failed": int(out)}


LOCKING = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1], isolation_level=None)
held.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
held.execute("ROLLBACK")
"""


def test_a_store_that_another_process_locks_holds_nobody_up_and_what_is_lost_is_counted(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("becausal.store.sqlite.file.BUSY_SECONDS", 0.01)
    monkeypatch.setattr("becausal.writer.PAUSE_S", 0.0)
    becausal.instrument(store=store)
    with becausal.agent("before"):
        pass
    assert becausal.flush()
    command = [sys.executable, "-c", LOCKING, str(tmp_path / "becausal.db")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        with becausal.agent("meanwhile"):
            pass
        becausal.flush()
        other.communicate()
    with becausal.agent("after"):
        pass
    assert becausal.flush()
    becausal.uninstrument()

    kept: Store = open_store(store, read_only=True)
    names = {step.name for chain in kept.chains() for step in kept.load(chain.chain_id)}
    assert {"before", "after"} <= names
    assert len(names) + kept.gaps().get("store failed", 0) == 3


def test_uninstrumenting_takes_every_hook_out_though_one_of_them_refuses(store: str, forgiving: None) -> None:
    from becausal.instrument import active_recorder

    becausal.instrument("threads", store=store)
    start = threading.Thread.start
    active = sys.modules["becausal.instrument"]._active
    assert active is not None
    failures = sum(guard.failures.values())
    active.hooks["threads"].undos.insert(0, lambda: 1 / 0)
    becausal.uninstrument()

    assert active_recorder() is None
    assert threading.Thread.start is not start
    assert sum(guard.failures.values()) == failures + 1
