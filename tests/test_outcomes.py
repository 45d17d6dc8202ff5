"""The tools of the transparency proof: outcomes are written by test, and two lists are compared by name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.outcomes import compared, main, read

SUITE = """
import pytest

def test_passes(): pass
def test_fails(): assert False
@pytest.mark.skip
def test_skipped(): pass
@pytest.mark.xfail
def test_expected(): assert False
@pytest.mark.xfail
def test_mended(): pass
@pytest.fixture
def broken(): raise ValueError
def test_without_its_fixture(broken): pass
"""


def listed(folder: Path, source: str) -> dict[str, str]:
    (folder / "test_it.py").write_text(source)
    out = folder / "outcomes.jsonl"
    environ = {**os.environ, "OUTCOMES": str(out), "PYTHONPATH": str(Path(__file__).parent)}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "outcomes",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(folder),
    ]
    subprocess.run(
        [*command, str(folder)], env=environ, cwd=folder, capture_output=True, check=False, timeout=60
    )
    return {name.rpartition(":")[2]: outcome for name, outcome in read(out).items()}


def test_the_outcome_of_each_test_is_written_by_its_name(tmp_path: Path) -> None:
    assert listed(tmp_path, SUITE) == {
        "test_passes": "passed",
        "test_fails": "failed",
        "test_skipped": "skipped",
        "test_expected": "xfailed",
        "test_mended": "xpassed",
        "test_without_its_fixture": "error",
    }


def test_a_module_that_cannot_be_collected_is_an_error(tmp_path: Path) -> None:
    assert listed(tmp_path, "import no_such_module") == {"test_it.py": "error"}


def test_a_test_that_breaks_is_told_though_another_was_mended() -> None:
    before, after = (
        {"a": "passed", "b": "failed", "c": "passed"},
        {"a": "failed", "b": "passed", "d": "passed"},
    )

    assert compared(before, after) == [
        ("a", "passed", "failed"),
        ("b", "failed", "passed"),
        ("c", "passed", "absent"),
        ("d", "absent", "passed"),
    ]


def test_the_command_ends_with_one_where_a_test_differs(tmp_path: Path) -> None:
    one, other = tmp_path / "one.jsonl", tmp_path / "other.jsonl"
    one.write_text('{"test": "a", "outcome": "passed"}\n')
    other.write_text('{"test": "a", "outcome": "skipped"}\n')

    assert main([str(one), str(one)]) == 0
    assert main([str(one), str(other)]) == 1
