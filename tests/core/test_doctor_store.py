"""The promise: the doctor says how the store is reached, who may read it and how long it keeps, and what to do."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from pathlib import Path

import pytest
from tests.core.builders import research_team

from becausal.bounds import Retention
from becausal.doctor import CHECKS, Check, Line, Patient, diagnose, serving
from becausal.doctor.bounding import look_at_bounds, look_at_exposure
from becausal.doctor.check import examined
from becausal.doctor.keeping import look_at_contents
from becausal.doctor.serving import look_at_answers, look_at_rights, look_at_server
from becausal.settings import Settings
from becausal.views import checkup

ALL = tuple(
    Check("store", look)
    for look in (
        *(look_at_server, look_at_rights, look_at_contents),
        *(look_at_answers, look_at_bounds, look_at_exposure),
    )
)


def lines(url: str) -> list[Line]:
    return [line for section in diagnose(url, checks=ALL).sections for line in section.lines]


def test_a_store_that_others_may_open_is_told_with_the_command_that_closes_it(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    research_team().write(f"sqlite:///{path}")
    assert [line.grade for line in lines(str(path)) if "owner alone" in line.says] == ["well"]
    path.chmod(0o644)

    told, *_ = (line for line in lines(str(path)) if line.grade == "trouble")

    assert told.says == f"{path} can be read by others (mode 644)"
    assert told.do == f"chmod 600 {path}"
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    (tmp_path / "redaction.key").touch(0o640)
    assert any("redaction.key can be read by others (mode 640)" in line.says for line in lines(str(path)))


@pytest.mark.parametrize("there", ["a directory", "a text"])
def test_what_is_no_store_is_not_told_to_be_closed_to_others(tmp_path: Path, there: str) -> None:
    path = tmp_path / "dir.db"
    path.mkdir(0o755) if there == "a directory" else path.write_text("hello")
    path.chmod(0o755)

    told = lines(str(path))

    assert [line for line in told if "chmod" in line.do or "owner" in line.says] == []


@pytest.mark.parametrize("closed", ["file", "folder", "folder of none"])
def test_a_file_that_cannot_be_written_is_told_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed: str
) -> None:
    path = tmp_path / "runs.db"
    if closed != "folder of none":
        research_team().write(f"sqlite:///{path}")
        assert [line.grade for line in lines(str(path)) if "may write" in line.says] == ["well"]
    refused = path if closed == "file" else tmp_path
    allows = os.access  # what it says of a mode: a user who may write everywhere runs tests, too
    monkeypatch.setattr(os, "access", lambda at, how: Path(at) != refused and allows(at, how))

    (told,) = (line for line in lines(str(path)) if line.figures.get("may_write") is False)

    assert told.grade == "trouble"
    assert told.says.startswith(f"{refused} cannot be written to")
    assert str(refused) in told.do
    assert "BECAUSAL_STORE" in told.do


@pytest.mark.parametrize(
    "damage",
    ["UPDATE packs SET data = x'28b52ffd'", "UPDATE packs SET codec = 0, data = zeroblob(100000)"],
)
def test_a_store_whose_contents_are_not_what_was_written_is_trouble(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "runs.db"
    research_team().write(f"sqlite:///{path}")
    assert [line.grade for line in lines(str(path)) if "as they were written" in line.says] == ["well"]
    with sqlite3.connect(path) as connection:
        connection.execute(damage)
    connection.close()

    (told,) = (line for line in lines(str(path)) if line.figures.get("is_damaged"))

    assert told.grade == "trouble"
    assert "damaged" in told.says or "not what was written" in told.says
    assert "put a backup in its place" in told.do


def test_a_store_that_is_slow_to_answer_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "runs.db"
    research_team().write(f"sqlite:///{path}")
    assert any("it answers in" in line.says and line.grade == "well" for line in lines(str(path)))
    monkeypatch.setattr(serving, "SLOW_MS", 0.0)

    assert any("it answers in" in line.says and line.grade == "advice" for line in lines(str(path)))


def test_what_is_kept_and_for_how_long_is_told() -> None:
    kept = Settings(retention=Retention.read("30d, 5GB"), max_payload_bytes=None)
    checks = (Check("store", look_at_bounds),)

    (bounded,) = examined(Patient("x", settings=kept), checks)
    (unbounded,) = examined(Patient("x"), checks)

    assert [line.grade for line in bounded.lines] == ["well", "well"]
    assert "30d, 5GB" in bounded.lines[0].says
    assert "everything of a payload, 1024 MB of a run's bodies" in bounded.lines[1].says
    assert unbounded.lines[0].grade == "advice"
    assert "BECAUSAL_RETENTION" in unbounded.lines[0].do


def test_a_server_is_named_with_its_version_and_what_it_lets_us_do(postgres_url: str) -> None:
    research_team().write(postgres_url)

    told = lines(postgres_url)

    assert [line.grade for line in told if "the server is PostgreSQL" in line.says] == ["well"]
    assert any(line.figures.get("may_write") is True for line in told)
    assert any("it answers in" in line.says for line in told)


def test_a_server_that_does_not_let_us_write_is_trouble() -> None:
    class Closed:
        def server(self) -> tuple[str, bool]:
            return "17.2", False

    (section,) = examined(Patient("x", store=Closed()), (Check("store", look_at_server),))  # type: ignore[arg-type]

    assert section.lines[0].grade == "trouble"
    assert section.lines[0].do.startswith("GRANT")


def test_the_document_has_every_key_that_the_json_has(tmp_path: Path) -> None:
    told = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text(encoding="utf-8")
    shape = json.loads(told.partition("```json\n")[2].partition("```")[0])
    path = tmp_path / "runs.db"
    research_team().write(f"sqlite:///{path}")

    found = diagnose(str(path), checks=(Check("store", look_at_exposure),))
    made = json.loads(json.dumps(checkup.json(found)))

    assert set(made) == set(shape)
    for name in ("adapters", "foreign", "sections"):
        for one in made[name]:
            assert set(one) == set(shape[name][0])
    assert set(made["store"]) == set(shape["store"])
    assert set(made["sections"][0]["lines"][0]) == set(shape["sections"][0]["lines"][0])
    for check in CHECKS:
        assert check.title in told
