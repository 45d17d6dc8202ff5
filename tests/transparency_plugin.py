"""A pytest plugin that runs somebody else's test suite with becausal on: `pytest -p transparency_plugin`.

A framework's own tests are the last word on whether becausal changes anything; `docs/transparency.md` has the commands.
At the end it prints what was recorded, and fails the run if a hook of ours failed or OpenTelemetry logged anything.
"""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

import becausal
from becausal import guard
from becausal.store import open_store


class Heard(logging.Handler):
    """Keeps what OpenTelemetry logs."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage()[:200])


heard = Heard()
told: list[list[int]] = []
"""What each worker of pytest-xdist counted."""
url = f"sqlite:///{Path(tempfile.mkdtemp(prefix='becausal-')) / 'suite.db'}"


def pytest_configure() -> None:
    os.environ.setdefault("BECAUSAL_STRICT", "1")
    becausal.instrument(store=url)
    logging.getLogger("opentelemetry").addHandler(heard)


def pytest_sessionfinish(session: pytest.Session) -> None:
    becausal.flush(60)
    info = open_store(url, read_only=True).describe()
    mine = [info.steps, info.chains, sum(guard.failures.values()), len(heard.lines)]
    worker = getattr(session.config, "workeroutput", None)  # of pytest-xdist: what the main process is told
    if worker is not None:
        worker["becausal"] = mine
        return
    steps, chains, failures, lines = (sum(counts) for counts in zip(mine, *told, strict=True))
    print(
        f"\nbecausal: {steps} steps in {chains} runs, {failures} failures of ours, {lines} lines of OpenTelemetry's"
    )
    if failures or lines:
        print(dict(guard.failures), heard.lines[:10])
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    told.append(node.workeroutput["becausal"])
