"""Erasing from a damaged file: what can be read is erased, and what cannot is named, with what to do about it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.core.builders import Record

from becausal.cli import main
from becausal.memory_event import NewEvent
from becausal.store import open_store
from becausal.store.upkeep import Erasure, upkeep_of

NAME = "Jane Doe-Nobody"
NUMBERS = (1, 2, 3)

SPOILED = "CAST(CAST({0} AS BLOB) || x'ff' AS TEXT)"
"""What a flipped byte leaves: a column that is text to SQLite and no UTF-8."""

OF_THE_SECOND = "WHERE chain_no = 2"

DAMAGES = {
    "attributes": (
        f"UPDATE steps SET attributes = {SPOILED.format('attributes')} {OF_THE_SECOND}",
        "its attributes",
    ),
    "attributes that are cut off": (
        f"UPDATE steps SET attributes = substr(attributes, 1, 40) {OF_THE_SECOND}",
        "its attributes",
    ),
    "an error": (
        f"UPDATE steps SET error = {SPOILED.format('error')} {OF_THE_SECOND} AND error IS NOT NULL",
        "its error",
    ),
    "decisions": (
        f"UPDATE steps SET choices = '{{' {OF_THE_SECOND} AND choices IS NOT NULL",
        "its decisions",
    ),
    "a name": (f"UPDATE names SET name = {SPOILED.format('name')} WHERE name = 'search 2'", "a name"),
    "the run's id": (f"UPDATE chains SET chain_id = {SPOILED.format('chain_id')} {OF_THE_SECOND}", "its id"),
    "contents": (
        f"UPDATE packs SET data = substr(data, 1, 20) WHERE pack_no IN (SELECT received FROM steps {OF_THE_SECOND})",
        "a content",
    ),
    "what is said of contents": (
        f"""UPDATE blobs SET lossy = '{{'
        WHERE blob_no = (SELECT produced FROM steps {OF_THE_SECOND} AND error NOT NULL)""",
        "a content",
    ),
}


def run_id(number: int) -> str:
    return f"{number:032x}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Three runs, each with the name wherever a text may be."""
    path = tmp_path / "runs.db"
    store = open_store(str(path))
    for number in NUMBERS:
        record = Record(run_id(number), started_ns=number * 10**9)
        with record.step(
            "workflow", f"team {number}", received=f"{NAME} asks {number}", produced=f"answer {number}"
        ) as team:
            team.step.error = f"{NAME} is not to be had, {number}"
            team.step.attributes = {"who": f"it was {NAME}, {number}", "more": "and so on"}
            team.decides("search", reason=f"{NAME} wants it, {number}")
            record.did("tool", f"search {number}", f"of {number}: {NAME}", f"found {number}: {NAME}")
        store.write(record.made)
    store.close()
    return path


def changed(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute(statement).rowcount
        connection.commit()


def asked(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    status = main(list(arguments))
    told = capsys.readouterr()
    assert told.err == ""
    return status, told.out


def said_of(path: Path, number: int) -> str:
    """Return all that a store tells of a run."""
    store = open_store(str(path), read_only=True)
    steps = store.load(run_id(number))
    said = [str((step, *(side.text() for side in (step.received, step.produced) if side))) for step in steps]
    store.close()
    return "\n".join(said)


@pytest.mark.parametrize(("damage", "what"), DAMAGES.values(), ids=DAMAGES)
def test_what_can_be_read_is_erased_and_what_cannot_is_named_with_its_run_and_what_to_do(
    path: Path, damage: str, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    changed(path, damage)

    status, told = asked(capsys, "erase", "--text", NAME, "--yes", "--store", str(path))

    assert status == 1
    (line,) = [line for line in told.splitlines() if line.endswith(f": {what}")]
    assert line.startswith("  run (damaged " if what == "its id" else f"  run {run_id(2)}, step ")
    assert "becausal erase --run RUN --yes" in told
    for whole in (1, 3):
        assert NAME not in said_of(path, whole)
        assert "[erased" in said_of(path, whole)
    status, told = asked(capsys, "erase", "--text", NAME, "--store", str(path), "--json")
    assert (status, len(json.loads(told)["unread"])) == (1, 1)  # it is told again, as long as it is there


@pytest.mark.parametrize(("damage", "what"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_run_that_is_erased_as_a_whole_holds_nothing_more_and_can_be_read(
    path: Path, damage: str, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    changed(path, damage)
    status, told = asked(capsys, "erase", "--text", NAME, "--yes", "--store", str(path), "--json")
    run = json.loads(told)["unread"][0]["chain_id"]

    status, told = asked(capsys, "erase", "--run", run, "--yes", "--store", str(path))

    assert (status, "damaged and cannot" in told) == (0, False)
    assert asked(capsys, "erase", "--text", NAME, "--store", str(path)) == (
        0,
        "nothing of it is in the store\n",
    )
    beside = (path.with_name(path.name + end) for end in ("", "-wal"))
    assert not any(b"Jane" in each.read_bytes() for each in beside if each.exists())
    assert asked(capsys, "runs", "--store", str(path))[0] == 0
    store = open_store(str(path), read_only=True)
    assert len(store.load(run)) == 2
    store.close()


def test_of_a_memory_s_key_all_contents_go_though_they_are_damaged(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = Record()
    store = open_store(str(path))
    with record.step("tool", "t") as made:
        content = record.seal(made.step, {"who": NAME, "text": f"said by {NAME} " * 40})
    for key in ("market", "other"):
        store.append(NewEvent("research", key, "write", 1, 1, content, agent="planner"), record.bodies)
    (number,) = {event.payload.digest for event in store.memory_events() if event.payload}
    store.close()
    changed(
        path,
        "UPDATE blobs SET codec = 1, data = x'28b52ffd' WHERE blob_no = (SELECT max(blob_no) FROM blobs)",
    )

    status, told = asked(capsys, "erase", "--text", NAME, "--yes", "--store", str(path))
    assert status == 1
    assert "  memory research, key market: a content" in told
    assert "becausal erase --memory NAME KEY --yes" in told
    for key in ("market", "other"):
        assert asked(capsys, "erase", "--memory", "research", key, "--yes", "--store", str(path))[0] == 0

    store = open_store(str(path), read_only=True)
    assert [event.payload and event.payload.is_kept for event in store.memory_events()] == [False, False]
    assert store.broken_link("research") is None
    store.close()
    assert number not in said_of(path, 1)


def test_texts_that_are_no_run_s_and_cannot_be_read_go_with_every_erasure(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = open_store(str(path))
    store.add_gaps({NAME: 1})
    store.append(NewEvent("research", NAME, "delete", 1, 1, agent=NAME), {})
    store.close()
    for table, column in (("gaps", "reason"), ("memory_events", "key"), ("memory_events", "agent")):
        changed(path, f"UPDATE {table} SET {column} = {SPOILED.format(column)}")

    status, told = asked(capsys, "erase", "--text", NAME, "--yes", "--store", str(path))

    assert (status, "        3  texts that could not be read" in told) == (0, True)
    assert b"Jane" not in path.read_bytes()
    store = open_store(str(path), read_only=True)
    (event,) = store.memory_events("research")
    assert event.agent is not None
    assert event.agent.startswith("(damaged ")
    assert store.broken_link("research") is None
    store.close()


def test_of_damaged_pages_nothing_is_erased_and_what_to_do_is_said(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(path)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'causes'").fetchone()
    whole = bytearray(path.read_bytes())
    whole[(root - 1) * 4096 : root * 4096] = b"\xff" * 4096
    path.write_bytes(whole)

    assert main(["erase", "--text", NAME, "--yes", "--store", str(path)]) == 2

    told = capsys.readouterr().err
    assert "nothing was erased" in told
    assert "becausal export all" in told
    assert "Jane" not in told


def test_where_the_order_of_a_page_is_damaged_nothing_is_erased_for_not_all_of_it_would_be(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(path)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'steps'").fetchone()
    whole = bytearray(path.read_bytes())
    page = whole[(root - 1) * 4096 : root * 4096]
    cells = page[8:12]
    page[8:12] = cells[2:] + cells[:2]  # two rows stand in each other's place: neither is found by its key
    whole[(root - 1) * 4096 : root * 4096] = page
    path.write_bytes(whole)

    assert main(["erase", "--text", NAME, "--yes", "--store", str(path)]) == 2

    assert "nothing was erased" in capsys.readouterr().err
    assert path.read_bytes().count(b"Jane") == bytes(whole).count(b"Jane")


@pytest.mark.parametrize("dry_run", [True, False])
def test_the_file_is_looked_over_before_others_have_to_wait_for_an_erasure(path: Path, dry_run: bool) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    store, seen = open_store(str(path)), []

    def told(doing: str, done: int, total: int) -> None:
        if doing == "looking over its pages":
            seen.append(done)
            if done == total:
                other.execute("COMMIT")  # only now what erases can begin to write

    upkeep = upkeep_of(store)
    assert upkeep is not None
    erased = upkeep.erase(Erasure((NAME,)), dry_run=dry_run, told=told)

    assert seen == [0, 1]
    assert erased.total
    store.close()
    other.close()
