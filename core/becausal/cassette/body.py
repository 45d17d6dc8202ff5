"""The bodies of a cassette: canonical bytes by their digests, and what has to hold before anybody decodes them.

Each is written as its digest (16 bytes), its length (4 bytes, big-endian) and itself. A body is canonical msgpack (see
`becausal.canonical.wire`) and refers to parts of it by their digests; decoding it makes plain Python data and nothing
else. Checked when a cassette is read:

* each body has its digest, and can be decoded by itself;
* no part contains itself, and none lies deeper in others than a recorder lets them;
* no payload grows beyond a bound when it is put together. Ten parts, each naming the former ten times, would be ten
  thousand million; they take 2 KB in a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from becausal import canonical
from becausal.canonical.cutting import is_cut
from becausal.canonical.wire import digest_of
from becausal.payload import Bodies

__all__ = ["Held", "below", "check", "check_digest", "packed", "unpacked"]

MOST_LEVELS = 400
"""So deep parts may lie in one another. A recorder follows 255 levels of plain data and 64 of objects."""


class Held:
    """Bodies at hand."""

    def __init__(self, bodies: Mapping[bytes, bytes]) -> None:
        self._bodies = bodies

    def body(self, digest: bytes) -> bytes | None:
        """Return a body, or None where it is not kept."""
        return self._bodies.get(digest)


def below(roots: Iterable[tuple[str, Bodies | None]]) -> dict[bytes, bytes]:
    """Return the bodies of contents and of all their parts, each once, as far as they are kept.

    Args:
        roots: the contents by the texts of their digests, and who keeps them.
    """
    found: dict[bytes, bytes] = {}
    for text, bodies in roots:
        waiting = [canonical.parse_digest(text)]
        while waiting:
            digest = waiting.pop()
            body = None if digest in found or bodies is None else bodies.body(digest)
            if body is not None:
                found[digest] = body
                waiting.extend(reversed(canonical.part_digests(body)))
    return found


def packed(bodies: Mapping[bytes, bytes]) -> bytes:
    """Return bodies as a section."""
    return b"".join(digest + len(body).to_bytes(4, "big") + body for digest, body in bodies.items())


def unpacked(content: bytes) -> dict[bytes, bytes]:
    """Return the bodies of a section, each having the digest that stands before it.

    Raises:
        ValueError: the section is not what `packed` wrote.
    """
    found: dict[bytes, bytes] = {}
    for digest, body in _pieces(content):
        check_digest(digest, body)
        if digest in found:
            raise ValueError(f"the body {digest.hex()} is there twice")
        found[digest] = body
    return found


def check_digest(digest: bytes, body: bytes) -> None:
    """See that a body is the one that a digest was made of.

    Raises:
        ValueError: it is another one.
    """
    if digest_of(body) != digest and not is_cut(body):  # what was cut down has the digest of the whole
        raise ValueError(f"the body {digest.hex()} has another digest")


def check(bodies: Mapping[bytes, bytes], max_bytes: int) -> None:
    """See that everything can be decoded, within bounds.

    Raises:
        ValueError: something cannot; the message says what.
    """
    parts = {digest: _parts(digest, body) for digest, body in bodies.items()}
    sizes: dict[bytes, tuple[int, int]] = {}  # bytes when put together, and levels
    for root in bodies:
        for digest in _innermost_first(root, parts, sizes):
            inner = [sizes.get(part, (0, 0)) for part in parts[digest]]
            size = len(bodies[digest]) + sum(size for size, _ in inner)
            levels = 1 + max((levels for _, levels in inner), default=0)
            if size > max_bytes:
                raise ValueError(f"the body {digest.hex()} grows to more than {max_bytes} bytes")
            if levels > MOST_LEVELS:
                raise ValueError(f"the body {digest.hex()} is more than {MOST_LEVELS} parts deep")
            sizes[digest] = size, levels


# Inside


def _pieces(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(content):
        start = at + 20
        end = start + int.from_bytes(content[at + 16 : start], "big")
        if end > len(content):
            raise ValueError(f"the bodies are cut off at {at} bytes")
        yield content[at : at + 16], content[start:end]
        at = end


def _parts(digest: bytes, body: bytes) -> list[bytes]:
    """Return the parts that a body names, as often as it does."""
    named: list[bytes] = []

    def note(part: bytes) -> None:
        named.append(part)

    try:
        canonical.decode(body, note)
    # Whatever a decoder says of bytes that no encoder wrote.
    except Exception as failure:
        raise ValueError(f"the body {digest.hex()} cannot be decoded ({failure!r:.80})") from failure
    return named


def _innermost_first(
    root: bytes, parts: Mapping[bytes, list[bytes]], done: Mapping[bytes, object]
) -> Iterator[bytes]:
    """Yield what is not done of a body and its parts, each after its parts.

    Raises:
        ValueError: a body is a part of itself.
    """
    open_ones: dict[bytes, Iterator[bytes]] = {}
    if root not in done:
        open_ones[root] = iter(parts[root])
    while open_ones:
        digest, rest = next(reversed(open_ones.items()))
        part = next((one for one in rest if one not in done and one in parts), None)
        if part is None:
            del open_ones[digest]
            yield digest
        elif part in open_ones:
            raise ValueError(f"the body {part.hex()} is a part of itself")
        else:
            open_ones[part] = iter(parts[part])
