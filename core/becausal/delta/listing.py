"""Which item of one list is which item of the other."""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise
from typing import Any

from becausal.canonical.belief import is_message, meaning, speaks
from becausal.canonical.decoded import Record
from becausal.delta.sameness import mark, same, token

__all__ = ["ends", "in_step", "is_reordered"]

Pairs = list[tuple[int, int]]


def ends(before: list[Any], after: list[Any]) -> tuple[int, int]:
    """Return how many items at the head and how many at the tail are the same."""
    most = min(len(before), len(after))
    head = 0
    while head < most and same(before[head], after[head]):
        head += 1
    tail = 0
    while tail < most - head and same(before[-1 - tail], after[-1 - tail]):
        tail += 1
    return head, tail


def is_reordered(before: list[Any], after: list[Any]) -> bool:
    """Say whether the lists hold the same items, each as often."""
    if len(before) != len(after):
        return False
    rest: dict[int, list[Any]] = {}
    for item in before:
        rest.setdefault(mark(item), []).append(item)
    for item in after:
        row = rest.get(mark(item), [])
        # Items of one mark are the same but for chance: the last one fits.
        if not row or not same(row.pop(), item):
            return False
    return True


def in_step(before: list[Any], after: list[Any]) -> Pairs:
    """Return the positions of items that belong together, rising in both lists.

    First what is the same, then what means the same or carries the same id, then what stands in the same gap
    and is of a kind.
    """
    pairs = _rising(_alike(before, after))
    return [
        pair for gap in _gaps(pairs, len(before), len(after)) for pair in _fill(before, after, *gap)
    ] + pairs


def _alike(before: list[Any], after: list[Any]) -> Pairs:
    """Return candidates, each position in at most one of them: by content, by meaning, by id.

    By meaning comes before id: a message that was given an id on its way is the message that was sent.
    """
    pairs: Pairs = []
    left, right = list(range(len(before))), list(range(len(after)))
    for name_of in (mark, _meaning, _id):
        places: dict[Any, list[int]] = {}
        for index in reversed(right):
            if (name := name_of(after[index])) is not None:
                places.setdefault(name, []).append(index)
        found = {
            index: row.pop()
            for index in left
            if (name := name_of(before[index])) is not None and (row := places.get(name))
        }
        pairs += found.items()
        taken = set(found.values())
        left = [index for index in left if index not in found]
        right = [index for index in right if index not in taken]
    return sorted(pairs)


def _rising(pairs: Pairs) -> Pairs:
    """Return the longest row of pairs that rises on both sides.

    Source: Fredman 1975, "On computing the length of longest increasing subsequences".
    """
    tops: list[int] = []
    rows: list[int] = []
    back: list[int] = []
    for index, (_, place) in enumerate(pairs):
        length = bisect_left(tops, place)
        back.append(rows[length - 1] if length else -1)
        tops[length : length + 1] = [place]
        rows[length : length + 1] = [index]
    chosen: Pairs = []
    index = rows[-1] if rows else -1
    while index >= 0:
        chosen.append(pairs[index])
        index = back[index]
    return chosen[::-1]


def _gaps(pairs: Pairs, most: int, most_after: int) -> list[tuple[int, int, int, int]]:
    edges = [(-1, -1), *pairs, (most, most_after)]
    return [(a + 1, b + 1, c, d) for (a, b), (c, d) in pairwise(edges) if c > a + 1 and d > b + 1]


def _fill(before: list[Any], after: list[Any], i: int, j: int, end: int, end_after: int) -> Pairs:
    found: Pairs = []
    while i < end and j < end_after and _kin(before[i], after[j]):
        found.append((i, j))
        i, j = i + 1, j + 1
    return found


def _kin(a: Any, b: Any) -> bool:
    """Say whether one item may have become the other."""
    mine, yours = _id(a), _id(b)
    if mine is not None or yours is not None:
        return bool(mine == yours)
    return isinstance(a, dict) == isinstance(b, dict)


def _meaning(item: Any) -> int | None:
    """Return the mark of what a message says, without its bookkeeping."""
    if type(item) is Record and speaks(item):
        return hash((item.type_name, mark(meaning(item))))
    return mark(meaning(item)) if type(item) is dict and is_message(item) else None


def _id(item: Any) -> Any:
    """Return what an item is known by."""
    if type(item) is not dict and type(item) is not Record:
        return None
    name = item.get("id")
    return token(name) if type(name) is str or type(name) is int else None
