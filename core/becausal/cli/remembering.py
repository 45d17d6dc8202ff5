"""The command about what agents shared: `memory`."""

from __future__ import annotations

import argparse

from becausal.cli.command import Answer, Commands, add_command, runs_of
from becausal.views import memory

__all__ = ["add_to"]


def add_to(commands: Commands) -> None:
    """Add this command."""
    held = add_command(
        commands,
        "memory",
        _memory,
        "show what a key of a shared memory held, version by version, and who wrote and read it",
        takes_run=False,
    )
    held.add_argument(
        "key", nargs="?", metavar="KEY", help="a key, or memory/key (default: what every key holds)"
    )
    held.add_argument(
        "--run", metavar="RUN", help="what one run tells, state channels included (default: all runs)"
    )
    held.add_argument("--at", type=int, metavar="SEQ", help="as it stood at a causal sequence number")
    held.add_argument("--blame", action="store_true", help="only who wrote what it holds")
    held.add_argument(
        "--all", action="store_true", help="what replays and counterfactuals wrote and read, too"
    )
    held.add_argument("--readers", action="store_true", help="also who read it")


def _memory(options: argparse.Namespace) -> Answer:
    found = memory.look_up(
        runs_of(options),
        options.key,
        run=options.run,
        at=options.at,
        only_last=options.blame,
        readers=options.readers,
        replays=options.all,
    )
    return Answer(lambda: memory.text(found), lambda: memory.json(found))
