"""What every command is made of: its arguments, the run that it asks, its answer."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from rich.console import RenderableType

from becausal import runs as loading
from becausal.cassette import is_cassette
from becausal.finding import SEVERITIES
from becausal.run import Run
from becausal.runs import Runs
from becausal.settings import Settings

__all__ = [
    "FINE",
    "FOUND",
    "RUN",
    "WRONG_USE",
    "Answer",
    "Commands",
    "add_command",
    "add_fail_on",
    "by_findings",
    "run_of",
    "runs_of",
    "store_of",
]

FINE, FOUND, WRONG_USE = 0, 1, 2

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

RUN = "a chain id, the beginning of one, `last`, or a cassette's path"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command found, for people and for programs."""

    shown: Callable[[], RenderableType]
    data: Callable[[], object]
    status: Callable[[], int] = lambda: FINE
    """The exit status: `FINE` or `FOUND`. Asked after the answer is printed."""


def add_command(
    commands: Commands,
    name: str,
    answer: Callable[[argparse.Namespace], Answer],
    help: str,
    *,
    takes_run: bool = True,
) -> argparse.ArgumentParser:
    """Add a command that `answer` carries out; with a run as its first argument unless it takes none."""
    command = commands.add_parser(name, help=help, description=f"{help[0].upper()}{help[1:]}.")
    command.set_defaults(answer=answer)
    if takes_run:
        command.add_argument("run", metavar="RUN", help=RUN)
    command.add_argument(
        "--store",
        metavar="URL",
        help="a store's URL or path (default: BECAUSAL_STORE, else .becausal/becausal.db)",
    )
    command.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument("--no-color", action="store_true", help="print without colour (as NO_COLOR does)")
    return command


def add_fail_on(command: argparse.ArgumentParser) -> None:
    """Let a command's user say which findings make it fail (see `by_findings`)."""
    command.add_argument(
        "--fail-on",
        choices=SEVERITIES,
        default="error",
        help="exit with 1 if the run has findings of this severity or a worse one (default: error)",
    )


def by_findings(run: Run, options: argparse.Namespace) -> Callable[[], int]:
    """Return the exit status of a command whose run may have findings as bad as `--fail-on` says."""

    def status() -> int:
        least = SEVERITIES.index(options.fail_on)
        bad = any(SEVERITIES.index(finding.severity) >= least for finding in run.findings)
        return FOUND if bad else FINE

    return status


def run_of(options: argparse.Namespace) -> Run:
    """Return the run that a command's user named.

    Raises:
        RunNotFoundError: there is no such run.
        StoreError: the store, or the cassette, cannot be read.
    """
    # Not closed: the views read payloads while they are printed, and the process ends after that.
    if is_cassette(options.run):
        return loading.open(options.run).last()
    runs = runs_of(options)
    return runs.last() if options.run == "last" else runs.get(options.run)


def runs_of(options: argparse.Namespace) -> Runs:
    """Open the store that a command's user named.

    Raises:
        StoreError: it cannot be read.
    """
    return loading.open(store_of(options))


def store_of(options: argparse.Namespace) -> str:
    """Return the URL or path of the store that a command's user named, or that the environment names."""
    store: str | None = options.store
    return store or Settings.read().store
