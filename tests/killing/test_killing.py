"""A killed process loses nothing that was acknowledged, and harms nothing: `python -m tests.killing`, in small."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_what_was_acknowledged_is_there_after_each_of_ten_kills() -> None:
    # In a process of its own: one with threads must not fork.
    ended = subprocess.run(
        [sys.executable, "-m", "tests.killing", "--times", "10", "--seed", "7"],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "BECAUSAL_STRICT": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert " 0  things wrong" in ended.stdout
