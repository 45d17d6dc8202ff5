"""Small programs that record to a store, run in processes of their own, and what they left in it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from becausal.step import Step
from becausal.store import open_store

__all__ = ["python", "recorded"]


def python(code: str, store: Path, *, deadline: float = 60, ok: bool = True, **environ: str) -> str:
    """Run a script that records to a store; returns what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        env={**os.environ, "BECAUSAL_STORE": str(store), **environ},
        capture_output=True,
        text=True,
        timeout=deadline,
        check=False,
    )
    assert not ok or (done.returncode, done.stderr) == (0, "")
    return done.stdout


def recorded(store: Path) -> dict[str, Step]:
    """Return the steps in a store by name; each name stands once."""
    reader = open_store(str(store), read_only=True)
    steps = [step for chain in reader.chains() for step in reader.load(chain.chain_id)]
    reader.close()
    names = [step.name for step in steps]
    assert len(set(names)) == len(names), names
    return {step.name: step for step in steps}
