"""What a store does when the disk is full, its file is gone, locked or open to everybody: the app never notices."""

from __future__ import annotations

import ast
import logging
import os
import random
import re
import sqlite3
import stat
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.at_once import at_once
from tests.core.builders import Record

import becausal
from becausal.cli import main
from becausal.doctor import Check, diagnose
from becausal.doctor.bounding import look_at_bounds, look_at_exposure
from becausal.errors import BecausalWarning, StoreError
from becausal.store import open_store
from becausal.store.exposure import exposed
from becausal.store.sqlite import SQLiteStore, file
from becausal.store.upkeep import Erasure, upkeep_of
from becausal.writer import Writer

posix = pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
CHECKS = (Check("store", look_at_bounds), Check("privacy", look_at_exposure))
ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(store: str) -> Path:
    return Path(store.removeprefix("sqlite:///"))


def run_of(number: int, said: object = "hello") -> Record:
    record = Record(f"{number:032x}", started_ns=number * 10**9)
    with record.step("workflow", "team", received="question", produced="answer"):
        record.did("tool", "search", number, said)
    return record


# The disk is full


def test_a_full_disk_costs_what_it_cannot_take_and_nothing_more(
    store: str, caplog: pytest.LogCaptureFixture
) -> None:
    opened = open_store(store)
    assert isinstance(opened, SQLiteStore)
    connection = opened._session.writer().connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    writer = Writer(opened)
    connection.execute(f"PRAGMA max_page_count = {pages + 30}")
    with caplog.at_level(logging.ERROR, "becausal"):
        for number in range(12):
            for step in run_of(number, random.Random(number).randbytes(50_000)).made:
                writer.put(step)
            writer.flush(30)
    lost = writer.gaps["store failed"]
    assert 4 < lost < 24
    told = [record.getMessage() for record in caplog.records]
    assert len(told) < 4  # once, until it works again
    assert "the disk is full" in told[0]

    connection.execute("PRAGMA max_page_count = 1000000")
    for step in run_of(99, random.Random(99).randbytes(50_000)).made:
        writer.put(step)
    assert writer.flush(30)

    assert writer.gaps["store failed"] == lost
    assert opened.gaps() == {"store failed": lost}
    assert sum(len(opened.load(info.chain_id)) for info in opened.chains()) == 26 - lost
    writer.close(10)


# The file is gone


@pytest.mark.parametrize("also", [(), ("-wal", "-shm"), ("-shm",)], ids=["file", "all", "file and shm"])
@posix
def test_a_store_that_is_deleted_is_made_again_with_one_warning(
    store: str, path: Path, also: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    becausal.instrument(store=store)
    prompt = {"role": "system", "content": "You are one of us. " * 60}
    with becausal.chain("first", id="first"), becausal.agent("a", received=[prompt]):
        pass
    assert becausal.flush()
    path.unlink()
    for end in also:
        path.with_name(path.name + end).unlink()

    with caplog.at_level(logging.WARNING, "becausal"):
        for name in ("second", "third", "fourth"):
            with becausal.chain(name, id=name), becausal.agent("a", received=[prompt]):
                pass
            assert becausal.flush()
    becausal.uninstrument()

    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "was deleted or replaced" in caplog.text
    runs = becausal.open(store)
    assert sorted(info.chain_id for info in runs.list()) == ["fourth", "second", "third"]
    assert runs.gaps() == {"store deleted while in use": 1, "part swept while in use": 1}
    step = runs.get("third").step("a")
    assert step.received is not None
    assert step.received.value() == [prompt]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    runs.close()


@posix
def test_a_store_whose_folder_is_deleted_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "runs.db"
    opened = open_store(str(path))
    opened.write(run_of(1).made)
    for each in path.parent.iterdir():
        each.unlink()
    path.parent.rmdir()

    opened.write(run_of(2).made)

    assert len(opened.chains()) == 1
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    opened.close()


@posix
def test_what_stands_in_the_place_of_a_deleted_store_is_left_alone(store: str, path: Path) -> None:
    opened = open_store(store)
    opened.write(run_of(1).made)
    path.unlink()
    path.write_text("somebody else's notes")

    with pytest.raises(StoreError, match="no SQLite database"):
        opened.write(run_of(2).made)

    assert path.read_text() == "somebody else's notes"
    opened.close()


@posix
def test_a_backup_put_in_the_place_of_a_store_in_use_is_not_damaged_by_what_it_replaced(
    store: str, path: Path, tmp_path: Path
) -> None:
    opened = open_store(store)
    opened.write(run_of(1).made)
    opened.close()
    backup = tmp_path / "backup.db"
    backup.write_bytes(path.read_bytes())
    opened = open_store(store)
    for number in range(2, 40):
        opened.write(run_of(number, random.Random(number).randbytes(5_000)).made)
    os.replace(backup, path)

    opened.write(run_of(50).made)

    assert sorted(info.started_ns // 10**9 for info in opened.chains()) == [1, 50]
    opened.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


@posix
def test_two_processes_lose_nothing_to_each_other_when_their_store_is_deleted(store: str, path: Path) -> None:
    """Each makes the file anew when it next writes; the second finds that of the first."""
    first, second = open_store(store), open_store(store)
    first.write(run_of(1).made)
    second.write(run_of(2).made)
    path.unlink()
    wal = path.with_name(path.name + "-wal")
    former = wal.stat().st_ino
    first.write(run_of(3).made)
    assert wal.stat().st_ino != former  # two files that write to one WAL would destroy each other
    second.write(run_of(4).made)
    first.write(run_of(5).made)

    assert len(first.chains()) == len(second.chains()) == 3
    first.close()
    second.write(run_of(6).made)
    second.close()
    assert len(becausal.open(store).list()) == 4


@posix
def test_a_folder_that_may_not_be_written_to_costs_the_runs_and_not_the_app(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").write_text("")
    url = f"sqlite:///{folder / 'file' / 'runs.db'}"  # root may write wherever it likes, but not into a file

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BECAUSAL_STORE", url)
        with pytest.warns(BecausalWarning, match="makes spans and keeps no runs"):
            becausal.instrument()
        with becausal.chain("goes on"), becausal.agent("a"):
            pass
        becausal.uninstrument()


# Locked


def test_a_store_that_another_holds_is_waited_for_and_the_app_is_not(
    store: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file, "BUSY_SECONDS", 0.05)
    opened = open_store(store)
    writer = Writer(opened)
    with sqlite3.connect(path, isolation_level=None) as holder:
        holder.execute("BEGIN IMMEDIATE")
        for step in run_of(1).made:
            writer.put(step)  # returns at once
        assert not writer.flush(0.1)
        holder.execute("COMMIT")
    holder.close()

    assert writer.flush(30)
    assert len(opened.load(run_of(1).chain_id)) + writer.gaps["store failed"] == 2
    writer.close(10)


def test_pruning_says_what_it_waits_for_and_gives_up_with_what_to_do(
    store: str, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(file, "BUSY_SECONDS", 0.05)
    monkeypatch.setattr(file, "SILENT_MS", 20)
    opened = open_store(store)
    opened.write(run_of(1).made)
    upkeep = upkeep_of(opened)
    assert upkeep is not None
    with sqlite3.connect(path, isolation_level=None) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"forgetting 1 runs failed.*see what holds the file open"):
            upkeep.forget([run_of(1).chain_id])
        holder.execute("COMMIT")
    holder.close()
    assert caplog.messages == [f"becausal waits for who else writes to {path}, before forgetting 1 runs"]

    assert upkeep.forget([run_of(1).chain_id]) == 2
    assert len(caplog.messages) == 1
    opened.close()


# Modes


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    former = os.umask(request.param)
    yield request.param
    os.umask(former)


@posix
@pytest.mark.usefixtures("umask")
def test_nobody_else_can_read_a_store_an_export_or_a_report(tmp_path: Path) -> None:
    path = tmp_path / "own" / "runs.db"
    opened = open_store(str(path))
    opened.write(run_of(1).made)

    assert mode(path.parent) == 0o700
    assert {each.name for each in path.parent.iterdir()} == {"runs.db", "runs.db-wal", "runs.db-shm"}
    assert {mode(each) for each in path.parent.iterdir()} == {0o600}
    url = f"sqlite:///{path}"
    run = becausal.open(url).last()
    exported = run.export(tmp_path / "run.becausal")
    assert mode(exported) == 0o600
    for name in ("report.md", "report.html"):
        kind = name.rpartition(".")[2].replace("md", "markdown")
        report = tmp_path / name
        report.write_text("an earlier one, for all to read")
        report.chmod(0o644)
        assert main(["report", "last", "--store", url, "--format", kind, "-o", str(report)]) == 0
        assert mode(report) == 0o600
    opened.close()
    assert exposed(url) == []


@posix
@pytest.mark.usefixtures("umask")
def test_a_rewritten_and_an_erased_store_keep_their_mode(tmp_path: Path) -> None:
    path = tmp_path / "own" / "runs.db"
    opened = open_store(str(path))
    opened.write(run_of(1, "Jane Doe").made)
    upkeep = upkeep_of(opened)
    assert upkeep is not None
    upkeep.erase(Erasure(("Jane Doe",)))

    assert {mode(each) for each in path.parent.iterdir()} == {0o600}
    opened.close()


@posix
def test_a_store_that_others_can_read_is_told_with_what_to_do(store: str, path: Path) -> None:
    open_store(store).close()
    path.chmod(0o644)
    path.parent.chmod(0o777)

    told = exposed(store)

    assert told == [
        f"{path} can be read by others (mode 644): chmod 600 {path}",
        f"{path.parent} can be written to by others (mode 777): chmod 700 {path.parent}",
    ]
    assert exposed("sqlite:///:memory:") == []
    assert exposed("postgresql://somewhere/db") == []
    assert exposed(f"sqlite:///{path}.not.there") == []


@posix
def test_the_doctor_tells_who_else_can_read_the_store_and_what_was_erased(store: str, path: Path) -> None:
    opened = open_store(store)
    opened.write(run_of(1, "Jane Doe called").made)
    opened.close()
    becausal.open(store).erase("Jane Doe", reason="ticket 4711")
    path.chmod(0o640)

    lines = [line for section in diagnose(store, checks=CHECKS).sections for line in section.lines]

    assert f"chmod 600 {path}" in [line.do for line in lines if "can be read by others" in line.says]
    assert [line.says for line in lines if line.says.startswith("erased")] == [
        "erased in 1 place of 1 run (ticket 4711)"
    ]


# Erasing


def test_an_erasure_that_a_reader_keeps_from_being_whole_says_so(
    store: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("becausal.store.sqlite.upkeep.PATIENCE_S", 0.1)
    monkeypatch.setattr(file, "BUSY_SECONDS", 0.1)
    opened = open_store(store)
    opened.write(run_of(1, "Jane Doe called").made)
    upkeep = upkeep_of(opened)
    assert upkeep is not None
    with sqlite3.connect(path, isolation_level=None) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM steps").fetchone()
        with pytest.raises(StoreError, match="somebody still reads a former state"):
            upkeep.erase(Erasure(("Jane Doe",)))
        reader.execute("ROLLBACK")
    reader.close()

    upkeep.release(whole=True)

    files = [each for each in path.parent.iterdir() if each.name.startswith(path.name)]
    assert not any(b"Jane" in each.read_bytes() for each in files)
    opened.close()


# The WAL


def test_the_wal_is_bounded_whatever_is_written(
    store: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file, "WAL_BYTES", 1 << 20)
    monkeypatch.setattr(file, "CHECKPOINT_PAGES", 500)
    opened = open_store(store)
    largest = 0
    for number in range(60):
        opened.write(run_of(number, random.Random(number).randbytes(200_000)).made)
        largest = max(largest, path.with_name(path.name + "-wal").stat().st_size)

    assert path.stat().st_size > 10 << 20
    assert largest < 4 << 20

    wal = path.with_name(path.name + "-wal")
    with sqlite3.connect(path, isolation_level=None) as reader:  # in the way of folding it in
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM steps").fetchone()
        for number in range(100, 130):
            opened.write(run_of(number, random.Random(number).randbytes(200_000)).made)
        assert wal.stat().st_size > 4 << 20
        reader.execute("ROLLBACK")
    reader.close()
    for number in range(200, 210):
        opened.write(run_of(number, random.Random(number).randbytes(200_000)).made)
    assert wal.stat().st_size < 4 << 20
    opened.close()


# SQL


def sql_of(tree: ast.Module) -> Iterator[tuple[int, ast.expr]]:
    """Yield what is given to a database as a statement."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("execute", "executemany", "executescript", "copy", "_select", "_patiently")
            and node.args
        ):
            yield node.lineno, node.args[0]


def names_in(statement: ast.expr) -> Iterator[str]:
    """Yield the expressions that are put into a statement's text."""
    for node in ast.walk(statement):
        if isinstance(node, ast.FormattedValue):
            yield ast.unparse(node.value)
        elif (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod)) or (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format"
        ):
            yield ast.unparse(node)


def put_in(
    source: Path,
    statements: Callable[[ast.Module], Iterator[tuple[int, ast.expr]]],
    looked_at: Collection[str],
) -> list[tuple[int, str]]:
    """Return what is put into the text of a file's statements and was not looked at, with its line."""
    tree = ast.parse(source.read_text(encoding="utf-8"))
    found = {(line, name) for line, statement in statements(tree) for name in names_in(statement)}
    return sorted((line, name) for line, name in found if name not in looked_at)


PUT_IN = {
    # names of columns and tables that stand in this module, given by its own functions alone
    "column",
    "table",
    "side",
    "which",
    "where",
    "query",
    "', '.join(key)",
    "column}, {', '.join(key)",
    # as many question marks as there are values
    "','.join('?' * len(chunk))",
    # a condition and numbers of ours
    "BLOCK",
    "BLOCKS",
    "BUSY_SECONDS * 1000",
    "CACHE_KIB",
    "SILENT_MS",
    "BODIES",
    "PACKED",
    "_EVENTS",
    "order",
    "bodies.BODIES",
    "APPLICATION_ID",
    "CHAIN_ID",
    "PAGES_AT_ONCE",
    "WAL_BYTES",
    "CHECKPOINT_PAGES",
}
"""What may be put into the text of a statement; each was looked at: none of it comes from an app."""

STORE = sorted((ROOT / "core" / "becausal" / "store" / "sqlite").rglob("*.py"))


@pytest.mark.parametrize("source", STORE, ids=lambda source: source.name)
def test_no_value_is_ever_put_into_the_text_of_a_statement(source: Path) -> None:
    assert not put_in(source, sql_of, PUT_IN)


BEGINS_SQL = re.compile(
    r"\s*(SELECT|INSERT|DELETE|UPDATE|COPY|CREATE|DROP|ALTER|GRANT|REVOKE|BEGIN|WITH|VACUUM)\b"
)


def texts_of_sql(tree: ast.Module) -> Iterator[tuple[int, ast.expr]]:
    """Yield what is given to a PostgreSQL, and every text that is put together and begins as a statement does."""
    yield from sql_of(tree)
    for node in ast.walk(tree):
        first: ast.expr | None = None
        if isinstance(node, ast.JoinedStr) and node.values:
            first = node.values[0]
        elif isinstance(node, ast.BinOp):
            first = node.left
        if isinstance(first, ast.Constant) and BEGINS_SQL.match(str(first.value)):
            assert isinstance(node, ast.expr)
            yield node.lineno, node


def is_composed(name: str) -> bool:
    """Say whether psycopg puts a text of ours together with quoted names, and quotes them itself."""
    call = ast.parse(name, mode="eval").body
    return (
        isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Call)
        and ast.unparse(call.func.value.func) == "sql.SQL"
        and all(isinstance(one, ast.Constant) for one in call.func.value.args)
        and not any(isinstance(one, ast.JoinedStr) for one in ast.walk(call))
    )


PUT_IN_POSTGRES = {
    # names of columns and tables, orders and conditions that stand in these modules
    "COLUMNS",
    "IN_ORDER",
    "SAID",
    "_ROOT",
    "columns",
    "table",
    "which",
    "mode",
    "', '.join(StepRow._fields)",
    "', '.join((f'steps.{name}' for name in StepRow._fields))",
    "_UNUSED.format(table=table)",
    "'WHERE chain_id BETWEEN %(prefix)s AND %(prefix)s || chr(1114111)' if prefix else ''",
    # as the catalogue names the columns of our own tables
    "', '.join(names)",
    # as many placeholders as there are values
    "', '.join(['%s'] * len(names))",
    # a number, within a literal that psycopg writes
    "day + 1",
    # printed for somebody to run, with a name that `place` has quoted, and a number of ours
    "name",
    "FORMAT",
}
"""As `PUT_IN`, of the store in PostgreSQL."""

POSTGRES = sorted((ROOT / "core" / "becausal" / "store" / "postgres").rglob("*.py"))


@pytest.mark.parametrize("source", POSTGRES, ids=lambda source: source.name)
def test_no_value_is_ever_put_into_the_text_of_a_statement_for_postgres(source: Path) -> None:
    found = put_in(source, texts_of_sql, PUT_IN_POSTGRES)
    assert [(line, name) for line, name in found if not is_composed(name)] == []


def test_a_composed_statement_is_told_from_one_that_is_formatted() -> None:
    assert is_composed("sql.SQL('DROP TABLE {}').format(sql.Identifier(name))")
    assert not is_composed("sql.SQL(f'DROP TABLE {name}').format(x)")
    assert not is_composed("'DROP TABLE {}'.format(name)")
    tree = ast.parse("query = f'SELECT {agent}'; other = 'SELECT ' + agent")
    assert len([name for _, statement in texts_of_sql(tree) for name in names_in(statement)]) == 2


def test_the_search_for_values_in_statements_finds_them() -> None:
    tree = ast.parse(
        "c.execute(f'SELECT {agent}'); c.execute('SELECT ' + agent); c.execute('{}'.format(agent))"
    )

    assert len([name for _, statement in sql_of(tree) for name in names_in(statement)]) == 3


HOSTILE = "'; DROP TABLE steps; --\" \\ % _ ? :a {x} \x00"


@pytest.mark.parametrize("place", ["chain_id", "name", "agent", "error", "anchor", "gap", "memory"])
def test_no_text_of_an_app_is_taken_for_sql(store: str, place: str) -> None:
    opened = open_store(store)
    record = run_of(1)
    step = record.made[0]
    hostile = HOSTILE.replace("\x00", "") if place == "memory" else HOSTILE

    def rename() -> None:
        for one in record.made:
            one.chain_id = hostile

    changes: dict[str, Callable[[], object]] = {
        "chain_id": rename,
        "name": lambda: setattr(step, "name", hostile),
        "agent": lambda: setattr(step, "agent", hostile),
        "error": lambda: setattr(step, "error", hostile),
        "anchor": lambda: step.anchor(hostile),
        "gap": lambda: opened.add_gaps({hostile: 1}),
        "memory": lambda: None,
    }
    changes[place]()
    opened.write(record.made)
    if place == "memory":
        memory = becausal.Memory(hostile, store=store)
        memory.write(hostile, hostile, reason=hostile)
        assert memory.read(hostile) == hostile
        memory.close()
    upkeep = upkeep_of(opened)
    assert upkeep is not None
    upkeep.mark(record.made[0].chain_id, "pinned")
    upkeep.erase(Erasure((HOSTILE[:12], "not there"), reason=hostile), dry_run=True)
    upkeep.forget([hostile + "x"])
    assert opened.anchored(hostile + "x") is None

    assert len(opened.load(record.made[0].chain_id)) == 2
    assert opened.chains(prefix=record.made[0].chain_id[:4])
    opened.close()


def test_writers_do_not_wait_for_a_thread_that_never_comes_back(store: str) -> None:
    """Opening and closing stores from many threads at once ends."""
    opened = open_store(store)
    at_once([partial(opened.write, run_of(number).made) for number in range(8)])

    assert len(opened.chains()) == 8
    opened.close()
