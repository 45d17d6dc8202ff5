"""Values fixed at a boundary: encoded and digested as they are at that moment."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from operator import itemgetter

from ormsgpack import packb

from becausal.bounds import MAX_PAYLOAD_BYTES
from becausal.canonical import PREFIX, Encoded, Encoder, Redacting, digest_text, parse_digest
from becausal.canonical.ordered import in_order
from becausal.canonical.terms import SplitError
from becausal.canonical.wire import OPTIONS, REFERENCE, digest_of, joined
from becausal.observation import Sealed
from becausal.payload import CUT_DOWN, Payload

__all__ = ["Sealer"]


MOST_COMPARED = 8 << 10
"""Bytes of what is packed once more to be compared. Of what is larger `seal` knows most by its parts, in less time."""

WORTH_REFERRING = 4 << 10
"""Bytes of a value from which on it takes less time to look for its parts than to write them once more."""

_BODY = itemgetter(1)

MOST_HELD = 32 << 20
"""Bytes of parts that are at hand for payloads that must be readable before they are in a store."""


class Sealer:
    """Seals values, and hands out each of their parts once."""

    def __init__(
        self,
        *,
        keeps_bodies: bool,
        holds_whole: bool,
        redact: Redacting | None = None,
        max_bytes: int | None = MAX_PAYLOAD_BYTES,
    ) -> None:
        """Make one.

        Args:
            keeps_bodies: whether bodies go to a store.
            holds_whole: whether every payload must be readable before it is there.
            redact: takes out what must not be kept, before anything is digested; None: nothing is.
            max_bytes: of a larger body its beginning and its end go to the store; None: no bound.
        """
        self._handing = _Handing(redact)
        self._redact = redact
        self._max_bytes = sys.maxsize if max_bytes is None else max_bytes
        self._keeps_bodies, self._holds_whole = keeps_bodies, holds_whole

    @property
    def encoder(self) -> Encoder:
        """Remembers which parts it handed out. Ask for it anew each time: with content on spans it is replaced."""
        return self._handing.encoder

    def seal(self, value: object) -> Sealed:
        """Fix a value as it is now; one that is sealed already stays as it is."""
        if type(value) is Sealed:
            return value
        handing = self._handing
        return self._sealed(handing.encoder.encode(value), handing)

    def seal_message(self, message: object) -> Sealed:
        """Fix a message by itself that is going to stand in lists: `seal_list` need not read it again.

        Its body must be handed to a step before such a list is, as this gives it: no list brings it along.
        """
        handing = self._handing
        version = 0 if self._redact is None else self._redact.version
        encoded = handing.encoder.encode(message)
        handing.encoder.is_part(encoded, version)
        if self._holds_whole:
            handing.parts[encoded.digest] = encoded.body
        return self._sealed(encoded, handing)

    def seal_list(self, messages: Sequence[Sealed]) -> Sealed | None:
        """Return the list of some messages that `seal_message` has fixed just now; None where only `seal` can tell."""
        handing = self._handing
        encoded = handing.encoder.listed([parse_digest(one.payload.digest) for one in messages])
        return None if encoded is None else self._sealed(encoded, handing)

    def _sealed(self, encoded: Encoded, handing: _Handing) -> Sealed:
        digest, belief, size, body, parts, type_name, lossy = encoded
        text = PREFIX + digest.hex()  # as `digest_text` does
        payload = Payload(text, text if belief == digest else PREFIX + belief.hex(), size, type_name, lossy)
        bodies = (*parts, (digest, body)) if self._keeps_bodies else ()
        if bodies and size > self._max_bytes:
            payload, bodies = self._bounded(payload, bodies)
        if self._holds_whole:
            payload = dataclasses.replace(payload, bodies=handing.held(encoded))
            if handing.bytes > MOST_HELD:
                self._handing = _Handing(self._redact)
        return tuple.__new__(Sealed, (payload, bodies))  # as `Sealed(...)` makes it, without a call of ours

    def is_again(self, sent: Payload, bodies: Sequence[tuple[bytes, bytes]], value: object) -> bool:
        """Return whether a value is the one that was sealed before; False as well where only `seal` can tell.

        It is packed and compared, which is less than to take it apart, to digest and to read all of it again.

        Args:
            sent: what the other one became.
            bodies: what came of it, its parts in front.
            value: plain data; of anything else nothing is told.
        """
        kind = type(value)
        # All of its parts are among them, and each is in it once: what is put together is no larger than they are.
        if (
            (kind is not dict and kind is not list)
            or sent.size > MOST_COMPARED
            or sum(map(len, map(_BODY, bodies))) != sent.size
        ):
            return False
        try:
            packed = packb(value, None, OPTIONS)
        except TypeError:
            return False
        return (
            len(packed) == sent.size - REFERENCE * (len(bodies) - 1)
            and packed == (bodies[0][1] if len(bodies) == 1 else joined(bodies))
            # Nothing was met since where nothing ever was.
            and (self._redact is None or not self._redact.version or self._redact.keeps(bodies))
        )

    def kept(
        self, value: object, *, unless_sorted: bool = False, sealed: Sealed | None = None
    ) -> Sealed | None:
        """Fix a value as it is now, its dicts in their order; None where there is no store to keep it.

        Args:
            value: anything.
            unless_sorted: None, too, where the canonical form says the same.
            sealed: what `seal` made of it just now: of a large one only that is written which stood in another order.
        """
        if not self._keeps_bodies:
            return None
        is_large = sealed is not None and sealed.payload.size >= WORTH_REFERRING
        refer = self._referred if is_large else None
        written = in_order(value, always=not unless_sorted, refer=refer)
        if written is None:
            return None if unless_sorted else self.seal(value)
        digest, body = written
        redact = self._redact
        if redact is not None:
            try:
                clean = redact.body(body, digest)
            except SplitError:  # what it refers to was kept under another name
                if (written := in_order(value, always=True)) is None:
                    return None
                digest, body = written
                clean = redact.body(body, digest)
            if clean is not body:
                digest, body = digest_of(clean), clean
        if len(body) > self._max_bytes:  # cut down it would be no answer
            return None
        text = digest_text(digest)
        return Sealed(Payload(text, text, len(body), ""), ((digest, body),))

    def _referred(self, body: bytes) -> bytes | None:
        # What is larger is cut down where it is kept.
        return self._handing.encoder.reference(body) if len(body) <= self._max_bytes else None

    def _bounded(
        self, payload: Payload, bodies: tuple[tuple[bytes, bytes], ...]
    ) -> tuple[Payload, tuple[tuple[bytes, bytes], ...]]:
        """Cut down the bodies that are too large; each keeps the digest of all that was there."""
        # Here, since most apps never need it.
        from becausal.canonical.cutting import cut

        most = self._max_bytes
        large = sum(len(body) > most for _, body in bodies)
        if not large:
            return payload, bodies
        size = sum(len(body) for _, body in bodies if len(body) > most)
        lossy = (*payload.lossy, ("$", f"{CUT_DOWN}: of {size:,} bytes {large * most:,} are kept"))
        kept = tuple((digest, cut(body, most) if len(body) > most else body) for digest, body in bodies)
        return dataclasses.replace(payload, lossy=lossy), kept


class _Handing:
    """An encoder, and all that it handed out where that must be readable.

    Both are new at once, so that nothing which the encoder knows is missing here.
    """

    def __init__(self, redact: Redacting | None) -> None:
        self.encoder = Encoder(redact)
        self.parts: dict[bytes, bytes] = {}
        self.bytes = 0

    def held(self, encoded: Encoded) -> _Held:
        """Return what keeps the bodies of a payload; takes as long as its new parts are many."""
        self.parts.update(encoded.parts)
        self.bytes += sum([len(body) for _, body in encoded.parts])
        return _Held(encoded.digest, encoded.body, self.parts)


class _Held:
    """Keeps the bodies of one payload for as long as it is on its way."""

    __slots__ = ("_body", "_digest", "_parts")

    def __init__(self, digest: bytes, body: bytes, parts: dict[bytes, bytes]) -> None:
        self._digest, self._body, self._parts = digest, body, parts

    def body(self, digest: bytes) -> bytes | None:
        """Return the body that a digest stands for."""
        return self._body if digest == self._digest else self._parts.get(digest)
