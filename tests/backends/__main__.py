"""Runs our spans through a backend that runs here, and reads them back.

    python -m tests.backends phoenix mlflow --home backends

`--home` holds the environments, and is used again the next time. With `--show` the server goes on after the spans
have been sent, until Enter is pressed: for a look at its pages.
"""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.backends.app import APPS
from tests.backends.server import BACKENDS, HOME, running, send
from tests.environments import CHECKOUT


def main() -> int:
    """Run the tests of each backend that was asked for; returns how many failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("backends", nargs="*", metavar="BACKEND", help=", ".join(BACKENDS))
    parser.add_argument("--home", type=Path, default=Path("backends"))
    parser.add_argument("--show", action="store_true", help="send the spans, run no test, and stay")
    asked = parser.parse_args()
    home, failed = asked.home.resolve(), 0
    home.mkdir(parents=True, exist_ok=True)
    for name in asked.backends or BACKENDS:
        if asked.show:
            show(name, home)
            continue
        began = time.monotonic()
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            f"tests/backends/test_{name}.py",
        ]
        ended = subprocess.run(command, cwd=CHECKOUT, env={**os.environ, HOME: str(home)}, check=False)
        print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
        failed += ended.returncode != 0
    return failed


def show(name: str, home: Path) -> None:
    """Run a backend that has been sent the spans of every app, until Enter is pressed."""
    headers = "x-mlflow-experiment-id=0" if name == "mlflow" else ""
    with tempfile.TemporaryDirectory() as data, running(name, home, Path(data)) as url:
        for app in APPS:
            send(app, url, headers=headers, resource=f"service.name={app},openinference.project.name={app}")
        input(f"{url}  Enter ends it. ")


if __name__ == "__main__":
    sys.exit(main())
