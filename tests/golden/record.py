"""Records the golden cassettes of a new format: `python -m tests.golden.record FOLDER`.

Only for a format that has no golden cassettes yet; see README.md. What is there is never written over.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.golden import autogen_app, langgraph_app, own_app

import becausal
from becausal.cassette import SUFFIX
from becausal.cassette.container import FORMAT


def remembered() -> None:
    memory = becausal.Memory(own_app.PLANS)
    memory.write("deadline", "Thursday")
    with becausal.chain("remember the deadline"), becausal.agent("clerk"):
        memory.write("deadline", {"day": "Friday", "was": memory.read("deadline")}, reason="moved")


def announced() -> None:
    own_app.announce("Announce our relaunch")


def langgraph() -> None:
    langgraph_app.graph.invoke(langgraph_app.ASKED)


def autogen() -> None:
    asyncio.run(autogen_app.build().run(task=autogen_app.ASKED))


APPS: dict[str, Callable[[], None]] = {
    "own": announced,
    "memory": remembered,
    "langgraph": langgraph,
    "autogen": autogen,
}


def main(folder: Path) -> None:
    for name, play in APPS.items():
        path = folder / f"{name}-{FORMAT}{SUFFIX}"
        if path.exists():
            raise SystemExit(f"{path} is there already, and is never written over")
        becausal.instrument(store=Path(tempfile.mkdtemp()) / "becausal.db")
        play()
        becausal.last_run().export(path)
        becausal.uninstrument()
        sys.stdout.write(f"{path}: {path.stat().st_size} bytes\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
