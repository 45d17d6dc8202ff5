"""Secrets that were met before, to be found again where nothing around them tells what they are.

At most `MOST` of them, the oldest forgotten first; none shorter than six characters and no plain word (see
`becausal.redaction.keys.worth_remembering`): each is looked for in all that is recorded. They are kept in memory alone.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import quote, quote_plus

from becausal.redaction.engine import Pattern, compiled
from becausal.redaction.replacing import replaced

__all__ = ["MOST", "Known"]

MOST = 1024
RECENT = 32
"""So many are looked for one by one before an automaton is built of them."""
LARGEST = 256
"""Secrets of one automaton. To build it takes milliseconds, on the app's thread."""


class Built(NamedTuple):
    """Secrets, and the automaton that finds one of them."""

    secrets: tuple[bytes, ...]
    pattern: Pattern


class Known:
    """Secrets by their bytes, with what stands for each."""

    def __init__(self) -> None:
        self.on_added: Callable[[int], object] = lambda version: None
        """Told the new version when one was added, by whoever added it."""
        self.version = 0
        """How many were ever added. Whoever looks for them now finds so many at least."""
        self._markers: dict[bytes, str] = {}
        # Bound anew as one, never changed: a reader sees all of them, whatever another thread adds.
        self._sought: tuple[tuple[Built, ...], tuple[bytes, ...]] = (), ()
        self._newest: tuple[int, tuple[bytes, ...]] = 0, ()
        # Reentrant: the garbage collector may end a step, and so look for secrets, in the middle of this.
        self._lock = threading.RLock()
        self.longest = 0
        """Bytes of the longest that was ever added."""

    def forget_after_fork(self) -> None:
        """Let go of a lock that a thread of the parent holds."""
        self._lock = threading.RLock()

    def marker(self, secret: bytes) -> str | None:
        """Return what stands for a secret that is known."""
        return self._markers.get(secret)

    def add(self, secret: str, marker: str) -> None:
        """Remember a secret, as it is and as JSON, `repr` and URLs write it."""
        forms = {
            secret,
            json.dumps(secret)[1:-1],
            json.dumps(secret, ensure_ascii=False)[1:-1],
            repr(secret)[1:-1],
            quote(secret, safe="", errors="replace"),
            quote(secret, errors="replace"),
            quote_plus(secret, errors="replace"),
        }
        with self._lock:
            new = [
                data
                for form in sorted(forms, key=len, reverse=True)
                if (data := _bytes(form)) not in self._markers
            ]
            for data in new:
                self._markers[data] = marker
                self.longest = max(self.longest, len(data))
            while len(self._markers) > MOST:
                self._markers.pop(next(iter(self._markers)))
            built, recent = self._sought
            recent = (*recent, *new)
            if len(recent) > RECENT:
                built, recent = self._with(built, recent), ()
            self._sought = built, recent
            # Last: who knows the version finds what is of it.
            version, newest = self._newest
            self._newest = version + len(new), (*newest, *new)[-RECENT:]
            if new:
                self.version = version + len(new)
                self.on_added(self.version)

    def _with(self, built: tuple[Built, ...], batch: tuple[bytes, ...]) -> tuple[Built, ...]:
        """Return automata of more secrets: small ones become larger ones, so that each secret is built in few times."""
        markers = self._markers
        kept = [one for one in built if any(secret in markers for secret in one.secrets)]
        while kept and len(kept[-1].secrets) <= len(batch) <= LARGEST // 2:
            batch = tuple(secret for secret in kept.pop().secrets if secret in markers) + batch
        by_length = sorted(batch, key=len, reverse=True)
        pattern = compiled("|".join(re.escape(data.decode("latin-1")) for data in by_length))
        return (*kept, Built(batch, pattern))

    def stands_in(self, data: bytes) -> bool:
        """Return whether one of them stands in some bytes."""
        built, recent = self._sought
        for secret in recent:
            if secret in data:
                return True
        return bool(built) and any(one.pattern.search(data) is not None for one in built)

    def newer_stands_in(self, data: bytes, since: int) -> bool:
        """Return whether one that was added since a version stands in some bytes; it may be an older one, too."""
        version, newest = self._newest
        more = version - since
        if more > len(newest):
            return self.stands_in(data)
        return more > 0 and any(secret in data for secret in newest[-more:])

    def replaced(self, data: bytes) -> bytes:
        """Return bytes with markers in place of what is known."""
        built, recent = self._sought
        found = {secret for secret in recent if secret in data}
        for one in built:
            at = 0
            while (place := one.pattern.search(data, at)) is not None:
                at = place.end()
                found.add(data[place.start() : at])
        # One that was forgotten since stays.
        instead = {secret: marker.encode() for secret in found if (marker := self.marker(secret)) is not None}
        return replaced(data, instead)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
