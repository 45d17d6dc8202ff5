"""Which fact stands in the place of another: under the same label, or between the same neighbours.

`becausal.facts.changed` pairs facts by the words around them. Who passes a request on often gives it another shape (a
table has no words around a figure), so the order of the facts tells too: of the two sequences of facts that was said
and heard, what was exchanged for what between two facts that are the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from typing import Any, Final

from becausal.drift.turns import Stated
from becausal.facts import Fact, added, changed, missing
from becausal.facts.compare import comparable, likeness
from becausal.facts.derived import figure_of, follows_from
from becausal.facts.fact import Key
from becausal.facts.growing import Growing
from becausal.facts.kept import kept

__all__ = ["exchanged", "is_reckoned", "is_slip", "may_slip", "plain"]

MOST_ALIGNED: Final = 300
"""Facts of one side beyond which their order is not looked at."""

MOST_EDITS: Final = 1
ENOUGH_EDITS: Final = 3
FEWEST_DIGITS: Final = 3
"""A figure of fewer digits turns into another one too easily."""

LONGEST_STEM: Final = 7
"""Letters of a word by which labels are compared, whatever their endings."""

MEASURES: Final = frozenset(("unit", "units", "dollar", "dollars", "usd", "eur", "euro", "euros", "percent"))
"""Words beside a figure that say what it counts, and not which figure it is."""

LONGEST_MARKED: Final = 40
"""Digits of a figure of which it is known beforehand which others may be it, miscopied."""
MOST_MARKED: Final = 4_096

IN_LETTERS: Final = frozenset(("id", "url", "email"))
COUNTED: Final = frozenset(("money", "quantity", "percent", "duration"))
WORDS: Final = frozenset(("rule", "quote", "name", "term", "code", "url", "email"))

_NO_DIGIT: Final = re.compile(r"\D")


def exchanged(
    facts: Sequence[Fact], heard: Stated, said: Stated, *, is_relay: bool = True
) -> tuple[tuple[Fact, Fact], ...]:
    """Return pairs of a fact that was heard and not said, and the one that was said in its place and never heard.

    In the order of `facts`.

    Args:
        facts: those of what was heard that are asked about.
        heard: what a turn heard.
        said: what it said.
        is_relay: it passed on what it heard; else its own words are an answer, whose order tells nothing.
    """
    known = {
        fact.text.casefold() for fact in heard[0]
    }  # `order 400` is an identifier, and `400 desks` a number
    new = {
        fact.key: fact
        for fact in added(heard[0], said[0], text=heard[1])
        if fact.kind in WORDS or fact.text.casefold() not in known
    }
    gone = {fact.key: fact for fact in missing(facts, said[0], text=said[1])}
    pairs: dict[Key, Fact] = {}
    if not new or not gone:
        return ()
    by_words = changed(tuple(gone.values()), said[0], text=said[1])
    by_shape = (*_by_place(heard[0], said[0]), *_by_label(gone, new)) if is_relay else ()
    for before, after in (*by_words, *by_shape):
        is_free = before.key in gone and before.key not in pairs and not _is_another(before, after)
        if is_free and after.key in new and new[after.key] not in pairs.values():
            pairs[before.key] = new[after.key]
    return tuple((fact, pairs[key]) for key, fact in gone.items() if key in pairs)


def _by_place(heard: Sequence[Fact], said: Sequence[Fact]) -> list[tuple[Fact, Fact]]:
    """Return the facts that stand between the same neighbours on both sides."""
    if max(len(heard), len(said)) > MOST_ALIGNED:
        return []
    matcher = SequenceMatcher(None, [plain(f) for f in heard], [plain(f) for f in said], autojunk=False)
    pairs = []
    for tag, i, i_end, j, j_end in matcher.get_opcodes():
        if tag != "replace":
            continue
        for before in heard[i:i_end]:
            like = [after for after in said[j:j_end] if _is_like(before, after)]
            others = [one for one in heard[i:i_end] if _is_like(before, one)]
            # Of several alike on one side nothing tells which became which; nor where something came in between.
            is_alone = len(set(map(plain, like))) == 1 and len(set(map(plain, others))) == 1
            if is_alone and (i_end - i == j_end - j or _label(before) & _label(like[0])):
                pairs.append((before, _of_kind(before, like)))
    return pairs


def _by_label(gone: dict[Key, Fact], new: dict[Key, Fact]) -> list[tuple[Fact, Fact]]:
    """Return the facts that share a label which no other fact of their kind has."""
    pairs = []
    for before in gone.values():
        like = [after for after in new.values() if _is_like(before, after) and _label(before) & _label(after)]
        if len(set(map(plain, like))) == 1:
            pairs.append((before, _of_kind(before, like)))
    return pairs


def _is_another(before: Fact, after: Fact) -> bool:
    """Return whether a fact bears another label than one, or limits nothing where that is a limit of something."""
    mine, its = _label(before), _label(after)
    if mine & its:
        return False
    return bool(mine and its) or (before.kind == "limit" and after.kind != "limit")


def _of_kind(before: Fact, like: Sequence[Fact]) -> Fact:
    return next((after for after in like if after.kind == before.kind), like[0])


def _label(fact: Fact) -> frozenset[str]:
    """Return the words that name a fact: those around it, its key, and those in it that are not its value.

    The key of a field names its value; of a long text that stands there, and of what the text says, it is no name.
    """
    words = {part for stem in fact.near for part in re.split(r"\W|_", stem)}
    if fact.kind == "limit":
        words |= {word.casefold() for word in re.findall(r"[^\W\d_]{4,}(?=\W*:)", fact.text)}
    keys = {str(key).casefold() for key in fact.path if isinstance(key, str)}
    parts = keys | {part for key in keys for part in re.split(r"\W|_", key)}
    if fact.span[0] > 0:
        words = {word for word in words if not any(part.startswith(word) for part in parts)}
    else:
        words |= {str(key).casefold() for key in fact.path[-1:] if isinstance(key, str)}
    return frozenset(word[:LONGEST_STEM] for word in words if len(word) > 2) - MEASURES


def _is_like(one: Fact, other: Fact) -> bool:
    return comparable(one) == comparable(other)


def plain(fact: Fact) -> tuple[object, ...]:
    """Return what a fact is the same by, be it said as a limit or not, of a currency or of none."""
    value: Any = fact.value
    kind = fact.kind
    if kind == "limit":
        kind, value = value[1], value[2]
    if kind == "money":
        kind, value = "number", value[0]
    if kind == "quantity":
        kind, value = "number", value[1]
    return kind, value, fact.negated


def is_reckoned(before: Fact, after: Fact, heard: Iterable[Fact]) -> bool:
    """Return whether a figure was reckoned with from the one in whose place it stands: a price and its discount."""
    size, was = figure_of(after), figure_of(before)
    if size is None or was is None or is_slip(before, after):
        return False
    if before.kind == after.kind == "limit":
        return False  # nobody who is given a limit reckons another one from it
    given = [figure for fact in heard if (figure := figure_of(fact)) is not None]
    return follows_from(size, given) and not follows_from(size, [one for one in given if one != was])


def is_slip(before: Fact, after: Fact) -> bool:
    """Return whether one fact is another one miscopied."""
    mine, its = before.text.casefold(), after.text.casefold()
    if before.kind == after.kind and before.kind in IN_LETTERS:
        return _edits(mine, its) <= MOST_EDITS and len(mine) > 2
    digits, others = _digits(mine), _digits(its)
    if not digits or not others or before.kind in WORDS:
        return False
    if digits == others:  # the same figure, of something else
        return before.key != after.key and before.kind in COUNTED
    if len(digits) < FEWEST_DIGITS:
        return False
    return (
        digits.rstrip("0") == others.rstrip("0")
        or sorted(digits) == sorted(others)
        or _edits(digits, others) == 1
    )


def may_slip(heard: Sequence[Fact], said: Sequence[Fact]) -> bool:
    """Return whether anything that was said may be paired by `changed` with what was heard, as `is_slip` of it.

    A long conversation's turn heard all that was said in it, so this costs little for each fact that was heard.
    """
    by_mark: dict[str, list[Fact]] = {}
    for fact in said:
        for mark in _marks_said(fact):
            by_mark.setdefault(mark, []).append(fact)
    repeated = {fact.key for fact in said}
    in_mind = kept()
    grown: Growing[_Heard] = Growing() if in_mind is None else in_mind.grown
    marked = grown.of("slips", heard, _Heard, _Heard.extend)
    return any(
        # A limit may lose its words and leave an amount that was there before.
        (other.key not in marked.keys or fact.kind == "limit")
        and is_slip(fact, other)
        and likeness(fact, other) > 0
        for mark, others in by_mark.items()
        for fact in marked.by_mark.get(mark, ())
        if fact.key not in repeated
        for other in others
    )


class _Heard:
    """What a turn heard, by what its facts may be miscopied into."""

    def __init__(self) -> None:
        self.keys: set[Key] = set()
        self.by_mark: dict[str, list[Fact]] = {}

    def extend(self, facts: Sequence[Fact], _: int) -> None:
        for fact in facts:
            self.keys.add(fact.key)
            for mark in _marks_heard(fact):
                self.by_mark.setdefault(mark, []).append(fact)


def _marks_heard(fact: Fact) -> frozenset[str]:
    """Return what each fact that a fact may be miscopied into has one of among its marks."""
    if len(_digits(fact.text)) >= FEWEST_DIGITS:
        return _marks_said(fact)
    counts = fact.kind in COUNTED
    return frozenset((f"is {_digits(fact.text)}",)) if counts else _marks_said(fact) & IN_LETTERS


def _marks_said(fact: Fact) -> frozenset[str]:
    is_short = fact.kind in IN_LETTERS and len(_digits(fact.text)) <= FEWEST_DIGITS
    return _marks(fact.text) | {fact.kind} if is_short else _marks(fact.text)


@lru_cache(maxsize=MOST_MARKED)
def _marks(text: str) -> frozenset[str]:
    """Return what a text has in common with each one that is a slip away."""
    digits = _digits(text)
    if not digits:
        return frozenset()
    marks = {
        f"is {digits}",
        f"full {digits.rstrip('0')}",
        *(("long",) if len(digits) >= LONGEST_MARKED else ()),
    }
    if FEWEST_DIGITS - 1 <= len(digits) <= LONGEST_MARKED:
        # What is one edit away is the same once each has lost the digit that differs.
        marks.add(digits)
        marks.add(f"sorted {''.join(sorted(digits))}")
        if len(digits) >= FEWEST_DIGITS:
            marks |= {digits[:at] + digits[at + 1 :] for at in range(len(digits))}
    return frozenset(marks)


def _digits(text: str) -> str:
    return _NO_DIGIT.sub("", text.casefold())


def _edits(one: str, other: str) -> int:
    """Return how many characters were put in, taken out, exchanged or swapped with their neighbour, up to three."""
    if abs(len(one) - len(other)) >= ENOUGH_EDITS:
        return ENOUGH_EDITS
    rows = [list(range(len(other) + 1))]
    for i, char in enumerate(one, 1):
        row = [i]
        for j, its in enumerate(other, 1):
            cost = min(rows[-1][j] + 1, row[j - 1] + 1, rows[-1][j - 1] + (char != its))
            if i > 1 and j > 1 and char == other[j - 2] and one[i - 2] == its:
                cost = min(cost, rows[-2][j - 2] + 1)
            row.append(cost)
        rows.append(row)
    return min(rows[-1][-1], ENOUGH_EDITS)
