"""What is typed of every command to see what it prints, taken from the parser: a new one is asked without a line here.

One that cannot be asked so stands in `ELSEWHERE`, with the reason.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Final

from becausal.cli import _parser

__all__ = ["ELSEWHERE", "LOOKING", "commands"]

ELSEWHERE: Final[Mapping[str, str]] = {
    "export": "writes a file",
    "import": "reads a file",
    "test": "writes a file",
    "replay": "runs an app",
    "counterfactual": "runs an app",
    "serve": "goes on until it is stopped",
}

_GIVEN: Final[Mapping[str, Sequence[str]]] = {
    "diff": ("last", "last"),
    "contaminated": ("revenue_database",),
    "prune": ("--keep-last", "5", "--dry-run"),
    "erase": ("--text", "revenue"),
}
"""What a command has to be given beside a run."""

_MORE: Final[Sequence[tuple[str, ...]]] = (
    ("why", "last", "analyst", "--impact"),
    ("handoffs", "last", "--diff"),
    ("tools", "last", "--failed"),
    ("report", "last", "--format", "html"),
)
"""Other answers of the same commands."""


def commands() -> Mapping[str, argparse.ArgumentParser]:
    """Return the parser of each command, by its name."""
    (added,) = (action for action in _parser()._actions if isinstance(action, argparse._SubParsersAction))
    return added.choices


def _typed(name: str, command: argparse.ArgumentParser) -> tuple[str, ...]:
    takes_run = any(action.dest == "run" and not action.option_strings for action in command._actions)
    return (name, *_GIVEN.get(name, ("last",) if takes_run else ()))


LOOKING: Final[Sequence[tuple[str, ...]]] = (
    *(_typed(name, command) for name, command in commands().items() if name not in ELSEWHERE),
    *_MORE,
)
"""The command lines."""
