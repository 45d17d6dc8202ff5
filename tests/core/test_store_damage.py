"""A damaged file: what is whole goes on working, and what is not is told as damage and nothing else."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from tests.core.builders import open_step

from becausal import semconv
from becausal.bounds import Retention
from becausal.canonical import parse_digest
from becausal.cli import main
from becausal.errors import DamagedContentError, StoreFormatError
from becausal.payload import Payload
from becausal.sealing import Sealer
from becausal.step import OpenStep
from becausal.store import Store, open_store
from becausal.store.retention import prune
from becausal.store.upkeep import Erasure, Upkeep, upkeep_of

DAMAGES = {
    "a pack": "UPDATE packs SET data = substr(data, 1, 20)",
    "a pack that is short": "UPDATE packs SET codec = 0, data = x'00'",
    "a pack that says it is huge": "UPDATE packs SET codec = 1, data = x'28b52ffde000000000000004000100'",
    "places in packs": "UPDATE blobs SET data = NULL WHERE codec = 4",
    "places that are others": "UPDATE blobs SET data = x'0003000999' WHERE codec = 4",
    "bodies": "UPDATE blobs SET data = x'28b52ffd' WHERE codec < 16",
    "bodies that are none": "UPDATE blobs SET data = NULL",
    "lists of blocks": "UPDATE blobs SET data = substr(data, 5) WHERE codec = 2",
    "blocks": "UPDATE blobs SET data = x'28b52ffd' WHERE codec >= 16",
    "blocks that are none": "UPDATE blobs SET data = NULL WHERE codec >= 16",
    "codecs": "UPDATE blobs SET codec = 3",
    "attributes": "UPDATE steps SET attributes = substr(attributes, 1, 30)",
    "attributes that are none": "UPDATE steps SET attributes = '[\"becausal.kept\"]'",
    "names": "DELETE FROM names",
    "what is said of contents": "UPDATE blobs SET type = 999, lossy = '{'",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


def filled(path: Path) -> list[Payload]:
    """Fill a store with four runs that have contents of every sort; return what they received."""
    store, sealer = open_store(f"sqlite:///{path}"), Sealer(keeps_bodies=True, holds_whole=False)
    payloads = []
    for number in range(4):
        made = run(number)
        given, received, produced = (
            sealer.seal(value)
            for value in (
                f"{number} and 5 " * 60,
                [f"{number}, {n} " * 60 for n in range(9)],
                f"{number} " * 200_000,
            )
        )
        made.received, made.produced = received.payload, produced.payload
        made.bodies = [*given.bodies, *received.bodies, *produced.bodies]
        made.attributes = {semconv.KEPT + "given": given.payload.digest}
        payloads.append(received.payload)
        store.write([made])
    store.close()
    return payloads


def run(number: int) -> OpenStep:
    return open_step(id=f"{number + 1:016x}", chain_id=f"c{number}")


def damaged(path: Path, damage: str) -> None:
    with sqlite3.connect(path) as connection:
        assert connection.execute(damage).rowcount
    connection.close()


def root_lost(path: Path, name: str) -> None:
    """Put a page of an index without an entry in the place of a table's or an index's first one."""
    with sqlite3.connect(path) as connection:
        query = "SELECT rootpage FROM sqlite_master WHERE name = ?"
        (root,) = connection.execute(query, (name,)).fetchone()
    connection.close()
    whole = bytearray(path.read_bytes())
    whole[(root - 1) * 4096 : root * 4096] = b"\x0a\0\0\0\0\x10\0\0".ljust(4096, b"\0")
    path.write_bytes(whole)


def kept(store: Store) -> Upkeep:
    upkeep = upkeep_of(store)
    assert upkeep is not None
    return upkeep


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_whatever_is_damaged_nothing_fails_but_with_damage_told(path: Path, damage: str) -> None:
    payloads = filled(path)
    damaged(path, damage)
    store = open_store(f"sqlite:///{path}")
    upkeep = kept(store)
    doings: list[Callable[[], object]] = [
        upkeep.ages,
        lambda: store.load("c0"),
        lambda: store.body(parse_digest(payloads[0].digest)),
        lambda: upkeep.forget(["c1"]),
        lambda: upkeep.erase(Erasure(texts=("2 and 5",))),
        lambda: upkeep.erase(Erasure(chain_id="c3")),
        lambda: upkeep.release(whole=True),
    ]
    for doing in doings:
        with suppress(StoreFormatError):
            doing()
    upkeep.sweep()  # goes on, whatever it meets
    store.close()


@pytest.mark.parametrize("damage", [one for one in DAMAGES if one != "names"])
def test_a_sweep_takes_nothing_from_the_runs_that_are_whole_where_others_are_damaged(
    path: Path, damage: str
) -> None:
    filled(path)
    changes, _, where = DAMAGES[damage].partition(" WHERE ")
    _, table, *_ = changes.split()
    third = "(SELECT pack_no FROM packs ORDER BY pack_no LIMIT 1 OFFSET 2)"  # each run has one; its numbers begin there
    of_others = {"blobs": f"blob_no >= {third}", "packs": f"pack_no >= {third}", "steps": "step_id > 2"}[
        table
    ]
    damaged(path, f"{changes} WHERE ({where or 1}) AND {of_others}")
    store = open_store(f"sqlite:///{path}")
    before = [payload.value() for payload in of_the_first_two(store)]

    kept(store).forget(["c3"])
    kept(store).sweep()

    assert [payload.value() for payload in of_the_first_two(store)] == before
    store.close()


def of_the_first_two(store: Store) -> list[Payload]:
    steps = [step for number in range(2) for step in store.load(f"c{number}")]
    found = [payload for step in steps for payload in (step.received, step.produced) if payload is not None]
    assert len(found) == 4
    return found


SECRET = "20 million \x1f of Jane"
NO_TEXT = "CAST(CAST({0} AS BLOB) || x'{1}ff' AS TEXT)".replace("{1}", SECRET.encode().hex())
"""What a flipped byte leaves: a column that is text to SQLite and no UTF-8."""

TEXTS = {
    "attributes": ("steps", "attributes", "chain c"),
    "a name": ("names", "name", "chain c"),
    "a chain's id": ("chains", "chain_id", "loading the chain"),
}


@pytest.mark.parametrize(("table", "column", "doing"), TEXTS.values(), ids=TEXTS)
def test_a_text_that_is_none_is_damage_told_without_what_stands_in_it(
    path: Path, table: str, column: str, doing: str
) -> None:
    filled(path)
    damaged(path, f"UPDATE {table} SET {column} = {NO_TEXT.format(column)}")
    store = open_store(f"sqlite:///{path}", read_only=True)
    refusals = []
    for asked in (store.chains, lambda: store.load(store.chains()[0].chain_id), kept(store).ages):
        try:
            asked()
        except StoreFormatError as refusal:
            refusals.append("".join(traceback.format_exception(refusal)))
    store.close()

    assert refusals
    assert any(re.search(f"runs.db is damaged: .*({doing}).* failed", told) for told in refusals)
    for told in refusals:
        assert "becausal doctor" in told
        assert "move it away" in told
        assert not re.search("million|Jane", told)


@pytest.mark.parametrize("spoiled", [b"dbta BLOB NOT NULL", b"data BLOB \xaaOT NULL"])
def test_a_schema_that_is_damaged_is_told_as_damage_whatever_became_of_it(path: Path, spoiled: bytes) -> None:
    filled(path)
    path.write_bytes(path.read_bytes().replace(b"data BLOB NOT NULL", spoiled))

    with pytest.raises(StoreFormatError, match="is damaged"):
        kept(open_store(f"sqlite:///{path}")).erase(Erasure(texts=("2 and 5",)))


@pytest.mark.parametrize("lost", ["the id", "the name", "the steps", "the attributes"])
def test_a_run_that_cannot_be_read_is_listed_as_damaged_and_the_others_as_ever(
    path: Path, lost: str, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(path)
    store = open_store(f"sqlite:///{path}")
    named = run(9)
    named.name = "Jane's question"
    store.write([named])
    whole = store.chains()
    store.close()
    damaged(
        path,
        {
            "the id": f"UPDATE chains SET chain_id = {NO_TEXT.format('chain_id')} WHERE chain_id = 'c9'",
            "the name": f"UPDATE names SET name = {NO_TEXT.format('name')} WHERE name LIKE 'Jane%'",
            "the steps": "DELETE FROM steps WHERE step_id = 10",
            "the attributes": "UPDATE steps SET attributes = '{' WHERE step_id = 10",
        }[lost],
    )
    store = open_store(f"sqlite:///{path}", read_only=True)
    listed = store.chains()
    for info in listed:
        if info.is_damaged:
            with pytest.raises(StoreFormatError, match="is damaged"):  # and is no empty run
                store.load(info.chain_id)
    store.close()

    if lost != "the attributes":  # a list of the library's does not look into steps
        assert [info for info in listed if not info.is_damaged] == [
            one for one in whole if one.chain_id != "c9"
        ]
        assert sum(info.is_damaged for info in listed) == 1
    assert main(["runs", "--store", str(path), "--json"]) == 1
    (told_as_damaged,) = [one for one in json.loads(capsys.readouterr().out) if one["damaged"]]
    assert told_as_damaged["chain_id"] not in ("c0", "c1", "c2", "c3")
    assert main(["runs", "--store", str(path)]) == 1
    told = capsys.readouterr().out
    assert "1 run cannot be read whole: becausal doctor says more" in told
    assert "c0" in told
    assert told_as_damaged["chain_id"] in told
    if lost not in ("the steps", "the attributes"):
        assert "(damaged " in told
        assert "million" not in told


LIMITED = """
import resource, sys
from becausal.errors import StoreError
from becausal.store import open_store
from tests.core.test_store_damage import run
store = open_store("sqlite:///" + sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
try:
    for number in range(200):
        made = run(number)
        made.error = "x" * 5_000
        store.write([made])
except StoreError as refusal:
    print(refusal)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit there")
def test_a_limit_of_the_files_size_is_named_where_it_may_be_in_the_way(path: Path) -> None:
    told = subprocess.run([sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True)

    assert "ulimit -f" in told.stdout, told.stderr
    assert "runs.db: writing 1 steps failed" in told.stdout


@pytest.mark.parametrize("lost", ["the id", "the steps", "the attributes"])
def test_a_damaged_run_can_be_pruned_and_the_others_stay(path: Path, lost: str) -> None:
    filled(path)
    damaged(
        path,
        {
            "the id": f"UPDATE chains SET chain_id = {NO_TEXT.format('chain_id')} WHERE chain_no = 1",
            "the steps": "DELETE FROM steps WHERE chain_no = 1",
            "the attributes": f"UPDATE steps SET attributes = {NO_TEXT.format('attributes')} WHERE chain_no = 1",
        }[lost],
    )
    store = open_store(f"sqlite:///{path}")
    (first, *others) = [age.chain_id for age in kept(store).ages()]

    done = prune(store, Retention(keep_last=3))

    assert done.chain_ids == (first,)
    assert sorted(info.chain_id for info in store.chains()) == sorted(others) == ["c1", "c2", "c3"]
    for other in others:
        assert store.load(other)
    assert not [info for info in store.chains() if info.is_damaged]
    store.close()


@pytest.mark.parametrize(
    "index", ["sqlite_autoindex_blobs_1", "steps_received", "steps_produced", "memory_log"]
)
def test_a_sweep_takes_nothing_from_a_run_for_an_index_that_has_lost_what_is_in_use(
    path: Path, index: str
) -> None:
    filled(path)
    store = open_store(f"sqlite:///{path}")
    before = [payload.value() for payload in of_the_first_two(store)]
    store.close()
    with sqlite3.connect(path) as connection:
        everything = connection.execute("SELECT count(*) FROM blobs").fetchone()
    connection.close()
    root_lost(path, index)
    store = open_store(f"sqlite:///{path}")

    with suppress(StoreFormatError):
        kept(store).sweep()
    store.close()

    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM blobs NOT INDEXED").fetchone() == everything
        connection.execute("REINDEX")
    connection.close()
    store = open_store(f"sqlite:///{path}")
    assert [payload.value() for payload in of_the_first_two(store)] == before
    store.close()


@pytest.mark.parametrize("index", ["chains_started", "sqlite_autoindex_chains_1"])
def test_runs_are_listed_though_an_index_has_lost_them(path: Path, index: str) -> None:
    filled(path)
    root_lost(path, index)
    store = open_store(f"sqlite:///{path}", read_only=True)

    assert sorted(info.chain_id for info in store.chains()) == ["c0", "c1", "c2", "c3"]
    assert [info.chain_id for info in store.chains(prefix="c2")] == ["c2"]
    assert store.chains(prefix="d") == []
    store.close()


def test_runs_are_listed_by_the_indexes_where_their_table_is_damaged(path: Path) -> None:
    filled(path)
    store = open_store(f"sqlite:///{path}")
    before = store.chains()
    store.close()
    root_lost(path, "chains")
    store = open_store(f"sqlite:///{path}", read_only=True)

    assert store.chains() == before
    assert store.chains(limit=2) == before[:2]
    assert store.chains(prefix="c2") == [info for info in before if info.chain_id == "c2"]
    store.close()


def test_a_run_that_is_whole_is_shown_and_judged_beside_one_that_is_damaged(
    path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    filled(path)
    damaged(path, "UPDATE steps SET attributes = '{' WHERE step_id = 2")

    for command in ("show", "why", "findings"):
        assert main([command, "c0", "--store", str(path)]) in (0, 1)
        assert capsys.readouterr().err == ""

    assert any(
        "the run c1, or one beside it, cannot be read and is left out" in one for one in caplog.messages
    )


def test_a_content_that_cannot_be_decoded_is_an_error_of_the_store_s_that_quotes_nothing(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    payloads = filled(path)
    damaged(path, "UPDATE blobs SET codec = 0, size = 5, data = x'c14a616e65' WHERE codec < 16")
    store = open_store(f"sqlite:///{path}", read_only=True)
    payload = store.load("c0")[0].received
    assert payload is not None
    assert payload.digest == payloads[0].digest
    with pytest.raises(DamagedContentError, match="a content is damaged: bc1-xxh3:"):
        payload.value()
    store.close()

    for command in ("show", "why", "blame", "report"):
        main([command, "c0", "--store", str(path)])  # ends with words, or without them, and with no traceback
        assert "Jane" not in capsys.readouterr().err


def test_nothing_is_pruned_where_two_tables_share_a_page_for_that_would_destroy_the_other(path: Path) -> None:
    filled(path)
    with sqlite3.connect(path) as connection:
        query = "SELECT rootpage FROM sqlite_master WHERE name = ?"
        (of_causes,) = connection.execute(query, ("causes",)).fetchone()
        (of_steps,) = connection.execute(query, ("steps",)).fetchone()
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_master SET rootpage = ? WHERE name = 'causes'", (of_steps,))
    connection.close()
    assert of_causes != of_steps
    before = path.read_bytes()
    store = open_store(f"sqlite:///{path}")

    with pytest.raises(StoreFormatError, match=r"nothing was let go.*becausal export all"):
        prune(store, Retention(keep_last=1))
    store.close()

    assert path.read_bytes() == before
