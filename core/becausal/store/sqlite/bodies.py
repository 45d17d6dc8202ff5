"""Bodies as a file keeps them: in a row of `blobs`, in a pack of them, or, a large one, as a list of blocks."""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from typing import Final

import zstandard

from becausal.store.blocks import digests_in
from becausal.store.encoding import BLOCK, BLOCKS, PACKED, Packer, unpack
from becausal.store.sqlite.packs import place_in, tidy
from becausal.store.sweeping import parts_within

__all__ = ["BODIES", "Unpacker", "blocks_of", "drop_remains", "pack_number"]

BODIES: Final = f"codec < {BLOCK}"
"""The rows of `blobs` that hold a body: no block, and no content that was not handed over."""

PACKS_AT_HAND: Final = 8
"""How many packs stay unpacked: a megabyte."""

Row = tuple[int, int, int, bytes | None]
"""Of `blobs`: its number, size, codec and data."""


class Unpacker:
    """Gives the bodies of a file, through one connection; for one thread at a time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._unpacked: OrderedDict[int, tuple[bytes, bytes]] = OrderedDict()
        """Packs: as they are kept, and what is in them. One that was written anew is unpacked anew."""

    def body(self, digest: bytes) -> bytes | None:
        """Return the body with a digest, or None if it is not kept.

        Raises:
            zstandard.ZstdError: it is damaged.
        """
        return self._body("digest = ?", digest)

    def numbered(self, number: int) -> bytes | None:
        """Return the body of a row, or None if it is not kept.

        Raises:
            zstandard.ZstdError: it is damaged.
        """
        return self._body("blob_no = ?", number)

    def body_of(
        self, number: int, size: int, codec: int, data: bytes | None, digest: bytes | None = None
    ) -> bytes | None:
        """Return the body of a row; None where blocks of it are gone, or by now its number is another digest's.

        Raises:
            zstandard.ZstdError: it is damaged.
        """
        if data is None:
            raise _no_data()
        if codec == PACKED:
            return self._out_of_pack(number, number - place_in(data)[0], digest)
        return _whole(self._joined(data) if codec == BLOCKS else unpack(codec, data), size)

    def made_of(self, number: int) -> list[bytes]:
        """Return the digests of all that the body of a row needs: of its blocks, and of its parts."""
        query = f"SELECT blob_no, size, codec, data FROM blobs WHERE blob_no = ? AND {BODIES}"
        found: Row | None = self._connection.execute(query, (number,)).fetchone()
        if found is None:
            return []
        try:
            body = self.body_of(*found)
        except zstandard.ZstdError:  # damaged
            body = None
        return [*blocks_of(*found[2:]), *([] if body is None else parts_within(body))]

    def forget(self) -> None:
        """Have nothing at hand any more."""
        self._unpacked.clear()

    def _body(self, which: str, value: object) -> bytes | None:
        query = f"SELECT blob_no, size, codec, data, digest FROM blobs WHERE {which} AND {BODIES}"
        found = self._connection.execute(query, (value,)).fetchone()
        return None if found is None else self.body_of(*found)

    def _joined(self, data: bytes) -> bytes | None:
        query = f"SELECT codec, data FROM blobs WHERE digest = ? AND codec >= {BLOCK}"
        pieces = []
        for digest in digests_in(data):
            found = self._connection.execute(query, (digest,)).fetchone()
            if found is None:
                return None
            codec, piece = found
            if piece is None:
                raise _no_data()
            pieces.append(unpack(codec, piece))
        return b"".join(pieces)

    def _out_of_pack(self, number: int, pack: int, digest: bytes | None) -> bytes | None:
        # Row and pack by one statement: between two of them another process may write the pack anew. Or it sweeps the
        # body out, and gives its number to another one.
        query = f"""SELECT blobs.size, blobs.data, packs.codec, packs.data FROM blobs JOIN packs ON pack_no = ?
            WHERE blob_no = ? AND blobs.codec = {PACKED} AND digest = coalesce(?, digest)"""
        found = self._connection.execute(query, (pack, number, digest)).fetchone()
        if found is None:
            return None
        size, place, codec, data = found
        _, at = place_in(place)
        return _whole(self._whole(pack, codec, data)[at : at + size], size)

    def _whole(self, pack: int, codec: int, data: bytes) -> bytes:
        kept = self._unpacked.get(pack)
        if kept is not None and kept[0] == data:
            self._unpacked.move_to_end(pack)
            return kept[1]
        whole = unpack(codec, data)
        self._unpacked[pack] = data, whole
        if len(self._unpacked) > PACKS_AT_HAND:
            self._unpacked.popitem(last=False)
        return whole


def _no_data() -> zstandard.ZstdError:
    return zstandard.ZstdError("its data is missing")


def _whole(body: bytes | None, size: int) -> bytes | None:
    """Return a body that has its size.

    Raises:
        zstandard.ZstdError: it has another one.
    """
    if body is not None and len(body) != size:
        raise zstandard.ZstdError("it is not as long as it was")
    return body


def blocks_of(codec: int, data: bytes | None) -> list[bytes]:
    """Return the digests of the blocks of a row; none of one that is no list of them."""
    return [] if codec != BLOCKS or data is None else digests_in(data)


def pack_number(number: int, codec: int | None, data: bytes | None) -> list[int]:
    """Return the number of the pack that a row's body is in; none of one that is in no pack, or does not say."""
    return [number - place_in(data)[0]] if codec == PACKED and data is not None else []


def drop_remains(connection: sqlite3.Connection, packer: Packer) -> None:
    """Delete what packs and blocks hold of bodies that are no more, within a transaction."""
    tidy(connection, packer)
    lists = connection.execute(f"SELECT data FROM blobs WHERE codec = {BLOCKS} AND data IS NOT NULL")
    used = {digest for (data,) in lists for digest in digests_in(data)}
    blocks = connection.execute(f"SELECT blob_no, digest FROM blobs WHERE codec >= {BLOCK}")
    unused = [(number,) for number, digest in blocks if digest not in used]
    connection.executemany("DELETE FROM blobs WHERE blob_no = ?", unused)
