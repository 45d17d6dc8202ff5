"""OTLP handed on to another backend, as it came: bodies are not read, only passed.

What cannot be handed on is dropped after a few tries, and counted: the other backend must not hold ours up.
"""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import httpx

__all__ = ["Forwarder"]

TRIES: Final = 3
PAUSE_S: Final = 0.5
TOO_MANY: Final = (429, 502, 503, 504)
"""The statuses after which OTLP has a sender try again ("Failures", OTLP/HTTP 1.9)."""


@dataclass(frozen=True, slots=True)
class _Parcel:
    path: str
    body: bytes
    headers: Mapping[str, str]


class Forwarder:
    """Sends requests on, from a thread of its own."""

    def __init__(
        self,
        endpoint: str,
        headers: Mapping[str, str] | None = None,
        *,
        max_bytes: int = 64 << 20,
        client: httpx.Client | None = None,
    ) -> None:
        """Send on to an endpoint.

        Args:
            endpoint: without the path of a signal: `http://collector:4318`.
            headers: what the other backend asks for, an API key for instance.
            max_bytes: of bodies that wait; beyond that they are dropped.
            client: another way to send.
        """
        self._endpoint, self._most = endpoint.rstrip("/"), max_bytes
        self._client = client or httpx.Client(timeout=10.0, headers=dict(headers or {}))
        self._waiting: queue.Queue[_Parcel | None] = queue.Queue()
        self._bytes = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self.counts: Counter[str] = Counter()
        self._thread = threading.Thread(target=self._work, name="becausal-forward", daemon=True)
        self._thread.start()

    def pass_on(self, path: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Send a request on as it came: the body packed as it was."""
        kept = {name: headers[name] for name in ("content-type", "content-encoding") if name in headers}
        with self._lock:
            if self._bytes + len(body) > self._most:
                self.counts["requests not handed on: too many wait"] += 1
                return
            self._bytes += len(body)
        self._waiting.put(_Parcel(path, body, kept))

    def close(self, timeout: float = 10.0) -> None:
        """Send what waits, as far as the time allows."""
        self._waiting.put(None)
        self._thread.join(timeout)
        self._stop.set()
        self._client.close()

    def _work(self) -> None:
        while (parcel := self._waiting.get()) is not None:
            outcome = "requests handed on" if self._sent(parcel) else "requests not handed on: refused"
            with self._lock:
                self._bytes -= len(parcel.body)
                self.counts[outcome] += 1

    def _sent(self, parcel: _Parcel) -> bool:
        for attempt in range(TRIES):
            if attempt and self._stop.wait(PAUSE_S * 2**attempt):
                return False
            try:
                response = self._client.post(
                    self._endpoint + parcel.path, content=parcel.body, headers=dict(parcel.headers)
                )
            except httpx.HTTPError:
                continue
            if response.status_code not in TOO_MANY:
                return response.is_success
        return False
