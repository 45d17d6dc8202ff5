"""What the two ways of encoding share: what they return, what they remember, and what they ask of others."""

from __future__ import annotations

from collections.abc import Sequence
from operator import is_
from typing import Any, NamedTuple, Protocol

from becausal.canonical.leaves import name_of
from becausal.canonical.readers import Reader, reader_of
from becausal.canonical.wire import digest_of

__all__ = [
    "NO_RUN",
    "Info",
    "Known",
    "Pair",
    "Path",
    "Redacting",
    "Run",
    "Seen",
    "SplitError",
    "UnfitError",
    "is_other",
    "starts_with",
    "step",
    "text_of",
]

Path = tuple[Any, ...] | None
"""(path of the container, step); () is the root. None on the fast path, which does not keep count."""

Pair = tuple[bytes, bytes]
"""Canonical bytes, belief bytes."""

Info = tuple[bytes, int, bytes, int]
"""Of a part: its belief digest, its size, parts included, the digest under which it was handed out, which is another
one where something in it was redacted, and the version of what was redacted by."""

Known = dict[bytes, Info]
"""What was handed out, by a part's digest."""

Seen = tuple[object, Any, Any, int, int]
"""(the value, what stands for it, what stands for it in the belief, levels below it, bytes of its parts)."""


class Redacting(Protocol):
    """What takes out of a value what must not be kept; see `becausal.redaction`."""

    version: int
    """Grows when something was met that must be taken out elsewhere as well."""

    def body(self, body: bytes, digest: bytes | None = None) -> bytes:
        """Return canonical bytes as they may be kept; the same object where that is all of them.

        Raises:
            SplitError: whether they may be kept cannot be told of what was split off.
        """

    def holds_newer(self, content: bytes, since: int) -> bool:
        """Return whether something stands in bytes that has had to be taken out only since a version."""

    def keeps(self, bodies: Sequence[tuple[bytes, bytes]]) -> bool:
        """Return whether canonical bodies, each with its digest in front, may all be kept; False: ask for each."""

    def text(self, text: str) -> str:
        """Return a text as it may be kept."""

    def is_secret_key(self, key: str, /) -> bool:
        """Return whether a name says that what stands under it is to be taken out."""


class UnfitError(Exception):
    """The fast path cannot write this; raised and caught within the encoder."""


class SplitError(Exception):
    """What stands under a secret's name was split off, and has no name there: it is to be written where it stands."""


class Run(NamedTuple):
    """A list of messages as last seen: what its fields were, and what was written for them."""

    types: list[type]
    size: int
    """Bytes of the packed fields."""
    digest: bytes
    """Of these bytes."""
    pair: tuple[bytes | memoryview, bytes | memoryview]
    """Without the head of the list, which says how long it is."""
    below: int
    version: int
    """Of the redaction, when it was looked through."""


NO_RUN = Run([], 0, digest_of(b""), (b"", b""), 0, 0)


def is_other(first: Reader, kind: type) -> bool:
    """Return whether instances of a type are read otherwise than those of the first one."""
    return reader_of(kind).slots != first.slots


def starts_with(types: list[type], column: memoryview, known: Run) -> bool:
    """Return whether the first items are those of a run, by their types and their packed fields."""
    if len(types) < len(known.types) or not all(map(is_, types, known.types)):
        return False
    return digest_of(column[: known.size]) == known.digest


def step(path: Path, key: object) -> Path:
    """Return the path one step further down."""
    return None if path is None else (path, key)


def text_of(path: Path) -> str:
    """Return a path as text, `$.messages[3].content`."""
    steps: list[str] = []
    while path:
        path, key = path
        if type(key) is str:
            simple = key.isidentifier() or key == "{}"
            steps.append(f".{key}" if simple else f"[{key.encode('utf-8', 'backslashreplace').decode()!r}]")
        else:
            steps.append(f"[{key}]" if type(key) is int else f"[<{name_of(type(key))}>]")
    return "$" + "".join(reversed(steps))
