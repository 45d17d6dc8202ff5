"""How far a command is that takes its time, on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

__all__ = ["progress"]


@contextmanager
def progress(*, quiet: bool) -> Iterator[Callable[[str, int, int], object]]:
    """Give what shows how far it is, on a terminal."""
    shown = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f}"),
        console=Console(file=sys.stderr),
        transient=True,
        disable=quiet or not sys.stderr.isatty(),
    )
    tasks: dict[str, TaskID] = {}

    def told(doing: str, done: int, total: int) -> None:
        if doing not in tasks:
            tasks[doing] = shown.add_task(doing, total=total)
        shown.update(tasks[doing], completed=done, total=total)

    with shown:
        yield told
