"""`--quick` of every command: the same measurement, smaller, in less than half a minute.

Its figures are those of one look: they show whether it runs and roughly how things stand, and none of them is to be
published. What is asked for beside it is measured as it is asked for.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

__all__ = ["parsed"]


def parsed(
    parser: argparse.ArgumentParser, arguments: Sequence[str] | None, **smaller: Any
) -> argparse.Namespace:
    """Return what is asked for, with `--quick` among what may be.

    Args:
        parser: of a command, whole but for `--quick`.
        arguments: as typed; None for those of this process.
        smaller: what `--quick` sets, by the names that the parser gives it, where that is not asked for itself.
    """
    told = ", ".join(
        f"--{name.replace('_', '-')} {_words(value)}" for name, value in smaller.items() if value is not None
    )
    parser.add_argument("--quick", action="store_true", help=f"in less than half a minute: {told}")
    options = parser.parse_args(arguments)
    if options.quick:
        parser.set_defaults(**smaller)
        options = parser.parse_args(arguments)
    return options


def _words(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
