"""Keeping a store within its bounds while the app runs: now and then, on a thread of its own.

The writer gives the occasion, after a batch; nothing is done on the app's threads, nor on the writer's, which has a
queue to empty. Of all processes that write to a store one takes the turn, once an hour.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from typing import Final

from opentelemetry.context import Context

from becausal.bounds import Retention
from becausal.context import Scope
from becausal.errors import StoreError
from becausal.guard import guarded
from becausal.store import open_store
from becausal.store.retention import Pruned, prune
from becausal.store.upkeep import upkeep_of

__all__ = ["Retaining"]

log: logging.Logger = logging.getLogger("becausal")

EVERY_S: Final = 3_600.0
"""Between two turns, of all processes together."""

ASKS_S: Final = 300.0
"""Between two questions of one process whether it is its turn."""

SPARED_S: Final = 3_600.0
"""What was touched so recently is left alone: a step of it may be on its way."""


LOOKS_S: Final = 5.0
"""For so long at most a store is looked over for damage: some 2 GB. An app has something else to do."""

WHOLE_FOR_S: Final = 86_400.0
"""For so long a store that was found whole is taken for it."""


class _Stopped(Exception):
    """Nothing is to go any more."""


class Retaining:
    """Lets old runs go from one store."""

    def __init__(self, url: str, retention: Retention) -> None:
        self._url, self._retention = url, retention
        self._asks_again = 0.0
        self._thread: threading.Thread | None = None
        self._is_stopped = self._has_warned = False

    def occasion(self) -> None:
        """Take the turn if it is ours; returns at once."""
        now = time.monotonic()
        if (
            self._is_stopped
            or now < self._asks_again
            or (self._thread is not None and self._thread.is_alive())
        ):
            return
        self._asks_again = now + ASKS_S
        thread = threading.Thread(target=guarded(self._prune), name="becausal-retention", daemon=True)
        with Scope(Context()), contextlib.suppress(RuntimeError):  # at exit no thread is started any more
            thread.start()
            self._thread = thread

    def wait(self, timeout: float) -> None:
        """Wait until what is being let go is gone."""
        if self._thread is not None:
            self._thread.join(timeout)

    def stop(self, timeout: float) -> None:
        """Let nothing go any more, and wait until what is under way has come to the end of its step."""
        self._is_stopped = True
        self.wait(timeout)

    def _go_on(self, doing: str, done: int, total: int) -> None:
        """Called between two steps."""
        if self._is_stopped:
            raise _Stopped

    def _warn_of(self, done: Pruned) -> None:
        """Say once that a bound cannot be kept: nothing would tell of a store that only grows."""
        if done.least and not self._has_warned:
            self._has_warned = True
            with contextlib.suppress(Exception):  # a filter of the app's may fail
                log.warning(
                    "becausal cannot keep its store within %s: it takes %s bytes without any run, what memories hold "
                    "among them; runs go by age and number alone. Name a larger size",
                    self._retention,
                    f"{done.least:,}",
                )

    def _prune(self) -> None:
        # A connection of its own: what the app asks of the store in the middle of a run must not wait for this.
        try:
            with contextlib.closing(open_store(self._url, create=False)) as store:
                upkeep = upkeep_of(store)
                if upkeep is not None and upkeep.take_turn(int(EVERY_S * 1e9)):
                    done = prune(
                        store,
                        self._retention,
                        spare_ns=int(SPARED_S * 1e9),
                        told=self._go_on,
                        looks_s=LOOKS_S,
                        whole_for_ns=int(WHOLE_FOR_S * 1e9),
                        sweeps_idle=False,
                    )
                    self._warn_of(done)
        except _Stopped:
            pass  # the next one goes on with it
        except StoreError as failure:
            with contextlib.suppress(Exception):  # a filter of the app's may fail too
                log.warning("becausal could not let old runs go: %s", failure)
