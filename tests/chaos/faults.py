"""Faults, and how they get into a function that somebody holds already.

A function keeps its identity and gets another code, which asks the fault what is to happen: so whoever holds it (a
closure, an instance, another module's name for it) meets the fault, and afterwards everything is as it was.
"""

from __future__ import annotations

import random
import sqlite3
import sys
import threading
import types
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from opentelemetry import propagate
from tests.chaos.seams import BELIEVED, OURS, functions

from becausal.errors import StoreError

__all__ = ["KINDS", "Fault", "Kind", "Release", "armed"]

Kind = Literal["raises", "fails afterwards", "is interrupted", "blocks", "kills its thread", "lies"]

KINDS: tuple[Kind, ...] = (
    "raises",
    "fails afterwards",
    "is interrupted",
    "blocks",
    "kills its thread",
    "lies",
)

ERRORS: tuple[Callable[[], Exception], ...] = (
    lambda: RuntimeError("chaos"),
    lambda: MemoryError(),
    lambda: RecursionError("maximum recursion depth exceeded"),
    lambda: StoreError("chaos"),
    lambda: sqlite3.OperationalError("disk I/O error"),
    lambda: OSError(28, "No space left on device"),
    lambda: KeyError("chaos"),
    lambda: StopIteration("chaos"),
    lambda: UnicodeEncodeError("utf-8", "\ud800", 0, 1, "chaos"),
    lambda: AssertionError(),
    lambda: ConnectionResetError(104, "chaos"),
)

MISTAKES: tuple[object, ...] = (
    None,
    object(),
    7,
    -1,
    "",
    "chaos",
    b"",
    b"chaos",
    (),
    [],
    {},
    float("nan"),
    True,
)

LONGEST_S = 120.0
"""Nothing blocks for longer, whatever happens."""

CALL_BACKS = ("Walk.hook", "Walk.lean_hook", "_minding.<locals>.minded")
"""What ormsgpack calls. An interrupt within is remembered there and raised afterwards; not one that comes before."""

WAITING = ("becausal.store", "handed:")
"""Where something can wait for others: a disk, a server, an exporter. The rest of ours computes."""

BETWEEN = (str(Path(__file__).parent), str(Path(propagate.__file__).parents[1]))
"""Where the code stands by way of which we call what the app handed over."""

Release = threading.Event


class Fault:
    """What goes wrong in one function of ours."""

    def __init__(self, seam: str, kind: Kind, chance: random.Random, released: Release) -> None:
        self.seam, self.kind = seam, kind
        self.met = 0
        """How often it struck."""
        self.interrupts: list[KeyboardInterrupt] = []
        """Those that were raised on the app's main thread."""
        self._error = chance.choice(ERRORS)
        self._every = chance.choice((1, 1, 2, 3, 7))
        self._skipped = chance.choice((0, 0, 1, 4, 20))
        self._chance, self._released = random.Random(chance.random()), released
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"{self.seam} {self.kind}"

    def call(self, original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Stand for a call of the function."""
        if not self._strikes():
            return original(*args, **kwargs)
        match self.kind:
            case "raises":
                raise self._error()
            case "fails afterwards":
                original(*args, **kwargs)
                raise self._error()
            case "is interrupted":
                self.interrupts.append(KeyboardInterrupt("chaos"))
                raise self.interrupts[-1]
            case "blocks":
                self._released.wait(LONGEST_S)
                return original(*args, **kwargs)
            case "kills its thread":
                raise SystemExit
            case "lies":
                return self._lie(original(*args, **kwargs))

    def _strikes(self) -> bool:
        """Whether this call goes wrong: not where the fault would be the app's own."""
        thread = threading.current_thread()
        is_ours = thread.name.startswith("becausal-")
        if self.kind in ("blocks", "kills its thread") and not is_ours:
            return False
        if self.kind == "is interrupted" and (
            thread is not threading.main_thread() or self.seam.endswith(CALL_BACKS) or _is_in_a_destructor()
        ):
            return False
        if self.kind == "lies" and self.seam in BELIEVED:
            return False
        if self.seam.startswith("handed:Propagator") and not _is_called_by_us():
            return False
        if self.kind == "blocks" and (self._released.is_set() or not self.seam.startswith(WAITING)):
            return False
        with self._lock:
            if self._skipped:
                self._skipped -= 1
                return False
            if self.kind == "is interrupted" and self.interrupts:
                return False
            if self._chance.randrange(self._every):
                return False
            self.met += 1
            return True

    def _lie(self, truth: object) -> object:
        if isinstance(truth, bytes | str | list | tuple) and len(truth) and self._chance.random() < 0.5:
            cut: object = truth[: self._chance.randrange(len(truth))]
            return cut
        return self._chance.choice(MISTAKES)


def _is_in_a_destructor() -> bool:
    """Whether the garbage collector has called: Python prints what is raised in there, interrupts included."""
    frame: types.FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False


def _is_called_by_us() -> bool:
    """Whether it was we who called what the app handed over, by way of OpenTelemetry: else the failure is its own."""
    frame: types.FrameType | None = sys._getframe()
    while frame is not None and not frame.f_code.co_filename.startswith(OURS):
        if not frame.f_code.co_filename.startswith(BETWEEN):
            return False
        frame = frame.f_back
    return frame is not None


@contextmanager
def armed(faults: Iterable[Fault]) -> Iterator[None]:
    """Put faults into the functions of ours that are there now."""
    faults = tuple(faults)
    there, formers = functions(fault.seam for fault in faults), []
    for fault in faults:
        for function in there.get(fault.seam, ()):
            formers.append((function, function.__code__))
            function.__code__ = _faulty(fault, function)
    try:
        yield
    finally:
        for function, code in reversed(formers):
            function.__code__ = code


def _faulty(fault: Fault, function: types.FunctionType) -> types.CodeType:
    """Return code that hands a call over to a fault. It closes over what the function's code closes over."""
    original = types.FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    original.__kwdefaults__ = function.__kwdefaults__

    def meet(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return fault.call(original, args, kwargs)

    code = _handing_over.__code__
    constants = tuple(meet if one == "meet" else one for one in code.co_consts)
    return code.replace(co_consts=constants, co_freevars=function.__code__.co_freevars)


def _handing_over(*args: Any, **kwargs: Any) -> Any:
    meet: Any = "meet"  # a constant that is replaced
    return meet(args, kwargs)
