"""The command about what agents shared: `memory`."""

from __future__ import annotations

import argparse
from functools import partial

from becausal.cli.command import RUN, Answer, Commands, add_command, count, found_in, is_run, runs_of
from becausal.cli.printing import is_piped
from becausal.errors import MemoryKeyError
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
        "--run", metavar="RUN", help=f"what one run tells, state channels included: {RUN} (default: all runs)"
    )
    held.add_argument(
        "--at",
        type=partial(count, least=0),
        metavar="SEQ",
        help="as it stood at a causal sequence number: a step's `seq`",
    )
    held.add_argument("--blame", action="store_true", help="only who wrote what it holds")
    held.add_argument(
        "--all", action="store_true", help="what replays and counterfactuals wrote and read, too"
    )
    held.add_argument(
        "--full",
        action="store_true",
        help="each key and each value whole (default on a screen: the beginning)",
    )
    held.add_argument("--readers", action="store_true", help="also who read it")


def _memory(options: argparse.Namespace) -> Answer:
    runs, run = (runs_of(options), None) if options.run is None else found_in(options, options.run)
    try:
        found = memory.look_up(
            runs,
            options.key,
            run=run,
            at=options.at,
            only_last=options.blame,
            readers=options.readers,
            replays=options.all,
        )
    except MemoryKeyError as unknown:
        if run is not None or not is_run(runs, options.key):
            raise
        raise MemoryKeyError(
            f"{unknown}; {options.key!r} is a run: becausal memory --run {options.key} shows what it tells"
        ) from None
    return Answer(lambda: memory.text(found, full=options.full or is_piped()), lambda: memory.json(found))
