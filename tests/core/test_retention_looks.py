"""Looking a store over before anything goes: the command each time, an app a short while and once a day; bounds that
cannot be kept keep no others from it."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.core.builders import Record
from tests.core.sinks import remember

from becausal import retaining
from becausal.bounds import Retention
from becausal.cli import main
from becausal.errors import StoreError, StoreFormatError
from becausal.retaining import Retaining
from becausal.store import open_store
from becausal.store.retention import prune
from becausal.store.sqlite import damage, looking, upkeep
from becausal.store.upkeep import Progress, upkeep_of

DAY = 86_400 * 10**9
OLD = Retention(max_age_ns=30 * DAY)


@pytest.fixture
def path(store: str) -> Path:
    """Forty runs of a year ago."""
    with closing(open_store(store)) as opened:
        for number in range(40):
            record = Record(f"{number:032x}", started_ns=time.time_ns() - 400 * DAY + number * 10**9)
            with record.step("agent", "clerk", received=f"question {number}") as agent:
                agent.produces("done")
            opened.write(record.made)
    return Path(store.removeprefix("sqlite:///"))


def runs_in(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        found: int = connection.execute("SELECT count(*) FROM chains").fetchone()[0]
    return found


def spoil(path: Path) -> None:
    """Damage a page, as no write notices."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'gaps'").fetchone()
    with path.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xff" * 4096)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """For how many seconds at most each look was."""
    seen: list[float] = []

    def damages(path: Path, seconds: float, **said: object) -> list[str]:
        seen.append(seconds)
        return whole(path, seconds, **said)

    whole: Callable[..., list[str]] = looking.damages
    monkeypatch.setattr(looking, "damages", damages)
    monkeypatch.setattr(retaining, "EVERY_S", 0.0)
    return seen


def let_go(path: Path, retention: Retention = OLD) -> None:
    """Do what an app does once an hour."""
    keeping = Retaining(f"sqlite:///{path}", retention)
    keeping.occasion()
    keeping.wait(30)


def test_an_app_looks_for_a_short_while_and_takes_a_whole_store_for_it_for_a_day(
    path: Path, looks: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go(path, Retention(keep_last=39))
    let_go(path, Retention(keep_last=38))

    assert runs_in(path) == 38
    assert looks == [retaining.LOOKS_S]

    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now + DAY + 1)
    let_go(path, Retention(keep_last=37))
    monkeypatch.setattr(time, "time_ns", lambda: now)  # a clock that was set back
    let_go(path, Retention(keep_last=36))
    assert len(looks) == 3


def test_the_command_looks_each_time_whatever_an_app_has_found(
    path: Path, looks: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    let_go(path, Retention(keep_last=39))
    spoil(path)
    before = path.read_bytes()

    assert main(["prune", "--keep-last", "1", "--store", str(path)]) == 2

    assert "nothing was let go: the store is damaged" in capsys.readouterr().err
    assert path.read_bytes() == before
    assert len(looks) == 2


def test_a_store_that_was_found_damaged_is_not_taken_for_whole_at_the_next_turn(
    path: Path, looks: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    spoil(path)

    for _ in range(2):
        let_go(path)

    assert len(looks) == 2
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert all("nothing was let go: the store is damaged" in said for said in caplog.messages)
    assert runs_in(path) == 40


def test_a_look_tells_how_long_it_takes_and_ends_where_nobody_waits_for_it_any_more(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE large(content BLOB)")
        connection.executemany("INSERT INTO large VALUES (zeroblob(?))", [(100,)] * 400_000)
        connection.commit()
    spoil(path)
    monkeypatch.setattr(looking, "TELLS_S", 0.0)
    said: list[tuple[str, int, int]] = []

    def interrupted(*progress: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        looking.damages(path, 60.0, pages_alone=True, told=interrupted)
    assert "becausal-looking" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(StoreFormatError):
        looking.damages(path, 60.0, pages_alone=True, told=lambda *progress: said.append(progress))
    assert said[0] == (looking.DOING, 0, 60)


def test_runs_go_by_age_and_number_though_memories_alone_take_more_than_the_size(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(open_store(str(path))) as opened:
        for number in range(10):
            remember(opened, f"key {number}", os.urandom(50_000).hex())
        with pytest.raises(StoreError, match="nothing was let go: the store takes"):
            prune(opened, Retention(max_bytes=100_000))
        for dry_run in (True, False):
            done = prune(opened, Retention(max_bytes=100_000, keep_last=25), dry_run=dry_run)
            assert len(done.chain_ids) == 15
            assert not done.is_within
            assert not done.more_may_go
            assert done.least > 500_000
    assert runs_in(path) == 25

    assert main(["prune", "--older-than", "30d", "--max-size", "100KB", "--store", str(path)]) == 0
    told = capsys.readouterr().out
    assert "25 runs gone" in told
    assert "without any run, what memories hold among them; name a larger size" in told
    assert runs_in(path) == 0


def test_an_app_lets_runs_go_by_age_and_warns_once_of_a_size_that_cannot_be_kept(
    path: Path, looks: list[float], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retaining, "ASKS_S", 0.0)
    with closing(open_store(str(path))) as opened:
        remember(opened, "key", os.urandom(200_000).hex())
    keeping = Retaining(f"sqlite:///{path}", Retention(max_age_ns=30 * DAY, max_bytes=100_000))

    for _ in range(2):
        keeping.occasion()
        keeping.wait(30)

    assert runs_in(path) == 0
    (warning,) = caplog.messages
    assert "cannot keep its store within" in warning
    assert "Name a larger size" in warning


def test_the_steps_of_all_that_went_are_counted_though_a_run_among_them_is_stuck(
    path: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = damage.chain_numbers

    def stuck(connection: sqlite3.Connection, chain_ids: list[str]) -> list[int]:
        if f"{35:032x}" in chain_ids:
            raise StoreFormatError("a store is damaged: forgetting failed (malformed). And so on")
        return numbers(connection, chain_ids)

    monkeypatch.setattr(upkeep, "chain_numbers", stuck)
    with closing(open_store(store)) as opened:
        done = prune(opened, OLD)

    assert (len(done.chain_ids), done.steps, done.kept) == (39, 39, 1)
    assert done.damaged == (f"the run {35:032x} stays: forgetting failed (malformed)",)


def test_an_app_sweeps_only_where_runs_go_or_the_size_is_beyond_its_bound(
    path: Path, looks: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(open_store(str(path))) as opened:
        last = Record("f" * 32, started_ns=time.time_ns() - 300 * DAY)
        with last.step("agent", "clerk", received=os.urandom(300_000).hex()):
            pass
        opened.write(last.made)
        whole = upkeep.SQLiteUpkeep.sweep
        sweeps: list[int] = []

        def sweep(self: upkeep.SQLiteUpkeep, told: Progress | None = None) -> int:
            sweeps.append(whole(self, told))
            return sweeps[-1]

        monkeypatch.setattr(upkeep.SQLiteUpkeep, "sweep", sweep)
        tended = upkeep_of(opened)
        assert tended is not None
        tended.forget(["f" * 32])  # and whoever did that was stopped before it swept

    let_go(path, Retention(keep_last=40))
    assert sweeps == []
    let_go(path, Retention(max_bytes=400_000))
    assert (sweeps, runs_in(path)) == ([1], 40)  # it is within its bound without what was left behind
    let_go(path, Retention(keep_last=39))
    assert len(sweeps) == 2
    assert main(["prune", "--keep-last", "39", "--store", str(path)]) == 0
    assert (len(sweeps), runs_in(path)) == (3, 39)
