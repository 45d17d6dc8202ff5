"""The seams at which something of ours can fail: every function of ours that a recorded run reaches.

The list is made by watching runs, so that a new function is on it without being named. What is left out are the
carriers: functions in whose frames the app's own code runs. They hold nothing but its call, and what fails in there
is the app's.
"""

from __future__ import annotations

import gc
import sys
import threading
import types
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import becausal
import becausal_integrations

__all__ = ["BELIEVED", "GUARD", "OURS", "SHELLS", "STREAMS", "Reached", "functions", "seam_of", "watching"]

CHECKOUT = Path(__file__).resolve().parents[2]
OURS = tuple(str(Path(str(package.__file__)).parent) + "/" for package in (becausal, becausal_integrations))
HANDED = str(Path(__file__).parent / "handed.py")
"""What an app hands to us (a tracer provider, checks …) fails in the same ways; it stands beside our functions."""

GUARD = frozenset(
    f"becausal.guard:{name}" for name in ("guarded", "guarded.<locals>.safe", "note_failure", "_place_of")
)
"""The place where failures are swallowed: what is below it is what is tried."""

SHELLS = frozenset(
    [
        # What an app calls by name, and the block that it opens. They hold the app's own work, what they tell the
        # caller of his arguments, and calls of what is guarded.
        *(
            f"becausal.own:{name}"
            for name in ("chain", "agent", "receive", "_turn", "handoff", "decide", "returned", "tool")
        ),
        *(f"becausal.own:OpenTurn.{name}" for name in ("__init__", "id", "chain_id", "decide", "returned")),
        "becausal.instrument:uninstrument",
        "becausal.own:tool_named",
        "becausal.envelope:payload_of",  # where it gives none, there is nothing to go on with
        *(f"becausal.propagation:{name}" for name in ("inject", "extract")),
        *(f"becausal.propagation:RemoteContext.{name}" for name in ("__enter__", "__exit__")),
        # A dozen lines over OpenTelemetry's context, which keep its failures to themselves: `test_context` has that
        # fail under them.
        *(f"becausal.context:Scope.{name}" for name in ("__init__", "__enter__", "__exit__")),
        *(f"becausal.context:StepScope.{name}" for name in ("__init__", "__enter__")),
        "becausal.context:current",
        # Hooks that do not hold the app's function by the name `original`: each hands a call on, and no more.
        *(
            f"becausal_integrations.autogen.hooking:request_around.<locals>.make.<locals>.{name}"
            for name in ("either", "awaited", "<lambda>")
        ),
        "becausal_integrations.patch:_generating.<locals>.through",
        "becausal_integrations.patch:_scoping.<locals>.<lambda>",
        "becausal_integrations.patch:_scope",
        # They return the app's stream, or its stand-in; `call` and `acall` hold the app's frames and are known by that.
        *(f"becausal.recorder:Recorder.{name}" for name in ("stream", "astream", "_stood_for")),
    ]
)
"""What stands in the app's way in the literal sense, beside the hooks that hold its function by the name `original`."""

BELIEVED = frozenset(f"becausal.own:{name}" for name in ("_recorder", "_begin", "_arrival"))
"""Guarded, and what they give was looked at before: those above them take it as it is, so they do not lie."""

STREAMS = "becausal.streams:"
"""The stand-ins of generators: each piece of the app's passes through them."""


def seam_of(code: types.CodeType) -> str | None:
    """Return the name of a function of ours, `module:qualified.name`; None where it is somebody else's."""
    path = code.co_filename
    if path == HANDED:
        return f"handed:{code.co_qualname}"
    for folder in OURS:
        if path.startswith(folder):
            module = path.removeprefix(str(Path(folder).parent) + "/").removesuffix(".py").replace("/", ".")
            return f"{module.removesuffix('.__init__')}:{code.co_qualname}"
    return None


def functions(seams: Iterable[str] = ()) -> dict[str, list[types.FunctionType]]:
    """Return every function of ours that is alive, by its seam: those made inside of others, too.

    Args:
        seams: those that are wanted; none means all. What stands in a module or a class is looked for but once.
    """
    wanted = [*seams]
    if wanted and all("<locals>" not in seam and seam in _standing for seam in wanted):
        return {seam: _standing[seam] for seam in wanted}
    found = _alive()
    _standing.update(found)
    return found


_standing: dict[str, list[types.FunctionType]] = {}


def _alive() -> dict[str, list[types.FunctionType]]:
    found: dict[str, list[types.FunctionType]] = defaultdict(list)
    for thing in gc.get_objects():
        if type(thing) is types.FunctionType and (seam := seam_of(thing.__code__)) is not None:
            found[seam].append(thing)
    return found


class Reached:
    """Which seams were reached, and which functions carried the app's own calls."""

    def __init__(self) -> None:
        self.seams: set[str] = set()
        self.carriers: set[str] = set()
        self._names: dict[types.CodeType, str | None] = {}

    def note(self, frame: types.FrameType, event: str, _: object) -> None:
        """Take what `sys.setprofile` tells."""
        if event != "call":
            return
        code = frame.f_code
        if code not in self._names:
            self._names[code] = seam_of(code)
            if self._names[code] is not None and "original" in code.co_freevars:
                self.carriers.add(str(self._names[code]))
        if (name := self._names[code]) is not None:
            self.seams.add(name)
        elif code.co_filename.startswith(APPS):
            above = frame.f_back
            while above is not None:
                if (name := self._names.get(above.f_code)) is not None:
                    self.carriers.add(name)
                above = above.f_back


APPS = tuple(
    str(CHECKOUT / "tests" / name)
    for name in (
        "chaos/own.py",
        "integrations/graphs",
        "integrations/fakes_langchain.py",
        "integrations/fakes_autogen.py",
        "integrations/test_autogen_transparency.py",
    )
)
"""Where the code of the apps stands that are played: nodes, models, tools."""


@contextmanager
def watching(reached: Reached) -> Iterator[None]:
    """Note what is reached, on this thread and on those that start meanwhile."""
    note: Callable[..., Any] = reached.note
    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
