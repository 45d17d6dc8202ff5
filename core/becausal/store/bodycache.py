"""The bodies that were last read from a store."""

from __future__ import annotations

import threading
from collections import OrderedDict

__all__ = ["BodyCache"]

CACHED_BYTES = 16 << 20
"""How many bytes of bodies are kept at hand."""


class BodyCache:
    """The bodies that were last asked for, up to a number of bytes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bodies: OrderedDict[bytes, bytes] = OrderedDict()
        self._bytes = 0

    def get(self, digest: bytes) -> bytes | None:
        """Return a body, or None where it is not at hand."""
        with self._lock:
            body = self._bodies.get(digest)
            if body is not None:
                self._bodies.move_to_end(digest)
            return body

    def clear(self) -> None:
        """Forget all bodies."""
        with self._lock:
            self._bodies.clear()
            self._bytes = 0

    def put(self, digest: bytes, body: bytes) -> None:
        """Keep a body, in place of those that nobody asked for lately."""
        with self._lock:
            if digest not in self._bodies:
                self._bodies[digest] = body
                self._bytes += len(body)
            while self._bytes > CACHED_BYTES:
                self._bytes -= len(self._bodies.popitem(last=False)[1])
