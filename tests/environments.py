"""Fresh virtual environments for what cannot run in the developer's own: other versions, other people's suites."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

__all__ = ["CHECKOUT", "environment"]

CHECKOUT = Path(__file__).resolve().parent.parent
"""The root of this checkout."""


def environment(path: Path, requirements: Iterable[str], *, extras: str = "") -> Path:
    """Make a virtual environment with these requirements and this checkout; returns its interpreter.

    One that is there is used as it is. With `uv` on the path it takes seconds, else pip is used.
    """
    python: Path = path / "bin" / "python"
    if (path / "made").exists():
        return python
    uv = shutil.which("uv")
    if uv is None:
        make, install = [sys.executable, "-m", "venv"], [str(python), "-m", "pip", "install"]
    else:
        make = [uv, "venv", "--quiet", "--seed", "--clear", "--python", sys.executable]
        install = [uv, "pip", "install", "--python", str(python)]
    subprocess.run([*make, str(path)], check=True)
    subprocess.run([*install, "--quiet", *requirements, "-e", f"{CHECKOUT}{extras}"], check=True)
    (path / "made").touch()
    return python
