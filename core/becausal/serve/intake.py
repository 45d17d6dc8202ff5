"""Between the requests and the store: a bounded queue and one thread that puts runs together."""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from becausal.foreign import Span
from becausal.serve.assembling import Assembler

__all__ = ["Intake"]

log: logging.Logger = logging.getLogger("becausal")

TICK_S: Final = 0.25
"""How often it is looked whether a run has been quiet."""


class Intake:
    """Takes spans in, up to a bound, and gives them to an assembler on a thread of its own."""

    def __init__(
        self, assembler: Assembler, *, max_waiting: int = 50_000, max_waiting_bytes: int = 64 << 20
    ) -> None:
        """Start taking in.

        Args:
            assembler: puts them together; from now on used by this intake's thread alone.
            max_waiting: spans that may wait; a request beyond is to come again later.
            max_waiting_bytes: bytes of the bodies that they came in.
        """
        self._assembler, self._most, self._most_bytes = assembler, max_waiting, max_waiting_bytes
        self._waiting: deque[tuple[Sequence[Span], int]] = deque()
        self._count = self._bytes = 0
        self._is_open = True
        self._wake = threading.Condition()
        self._counts: Counter[str] = Counter()
        self._thread = threading.Thread(target=self._work, name="becausal-serve", daemon=True)
        self._thread.start()

    @property
    def has_room(self) -> bool:
        """Whether it is worth reading a request: what comes now can be kept."""
        return (
            self._is_open
            and self._count < self._most
            and self._bytes < self._most_bytes
            and not self._assembler.is_full
        )

    def offer(self, spans: Sequence[Span], size: int = 0) -> bool:
        """Take the spans of a body of so many bytes; False where there is no room, and none of them was taken."""
        with self._wake:
            is_first = not self._count  # however large, or it could never be taken
            fits = self._count + len(spans) <= self._most and self._bytes + size <= self._most_bytes
            if not self._is_open or self._assembler.is_full or not (is_first or fits):
                return False
            self._waiting.append((spans, size))
            self._count += len(spans)
            self._bytes += size
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
            return {**self._counts, **self._assembler.counts.copy(), **waiting}

    def close(self, timeout: float | None = None) -> bool:
        """Take nothing more, write all that came; False when the time was up first.

        Args:
            timeout: seconds; None: as long as it takes.
        """
        with self._wake:
            self._is_open = False
            self._wake.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _work(self) -> None:
        is_open = True
        while is_open:
            with self._wake:
                if not self._waiting and self._is_open:
                    self._wake.wait(TICK_S)
                is_open = self._is_open
            self._guarded(self._take_all)
            self._guarded(self._assembler.write_due)
        self._guarded(self._take_all)
        self._guarded(self._assembler.write_all)

    def _take_all(self) -> None:
        while self._waiting:
            spans, size = self._waiting[0]
            try:
                self._assembler.add(spans, size)
            except Exception:
                self.note("spans lost: failures of ours", len(spans))
                raise
            finally:  # counted as waiting until it is in mind
                with self._wake:
                    self._waiting.popleft()
                    self._count, self._bytes = self._count - len(spans), self._bytes - size

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:  # what goes wrong with some spans must not end the server
            self.note("failures of ours")
            log.exception("becausal serve failed to take spans in; it goes on")
