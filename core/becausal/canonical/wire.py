"""The wire: msgpack as `ormsgpack` writes it, and one table of extension codes for what msgpack lacks.

Digests kept in stores depend on every number in this file. A code, once used, is never given another meaning.

Source: the msgpack specification, https://github.com/msgpack/msgpack/blob/master/spec.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from enum import IntEnum

import ormsgpack
from xxhash import xxh3_128, xxh3_128_digest

from becausal.canonical.calling import unpacked

__all__ = [
    "EXTENSION",
    "FLOAT",
    "INLINE_BELOW",
    "KEYS",
    "NESTED",
    "OPTIONS",
    "PART",
    "REFERENCE",
    "SPLIT_FROM",
    "UNSORTED",
    "Code",
    "array",
    "digest_of",
    "digesting",
    "entry",
    "joined",
    "mapping",
    "odd_nan",
    "only_refers",
    "packed_key",
]

digest_of: Callable[[bytes | memoryview], bytes] = xxh3_128_digest
"""16 bytes. Not for keeping secrets or for proof against forgery: content addressing only."""

digesting = xxh3_128
"""Makes what gives the same of bytes that come one after the other."""

OPTIONS = (
    ormsgpack.OPT_SORT_KEYS
    | ormsgpack.OPT_PASSTHROUGH_TUPLE
    | ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_SUBCLASS
    | ormsgpack.OPT_PASSTHROUGH_UUID
    | ormsgpack.OPT_PASSTHROUGH_BIG_INT
    | ormsgpack.OPT_PASSTHROUGH_ENUM
)

UNSORTED = OPTIONS & ~ormsgpack.OPT_SORT_KEYS
"""For bytes that are compared with nothing but themselves: in another order of keys they are only not recognised."""

INLINE_BELOW = 256
"""A typed object, tuple, set or message of so many bytes is a part; a smaller one stays where it is."""

SPLIT_FROM = 512
"""A field, value or item at the top of so many bytes is a part, whatever its type."""


class Code(IntEnum):
    """Extension codes of the canonical form `bc1`."""

    PART = 1
    """16 bytes: the digest of the part that stands here."""
    TYPE = 2
    """The qualified name of a typed object, as the value of the key NUL in the map of its fields."""
    CYCLE = 3
    """How many containers up the value is that stands here again."""
    CUT = 4
    """Too deep to be followed: the name of the type that was cut off."""
    OPAQUE = 5
    """Nothing to be read: the name of the type."""
    CLASS = 6
    FUNCTION = 7
    SUBCLASS = 8
    """[type name, plain content], and the instance's fields as a third item if it has any."""
    TUPLE = 9
    SET = 10
    FROZENSET = 11
    MAP = 12
    """[[key, value], …] in the order of the keys' bytes: a dict with keys that are not all plain str."""
    INT = 13
    STR = 14
    """UTF-8 that lets lone surrogates pass."""
    DATETIME = 15
    DATE = 16
    TIME = 17
    TIMEDELTA = 18
    UUID = 19
    DECIMAL = 20
    COMPLEX = 21
    FRACTION = 22
    ENUM = 23
    """[type name, member name, value]."""
    ARRAY = 24
    """[type name, dtype, shape, bytes in C order, or a list of items when they are objects or texts]."""
    CUT_DOWN = 25
    """[full size, what was kept of it]: a body beyond its bound, under the digest of all of it; see `cutting`."""


NESTED = frozenset(
    (
        *(Code.SUBCLASS, Code.TUPLE, Code.SET, Code.FROZENSET, Code.MAP, Code.ENUM, Code.ARRAY),
        Code.CUT_DOWN,
    )
)
"""Codes of entries whose content is of this form again."""


def array(count: int) -> bytes:
    """Return the head of an array."""
    if count < 16:
        return bytes((0x90 | count,))
    if count < 65536:
        return b"\xdc" + count.to_bytes(2, "big")
    return b"\xdd" + count.to_bytes(4, "big")


def mapping(count: int) -> bytes:
    """Return the head of a map."""
    if count < 16:
        return bytes((0x80 | count,))
    if count < 65536:
        return b"\xde" + count.to_bytes(2, "big")
    return b"\xdf" + count.to_bytes(4, "big")


KEYS: dict[str, bytes] = {}
"""The bytes of keys that come again and again."""
_MOST_KEYS = 4096


def packed_key(key: str) -> bytes:
    """Return the bytes of a key, and remember them in `KEYS`."""
    body = ormsgpack.packb(key)
    if len(key) < 64:
        if len(KEYS) >= _MOST_KEYS:
            KEYS.clear()
        KEYS[key] = body
    return body


def entry(code: Code, content: bytes) -> bytes:
    """Return an extension entry."""
    return ormsgpack.packb(ormsgpack.Ext(code, content))


PART = ormsgpack.packb(ormsgpack.Ext(Code.PART, bytes(16)))[:2]
"""What stands before a part's digest in what refers to it."""
EXTENSION = PART[0]
"""How an entry of 16 bytes begins."""
REFERENCE = len(PART) + 16
"""Bytes of what refers to a part."""


def joined(bodies: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the last of some bodies with its parts in their places, as plain data is packed that is not split.

    Args:
        bodies: each with its digest in front, a part before what refers to it.
    """
    whole: dict[bytes, bytes] = {}
    body = b""
    for digest, body in bodies:
        if whole and EXTENSION in body:
            pieces = body.split(PART)
            for at, piece in enumerate(pieces[1:], 1):
                part = whole.get(piece[:16])
                pieces[at] = PART + piece if part is None else part + piece[16:]
            body = b"".join(pieces)
        whole[digest] = body
    return body


def only_refers(body: bytes) -> bool:
    """Return whether a body is a list of parts and nothing else: it holds no text and no name."""
    head = (
        1 if b"\x90" < body[:1] < b"\xa0" else 3 if body[:1] == b"\xdc" else len(body)
    )  # of a short or a long list
    count, odd = divmod(len(body) - head, REFERENCE)
    if not count:
        return False
    # Where the first item is a part the second begins so many bytes on, and so forth: nothing else can begin there.
    return (
        not odd and body[head::REFERENCE] + body[head + 1 :: REFERENCE] == PART[:1] * count + PART[1:] * count
    )


FLOAT = 0xCB
"""How a number with a fraction begins: one byte, as `bytes` is quicker to look for a number than for bytes."""
NOT_FINITE = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff]")
"""How a number begins that is infinite or none. Two of these cannot overlap."""
MOST_SEEMING = 1024
FEW = 1 << 10
"""Bytes in which numbers are few."""
NEVER = 0xC1
"""No entry begins with this byte."""
FINE = frozenset(ormsgpack.packb(number) for number in (float("nan"), float("inf"), float("-inf")))


def odd_nan(body: bytes) -> bool:
    """Say whether a NaN other than the usual one is in the body.

    There are 2**53 NaNs; the canonical form knows one. True also where it cannot be told: the answer decides on the
    road taken, not on the bytes written.
    """
    if not _seems_odd(body):
        return False
    # Half a megabyte of ordinary numbers has the first bytes somewhere by chance; so each place is looked at by itself.
    places = [found.start() for found in NOT_FINITE.finditer(body)]
    places = [start for start in places if body[start : start + 9] not in FINE and start + 9 <= len(body)]
    return bool(places) and _begins_entries(body, places)


def _seems_odd(body: bytes) -> bool:
    """Return whether bytes begin anywhere as such a number does; True where many look a little like it.

    Of a large body by what stands second in it: a tenth of the time of going from number to number where they are many.
    """
    if len(body) < FEW:
        return (0x7F in body or 0xFF in body) and NOT_FINITE.search(body) is not None
    for second in (b"\x7f", b"\xff"):
        at = body.find(second, 1)
        for _ in range(MOST_SEEMING):
            if at < 0:
                break
            if body[at - 1] == 0xCB and body[at + 1 : at + 2] >= b"\xf0":
                return True
            at = body.find(second, at + 1)
        if at >= 0:
            return True
    return False


def _begins_entries(body: bytes, places: list[int]) -> bool:
    """Say whether an entry begins at one of these places; else they lie within numbers or bytes."""
    marked = bytearray(body)
    for place in places:
        marked[place] = NEVER
    return not _is_whole(marked)


def _is_whole(body: bytes | bytearray) -> bool:
    def read(code: int, data: bytes) -> None:
        if code in NESTED:
            unpacked(data, read)

    try:
        unpacked(body, read)
    except ValueError:
        return False
    return True
