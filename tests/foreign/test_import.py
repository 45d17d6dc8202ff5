"""`becausal import FILE` takes what others recorded, and says what it lacks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from becausal.cli import main

FIXTURES = Path(__file__).parent / "fixtures"


def test_a_file_of_spans_is_imported_and_blamed_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = str(tmp_path / "runs.db")

    imported = main(["import", str(FIXTURES / "autogen-native.json"), "--store", store])
    told = capsys.readouterr().out
    blamed = main(["blame", "last", "20 million", "--store", store])

    assert (imported, blamed) == (0, 0)
    assert "(GenAI, AutoGen)" in told or "(AutoGen, GenAI)" in told
    assert "no model call recorded" in told
    assert "1 run in " in told
    assert "revenue_database" in capsys.readouterr().out


def test_what_was_imported_is_told_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = str(tmp_path / "runs.db")

    main(["import", str(FIXTURES / "langgraph-langsmith.jsonl"), "--store", store, "--json"])

    (run,) = json.loads(capsys.readouterr().out)["runs"]
    assert (run["name"], run["steps"], run["dialects"], run["notes"]) == (
        "research team",
        13,
        ["LangSmith"],
        [],
    )


def test_a_file_that_is_no_trace_is_wrong_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "file.json"
    path.write_text('{"a": 1}')

    assert main(["import", str(path), "--store", str(tmp_path / "runs.db")]) == 2
    assert "holds no trace or log that is known" in capsys.readouterr().err


@pytest.mark.parametrize(
    "holds", [b"", b"\x00\xffrubbish", b"[]", b'{"resourceSpans": []}', b'{"messages": []}']
)
@pytest.mark.parametrize("is_input", [False, True])
def test_of_nothing_and_of_rubbish_nothing_is_imported_and_no_store_is_made(
    holds: bytes,
    is_input: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path, store = tmp_path / "file.json", tmp_path / "runs.db"
    path.write_bytes(holds)

    with path.open(encoding="latin-1") as opened:
        monkeypatch.setattr("sys.stdin", opened)
        assert main(["import", "-" if is_input else str(path), "--store", str(store)]) == 2

    assert "nothing was imported" in capsys.readouterr().err
    assert not store.exists()
