"""The commands that follow content beyond one step: `drift`, `orphans`, `contaminated`."""

from __future__ import annotations

import argparse

from becausal.cli.command import (
    FINE,
    FOUND,
    RUN,
    Answer,
    Commands,
    add_command,
    found_in,
    info_of,
    is_run,
    run_of,
    runs_of,
)
from becausal.errors import MemoryKeyError, SettingsError, StepNotFoundError
from becausal.views import contamination, drift, orphans

__all__ = ["add_to"]


def add_to(commands: Commands) -> None:
    """Add these commands."""
    moved = add_command(
        commands,
        "drift",
        _drift,
        "show what became of the request's facts and constraints, hop by hop",
    )
    moved.add_argument(
        "--model", metavar="NAME", help="measure the distance by an embedding model of model2vec too"
    )

    lost = add_command(
        commands,
        "orphans",
        _orphans,
        "list work that lost its link to its run, joined by content",
        takes_run=False,
    )
    lost.add_argument("run", nargs="?", metavar="RUN", help=f"{RUN} (default: all of the store)")
    spread = add_command(
        commands,
        "contaminated",
        _contaminated,
        "show every run, reader and answer that something wrong came to",
        takes_run=False,
        fails="it came to an answer",
    )
    spread.add_argument(
        "of",
        nargs="?",
        metavar="KEY|STEP",
        help="memory/key@3 (without a number: the last version), or a step's id",
    )
    spread.add_argument("--run", metavar="RUN", help=f"the step's run: {RUN} (default: last)")
    spread.add_argument(
        "--possible",
        action="store_true",
        help="follow what depends on it without saying it into other runs, too",
    )


def _drift(options: argparse.Namespace) -> Answer:
    found = run_of(options).drift(model=options.model)
    return Answer(lambda: drift.text(found), lambda: drift.json(found))


def _orphans(options: argparse.Namespace) -> Answer:
    found = runs_of(options).orphans() if options.run is None else run_of(options).orphans
    return Answer(lambda: orphans.text(found), lambda: orphans.json(found))


def _contaminated(options: argparse.Namespace) -> Answer:
    if options.of is None:
        raise SettingsError(
            "say what is wrong: becausal contaminated MEMORY/KEY@3, a version of a memory's key (becausal memory lists "
            "them), or becausal contaminated STEP, a step of the newest run or of --run RUN (becausal findings names "
            "them)"
        )
    runs, run = (runs_of(options), None) if options.run is None else found_in(options, options.run)
    chain_id = None if run is None else info_of(runs, run).chain_id
    try:
        found = runs.contaminated_by(options.of, run=chain_id, possible=options.possible)
    except (MemoryKeyError, StepNotFoundError) as unknown:
        if not is_run(runs, options.of):
            raise
        raise StepNotFoundError(
            f"{options.of!r} is a run: name what is wrong in it, a step or a version of a key: "
            f"becausal contaminated STEP --run {options.of}; {unknown}"
        ) from None
    return Answer(
        lambda: contamination.text(found),
        lambda: contamination.json(found),
        lambda: FOUND if found.outputs else FINE,
    )
