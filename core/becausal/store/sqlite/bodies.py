"""Bodies as a file keeps them: each in a row of `blobs`, a large one as a list of blocks, which are rows of it too."""

from __future__ import annotations

import sqlite3
from typing import Final

import zstandard

from becausal.store.blocks import digests_in
from becausal.store.encoding import BLOCK, BLOCKS, unpack
from becausal.store.sweeping import parts_within

__all__ = ["BODIES", "blocks_of", "body_of", "body_with", "drop_unused_blocks", "made_of"]

BODIES: Final = f"codec < {BLOCK}"
"""The rows of `blobs` that hold a body: no block, and no content that was not handed over."""


def body_with(connection: sqlite3.Connection, digest: bytes) -> bytes | None:
    """Return the body with a digest, or None if it is not kept.

    Raises:
        zstandard.ZstdError: it is damaged.
    """
    query = f"SELECT codec, data FROM blobs WHERE digest = ? AND {BODIES}"
    found = connection.execute(query, (digest,)).fetchone()
    return None if found is None else body_of(connection, *found)


def body_of(connection: sqlite3.Connection, codec: int, data: bytes) -> bytes | None:
    """Return the body of a row; None where blocks of it are gone.

    Raises:
        zstandard.ZstdError: it is damaged.
    """
    if codec != BLOCKS:
        return unpack(codec, data)
    query = f"SELECT codec, data FROM blobs WHERE digest = ? AND codec >= {BLOCK}"
    pieces = []
    for digest in digests_in(data):
        found = connection.execute(query, (digest,)).fetchone()
        if found is None:
            return None
        pieces.append(unpack(*found))
    return b"".join(pieces)


def drop_unused_blocks(connection: sqlite3.Connection) -> None:
    """Delete the blocks that no body is made of, within a transaction."""
    lists = connection.execute(f"SELECT data FROM blobs WHERE codec = {BLOCKS}")
    used = {digest for (data,) in lists for digest in digests_in(data)}
    blocks = connection.execute(f"SELECT blob_no, digest FROM blobs WHERE codec >= {BLOCK}")
    unused = [(number,) for number, digest in blocks if digest not in used]
    connection.executemany("DELETE FROM blobs WHERE blob_no = ?", unused)


def blocks_of(codec: int, data: bytes) -> list[bytes]:
    """Return the digests of the blocks of a row; none of one that is no list of them."""
    return digests_in(data) if codec == BLOCKS else []


def made_of(connection: sqlite3.Connection, codec: int, data: bytes) -> list[bytes]:
    """Return the digests of all that a row needs: of its blocks, and of the parts of its body."""
    try:
        body = body_of(connection, codec, data)
    except zstandard.ZstdError:  # damaged
        body = None
    return [*blocks_of(codec, data), *([] if body is None else parts_within(body))]
