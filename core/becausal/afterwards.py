"""The app's own checks, made after what they check has ended: on a thread of its own, at no cost to the app.

A check is the app's code, so it may raise, block or answer nonsense. Each of these is told as what it is, and the
checks of everything else go on.
"""

from __future__ import annotations

import copy
import logging
import reprlib
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry.context import Context

from becausal.context import Scope
from becausal.guard import guarded
from becausal.step import Attribute, OpenStep

__all__ = ["Afterwards", "Check", "called"]

log: logging.Logger = logging.getLogger("becausal")

Check = Callable[[Any], object]
"""Takes a value as plain data. Fine is None or True; wrong is False, a text, several texts, or a failed `assert`."""

Judge = Callable[[], Mapping[str, Attribute]]
"""Gives the attributes that say what was found."""

MOST_WAITING = 1_000
"""Steps that wait to be checked; one beyond is counted as a gap."""

MOST_SECONDS = 10.0
"""A check that takes longer is given up, and not made again."""

MOST_SAID = 8
"""So many things that one check finds are kept."""

WIDEST = 300
"""Characters of each that are kept."""


class Afterwards:
    """Checks steps that have ended, one after the other, and saves them once more with what was found."""

    def __init__(self, save: Callable[[OpenStep], None], count_gap: Callable[[str], None]) -> None:
        self._save, self._count_gap = save, count_gap
        self._queue: deque[tuple[OpenStep, Judge]] = deque()
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()
        self._given_up: set[Check] = set()

    def put(self, step: OpenStep, judge: Judge) -> None:
        """Have a step judged; never blocks."""
        with self._changed:
            if len(self._queue) >= MOST_WAITING:
                self._count_gap("not checked")
                return
            self._queue.append((step, judge))
            if self._thread is None:
                self._thread = _started(self._run)

    def wait(self, timeout: float) -> bool:
        """Wait until all that was put so far is judged; False when the time was up."""
        with self._changed:
            return self._changed.wait_for(lambda: self._thread is None, timeout)

    def forget(self) -> None:
        """Begin anew, in a child of a fork: what waits is the parent's."""
        self._queue, self._thread, self._changed = deque(), None, threading.Condition()

    def asked(self, check: Check, value: object) -> list[str]:
        """Return what a check finds wrong with a value, or what is wrong with the check."""
        if check in self._given_up:
            return []
        found: list[list[str]] = []
        _started(lambda: found.append(_said(check, value))).join(MOST_SECONDS)
        if found:
            return found[0]
        self._given_up.add(check)
        told = f"{called(check)} did not answer within {MOST_SECONDS:.0f} s"
        log.warning("becausal: the check %s and is not asked again", told)
        return [f"check {told}"]

    # Inside

    def _run(self) -> None:
        try:
            while (next := self._next()) is not None:
                self._judge(*next)
        finally:
            with self._changed:
                if (
                    self._thread is threading.current_thread()
                ):  # killed, by an exit within a check: another goes on
                    self._thread = _started(self._run) if self._queue else None
                    self._changed.notify_all()

    def _next(self) -> tuple[OpenStep, Judge] | None:
        with self._changed:
            if self._queue:
                return self._queue.popleft()
            self._thread = None
            self._changed.notify_all()
            return None

    @guarded
    def _judge(self, step: OpenStep, judge: Judge) -> None:
        judged = copy.copy(step)
        judged.attributes = {**step.attributes, **judge()}
        self._save(judged)


def called(check: Check) -> str:
    """Return what a check is called."""
    return getattr(check, "__name__", type(check).__name__)


def _shown(value: object) -> str:
    """Return a value in short; of a large one its size alone, for to write it out may take long."""
    if isinstance(value, str | bytes | list | tuple | Mapping) and len(value) > WIDEST:
        return f"{type(value).__name__} of {len(value):,}"
    try:
        return reprlib.repr(value)
    except Exception:  # of the app's own class
        return type(value).__name__


def _started(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, name="becausal-checks", daemon=True)
    with Scope(Context()):  # in no step: what a check calls is none of the run's
        thread.start()
    return thread


def _said(check: Check, value: object) -> list[str]:
    try:
        verdict = check(value)
    except AssertionError as refusal:
        said = str(refusal).partition("\n")[0] or f"{called(check)}: an assertion failed for {_shown(value)}"
        return [said[:WIDEST]]
    except BaseException as failure:  # of the app's own code; it is told where the finding is read
        return [f"check {called(check)} failed: {type(failure).__name__}: {failure}"[:WIDEST]]
    match verdict:
        case None | True:
            return []
        case False:
            return [f"{called(check)} failed on {_shown(value)}"[:WIDEST]]
        case str():
            return [verdict[:WIDEST]]
        case list() | tuple() if all(isinstance(one, str) for one in verdict):
            return [one[:WIDEST] for one in verdict[:MOST_SAID]]
        case _:
            wrong = f"answered {type(verdict).__name__}; it is to answer None, a truth value, a text or texts"
            return [f"check {called(check)} {wrong}"]
