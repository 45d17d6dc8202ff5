"""A command's arguments, its options wherever they are typed: `becausal blame last --json "20 million"`.

`argparse` gives all of a command's plain arguments their values as soon as it meets the first of them, and refuses
those that follow an option. Its own mend (`parse_intermixed_args`) is of no use to a parser that another one calls, and
knows no `--`. So what was typed is read twice: for the options alone, then what is left for the plain arguments.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

__all__ = ["Arguments"]


class Arguments(argparse.ArgumentParser):
    """Reads the arguments of one command."""

    def parse_known_args(  # type: ignore[override]  # its stub has one signature for each way to call it
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Return what was given, and what no argument takes."""
        typed = list(args or ())
        # Behind `--` there are no options: "-5%" is a text there.
        end = typed.index("--") if "--" in typed else len(typed)
        with self._options_alone():
            found, left = super().parse_known_args(typed[:end], namespace)
        with self._nothing_required():
            return super().parse_known_args([*left, *typed[end:]], found)

    @contextmanager
    def _options_alone(self) -> Iterator[None]:
        """Leave plain arguments where they are; what is told of wrong use names them all the same."""
        plain = [action for action in self._actions if not action.option_strings]
        before = [(action, action.nargs, action.default) for action in plain]
        usage, self.usage = self.usage, self.format_usage().removeprefix("usage: ")
        for action in plain:
            action.nargs = action.default = argparse.SUPPRESS
        try:
            yield
        finally:
            self.usage = usage
            for action, nargs, default in before:
                action.nargs, action.default = nargs, default

    @contextmanager
    def _nothing_required(self) -> Iterator[None]:
        """Require no options: those that were given are no longer among what is read."""
        required: list[Any] = [one for one in self._actions if one.option_strings and one.required]
        for action in required:
            action.required = False
        try:
            yield
        finally:
            for action in required:
                action.required = True
