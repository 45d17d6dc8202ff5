"""The command that runs an app again: `replay`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from becausal.cli.command import FINE, FOUND, Answer, Commands, add_command, run_of, seconds
from becausal.errors import ReplayError
from becausal.replay.edit import Edit, edit
from becausal.views import replay

__all__ = ["add_to", "edits_of"]


def add_to(commands: Commands) -> None:
    """Add this command."""
    again = add_command(
        commands,
        "replay",
        _replay,
        "run an app again with the recorded answers, and say whether it does the same",
    )
    again.add_argument("--app", required=True, metavar="MODULE:NAME", help="a graph, a team or a function")
    again.add_argument(
        "--edit",
        metavar="FILE",
        help='what to change before: JSON, {"STEP": VALUE} or [{"step", "side", "path", "to" or "text"}]',
    )
    again.add_argument(
        "--live",
        action="append",
        default=[],
        metavar="NAME",
        help="run this model or tool live (may be repeated); `models`: those whose request is new",
    )
    again.add_argument("--timeout", type=seconds, metavar="SECONDS", help="how long it may take in all")
    again.add_argument("--network", action="store_true", help="let the app reach the network")


def _replay(options: argparse.Namespace) -> Answer:
    live: bool | list[str] = True if options.live == ["models"] else options.live
    found = run_of(options).replay(
        options.app,
        edits_of(options.edit) if options.edit else None,
        live,
        network=options.network or None,
        timeout=options.timeout,
    )
    is_fine = found.reproduced or (bool(options.edit) and found.divergence is None)
    return Answer(lambda: replay.text(found), lambda: replay.json(found), lambda: FINE if is_fine else FOUND)


def edits_of(path: str) -> list[Edit] | dict[str, Any]:
    """Return the edits that a file of JSON asks for: steps (or keys of memory) with their values, or edits one by one.

    Raises:
        ReplayError: it cannot be read, or is of another form.
    """
    try:
        said = json.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError) as failure:
        raise ReplayError(f"the edits in {path} cannot be read: {failure}") from failure
    if isinstance(said, dict):
        return said
    if not isinstance(said, list) or not all(isinstance(item, dict) and "step" in item for item in said):
        raise ReplayError(
            f'{path} holds no edits: write {{"STEP": VALUE}} or [{{"step": …, "path": […], "to": …}}]'
        )
    return [_edit(item, path) for item in said]


def _edit(said: dict[str, Any], path: str) -> Edit:
    place = edit(said["step"])
    side = said.get("side")
    if side not in (None, "received", "produced"):
        raise ReplayError(f"{path}: a side is received or produced, not {side!r}")
    place = getattr(place, side) if side else place
    place = place.field(*said.get("path", ()))
    if "text" in said:
        return place.text(str(said["text"]))
    if "to" not in said:
        raise ReplayError(f"{path}: an edit of {said['step']!r} says neither `to` nor `text`")
    return place.to(said["to"])
