"""The commands about the sink: `export all --to`, and what `doctor` says of it."""

from __future__ import annotations

import builtins
import importlib
import json
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.core.builders import open_step
from tests.core.sinks import cut_off, opened

import becausal
from becausal.cli import main, sinking
from becausal.doctor import Check, diagnose
from becausal.doctor.sinking import look_at_sink
from becausal.errors import StoreError
from becausal.settings import shown_url
from becausal.store import open_store


def test_a_store_is_copied_by_one_command(
    store: str, sink_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cut_off().write(store)

    assert main(["export", "all", "--to", sink_url, "--store", store]) == 0
    told = capsys.readouterr().out
    assert told.startswith("1 run new or changed, 5 steps, 0 events of memories sent to chdb://")
    assert main(["export", "all", "--to", sink_url, "--store", store, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data == {
        **{"sink": sink_url, "runs": 0, "steps": 0, "contents": 0, "events": 0, "taken_out": 0},
        "broken": [],
    }


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["export", "last", "--to", "clickhouse://host/db"], "a sink takes what a whole store has"),
        (["export", "all", "--to", "clickhouse://host/db", "-o", "x"], "a sink takes what a whole store has"),
        (["export", "all", "--to"], "say which sink"),
        (["export", "all", "--to", "postgresql://host/db"], "is no URL of a ClickHouse: write clickhouse://"),
        (["export", "all", "--to", "clickhouse://host/da-ta"], "names no database"),
        (["export", "all", "--to", "clickhouse://u:pa55@host:port/db"], "is no URL of a ClickHouse"),
        (
            ["export", "all", "--to", "clickhouse://u:pa55@127.0.0.1:1/db?colour=1"],
            "a parameter that clickhouse",
        ),
        (["export", "all", "--to", "clickhouse://u:pa55@127.0.0.1:1/db"], "see that the server is running"),
        (["export", "all", "--to", "clickhouse://u:12/pa55@host/db"], "odd characters of a password as %40"),
        (["export", "all", "--to", "clickhouse://u:x/pa55@host/db"], "odd characters of a password as %40"),
        (["export", "all", "--to", "clickhouse://u:1?pa55@host/db"], "odd characters of a password as %40"),
        (["export", "all", "--to", "clickhouse://u:1#pa55@host/db"], "odd characters of a password as %40"),
        (["export", "all", "--to", "chdb:///proc/none/such"], "see that the folder can be written"),
    ],
)
def test_wrong_use_is_told_with_what_to_do_and_without_the_password(
    arguments: list[str],
    says: str,
    store: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("clickhouse_connect")
    monkeypatch.delenv("BECAUSAL_SINK", raising=False)
    cut_off().write(store)

    assert main([*arguments, "--store", store]) == 2
    told = capsys.readouterr()
    assert says in told.err
    assert "pa55" not in told.err
    assert told.out == ""


def test_without_the_client_it_is_said_what_to_install(
    store: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off().write(store)
    monkeypatch.delitem(sys.modules, "becausal.sink", raising=False)
    monkeypatch.delitem(sys.modules, "becausal.sink.place", raising=False)
    for name in [name for name in sys.modules if name.startswith(("becausal.sink", "clickhouse_connect"))]:
        monkeypatch.delitem(sys.modules, name)
    imported: Callable[..., Any] = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name.partition(".")[0] == "clickhouse_connect":
            raise ModuleNotFoundError("No module named 'clickhouse_connect'", name="clickhouse_connect")
        return imported(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    assert main(["export", "all", "--to", "clickhouse://host/db", "--store", store]) == 2
    assert "pip install 'becausal[clickhouse]'" in capsys.readouterr().err
    made = importlib.import_module("becausal.sink.schema").script()  # who only wants the SQL needs none
    assert "CREATE TABLE IF NOT EXISTS steps" in made


def test_again_and_again_goes_on_where_a_turn_fails(
    store: str, sink_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off("a" * 32).write(store)
    turns: list[float] = []
    once: Callable[..., Any] = sinking._once

    def turn(seconds: float) -> None:
        turns.append(seconds)
        if len(turns) == 3:
            raise KeyboardInterrupt
        cut_off(f"{len(turns):032x}").write(store)

    def failing(*arguments: Any) -> Any:
        if len(turns) == 1:
            raise StoreError("clickhouse://host: writing failed")
        return once(*arguments)

    monkeypatch.setattr(time, "sleep", turn)
    monkeypatch.setattr(sinking, "_once", failing)
    assert main(["export", "all", "--to", sink_url, "--every", "7", "--store", store]) == 130

    assert turns == [7, 7, 7]
    told = capsys.readouterr().err.splitlines()
    assert [line.partition(" new")[0].partition(": w")[0] for line in told] == [
        "becausal: 1 run",
        "becausal: clickhouse://host",
        "becausal: 2 runs",
        "becausal: interrupted",
    ]
    with opened(sink_url) as sink:
        assert sink.rows("SELECT count() FROM runs FINAL") == [(3,)]


def lines(store: str) -> list[tuple[str, str, dict[str, Any]]]:
    [section] = diagnose(store, checks=(Check("sink", look_at_sink),)).sections
    return [(line.grade, line.says, dict(line.figures)) for line in section.lines]


def test_the_doctor_names_the_sink_and_how_far_it_is_behind(
    store: str, sink_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off("a" * 32).write(store)
    monkeypatch.delenv("BECAUSAL_SINK", raising=False)
    assert lines(store) == []

    monkeypatch.setenv("BECAUSAL_SINK", sink_url)
    [(grade, says, figures)] = lines(store)
    assert grade == "trouble"
    assert "nothing has been exported to it yet" in says

    assert main(["export", "all", "--to", "--store", store]) == 0
    figures = {"sink": sink_url, "runs_behind": 0, "lag_s": 0, "erasures_waiting": 0}
    assert lines(store) == [("well", f"the sink {sink_url} has every run", figures)]

    writer = open_store(store)
    step = open_step(1, started_ns=time.time_ns() - 3_600 * 10**9)
    writer.write([step])
    [(grade, says, figures)] = lines(store)
    assert (grade, figures["runs_behind"]) == ("well", 1)
    assert 3_600 <= figures["lag_s"] <= 3_700
    assert main(["export", "all", "--to", "--store", store]) == 0
    assert lines(store)[0][1].endswith("has every run")  # though one of them is under way

    cut_off("b" * 32, started_ns=10**18).write(store)
    [(grade, says, figures)] = lines(store)
    assert grade == "advice"
    assert "lacks 1 run" in says
    writer.close()


def test_the_doctor_tells_of_an_erasure_that_no_copy_has_followed(
    store: str, sink_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off("a" * 32).write(store)
    monkeypatch.setenv("BECAUSAL_SINK", sink_url)
    assert main(["export", "all", "--to", "--contents", "--store", store]) == 0
    with becausal.open(store) as runs:
        runs.erase("500 units")

    [(grade, says, figures)] = lines(store)
    assert (grade, figures["erasures_waiting"]) == ("advice", 1)
    assert "may still hold what was erased from the store" in says
    assert main(["export", "all", "--to", "--contents", "--store", store]) == 0
    [(grade, says, figures)] = lines(store)
    assert (grade, figures["erasures_waiting"]) == ("well", 0)


def test_the_doctor_does_not_blame_the_sink_for_a_damaged_store(
    tmp_path: Path, sink_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "runs.db"
    cut_off().write(str(path))
    monkeypatch.setenv("BECAUSAL_SINK", sink_url)
    assert main(["export", "all", "--to", "--store", str(path)]) == 0
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'marks'").fetchone()
    with path.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xff" * 4096)

    [(grade, says, _)] = lines(str(path))
    assert grade == "trouble"
    assert says.startswith(f"{path} is damaged")
    assert "sink cannot be asked" not in says


@pytest.mark.parametrize(
    "said",
    [
        "access_token=SECRETJWT",
        "http_proxy=http://u:SECRETJWT@proxy:1",
        "https_proxy=http%3A%2F%2Fu%3ASECRETJWT%40p",
    ],
)
def test_no_secret_of_a_sinks_address_is_shown(
    said: str, store: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("clickhouse_connect")
    cut_off().write(store)
    url = f"clickhouse://127.0.0.1:1/db?source=here&{said}&secure=true"

    assert shown_url(url.replace("//", "//me:pa55@", 1)) == (
        f"clickhouse://me:***@127.0.0.1:1/db?source=here&{said.partition('=')[0]}=***&secure=true"
    )
    assert main(["export", "all", "--to", url, "--store", store]) == 2
    assert "SECRETJWT" not in capsys.readouterr().err
    monkeypatch.setenv("BECAUSAL_SINK", url)
    assert main(["doctor", "--store", store, "--json"]) in (0, 1, 2)
    assert "SECRETJWT" not in capsys.readouterr().out


def test_the_doctor_says_what_is_wrong_with_a_sink_and_hides_its_password(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("clickhouse_connect")
    cut_off().write(store)
    monkeypatch.setenv("BECAUSAL_SINK", "clickhouse://me:pa55@127.0.0.1:1/db")

    [(grade, says, figures)] = lines(store)
    assert grade == "trouble"
    assert "the sink cannot be asked" in says
    assert "pa55" not in f"{says}{figures}"
