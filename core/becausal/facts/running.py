"""What sides of comparisons say in full, to look words up in; texts that begin alike share what they begin with.

A turn of a conversation is shown all that was said before it, so its text begins with that of the turn before. Of what
texts begin with alike it is remembered where some words stand first: they stand in all texts that go on from there.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, TypeVar

__all__ = ["RunningTexts", "Said", "alike", "normal"]

Slices = TypeVar("Slices", str, tuple[object, ...])

SHORTEST: Final = 1_000
"""Characters from which on a text is looked at for what it begins with."""
HEAD: Final = 32
MOST_HEADS: Final = 32
MOST_OF_A_HEAD: Final = 8
"""So many texts that begin with so many different words are known at once."""
MOST_LOOKED_UP: Final = 20_000


class _Running:
    """What texts begin with, in the form to look words up in; it grows as they do."""

    def __init__(self, last: str) -> None:
        self.last = last
        """The text that came last of those that begin so."""
        self.laid_out = 0
        """So many characters of it are in that form."""
        self.normal = ""
        self._places: dict[str, int] = {}
        """Where words stand first; of those that do not, up to where they were looked for, as a negative number."""

    def extend(self, text: str, end: int) -> None:
        """Lay out more, up to where a word ends."""
        more = normal(text[self.laid_out : end])
        self.normal = f"{self.normal} {more}" if self.normal and more else self.normal or more
        self.laid_out, self.last = end, text

    def has(self, words: str, size: int) -> bool:
        """Return whether words stand in the first characters."""
        place = self._places.get(words, -1)
        if place < 0:
            begin = max(0, -1 - place - len(words))
            found = self.normal.find(words, begin)
            if len(self._places) >= MOST_LOOKED_UP:
                self._places.clear()
            place = self._places[words] = found if found >= 0 else -1 - len(self.normal)
        return 0 <= place <= size - len(words)


class Said:
    """A text, to look words up in, whatever their case and the blanks between them."""

    def __init__(self, text: str, shared: tuple[_Running, int] | None = None) -> None:
        """Make one of a text, or of the rest of one behind what it shares."""
        self._own = normal(text)
        self._shared = shared

    def __contains__(self, words: str) -> bool:
        """Return whether words in their form stand here."""
        if self._shared is None:
            return words in self._own
        running, size = self._shared
        if running.has(words, size):
            return True
        gap = " " if self._own and size else ""
        return words in f"{running.normal[max(0, size - len(words)) : size]}{gap}{self._own}"

    def __bool__(self) -> bool:
        return bool(self._own) or (self._shared is not None and self._shared[1] > 0)


class RunningTexts:
    """The texts that came last."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, list[_Running]] = OrderedDict()

    def said(self, text: str) -> Said:
        """Return a text to look words up in."""
        if len(text) < SHORTEST:
            return Said(text)
        known = self._known.setdefault(text[:HEAD], [])
        self._known.move_to_end(text[:HEAD])
        if len(self._known) > MOST_HEADS:
            self._known.popitem(last=False)
        lengths = [alike(running.last, text) for running in known]
        length = max(lengths, default=0)
        # A text may go on within a word.
        end = max(text.rfind(" ", 0, length), text.rfind("\n", 0, length)) + 1
        running = known.pop(lengths.index(length)) if known else None
        if running is None or 2 * end < len(text) or end < running.laid_out:
            # Another conversation, which may go on too.
            known += [_Running(text)] if running is None else [running, _Running(text)]
            del known[:-MOST_OF_A_HEAD]
            return Said(text)
        known.append(running)
        running.extend(text, end)
        return Said(text[end:], (running, len(running.normal)))


def normal(text: str) -> str:
    """Return a text as it is looked up, and looked in."""
    return " ".join(text.casefold().split())


def alike(one: Slices, other: Slices) -> int:
    """Return how many characters, or items, two texts or rows begin with that are the same."""
    least, most = 0, min(len(one), len(other))
    while least < most:
        middle = (least + most + 1) // 2
        if one[least:middle] == other[least:middle]:
            least = middle
        else:
            most = middle - 1
    return least
