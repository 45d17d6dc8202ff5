"""The command `becausal`: reads its arguments, asks a run, prints.

Exit status: 0 fine, 1 findings at or above `--fail-on`, or only a part was judged, or what was exported is not what
was once written, 2 wrong use.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal, NoReturn, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from becausal.cli.command import FINE, PART, WRONG_USE, Answer
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

WIDTH_OF_A_PIPE = 160
"""Columns, where the output is no terminal."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    Args:
        arguments: as typed after `becausal`; None for those of this process.
    """
    typed = sys.argv[1:] if arguments is None else arguments
    options, unknown = _parser(_groups_for(typed)).parse_known_args(typed)
    if unknown:
        _refuse(unknown, options)
    answer: Callable[[argparse.Namespace], Answer] = options.answer
    try:
        answered = answer(options)
        _print(answered, options)
        return answered.status()
    except BecausalError as refusal:
        said = harmless(str(refusal), keeping="\n\t")  # it may quote what was recorded
        sys.stderr.write(f"becausal: {said}\n")
        return WRONG_USE
    except BrokenPipeError:
        # Whoever read us has seen enough (`becausal runs | head`); Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FINE


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
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for group in groups:
        importlib.import_module(f"becausal.cli.{group}").add_to(commands)
    return parser


def _print(answer: Answer, options: argparse.Namespace) -> None:
    if options.json:
        sys.stdout.write(json.dumps(answer.data(), indent=2, ensure_ascii=True, allow_nan=False) + "\n")
    elif isinstance(shown := answer.shown(), str):
        # A document, whole: whatever the terminal's width.
        sys.stdout.write(harmless(shown, keeping="\n\t"))
    else:
        _console(sys.stdout, plain=options.no_color).print(shown)
    sys.stdout.flush()


class _Console(Console):
    """A console on which only its own escape sequences reach the terminal, whatever a view was made of."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else harmless(text, keeping="\n\t"), style, control)


def _console(out: TextIO, *, plain: bool) -> Console:
    if isinstance(out, io.TextIOWrapper):
        out.reconfigure(errors="replace")  # a terminal that has no ⇒ shows a ?, and not a traceback
    width = None if out.isatty() or "COLUMNS" in os.environ else WIDTH_OF_A_PIPE
    # rich's own reading of NO_COLOR keeps bold; ours prints no escape sequence at all.
    colors: Literal["auto"] | None = None if plain or os.environ.get("NO_COLOR") else "auto"
    return _Console(file=out, color_system=colors, highlight=False, markup=False, emoji=False, width=width)
