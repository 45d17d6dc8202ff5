"""Values fixed at a boundary: encoded and digested as they are at that moment."""

from __future__ import annotations

import dataclasses
import sys

from becausal.bounds import MAX_PAYLOAD_BYTES
from becausal.canonical import Encoder, Redacting, digest_text, encode
from becausal.canonical.cutting import cut
from becausal.canonical.ordered import in_order
from becausal.canonical.wire import digest_of
from becausal.observation import Sealed
from becausal.payload import CUT_DOWN, Payload

__all__ = ["Sealer"]


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
        self.encoder = Encoder(redact)
        self._redact = redact
        self._max_bytes = sys.maxsize if max_bytes is None else max_bytes
        self._keeps_bodies, self._holds_whole = keeps_bodies, holds_whole

    def seal(self, value: object) -> Sealed:
        """Fix a value as it is now; one that is sealed already stays as it is."""
        if isinstance(value, Sealed):
            return value
        encoded = self.encoder.encode(value)
        payload = Payload(
            digest_text(encoded.digest),
            digest_text(encoded.belief),
            encoded.size,
            encoded.type_name,
            encoded.lossy,
        )
        bodies = (*encoded.parts, (encoded.digest, encoded.body)) if self._keeps_bodies else ()
        if bodies and encoded.size > self._max_bytes:
            payload, bodies = self._bounded(payload, bodies)
        if self._holds_whole:
            # What the encoder handed out before is not among these parts.
            whole = encode(value, self._redact)
            held = _Held(dict([*whole.parts, (whole.digest, whole.body)]))
            payload = dataclasses.replace(payload, bodies=held)
        return Sealed(payload, bodies)

    def kept(self, value: object, *, unless_sorted: bool = False) -> Sealed | None:
        """Fix a value as it is now, its dicts in their order; None where there is no store to keep it.

        Args:
            value: anything.
            unless_sorted: None, too, where the canonical form says the same.
        """
        if not self._keeps_bodies:
            return None
        written = in_order(value, always=not unless_sorted)
        if written is None:
            return None if unless_sorted else self.seal(value)
        digest, body = written
        if self._redact is not None and (clean := self._redact.body(body, digest)) is not body:
            digest, body = digest_of(clean), clean
        if len(body) > self._max_bytes:  # cut down it would be no answer
            return None
        text = digest_text(digest)
        return Sealed(Payload(text, text, len(body), ""), ((digest, body),))

    def _bounded(
        self, payload: Payload, bodies: tuple[tuple[bytes, bytes], ...]
    ) -> tuple[Payload, tuple[tuple[bytes, bytes], ...]]:
        """Cut down the bodies that are too large; each keeps the digest of all that was there."""
        most = self._max_bytes
        large = sum(len(body) > most for _, body in bodies)
        if not large:
            return payload, bodies
        size = sum(len(body) for _, body in bodies if len(body) > most)
        lossy = (*payload.lossy, ("$", f"{CUT_DOWN}: of {size:,} bytes {large * most:,} are kept"))
        kept = tuple((digest, cut(body, most) if len(body) > most else body) for digest, body in bodies)
        return dataclasses.replace(payload, lossy=lossy), kept


class _Held:
    """Keeps the bodies of one payload for as long as it is on its way."""

    def __init__(self, bodies: dict[bytes, bytes]) -> None:
        self.body = bodies.get
