"""Lists that begin with other lists: a conversation as it grows, of which only the new end needs to be read.

A list's canonical bytes are its length and then its items, one after the other. So one list begins with another if
the items' bytes do, and what follows is a list of its own once it is given a length.
"""

from __future__ import annotations

from collections import OrderedDict

from becausal.canonical.wire import array

__all__ = ["Lists"]

SHORTEST = 4
"""Items. Shorter lists are read faster than they are compared."""
FIRST_BYTES = 64
"""Lists that begin alike are told by so many bytes of their items; two messages' digests have 36."""
MOST_ALIKE = 4
MOST_BEGINNINGS = 256


class Lists:
    """The lists that were read last."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, list[tuple[bytes, int, bytes]]] = OrderedDict()

    def split(self, digest: bytes, body: bytes) -> tuple[bytes | None, bytes]:
        """Return the digest of a list that a body begins with, and the rest as a body; else None and the body."""
        head, length = _head(body)
        if length < SHORTEST:
            return None, body
        first = body[head : head + FIRST_BYTES]
        alike = self._known.setdefault(first, [])
        found = max(
            (known for known in alike if known[1] <= length and body.startswith(known[2], head)),
            key=lambda known: known[1],
            default=None,
        )
        if found is not None:
            alike.remove(found)
        alike.append((digest, length, body[head:]))
        del alike[:-MOST_ALIKE]
        self._known.move_to_end(first)
        if len(self._known) > MOST_BEGINNINGS:
            self._known.popitem(last=False)
        if found is None:
            return None, body
        return found[0], array(length - found[1]) + body[head + len(found[2]) :]


def _head(body: bytes) -> tuple[int, int]:
    """Return how many bytes the head of a list takes, and its length; 0 and -1 for what is no list.

    Source: the MessagePack specification, "array format family".
    """
    kind = body[0] if body else 0
    if 0x90 <= kind <= 0x9F:
        return 1, kind & 0x0F
    if kind == 0xDC:
        return 3, int.from_bytes(body[1:3])
    return (5, int.from_bytes(body[1:5])) if kind == 0xDD else (0, -1)
