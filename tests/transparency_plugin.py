"""A pytest plugin that runs somebody else's test suite with becausal on: `pytest -p transparency_plugin`.

A framework's own tests are the last word on whether becausal changes anything; `docs/transparency.md` has the commands.
At the end it prints what was recorded, and fails the run if a hook of ours failed or OpenTelemetry logged anything.
"""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path

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
url = f"sqlite:///{Path(tempfile.mkdtemp(prefix='becausal-')) / 'suite.db'}"


def pytest_configure() -> None:
    os.environ.setdefault("BECAUSAL_STRICT", "1")
    becausal.instrument(store=url)
    logging.getLogger("opentelemetry").addHandler(heard)


def pytest_sessionfinish(session: pytest.Session) -> None:
    becausal.flush(60)
    info = open_store(url, read_only=True).describe()
    print(
        f"\nbecausal: {info.steps} steps in {info.chains} runs, {sum(guard.failures.values())} failures of ours, "
        f"{len(heard.lines)} lines of OpenTelemetry's"
    )
    if guard.failures or heard.lines:
        print(dict(guard.failures), heard.lines[:10])
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
