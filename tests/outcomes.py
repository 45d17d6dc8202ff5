"""What became of each test of a suite, written down by name, and two such lists compared.

As a pytest plugin it writes one line of JSON for each test: `OUTCOMES=without.jsonl pytest -p outcomes`. As a command
it compares two lists: `python tests/outcomes.py without.jsonl with.jsonl` prints every test that differs, and ends with
status 1 if there is one. Counts alone would not do: one that breaks and another that is mended look like no change.
"""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

__all__ = ["compared", "read"]

ABSENT = "absent"
"""What is said of a test that only the other list has."""

WORST_FIRST = ("error", "failed", "xpassed", "xfailed", "skipped", "passed")
"""Which of the outcomes of a test's three phases counts."""


class Outcomes:
    """Gathers the outcomes of a session; with pytest-xdist all reports come to the main process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note one phase of one test."""
        self._note(report.nodeid, _outcome(report))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a module that cannot be collected: its tests are not there to fail."""
        if report.failed:
            self._note(report.nodeid, "error")

    def pytest_sessionfinish(self) -> None:
        """Write the list."""
        lines = [json.dumps({"test": test, "outcome": self._found[test]}) for test in sorted(self._found)]
        self._path.write_text("".join(f"{line}\n" for line in lines))

    def _note(self, test: str, outcome: str) -> None:
        self._found[test] = min(outcome, self._found.get(test, outcome), key=WORST_FIRST.index)


def pytest_configure(config: pytest.Config) -> None:
    """Begin to listen, in the main process alone."""
    path = os.environ.get("OUTCOMES")
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Outcomes(Path(path)), "becausal-outcomes")


def _outcome(report: pytest.TestReport) -> str:
    if hasattr(report, "wasxfail"):
        return "xfailed" if report.skipped else "xpassed"
    if report.failed:
        return "failed" if report.when == "call" else "error"
    return report.outcome


def read(path: Path) -> dict[str, str]:
    """Return the outcomes of a list, by test."""
    entries = map(json.loads, path.read_text().splitlines())
    return {entry["test"]: entry["outcome"] for entry in entries}


def compared(without: Mapping[str, str], with_it: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Return each test whose outcome differs, with both outcomes; one that a list lacks is `absent` there."""
    pairs = ((test, without.get(test, ABSENT), with_it.get(test, ABSENT)) for test in {**without, **with_it})
    return sorted((test, before, after) for test, before, after in pairs if before != after)


def main(arguments: Sequence[str]) -> int:
    """Compare two files; returns the exit status."""
    without, with_it = (read(Path(argument)) for argument in arguments)
    for outcomes, name in ((without, "without"), (with_it, "with")):
        counts = Counter(outcomes.values())
        print(f"{name:8}", ", ".join(f"{counts[outcome]} {outcome}" for outcome in sorted(counts)))
    differing = compared(without, with_it)
    for test, before, after in differing:
        print(f"{before} -> {after}: {test}")
    print(f"{len(differing)} tests differ")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
