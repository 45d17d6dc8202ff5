"""Whatever is damaged, commands end with words and keep what is whole: `python -m tests.damaging`, in small."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_commands_on_twelve_damaged_stores_end_with_words_and_keep_what_is_whole() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.damaging", "--times", "12", "--seed", "7"],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "BECAUSAL_STRICT": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert " 0  things wrong" in ended.stdout
