"""The way from the app to the store: a bounded queue and one background thread.

The app's thread appends and goes on. The thread writes in batches of 512 steps or every 200 ms. What does not fit
into the queue, or cannot be written, is counted as a gap, exactly, and the count is kept in the store.

The garbage collector and signals run code of the app, and so ours, in the middle of anything, also of what stands
here. So the lock is reentrant, and the thread is woken by a bare lock, which any code may release at any time. A signal
may also end what stands here anywhere (KeyboardInterrupt). So a step is queued by one call that nothing interrupts, and
how many there are, and of how many bytes, is not kept beside the queue but follows from what is in it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence
from itertools import repeat

from opentelemetry.context import Context

from becausal import semconv
from becausal.bell import Bell
from becausal.bounds import MAX_RUN_BYTES, Allowance
from becausal.context import Scope
from becausal.errors import StoreError
from becausal.guard import guarded
from becausal.step import OpenStep
from becausal.store import Store

__all__ = ["Writer"]

log: logging.Logger = logging.getLogger("becausal")

BATCH = 512
INTERVAL_S = 0.2
IDLE_S = 10.0
"""After so long the thread looks by itself whether there is anything for it: whoever rings may fail."""
MAX_STEPS = 65_536
MAX_BYTES = 256 << 20
MOST_LOST = 16_384
"""Bodies that were lost one by one; beyond so many all are handed out again."""
RETRIES = 3
PAUSE_S = 0.05
"""Before the second attempt to write; twice that before the third."""


Queued = tuple[OpenStep, int]
"""A step, and how many bytes were ever queued up to it."""


class Writer:
    """Takes ended steps from any thread and brings them to a store."""

    def __init__(
        self,
        store: Store,
        *,
        max_steps: int = MAX_STEPS,
        max_bytes: int = MAX_BYTES,
        max_run_bytes: int | None = MAX_RUN_BYTES,
    ) -> None:
        self.store = store
        self.on_gap: Callable[[Collection[bytes] | None], object] = lambda _: None
        """Called when steps were lost, with the digests of what is needed again; None: all that was handed out is."""
        self.on_batch: Callable[[], object] = lambda: None
        """Called by the writer's thread when it has written a batch."""
        self.on_close: Callable[[float], object] = lambda timeout: None
        """Called when the writer is closed, with the seconds that are left."""
        self.is_closed = False
        from becausal.store.upkeep import upkeep_of  # here: `import becausal` needs none of it

        self._upkeep = upkeep_of(store)
        self._generation: int | None = None
        self._max_steps, self._max_bytes = max_steps, max_bytes
        self._max_run_bytes = max_run_bytes
        self._reset()
        _writers.add(self)

    def _reset(self) -> None:
        self.gaps: Counter[str] = Counter()
        """What this process could not record, by reason."""
        self._queue: deque[Queued] = deque()
        self._hands: list[list[Queued]] = []
        """Batches that were taken out of the queue, and are not settled yet."""
        self._let_go = 0  # bytes that were ever taken out of the queue
        self._allowance = Allowance(self._max_run_bytes)
        self._lost: set[bytes] = set()  # digests of bodies that were handed out and left out since
        self._settled = 0  # steps written or counted as gaps
        self._unsaved_gaps: Counter[str] = Counter()
        self._owed_gaps: Counter[str] = Counter()
        """Counts that the store did not take, for when it works again."""
        self._lock = threading.RLock()
        self._settling = threading.Condition(self._lock)
        self._work, self._hurry = Bell(), Bell()
        self._was_told = False  # that the store is down
        self._thread: threading.Thread | None = None

    def put(self, step: OpenStep) -> None:
        """Queue a step; never blocks and never raises for a full queue."""
        bodies = step.bodies
        size = 0
        for _, body in bodies:
            size += len(body)
        with self._lock:
            if size and (refused := self._allowance.refused(step.chain_id, bodies)):
                size = self._leave_out(step, refused)
            if step.beside:
                size += self._take_along(step)
            queue = self._queue
            size += queue[-1][1] if queue else self._let_go
            fits = len(queue) < self._max_steps and size - self._let_go <= self._max_bytes
            if fits and not self.is_closed:
                queue.append((step, size))
            else:
                self._count("closed" if self.is_closed else "queue full", 1)
                self._lose([digest for digest, _ in bodies])
        if fits and self._lost:  # not before: what is handed out meanwhile is lost as well
            self._tell_lost()
        if len(self._queue) >= BATCH:
            self._hurry.ring()
        self._work.ring()
        if self._thread is None:
            self._start()

    def _leave_out(self, step: OpenStep, refused: list[bytes]) -> int:
        """Take bodies out of a step; return the bytes that it still has. Called with the lock held."""
        gone = set(refused)
        before = sum([len(body) for _, body in step.bodies])
        step.bodies[:] = [one for one in step.bodies if one[0] not in gone]
        after = sum([len(body) for _, body in step.bodies])
        step.attributes[semconv.LEFT_OUT] = before - after
        if step.ended_ns is not None:  # one that is still open comes again
            self._count("content left out: run beyond max_run_bytes", 1)
        self._lose(gone)
        return after

    def _take_along(self, step: OpenStep) -> int:
        """Add to a step what it brings for others and may keep; return its bytes. Called with the lock held.

        Whoever it is for brings it again, and says that it is left out.
        """
        beside: Sequence[tuple[bytes, bytes]] = step.beside
        step.beside = ()
        if gone := set(self._allowance.refused(step.chain_id, beside)):
            self._lose(gone)
            beside = [one for one in beside if one[0] not in gone]
        step.bodies += beside
        return sum([len(body) for _, body in beside])

    def _lose(self, digests: Collection[bytes]) -> None:
        """Note what was handed out and is not kept. Called with the lock held."""
        if len(self._lost) <= MOST_LOST:
            self._lost.update(digests)

    def _tell_lost(self) -> None:
        with self._lock:
            lost, self._lost = self._lost, set()
        self.on_gap(lost if len(lost) <= MOST_LOST else None)

    @property
    def _taken(self) -> int:
        """How many steps were put into the queue until now."""
        with self._lock:
            return self._settled + sum(map(len, self._hands)) + len(self._queue)

    @property
    def waiting(self) -> int:
        """How many steps wait to be written."""
        return len(self._queue)

    def count_gap(self, reason: str, how_many: int = 1) -> None:
        """Count something that could not be recorded."""
        with self._lock:
            self._count(reason, how_many)
        self._work.ring()
        if self._thread is None:
            self._start()

    def flush(self, timeout: float) -> bool:
        """Wait until all that was put so far is durable or counted; False when the time is up."""
        deadline = time.monotonic() + timeout
        with self._settling:
            wanted = self._taken
            if self.is_closed or (self._settled >= wanted and not self._unsaved_gaps):
                return self._settled >= wanted
        while not self._settle(wanted, deadline):
            if self.is_closed or time.monotonic() > deadline:
                return False
        return True

    def _settle(self, wanted: int, deadline: float) -> bool:
        """Have the thread write, and wait for it: until so much is settled, it is gone, or the time is up."""
        if self._thread is None and not self._start():
            self._drain()
        self._hurry.ring()
        self._work.ring()

        def is_settled() -> bool:
            return self._settled >= wanted and not self._unsaved_gaps

        with self._settling:
            left = deadline - time.monotonic()
            self._settling.wait_for(lambda: is_settled() or self.is_closed or self._thread is None, left)
            return is_settled()

    def close(self, timeout: float) -> bool:
        """Flush, stop the thread and close the store; False when the time was up first."""
        deadline, done = time.monotonic() + timeout, False
        try:
            done = bool(guarded(self.flush)(timeout))
        finally:
            self.stop(deadline)
            guarded(self.on_close)(max(0.0, deadline - time.monotonic()))
        return done

    def stop(self, deadline: float) -> None:
        """Stop the thread and close the store, without waiting for a flush; `deadline` is of the monotonic clock."""
        with self._settling:
            self.is_closed = True
            self._settling.notify_all()  # nobody waits for what is closed
        self._hurry.ring()
        self._work.ring()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(max(0.0, deadline - time.monotonic()))
        if thread is None or not thread.is_alive():
            self._drain()  # what a thread that was killed has left
            self.store.close()
        else:
            self._give_up()

    def let_go(self) -> None:
        """Have the thread write what waits and end, and wait for nothing: the last resort where `stop` failed."""
        self.is_closed = True  # said here once more, and not shared with `stop`: else it would fail with it
        self._hurry.ring()
        self._work.ring()

    def _give_up(self) -> None:
        """Count what a store that hangs has not taken in time; what it holds in hand is counted when it lets go."""
        with self._settling:
            left = len(self._queue)
            self._queue.clear()
            if left:
                self._count("not written in time", left)
                self._settled += left
        if left:
            with contextlib.suppress(Exception):
                log.error("becausal gave up %d steps that %s did not take in time", left, self.store.url)

    def _start(self) -> bool:
        """Start the thread; False where the interpreter starts no more of them."""
        with self._lock:
            if self._thread is not None or self.is_closed:
                return True
            thread = threading.Thread(target=self._run, name="becausal-writer", daemon=True)
            self._thread = thread  # before it starts: starting allocates, and so may end up here again
            try:
                # In no context: a thread that lives as long as the process must not keep the first step alive.
                with Scope(Context()):
                    thread.start()
            except RuntimeError:
                self._thread = None
                return False
            return True

    def _run(self) -> None:
        # What is ours to fail, and is no store's: the next batch is written all the same.
        gather, drain = guarded(self._gather), guarded(self._drain)
        try:
            while not self.is_closed or self._queue:
                if not gather():
                    time.sleep(INTERVAL_S)  # no bell rings: then by the clock alone
                drain()
        finally:
            with self._settling:
                # Not closed: killed, by an exit within a driver. Who puts or flushes next starts another.
                if not self.is_closed:
                    self._thread = None
                self._settling.notify_all()

    def _gather(self) -> bool:
        """Wait until there is work, and for a batch of it unless somebody waits for what there is."""
        self._work.wait(IDLE_S)
        self._hurry.wait(INTERVAL_S)
        return True

    def _drain(self) -> None:
        """Write what is there. What is put meanwhile waits for more of its like, unless it is a batch already.

        Else a writer that is as fast as its app would pay for a transaction with each few steps.
        """
        until = self._taken
        while self._unsaved_gaps or (self._queue and (self._settled < until or len(self._queue) >= BATCH)):
            self._write_batch()

    def _write_batch(self) -> None:
        batch: list[Queued] = []
        lost: int | None = None  # all, unless it turns out otherwise: none is missing uncounted
        try:
            self._take(batch)
            lost = self._save([step for step, _ in batch])
        finally:
            lost = len(batch) if lost is None else lost
            self._written(batch, lost)
        if lost:
            self.on_gap(None)
        elif batch:
            self.on_batch()

    def _take(self, batch: list[Queued]) -> None:
        """Take a batch out of the queue, by one call as well."""
        with self._lock:
            self._hands.append(batch)
            batch.extend(map(deque.popleft, repeat(self._queue, min(BATCH, len(self._queue)))))
            self._let_go = batch[-1][1] if batch else self._let_go

    def _written(self, batch: list[Queued], lost: int) -> None:
        """Count what became of a batch, and bring the counts to the store."""
        with self._lock:
            if lost:
                self._count("store failed", lost)
            gaps = Counter(self._unsaved_gaps)
        owed, saved = gaps + self._owed_gaps, False
        try:
            saved = not owed or self._attempt("counts of gaps", lambda: self.store.add_gaps(owed))
        finally:
            with self._settling:
                self._unsaved_gaps -= gaps
                self._owed_gaps = Counter() if saved else owed
                self._hands = [one for one in self._hands if one is not batch]
                self._settled += len(batch)
                self._settling.notify_all()

    def _save(self, batch: Sequence[OpenStep]) -> int:
        """Write steps; returns how many were lost. One that no store can take does not take the others with it."""
        given = [len(step.bodies) for step in batch]
        if not batch or self._attempt(f"{len(batch)} steps", lambda: self.store.write(batch)):
            self._was_told = self._was_told and not batch
            for step, count in zip(batch, given, strict=True):
                del step.bodies[:count]  # what came meanwhile is for the next time that it is put
            if batch:
                self._mind_deletions()  # before anybody who waits for it goes on
            return 0
        if self._is_down or len(batch) == 1:
            return len(batch)
        middle = len(batch) // 2
        return self._save(batch[:middle]) + self._save(batch[middle:])

    def _mind_deletions(self) -> None:
        """Have parts handed out again once anybody has deleted something from the store."""
        with contextlib.suppress(StoreError):
            found = None if self._upkeep is None else self._upkeep.generation
            if found != self._generation and self._generation is not None:
                self.on_gap(None)
            self._generation = found

    def _attempt(self, what: str, write: Callable[[], None]) -> bool:
        self._is_down = False
        for attempt in range(1, RETRIES + 1):
            try:
                write()
                return True
            except Exception as failure:
                # A store that is down may come back; what it cannot take it will not take later either.
                self._is_down = isinstance(failure, StoreError)
                if attempt == RETRIES or not self._is_down:
                    if self._is_down and self._was_told:
                        return False  # once, until steps get through again: the counts tell how many are lost
                    self._was_told = self._is_down
                    with contextlib.suppress(Exception):  # a filter of the app's may fail too
                        where, seen = f"{what} to {self.store.url}", None if self._is_down else failure
                        if self._is_down:  # it says what to do; its traceback is for who looks for more
                            where += f": {' '.join(str(failure).split())}"
                            log.debug("becausal cannot write %s", what, exc_info=failure)
                        log.error("becausal cannot write %s", where, exc_info=seen)
                    return False
            time.sleep(PAUSE_S * attempt)
        return False

    def _count(self, reason: str, how_many: int) -> None:
        self.gaps[reason] += how_many
        self._unsaved_gaps[reason] += how_many


# A child of a fork has the parent's queue but not its thread: what is in there is the parent's to write.
_writers: weakref.WeakSet[Writer] = weakref.WeakSet()


def _after_fork() -> None:
    for writer in list(_writers):
        writer._reset()


os.register_at_fork(after_in_child=_after_fork)
