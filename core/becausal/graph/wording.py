"""One text in several wordings: when two pieces of text say the same, and where one stands in another.

Agents re-case, re-wrap and re-format what they pass on, so after the exact text we look for its normal
form: lower case, single blanks, no emphasis marks, numbers without separators and written out (`$20
Million` and `20,000,000` are both `20000000`). A currency is not compared: the tool's number seldom carries
one. Nothing cleverer is tried here; a paraphrase is another text.

A number stands only where it is the whole number: `20` is not in `2024`, nor in `20.5`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import chain

__all__ = ["Wording", "facts", "figures", "normal", "pieces", "telling_words", "whole_words", "words"]

_SCALES = {
    "k": 3, "thousand": 3, "m": 6, "mn": 6, "million": 6, "b": 9, "bn": 9, "billion": 9, "trillion": 12
}  # fmt: skip

_NUMBER = re.compile(
    r"(?<![\w.])(?P<currency>[$€£¥]\s?)?(?P<whole>\d{1,3}(?:[,_'\u00a0\u202f]\d{3})+|\d+)(?P<rest>\.\d+)?"
    r"(?:(?P<gap>\s?)(?P<scale>thousand|million|billion|trillion|bn|mn|[kmb])\b)?"
)
_BLANKS = re.compile(r"[^\S\0]+")
_MARKS = re.compile(r"[*`]+|^#+\s", re.MULTILINE)

_FACT = re.compile(
    r"[$€£¥]?\d(?:[\d,._:/-]*\d)?(?:\s?(?:%|(?:percent|thousand|million|billion|trillion|bn|mn)\b))?"
    r"|\b[A-Za-z]+[-_]?\d[\w-]*"
)
_MARKER = re.compile(r"\[redacted:[a-z_]+:[0-9a-f]+\]")
"""What stands in a secret's place; its digits are no figure."""
_WORD, _DIGITS = re.compile(r"\w+"), re.compile(r"\d+")
_KEY_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+")
_SMALL_WORDS = frozenset(
    "the and are was were for with from that this have has had not but its they their which will would of".split()  # noqa: SIM905
)
_POINTED = re.compile(r"\d+(?:[.,]\d+)+")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[\"'(\[]?[A-Z0-9])|\n+")
_BULLET = re.compile(r"^\s*(?:[-*•>]+\s+|#+\s+|\d+[.)]\s+)")

_Borders = tuple[re.Pattern[str], re.Pattern[str]]
"""What must hold before and after a text where it stands; neither takes up a character."""


class Wording:
    """A text to look for. It must stand between the same borders as where it was found first.

    Where the first text holds it as whole words, parts of words are no matches elsewhere.
    """

    def __init__(self, text: str, within: Iterable[str]) -> None:
        self.text = text.strip()
        self.normal = normal(self.text).strip()
        holders = (other for other in within if self.text in other)
        first = next(holders, None)
        bordered = _borders(self.text, whole_words=True)
        self.whole_words = first is None or any(
            _stands(self.text, other, bordered) for other in chain((first,), holders)
        )
        self._borders = _borders(self.text, whole_words=self.whole_words)
        self._normal_borders = _borders(self.normal, whole_words=self.whole_words)

    def is_in(self, text: str) -> bool:
        """Return whether the exact text stands in another."""
        return bool(self.text) and _stands(self.text, text, self._borders)

    def is_in_normal(self, text: str) -> bool:
        """Return whether its normal form stands in the normal form of another."""
        return bool(self.normal) and _stands(self.normal, text, self._normal_borders)


def normal(text: str) -> str:
    """Return the normal form of a text."""
    plain = _MARKS.sub("", text.casefold())
    if _DIGITS.search(plain):
        plain = _NUMBER.sub(_written_out, plain)
    return _BLANKS.sub(" ", plain)


def pieces(text: str) -> Iterator[str]:
    """Yield a text's lines and sentences, without bullets; those that say nothing are left out."""
    for piece in _SENTENCE_END.split(text):
        bare = _BULLET.sub("", piece).strip()
        if any(char.isalnum() for char in bare):
            yield bare


def facts(text: str) -> list[str]:
    """Return the figures, dates and identifiers in a text, each once; lone digits are none."""
    return [fact for fact in figures(text) if len(fact) > 1 and fact != text.strip()]


def figures(text: str) -> list[str]:
    """Return the figures, dates and identifiers in a text, each once."""
    return list(dict.fromkeys(match.group().strip() for match in _FACT.finditer(_MARKER.sub("", text))))


def _written_out(match: re.Match[str]) -> str:
    whole, rest, scale = match["whole"], match["rest"] or "", match["scale"]
    digits = re.sub(r"\D", "", whole)
    if digits.startswith("0") and len(digits) > 1:
        return match.group()  # an identifier, not a number
    # "5 m" are metres and "5m" may be minutes; "$5m" is an amount.
    ambiguous = scale in ("k", "m", "b") and (match["gap"] or (scale != "k" and not match["currency"]))
    unread = f"{match['gap'] or ''}{scale}" if scale and ambiguous else ""
    power = _SCALES[scale] if scale and not unread else 0
    value = Decimal(digits + rest).scaleb(power) if len(digits) < 25 else None
    if value is None:
        return match.group()
    plain = f"{value:f}"
    return (plain.rstrip("0").rstrip(".") if "." in plain else plain) + unread


def words(text: str) -> set[str]:
    """Return the words of a text, the runs of digits within them, and numbers with points or commas."""
    found = set(_WORD.findall(text))
    mixed = [word for word in found if not word.isalpha() and not word.isdecimal()]
    return found.union(_POINTED.findall(text), *map(_DIGITS.findall, mixed))


def telling_words(text: str) -> set[str]:
    """Return the words of a text, or of a key, that tell what it is about; a plural is its singular."""
    found = (word.casefold() for word in _KEY_WORD.findall(text))
    return {word.removesuffix("s") for word in found if len(word) > 2 and word not in _SMALL_WORDS}


def whole_words(text: str, *, bordered: bool) -> set[str]:
    """Return those of a text's `words` that are such wherever a `Wording` finds the text.

    A word at its beginning or end may be part of a longer one, unless it is bordered; and a number beside a
    point there may go on.
    """
    end = len(text)
    found = {m.group() for m in _WORD.finditer(text) if bordered or (m.start() and m.end() < end)}
    found.update(_DIGITS.findall(text))
    open_start, open_end = text[:1] in (".", ","), text[-1:] in (".", ",")
    for match in _POINTED.finditer(text):
        if not (open_start and match.start() == 1) and not (open_end and match.end() == end - 1):
            found.add(match.group())
    return found


def _stands(text: str, within: str, borders: _Borders) -> bool:
    before, after = borders
    at = within.find(text)
    while at >= 0:
        if before.match(within, at) and after.match(within, at + len(text)):
            return True
        at = within.find(text, at + 1)
    return False


def _borders(text: str, *, whole_words: bool) -> _Borders:
    before = after = ""
    if text[:1].isdigit():
        before = r"(?<!\d)(?<!\d[.,])"
    if text[-1:].isdigit():
        after = r"(?![.,]?\d)"
    if whole_words and re.match(r"\w", text):
        before += r"(?<!\w)"
    if whole_words and re.search(r"\w\Z", text):
        after += r"(?!\w)"
    return re.compile(before), re.compile(after)
