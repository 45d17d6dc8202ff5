"""The command that runs an app again: `replay`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

from becausal.cli.command import FINE, FOUND, Answer, Commands, add_command, run_of, seconds
from becausal.errors import ReplayError
from becausal.harmless import harmless
from becausal.replay.edit import Edit, edit
from becausal.replay.outcome import Replay
from becausal.run import Run
from becausal.views import replay

__all__ = ["add_to", "apps_output", "edits_of", "tell_unknown"]


def add_to(commands: Commands) -> None:
    """Add this command."""
    again = add_command(
        commands,
        "replay",
        _replay,
        "run an app again with the recorded answers, and say whether it does the same",
        fails="it does not, or, with --edit, what it asked was not known, or the app raised",
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
    run = run_of(options)
    tell_unknown(run, options.live, is_edited=bool(options.edit))
    with _recording_to(options.store), apps_output(options):
        found = run.replay(
            options.app,
            edits_of(options.edit) if options.edit else None,
            live,
            network=options.network or None,
            timeout=options.timeout,
        )
    is_fine = found.reproduced or (bool(options.edit) and found.divergence is None and not _has_failed(found))
    return Answer(lambda: replay.text(found), lambda: replay.json(found), lambda: FINE if is_fine else FOUND)


def _has_failed(found: Replay[Run]) -> bool:
    """Say whether the app raised, where it had not when it was recorded."""
    is_raised = any(outcome.error is not None for outcome in found.outcomes)
    return is_raised and all(step.status != "error" for step in found.of.graph.roots)


def tell_unknown(run: Run, live: Iterable[str], *, is_edited: bool = True) -> None:
    """Say which names that are to be run live a run does not know.

    Where something is changed no more than that: it may well lead an app to a tool that it did not call before.

    Raises:
        ReplayError: nothing is changed, so nothing of such a name can come.
    """
    known = {name for step in run.steps for name in (step.name, step.agent)} | {"models"}
    unknown = [repr(name) for name in live if name not in known]
    if not unknown:
        return
    names = sorted({step.name for step in run.steps if step.kind in ("model", "tool")})
    said = (
        f"no model or tool of the run is called {' or '.join(unknown)}; "
        f"those of the run are: {', '.join(names) or 'none'}"
    )
    if not is_edited:
        raise ReplayError(f"--live: {said}")
    sys.stderr.write(f"becausal: --live: {harmless(said)}\n")  # an app gave them their names


def apps_output(options: argparse.Namespace) -> AbstractContextManager[object]:
    """Keep what an app prints out of what programs read: with --json it goes to stderr."""
    return redirect_stdout(sys.stderr) if options.json else nullcontext()


@contextmanager
def _recording_to(store: str | None) -> Iterator[None]:
    """Have an app whose module calls `becausal.instrument()` itself record to a store, unless it names another."""
    former = os.environ.get("BECAUSAL_STORE")
    if store:
        os.environ["BECAUSAL_STORE"] = store
    try:
        yield
    finally:
        if store and former is None:
            del os.environ["BECAUSAL_STORE"]
        elif store and former is not None:
            os.environ["BECAUSAL_STORE"] = former


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
    if not isinstance(said["step"], str):
        raise ReplayError(f"{path}: a step is said by its id or its name, in quotes, not by {said['step']!r}")
    place = edit(said["step"])
    side = said.get("side")
    if side not in (None, "received", "produced"):
        raise ReplayError(f"{path}: a side is received or produced, not {side!r}")
    place = getattr(place, side) if side else place
    within = said.get("path", [])
    if not isinstance(within, list) or not all(isinstance(key, str | int) for key in within):
        raise ReplayError(
            f'{path}: a path is a list of keys and numbers, such as ["messages", 0], not {within!r}'
        )
    place = place.field(*within)
    if "text" in said:
        return place.text(str(said["text"]))
    if "to" not in said:
        raise ReplayError(f"{path}: an edit of {said['step']!r} says neither `to` nor `text`")
    return place.to(said["to"])
