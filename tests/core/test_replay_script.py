"""An app that is run as a script and replayed as a module is the same app: its classes are known by either name."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from becausal import canonical
from becausal.canonical.renaming import known_as

APP = """
import dataclasses, enum
import becausal

class Grade(enum.Enum):
    GOOD = 1
    BAD = 2

@dataclasses.dataclass
class Price:
    amount: float
    grade: Grade

class NoStock(Exception):
    pass

@becausal.tool
def price(item):
    return Price(20.0, Grade.GOOD)

@becausal.tool
def judge(price):
    return "dear" if price.amount > 10 and price.grade is Grade.GOOD else "cheap"

@becausal.tool
def stock(item):
    raise NoStock(item)

def shop(item):
    with becausal.chain(item) as turn:
        found = price(item)
        said = judge(found)
        try:
            stock(item)
        except NoStock as none:
            said += f", no {none}"
        turn.returned([said, found])
        return said

if __name__ == "__main__":
    becausal.instrument("threads", store="runs.db")
    print(shop("tea"))
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NO_COLOR": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(APP)
    return tmp_path


def replay(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    asked = ("replay", "last", "--store", "runs.db", "--app", "shop:shop", *arguments)
    return run(folder, "-m", "becausal", *asked)


def test_a_run_of_a_script_replays_from_the_module_that_it_is(folder: Path) -> None:
    assert run(folder, "shop.py").stdout == "dear, no tea\n"

    done = replay(folder)

    assert (done.returncode, done.stderr) == (0, "")
    assert "reproduced: 4 of 4 steps, byte for byte" in done.stdout


def test_a_part_of_an_answer_of_its_own_class_can_be_changed(folder: Path) -> None:
    run(folder, "shop.py")
    (folder / "edit.json").write_text(json.dumps([{"step": "price", "path": ["amount"], "to": 2.0}]))

    done = replay(folder, "--edit", "edit.json", "--live", "judge")

    assert (done.returncode, done.stderr) == (0, "")
    assert "cheap, no tea" in done.stdout


def test_a_run_of_the_module_replays_as_it_did(folder: Path) -> None:
    code = "import becausal, shop; becausal.instrument('threads', store='runs.db'); print(shop.shop('tea'))"
    assert run(folder, "-c", code).stdout == "dear, no tea\n"

    done = replay(folder)

    assert (done.returncode, done.stderr) == (0, "")
    assert "byte for byte" in done.stdout


def test_a_regression_test_of_a_script_passes(folder: Path) -> None:
    run(folder, "shop.py")
    written = run(
        folder,
        "-m",
        "becausal",
        "test",
        "last",
        "--store",
        "runs.db",
        "--app",
        "shop:shop",
        "-o",
        "test_shop.py",
    )
    assert written.returncode == 0, written.stderr

    tested = run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_shop.py")

    assert tested.returncode == 0, tested.stdout + tested.stderr


UNGUARDED = """
becausal.instrument("threads", store="runs.db")
print(shop("tea"))
"""


@pytest.mark.parametrize("ends", ["{}", "try:\n    {}\nexcept BaseException:\n    pass\n"])
def test_a_script_that_runs_its_app_when_it_is_imported_is_stopped_before_its_first_step(
    folder: Path, ends: str
) -> None:
    run(folder, "shop.py")
    app, _ = APP.split("if __name__")
    instruments, runs = UNGUARDED.strip().split("\n")
    asks = 'open("asked", "w").close()'
    spied = app.replace("def price(item):", f"def price(item):\n    {asks}")
    (folder / "shop.py").write_text(f"{spied}\n{instruments}\n{ends.format(runs)}")

    done = replay(folder)

    assert done.returncode == 2
    assert "shop, which has the app, runs it when it is imported" in done.stderr
    assert "if __name__" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (folder / "asked").exists()


@dataclasses.dataclass
class Price:
    amount: float


def test_a_class_has_another_name_in_a_block_alone_however_many_blocks_there_are() -> None:
    own = canonical.encode(Price(1.0))

    with known_as({"__main__.Price": Price}):
        with known_as({"__main__.Price": Price}):
            pass
        other = canonical.encode(Price(1.0))

    assert own.type_name == f"{__name__}.Price"
    assert other.type_name == "__main__.Price"
    assert other.digest != own.digest
    assert canonical.encode(Price(1.0)).digest == own.digest
