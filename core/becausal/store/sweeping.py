"""How a sweep and those who write meanwhile keep out of each other's way, in every store alike.

A sweep first marks all that is in use, which takes long, and then deletes the rest. Who writes between the two may find
there already what is to go, and not write it again. So a sweep announces itself in the table `sweeps`; whoever writes
while one is there puts all that he names into the table `touched`, for each of them; and before each deletion, while
nobody writes, the sweep takes out of what is to go what was touched, and all that this is made of. When no sweep runs
this costs nothing.

A sweep that was killed leaves its row: a later one takes it away, if it has given no sign of life for two hours. One
that goes on gives a sign with each deletion; one whose row is gone begins anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, TypeVar

import zstandard

from becausal import canonical, semconv
from becausal.step import OpenStep
from becausal.store.encoding import unpack

__all__ = ["LONGEST_NS", "Begun", "kept_by", "named_by", "parts_of", "parts_within", "swept"]

LONGEST_NS: Final = 2 * 3_600 * 10**9
"""After so long without a sign of life a sweep is taken for one that was killed: much longer than marking takes."""

T = TypeVar("T")


class Begun(Exception):
    """A sweep's row is gone: contents were rewritten meanwhile, or it took too long; it has to begin anew."""


def swept(once: Callable[[], Iterator[int]]) -> int:
    """Sweep until one sweep has come to its end; returns how many bodies went.

    Args:
        once: a sweep, which yields how many it has deleted.
    """
    gone = 0
    while True:
        try:
            for number in once():
                gone += number
        except Begun:
            continue
        return gone


def named_by(
    roots: Iterable[bytes], bodies: Mapping[bytes, bytes], steps: Iterable[OpenStep] = ()
) -> set[bytes]:
    """Return the digests of all that is named by what is on its way to the store.

    Args:
        roots: the contents of steps or of events.
        bodies: the bodies that come with them, whose parts may be in the store already.
        steps: whose attributes name what a replay needs.
    """
    named = {*roots, *bodies}
    for body in bodies.values():
        named.update(parts_within(body))
    for step in steps:
        named.update(kept_by(step.attributes))
    return named


def kept_by(attributes: Mapping[str, object]) -> Iterator[bytes]:
    """Yield the digests of what a replay needs of a step: only its attributes name them."""
    for name, value in attributes.items():
        if name.startswith(semconv.KEPT) and isinstance(value, str):
            try:
                yield canonical.parse_digest(value)
            except ValueError:
                continue


def parts_of(codec: int, data: bytes) -> list[bytes]:
    """Return the digests of the parts of a body as it is stored; none of one that is damaged."""
    try:
        return parts_within(unpack(codec, data))
    except zstandard.ZstdError:
        return []


def parts_within(body: bytes) -> list[bytes]:
    """Return the digests of the parts of a body; none of one that no encoder wrote."""
    try:
        return canonical.part_digests(body)
    except ValueError:
        return []
