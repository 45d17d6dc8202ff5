"""Between the requests and the store: a bounded queue and one thread that puts runs together."""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Final

from becausal.foreign import Span
from becausal.serve.assembling import Assembler

__all__ = ["Intake"]

log: logging.Logger = logging.getLogger("becausal")

TICK_S: Final = 0.25
"""How often it is looked whether a run has been quiet."""


class Intake:
    """Takes spans in, up to a bound, and gives them to an assembler on a thread of its own."""

    def __init__(self, assembler: Assembler, *, max_waiting: int = 100_000) -> None:
        """Start taking in.

        Args:
            assembler: puts them together; from now on used by this intake's thread alone.
            max_waiting: spans that may wait; a request beyond is to come again later.
        """
        self._assembler, self._most = assembler, max_waiting
        self._waiting: deque[Sequence[Span]] = deque()
        self._count = 0
        self._is_open = True
        self._wake = threading.Condition()
        self._counts: Counter[str] = Counter()
        self._thread = threading.Thread(target=self._work, name="becausal-serve", daemon=True)
        self._thread.start()

    def offer(self, spans: Sequence[Span]) -> bool:
        """Take spans in; False where there is no room for them now, and none of them was taken."""
        with self._wake:
            if not self._is_open or (self._count and self._count + len(spans) > self._most):
                self._counts["requests sent back: too many spans wait"] += 1
                return False
            self._waiting.append(spans)
            self._count += len(spans)
            self._counts["spans received"] += len(spans)
            self._wake.notify()
        return True

    def note(self, what: str, number: int = 1) -> None:
        """Count something that happened to a request."""
        if number:
            with self._wake:
                self._counts[what] += number

    def counts(self) -> Mapping[str, int]:
        """Return what became of requests, spans and runs so far."""
        with self._wake:
            waiting = {"spans that wait": self._count, "spans in mind": self._assembler.held}
            return {**self._counts, **self._assembler.counts, **waiting}

    def close(self, timeout: float = 30.0) -> bool:
        """Take nothing more, write all that came; False when the time was up first."""
        with self._wake:
            self._is_open = False
            self._wake.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while True:
            with self._wake:
                if not self._waiting and self._is_open:
                    self._wake.wait(TICK_S)
                taken = [self._waiting.popleft() for _ in range(len(self._waiting))]
                is_open = self._is_open
            try:
                for spans in taken:
                    self._assembler.add(spans)
                    with self._wake:
                        self._count -= len(spans)
                self._assembler.write_due()
                if not is_open:
                    self._assembler.write_all()
                    return
            except Exception:  # one run that cannot be told must not end the server
                self.note("failures of ours")
                log.exception("becausal serve failed to take spans in; it goes on")
                if not is_open:
                    return
