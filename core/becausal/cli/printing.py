"""How an answer reaches whoever asked: JSON, a document, or what fits the terminal, in the signs that it has."""

from __future__ import annotations

import argparse
import codecs
import io
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final, Literal, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from becausal.cli.command import Answer
from becausal.errors import BecausalError
from becausal.harmless import harmless

__all__ = ["OutputError", "is_piped", "look_away", "put", "writing"]

POORER: Final = "becausal.poorer"
"""How a terminal whose encoding lacks a sign is written to."""

SIGNS: Final[Mapping[str, str]] = {
    "→": ">", "←": "<", "⇒": ">", "−": "-", "…": "~", "█": "#", "·": ".", "×": "x",  # noqa: RUF001
    "≠": "!", "⇅": "^", "✂": "%", "✗": "x", "µ": "u", "≥": ">", "≤": "<",
}  # fmt: skip
"""What stands for the signs of the views where the terminal lacks them."""

WIDTH_OF_A_PIPE = 160
"""Columns, where the output is no terminal."""


class OutputError(Exception):
    """The output does not take what is written to it; its cause says why."""

    def __init__(self, failure: OSError) -> None:
        super().__init__(f"the output cannot be written: {failure.strerror or failure}")
        self.is_unread = isinstance(failure, BrokenPipeError)
        """Whether nobody reads any more: who did has seen enough (`becausal runs | head`)."""


@contextmanager
def writing() -> Iterator[None]:
    """Tell what the output refuses from all else that may fail: servers hang up and files are missing, too.

    Raises:
        OutputError: the output refused what was written to it.
    """
    try:
        yield
    except OSError as failure:
        if isinstance(failure, BecausalError) or failure.filename is not None:
            raise  # the store that is written from, or a file: the output has no name
        raise OutputError(failure) from failure


def put(answer: Answer, options: argparse.Namespace) -> None:
    """Print an answer as its command's user asked for it.

    Raises:
        OutputError: the output does not take it.
    """
    if options.json:
        said = json.dumps(answer.data(), indent=2, ensure_ascii=True, allow_nan=False) + "\n"
        write = partial(sys.stdout.write, said)
    elif isinstance(shown := answer.shown(), str):
        # A document, whole: whatever the terminal's width.
        write = partial(sys.stdout.write, harmless(shown, keeping="\n\t"))
    else:
        console = _console(sys.stdout, plain=options.no_color)
        write = partial(console.print, _Trimmed(console.render_lines(shown, pad=False)), end="")
    with writing():
        if isinstance(sys.stdout, io.TextIOWrapper):
            codecs.register_error(POORER, _poorer)
            sys.stdout.reconfigure(errors=POORER)  # a terminal that has no ⇒ shows a >, and not a traceback
        write()
        sys.stdout.flush()


def look_away() -> None:
    """Have what is still on its way to the output go nowhere; Python would complain of it once more at exit."""
    with suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:  # an output in memory is no file
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


class _Trimmed:
    """Lines without the blanks at their ends, by which rich makes columns equally wide."""

    def __init__(self, lines: Iterable[Sequence[Segment]]) -> None:
        self.lines = lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for line in self.lines:
            said = [*line]
            while said and not said[-1].text.strip(" "):
                said.pop()
            if said:
                last = said.pop()
                said.append(Segment(last.text.rstrip(" "), last.style, last.control))
            yield from said
            yield Segment.line()


class _Console(Console):
    """A console on which only its own escape sequences reach the terminal, whatever a view was made of."""

    def on_broken_pipe(self) -> None:
        """Leave it to whoever prints what a pipe means that nobody reads: to rich, that the program fails."""
        raise  # what is handled where this is called

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        rendered = super().render(renderable, options)
        # What holds texts is made of theirs; it is looked at once more when all of it is written.
        return map(_harmless, rendered) if isinstance(renderable, str | Text | _Trimmed) else rendered


def _harmless(said: Segment) -> Segment:
    text, style, control = said
    return said if control else Segment(harmless(text, keeping="\n\t"), style, control)


def _poorer(failure: UnicodeError) -> tuple[str, int]:
    """Return what stands for the signs that a terminal does not have, as wide as they are."""
    if not isinstance(failure, UnicodeEncodeError):
        raise failure
    lacking = failure.object[failure.start : failure.end]
    return "".join(SIGNS.get(sign, "?") for sign in lacking), failure.end


def is_piped(out: TextIO | None = None) -> bool:
    """Return whether what is printed goes to no screen, and nobody said how wide one is."""
    return not (out or sys.stdout).isatty() and "COLUMNS" not in os.environ


def _console(out: TextIO, *, plain: bool) -> Console:
    width = WIDTH_OF_A_PIPE if is_piped(out) else None
    # rich's own reading of NO_COLOR keeps bold; ours prints no escape sequence at all.
    colors: Literal["auto"] | None = None if plain or os.environ.get("NO_COLOR") else "auto"
    return _Console(file=out, color_system=colors, highlight=False, markup=False, emoji=False, width=width)
