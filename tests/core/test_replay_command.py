"""`becausal replay`: from a terminal, in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

APP = """
import becausal

@becausal.tool
def price(item):
    open("calls.txt", "a").write(item)
    return {"price": 20, "item": item}

def shop(item):
    with becausal.chain(item) as turn:
        told = f"{item}: {price(item)['price']}"
        turn.returned(told)
        return told

if __name__ == "__main__":
    becausal.instrument("threads", store="runs.db")
    print(shop("tea"))
"""


EXITING = """

def exits(item):
    shop(item)
    raise SystemExit(0)

def exits_at_once(item):
    raise SystemExit(0)
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an app and a run of it."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "shop.py").write_text(APP)
    assert run(folder, "shop.py").stdout == "tea: 20\n"
    (folder / "calls.txt").unlink()
    return folder


@pytest.fixture
def folder(recorded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(recorded, tmp_path / "shop"))


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONHASHSEED": "7", "NO_COLOR": "1"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=60
    )


def replay(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(folder, "-m", "becausal", "replay", "last", "--store", "runs.db", "--app", *arguments)


def test_a_run_is_replayed_and_said_to_be_the_same(folder: Path) -> None:
    done = replay(folder, "shop:shop")

    assert (done.returncode, done.stderr) == (0, "")
    assert "reproduced: 2 of 2 steps, byte for byte" in done.stdout
    assert not (folder / "calls.txt").exists()


def test_programs_read_it_too(folder: Path) -> None:
    said: dict[str, Any] = json.loads(replay(folder, "shop:shop", "--json").stdout)

    assert (said["reproduced"], said["exact"], said["answered"], said["ran"]) == (True, True, 1, [])
    assert said["run"].startswith("replay")
    assert said["divergence"] is None


def test_an_edit_is_read_from_a_file(folder: Path) -> None:
    tools = run(folder, "-m", "becausal", "tools", "last", "--store", "runs.db", "--json")
    step = json.loads(tools.stdout)[0]["step"]
    (folder / "edit.json").write_text(json.dumps([{"step": step, "path": ["price"], "to": 2}]))

    done = replay(folder, "shop:shop", "--edit", "edit.json")

    assert done.returncode == 0
    assert "tea: 2" in done.stdout


def test_a_tool_that_is_named_runs(folder: Path) -> None:
    done = replay(folder, "shop:shop", "--live", "price")

    assert (done.returncode, done.stderr) == (0, "")
    assert (folder / "calls.txt").read_text() == "tea"


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (
            [{"step": "price", "path": "price", "to": 2}],
            'a path is a list of keys and numbers, such as ["messages", 0]',
        ),
        ([{"step": "price", "path": [["price"]], "to": 2}], "a path is a list of keys and numbers"),
        ([{"step": 7, "to": 2}], "a step is said by its id or its name, in quotes, not by 7"),
        ([{"step": "price", "side": "given", "to": 2}], "a side is received or produced"),
        ([{"step": "price"}], "says neither `to` nor `text`"),
        ("price", "holds no edits"),
    ],
)
def test_an_edit_of_another_form_is_refused_in_words(folder: Path, edit: object, said: str) -> None:
    (folder / "edit.json").write_text(json.dumps(edit))

    done = replay(folder, "shop:shop", "--edit", "edit.json")

    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_name_to_run_live_that_nothing_can_have_is_refused(folder: Path) -> None:
    done = replay(folder, "shop:shop", "--live", "prise")

    assert done.returncode == 2
    assert "no model or tool of the run is called 'prise'" in done.stderr


def test_a_counterfactual_of_what_the_answer_does_not_hold_is_refused_in_words(folder: Path) -> None:
    asked = ("-m", "becausal", "counterfactual", "last", "--store", "runs.db", "--app", "shop:shop")
    done = run(folder, *asked, "--gone", "nothere")

    assert done.returncode == 2
    assert "the answer does not hold 'nothere'" in done.stderr


def test_an_app_that_raises_in_an_edited_replay_is_a_failure(folder: Path) -> None:
    (folder / "edit.json").write_text(json.dumps([{"step": "price", "to": {"item": "tea"}}]))

    done = replay(folder, "shop:shop", "--edit", "edit.json")

    assert done.returncode == 1
    assert "the app raised KeyError" in done.stdout


@pytest.mark.parametrize("command", ["replay", "counterfactual"])
def test_a_name_to_run_live_that_the_run_does_not_know_is_told_with_those_there_are(
    command: str, folder: Path
) -> None:
    asked = ("-m", "becausal", command, "last", "--store", "runs.db", "--app", "shop:shop")
    edited = ("--edit", "edit.json") if command == "replay" else ()
    (folder / "edit.json").write_text(json.dumps({"price": {"price": 2, "item": "tea"}}))
    done = run(folder, *asked, *edited, "--live", "prise", "--live", "price")

    assert "no model or tool of the run is called 'prise'; those of the run are: price" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere:shop",), "no module 'nowhere'"),
        (("shop:nothing",), "shop has no 'nothing'"),
        (("shop:APP_NAME",), "shop has no 'APP_NAME'"),
        (("shop",), "module:name"),
        (("shop:shop", "--edit", "none.json"), "cannot be read"),
    ],
)
def test_wrong_use_is_told(folder: Path, arguments: tuple[str, ...], said: str) -> None:
    done = replay(folder, *arguments)

    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import nowhere_to_be_found", "other imports 'nowhere_to_be_found', which is not there"),
        (
            "x = 1 / 0",
            "raised ZeroDivisionError: division by zero (FOLDER/other.py, line 1) when it was imported",
        ),
        ("x = = 1", "raised SyntaxError: invalid syntax (FOLDER/other.py, line 1)"),
        ("raise SystemExit", "raised SystemExit (FOLDER/other.py, line 1)"),
        ("raise ValueError('password=hunter2-it-is')", "ValueError: password=[redacted:password:"),
        ("import shop; shop = shop.shop; del shop", "other has no 'shop'"),
    ],
)
def test_a_module_that_cannot_be_imported_is_told_in_words(folder: Path, source: str, said: str) -> None:
    (folder / "other.py").write_text(source)

    done = replay(folder, "other:shop")

    assert done.returncode == 2
    assert (
        said.replace("FOLDER", str(folder)).replace("other imports", "other, which has the app, imports")
        in done.stderr
    )
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr


def test_a_replay_of_an_app_that_instruments_itself_goes_to_the_store_that_was_named(folder: Path) -> None:
    app = APP.replace("def shop", 'becausal.instrument("threads")\n\ndef shop', 1)
    (folder / "shop.py").write_text(app)

    assert replay(folder, "shop:shop").returncode == 0

    assert not (folder / ".becausal").exists()
    shown = run(folder, "-m", "becausal", "runs", "--all", "--store", "runs.db", "--json")
    assert len(json.loads(shown.stdout)) == 2


def test_a_replay_that_cannot_be_recorded_names_the_store(folder: Path) -> None:
    app = APP.replace("def shop", 'becausal.instrument("threads")\n\ndef shop', 1)
    (folder / "shop.py").write_text(app)
    (folder / "cassette").write_text("no directory")
    named = {**os.environ, "BECAUSAL_STORE": "cassette/runs.db"}
    code = "import becausal, shop; becausal.open('runs.db').last().replay(shop.shop)"
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=named, capture_output=True, text=True, timeout=60
    )

    assert "cassette/runs.db cannot be written to" in told.stderr
    assert "uninstrument() first" not in told.stderr


@pytest.mark.parametrize(
    ("app", "status", "told"),
    [("exits", 0, "reproduced: 2 of 2 steps"), ("exits_at_once", 1, "raised SystemExit")],
)
def test_an_app_that_ends_the_process_is_judged_all_the_same(
    folder: Path, app: str, status: int, told: str
) -> None:
    (folder / "shop.py").write_text(APP + EXITING)

    done = replay(folder, f"shop:{app}")

    assert (done.returncode, done.stderr) == (status, "")
    assert told in done.stdout
