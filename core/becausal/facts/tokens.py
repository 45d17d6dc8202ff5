"""A text as tokens: one ordered table of shapes, read once from left to right.

A shape that comes first wins, and none looks further than it has bounds, so the cost is linear in the text. Marks of
emphasis and single line breaks are no tokens: a text in bold, or wrapped at another column, has the same ones.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from becausal.facts.fact import Found
from becausal.facts.language import Language

__all__ = ["END", "Scan"]

END: Final = "end"
"""The class of what stands behind the last token."""

_BEFORE = r"(?<![^\W_])"  # an underscore may be a mark of emphasis
_DAY = r"(?:0[1-9]|[12]\d|3[01])"
_END = r"(?![^\W_])"
_GROUPED_BY: Final = {",": ",'’_\u00a0\u202f\u2009", ".": ".'’_\u00a0\u202f\u2009"}

_SHAPES: Final = (
    # (class, shape); {g} the signs between groups of digits, {d} the decimal one, {o} the other of , and .
    ("word", r"[a-z]++(?=[\s,;!?)\"]|\.\s)"),  # most of a text, seen at the first look
    ("fence", r"```[ \t]*[\w+-]{0,20}[ \t]*\r?\n(?:[^`]|`(?!``))*+```"),
    ("inline", r"`(?=[^`\n]{0,200}[()\[\]{}=;<>])[^`\n]{1,200}`"),
    ("marker", r"\[redacted:[a-z_]++:[0-9a-f]++\]"),  # in a secret's place: its digits are no figure
    ("mark", r"[*`]++|(?<!\w)_++(?=\S)|(?<=\S)_++(?!\w)|~~++"),
    ("mark", r"(?m:^)[ \t]*+>++(?=[ \t])"),  # a quotation, not "more than"
    ("break", r"\n[ \t\r]*+(?:\n\s*+|(?=[-*•+#>|]|\d{1,3}[.)]\s|[\w ]{1,40}:))"),
    ("url", r"(?:https?|ftp|wss?|s3|gs|file)://[^\s<>\"'`|]++"),
    ("email", _BEFORE + r"[\w+-](?:[\w.+-]{0,63})@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}+"),
    ("uuid", _BEFORE + r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}" + _END),
    ("isodate", _BEFORE + r"\d{4}(?P<iso>[-/])(?:0[1-9]|1[0-2])(?P=iso)" + _DAY + r"(?:T(?=\d\d:)|(?![^\W_]))"),
    ("date", _BEFORE + r"\d{1,2}(?P<dated>[-/.])\d{1,2}(?P=dated)(?:\d{4}|\d\d)(?!/|\.\d)" + _END),
    ("clock", r"(?:(?<![^\W_]|[:.])|(?<=\dT))(?:[01]?\d|2[0-4]):[0-5]\d(?::[0-5]\d(?:[.,]\d{1,9})?)?(?![\d:])"),
    ("ip", _BEFORE + r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?![\w.]\d)"),
    # 1.250,00 where 1,250.00 is usual
    ("number", r"(?<![\w.])\d{{1,3}}(?:[{d}]\d{{3}}){{1,8}}[{o}]\d{{1,2}}(?![\d{o}{d}])"),
    ("number", r"(?<![\w.])\d{{1,3}}(?:\.\d{{3}}){{2,8}}(?![\d.])"),
    ("version", r"(?<![\w.])[vV]?\d{1,5}(?:\.\d{1,5}){2,4}(?:[-+][\w.]{1,40})?" + _END),
    ("version", _BEFORE + r"[vV]\d{1,5}(?:\.\d{1,5})?" + _END),
    ("hash", _BEFORE + r"(?=[0-9]{0,63}[a-f])(?=[a-f]{0,63}[0-9])[0-9a-f]{7,64}" + _END),
    ("currency", r"(?<![^\W\d_])(?:US|CA|AU|NZ|HK|NT|MX|[ACSR])?\$|[€£¥₹₽₩₪₺₴₫฿₦₱]"),
    ("currency", _BEFORE + r"(?:USD|EUR|GBP|JPY|CHF|CAD|AUD|INR|CNY)(?=\d)"),
    ("ident", _BEFORE + r"(?=[^\W\d_][\w-]{0,60}\d)[^\W\d_]\w{0,80}(?:[-#]\w{1,80}|(?<=\d)\.\d{1,9}(?![^\W_])){0,8}"),
    ("number", r"\d{{1,3}}(?P<by>[{g}])\d{{3}}(?:(?P=by)\d{{3}})*+(?!\d)(?:[{d}]\d++)?"),
    ("number", r"\d++(?:[{d}]\d++)?(?:[eE][+-]?\d{{1,4}}(?![^\W_]))?"),
    ("number", r"[½¼¾⅓⅔]"),
    ("word", r"[^\W\d_](?:\w*[^\W_])?(?:['’][^\W\d_]{1,3}(?![^\W_]))?"),
    ("symbol", r"\S"),
)  # fmt: skip
"""In order of precedence. Every repetition is bounded or cannot be retraced."""

_SORTS: Final[dict[str | None, str]] = {f"{name}{number}": name for number, (name, _) in enumerate(_SHAPES)}


@cache
def _pattern(decimal: str) -> re.Pattern[str]:
    group = _GROUPED_BY["." if decimal == "," else ","]
    other = "." if decimal == "," else ","
    rows = [
        f"(?P<{name}{number}>"
        + (shape.format(g=group, d=re.escape(decimal), o=re.escape(other)) if name == "number" else shape)
        + ")"
        for number, (name, shape) in enumerate(_SHAPES)
    ]
    return re.compile("|".join(rows))


class Scan:
    """The tokens of a text, side by side: classes, texts, lower-case texts, where each begins and ends.

    Behind the last one stand some of class `end`, so that a reader may look ahead without asking.
    """

    __slots__ = ("classes", "ends", "language", "measured", "n", "said", "starts", "text", "texts", "words")

    def __init__(self, text: str, language: Language) -> None:
        self.text, self.language = text, language
        self.classes: list[str] = []
        self.texts: list[str] = []
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.measured: dict[int, Found | None] = {}
        """What the readers of figures have read, by the token that they began at."""
        self.said: dict[int, str | None] = {}
        """The stems of the words that say something, by their token, as far as somebody asked."""
        for match in _pattern(language.decimal).finditer(text):
            sort = _SORTS[match.lastgroup]
            if sort != "mark":
                start, end = match.span()
                self.classes.append(sort)
                self.texts.append(text[start:end])
                self.starts.append(start)
                self.ends.append(end)
        self.n = len(self.texts)
        self.classes += [END] * 16
        self.texts += [""] * 16
        self.starts += [len(text) + 2] * 16
        self.ends += [len(text) + 2] * 16
        self.words = [token.lower().replace("’", "'") for token in self.texts]

    def glued(self, index: int) -> bool:
        """Say whether a token stands right at the next one."""
        return self.ends[index] == self.starts[index + 1]

    def glued_before(self, index: int) -> bool:
        """Say whether a token stands right at the one before."""
        return index > 0 and self.ends[index - 1] == self.starts[index]

    def is_boundary(self, index: int) -> bool:
        """Say whether a clause ends with a token."""
        sort = self.classes[index]
        if sort == "symbol":
            text = self.texts[index]
            if text == "." and index and self.words[index - 1] in self.language.words.abbreviations:
                return False
            return text in ";|" or (text in ".!?" and not self.glued(index))
        return sort in ("break", END, "fence") or self.words[index] in self.language.words.boundary_words

    def begins_sentence(self, index: int) -> bool:
        """Say whether a token is the first of a sentence, a line or a quotation."""
        if index == 0 or self.is_boundary(index - 1):
            return True
        if self.texts[index - 1] in "\"'“‘«(-•#>–—" and self.classes[index - 1] == "symbol":
            return True
        return "\n" in self.text[self.ends[index - 1] : self.starts[index]]
