"""The command `becausal`: reads its arguments, asks a run, prints.

Exit status: 0 fine, 1 what was asked for is not well (findings at or above --fail-on, or damaged; the help of each
command that judges says when), 2 wrong use: nothing was done. It is 2 as well where what was done cannot be written to
the output, or reaches the store and not its sink: a line on the error output says so. RUN is a chain id, the beginning
of one, `last` or a cassette's path; where a command takes one and none is given, it is the newest.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NoReturn

from becausal.cli.arguments import Arguments
from becausal.cli.command import FINE, PART, WRONG_USE, Answer
from becausal.cli.printing import OutputError, look_away, put
from becausal.errors import BecausalError
from becausal.harmless import harmless

__all__ = ["main"]

GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "looking": ("runs", "show", "why", "blame", "handoffs", "tools", "logs"),
    "remembering": ("memory",),
    "judging": ("findings", "contracts", "doctor"),
    "answering": ("health", "diff", "report"),
    "spreading": ("drift", "orphans", "contaminated"),
    "carrying": ("export", "import", "test"),
    "replaying": ("replay",),
    "supposing": ("counterfactual",),
    "serving": ("serve",),
    "tending": ("prune", "erase"),
}
"""The modules that add commands, and which: in the order in which `becausal --help` lists them."""

INTERRUPTED: Final = 130
"""What shells know a command by that was ended from the keyboard."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    Args:
        arguments: as typed after `becausal`; None for those of this process.
    """
    _have_outputs()
    typed = sys.argv[1:] if arguments is None else arguments
    options, unknown = _parser(_groups_for(typed)).parse_known_args(typed)
    if unknown:
        _refuse(unknown, options)
    try:
        return _answered(options)
    except BecausalError as refusal:
        return _told(str(refusal))
    except OSError as failure:
        what = "this cannot be done" if failure.filename is None else f"cannot use {failure.filename}"
        return _told(f"{what}: {failure.strerror or failure}")
    except KeyboardInterrupt:
        _told("interrupted")
        return INTERRUPTED


def _have_outputs() -> None:
    """Have what is written to an output that was closed before we began (`>&-`, some daemons) go nowhere."""
    if sys.stdout is None:
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")


def _answered(options: argparse.Namespace) -> int:
    """Carry a command out, print its answer, and return its exit status."""
    answer: Callable[[argparse.Namespace], Answer] = options.answer
    answered = None
    try:
        answered = answer(options)
        put(answered, options)
    except OutputError as refusal:
        look_away()
        if not refusal.is_unread:
            return _told(
                f"{refusal}{'' if answered is None else '; the command was carried out all the same'}"
            )
    return FINE if answered is None else answered.status()


def _told(what: str) -> int:
    """Say what is wrong, and return `WRONG_USE`."""
    said = harmless(what, keeping="\n\t")  # it may quote what was recorded
    sys.stderr.write(f"becausal: {said}\n")
    return WRONG_USE


def _refuse(unknown: Sequence[str], options: argparse.Namespace) -> NoReturn:
    """Refuse arguments that a command does not have, with that command's usage, and exit with `WRONG_USE`."""
    part = [one for one in unknown if one.partition("=")[0] in PART]
    why = f"; it is of the whole run, and takes no {part[0]}" if part else ""
    options.refuse(f"unrecognized arguments: {' '.join(unknown)}{why}")
    raise SystemExit(WRONG_USE)


def _groups_for(typed: Sequence[str]) -> Iterable[str]:
    """Return the modules to load for what was typed: of a command its own, which is why it answers at once."""
    if not typed or typed[0] == "--version":
        return ()
    return [group for group, commands in GROUPS.items() if typed[0] in commands] or GROUPS


def _parser(groups: Iterable[str] = GROUPS) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="becausal",
        description="Ask recorded runs what caused what.",
        epilog=__doc__.partition("\n\n")[2],
    )
    parser.add_argument("--version", action="version", version=importlib.metadata.version("becausal"))
    commands = parser.add_subparsers(
        title="commands", required=True, metavar="COMMAND", parser_class=Arguments
    )
    for group in groups:
        importlib.import_module(f"becausal.cli.{group}").add_to(commands)
    return parser
