"""Large bodies read by what is new in them: of a state of a megabyte each step changes a few bytes.

A body is looked at in blocks of a fixed size, and the blocks that held no secret are known by their digests. Each block
goes on into the next one, so far that whatever begins in it ends in it: a secret across a border is found. What makes a
pattern match is bounded (`REACH`) but for runs of the signs that tokens are made of; a block ends where no such run
does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from becausal.canonical.wire import digest_of

__all__ = ["FROM", "REACH", "Blocks"]

REACH: Final = 512
"""Bytes that hold a match of any pattern of `becausal.redaction.kinds` at its shortest, runs of token signs apart; the
longest by far is a URL's user and password, of some 320."""

FROM: Final = 8 << 10
"""Bytes of a body from which on it is looked at in blocks."""

MOST_REACH: Final = 4 << 10
MOST_BLOCKS: Final = 4096
"""Blocks that are remembered, of 16 bytes each."""

_NO_TOKEN = re.compile(rb"[^A-Za-z0-9_./-]")


class Blocks:
    """The blocks that are known to hold no secret."""

    def __init__(self) -> None:
        self._clean: set[bytes] = set()

    def unread(self, body: bytes, reach: int) -> tuple[list[bytes], list[bytes]]:
        """Return the stretches of a body that must be read, and the digests to `learn` once they proved clean.

        Args:
            body: any bytes.
            reach: how long what is looked for may be, `REACH` at least.
        """
        borders = _borders(body, reach)
        if borders is None:
            return [body], []
        stretches: list[bytes] = []
        digests: list[bytes] = []
        begun: int | None = None
        until = 0
        for start, end in borders:
            digest = digest_of(body[start:end])
            if digest in self._clean:
                if begun is not None:
                    stretches.append(body[begun:until])
                    begun = None
                continue
            digests.append(digest)
            begun, until = start if begun is None else begun, end
        if begun is not None:
            stretches.append(body[begun:until])
        return stretches, digests

    def learn(self, digests: Sequence[bytes]) -> None:
        """Remember blocks that held no secret."""
        if len(self._clean) + len(digests) > MOST_BLOCKS:
            self._clean.clear()
        self._clean.update(digests[:MOST_BLOCKS])


def _borders(body: bytes, reach: int) -> list[tuple[int, int]] | None:
    """Return where each block begins and ends; None for a body that is better read whole."""
    total = len(body)
    if total < FROM or reach > MOST_REACH:
        return None
    size = 4 << 10 if total < 256 << 10 else 16 << 10
    borders = []
    for start in range(0, total, size):
        least = start + size + reach
        if least >= total:
            borders.append((start, total))  # blocks that begin later lie within this one
            break
        found = _NO_TOKEN.search(body, least, least + MOST_REACH)
        if (
            found is None
        ):  # one run as long as that is no token, and reading it once for each block would take too long
            return None
        borders.append((start, found.start()))
    return borders
