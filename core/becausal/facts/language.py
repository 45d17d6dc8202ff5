"""The vocabulary of a language: names of months, units and currencies from CLDR, the rest from a module of ours.

CLDR, the Unicode Consortium's register of locales, is read through Babel, once a language and only when facts are
asked for; its data differ a little from one release of Babel to the next, as spellings are added.
"""

from __future__ import annotations

import datetime as dt
import importlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final, Generic, TypeVar

from becausal.facts.units import UNITS, Unit
from becausal.facts.words import Words, split

__all__ = ["Language", "Phrasebook", "language"]

WORDS: Final[dict[str, str]] = {"en": "becausal.facts.english"}
"""Which module has the words of a language."""

_DAY: Final = dt.date(2026, 1, 1)
"""Currencies are those that were in use then, on whichever day this is asked."""

_SYMBOLS: Final = {
    "$": "USD", "US$": "USD", "CA$": "CAD", "C$": "CAD", "A$": "AUD", "AU$": "AUD", "NZ$": "NZD", "HK$": "HKD",
    "S$": "SGD", "R$": "BRL", "MX$": "MXN", "NT$": "TWD", "€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR", "₽": "RUB",
    "₩": "KRW", "₪": "ILS", "₺": "TRY", "₴": "UAH", "₫": "VND", "฿": "THB", "₦": "NGN", "₱": "PHP",
}  # fmt: skip

Phrase = tuple[str, ...]
Meaning = TypeVar("Meaning")


class Phrasebook(Generic[Meaning]):
    """Phrases by their first word; the longest one that fits is the one."""

    def __init__(self, phrases: Iterable[tuple[Phrase, Meaning]] = ()) -> None:
        self._by_first: dict[str, list[tuple[Phrase, Meaning]]] = {}
        for phrase, meaning in phrases:
            self._by_first.setdefault(phrase[0], []).append((phrase, meaning))
        for row in self._by_first.values():
            row.sort(key=lambda entry: -len(entry[0]))

    def __contains__(self, word: str) -> bool:
        return word in self._by_first

    @property
    def first_words(self) -> frozenset[str]:
        """The words with which a phrase begins."""
        return frozenset(self._by_first)

    def at(self, words: list[str], index: int) -> tuple[int, Meaning] | None:
        """Return where the longest phrase that stands there ends, and what it means."""
        for phrase, meaning in self._by_first.get(words[index], ()):
            end = index + len(phrase)
            if len(phrase) == 1 or tuple(words[index:end]) == phrase:
                return end, meaning
        return None


@dataclass(frozen=True, slots=True, eq=False)
class Language:
    """All that the readers ask of a language."""

    name: str
    words: Words
    decimal: str
    """The sign before the fraction."""
    group: str
    """The signs between groups of three digits."""
    months: Mapping[str, int]
    weekdays: Mapping[str, int]
    """Full names and short ones; Monday is 0."""
    full_weekdays: frozenset[str]
    codes: frozenset[str]
    """Three letters for a currency."""
    symbols: Mapping[str, str]
    currencies: Phrasebook[str]
    cents: Phrasebook[str]
    units: Phrasebook[str]
    exact_units: Phrasebook[str]
    """Those of which the case matters: `Mb` and `MB`."""
    percent: Phrasebook[str]
    around: Phrasebook[str]
    unsure: Phrasebook[str]
    limits: Phrasebook[tuple[str, bool]]
    """`<=` or `>=`, and whether before dates and times alone."""
    limits_after: Phrasebook[str]
    rules: Phrasebook[str]

    def unit(self, words: list[str], texts: list[str], index: int) -> tuple[int, Unit] | None:
        """Return where the unit that stands there ends, and the unit."""
        found = self.exact_units.at(texts, index) or self.units.at(words, index)
        return None if found is None else (found[0], UNITS[found[1]])


@cache
def language(name: str) -> Language:
    """Return a language by the name of its locale: `en`, `de`.

    Raises:
        ValueError: there is no such locale.
    """
    from babel import Locale, UnknownLocaleError

    try:
        locale = Locale.parse(name)
    except UnknownLocaleError as unknown:
        raise ValueError(f"there is no locale {name!r}") from unknown
    module = WORDS.get(locale.language)
    words: Words = Words() if module is None else importlib.import_module(module).WORDS

    def book(*rows: tuple[Iterable[str], Meaning]) -> Phrasebook[Meaning]:
        return Phrasebook((split(text), meaning) for texts, meaning in rows for text in texts)

    units, exact = _unit_names(name, words)
    codes = _codes()
    calendar = [(locale.months[form][width], form) for form in ("format", "stand-alone") for width in _WIDTHS]
    days = [locale.days["format"][width] for width in _WIDTHS]
    return Language(
        name=name,
        words=words,
        decimal=_symbol(locale, "decimal", "."),
        group=_symbol(locale, "group", ","),
        months=_lower((text, number) for names, _ in calendar for number, text in names.items())
        | dict(words.month_words),
        weekdays=_lower((text, number) for names in days for number, text in names.items()),
        full_weekdays=frozenset(text.lower() for text in days[0].values()),
        codes=codes,
        symbols=_SYMBOLS,
        currencies=book(*(([text], code) for text, code in _currency_names(name, codes, words))),
        cents=book(*(([text], code) for text, code in words.hundredths.items())),
        units=book(*(([text], unit) for text, unit in units.items())),
        exact_units=Phrasebook((split(text), unit) for text, unit in exact.items()),
        percent=book((words.percent, "%")),
        around=book(*(([text], text.replace(" .", ".")) for text in words.around)),
        unsure=book(*(([text], text) for text in words.unsure)),
        limits=book(
            (words.at_most, ("<=", False)),
            (words.at_least, (">=", False)),
            (words.at_most_dates, ("<=", True)),
            (words.at_least_dates, (">=", True)),
        ),
        limits_after=book((words.at_most_after, "<="), (words.at_least_after, ">=")),
        rules=book((words.no_rules, ""), *((texts, sort) for sort, texts in words.rules.items())),
    )


_WIDTHS: Final = ("wide", "abbreviated")


def _lower(rows: Iterable[tuple[str, int]]) -> dict[str, int]:
    return {text.lower().rstrip("."): number for text, number in rows}


def _symbol(locale: object, name: str, otherwise: str) -> str:
    symbols = getattr(locale, "number_symbols", {})
    # Since Babel 2.14 by numbering system.
    found = symbols.get("latn", symbols).get(name, otherwise)
    return found if isinstance(found, str) else otherwise


@cache
def _codes() -> frozenset[str]:
    from babel.core import get_global
    from babel.numbers import get_territory_currencies

    return frozenset(
        str(code)
        for territory in get_global("territory_currencies")
        for code in get_territory_currencies(territory, start_date=_DAY, end_date=_DAY, tender=True)
    )


def _currency_names(name: str, codes: frozenset[str], words: Words) -> Iterator[tuple[str, str]]:
    from babel.numbers import get_currency_name

    seen = dict(words.currencies)
    for code in sorted(codes):
        for count in (1, 2):
            seen.setdefault(get_currency_name(code, count=count, locale=name).lower(), code)
    yield from seen.items()


def _unit_names(name: str, words: Words) -> tuple[dict[str, str], dict[str, str]]:
    """Return units by their names in lower case, and by names of which the case matters."""
    from babel.units import UnknownUnitError, format_unit

    found: dict[str, str] = {}
    cased: dict[str, set[str]] = {}
    for unit in UNITS:
        for length in ("long", "short"):
            for count in (1, 2):
                try:
                    text = format_unit(count, unit, length=length, locale=name)
                except UnknownUnitError:
                    continue
                text = text.replace(str(count), "").strip()
                cased.setdefault(text.lower(), set()).add(text)
                found.setdefault(text, unit)
    found |= {"KiB": "kib", "MiB": "mib", "GiB": "gib", "TiB": "tib"}
    exact = {text: unit for text, unit in found.items() if len(cased.get(text.lower(), ())) > 1}
    plain: dict[str, str] = {}
    for text, unit in found.items():
        plain.setdefault(text.lower(), unit)
    plain |= words.units
    return {text: unit for text, unit in plain.items() if text and text not in words.no_units}, exact
