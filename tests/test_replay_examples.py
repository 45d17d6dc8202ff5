"""Every example is replayed by the command, from the store that it recorded to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.parametrize(
    ("example", "app"),
    [("quickstart", "research_team"), ("autogen_team", "research_team"), ("own_code", "main")],
)
def test_an_example_is_reproduced(example: str, app: str, tmp_path: Path) -> None:
    run(tmp_path, str(EXAMPLES / f"{example}.py"))

    told = run(tmp_path, "-m", "becausal", "replay", "last", "--app", f"{example}:{app}", "--json")

    said = json.loads(told)  # what the app itself prints is not in it
    assert (said["reproduced"], said["ran"], said["divergence"]) == (True, [], None)
    assert said["answered"] > 0


def run(folder: Path, *arguments: str) -> str:
    path = os.pathsep.join(filter(None, (str(EXAMPLES), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": path, "BECAUSAL_STORE": str(folder / "becausal.db")}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
