"""What a thread waits for, and what any code may ring: signals and destructors come in the middle of anything."""

from __future__ import annotations

import contextlib
import threading

__all__ = ["Bell"]


class Bell:
    """Wakes one thread. Rung by anybody at any time: from a signal, a destructor, while it is being waited for."""

    __slots__ = ("_silent",)

    def __init__(self) -> None:
        self._silent = threading.Lock()
        self._silent.acquire()

    def ring(self) -> None:
        """Wake who waits, or who will wait next."""
        if self._silent.locked():
            with contextlib.suppress(RuntimeError):  # another thread rang in between
                self._silent.release()

    def wait(self, timeout: float) -> None:
        """Wait for a ring, so many seconds at most, and silence it."""
        self._silent.acquire(timeout=timeout)
