"""One damaged thing keeps nothing else out of the sink: it is named, and it comes once it can be read."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.core.builders import open_step
from tests.core.sinks import cut_off, filled, opened, remember

from becausal.errors import StoreError, StoreFormatError
from becausal.payload import Payload
from becausal.run import Run
from becausal.sink import Copied, copy_all, row
from becausal.store import Store, open_store

FIRST, SECOND = "a" * 32, "b" * 32

OF_A_RUN = "WHERE chain_no = (SELECT chain_no FROM chains WHERE chain_id LIKE 'aaaa%')"

BROKEN = {
    "a memory's key": (
        "UPDATE memory_events SET key = CAST(CAST(key AS BLOB) || x'ff' AS TEXT) WHERE memory = 'notes'",
        ["the memory notes"],
    ),
    "attributes": (f"UPDATE steps SET attributes = '[1]' {OF_A_RUN}", [FIRST]),
    "decisions": (f"UPDATE steps SET choices = '[[1, 2, 3]]' {OF_A_RUN}", [FIRST]),
    "a size less than nothing": ("UPDATE blobs SET total_size = -5 WHERE type IS NOT NULL", []),
    "a count less than nothing": ("UPDATE gaps SET count = -4", []),
}


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    path = tmp_path / "whole.db"
    with closing(open_store(str(path))) as store:
        filled(store, cut_off(FIRST), cut_off(SECOND))
        remember(store, "tier", "gold")
        remember(store, "city", "Berlin", memory="others")
        store.add_gaps({"queue full": 1})
    return path


@pytest.fixture(params=BROKEN)
def broken(request: pytest.FixtureRequest, whole: Path, tmp_path: Path) -> Iterator[tuple[Store, list[str]]]:
    statement, named = BROKEN[request.param]
    path = tmp_path / "broken.db"
    with closing(sqlite3.connect(whole)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(whole, path)
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute(statement).rowcount > 0
    with closing(open_store(str(path))) as store:
        yield store, named


@pytest.mark.parametrize("contents", [True, False])
def test_what_is_damaged_in_the_file_is_named_and_all_else_is_sent(
    contents: bool, broken: tuple[Store, list[str]], whole: Path, sink_url: str
) -> None:
    store, named = broken
    with opened(f"{sink_url}?source=here") as sink:
        copied = copy_all(store, sink, contents=contents)

        assert [one.partition(": ")[0] for one in copied.broken] == named
        runs = {chain_id for (chain_id,) in sink.rows("SELECT chain_id FROM runs FINAL")}
        assert runs == {FIRST, SECOND} - set(named)
        memories = {memory for (memory,) in sink.rows("SELECT memory FROM memory_events FINAL")}
        assert memories == {"notes", "others"} - ({"notes"} if named == ["the memory notes"] else set())
        assert sink.rows("SELECT reason FROM gaps FINAL") == [("queue full",)]

        with closing(open_store(str(whole))) as repaired:
            assert copy_all(repaired, sink, contents=contents).broken == []
            assert sink.rows("SELECT count() FROM runs FINAL") == [(2,)]
            assert sink.rows("SELECT count() FROM memory_events FINAL") == [(2,)]


def test_a_content_that_could_not_be_read_once_is_sent_with_the_next_run_that_has_it(
    kept: Store, sink_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(kept, cut_off(FIRST), cut_off(SECOND))
    made = row.content_row
    failed: list[str] = []

    def failing_once(payload: Payload) -> tuple[object, ...]:
        if not failed:
            failed.append(payload.digest)
            raise StoreFormatError("the body is damaged")
        return made(payload)

    monkeypatch.setattr(row, "content_row", failing_once)
    with opened(sink_url) as sink:
        assert copy_all(kept, sink, contents=True).broken == [f"{FIRST}: the body is damaged"]

        assert sink.rows("SELECT chain_id FROM runs") == [(SECOND,)]
        digests = {digest for (digest,) in sink.rows("SELECT digest FROM contents")}
        sides = [side for step in kept.load(SECOND) for side in (step.received, step.produced) if side]
        assert {side.digest for side in sides} <= digests


def test_a_judgement_that_fails_in_whatever_way_keeps_no_run_back(
    kept: Store, sink_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(kept, cut_off(FIRST), cut_off(SECOND))

    def failing(run: Run) -> None:
        raise KeyError("secretword")

    monkeypatch.setattr(Run, "findings", property(failing))
    with opened(sink_url) as sink:
        copied = copy_all(kept, sink)

        assert copied.runs == 2
        assert len(copied.broken) == 2
        assert all("(KeyError)" in one and "secretword" not in one for one in copied.broken)


def test_a_store_that_does_not_answer_ends_the_copy(
    kept: Store, sink_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.write([open_step(1)])

    def away(chain_id: str, ids: object = None) -> object:
        raise StoreError("the server is away")

    with opened(sink_url) as sink:
        with monkeypatch.context() as cut:
            cut.setattr(kept, "load", away)
            with pytest.raises(StoreError, match="the server is away"):
                copy_all(kept, sink)
        assert copy_all(kept, sink) == Copied(runs=1, steps=1)
