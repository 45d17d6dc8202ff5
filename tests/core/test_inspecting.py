"""An app that records to a store that is not whole, or cannot be written, hears of it once, in a line, and goes on."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

import becausal
from becausal.doctor import Check, diagnose
from becausal.doctor.losing import look_at_gaps
from becausal.errors import StoreFormatError
from becausal.inspecting import FOUND_DAMAGED
from becausal.store import open_store
from becausal.store.sqlite.looking import damages


@pytest.fixture
def path(store: str) -> Path:
    return Path(store.removeprefix("sqlite:///"))


def spoil_what_no_write_meets(path: Path) -> None:
    """Spoil the page of a table that stays empty."""
    with closing(sqlite3.connect(path)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'erasures'").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    whole = bytearray(path.read_bytes())
    whole[(root - 1) * size : root * size] = b"\xff" * size
    path.write_bytes(whole)


def record(*names: str) -> None:
    for name in names:
        with becausal.chain(name, id=name), becausal.agent("a", received=name):
            pass
        assert becausal.flush()


def test_an_app_that_records_to_a_damaged_file_is_warned_once_and_keeps_what_it_records(
    store: str, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    open_store(store).close()
    spoil_what_no_write_meets(path)

    becausal.instrument(store=store)
    record("first", "second", "third")
    becausal.uninstrument()

    (told,) = [record for record in caplog.records if record.name == "becausal"]
    assert (told.levelname, told.exc_info) == ("WARNING", None)
    assert "becausal.db is damaged: " in told.getMessage()
    assert "becausal doctor" in told.getMessage()
    runs = becausal.open(store)
    assert len(runs.list()) == 3
    assert runs.gaps() == {FOUND_DAMAGED: 1}
    runs.close()
    (line,) = diagnose(store, checks=(Check("losses", look_at_gaps),)).sections[0].lines
    assert line.says == f"not recorded: 1 ({FOUND_DAMAGED})"
    assert "becausal export all" in line.do


def test_an_app_whose_store_is_whole_hears_nothing(store: str, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        becausal.instrument(store=store)
        record("run")
        becausal.uninstrument()

    assert caplog.messages == []


def test_damage_that_the_writing_meets_is_told_in_one_line_and_its_traceback_to_who_debugs(
    store: str, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    becausal.instrument(store=store)
    record("first")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE steps")

    with caplog.at_level(logging.DEBUG, "becausal"):
        record("second", "third")
        becausal.uninstrument()

    (told,) = [record for record in caplog.records if record.levelno > logging.DEBUG]
    assert (told.levelname, told.exc_info) == ("ERROR", None)
    assert "cannot write" in told.getMessage()
    assert "becausal.db is damaged" in told.getMessage()
    assert "\n" not in told.getMessage()
    assert [record.levelname for record in caplog.records if record.exc_info] == ["DEBUG"]


APP = """
import os, resource, shutil, sys
import becausal
folder, how = sys.argv[1:]
becausal.instrument(store=folder + "/runs.db")
def run():
    with becausal.chain("run"), becausal.agent("a", received=os.urandom(100_000)):
        pass
    becausal.flush()
run()
if how == "full":
    resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
else:
    shutil.rmtree(folder)
    open(folder, "w").close()
for _ in range(4):
    run()
print("the app is done")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit there, and what is open stays")
@pytest.mark.parametrize(
    ("how", "says"), [("full", "the disk does not take or give it"), ("gone", "choose another path")]
)
def test_a_store_that_cannot_be_written_puts_one_line_on_the_app_s_stderr(
    tmp_path: Path, how: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BECAUSAL_STRICT")
    (tmp_path / "folder").mkdir()

    done = subprocess.run(
        [sys.executable, "-c", APP, str(tmp_path / "folder"), how], capture_output=True, text=True
    )

    assert (done.returncode, done.stdout) == (0, "the app is done\n")
    (line,) = done.stderr.splitlines()
    assert line.startswith("becausal cannot write ")
    assert says in line


def test_a_look_at_a_large_file_ends_in_time_though_it_is_within_one_table(
    path: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store(store).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE large(content BLOB)")
        connection.executemany("INSERT INTO large VALUES (zeroblob(?))", [(100,)] * 400_000)
        connection.commit()
    spoil_what_no_write_meets(path)
    monkeypatch.setattr("becausal.store.sqlite.looking.AGAIN_S", 0.0)

    with pytest.raises(StoreFormatError):
        [*damages(path, 60.0, pages_alone=True)]
    assert [*damages(path, -1.0, pages_alone=True)] == []
