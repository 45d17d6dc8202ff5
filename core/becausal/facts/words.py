"""What a language must say for itself: the words that a register of locales does not have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Words", "split"]

Phrases = tuple[str, ...]

_TOKENS = re.compile(r"[^\W\d_](?:\w*[^\W_])?(?:['’][^\W\d_]{1,3}(?!\w))?|\d+|\S")


def split(text: str) -> tuple[str, ...]:
    """Return the tokens of a phrase of the vocabulary."""
    return tuple(_TOKENS.findall(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """The words of a language, in lower case; in a phrase a blank stands between its tokens.

    All may be left out: a kind of fact whose words are not known is not found in that language.
    """

    month_first: bool = False
    """Whether 03/05/2026 is in March."""
    currencies: Mapping[str, str] = field(default_factory=dict)
    hundredths: Mapping[str, str] = field(default_factory=dict)
    """Words for the hundredth part of a currency's unit."""
    units: Mapping[str, str] = field(default_factory=dict)
    """Further names of units, by their id in CLDR."""
    no_units: frozenset[str] = frozenset()
    """Names of units that are far more often something else."""
    scales: Mapping[str, int] = field(default_factory=dict)
    """Powers of ten: `million` is 6."""
    glued_scales: Mapping[str, int] = field(default_factory=dict)
    """Those that stand right at the figure, as cased there: `1.5k`."""
    numerals: Mapping[str, int] = field(default_factory=dict)
    hundred: frozenset[str] = frozenset()
    never_a_number_alone: frozenset[str] = frozenset()
    ordinal_endings: frozenset[str] = frozenset()
    month_words: Mapping[str, int] = field(default_factory=dict)
    doubtful_months: frozenset[str] = frozenset()
    """Months that are words of another meaning in lower case."""
    relative_days: frozenset[str] = frozenset()
    half_days: Mapping[str, int] = field(default_factory=dict)
    percent: Phrases = ("%",)
    range_words: frozenset[str] = frozenset(["-", "–", "—"])
    around: Phrases = ("~", "≈")
    """Hedges of the figure that follows."""
    unsure: Phrases = ()
    """Hedges of what follows them, up to where another thing is told; at the end, of what stands before."""
    unsure_of_one: frozenset[str] = frozenset()
    """Those among them that hedge one figure: the next, else the one before."""
    at_most: Phrases = ("<", "< =", "≤")
    at_most_dates: Phrases = ()
    """Limits before a date or time only."""
    at_least: Phrases = (">", "> =", "≥")
    at_least_dates: Phrases = ()
    at_most_after: Phrases = ()
    """Limits that stand behind the figure."""
    at_least_after: Phrases = ()
    rules: Mapping[str, Phrases] = field(default_factory=dict)
    """By what they ask: `must`, `not`, `only`, `except`."""
    no_rules: Phrases = ()
    """What looks like one and is none."""
    deny: frozenset[str] = frozenset()
    id_nouns: frozenset[str] = frozenset()
    """What a bare number names: an order, a ticket."""
    id_links: frozenset[str] = frozenset(["#", ":"])
    abbreviations: frozenset[str] = frozenset()
    """Words with a full stop that ends no sentence."""
    boundary_words: frozenset[str] = frozenset()
    joining_words: frozenset[str] = frozenset()
    """After which another thing may be told, or a further figure of the same: `and`, `or`."""
    opposites: tuple[tuple[str, str], ...] = ()
    """Words of which one denies the other."""
    denying: Phrases = ()
    """What makes a word its opposite, at its head."""
    endings: Phrases = ()
    """What a word may lose and be the same word; the longest first."""
    stop: frozenset[str] = frozenset()
    """Words that say little by themselves."""
