"""A backend from PyPI, in an environment of its own, on a free port of the loopback interface.

They bring a hundred packages each, so they are in none of our extras.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from tests.environments import CHECKOUT, environment

__all__ = ["BACKENDS", "HOME", "Backend", "free_port", "running", "send", "until"]

HOME = "BECAUSAL_BACKENDS"
"""The variable that names the folder in which backends are installed and run."""

STARTS_IN_S = 300.0
"""They import slowly: 20 s on an idle machine, some minutes on a busy one."""

ARRIVES_IN_S = 60.0


@dataclass(frozen=True, slots=True)
class Backend:
    """How a backend is installed and started."""

    requirement: str
    command: Callable[[int, Path], list[str]]
    """Takes the port and a folder for data; the first word is a program of the environment."""
    healthy: str
    """The path that answers once it is there."""
    environ: Callable[[int, Path], Mapping[str, str]] = lambda port, data: {}


BACKENDS = {
    "phoenix": Backend(
        "arize-phoenix==20.26.1",
        lambda port, data: ["phoenix", "serve"],
        "/healthz",
        lambda port, data: {
            "PHOENIX_HOST": "127.0.0.1",
            "PHOENIX_PORT": str(port),
            "PHOENIX_GRPC_PORT": str(free_port()),
            "PHOENIX_WORKING_DIR": str(data),
            "PHOENIX_TELEMETRY_ENABLED": "false",
        },
    ),
    "mlflow": Backend(
        "mlflow==3.17.2",
        lambda port, data: [
            *("mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
            *("--backend-store-uri", f"sqlite:///{data}/mlflow.db"),
            *("--default-artifact-root", str(data / "artifacts")),
        ],
        "/health",
    ),
}


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


@contextlib.contextmanager
def running(name: str, home: Path, data: Path) -> Iterator[str]:
    """Install a backend where it is not yet, run it, and give its URL; its log is in `data`.

    Args:
        home: where its environment is, which is used again the next time.
        data: an empty folder for what it keeps.
    """
    backend, port = BACKENDS[name], free_port()
    python = environment(home.resolve() / name, [backend.requirement])
    program, *arguments = backend.command(port, data)
    own = {**os.environ, **backend.environ(port, data)}
    # What says where our own spans go would send theirs there, too.
    own = {key: value for key, value in own.items() if not key.startswith(("OTEL_", "BECAUSAL_", "PYTHON"))}
    with (data / "log").open("wb") as log:
        server = subprocess.Popen(
            [str(python.parent / program), *arguments], cwd=data, env=own, stdout=log, stderr=log
        )
    try:
        url = f"http://127.0.0.1:{port}"

        def is_there() -> bool:
            assert server.poll() is None, (data / "log").read_text()[-2_000:]
            with contextlib.suppress(httpx.HTTPError):
                return httpx.get(url + backend.healthy, timeout=5).is_success
            return False

        until(is_there, STARTS_IN_S)
        yield url
    finally:
        server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(20)
        server.kill()
        server.wait()


def send(
    app: str, url: str, *, headers: str = "", resource: str = "", dialects: str = "openinference"
) -> list[dict[str, Any]]:
    """Run an app of `tests.backends.app` with its spans sent to a backend; returns the spans that it made."""
    environ = {
        **os.environ,
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{url}/v1/traces",
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS": headers,
        "OTEL_RESOURCE_ATTRIBUTES": resource,
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_ONLY",
        "BECAUSAL_DIALECTS": dialects,
        "BECAUSAL_STRICT": "1",
    }
    command = [sys.executable, "-W", "error", "-m", "tests.backends.app", app]
    ended = subprocess.run(
        command, cwd=CHECKOUT, env=environ, capture_output=True, text=True, check=False, timeout=300
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    return [json.loads(line) for line in ended.stdout.splitlines()]


def until(holds: Callable[[], bool], within_s: float = ARRIVES_IN_S) -> None:
    """Wait until something holds; a backend takes spans in on its own time."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(0.2)
