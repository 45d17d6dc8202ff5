"""Texts put in the place of others, in one pass from left to right: what is put in is not looked through again."""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heapify, heappop, heappush
from typing import AnyStr

__all__ = ["replaced"]


def replaced(text: AnyStr, instead: Mapping[AnyStr, AnyStr]) -> AnyStr:
    """Return a text with others in the place of what stands in it; of two that begin at one place, the longer one.

    It takes the time of the text for each of them, however often they stand there.
    """
    # The longest first: one may be the beginning of another.
    by_length = sorted(instead, key=len, reverse=True)
    ahead = [(start, nth) for nth, one in enumerate(by_length) if (start := text.find(one)) >= 0]
    heapify(ahead)
    pieces: list[AnyStr] = []
    at = 0
    while ahead:
        start, nth = heappop(ahead)
        one = by_length[nth]
        if start >= at:
            pieces += [text[at:start], instead[one]]
            at = start + len(one)
        if (start := text.find(one, at)) >= 0:
            heappush(ahead, (start, nth))
    pieces.append(text[at:])
    return text[:0].join(pieces) if at else text
