"""Large bodies, cut into blocks that the bodies after them share: pure, and without a database.

A state of a megabyte of which each agent changes a line would be compressed whole each time. So a body is kept as the
list of its blocks, and a block that is there already is not written again.

A body is cut along the blocks of one like it that came before, found by what stands at its beginning, in its middle or
at its end: what is the same stays the same block, also where something was put in or taken out before it. What is left
in between is cut anew. How well this goes decides on what is saved and on nothing else; a block is known by the digest
of its bytes.

Departs from content-defined chunking (Muthitacharoen 2001, a rolling hash over every byte): in Python that would take
longer than compressing.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from xxhash import xxh3_128_digest

__all__ = ["LARGE", "Block", "Cutter", "digests_in", "listed"]

LARGE: Final = 64 << 10
"""A body of so many bytes is cut."""

BLOCK: Final = 32 << 10
LEAST: Final = 4 << 10
"""What is smaller does not stay a block of its own for long."""

MARK: Final = 48
"""So many bytes at a block's beginning are looked for."""

MOST_MISSES: Final = 4
"""After so many blocks in a row that are not there again, the rest is looked for from the end."""

MOST_REMEMBERED: Final = 192
"""Beginnings, middles and ends of bodies."""

SEED: Final = 1
"""Keeps a block's digest apart from that of a body of the same bytes."""

WIDTH: Final = 16


class Block(NamedTuple):
    """A piece of a body."""

    digest: bytes
    size: int
    mark: bytes


class Cutter:
    """Cuts bodies, and remembers how the last ones were cut."""

    def __init__(self) -> None:
        self._former: OrderedDict[bytes, Sequence[Block]] = OrderedDict()

    def cut(self, body: bytes) -> list[Block]:
        """Return the blocks of a body, in their order."""
        middle = len(body) // 2
        marks = body[:MARK], body[middle : middle + MARK], body[-MARK:]
        former = next((self._former[mark] for mark in marks if mark in self._former), ())
        blocks = _along(body, former)
        for mark in marks:
            self._former[mark] = blocks
            self._former.move_to_end(mark)
        while len(self._former) > MOST_REMEMBERED:
            self._former.popitem(last=False)
        return blocks


def listed(blocks: Sequence[Block]) -> bytes:
    """Return how the blocks of a body are written."""
    return b"".join([block.digest for block in blocks])


def digests_in(data: bytes) -> list[bytes]:
    """Return the digests of the blocks that are listed."""
    return [data[at : at + WIDTH] for at in range(0, len(data), WIDTH)]


def _along(body: bytes, former: Sequence[Block]) -> list[Block]:
    """Cut a body along the blocks of another one."""
    view = memoryview(body)
    made: list[Block] = []
    left = deque(former)
    at = ahead = misses = 0
    while left and misses < MOST_MISSES:
        block = left.popleft()
        found = _find(body, view, block, at, at + ahead)
        if found < 0:
            ahead += block.size
            misses += 1
            continue
        made += _anew(view, at, found)
        made.append(block)
        at, ahead, misses = found + block.size, 0, 0
    end = len(body)
    tail: deque[Block] = deque()
    while left and _is_at(view, left[-1], end - left[-1].size, at):
        tail.appendleft(left.pop())
        end -= tail[0].size
    if made and made[-1].size < LEAST and at < end < at + LEAST:  # what grows by a little at its end
        at -= made.pop().size
    return [*made, *_anew(view, at, end), *tail]


def _find(body: bytes, view: memoryview, block: Block, start: int, expected: int) -> int:
    """Return where a block stands again: where it is expected or a little off; -1 where it does not."""
    if _is_at(view, block, expected, start):
        return expected
    found = body.find(block.mark, start, expected + BLOCK)
    return found if found >= 0 and _is_at(view, block, found, start) else -1


def _is_at(view: memoryview, block: Block, at: int, start: int) -> bool:
    piece = view[at : at + block.size] if at >= start else b""
    return piece[:MARK] == block.mark and len(piece) == block.size and _digest(piece) == block.digest


def _anew(view: memoryview, start: int, end: int) -> list[Block]:
    if start >= end:
        return []
    cuts = [start, *range(start + BLOCK, end - LEAST, BLOCK), end]
    pieces = [view[at:until] for at, until in pairwise(cuts)]
    return [Block(_digest(piece), len(piece), bytes(piece[:MARK])) for piece in pieces]


def _digest(piece: memoryview | bytes) -> bytes:
    return xxh3_128_digest(piece, SEED)
