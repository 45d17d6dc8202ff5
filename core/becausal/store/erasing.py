"""What erasing is in every store alike: texts are taken out of all that rows hold, and each place is counted.

Contents refer to their parts by digest, so what a part becomes changes all that it is part of, inside out. A content
that goes as a whole gets random bytes for a digest; one whose text was taken out, the digest of what is left. The map
from former digests to new ones is held in memory while this runs, and nowhere else.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TypeVar

from becausal import canonical
from becausal.store.encoding import json_text
from becausal.store.upkeep import Erased
from becausal.store.wording import Rewriting, Wording, named_in

__all__ = ["Cleaning", "DryRun", "above", "inside_out", "lost", "named"]

Key = TypeVar("Key")


class DryRun(Exception):
    """Takes back what was erased, for it was only to be counted."""

    def __init__(self, erased: Erased) -> None:
        super().__init__(erased)
        self.erased = erased


class Cleaning:
    """Takes texts out of what rows hold, and counts where they stood."""

    def __init__(self, texts: tuple[str, ...]) -> None:
        self.places: Counter[str] = Counter()
        """How many places of each sort held one."""
        self.digests: dict[bytes, bytes] = {}
        """Of contents that have become others, by the former ones."""
        self.wording = Wording(texts)
        self._rewriting = Rewriting(self.wording, self.digests)
        self._has_texts = bool(texts)
        self._renamed: dict[str, dict[str, str]] = {}

    def body(self, body: bytes) -> bytes:
        """Return a canonical body without the texts, its parts named as they are called now; not counted."""
        return self._rewriting.body(body)

    def digest(self, digest: bytes | None) -> bytes | None:
        """Return what a content's digest has become."""
        return None if digest is None else self.digests.get(digest, digest)

    def text(self, sort: str, text: str | None) -> str | None:
        """Return a text without the texts."""
        if text is None or not self._may_hold(text):
            return text
        new = self._rewriting.text(text)
        self.places[sort] += new != text
        return new

    def json(self, sort: str, text: str | None) -> str | None:
        """Return JSON without the texts."""
        if text is None or not self._may_hold(text):
            return text
        said = json.loads(text)
        new = self._rewriting.plain(said)
        if new == said:
            return text
        self.places[sort] += 1
        return json_text(new)

    def name(self, sort: str, name: str) -> str:
        """Return a name without the texts; two names that would become the same stay two."""
        known = self._renamed.setdefault(sort, {})
        if name not in known:
            new = self.text(sort, name) or name
            others = set(known.values())
            known[name] = new if new == name or new not in others else f"{new} #{len(others)}"
        return known[name]

    def _may_hold(self, text: str) -> bool:
        return self._has_texts or "bc1-xxh3:" in text


def inside_out(
    first: Key,
    touched: Collection[Key],
    done: set[Key],
    *,
    find: Callable[[Key], bytes | None],
    parts: Callable[[bytes], Iterable[Key]],
) -> Iterator[tuple[Key, bytes]]:
    """Yield a content as it is stored, after all of its parts that become others; each of them once.

    Args:
        first: which content.
        touched: all that become others.
        done: those that were yielded; grows.
        find: returns a content as it is stored by now; None of one that is not there.
        parts: returns which contents one names.
    """
    waiting = [first]
    while waiting:
        at = waiting[-1]
        content = None if at in done else find(at)
        inner = () if content is None else parts(content)
        left = [part for part in inner if part in touched and part not in done and part not in waiting]
        if left:
            waiting += left
            continue
        waiting.pop()
        if content is not None and at not in done:
            done.add(at)
            yield at, content


def above(found: Iterable[Key], wholes: Callable[[Key], Iterable[Key]]) -> Iterator[Key]:
    """Yield contents and all that they are part of, however far; each of them once.

    Args:
        found: the contents.
        wholes: returns which contents one is part of.
    """
    waiting = list(dict.fromkeys(found))
    seen = set(waiting)
    while waiting:
        at = waiting.pop()
        yield at
        further = [whole for whole in wholes(at) if whole not in seen]
        seen.update(further)
        waiting += further


def named(content: bytes) -> set[bytes]:
    """Return the digests that a content names, as its parts or in its texts."""
    return {*canonical.part_digests(content), *named_in(content)}


def lost(lossy: str, why: str) -> str:
    """Return what a payload has lost, with one loss more; of what cannot be read, this one alone."""
    try:
        losses = [one for one in json.loads(lossy) if one != ["$", why]]
    except (ValueError, TypeError):
        losses = []
    return json_text([*losses, ["$", why]])
