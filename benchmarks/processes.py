"""The processes of a run: a worker for each instrumentor, of which only one moves at a time, and the sink."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.instrumentors import INSTRUMENTORS

__all__ = ["WorkerFailed", "WorkerProcess", "sink", "workers"]

QUIET = {"LANGSMITH_TRACING": "false", "DO_NOT_TRACK": "true", "PYTHONHASHSEED": "0"}


class WorkerFailed(Exception):
    """A worker ended where it should have answered."""


class WorkerProcess:
    """A worker, stopped unless it was told to do something."""

    def __init__(self, name: str, sink: str, folder: Path) -> None:
        """Start a worker for an instrumentor, and stop it once it is there."""
        self.name = name
        folder.mkdir()
        self._errors = (folder / "errors").open("w+")
        environment = {**os.environ, **QUIET, **INSTRUMENTORS[name].environment(sink, str(folder))}
        command = [sys.executable, "-m", "benchmarks.worker", name, sink, str(folder)]
        self._process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self.started = self.ask(do="start")

    def ask(self, **order: object) -> dict[str, Any]:
        """Tell it to do something; returns its answer.

        Raises:
            WorkerFailed: it ended instead.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.send_signal(signal.SIGCONT)
        try:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            self._errors.seek(0)
            raise WorkerFailed(f"{self.name}: {self._errors.read()[-2000:].strip()}")
        self._process.send_signal(signal.SIGSTOP)
        told: dict[str, Any] = json.loads(answer)
        return told

    def end(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        self._errors.close()


@contextmanager
def workers(names: Sequence[str]) -> Iterator[dict[str, WorkerProcess]]:
    """Give a worker for each name, and end them all."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True)))
        address = stack.enter_context(sink(folder))
        there: dict[str, WorkerProcess] = {}
        for name in names:
            there[name] = WorkerProcess(name, address, folder / name)
            stack.callback(there[name].end)
        yield there


@contextmanager
def sink(folder: Path) -> Iterator[str]:
    """Give the address of a server on loopback that takes everything."""
    port = folder / "port"
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.sink", str(port)])
    try:
        for _ in range(200):
            if port.exists() and port.read_text():
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port.read_text()}"
    finally:
        process.terminate()
        process.wait()
