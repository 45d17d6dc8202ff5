"""What payloads hold, decoded: each stored part once, however many payloads it stands in.

A turn of a conversation is sent every message that was said before it. The store has each message once, and so it is
here: one object in every list that has it, and a list that begins with another one is that one and the rest. So a turn
costs what is new in it. What is given out is shared by all who ask, and must not be changed.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import becausal.canonical as canonical
from becausal.canonical.decoded import AT_LEAST, MOST_LEVELS, MOST_REPEATED, Reading
from becausal.facts.remembered import Remembered
from becausal.graph.lists import Lists
from becausal.payload import Bodies, Payload

__all__ = ["Values"]

ROOM: Final = 32 << 20
"""Bytes of bodies, and of lists' places, up to which what was decoded is kept."""
OVERHEAD: Final = 512
"""As so many bytes a body counts beside its own."""
DEEPEST: Final = 32
"""So many parts may lie in one another; what lies deeper is decoded by itself."""


class _Read(NamedTuple):
    value: Any
    levels: int
    size: int
    """Bytes of its body and of every part below it, a part that stands there twice counted twice."""


class _ApartError(Exception):
    """Something is missing, damaged or beyond measure, so what stands for it depends on where it stands."""


class Values:
    """The values of one run's payloads; those that were asked for last."""

    def __init__(self) -> None:
        self._read: Remembered[bytes, _Read] = Remembered(ROOM)
        self._lists = Lists()

    def of(self, payload: Payload) -> Any:
        """Return what `Payload.value` does, shared: not to be changed.

        Raises:
            LookupError: the body was not kept.
            DamagedContentError: it is not what was written.
        """
        if payload.bodies is None:
            return payload.value()
        digest = canonical.parse_digest(payload.digest)
        known = self._read.get(digest)
        if known is not None:
            return known.value
        try:
            return self.part(digest, payload.bodies, 0).value
        except _ApartError:
            value = payload.value()
            self._read.put(digest, _Read(value, MOST_LEVELS, MOST_REPEATED), payload.size + OVERHEAD)
            return value

    def part(self, digest: bytes, bodies: Bodies, deep: int) -> _Read:
        """Return a body that is whole, decoded.

        Raises:
            _ApartError: it is not.
        """
        known = self._read.get(digest)
        if known is not None:
            return known
        body = bodies.body(digest)
        if body is None or deep > DEEPEST:
            raise _ApartError
        first, rest = self._lists.split(digest, body)
        before = None if first is None else self._read.get(first)
        read = _Sharing(self, bodies, deep).whole(body if before is None else rest)
        if before is not None:
            value = [*before.value, *read.value]
            read = _Read(value, max(before.levels, read.levels), before.size + read.size)
        if read.size > MOST_REPEATED:
            raise _ApartError
        places = 8 * len(read.value) if isinstance(read.value, list) else 0
        own = len(body) if before is None else len(rest)
        self._read.put(digest, read, own + places + OVERHEAD)
        return read


class _Sharing(Reading):
    """The reading of one body, whose parts are those that were read before."""

    def __init__(self, values: Values, bodies: Bodies, deep: int) -> None:
        super().__init__(bodies.body)
        self._values, self._bodies, self._deep = values, bodies, deep
        self._levels = self._size = 0

    def whole(self, body: bytes) -> _Read:
        value = self.read(body)
        return _Read(value, self._levels, max(len(body), AT_LEAST) + self._size)

    def failed(self, failure: Exception, digest: bytes | None) -> object:
        raise _ApartError from failure

    def _look(self, frame: Any, frames: Any) -> None:
        self._levels = max(self._levels, frame.todo[-1][2])
        super()._look(frame, frames)

    def _refer(self, digest: bytes, frame: Any, frames: Any, place: tuple[Any, Any], level: int) -> None:
        read = self._values.part(digest, self._bodies, self._deep + 1)
        self._levels = max(self._levels, level + read.levels)
        self._size += read.size
        if self._levels > MOST_LEVELS or self._size > MOST_REPEATED:
            raise _ApartError
        holder, key = place
        holder[key] = read.value
