"""Writing contents: what a payload's root says, and bodies, each once, under numbers that steps refer to.

Compressing is most of the work, so it is done before the lock is taken that others wait for (`prepared`); what turns
out to be there already by then is left out (`write`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple

from becausal.payload import Payload
from becausal.store.blocks import LARGE, Cutter, listed
from becausal.store.encoding import BLOCK, BLOCKS, Packed, Packer
from becausal.store.sqlite import row
from becausal.store.sqlite.bodies import blocks_of
from becausal.store.sqlite.packs import Pack, Packing, pack_of

__all__ = ["Contents", "Prepared", "Roots"]

# What a blob has it keeps; what it lacks, a later payload or body fills in.
WRITE_BLOB = """INSERT INTO blobs VALUES (?,?,?,?,?,?,?,?,?)
    ON CONFLICT(blob_no) DO UPDATE SET
        belief = iif(type IS NULL, excluded.belief, belief),
        total_size = coalesce(total_size, excluded.total_size),
        type = coalesce(type, excluded.type), lossy = iif(type IS NULL, excluded.lossy, lossy),
        size = coalesce(size, excluded.size), codec = coalesce(codec, excluded.codec),
        data = coalesce(data, excluded.data)"""

# One of its number has no body left: a process of an older release, that was running as the file was upgraded, has
# swept them out and knew of no packs.
WRITE_PACK = "INSERT OR REPLACE INTO packs VALUES (?,?,?,?,?)"

CUT_ANEW = f"UPDATE blobs SET data = ? WHERE blob_no = ? AND codec = {BLOCKS}"

# What is known of a blob is one number: four times its own, and these; 0 where it has no row. It is no object that
# would have to be kept track of.
KNOWN = "SELECT digest, 4 * blob_no + 2 * (codec IS NOT NULL) + (type IS NOT NULL) FROM blobs WHERE digest IN"
HAS_BODY = 2
IS_ROOT = 1

NO_ROOT = (None, None, None, None)
NO_BODY = (None, None, None)

Roots = Mapping[str, tuple[bytes, Payload]]
"""Payloads and their raw digests, by the text of these: a text is read once a batch."""

Select = Callable[[str, Iterable[bytes]], list[tuple[Any, ...]]]
"""Runs a query that ends in `IN` for as many values as there are."""


class Prepared(NamedTuple):
    """Bodies as they are to be stored."""

    alone: dict[bytes, Packed]
    """Large ones and their blocks, and a small one that has no company."""
    packs: list[Pack]
    blobs: dict[bytes, int]
    """What is known of each that was given, and of blocks."""

    def blocks(self) -> Iterator[bytes]:
        """Yield the digests of the blocks that the bodies are made of."""
        for _, codec, data in self.alone.values():
            yield from blocks_of(codec, data)


class Contents:
    """The contents of one file, as far as its writer remembers them."""

    def __init__(self, connection: sqlite3.Connection, select: Select) -> None:
        self.known: dict[bytes, int] = {}
        """By their digests: the number of the row and what it has."""
        self._connection, self._select = connection, select
        self._packer, self._cutter = Packer(), Cutter()

    def prepared(self, bodies: Iterable[tuple[bytes, bytes]]) -> Prepared:
        """Return bodies as they are stored, and the blocks of large ones; without those that are there."""
        alone: dict[bytes, Packed] = {}
        packing, known, blobs = Packing(self._packer), self.known, dict[bytes, int]()
        for digest, body in bodies:
            if digest in blobs:
                continue
            blob = blobs[digest] = known.get(digest, 0)
            if blob & HAS_BODY:
                continue
            if len(body) < LARGE:
                packing.add(digest, body)
            else:
                alone[digest] = self._in_blocks(body, alone, blobs)
        packing.finish()
        return Prepared(alone | packing.single, packing.packs, blobs)

    def _in_blocks(self, body: bytes, alone: dict[bytes, Packed], blobs: dict[bytes, int]) -> Packed:
        """Return a large body as the list of its blocks, having packed those that are not there yet."""
        blocks, view, at = self._cutter.cut(body), memoryview(body), 0
        for block in blocks:
            if block.digest not in blobs:
                blobs[block.digest] = self.known.get(block.digest, 0)
            if block.digest not in alone and not blobs[block.digest] & HAS_BODY:
                size, codec, data = self._packer.pack(bytes(view[at : at + block.size]))
                alone[block.digest] = size, BLOCK + codec, data
            at += block.size
        return len(body), BLOCKS, listed(blocks)

    def write(self, roots: Roots, prepared: Prepared, names: Mapping[str, int]) -> dict[str, int]:
        """Write contents within a transaction; returns the numbers of the roots, by the texts of their digests.

        What is known of each is looked up once: among as many as are remembered, that takes longer than all the rest.

        Args:
            names: numbers of texts.
        """
        known, blobs, bodies = self.known, prepared.blobs, dict(prepared.alone)
        for digest, _ in roots.values():
            if digest not in blobs:
                blobs[digest] = known.get(digest, 0)
        unknown = {digest for digest, blob in blobs.items() if not blob}
        if unknown:
            found: dict[bytes, int] = dict(self._select(KNOWN, unknown))
            known.update(found)
            blobs |= found
            anew = list(_cut_anew(unknown, bodies, blobs))
            if anew:
                self._connection.executemany(CUT_ANEW, anew)
        next_no = self._last() + 1 if unknown else 0
        for pack in prepared.packs:
            next_no = self._write_pack(next_no, pack, bodies, blobs)
        rows = []
        for digest, payload in chain(roots.values(), [(digest, None) for digest in bodies]):
            blob = blobs[digest]
            if not blob:
                blob, next_no = 4 * next_no, next_no + 1
            root = None if payload is None or blob & IS_ROOT else payload
            body = None if blob & HAS_BODY else bodies.get(digest)
            if root is None and body is None:
                continue
            known[digest] = blobs[digest] = (
                blob | (0 if root is None else IS_ROOT) | (0 if body is None else HAS_BODY)
            )
            said = NO_ROOT if root is None else row.root_row(root, names)
            rows.append((blob >> 2, digest, *said, *(body or NO_BODY)))
        rows.sort(key=itemgetter(0))
        self._connection.executemany(WRITE_BLOB, rows)
        return {text: blobs[digest] >> 2 for text, (digest, _) in roots.items()}

    def _write_pack(
        self, number: int, pack: Pack, bodies: dict[bytes, Packed], blobs: dict[bytes, int]
    ) -> int:
        """Write a pack under a number, and put the places in it with the bodies; returns the next number."""
        there = [digest for digest in pack.bodies if blobs[digest]]
        if there:  # written by another process, or long ago; or nothing but its root was
            bodies |= {digest: self._packer.pack(pack.bodies[digest]) for digest in there}
            left = {digest: body for digest, body in pack.bodies.items() if not blobs[digest]}
            if not left:
                return number
            pack = pack_of(left, self._packer)
        self._connection.execute(WRITE_PACK, (number, len(pack.bodies), *pack.packed))
        bodies |= pack.places
        blobs |= zip(pack.places, range(4 * number, 4 * (number + len(pack.places)), 4), strict=True)
        return number + len(pack.places)

    def _last(self) -> int:
        found: int = self._connection.execute("SELECT coalesce(max(blob_no), 0) FROM blobs").fetchone()[0]
        return found


def _cut_anew(
    unknown: Collection[bytes], bodies: Mapping[bytes, Packed], blobs: Mapping[bytes, int]
) -> Iterator[tuple[bytes, int]]:
    """Yield the blocks and the number of each large body that is there, and was cut again: just now all are there.

    Of its former ones a sweep may have taken some: this one is given no others for them.
    """
    for digest, (_, codec, data) in bodies.items():
        there = blobs[digest]
        if codec == BLOCKS and there & HAS_BODY and digest in unknown:
            yield data, there >> 2
