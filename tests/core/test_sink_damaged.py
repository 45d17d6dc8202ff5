"""Erasing where the store cannot do it, or not all of it: the sink is reached all the same, and both are told."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.core.builders import Record
from tests.core.sinks import opened, remember, text_of_all

from becausal.cli import main
from becausal.errors import StoreError
from becausal.store import open_store
from becausal.store.sqlite.upkeep import SQLiteUpkeep

NAME = "Jane Müller-Nobody"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "runs.db"
    with closing(open_store(str(path))) as store:
        for number, name in enumerate((NAME, "Mr. Other")):
            record = Record(f"{number + 1:x}" * 32, started_ns=1_790_000_000 * 10**9)
            with record.step("agent", "clerk", received=f"Write to {name}") as agent:
                agent.produces("done")
            store.write(record.made)
        remember(store, "who", f"{NAME} likes tea")
    return path


def exported(path: Path, sink_url: str, monkeypatch: pytest.MonkeyPatch, *how: str) -> None:
    monkeypatch.setenv("BECAUSAL_SINK", sink_url)
    assert main(["export", "all", "--to", *how, "--store", str(path)]) == 0


def spoil(path: Path) -> None:
    """Damage a page of what the sink does not ask for."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'marks'").fetchone()
    with path.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xff" * 4096)


def test_where_the_store_is_too_damaged_to_be_erased_from_the_sink_is_and_both_are_told(
    path: Path, sink_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    exported(path, sink_url, monkeypatch, "--contents")
    spoil(path)
    before = path.read_bytes()
    capsys.readouterr()

    assert main(["erase", "--text", NAME, "--yes", "--store", str(path)]) == 2

    told = capsys.readouterr().err
    assert "nothing was erased" in told
    assert "Carry the runs to a new store and erase there, then delete this file" in told
    assert "becausal export all -o FILE, becausal import FILE --store NEW" in told
    assert "As for the sink: 1 run deleted from the sink chdb://" in told
    assert "the next export of this store sends them again" in told
    assert path.read_bytes() == before
    with opened(sink_url) as sink:
        said = text_of_all(sink)
        assert NAME not in said
        assert "Mr. Other" in said


def test_without_yes_neither_is_touched(
    path: Path, sink_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    exported(path, sink_url, monkeypatch, "--contents")
    spoil(path)

    assert main(["erase", "--text", NAME, "--store", str(path)]) == 2

    assert "As for the sink" not in capsys.readouterr().err
    with opened(sink_url) as sink:
        assert NAME in text_of_all(sink)


def test_where_neither_can_be_erased_from_both_are_told(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("clickhouse_connect")
    spoil(path)
    monkeypatch.setenv("BECAUSAL_SINK", "clickhouse://me:word@127.0.0.1:1/becausal")

    assert main(["erase", "--text", NAME, "--yes", "--store", str(path)]) == 2

    told = capsys.readouterr().err
    assert "nothing was erased" in told
    assert "As for the sink: the sink may still hold it" in told
    assert "it is erased from the store" not in told
    assert ":word@" not in told


def test_where_space_cannot_be_given_back_it_is_said_that_it_is_erased_and_the_sink_s_digests_are_too(
    path: Path, sink_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    exported(path, sink_url, monkeypatch)  # without contents: only the store knows which digests held it

    def full(self: SQLiteUpkeep, *, whole: bool = False) -> None:
        raise StoreError("rewriting it failed (database or disk is full)")

    monkeypatch.setattr(SQLiteUpkeep, "release", full)
    capsys.readouterr()

    assert main(["erase", "--text", NAME, "--yes", "--store", str(path)]) == 2

    told = capsys.readouterr().err
    assert "it is erased, but what was deleted may still stand in what the store has of free space" in told
    assert "becausal prune --compact" in told
    assert "disk is full" in told
    assert "As for the sink: 1 run deleted from the sink chdb://" in told
    with opened(sink_url) as sink:
        assert sink.rows("SELECT chain_id FROM runs FINAL") == [("2" * 32,)]
