"""The work that a replayed app hands to threads, and what becomes of it once the app has returned.

A replay waits for what has begun steps of it, though not for ever. As long as it has fewer steps than the record it
waits for everything else, too, but shortly: an app may have threads that never begin a step, and never end. What still
works then is left behind: models and tools are refused to it, and what holds it to the record stays in until it has
ended. The network stays shut to it too, unless it has begun no step: then it may be a library's own, which serves
others as well.

Whether a thread is a daemon says nothing here: one that was started in a replay is, as its starter is.
"""

from __future__ import annotations

import math
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

__all__ = ["Carried", "Threads"]

LOOKS_S: Final = 0.05
"""Between two looks at work that is waited for: what was cancelled tells nobody of it."""

SHORTLY_S: Final = 0.2
"""Since a step has begun, or work ended that steps had begun in: so long what has begun none is waited for."""


class Threads:
    """The threads of one replay.

    Args:
        steps: how many the record has.
    """

    def __init__(self, steps: int) -> None:
        self.is_over = False
        """Whether what they ask is refused."""
        self.in_force: Callable[[], AbstractContextManager[None]] = nullcontext
        """Returns what holds work to the record."""
        self.changed = threading.Condition()
        self.here: dict[int, Carried] = {}
        """The work that is being done, by the identities of threads."""
        self._works: weakref.WeakSet[Carried] = weakref.WeakSet()
        self._missing = steps
        self.moved_s = 0.0
        """When a step began last, or work ended that one had begun in."""
        self._has_left_app = False
        self._has_ended = False
        self.on_idle: Callable[[], object] | None = None
        """Called once nothing is at work any more."""

    @property
    def is_at_work(self) -> bool:
        """Whether the app is under way still, or work that has begun steps."""
        with self.changed:
            app_is_there = self._has_left_app and not self._has_ended
            return app_is_there or any(work.is_under_way for work in self._works)

    @property
    def has_let_go(self) -> bool:
        """Whether this thread outlives the replay, and has never had to do with it."""
        here = self.here.get(threading.get_ident())
        return self.is_over and here is not None and not here.has_begun

    def begun(self) -> None:
        """Note that a step begins here."""
        self._missing -= 1
        self.moved_s = time.monotonic()
        here = self.here.get(threading.get_ident())
        if here is not None:
            here.has_begun = True

    def carried(self, refused: Callable[[], BaseException]) -> Carried:
        """Return what does the work of a thread or a pool that is handed over now.

        Args:
            refused: returns what it ends with where it begins too late.
        """
        work = Carried(self, refused)
        with self.changed:
            self._works.add(work)
        return work

    def end(self, patience: float) -> None:
        """Wait for the threads, for so many seconds at most, and refuse from then on what they ask."""
        began = time.monotonic()
        with self.changed:
            self.moved_s = began
            while (left := min(began + patience, self._awaited_until()) - time.monotonic()) > 0:
                self.changed.wait(min(left, LOOKS_S))
            self.is_over = self._has_ended = True
        self.tell_idle()

    def tell_idle(self) -> None:
        """Tell whoever wants to know once nothing is at work any more."""
        if self.on_idle is not None and not self.is_at_work:
            self.on_idle()

    def leave_app(self) -> None:
        """Refuse from now on what the app itself asks, which does not return."""
        self.is_over = self._has_left_app = True

    def _awaited_until(self) -> float:
        if any(work.is_under_way for work in self._works):
            return math.inf
        is_more_to_come = self._missing > 0 and any(not work.is_done for work in self._works)
        return self.moved_s + SHORTLY_S if is_more_to_come else 0.0


class Carried:
    """Does the work of one thread, or one piece of a pool's."""

    def __init__(self, threads: Threads, refused: Callable[[], BaseException]) -> None:
        self.has_begun = False
        """Whether a step has begun in it."""
        self.is_done = False
        self._threads, self._refused = threads, refused

    @property
    def is_under_way(self) -> bool:
        """Whether a step has begun in it, and it has not ended."""
        return self.has_begun and not self.is_done

    def __call__(self, work: Callable[[], Any]) -> Any:
        """Do it, held to the record for as long as it takes."""
        threads, thread = self._threads, threading.get_ident()
        held = threads.in_force()
        with threads.changed:
            if threads.is_over:
                raise self._refused()
            held.__enter__()
            around = threads.here.get(thread)
            threads.here[thread] = self
        try:
            return work()
        finally:
            with threads.changed:
                if around is None:
                    del threads.here[thread]
                else:
                    threads.here[thread] = around
                    around.has_begun |= self.has_begun
                if self.has_begun:
                    threads.moved_s = time.monotonic()
                self.is_done = True
                threads.changed.notify_all()
            held.__exit__(None, None, None)
            threads.tell_idle()
