"""The commands that judge: `findings`, `contracts`, `doctor`."""

from __future__ import annotations

import argparse
import dataclasses

from rich.text import Text

from becausal.cli.command import (
    FINE,
    FOUND,
    Answer,
    Commands,
    add_command,
    add_fail_on,
    add_full,
    add_part,
    by_findings,
    count,
    run_of,
    runs_of,
    store_of,
)
from becausal.doctor import diagnose
from becausal.suggestions import suggest
from becausal.views import checkup, findings

__all__ = ["add_to"]


def add_to(commands: Commands) -> None:
    """Add these commands."""
    found = add_command(
        commands,
        "findings",
        _findings,
        "list what is wrong in a run, with the evidence",
        fails="findings at or above --fail-on, or only a part was judged",
    )
    add_fail_on(found, "error")
    add_full(found)
    add_part(found)
    contracts = add_command(
        commands,
        "contracts",
        _contracts,
        "suggest contracts for handoffs, from what good runs have always carried",
        takes_run=False,
    )
    contracts.add_argument(
        "action", nargs="?", choices=("suggest",), default="suggest", help="what to do (default: suggest)"
    )
    contracts.add_argument(
        "--runs",
        type=count,
        default=50,
        metavar="N",
        help="learn from so many of the newest runs (default: 50)",
    )
    add_command(
        commands,
        "doctor",
        _doctor,
        "check adapters, versions, settings, the store and what was lost",
        takes_run=False,
        fails="there is trouble: something is lost, or about to be",
    )


def _findings(options: argparse.Namespace) -> Answer:
    run = run_of(options)
    return Answer(
        lambda: findings.text(run, full=options.full), lambda: findings.json(run), by_findings(run, options)
    )


def _contracts(options: argparse.Namespace) -> Answer:
    runs = runs_of(options)
    loaded = (runs.get(info.chain_id) for info in runs.list(limit=options.runs, replays=False))
    found = suggest(loaded)
    nothing = "Nothing to suggest yet: it takes three handoffs between two agents, in runs without a finding."
    return Answer(
        lambda: Text("\n".join(map(str, found)) or nothing),
        lambda: [dataclasses.asdict(suggestion) for suggestion in found],
    )


def _doctor(options: argparse.Namespace) -> Answer:
    found = diagnose(store_of(options))
    status = FOUND if found.grade == "trouble" else FINE
    return Answer(lambda: checkup.text(found), lambda: checkup.json(found), lambda: status)
