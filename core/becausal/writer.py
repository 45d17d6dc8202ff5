"""The way from the app to the store: a bounded queue and one background thread.

The app's thread appends and goes on. The thread writes in batches of 512 steps or every 200 ms. What does not fit
into the queue, or cannot be written, is counted as a gap, exactly, and the count is kept in the store.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable, Sequence

from opentelemetry.context import Context

from becausal.context import Scope
from becausal.errors import StoreError
from becausal.step import OpenStep
from becausal.store import Store

__all__ = ["Writer"]

log: logging.Logger = logging.getLogger("becausal")

BATCH = 512
INTERVAL_S = 0.2
MAX_STEPS = 65_536
MAX_BYTES = 256 << 20
RETRIES = 3


class Writer:
    """Takes ended steps from any thread and brings them to a store."""

    def __init__(
        self,
        store: Store,
        *,
        max_steps: int = MAX_STEPS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.store = store
        self.on_gap: Callable[[], object] = lambda: None
        """Called when steps were lost: payload parts that were handed out with them are needed again."""
        self.gaps: Counter[str] = Counter()
        """What this process could not record, by reason."""
        self._max_steps, self._max_bytes = max_steps, max_bytes
        self._reset()
        _writers.add(self)

    def _reset(self) -> None:
        self._queue: deque[OpenStep] = deque()
        self._bytes = 0
        self._taken = self._settled = 0  # steps put into the queue; steps written or counted as gaps
        self._unsaved_gaps: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._settling = threading.Condition(self._lock)
        self._work, self._hurry = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._closing = False

    def put(self, step: OpenStep) -> None:
        """Queue a step; never blocks and never raises for a full queue."""
        size = sum(len(body) for _, body in step.bodies)
        with self._lock:
            if len(self._queue) >= self._max_steps or self._bytes + size > self._max_bytes:
                self._count("queue full", 1)
                full = True
            else:
                self._queue.append(step)
                self._bytes += size
                self._taken += 1
                full = False
        if full:
            self.on_gap()
        if len(self._queue) >= BATCH:
            self._hurry.set()
        if not self._work.is_set():
            self._work.set()
        if self._thread is None:
            self._start()

    def count_gap(self, reason: str, how_many: int = 1) -> None:
        """Count something that could not be recorded."""
        with self._lock:
            self._count(reason, how_many)
        self._work.set()

    def flush(self, timeout: float) -> bool:
        """Wait until all that was put so far is durable or counted; False when the time is up."""
        deadline = time.monotonic() + timeout
        with self._lock:
            wanted = self._taken
            idle = not self._queue and not self._unsaved_gaps and self._settled >= wanted
        if idle:
            return True
        if self._thread is None:
            self._start()
        self._hurry.set()
        self._work.set()
        with self._settling:
            while self._settled < wanted or self._unsaved_gaps:
                left = deadline - time.monotonic()
                if left <= 0 or not self._settling.wait(left):
                    return self._settled >= wanted and not self._unsaved_gaps
        return True

    def close(self, timeout: float) -> bool:
        """Flush, stop the thread and close the store; False when the time was up first."""
        done = self.flush(timeout)
        self._closing = True
        self._hurry.set()
        self._work.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)
        if thread is None or not thread.is_alive():
            self.store.close()
        return done

    def _start(self) -> None:
        with self._lock:
            if self._thread is None and not self._closing:
                self._thread = threading.Thread(target=self._run, name="becausal-writer", daemon=True)
                # In no context: a thread that lives as long as the process must not keep the first step alive.
                with Scope(Context()):
                    self._thread.start()

    def _run(self) -> None:
        while not self._closing or self._queue:
            self._work.wait()
            self._hurry.wait(INTERVAL_S)  # gather a batch, unless somebody waits for it
            self._work.clear()
            self._hurry.clear()
            while self._queue or self._unsaved_gaps:
                self._write_batch()

    def _write_batch(self) -> None:
        with self._lock:
            batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            self._bytes -= sum(len(body) for step in batch for _, body in step.bodies)
            gaps, self._unsaved_gaps = self._unsaved_gaps, Counter()
        saved = self._save(batch, gaps)
        with self._settling:
            if not saved:
                self._count("store failed", len(batch), unsaved=False)
            self._settled += len(batch)
            self._settling.notify_all()
        if saved:
            for step in batch:
                step.bodies.clear()
        else:
            self.on_gap()

    def _save(self, batch: Sequence[OpenStep], gaps: Counter[str]) -> bool:
        for attempt in range(1, RETRIES + 1):
            try:
                if batch:
                    self.store.write(batch)
                if gaps:
                    self.store.add_gaps(gaps)
                return True
            except Exception as failure:
                if attempt == RETRIES or not isinstance(failure, StoreError):
                    log.error("becausal cannot write to %s; %d steps are lost and counted as a gap",
                              self.store.url, len(batch), exc_info=failure)  # fmt: skip
                    return False
        return False

    def _count(self, reason: str, how_many: int, *, unsaved: bool = True) -> None:
        self.gaps[reason] += how_many
        if unsaved:
            self._unsaved_gaps[reason] += how_many


# A child of a fork has the parent's queue but not its thread: what is in there is the parent's to write.
_writers: weakref.WeakSet[Writer] = weakref.WeakSet()


def _after_fork() -> None:
    for writer in list(_writers):
        writer._reset()


os.register_at_fork(after_in_child=_after_fork)
