"""The commands that answer for a run as a whole: `health`, `diff`, `report`."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.text import Text

from becausal.answers.report import FORMATS, incident, report
from becausal.cli.command import FINE, FOUND, RUN, Answer, Commands, add_command, add_part, run_of
from becausal.errors import BecausalError
from becausal.store.exposure import owners_only
from becausal.views import diff
from becausal.views import health as healths
from becausal.views import report as reports

__all__ = ["add_to"]


def add_to(commands: Commands) -> None:
    """Add these commands."""
    judged = add_command(
        commands, "health", _health, "give a verdict on a run as a whole", fails="the run is not well"
    )
    add_part(judged)
    parted = add_command(
        commands, "diff", _diff, "show where two runs part, and what differs after that", takes_run=False
    )
    parted.add_argument("run", metavar="RUN", help=RUN)
    parted.add_argument("other", metavar="RUN", help="the run to compare it with")
    written = add_command(commands, "report", _report, "write an incident report of a run")
    written.add_argument("--format", choices=FORMATS, default="markdown", help="default: markdown")
    add_part(written)
    written.add_argument("-o", "--output", metavar="FILE", help="write to a file (default: print)")


def _health(options: argparse.Namespace) -> Answer:
    found = run_of(options).health
    return Answer(
        lambda: healths.text(found), lambda: healths.json(found), lambda: FINE if found.ok else FOUND
    )


def _diff(options: argparse.Namespace) -> Answer:
    first = run_of(options)
    second = run_of(argparse.Namespace(**{**vars(options), "run": options.other}))
    found = first.diff(second)
    return Answer(lambda: diff.text(found), lambda: diff.json(found))


def _report(options: argparse.Namespace) -> Answer:
    run = run_of(options)
    if options.output is None:
        return Answer(lambda: report(run, options.format), lambda: reports.json(incident(run)))
    path = Path(options.output)
    try:
        owners_only(path, report(run, options.format))
    except OSError as error:
        raise BecausalError(f"the report cannot be written to {path}: {error.strerror}") from None
    return Answer(lambda: Text(f"The report is in {path}."), lambda: reports.json(incident(run)))
