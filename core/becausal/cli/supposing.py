"""The command that asks what would have been: `counterfactual`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TypedDict

from rich.text import Text

from becausal.cli.command import Answer, Commands, add_command, count, run_of
from becausal.cli.replaying import apps_output, tell_unknown
from becausal.counterfactual import MOST_REPLAYS, Counterfactual, Piece
from becausal.errors import ReplayError
from becausal.run import Run

__all__ = ["add_to"]


class PieceJson(TypedDict):
    """A piece of context."""

    step: str
    kind: str
    name: str
    agent: str | None
    side: str
    path: list[str | int]
    span: list[int] | None
    text: str


class CauseJson(TypedDict):
    """Pieces that change the outcome together."""

    pieces: list[PieceJson]
    changed: int
    of: int
    interval: list[float]


class CounterfactualJson(TypedDict):
    """What a search has shown."""

    causes: list[CauseJson]
    replays: int
    faithful: int
    not_counted: dict[str, int]
    is_complete: bool


def add_to(commands: Commands) -> None:
    """Add this command."""
    asked = add_command(
        commands,
        "counterfactual",
        _counterfactual,
        "find the smallest part of the context that changes a run's outcome, by replays without it",
    )
    asked.add_argument("--app", required=True, metavar="MODULE:NAME", help="the app that is run again")
    asked.add_argument(
        "--gone",
        metavar="TEXT",
        help="the outcome has changed when the output does not say this (default: when it says anything else)",
    )
    asked.add_argument(
        "--live",
        action="append",
        metavar="NAME",
        help="a model or tool that may be run; `models` for every model that is asked anew",
    )
    asked.add_argument(
        "--repeats", type=count, default=1, metavar="N", help="for models that answer at random (default: 1)"
    )
    asked.add_argument(
        "--most-replays",
        type=count,
        default=MOST_REPLAYS,
        metavar="N",
        help=f"sets of pieces that are tried (default: {MOST_REPLAYS})",
    )


def _counterfactual(options: argparse.Namespace) -> Answer:
    live: list[str] = options.live or []
    run = run_of(options)
    if options.gone is not None and _is_gone(options.gone)(run):
        raise ReplayError(
            f"the answer does not hold {options.gone!r}: say with --gone a part of what it says"
        )
    tell_unknown(run, live)
    with apps_output(options):
        found = run.counterfactual(
            options.app,
            None if options.gone is None else _is_gone(options.gone),
            repeats=options.repeats,
            most_replays=options.most_replays,
            live=True if "models" in live else live,
        )
    return Answer(lambda: Text(str(found)), lambda: _json(found))


def _is_gone(text: str) -> Callable[[Run], bool]:
    wanted = " ".join(text.split())
    return lambda again: again.output is None or wanted not in " ".join(again.output.text().split())


def _json(found: Counterfactual) -> CounterfactualJson:
    return {
        "causes": [
            {
                "pieces": [_piece(piece) for piece in cause.pieces],
                "changed": cause.share.hits,
                "of": cause.share.of,
                "interval": list(cause.share.interval),
            }
            for cause in found.causes
        ],
        "replays": found.replays,
        "faithful": found.faithful,
        "not_counted": dict(found.reasons),
        "is_complete": found.is_complete,
    }


def _piece(piece: Piece) -> PieceJson:
    return {
        "step": piece.step.id,
        "kind": piece.kind,
        "name": piece.step.name,
        "agent": piece.step.agent,
        "side": piece.side,
        "path": list(piece.path),
        "span": None if piece.span is None else list(piece.span),
        "text": piece.text,
    }
