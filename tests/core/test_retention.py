"""What a store keeps within bounds: the oldest runs go, what matters stays, bodies in use stay, the file shrinks."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import io
import json
import random
import sqlite3
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.core.builders import Record

import becausal
from becausal import guard, retaining, semconv, settings
from becausal.bounds import Retention, age_ns, byte_count
from becausal.cassette.archive import Moved
from becausal.cli import main
from becausal.cli.carrying import _counted
from becausal.cli.tending import _erased
from becausal.clock import OUTSIDE, REPLAYS
from becausal.errors import BecausalWarning, SettingsError, StoreError
from becausal.retaining import Retaining
from becausal.settings import Settings
from becausal.step import Cause
from becausal.store import Store, open_store, retention
from becausal.store.retention import prune
from becausal.store.sqlite.upkeep import SQLiteUpkeep
from becausal.store.upkeep import Erased, Progress, Upkeep, upkeep_of
from becausal.writer import Writer

DAY = 86_400 * 10**9
NOW = 1_700_000_000 * 10**9


@pytest.fixture
def path(store: str) -> Path:
    return Path(store.removeprefix("sqlite:///"))


def named(name: str, started_ns: int) -> Record:
    """Return a record for a chain of any name; ids are hexadecimal digits."""
    record = Record(hashlib.sha256(name.encode()).hexdigest(), started_ns=started_ns)
    record.name = name  # type: ignore[attr-defined]
    return record


def write(store: Store, record: Record) -> None:
    for step in record.made:
        step.chain_id = record.name  # type: ignore[attr-defined]
    store.write(record.made)


def recorded(
    store: Store,
    name: str,
    days_ago: float,
    *,
    said: object = "hello",
    change: Callable[[Record], object] = lambda record: None,
) -> Record:
    """Write a run that went on so long ago; `change` is done to it before."""
    record = named(name, NOW - int(days_ago * DAY))
    with record.step("workflow", "team", received="question", produced="answer"):
        record.did("tool", "search", {"q": name}, said)
    change(record)
    write(store, record)
    return record


def left(store: Store) -> list[str]:
    return sorted(info.chain_id for info in store.chains())


def tended(store: Store) -> Upkeep:
    upkeep = upkeep_of(store)
    assert upkeep is not None
    return upkeep


def failed(record: Record) -> None:
    record.made[-1].status = "error"


def checked(record: Record) -> None:
    record.made[-1].attributes[semconv.CHECKS] = ("no rows",)


def still_open(record: Record) -> None:
    record.made[0].ended_ns = None


@pytest.fixture(params=["file", "memory"])
def some(request: pytest.FixtureRequest, store: str, kept: Store) -> Store:
    return open_store(store) if request.param == "file" else kept


def test_runs_go_by_age_the_oldest_first(some: Store) -> None:
    for number, days in enumerate((50, 40, 10, 1)):
        recorded(some, f"run{number}", days)

    done = prune(some, Retention(max_age_ns=30 * DAY), now_ns=NOW)

    assert done.chain_ids == ("run0", "run1")
    assert (done.steps, done.kept, done.is_within) == (4, 2, True)
    assert left(some) == ["run2", "run3"]


def test_runs_go_by_count(some: Store) -> None:
    for number in range(6):
        recorded(some, f"run{number}", 10 - number)

    prune(some, Retention(keep_last=2), now_ns=NOW)

    assert left(some) == ["run4", "run5"]


@pytest.mark.parametrize("wrong", [failed, checked])
def test_a_run_with_something_wrong_is_kept_four_times_as_long(
    some: Store, wrong: Callable[[Record], object]
) -> None:
    recorded(some, "good", 40)
    recorded(some, "bad", 100, change=wrong)
    recorded(some, "bad-and-old", 121, change=wrong)

    done = prune(some, Retention(max_age_ns=30 * DAY), now_ns=NOW)

    assert left(some) == ["bad"]
    assert done.kept_longer == 1


def test_what_a_kept_run_depends_on_is_kept_as_long(some: Store) -> None:
    source = recorded(some, "source", 110)
    recorded(some, "other", 110)
    middle = recorded(
        some,
        "middle",
        105,
        change=lambda r: r.made[-1].causes.append(Cause(source.made[1].id, "resume", "declared")),
    )

    def depends(record: Record) -> None:
        failed(record)
        record.made[-1].causes.append(Cause(middle.made[1].id, "data", "observed"))

    recorded(some, "bad", 100, change=depends)

    prune(some, Retention(max_age_ns=30 * DAY), now_ns=NOW)

    assert left(some) == ["bad", "middle", "source"]


def test_who_wrote_what_a_bad_run_read_is_kept_as_long(store: str) -> None:
    becausal.instrument(store=store)
    memory = becausal.Memory("plan")
    with becausal.chain("writes", id="writes"):
        memory.write("budget", 500)
    with becausal.chain("unread", id="unread"):
        memory.write("other", 500)
    with contextlib.suppress(ZeroDivisionError), becausal.chain("reads", id="reads"):
        memory.read("budget")
        raise ZeroDivisionError
    memory.close()
    becausal.uninstrument()
    opened = open_store(store)
    later = max(age.touched_ns for age in tended(opened).ages()) + 40 * DAY

    prune(opened, Retention(max_age_ns=30 * DAY), now_ns=later)

    assert left(opened) == ["reads", "writes"]
    memory = becausal.Memory("plan", store=store)
    assert (memory.read("budget"), memory.read("other"), memory.verify()) == (500, 500, None)
    memory.close()
    opened.close()


def test_pinned_runs_and_those_under_way_stay(some: Store) -> None:
    recorded(some, "pinned", 400)
    recorded(some, "under way", 0.5, change=still_open)
    recorded(some, "killed", 40, change=still_open)
    tended(some).mark("pinned", "pinned")

    done = prune(some, Retention(max_age_ns=DAY // 4, keep_last=0), now_ns=NOW)

    assert left(some) == ["pinned", "under way"]
    assert not done.is_within
    tended(some).mark("pinned", "pinned", remove=True)
    prune(some, Retention(keep_last=0), now_ns=NOW)
    assert left(some) == ["under way"]


def test_a_run_whose_root_is_still_to_come_is_under_way(some: Store) -> None:
    """Steps are written when they end; the root ends last."""
    record = named("long", NOW - DAY // 2)
    with record.step("workflow", "team"):
        record.did("tool", "search", 1, 2)
    for step in record.made:
        step.chain_id = "long"
    some.write(record.made[1:])

    prune(some, Retention(keep_last=0), now_ns=NOW)
    assert left(some) == ["long"]

    some.write(record.made[:1])
    prune(some, Retention(keep_last=0), now_ns=NOW)
    assert left(some) == []


def test_the_size_is_kept_and_the_file_shrinks(store: str, path: Path) -> None:
    opened = open_store(store)
    for number in range(60):
        recorded(opened, f"run{number:02}", 60 - number, said=random.Random(number).randbytes(20_000))
    opened.close()
    before = path.stat().st_size
    opened = open_store(store)

    done = prune(opened, Retention(max_bytes=before // 3), now_ns=NOW)

    assert done.is_within
    assert done.bytes_after <= before // 3
    assert done.bodies > 0
    kept = left(opened)
    assert kept == [f"run{number:02}" for number in range(60 - len(kept), 60)]
    assert len(kept) > 8  # no more went than had to
    opened.close()
    assert path.stat().st_size <= before // 2


def test_a_file_of_before_shrinks_once_it_is_rewritten(store: str, path: Path) -> None:
    opened = open_store(store)
    recorded(opened, "run", 60, said=random.Random(1).randbytes(300_000))
    opened.close()
    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA auto_vacuum = NONE")
        connection.execute("VACUUM")
    connection.close()
    before = path.stat().st_size
    opened = open_store(store)
    prune(opened, Retention(keep_last=0), now_ns=NOW)
    tended(opened).release(whole=True)
    opened.close()

    assert path.stat().st_size < before / 2
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)
    connection.close()


def test_a_body_that_a_kept_run_uses_stays_however_it_is_referred_to(store: str) -> None:
    opened = open_store(store)
    shared = {"role": "system", "content": "You are one of us. " * 40, "type": "system"}
    deep = {"a": {"b": [shared] * 2, "filler": "x" * 700}}
    recorded(opened, "old", 60, said=[shared, deep])
    recorded(opened, "new", 1, said={"messages": [shared], "deep": deep})
    answer = named("kept answer", NOW - DAY)
    with answer.step("workflow", "team"):
        model = answer.did("model", "m", "in", "out")
    kept_digest = answer.seal(model.step, {"only": "here " * 200}).digest
    model.step.attributes[semconv.KEPT + "answer"] = kept_digest
    write(opened, answer)
    whole = [opened.load(name)[1].produced.value() for name in ("new",)]  # type: ignore[union-attr]

    done = prune(opened, Retention(max_age_ns=30 * DAY), now_ns=NOW)

    assert done.chain_ids == ("old",)
    assert done.bodies > 0
    opened.close()
    opened = open_store(store)
    assert [opened.load(name)[1].produced.value() for name in ("new",)] == whole  # type: ignore[union-attr]
    from becausal import canonical

    assert opened.body(canonical.parse_digest(kept_digest)) is not None
    opened.close()


def test_names_that_only_gone_runs_had_are_gone(store: str, path: Path) -> None:
    opened = open_store(store)
    for number in range(50):
        record = named(f"run{number}", NOW - 60 * DAY)
        record.did("tool", f"question {number}", 1, 2)
        write(opened, record)
    recorded(opened, "new", 1)

    prune(opened, Retention(max_age_ns=30 * DAY), now_ns=NOW)
    recorded(opened, "newer", 0)

    assert [info.name for info in opened.chains()] == ["team", "team"]
    opened.close()
    with sqlite3.connect(path) as connection:
        (count,) = connection.execute("SELECT count(*) FROM names WHERE name LIKE 'question%'").fetchone()
    connection.close()
    assert count == 0


def test_a_name_that_comes_to_be_used_while_names_are_dropped_stays(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_store(store)
    recorded(opened, "old", 60, change=lambda record: setattr(record.made[0], "name", "question"))
    tended(opened).forget(["old"])
    look = SQLiteUpkeep._changing

    def changing(self: SQLiteUpkeep, doing: str, *, counts: bool = False) -> object:
        if doing == "dropping names":  # they have been looked for
            recorded(opened, "new", 0, change=lambda record: setattr(record.made[0], "name", "question"))
        return look(self, doing, counts=counts)

    monkeypatch.setattr(SQLiteUpkeep, "_changing", changing)
    tended(opened).sweep()

    assert [info.name for info in opened.chains()] == ["question"]
    opened.close()


def test_events_of_memories_are_never_let_go(store: str) -> None:
    memory = becausal.Memory("plan", store=store)
    memory.write("budget", {"long": "enough to be a body of its own " * 50})
    opened = open_store(store)
    recorded(opened, "run", 60)

    prune(opened, Retention(keep_last=0), now_ns=NOW)

    assert left(opened) == []
    assert memory.verify() is None
    assert len(memory.read("budget")["long"]) > 1_000
    memory.close()
    opened.close()


def test_a_store_beyond_its_size_says_whether_more_may_go(
    some: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "ROUNDS", 0)

    for name, days_ago in (("old", 9), ("pinned", 10)):
        recorded(some, name, days_ago, said=random.Random(name).randbytes(60_000))
    tended(some).mark("pinned", "pinned")

    least = tended(some).least()
    cut_short = prune(some, Retention(max_bytes=least), now_ns=NOW)
    monkeypatch.undo()
    done = prune(some, Retention(max_bytes=least), now_ns=NOW)

    assert (cut_short.is_within, cut_short.more_may_go) == (False, True)
    assert (done.is_within, done.more_may_go) == (False, False)
    assert left(some) == ["pinned"]


def test_a_dry_run_names_what_would_go_and_lets_nothing_go(some: Store) -> None:
    for number in range(4):
        recorded(some, f"run{number}", 40 - number)

    foreseen = prune(some, Retention(keep_last=1), now_ns=NOW, dry_run=True)

    assert len(left(some)) == 4
    assert foreseen.chain_ids == prune(some, Retention(keep_last=1), now_ns=NOW).chain_ids


def test_who_writes_meanwhile_waits_for_no_more_than_a_small_transaction(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted, not timed: between any two transactions of a prune somebody else gets his turn."""
    opened, other = open_store(store), open_store(store)
    for number in range(100):
        recorded(opened, f"run{number}", 60)
    written: list[str] = []

    def told(doing: str, done: int, total: int) -> None:
        recorded(other, f"{doing} {done}", 0)
        written.append(doing)

    monkeypatch.setattr("becausal.store.retention.AT_ONCE", 10)
    prune(opened, Retention(max_age_ns=30 * DAY), now_ns=NOW, told=told)

    assert written.count("letting runs go") == 10
    assert len(left(opened)) == len(set(written)) + 9 if len(set(written)) == 1 else len(left(opened)) >= 10
    assert all(step.received is None or step.received.is_kept for step in opened.load("letting runs go 10"))
    opened.close()
    other.close()


PROMPT = {"role": "system", "content": "You are one of us. " * 60}


def told_a_prompt(store: str) -> Store:
    """Record a run that was told the prompt; return the store that it lies in."""
    with becausal.chain("first", id="first"), becausal.agent("a", received=[PROMPT]):
        pass
    assert becausal.flush()
    return open_store(store)


def test_a_process_that_wrote_before_a_sweep_writes_whole_contents_after_it(store: str) -> None:
    """It remembers which parts it handed out; those are swept, and it hands them out again."""
    becausal.instrument(store=store)
    opened = told_a_prompt(store)
    done = prune(opened, Retention(keep_last=0))
    assert (done.chain_ids, left(opened)) == (("first",), [])

    for name in ("second", "third"):
        with becausal.chain(name, id=name), becausal.agent("a", received="nothing of note"):
            pass
        assert becausal.flush()
    with becausal.chain("fourth", id="fourth"), becausal.agent("a", received=[PROMPT]):
        pass
    becausal.uninstrument()

    [step] = [one for one in opened.load("fourth") if one.kind == "agent"]
    assert step.received is not None
    assert step.received.value() == [PROMPT]
    opened.close()


def test_a_part_that_was_swept_while_it_was_in_use_is_counted(store: str) -> None:
    becausal.instrument(store=store)
    opened = told_a_prompt(store)
    prune(opened, Retention(keep_last=0))

    with becausal.chain("second", id="second"), becausal.agent("a", received=[PROMPT]):
        pass
    becausal.uninstrument()

    assert opened.gaps() == {"part swept while in use": 1}
    opened.close()


# While an app runs


def test_an_app_lets_old_runs_go_on_a_thread_of_its_own_and_one_process_at_a_time(store: str) -> None:
    opened = open_store(store)
    recorded(opened, "old", 60)
    retaining = Retaining(store, Retention(max_age_ns=30 * DAY))
    threads: list[str] = []
    writer = Writer(open_store(store))

    def occasion() -> None:
        threads.append(threading.current_thread().name)
        retaining.occasion()

    writer.on_batch = occasion
    record = named("new", 2_100_000_000 * 10**9)
    record.did("tool", "t", 1, 2)
    record.made[0].chain_id = "new"
    writer.put(record.made[0])
    assert writer.close(30)
    retaining.wait(30)

    assert left(opened) == ["new"]
    assert set(threads) == {"becausal-writer"}
    assert not tended(opened).take_turn(3600 * 10**9)  # taken, by whatever process
    assert tended(opened).take_turn(0)
    opened.close()


def test_what_goes_wrong_in_letting_go_is_counted_and_reaches_no_hook_of_the_app(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store(store).close()
    seen: list[object] = []
    monkeypatch.setattr(threading, "excepthook", seen.append)
    monkeypatch.setattr(settings, "is_strict", lambda: False)

    def broken(*args: object, **said: object) -> None:
        raise ValueError("a bug of ours")

    monkeypatch.setattr(retaining, "prune", broken)
    before = sum(guard.failures.values())
    keeping = retaining.Retaining(store, Retention(max_age_ns=1))
    keeping.occasion()
    keeping.wait(10)

    assert seen == []
    assert sum(guard.failures.values()) == before + 1


def test_nothing_is_let_go_any_more_once_the_app_has_stopped_recording(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, ended = threading.Event(), threading.Event()

    def endless(*args: object, told: Progress, **said: object) -> None:
        try:
            while True:
                begun.set()
                told("letting runs go", 0, 1)
        finally:
            ended.set()

    monkeypatch.setattr(retaining, "prune", endless)
    becausal.instrument(store=store, retention="30d")
    with becausal.chain("x"):
        pass
    assert becausal.flush()
    assert begun.wait(10)

    becausal.uninstrument()

    assert ended.is_set()
    assert "becausal-retention" not in {thread.name for thread in threading.enumerate()}


def test_what_was_touched_within_the_hour_is_left_alone_by_an_app(store: str) -> None:
    becausal.instrument(store=store, retention="last 0")
    with becausal.chain("new", id="new"):
        pass
    becausal.uninstrument()
    for thread in threading.enumerate():
        if thread.name == "becausal-retention":
            thread.join(30)

    opened = open_store(store)
    assert left(opened) == ["new"]
    assert not tended(opened).take_turn(3600 * 10**9)
    opened.close()


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("30d", Retention(max_age_ns=30 * DAY)),
        ("12h, 5GB", Retention(DAY // 2, 5 * 10**9)),
        ("last 7,512MiB", Retention(None, 512 << 20, 7)),
    ],
)
def test_a_retention_is_read(said: str, meant: Retention) -> None:
    assert Retention.read(said) == meant
    assert Settings.read(environ={"BECAUSAL_RETENTION": said}).retention == meant


@pytest.mark.parametrize("said", ["thirty days", "30y", ",", "last", "5 XB"])
def test_a_retention_that_means_nothing_is_refused_or_warned_of(said: str) -> None:
    with pytest.raises(SettingsError, match="write for instance"):
        Settings.read(retention=said)
    with pytest.warns(BecausalWarning, match="BECAUSAL_RETENTION"):
        assert Settings.read(environ={"BECAUSAL_RETENTION": said}).retention is None


@pytest.mark.parametrize(
    ("said", "instead"),
    [
        ("500M", "write 500MB for bytes or 500m for an age, in minutes"),
        ("500 M", "write 500MB for bytes or 500m for an age, in minutes"),
        ("5G", "write 5GB for bytes"),
        ("5g", "write 5GB for bytes"),
        ("5k", "write 5KB for bytes"),
        ("2T", "write 2TB for bytes"),
        ("5Gi", "write 5GiB for bytes"),
        ("30D", "write 30d for an age"),
        ("12H", "write 12h for an age"),
        ("2W", "write 2w for an age"),
        ("90S", "write 90s for an age"),
        ("30d, 500M", "write 500MB for bytes or 500m for an age, in minutes"),
        ("500", "write for instance 500d, 500MB or last 500"),
        ("1000, 30d", "write for instance 1000d, 1000MB or last 1000"),
    ],
)
def test_a_retention_that_can_be_read_in_two_ways_is_refused_and_says_what_to_write(
    said: str, instead: str
) -> None:
    with pytest.raises(SettingsError, match=instead):
        Settings.read(retention=said)


@pytest.mark.parametrize("said", ["30M", "30D", "12H", "30", "5GB"])
def test_an_age_is_written_in_small_letters(said: str) -> None:
    with pytest.raises(SettingsError, match="m for minutes"):
        age_ns(said)


@pytest.mark.parametrize("said", ["500M", "5g", "30d", "5Gi", "1.5K", "5 XB", "-5GB"])
def test_a_size_says_its_bytes(said: str) -> None:
    with pytest.raises(SettingsError, match="is no size; write"):
        byte_count(said)


def test_ages_and_sizes_are_read() -> None:
    assert Retention.read("500m").max_age_ns == age_ns("500 m") == 500 * 60 * 10**9
    assert [byte_count(size) for size in ("500MB", "500mb", "0.5GB", "500 MB")] == [500 * 10**6] * 4
    assert age_ns(dt.timedelta(days=1)) == age_ns("24h") == age_ns("1d") == DAY
    assert (byte_count(5), byte_count("5"), byte_count("1.5 kB"), byte_count("2GiB")) == (5, 5, 1500, 2 << 30)


# The commands


def test_the_command_prunes_and_says_what_it_did(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    opened = open_store(store)
    for number in range(3):
        recorded(opened, f"run{number}", 400 + number)
    opened.close()

    assert main(["prune", "--store", store, "--keep-last", "2", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["chain_ids"] == ["run2"]
    assert main(["prune", "--store", store, "--pin", "run2"]) == 0
    assert main(["prune", "--store", store, "--keep-last", "1", "--compact"]) == 0
    assert "2 runs gone" in capsys.readouterr().out
    assert [info.chain_id for info in becausal.open(store).list()] == ["run2"]
    assert main(["prune", "--store", store, "--unpin", "run2"]) == 0
    assert main(["prune", "--store", store, "--older-than", "30d"]) == 0
    assert becausal.open(store).list() == []


@pytest.mark.parametrize("said", ["1", "5.5", " 512 ", "0"])
def test_a_size_without_its_unit_deletes_nothing_and_is_told_what_to_write(
    said: str, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = open_store(store)
    recorded(opened, "run", 400)
    opened.close()

    assert main(["prune", "--store", store, "--max-size", said]) == 2
    assert f"write for instance {said.strip()}GB" in capsys.readouterr().err
    with pytest.raises(SettingsError, match="of what"):
        becausal.open(store).prune(max_size=said)
    assert [info.chain_id for info in becausal.open(store).list()] == ["run"]


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        (Retention(5 * 10**9, 1, 3), "5s, 1B, last 3"),
        (Retention(0, 0), "0s, 0B"),
        (Retention(DAY // 2, 1_500), "12h, 1.5kB"),
        (Retention(365 * DAY, 5 * 10**12), "365d, 5TB"),
    ],
)
def test_bounds_are_told_in_the_units_that_people_write(bounds: Retention, said: str) -> None:
    assert str(bounds) == said
    assert Retention.read(said) == bounds


def test_runs_are_pinned_and_erased_by_the_names_that_every_command_takes(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = open_store(store)
    for number in range(2):
        recorded(opened, f"{number}run", 400 - number)
    opened.close()

    def pruned() -> list[str]:
        capsys.readouterr()
        assert main(["prune", "--store", store, "--keep-last", "0", "--dry-run", "--json"]) == 0
        return list(json.loads(capsys.readouterr().out)["chain_ids"])

    assert main(["prune", "--store", store, "--pin", "last", "--pin", "nobody"]) == 2
    assert pruned() == ["0run", "1run"]
    assert main(["prune", "--store", store, "--pin", "last"]) == 0
    assert pruned() == ["0run"]
    assert main(["prune", "--store", store, "--unpin", "last", "--pin", "0r"]) == 0
    assert pruned() == ["1run"]
    assert main(["erase", "--store", store, "--run", "last", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"] == ["1run"]


def test_the_command_takes_the_bounds_of_the_environment(
    store: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_store(store)
    recorded(opened, "run", 400)
    opened.close()
    monkeypatch.delenv("BECAUSAL_RETENTION", raising=False)

    assert main(["prune", "--store", store]) == 2
    assert "--older-than 30d" in capsys.readouterr().err
    assert main(["prune", "--store", store, "--older-than", "soon"]) == 2
    assert "write for instance 30d" in capsys.readouterr().err
    monkeypatch.setenv("BECAUSAL_RETENTION", "last 0")
    assert main(["prune", "--store", store]) == 0
    assert "1 run gone" in capsys.readouterr().out


def test_the_command_erases_only_what_it_was_told_to_twice(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = open_store(store)
    recorded(opened, "run", 1, said="Jane Doe called")
    opened.close()

    assert main(["erase", "--store", store, "--text", "jane doe"]) == 0
    assert "Add --yes" in capsys.readouterr().out
    assert "Jane" in becausal.open(store).last().steps[1].produced.text()  # type: ignore[union-attr]
    assert main(["erase", "--store", store, "--text", "jane doe", "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "erased": True,
        "places": {"contents": 1},
        "runs": ["run"],
        "unread": [],
    }
    assert "Jane" not in becausal.open(store).last().steps[1].produced.text()  # type: ignore[union-attr]
    assert main(["erase", "--store", store, "--text", "jane doe", "--yes"]) == 0
    assert "nothing of it" in capsys.readouterr().out
    assert main(["erase", "--store", store]) == 2
    assert main(["erase", "--store", store, "--text", "J"]) == 2
    assert "too short" in capsys.readouterr().err


def test_runs_are_pruned_pinned_and_erased_in_python(store: str) -> None:
    opened = open_store(store)
    recorded(opened, "one", 400, said="Jane Doe called")
    recorded(opened, "two", 300)
    opened.close()
    runs = becausal.open(store)

    runs.pin("last")
    assert runs.prune("30d", dry_run=True).chain_ids == ("one",)
    runs.pin("last", keep=False)
    runs.pin("one")
    assert runs.prune("30d").chain_ids == ("two",)
    assert runs.erase("Jane Doe", dry_run=True).total == 1
    assert runs.erase(run="on", reason="asked for").chain_ids == ("one",)
    assert not runs.get("one").steps[1].produced.is_kept  # type: ignore[union-attr]
    with pytest.raises(SettingsError, match="say what is to go"):
        runs.prune()
    with pytest.raises(SettingsError, match="say what is to be erased"):
        runs.erase()
    runs.close()


def test_a_cassette_is_never_changed(store: str, tmp_path: Path) -> None:
    opened = open_store(store)
    recorded(opened, "one", 400)
    opened.close()
    file = becausal.open(store).last().export(tmp_path / "one.becausal")

    with pytest.raises(StoreError, match="cassette"):
        becausal.open(file).prune("1d")
    with pytest.raises(StoreError, match="cannot be changed"):
        becausal.open(file).erase("Jane Doe")


def test_what_is_erased_is_counted_in_words_that_fit_the_number() -> None:
    assert _erased(Erased({"contents": 1}, ("run",)), is_done=True).startswith("erased in 1 run;")
    assert _erased(Erased({"contents": 1}), is_done=False).startswith("would be erased outside of every run;")
    assert _counted(Moved(runs=1, steps=2, memories=1, events=1)) == "1 run, 2 steps, 1 memory with 1 event"


def test_a_size_that_no_store_can_have_lets_nothing_go(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = open_store(store)
    empty = tended(opened).size()
    for number in range(40):
        recorded(opened, f"run{number}", number, said="hello " * 500)

    assert tended(opened).least() == empty
    for dry_run in (False, True):
        with pytest.raises(StoreError, match=f"nothing was let go: .* {empty:,} bytes without any run"):
            prune(opened, Retention(max_bytes=empty - 1), now_ns=NOW, dry_run=dry_run)
    assert len(left(opened)) == 40
    opened.close()
    assert main(["prune", "--store", store, "--max-size", "100KB"]) == 2
    assert "name a larger size" in capsys.readouterr().err


def test_what_has_nothing_to_let_go_says_so_in_words(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    open_store(store).close()
    assert main(["prune", "--store", store, "--keep-last", "1"]) == 0
    assert "there is no run in the store" in capsys.readouterr().out

    with contextlib.closing(open_store(store)) as opened:
        recorded(opened, "only", 1)
    for dry_run, said in (([], "had to go"), (["--dry-run"], "would go")):
        assert main(["prune", "--store", store, "--keep-last", "1", *dry_run]) == 0
        assert f"no run {said}; 1 kept" in capsys.readouterr().out


def aside(store: Store, name: str, days_ago: float, of: str | None = None) -> None:
    """Write what is no run of the app's: a replay, or what memories did outside of every run."""
    record = named(name, NOW - int(days_ago * DAY))
    record.did("memory_write", "notes", 1, 2)
    if of is not None:
        record.made[0].attributes[semconv.REPLAY_OF] = of
    write(store, record)


def test_of_a_number_of_runs_those_stay_that_are_listed_first_and_replays_go_with_theirs(some: Store) -> None:
    for number in range(6):
        recorded(some, f"run{number}", 10 - number, change=failed if number == 1 else lambda record: None)
        aside(some, REPLAYS + f"{number:026}", 0.5, of=f"run{number}")
    aside(some, REPLAYS + f"{9:026}", 9, of="elsewhere")
    aside(some, OUTSIDE + f"{1:026}", 9.5)
    aside(some, newest := OUTSIDE + f"{2:026}", 0.1)
    listed = [info.chain_id for info in becausal.runs.Runs(some).list(limit=3, replays=False)]

    foreseen = prune(some, Retention(keep_last=3), now_ns=NOW, dry_run=True)
    done = prune(some, Retention(keep_last=3), now_ns=NOW)

    assert (foreseen.chain_ids, foreseen.aside) == (done.chain_ids, done.aside)
    assert [info.chain_id for info in becausal.runs.Runs(some).list(replays=False)] == listed
    assert left(some) == [
        newest,
        *(REPLAYS + f"{number:026}" for number in (3, 4, 5)),
        "run3",
        "run4",
        "run5",
    ]
    assert (sorted(done.chain_ids), done.kept, done.is_within) == (["run0", "run1", "run2"], 3, True)


def test_a_run_that_ended_last_is_not_kept_before_one_that_is_listed_first(some: Store) -> None:
    def long(record: Record) -> None:
        record.made[0].ended_ns = NOW

    recorded(some, "early and long", 3, change=long)
    recorded(some, "late and short", 2)

    assert prune(some, Retention(keep_last=1), now_ns=NOW).chain_ids == ("early and long",)


def test_for_the_sake_of_a_size_a_replay_goes_with_its_run_and_a_run_stays(some: Store) -> None:
    for number in range(4):
        recorded(some, f"run{number}", 10 - number, said=random.Random(number).randbytes(200_000))
    aside(some, replayed := REPLAYS + f"{0:026}", 0.5, of="run0")

    done = prune(some, Retention(max_bytes=tended(some).least() + 50_000), now_ns=NOW)

    assert left(some) == ["run3"]
    assert (done.chain_ids, done.aside) == (("run0", "run1", "run2"), (replayed,))


def test_prune_shows_whoever_sits_at_a_terminal_what_would_go_and_asks(
    store: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.closing(open_store(store)) as opened:
        for number in range(3):
            recorded(opened, f"run{number}-and-its-long-name", 9 - number)

    def at_a_terminal(answer: str, *more: str) -> tuple[str, str]:
        typed = io.StringIO(answer)
        monkeypatch.setattr(typed, "isatty", lambda: True, raising=False)
        monkeypatch.setattr(sys, "stdin", typed)
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
        assert main(["prune", "--store", store, "--keep-last", "2", *more]) == 0
        said = capsys.readouterr()
        return said.out, said.err

    for answer in ("", "\n", "no\n"):
        out, err = at_a_terminal(answer)
        assert "nothing was let go" in out
        assert "1 run would go" in err
        assert "[y/N]" in err
        assert len(becausal.open(store).list()) == 3
    out, err = at_a_terminal("y\n")
    assert "1 run gone" in out
    assert "[y/N]" not in at_a_terminal("")[1]  # nothing is to go any more
    out, err = at_a_terminal("", "--keep-last", "1", "--yes")
    assert "1 run gone" in out
    assert "[y/N]" not in err


def test_prune_names_runs_as_the_list_of_runs_does(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.closing(open_store(store)) as opened:
        record = Record("5" * 32, started_ns=NOW)
        record.did("agent", "a", 1, 2)
        opened.write(record.made)

    assert main(["runs", "--store", store]) == 0
    (shown,) = [word for word in capsys.readouterr().out.split() if word.startswith("555")]
    assert main(["prune", "--store", store, "--keep-last", "0", "--dry-run"]) == 0
    assert f"  {shown}\n" in capsys.readouterr().out


@pytest.mark.parametrize("command", [("prune", "--keep-last", "1"), ("erase", "--text", "Jane Doe")])
def test_to_look_and_to_do_it_at_once_is_refused(
    command: tuple[str, ...], store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    open_store(store).close()

    with pytest.raises(SystemExit) as refused:
        main([*command, "--store", store, "--dry-run", "--yes"])
    assert refused.value.code == 2
    assert "not allowed with" in capsys.readouterr().err
    assert main([*command, "--store", store, "--dry-run"]) == 0
