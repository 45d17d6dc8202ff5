"""Secrets that were met before, to be found again where nothing around them tells what they are.

At most `MOST` of them, the oldest forgotten first; none shorter than six characters and no plain word (see
`becausal.redaction.keys.worth_remembering`): each is looked for in all that is recorded. They are kept in memory alone.
"""

from __future__ import annotations

import json
import re
import threading
from urllib.parse import quote, quote_plus

from becausal.redaction.engine import Pattern, compiled

__all__ = ["MOST", "Known"]

MOST = 1024
RECENT = 16
"""So many are looked for one by one before the automaton of all is built again."""


class Known:
    """Secrets by their bytes, with what stands for each."""

    def __init__(self) -> None:
        self._markers: dict[bytes, str] = {}
        self._recent: tuple[bytes, ...] = ()
        self._built: Pattern | None = None
        # Reentrant: the garbage collector may end a step, and so look for secrets, in the middle of this.
        self._lock = threading.RLock()
        self.longest = 0
        """Bytes of the longest that was ever added."""
        self.version = 0
        """Grows with each that is added."""

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
            self._recent = (*self._recent, *new)
            if len(self._recent) > RECENT:
                every = sorted(self._markers, key=len, reverse=True)
                self._built = compiled("|".join(re.escape(data.decode("latin-1")) for data in every))
                self._recent = ()
            self.version += bool(new)

    def stands_in(self, data: bytes) -> bool:
        """Return whether one of them stands in some bytes."""
        if self._built is not None and self._built.search(data) is not None:
            return True
        recent = self._recent
        return bool(recent) and any(secret in data for secret in recent)

    def replaced(self, data: bytes) -> bytes:
        """Return bytes with markers in place of what is known."""
        for secret in self._recent:
            if (marker := self._markers.get(secret)) is not None:
                data = data.replace(secret, marker.encode())
        return data if self._built is None else self._by_automaton(data, self._built)

    def _by_automaton(self, data: bytes, built: Pattern) -> bytes:
        pieces: list[bytes] = []
        at = 0
        while (found := built.search(data, at)) is not None:
            start, end = found.span()
            marker = self._markers.get(data[start:end])  # one that was forgotten since stays
            pieces += [data[at:start], data[start:end] if marker is None else marker.encode()]
            at = end
        return b"".join([*pieces, data[at:]])


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
