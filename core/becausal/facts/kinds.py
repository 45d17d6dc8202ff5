"""The table of kinds, in order of precedence, and the reading of a text by it.

What one kind has taken no other sees: facts never overlap. A row says with which classes of tokens, or with which
words, its facts begin, so a word that begins nothing costs one look.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

from becausal.facts import limits, marks, names
from becausal.facts.fact import Fact, FactKind, Found
from becausal.facts.language import Language, language
from becausal.facts.tokens import Scan

__all__ = ["KINDS", "Kind", "read_text"]

_NAMED: Final = frozenset(("code", "url", "email", "id", "version", "quote", "name", "term", "rule"))
"""Kinds that say of what something is told, rather than how much or when."""
_BEFORE_A_FIGURE: Final = frozenset(("(", "~", "≈", "+", "-", "−"))
Reader = Callable[[Scan, int], Found | None]
_FIGURES: Final = ("number", "currency", "isodate", "date", "clock")


@dataclass(frozen=True, slots=True)
class Kind:
    """One row."""

    name: FactKind
    read: Reader
    begins: tuple[str, ...]
    """Classes of tokens; `Word` is a word with a capital."""
    normal_form: str
    words: Callable[[Language], frozenset[str]] | None = None
    """Words and signs."""


def _amount_words(of: Language) -> frozenset[str]:
    words = of.words
    codes = frozenset(code.lower() for code in of.codes)
    scales = frozenset(word for word in words.scales if len(word) > 3)
    times = frozenset(of.months) | frozenset(of.weekdays) | words.relative_days
    return frozenset(words.numerals) | codes | scales | times | frozenset("-−+")


KINDS: Final[tuple[Kind, ...]] = (
    Kind("code", marks.code, ("fence", "inline"), "the text without indentation"),
    Kind("url", marks.url, ("url",), "scheme and host in lower case, no slash at the end"),
    Kind("email", marks.email, ("email",), "lower case"),
    Kind("version", marks.version, ("version",), "without v"),
    Kind(
        "limit",
        limits.limit,
        (*_FIGURES, "word"),
        "(<= or >=, kind, normal form)",
        lambda of: of.limits.first_words | frozenset(of.words.numerals),
    ),
    Kind(
        "id",
        marks.identifier,
        ("uuid", "hash", "ip", "ident", "number"),
        "lower case",
        lambda of: frozenset("#"),
    ),
    Kind("money", limits.measured, _FIGURES, "(Decimal, ISO 4217 code)", _amount_words),
    Kind("date", limits.measured, (), "(year, month, day), None for what is not said"),
    Kind("time", limits.measured, (), "(hh:mm[:ss], zone)"),
    Kind("percent", limits.measured, (), "Decimal"),
    Kind("duration", limits.measured, (), "(time, seconds) or (calendar, months)"),
    Kind("quantity", limits.measured, (), "(dimension, Decimal in its base unit)"),
    Kind("number", limits.measured, (), "Decimal"),
    Kind("rule", limits.rule, (), "(must, not, only or except; stems)", lambda of: of.rules.first_words),
    Kind("quote", marks.quote, (), "lower case", lambda of: frozenset(marks.QUOTES)),
    Kind("name", names.name, ("Word",), "lower case"),
)
"""In order of precedence. The readers from `money` to `number` are one, which tries them in this order."""


Rows = dict[str, list[Kind]]


@cache
def _dispatch(of: Language) -> tuple[Rows, Rows, frozenset[str]]:
    """Return the rows by the class, and by the word, with which their facts begin; and the words of another use."""
    by_class: Rows = {}
    by_word: Rows = {}
    for kind in KINDS:
        for sort in kind.begins:
            by_class.setdefault(sort, []).append(kind)
        for word in kind.words(of) if kind.words is not None else ():
            by_word.setdefault(word, []).append(kind)
    marked = of.unsure.first_words | of.around.first_words | of.words.boundary_words | of.words.joining_words
    return by_class, by_word, marked


Embedded = Callable[[str, int], list[Fact] | None]
"""Reads data that stands in a text, and where it begins; None if it is none."""


def read_text(
    text: str,
    *,
    locale: str = "en",
    path: tuple[object, ...] = (),
    offset: int = 0,
    data: Embedded = lambda text, offset: None,
) -> list[Fact]:
    """Return what a text states, in its order.

    Args:
        text: any text.
        locale: whose words and separators it has.
        path: where it stands.
        offset: where it begins in the text that stands there.
        data: reads JSON in a fence.
    """
    return _Reading(Scan(text, language(locale)), path, offset, data).facts()


@dataclass(frozen=True, slots=True)
class _Hedge:
    """Words that make something uncertain."""

    words: str
    end: int
    """The token behind them."""
    place: int
    """How many facts had been found before them."""


class _Reading:
    """One text, read from left to right; what its clauses hedge is known when they end.

    A hedge is of what follows it, up to where something else begins to be told (`and the price is`); behind all that
    it is of what stands before it: `$500, I think`. Of figures, where there are any: `probably 500 of AX-204`.
    """

    def __init__(self, scan: Scan, path: tuple[object, ...], offset: int, data: Embedded) -> None:
        self.scan, self.path, self.offset, self.data = scan, path, offset, data
        self.found: list[Fact] = []
        self.hedge: _Hedge | None = None
        self.approximate: tuple[int, str] | None = None
        """Before which token the last hedge of a figure stands, and its words."""
        self.part = self.former = 0
        """Where the facts begin of the part of a clause that is read, and of the part before it in the same clause."""

    def facts(self) -> list[Fact]:
        scan, index = self.scan, 0
        by_class, by_word, marked = _dispatch(scan.language)
        named, classes, words, texts = by_class["Word"], scan.classes, scan.words, scan.texts
        while index < scan.n:
            sort, word = classes[index], words[index]
            if sort == "word":
                is_named = texts[index] != word
                if not is_named and word not in by_word and word not in marked:
                    index += 1
                    continue
                rows = by_word.get(word, _NO_ROWS)
                index = self.at(index, [*rows, *named] if is_named else rows)
            elif sort == "symbol":
                index = self.at(index, by_word.get(word, _NO_ROWS))
            elif sort == "fence" and self.unwrapped(index):
                index += 1
            else:
                index = self.at(index, by_class.get(sort, _NO_ROWS))
        self.end_clause(scan.n)
        return self.found

    def at(self, index: int, rows: list[Kind]) -> int:
        """Read what stands at a token; return where to go on."""
        scan = self.scan
        word = scan.words[index]
        if scan.is_boundary(index):
            self.end_clause(index)
        elif (word == "," or word in scan.language.words.joining_words) and self.begins_another(index):
            self.end_part(index)
        if word in scan.language.unsure and (hedge := scan.language.unsure.at(scan.words, index)) is not None:
            self.hedge = self.hedge or _Hedge(hedge[1], hedge[0], len(self.found))
            return hedge[0]
        end = self.one(index, rows) if rows else None
        if end is None and word in scan.language.around:
            found = scan.language.around.at(scan.words, index)
            if found is not None:
                self.approximate, end = found, found[0]
        return index + 1 if end is None else end

    def one(self, index: int, rows: list[Kind]) -> int | None:
        """Read the fact that stands at a token; return where it ends."""
        for kind in rows:
            found = kind.read(self.scan, index)
            if found is not None:
                if found.value is not None:
                    near = self.approximate
                    hedge = near[1] if near is not None and near[0] == index else None
                    self.add(kind, index, found, hedge)
                return found.end
        return None

    def add(self, kind: Kind, index: int, found: Found, hedge: str | None) -> None:
        scan = self.scan
        start, end = scan.starts[index], scan.ends[found.end - 1]
        behind = scan.language.around.at(scan.words, found.end) if kind.read is limits.measured else None
        if hedge is None and behind is not None and len(behind[1].split()) > 1:
            next_one = scan.classes[behind[0]]
            hedge = behind[1] if next_one not in _FIGURES[:2] else None
        subject, near = names.near(scan, index, found.end)
        self.found.append(
            Fact(
                kind=found.kind or kind.name,
                value=found.value,
                text=scan.text[start:end],
                span=(start + self.offset, end + self.offset),
                path=self.path,
                hedge=hedge,
                negated=kind.name not in ("rule", "limit") and self.denied(index),
                subject=subject,
                near=near,
            )
        )

    def denied(self, index: int) -> bool:
        """Say whether a denial stands right before a token."""
        scan, at = self.scan, index - 1
        if at >= 0 and scan.words[at] in ("a", "an", "the", "in", "on"):
            at -= 1
        return at >= 0 and limits.is_denial(scan, at)

    def begins_another(self, index: int) -> bool:
        """Say whether something else is told from here on: no further figure beside the last one."""
        scan, joining = self.scan, self.scan.language.words.joining_words
        at = index + 1
        while at < scan.n and (scan.words[at] in joining or scan.words[at] in _BEFORE_A_FIGURE):
            at += 1
        return not (at < scan.n and (scan.classes[at] in _FIGURES or scan.words[at] in scan.language.months))

    def end_part(self, index: int) -> None:
        """Put the hedge of a part to what it is of; `index` is where the part ends."""
        hedge, scan = self.hedge, self.scan
        if hedge is not None:
            said = range(hedge.place, len(self.found))
            is_behind = not any(scan.classes[at] == "word" for at in range(hedge.end, index))
            if not said and (is_behind or hedge.words in scan.language.words.unsure_of_one):
                said = range(self.part, hedge.place) or range(self.former, self.part)
            figures = [place for place in said if self.found[place].kind not in _NAMED]
            if hedge.words in scan.language.words.unsure_of_one:
                figures = figures[:1]
            for place in figures or said:
                if self.found[place].hedge is None:
                    self.found[place] = _hedged(self.found[place], hedge.words)
        self.hedge, self.former, self.part = None, self.part, len(self.found)

    def end_clause(self, index: int) -> None:
        self.end_part(index)
        self.former = self.part

    def unwrapped(self, index: int) -> bool:
        """Read what a fence wraps that is no code; say whether it was that."""
        text = self.scan.texts[index]
        named = marks.language_of(text)
        if named not in marks.PROSE and named != "json":
            return False
        self.end_clause(index)
        head = text.index("\n") + 1
        body, offset = text[head:].rstrip("`"), self.offset + self.scan.starts[index] + head
        inside = self.data(body, offset)
        if inside is None and named in marks.PROSE:
            inside = _Reading(Scan(body, self.scan.language), self.path, offset, self.data).facts()
        if inside is None:
            return False
        self.found += inside
        self.part = self.former = len(self.found)
        return True


_NO_ROWS: list[Kind] = []


def _hedged(fact: Fact, hedge: str) -> Fact:
    return Fact(
        fact.kind, fact.value, fact.text, fact.span, fact.path, hedge, fact.negated, fact.subject, fact.near
    )
