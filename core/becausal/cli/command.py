"""What every command is made of: its arguments, the run that it asks, its answer."""

from __future__ import annotations

import argparse
import datetime as dt
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from rich.console import RenderableType

from becausal import runs as loading
from becausal.bounds import age_ns
from becausal.cassette import is_cassette
from becausal.errors import RunNotFoundError, SettingsError
from becausal.finding import SEVERITIES, Severity
from becausal.graph.part import USUAL
from becausal.run import Run
from becausal.runs import Runs
from becausal.settings import store_named
from becausal.store import ChainInfo

__all__ = [
    "FINE",
    "FOUND",
    "PART",
    "RUN",
    "WRONG_USE",
    "Answer",
    "Commands",
    "add_command",
    "add_fail_on",
    "add_full",
    "add_part",
    "by_findings",
    "count",
    "found_in",
    "info_of",
    "is_run",
    "run_of",
    "runs_of",
    "seconds",
    "store_of",
]

FINE, FOUND, WRONG_USE = 0, 1, 2
"""What a command exits with: it did what it was asked; it was asked for a verdict or for all of something, and that
is not well; it did nothing, or what it did did not reach the output or the sink, which the error output says. Each
command's help says when it is 1 (`add_command`)."""

MOST_WHOLE = 20_000
"""Steps of a run that is loaded whole where nobody says what to load of it."""

WINDOW = ("last", "around", "since", "until")
"""The options that say which part; so `Runs.get` calls them too."""
PART = (*(f"--{name}" for name in WINDOW), "--whole")
"""The options of the commands that answer of a part of a run, too."""

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

RUN = "a chain id, the beginning of one, `last`, or a cassette's path"
"""What every command takes for a run, as an argument or as `--run`."""


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
    fails: str | None = None,
) -> argparse.ArgumentParser:
    """Add a command that `answer` carries out.

    Args:
        takes_run: whether its first argument is a run; left out, that is the newest.
        fails: when it exits with `FOUND`, as its help says it; None: never.
    """
    command = commands.add_parser(
        name,
        help=help,
        description=f"{help[0].upper()}{help[1:]}.",
        epilog=f"Exit status: 0 fine, {'' if fails is None else f'1 {fails}, '}2 wrong use.",
    )
    command.set_defaults(answer=answer, refuse=command.error)
    if takes_run:
        command.add_argument("run", nargs="?", default="last", metavar="RUN", help=f"{RUN} (default: last)")
    command.add_argument(
        "--store",
        metavar="URL",
        help="a store's URL or path (default: BECAUSAL_STORE, else .becausal/becausal.db)",
    )
    command.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument("--no-color", action="store_true", help="print without colour (as NO_COLOR does)")
    return command


def add_part(command: argparse.ArgumentParser, *, usual: int = USUAL) -> None:
    """Let a command's user say which part of a long run is loaded; a short one is loaded whole unless he says.

    Args:
        command: takes a run.
        usual: so many of the last steps of a run of more than `MOST_WHOLE` are loaded where he does not.
    """
    part = command.add_argument_group(f"of a run of more than {MOST_WHOLE:,} steps, a part is loaded")
    part.add_argument("--last", type=count, metavar="N", help=f"the last N steps (default: {usual:,})")
    part.add_argument("--around", metavar="STEP", help="the steps around one, most of them before it: its id")
    for name, which in (("since", "later"), ("until", "earlier")):
        told = f"what started at a time or {which}: 2026-11-22T14:00, or so long ago: 5m, 1h, 2d"
        part.add_argument(f"--{name}", type=_moment, metavar="TIME", help=told)
    part.add_argument("--whole", action="store_true", help="all steps, however many")
    command.set_defaults(usual=usual)


def add_full(command: argparse.ArgumentParser) -> None:
    """Let a command's user ask for long ways whole."""
    command.add_argument(
        "--full",
        action="store_true",
        help="each way whole (default: the beginning and the end of a long one; JSON has it whole)",
    )


def count(text: str, least: int = 1) -> int:
    """Return how many an argument says: one or more, or as many as asked for at least."""
    try:
        said = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number: write it as 200") from None
    if said < least:
        raise argparse.ArgumentTypeError(f"{text} is too few: write {least} or more")
    return said


def seconds(text: str) -> float:
    """Return how long an argument says: more than no time."""
    try:
        said = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds: write it as 30 or 0.5") from None
    if not 0 < said < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no time that something may take: write it as 30 or 0.5")
    return said


def _moment(text: str) -> dt.datetime:
    try:
        return dt.datetime.now().astimezone() - dt.timedelta(microseconds=age_ns(text) / 1000)
    except (SettingsError, OverflowError):
        pass  # no age, so a time
    try:
        return dt.datetime.fromisoformat(text).astimezone()  # without a zone it is this machine's
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time: write it as 2026-11-22T14:00, or as an age: 5m, 1h, 2d"
        ) from None


def add_fail_on(command: argparse.ArgumentParser, default: Severity | None) -> None:
    """Let a command's user say which findings make it fail (see `by_findings`).

    Args:
        default: from which severity on findings make it fail where nobody says; None: they do not.
    """
    command.add_argument(
        "--fail-on",
        choices=SEVERITIES,
        default=default,
        help="exit with 1 if the run has findings of this severity or a worse one "
        f"(default: {default or 'exit with 0 whatever it has'}), or if only "
        "a part of it was judged, which is not known to be well: a gate takes --whole",
    )


def by_findings(run: Run, options: argparse.Namespace) -> Callable[[], int]:
    """Return the exit status of a command whose run may have findings as bad as `--fail-on` says.

    A part passes no gate: it is not known to be well. Where no gate was asked for, what was asked is done.
    """

    def status() -> int:
        if options.fail_on is None:
            return FINE
        least = SEVERITIES.index(options.fail_on)
        if any(SEVERITIES.index(finding.severity) >= least for finding in run.findings):
            return FOUND
        if run.part is None:
            return FINE
        sys.stderr.write(
            "becausal: exits with 1: only a part of the run was judged, so it is not known to be well. "
            f"A gate judges all of it: {_instead(options)}\n"
        )
        return FOUND

    return status


def _instead(options: argparse.Namespace) -> str:
    """Return what to write for a command to judge a run whole, in place of what was written."""
    given = [f"--{name}" for name in WINDOW if getattr(options, name, None)]
    return f"write --whole in place of {' and '.join(given)}" if given else "write --whole"


def run_of(options: argparse.Namespace) -> Run:
    """Return the run that a command's user named.

    Raises:
        RunNotFoundError: there is no such run.
        StoreError: the store, or the cassette, cannot be read.
    """
    # Not closed: the views read payloads while they are printed, and the process ends after that.
    runs, name = found_in(options, options.run)
    info = info_of(runs, name)
    asked = {name: getattr(options, name, None) for name in WINDOW}
    is_long = hasattr(options, "usual") and info.steps > MOST_WHOLE
    if getattr(options, "whole", False) or not (is_long or any(asked.values())):
        return runs.get(info.chain_id)
    if not any(asked.values()):
        asked["last"] = options.usual
    run = runs.get(info.chain_id, **asked)
    if run.part is not None:
        sys.stderr.write(
            f"becausal: {run.part} (it has {info.errors:,} errors and {info.handoffs:,} handoffs in all); "
            "--last, --around, --since and --until load others, --whole loads all\n"
        )
    return run


def found_in(options: argparse.Namespace, run: str) -> tuple[Runs, str]:
    """Return where a run is looked for that was named as every command takes it, and by which name there.

    Raises:
        StoreError: the store, or the cassette, cannot be read.
    """
    return (loading.open(run), "last") if is_cassette(run) else (runs_of(options), run)


def is_run(runs: Runs, name: str) -> bool:
    """Return whether a name that was given for something else is that of a run."""
    try:
        info_of(runs, name)
    except RunNotFoundError:
        return False
    return True


def info_of(runs: Runs, name: str) -> ChainInfo:
    """Return what there is of a run that was named as every command takes it, without loading it.

    Raises:
        RunNotFoundError: no run, or more than one, answers to it.
    """
    return runs.info(None if name == "last" else name)


def runs_of(options: argparse.Namespace) -> Runs:
    """Open the store that a command's user named.

    Raises:
        StoreError: it cannot be read.
    """
    return loading.open(store_of(options))


def store_of(options: argparse.Namespace) -> str:
    """Return the URL or path of the store that a command's user named, or that the environment names."""
    store: str | None = options.store
    return store or store_named()
