"""The doctor and a damaged file: the damage is found, and told once and in words."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest
from tests.core.builders import open_step

from becausal.doctor import Check, Line, diagnose
from becausal.doctor.keeping import look_at_contents, look_at_damage, look_at_store
from becausal.doctor.timing import look_at_clock
from becausal.store import open_store

CHECKS = (
    Check("store", look_at_store),
    Check("store", look_at_damage),
    Check("store", look_at_contents),
    Check("clock", look_at_clock),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "runs.db"
    store = open_store(f"sqlite:///{path}")
    store.write([open_step(id=f"{number + 1:016x}", chain_id=f"c{number}") for number in range(3)])
    store.close()
    return path


def troubles(path: Path) -> list[Line]:
    sections = diagnose(f"sqlite:///{path}", checks=CHECKS).sections
    return [line for section in sections for line in section.lines if line.grade == "trouble"]


def changed(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as connection:
        assert connection.execute(statement).rowcount
    connection.close()


def test_a_whole_store_has_no_damage_to_tell(path: Path) -> None:
    assert troubles(path) == []


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        (
            "UPDATE steps SET attributes = CAST(x'4a616e65ff' AS TEXT) WHERE step_id = 1",
            r"1 text in its table steps cannot be read; of the newest 3 runs 1 cannot be loaded: c0$",
        ),
        (
            "UPDATE chains SET chain_id = CAST(x'4a616e65ff' AS TEXT) WHERE chain_no = 1",
            r"1 text in its table chains cannot be read; of the newest 3 runs 1 cannot be loaded: \(damaged",
        ),
        ("UPDATE steps SET attributes = '{' WHERE step_id = 2", "1 cannot be loaded: c1$"),
        (
            "INSERT INTO erasures VALUES (1, 1, CAST(x'ff' AS TEXT), '{}', '[]')",
            "1 text in its table erasures",
        ),
    ],
    ids=["attributes", "a chain's id", "no JSON", "where nobody loads it"],
)
def test_damage_is_found_wherever_it_is_and_told_once_in_words(path: Path, statement: str, says: str) -> None:
    changed(path, statement)

    (line,) = troubles(path)

    assert line.figures["is_damaged"]
    assert "move it away" in line.do
    assert not {"StoreError", "could not look", "Jane"} & {*line.says.split()}
    assert re.search(says, line.says), line.says


def test_flaws_of_pages_that_no_run_needs_are_found(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        ((root,),) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'erasures'"
        ).fetchall()
        ((size,),) = connection.execute("PRAGMA page_size").fetchall()
    connection.close()
    whole = bytearray(path.read_bytes())
    whole[(root - 1) * size : root * size] = b"\xff" * size
    path.write_bytes(whole)

    (line,) = troubles(path)

    assert "is damaged" in line.says
    assert line.says.count("runs.db") <= 1


def test_a_file_that_cannot_be_opened_is_told_once_with_its_path_once(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20_000])

    (line,) = troubles(path)

    assert line.says.count("runs.db") == 1
    assert "becausal doctor" not in line.do


def test_an_empty_file_is_advice_to_let_an_app_run(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    (section, *_) = diagnose(f"sqlite:///{tmp_path}/empty.db", checks=CHECKS).sections

    (line,) = section.lines
    assert line.grade == "advice"
    assert "becausal.instrument()" in line.do


def test_a_look_that_takes_too_long_is_left_off(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("becausal.doctor.keeping.PATIENCE_S", -1.0)
    changed(path, "UPDATE steps SET attributes = '{' WHERE step_id = 2")

    assert not any("cannot be loaded" in line.says for line in troubles(path))
