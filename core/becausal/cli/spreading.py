"""The commands that follow content beyond one step: `drift`."""

from __future__ import annotations

import argparse

from becausal.cli.command import Answer, Commands, add_command, run_of
from becausal.views import drift

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


def _drift(options: argparse.Namespace) -> Answer:
    found = run_of(options).drift(model=options.model)
    return Answer(lambda: drift.text(found), lambda: drift.json(found))
